"""TCP headers, options and the stamper of a flow against what Scapy builds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.wire.tcp import ACK, FIN, PSH, SYN, build_tcp, flags_text, parse_tcp
from emu.wire.tcp_flow import TcpFlowTemplate
from emu.wire.tcp_options import parse_tcp_options, segment_options, syn_options
from tests.wire.strategies import SCAPY, addresses, bytes_8, macs, payloads, scapy_ether, scapy_ip, words

numbers = st.integers(0, 0xFFFFFFFF) | st.sampled_from((0, 1, 0xFFFF, 0xFFFFFFFF))
blocks = st.lists(st.tuples(numbers, numbers), max_size=3).map(tuple)


def scapy_tcp(source_port, destination_port, sequence, acknowledgment, flags, window, options):
    return SCAPY.TCP(
        sport=source_port, dport=destination_port, seq=sequence, ack=acknowledgment, flags=flags, window=window,
        urgptr=0, options=options,
    )  # fmt: skip


@given(macs, macs, addresses, addresses, words, words, numbers, numbers, bytes_8, words, numbers, numbers, payloads)
def test_a_flow_stamps_what_scapy_builds(dmac, smac, src, dst, sport, dport, seq, ack, flags, window, ts, echo, data):
    flow = TcpFlowTemplate(dmac, smac, src, dst, sport, dport, ttl=63, tos=2)
    options = [("NOP", None), ("NOP", None), ("Timestamp", (ts, echo))]
    ip = scapy_ip(src, dst, 6, id=7, ttl=63, tos=2, flags=2)
    tcp = scapy_tcp(sport, dport, seq, ack, flags, window, options)
    expected = bytes(scapy_ether(dmac, smac, 0x0800) / ip / tcp / SCAPY.Raw(data))
    assert flow.stamp(7, seq, ack, flags, window, ts, echo, data) == expected
    assert flow.stamp_options(7, seq, ack, flags, window, segment_options((ts, echo)), data) == expected


@given(addresses, addresses, words, words, numbers, numbers, bytes_8, words, st.none() | st.tuples(numbers, numbers),
       blocks, payloads)  # fmt: skip
def test_a_built_segment_is_what_scapy_builds(src, dst, sport, dport, seq, ack, flags, window, stamps, sacks, data):
    options = [("NOP", None), ("NOP", None), ("Timestamp", stamps)] if stamps else []
    if sacks:
        options += [("NOP", None), ("NOP", None), ("SAck", tuple(edge for block in sacks for edge in block))]
    expected = bytes(
        scapy_ip(src, dst, 6) / scapy_tcp(sport, dport, seq, ack, flags, window, options) / SCAPY.Raw(data)
    )[20:]
    built = build_tcp(src, dst, sport, dport, seq, ack, flags, window, segment_options(stamps, sacks), data)
    assert built == expected
    view = parse_tcp(built, 0)
    assert (view.source_port, view.destination_port, view.sequence, view.acknowledgment) == (sport, dport, seq, ack)
    assert (view.flags, view.window, view.payload) == (flags, window, data)
    assert view.checksum_is_valid(src, dst)
    parsed = parse_tcp_options(view.options)
    assert parsed.sack_blocks == sacks
    assert (parsed.timestamp_value, parsed.timestamp_echo) == (stamps or (None, None))


def test_the_options_of_a_syn_stand_in_linux_order():
    text = syn_options(1460, sack_permitted=True, timestamps=(1, 0), window_scale=7)
    assert text == bytes.fromhex("020405b4 0402080a 00000001 00000000 01030307")


@pytest.mark.parametrize(
    ("sack", "stamps", "scale", "text"),
    [
        (False, (1, 2), None, "020405b4 0101080a 00000001 00000002"),
        (True, None, 3, "020405b4 01030303 01010402"),
        (False, None, None, "020405b4"),
    ],
)
def test_a_syn_without_some_options_is_padded_as_in_linux(sack, stamps, scale, text):
    built = syn_options(1460, sack_permitted=sack, timestamps=stamps, window_scale=scale)
    assert built == bytes.fromhex(text)
    parsed = parse_tcp_options(built)
    assert (parsed.maximum_segment, parsed.sack_permitted, parsed.window_scale) == (1460, sack, scale)
    assert (parsed.timestamp_value, parsed.timestamp_echo) == (stamps or (None, None))


@given(st.binary(max_size=40))
def test_any_option_bytes_can_be_read(options):
    parsed = parse_tcp_options(options)
    assert parsed.window_scale is None or parsed.window_scale <= 14


@given(st.integers(0, 100), st.binary(max_size=60))
def test_a_cut_off_segment_is_not_read(cut, payload):
    whole = build_tcp(bytes(4), bytes(4), 1, 2, 3, 4, SYN, 5, syn_options(
        1460, sack_permitted=True, timestamps=(1, 0), window_scale=7), payload)  # fmt: skip
    view = parse_tcp(whole[:cut], 0)
    assert (view is None) == (min(cut, len(whole)) < 40)


def test_a_header_length_below_20_is_not_read():
    segment = bytearray(build_tcp(bytes(4), bytes(4), 1, 2, 3, 4, ACK, 5))
    segment[12] = 0x40
    assert parse_tcp(bytes(segment), 0) is None


@given(st.integers(0, 19), st.integers(0, 7))
def test_a_flipped_bit_of_the_header_is_noticed(position, bit):
    segment = bytearray(build_tcp(b"\x0a\0\0\1", b"\x0a\0\0\2", 1, 2, 3, 4, ACK | PSH, 5, b"", b"hello"))
    segment[position] ^= 1 << bit
    view = parse_tcp(bytes(segment), 0)
    assert view is None or not view.checksum_is_valid(b"\x0a\0\0\1", b"\x0a\0\0\2")


def test_flags_are_written_as_tcpdump_does():
    assert [flags_text(flags) for flags in (SYN, SYN | ACK, FIN | PSH | ACK, 0)] == ["S", "S.", "FP.", "none"]
