"""What is left to the hardware is done as hardware does it: cut, checksums made, nothing lost; in tunnels, too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emu.stack.output import build_packet
from emu.wire.checksum import verify_internet_checksum
from emu.wire.frame import Frame
from emu.wire.offload import (
    CHECKSUM_ONLY,
    Offload,
    finish,
    finished_frames,
    fits,
    must_be_cut,
    partial_checksum,
    segment_count,
    tunnel_checksum,
    with_tunnel_checksum,
)
from emu.wire.tcp import ACK, CWR, FIN, PSH, build_tcp, parse_tcp
from emu.wire.tcp_flow import TcpFlowTemplate
from emu.wire.tcp_options import segment_options
from emu.wire.udp import build_udp, parse_udp
from emu.wire.vxlan import OVERHEAD, VxlanFlowTemplate, build_vxlan_header
from tests.golden.compare import read_pcap
from tests.golden.recording import FOLDER

A, B = b"\x0a\x00\x00\x02", b"\x0a\x00\x00\x03"
VTEP_A, VTEP_B = b"\xc6\x12\x00\x01", b"\xc6\x12\x00\x02"
MACS = b"\x02\0\0\0\0\x02", b"\x02\0\0\0\0\x01"
OPTIONS = segment_options((1000, 2000))
VXLAN = build_vxlan_header(4097)
OVERLAY = FOLDER / "20.10" / "f-swarm-overlay"


def segment(payload: bytes, flags: int = ACK | PSH, sequence: int = 1, ident: int = 7) -> bytes:
    """A frame as a sandbox with offload sends it."""
    template = TcpFlowTemplate(*MACS, A, B, 80, 40000)
    return template.stamp_unfinished(ident, sequence, 99, flags, 64, OPTIONS, payload)


def in_tunnel(inner: bytes, offload: Offload, checksum: bool = True, ident: int = 500) -> bytes:
    """The same in VXLAN, as the sending host's network card gets it."""
    udp = build_udp(VTEP_A, VTEP_B, 40000, 4789, VXLAN + inner, checksum=False)
    if checksum:
        udp = with_tunnel_checksum(VTEP_A, VTEP_B, udp, 8 + 8 + 14, offload.segment_size)
    return MACS[0] + MACS[1] + b"\x08\0" + build_packet(VTEP_A, VTEP_B, 17, udp, identification=ident, ttl=64)


def view_of(frame: bytes):
    return parse_tcp(frame, 34, 14 + int.from_bytes(frame[16:18], "big"))


payloads = st.binary(min_size=1, max_size=6000)


@given(payloads, st.integers(1, 1448), st.integers(0, 2**32 - 1), st.integers(0, 65535))
def test_the_pieces_carry_the_bytes_of_the_whole_with_right_checksums(payload, size, sequence, ident):
    whole = segment(payload, ACK | PSH | FIN | CWR, sequence, ident)
    pieces = finish(whole, Offload(size))
    assert len(pieces) == segment_count(whole, Offload(size)) == -(-len(payload) // size)
    views = [view_of(piece) for piece in pieces]
    assert b"".join(view.payload for view in views) == payload
    for index, (piece, view) in enumerate(zip(pieces, views, strict=True)):
        assert view.checksum_is_valid(A, B)
        assert verify_internet_checksum(piece[14:34])
        assert int.from_bytes(piece[18:20], "big") == (ident + index) & 0xFFFF
        assert view.sequence == (sequence + index * size) & 0xFFFFFFFF
        assert bool(view.flags & (PSH | FIN)) is (index == len(pieces) - 1)
        assert bool(view.flags & CWR) is (index == 0)
        assert view.options == OPTIONS
        assert len(view.payload) == size or index == len(pieces) - 1


@given(payloads, st.sampled_from([0, 500, 1398]), st.integers(0, 65535), st.booleans())
def test_in_a_tunnel_every_piece_becomes_the_datagram_that_it_would_have_been_alone(payload, size, ident, checksum):
    inner, offload = segment(payload, ident=ident), Offload(size)
    outer = finish(in_tunnel(inner, offload, checksum, ident), Offload(size, OVERHEAD))
    alone = finish(inner, offload)
    assert len(outer) == len(alone)
    for index, (whole, piece) in enumerate(zip(outer, alone, strict=True)):
        template = VxlanFlowTemplate(MACS[0], MACS[1], VTEP_A, VTEP_B, 40000, 4789, len(piece), VXLAN)
        assert whole == template.stamp((ident + index) & 0xFFFF, piece, checksum)


@given(st.binary(max_size=1400))
def test_a_udp_checksum_is_made(payload):
    udp = build_udp(A, B, 1000, 53, payload)
    real = MACS[0] + MACS[1] + b"\x08\0" + build_packet(A, B, 17, udp, identification=3, ttl=64)
    unfinished = real[:40] + partial_checksum(A, B, 17, len(udp)).to_bytes(2, "big") + real[42:]
    assert finish(unfinished, CHECKSUM_ONLY) == [real]


@given(payloads)
def test_one_piece_is_what_a_sender_without_offload_makes(payload):
    payload = payload[:1448]
    real = build_tcp(A, B, 80, 40000, 1, 99, ACK | PSH, 64, OPTIONS, payload)
    assert finish(segment(payload), CHECKSUM_ONLY)[0][34:] == real


def test_a_bare_ack_is_one_piece():
    (frame,) = finish(segment(b"", ACK), CHECKSUM_ONLY)
    assert view_of(frame).checksum_is_valid(A, B)
    assert segment_count(frame, CHECKSUM_ONLY) == 1


def test_the_pieces_have_the_passport_of_the_whole_and_are_finished():
    frame = Frame(segment(bytes(3000)), 42, Offload(1448))
    pieces = finished_frames(frame)
    assert [(piece.packet_id, piece.altered) for piece in pieces] == [(42, False)] * 3
    finished = Frame(b"x", 1)
    assert finished_frames(finished) == [finished]


def test_an_mtu_applies_to_the_pieces():
    packet = segment(bytes(3000))[14:]
    assert fits(packet, Offload(1448), 1500)
    assert not fits(packet, Offload(1448), 1499)
    assert not fits(packet, CHECKSUM_ONLY, 65535)
    assert not fits(packet, True, 65535)
    assert must_be_cut(Offload(1448))
    assert not must_be_cut(CHECKSUM_ONLY)
    assert not must_be_cut(True)
    outer = in_tunnel(segment(bytes(3000)), Offload(1398))[14:]
    assert fits(outer, Offload(1398, OVERHEAD), 1500)
    assert not fits(outer, Offload(1398, OVERHEAD), 1499)


def test_recorded_unfinished_checksums_are_the_sum_of_the_pseudo_header():
    packets = [data for _, data in read_pcap(OVERLAY / "f4-tcp-small-o1-eth0.pcap") if data[23] == 6]
    assert len(packets) == 13
    for data in packets:
        length = int.from_bytes(data[16:18], "big") - 20
        assert data[50:52] == partial_checksum(data[26:30], data[30:34], 6, length).to_bytes(2, "big")


def test_recorded_tunnels_have_the_checksum_that_is_right_when_the_inner_one_is_made():
    """The underlay of the recording was a veth pair, so the inner checksum is unfinished there, too."""
    packets = [data for _, data in read_pcap(OVERLAY / "f4-tcp-small-underlay.pcap") if data[36:38] == b"\x12\xb5"]
    whole = [data for data in packets if data[73] == 6 and len(data) == 14 + int.from_bytes(data[16:18], "big")]
    assert len(whole) == 11
    for data in whole:
        source, destination, udp = data[26:30], data[30:34], data[34:]
        assert int.from_bytes(udp[6:8], "big") == tunnel_checksum(source, destination, udp[:6] + b"\0\0" + udp[8:], 30)
        (finished,) = finish(data, Offload(0, OVERHEAD))
        assert finished[:100] == data[:100]  # everything up to the inner checksum, the outer one included
        view = parse_udp(finished, 34)
        assert view is not None
        assert view.checksum_is_valid(source, destination)
