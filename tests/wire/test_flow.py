"""Per-flow stamping gives the frames that Scapy would build."""

from hypothesis import given
from hypothesis import strategies as st

from emu.wire.flow import IcmpEchoTemplate, UdpFlowTemplate
from tests.wire.strategies import SCAPY, addresses, bytes_8, macs, payloads, scapy_ether, scapy_ip, words


@given(macs, macs, addresses, addresses, words, words, payloads, bytes_8, bytes_8, st.booleans(), words, st.booleans())
def test_a_udp_flow_stamps_what_scapy_builds(
    destination_mac, source_mac, source, destination, source_port, destination_port, payload, ttl, tos, df, ip_id, sums
):
    flow = UdpFlowTemplate(
        destination_mac,
        source_mac,
        source,
        destination,
        source_port,
        destination_port,
        len(payload),
        ttl=ttl,
        tos=tos,
        dont_fragment=df,
    )
    udp = SCAPY.UDP(sport=source_port, dport=destination_port)
    if not sums:
        udp.chksum = 0
    ip = scapy_ip(source, destination, 17, id=ip_id, ttl=ttl, tos=tos, flags=2 if df else 0)
    expected = bytes(scapy_ether(destination_mac, source_mac, 0x0800) / ip / udp / SCAPY.Raw(payload))
    assert flow.stamp(ip_id, payload, sums) == expected


def test_a_udp_checksum_of_zero_is_sent_as_ffff():
    flow = UdpFlowTemplate(bytes(6), bytes(6), bytes(4), bytes(4), 0, 0, 2)
    rest = (0xFFFF - 17 - 10 - 10).to_bytes(2, "big")
    assert flow.stamp(0, rest, True)[40:42] == b"\xff\xff"
    assert flow.stamp(0, rest, False)[40:42] == b"\x00\x00"


def test_every_identification_gives_a_header_checksum_as_scapy_computes_it():
    flow = UdpFlowTemplate(bytes(6), bytes(6), b"\x0a\0\0\1", b"\x0a\0\0\2", 1, 2, 0)
    for ip_id in range(0x10000):
        header = flow.stamp(ip_id, b"", False)[14:34]
        assert int.from_bytes(header, "big") % 65535 == 0
        assert header[10:12] != b"\xff\xff"


@given(macs, macs, addresses, addresses, words, words, words, payloads, st.booleans(), bytes_8, bytes_8, st.booleans())
def test_an_echo_flow_stamps_what_scapy_builds(
    destination_mac, source_mac, source, destination, identifier, ip_id, sequence, payload, reply, ttl, tos, df
):
    flow = IcmpEchoTemplate(
        destination_mac,
        source_mac,
        source,
        destination,
        identifier,
        reply=reply,
        ttl=ttl,
        tos=tos,
        dont_fragment=df,
    )
    ip = scapy_ip(source, destination, 1, id=ip_id, ttl=ttl, tos=tos, flags=2 if df else 0)
    icmp = SCAPY.ICMP(type=0 if reply else 8, code=0, id=identifier, seq=sequence)
    expected = bytes(scapy_ether(destination_mac, source_mac, 0x0800) / ip / icmp / SCAPY.Raw(payload))
    assert flow.stamp(ip_id, sequence, payload) == expected
