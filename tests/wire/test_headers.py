"""Headers: what is built equals what Scapy builds, what is parsed is what was built, and nothing ever raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.wire import arp, ethernet, icmp, ipv4, udp
from emu.wire.address import ipv4_to_text, mac_to_text
from tests.wire.strategies import (
    SCAPY,
    addresses,
    bytes_8,
    macs,
    option_bytes,
    payloads,
    scapy_ether,
    scapy_ip,
    words,
)

A, B = bytes.fromhex("ac110002"), bytes.fromhex("ac110003")
MAC_A, MAC_B = bytes.fromhex("0242ac110002"), bytes.fromhex("0242ac110003")


@given(macs, macs, words)
def test_an_ethernet_header_equals_scapys_and_reads_back(destination, source, kind):
    built = ethernet.build_ethernet_header(destination, source, kind)
    assert built == bytes(scapy_ether(destination, source, kind))
    view = ethernet.parse_ethernet(built + b"data")
    assert (view.destination, view.source, view.ethertype, view.payload) == (destination, source, kind, b"data")


@given(st.integers(0, 0xFFFF), macs, addresses, macs, addresses)
def test_an_arp_message_equals_scapys_and_reads_back(operation, sender_mac, sender, target_mac, target):
    built = arp.build_arp(operation, sender_mac, sender, target_mac, target)
    assert built == bytes(
        SCAPY.ARP(
            op=operation,
            hwsrc=mac_to_text(sender_mac),
            psrc=ipv4_to_text(sender),
            hwdst=mac_to_text(target_mac),
            pdst=ipv4_to_text(target),
        )
    )
    view = arp.parse_arp(built, 0)
    assert view.operation == operation
    assert (view.sender_mac, view.sender_address) == (sender_mac, sender)
    assert (view.target_mac, view.target_address) == (target_mac, target)


@given(macs, addresses, macs, addresses)
def test_arp_frames_are_the_message_behind_an_ethernet_header(mac_a, a, mac_b, b):
    request = arp.build_arp_request(mac_a, a, b)
    header = ethernet.build_ethernet_header(b"\xff" * 6, mac_a, ethernet.ETHERTYPE_ARP)
    assert request == header + arp.build_arp(1, mac_a, a, bytes(6), b)
    probe = arp.build_arp_request(mac_a, a, b, destination_mac=mac_b, target_mac=mac_b)
    header = ethernet.build_ethernet_header(mac_b, mac_a, ethernet.ETHERTYPE_ARP)
    assert probe == header + arp.build_arp(1, mac_a, a, mac_b, b)
    assert arp.build_arp_reply(mac_a, a, mac_b, b) == header + arp.build_arp(2, mac_a, a, mac_b, b)
    announcement = arp.parse_arp(arp.build_arp_announcement(mac_a, a))
    assert announcement.is_gratuitous
    assert (announcement.sender_mac, announcement.target_mac) == (mac_a, bytes(6))


def test_a_probe_and_an_announcement_are_told_from_an_ordinary_request():
    probe = arp.parse_arp(arp.build_arp_request(MAC_A, bytes(4), B))
    assert probe.is_probe
    assert not probe.is_gratuitous
    ordinary = arp.parse_arp(arp.build_arp_request(MAC_A, A, B))
    assert not ordinary.is_probe
    assert not ordinary.is_gratuitous


@pytest.mark.parametrize("position", range(6))
def test_arp_for_anything_but_ipv4_over_ethernet_is_not_parsed(position):
    message = bytearray(arp.build_arp(1, MAC_A, A, bytes(6), B))
    message[position] ^= 0x10
    assert arp.parse_arp(bytes(message), 0) is None


ipv4_fields = st.fixed_dictionaries(
    {
        "identification": words,
        "ttl": bytes_8,
        "tos": bytes_8,
        "dont_fragment": st.booleans(),
        "more_fragments": st.booleans(),
        "fragment_offset": st.integers(0, 0x1FFF).map(lambda units: units * 8),
        "options": option_bytes,
    }
)


@given(addresses, addresses, bytes_8, payloads, ipv4_fields)
def test_an_ipv4_header_equals_scapys_with_options_and_fragments(source, destination, protocol, payload, fields):
    built = ipv4.build_ipv4_header(source, destination, protocol, len(payload), **fields) + payload
    expected = scapy_ip(
        source,
        destination,
        protocol,
        fields["options"],
        id=fields["identification"],
        ttl=fields["ttl"],
        tos=fields["tos"],
        flags=fields["dont_fragment"] * 2 + fields["more_fragments"],
        frag=fields["fragment_offset"] // 8,
    )
    assert built == bytes(expected / SCAPY.Raw(payload))


@given(addresses, addresses, bytes_8, payloads, ipv4_fields, st.integers(0, 30), st.binary(max_size=20))
def test_an_ipv4_packet_reads_back_and_padding_is_left_out(source, destination, protocol, payload, fields, offset, pad):
    header = ipv4.build_ipv4_header(source, destination, protocol, len(payload), **fields)
    view = ipv4.parse_ipv4(bytes(offset) + header + payload + pad, offset)
    for name, value in fields.items():
        assert getattr(view, name) == value, name
    assert (view.source, view.destination, view.protocol) == (source, destination, protocol)
    assert (view.header, view.payload, view.packet) == (header, payload, header + payload)
    assert (view.payload_offset, view.payload_length) == (offset + len(header), len(payload))
    assert view.is_fragment == (fields["more_fragments"] or fields["fragment_offset"] > 0)
    assert view.checksum_is_valid
    assert view.checksum == int.from_bytes(header[10:12], "big")


def test_a_changed_header_has_a_wrong_checksum():
    packet = bytearray(ipv4.build_ipv4_header(A, B, 17, 0))
    packet[8] -= 1
    assert not ipv4.parse_ipv4(bytes(packet), 0).checksum_is_valid


@pytest.mark.parametrize(("position", "value"), [(0, 0x65), (0, 0x44), (0, 0x4F), (2, 0xFF), (3, 19)], ids=str)
def test_an_ipv4_header_that_contradicts_itself_is_not_parsed(position, value):
    packet = bytearray(ipv4.build_ipv4_header(A, B, 17, 8) + bytes(8))
    packet[position] = value
    assert ipv4.parse_ipv4(bytes(packet), 0) is None


def test_a_quoted_packet_may_be_cut_off_after_its_header():
    packet = ipv4.build_ipv4_header(A, B, 17, 1000) + b"12345678"
    assert ipv4.parse_ipv4(packet, 0) is None
    view = ipv4.parse_quoted_ipv4(packet)
    assert (view.total_length, view.payload) == (1020, b"12345678")
    assert ipv4.parse_quoted_ipv4(packet[:19]) is None


@given(words, words, payloads, st.booleans())
def test_an_icmp_echo_equals_scapys_and_reads_back(identifier, sequence, payload, reply):
    build = icmp.build_echo_reply if reply else icmp.build_echo_request
    built = build(identifier, sequence, payload)
    kind = 0 if reply else 8
    expected = SCAPY.ICMP(type=kind, code=0, id=identifier, seq=sequence) / SCAPY.Raw(payload)
    assert built == bytes(expected)
    view = icmp.parse_icmp(built, 0)
    assert (view.type, view.code, view.identifier, view.sequence) == (kind, 0, identifier, sequence)
    assert (view.payload, view.length, view.is_error) == (payload, len(built), False)
    assert view.checksum == int.from_bytes(built[2:4], "big")
    assert view.checksum_is_valid


@given(st.integers(0, 15), words, payloads, bytes_8, addresses)
def test_icmp_errors_equal_scapys_and_read_back(code, mtu, quoted, pointer, gateway):
    unreachable = icmp.build_destination_unreachable(code, quoted, mtu)
    raw = SCAPY.Raw(quoted)
    assert unreachable == bytes(SCAPY.ICMP(type=3, code=code, nexthopmtu=mtu) / raw)
    exceeded = icmp.build_time_exceeded(code, quoted)
    assert exceeded == bytes(SCAPY.ICMP(type=11, code=code) / raw)
    problem = icmp.build_parameter_problem(pointer, quoted, code)
    assert problem == bytes(SCAPY.ICMP(type=12, code=code, ptr=pointer) / raw)
    redirect = icmp.build_redirect(code, gateway, quoted)
    assert redirect == bytes(SCAPY.ICMP(type=5, code=code, gw=ipv4_to_text(gateway)) / raw)
    for message in (unreachable, exceeded, problem, redirect):
        view = icmp.parse_icmp(message, 0)
        assert view.is_error
        assert view.checksum_is_valid
        assert (view.code, view.payload) == (code, quoted)
    assert icmp.parse_icmp(unreachable, 0).next_hop_mtu == mtu
    assert icmp.parse_icmp(problem, 0).pointer == pointer
    assert icmp.parse_icmp(redirect, 0).gateway == gateway


@pytest.mark.parametrize(
    ("length", "options", "quoted"), [(100, 0, 100), (548, 0, 548), (1500, 0, 548), (1500, 8, 540)]
)
def test_an_error_quotes_as_much_as_fits_576_bytes(length, options, quoted):
    assert len(icmp.quote(bytes(length), options)) == quoted


@given(addresses, addresses, words, words, payloads)
def test_a_udp_datagram_equals_scapys_and_reads_back(source, destination, source_port, destination_port, payload):
    built = udp.build_udp(source, destination, source_port, destination_port, payload)
    packet = scapy_ip(source, destination, 17) / SCAPY.UDP(sport=source_port, dport=destination_port)
    expected = bytes(packet / SCAPY.Raw(payload))[20:]
    assert built == expected
    view = udp.parse_udp(built + b"beyond", 0)
    assert (view.source_port, view.destination_port) == (source_port, destination_port)
    assert (view.payload, view.payload_length, view.payload_offset) == (payload, len(payload), 8)
    assert view.segment == built
    assert view.checksum == int.from_bytes(built[6:8], "big")
    assert view.checksum_is_valid(source, destination)
    without = udp.build_udp(source, destination, source_port, destination_port, payload, checksum=False)
    assert without == built[:6] + b"\0\0" + payload
    assert udp.parse_udp(without, 0).checksum_is_valid(destination, source)


@pytest.mark.parametrize("claimed", [0, 7, 13, 0xFFFF])
def test_a_udp_length_that_lies_is_not_parsed(claimed):
    datagram = bytearray(udp.build_udp(A, B, 1, 2, b"abcd"))
    datagram[4:6] = claimed.to_bytes(2, "big")
    assert udp.parse_udp(bytes(datagram), 0) is None
    assert udp.parse_udp(bytes(datagram), 0, len(datagram) + 1) is None


def test_no_parser_raises_or_reads_past_the_end_however_much_is_cut_off():
    quoted = ipv4.build_ipv4_header(A, B, 17, 12) + udp.build_udp(A, B, 1, 2, b"abcd")
    message = icmp.build_destination_unreachable(3, quoted)
    frame = (
        ethernet.build_ethernet_header(MAC_B, MAC_A, 0x0800) + ipv4.build_ipv4_header(A, B, 1, len(message)) + message
    )
    request = arp.build_arp_request(MAC_A, A, B)
    for cut in range(len(frame)):
        data = frame[:cut]
        assert (ethernet.parse_ethernet(data) is None) == (cut < 14)
        assert ipv4.parse_ipv4(data) is None
        assert (icmp.parse_icmp(data, 34) is None) == (cut < 42)
        assert (ipv4.parse_quoted_ipv4(data, 42) is None) == (cut < 62)
        assert udp.parse_udp(data, 62) is None
    for cut in range(len(request)):
        assert arp.parse_arp(request[:cut]) is None
    assert arp.parse_arp(request) is not None
    assert ipv4.parse_ipv4(frame) is not None


@given(st.binary(max_size=100), st.integers(0, 60))
def test_random_bytes_never_make_a_parser_raise_and_views_stay_inside(data, offset):
    for parse in (arp.parse_arp, ipv4.parse_ipv4, ipv4.parse_quoted_ipv4, icmp.parse_icmp, udp.parse_udp):
        view = parse(data, offset)
        if view is not None and hasattr(view, "payload"):
            assert len(view.payload) <= len(data) - offset
