"""VXLAN on the wire: strict headers, source ports by flow, ECN, and outer frames as Scapy would build them."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.vxlan import VXLAN

from emu.kernel.errors import InvalidValue
from emu.wire.checksum import verify_ipv4_header
from emu.wire.ecn import traffic_class
from emu.wire.ipv4 import build_ipv4_header
from emu.wire.udp import build_udp
from emu.wire.vxlan import (
    VxlanFlowTemplate,
    build_vxlan_header,
    check_vni,
    flow_hash,
    flow_key,
    merge_ecn,
    outer_tos,
    parse_vxlan_header,
    source_port,
)
from tests.wire.strategies import SCAPY, addresses, bytes_8, macs, payloads, scapy_ether, scapy_ip, words

SECRET = b"drawn at boot"
A, B = bytes((10, 0, 1, 2)), bytes((10, 0, 1, 4))
MAC_A, MAC_B = b"\x02\x42" + A, b"\x02\x42" + B
vnis = st.integers(0, 2**24 - 1)


def ipv4_frame(protocol: int, source: bytes, destination: bytes, payload: bytes = bytes(8), **fields) -> bytes:
    header = build_ipv4_header(source, destination, protocol, len(payload), **fields)
    return MAC_B + MAC_A + b"\x08\x00" + header + payload


def udp_frame(source: bytes, destination: bytes, source_port: int, destination_port: int, **fields) -> bytes:
    return ipv4_frame(17, source, destination, build_udp(source, destination, source_port, destination_port, b""))


def tcp_frame(source: bytes, destination: bytes, source_port: int, destination_port: int) -> bytes:
    ports = source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big")
    return ipv4_frame(6, source, destination, ports + bytes(16))


# -- the header --------------------------------------------------------------------------------------------------------


def test_the_header_of_the_first_overlay_and_of_the_ingress_network():
    assert build_vxlan_header(4097).hex() == "0800000000100100"
    assert build_vxlan_header(4096).hex() == "0800000000100000"


@given(vnis)
def test_every_header_is_read_back(vni):
    assert parse_vxlan_header(b"??" + build_vxlan_header(vni), 2) == vni


@given(vnis, st.integers(0, 63))
def test_any_wrong_bit_beside_the_vni_makes_a_header_invalid(vni, bit):
    value = int.from_bytes(build_vxlan_header(vni), "big") ^ 1 << bit
    parsed = parse_vxlan_header(value.to_bytes(8, "big"))
    assert (parsed is None) == (not 8 <= bit < 32)


@given(st.binary(max_size=7))
def test_a_header_that_is_cut_off_is_invalid(data):
    assert parse_vxlan_header(data) is None


@pytest.mark.parametrize("vni", [-1, 2**24, "4097", True, 1.0])
def test_a_vni_has_24_bits(vni):
    with pytest.raises(InvalidValue, match="expected 0 to 16777215"):
        check_vni(vni)


# -- the source port ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hash_value", "port"), [(0x12345678, 40299), (0xDEADBEEF, 43383), (0xFFFFFFFF, 32768), (0, 32768)]
)
def test_hashes_become_ports_as_in_linux(hash_value, port):
    assert source_port(hash_value) == port


@given(st.integers(0, 2**32 - 1), st.integers(1, 60000), st.integers(1, 5000))
def test_a_source_port_is_within_the_range_of_local_ports(hash_value, low, size):
    assert low <= source_port(hash_value, low, low + size) < low + size


def test_every_icmp_message_of_a_pair_of_addresses_is_one_flow_in_both_directions():
    request = ipv4_frame(1, A, B, b"\x08\0aaaaaa")
    assert flow_key(request) == flow_key(ipv4_frame(1, B, A, b"\0\0bbbbbb", ttl=3, tos=0xB8))
    assert flow_key(request) == flow_key(ipv4_frame(1, B, A, b"\x03\x03cccccc"))
    assert flow_key(request) != flow_key(ipv4_frame(1, A, bytes((10, 0, 1, 5))))


def test_udp_flows_differ_by_port_and_not_by_direction():
    assert flow_key(udp_frame(A, B, 20000, 9)) != flow_key(udp_frame(A, B, 20001, 9))
    assert flow_key(udp_frame(A, B, 20000, 9)) == flow_key(udp_frame(B, A, 9, 20000))
    assert flow_key(udp_frame(A, B, 9, 20000)) != flow_key(udp_frame(A, B, 20000, 9))


def test_tcp_connections_differ_and_so_do_their_directions():
    assert flow_key(tcp_frame(A, B, 39604, 80)) != flow_key(tcp_frame(A, B, 39620, 80))
    assert flow_key(tcp_frame(A, B, 39604, 80)) != flow_key(tcp_frame(B, A, 80, 39604))


def test_fragments_of_a_datagram_are_one_flow():
    first = ipv4_frame(17, A, B, b"\x4e\x20\0\x09" + bytes(12), more_fragments=True)
    last = ipv4_frame(17, A, B, b"other bytes.", fragment_offset=16)
    assert flow_key(first) == flow_key(last)


@given(macs, macs, st.binary(max_size=60))
def test_frames_of_other_protocols_are_one_flow_per_ethertype_whatever_their_addresses(destination, source, rest):
    assert flow_key(destination + source + b"\x88\xb5" + rest) == b"\x88\xb5"
    assert flow_key(destination + source + b"\x08\x06" + rest) == b"\x08\x06"


def test_ipv6_flows_go_by_ports_or_by_their_flow_label():
    def frame(label: int, port: int) -> bytes:
        head = (0x60000000 | label).to_bytes(4, "big") + b"\0\x08\x11\x40"
        return MAC_B + MAC_A + b"\x86\xdd" + head + bytes(15) + b"\1" + bytes(15) + b"\2" + port.to_bytes(2, "big") * 2

    assert flow_key(frame(0, 5)) != flow_key(frame(0, 6))
    assert flow_key(frame(7, 5)) == flow_key(frame(7, 6)) != flow_key(frame(8, 5))


@given(st.binary(max_size=80), st.sampled_from((b"", bytes(12) + b"\x08\x00", bytes(12) + b"\x86\xdd")))
def test_any_bytes_have_a_flow_key_and_a_hash(data, start):
    assert 1 <= flow_hash(flow_key(start + data), SECRET) <= 0xFFFFFFFF


def test_the_hash_depends_on_the_secret():
    assert flow_hash(b"flow", SECRET) != flow_hash(b"flow", b"another boot")


# -- ECN ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("inner", "outer"), [(0x00, 0), (0xB8, 0), (0xB9, 1), (0xBA, 2), (0xBB, 2), (0x03, 2)])
def test_dscp_stays_inside_and_ecn_is_copied_with_ce_as_ect0(inner, outer):
    assert outer_tos(inner) == outer


ECN_OUT_OF_THE_TUNNEL = [  # inner, outer, what comes out; None: dropped
    (0, 0, 0), (0, 1, 0), (0, 2, 0), (0, 3, None),
    (1, 0, 1), (1, 1, 1), (1, 2, 1), (1, 3, 3),
    (2, 0, 2), (2, 1, 1), (2, 2, 2), (2, 3, 3),
    (3, 0, 3), (3, 1, 3), (3, 2, 3), (3, 3, 3),
]  # fmt: skip


@pytest.mark.parametrize(("inner", "outer", "merged"), ECN_OUT_OF_THE_TUNNEL)
def test_ecn_comes_out_of_the_tunnel_as_rfc_6040_wants_it(inner, outer, merged):
    frame = ipv4_frame(1, A, B, tos=0xB8 | inner)
    result = merge_ecn(frame, outer)
    assert (None if result is None else traffic_class(result)) == (None if merged is None else 0xB8 | merged)
    if result is not None:
        assert verify_ipv4_header(result, 14, 20)
        assert result[:15] + result[16:24] + result[26:] == frame[:15] + frame[16:24] + frame[26:]


@pytest.mark.parametrize(("inner", "outer", "merged"), ECN_OUT_OF_THE_TUNNEL)
def test_ecn_of_ipv6_likewise(inner, outer, merged):
    word = 6 << 12 | (0xB8 | inner) << 4
    frame = MAC_B + MAC_A + b"\x86\xdd" + word.to_bytes(2, "big") + bytes(range(38))
    result = merge_ecn(frame, outer)
    assert (None if result is None else traffic_class(result)) == (None if merged is None else 0xB8 | merged)


@given(st.binary(max_size=60), bytes_8)
def test_ecn_of_arbitrary_bytes_never_raises(data, outer):
    result = merge_ecn(data, outer)
    assert result is None or len(result) == len(data)
    assert 0 <= traffic_class(data) <= 255


# -- whole frames ------------------------------------------------------------------------------------------------------


@given(
    macs,
    macs,
    addresses,
    addresses,
    words,
    words,
    payloads,
    vnis,
    bytes_8,
    bytes_8,
    st.booleans(),
    words,
    st.booleans(),
)
def test_a_tunnel_flow_stamps_what_scapy_builds(
    to_mac, from_mac, source, destination, from_port, to_port, inner, vni, ttl, tos, df, ip_id, sums
):
    template = VxlanFlowTemplate(
        to_mac, from_mac, source, destination, from_port, to_port, len(inner), build_vxlan_header(vni),
        ttl=ttl, tos=tos, dont_fragment=df,
    )  # fmt: skip
    udp = SCAPY.UDP(sport=from_port, dport=to_port)
    if not sums:
        udp.chksum = 0
    ip = scapy_ip(source, destination, 17, id=ip_id, ttl=ttl, tos=tos, flags=2 if df else 0)
    vxlan = VXLAN(flags=8, vni=vni, reserved1=0, reserved2=0) / SCAPY.Raw(inner)
    assert template.stamp(ip_id, inner, sums) == bytes(scapy_ether(to_mac, from_mac, 0x0800) / ip / udp / vxlan)


def test_a_whole_frame_byte_for_byte():
    echo = b"\x08\x00\x00\xeb\x00\x01\x00\x01" + bytes(range(56))
    inner = bytes.fromhex("02420a00010602420a0001030800") + build_ipv4_header(
        bytes((10, 0, 1, 3)), bytes((10, 0, 1, 6)), 1, len(echo), identification=0x1234, dont_fragment=True
    )
    template = VxlanFlowTemplate(
        bytes.fromhex("08002700000c"),
        bytes.fromhex("08002700000b"),
        bytes((192, 168, 56, 11)),
        bytes((192, 168, 56, 12)),
        source_port(0x12345678),
        4789,
        len(inner + echo),
        build_vxlan_header(4097),
    )
    frame = template.stamp(1, inner + echo)
    assert len(frame) == 148
    assert sha256(frame).hexdigest() == "df9a85978e4daadc73008708acf0af924e49feb1a522d78c5df0427b2bf9d7eb"
