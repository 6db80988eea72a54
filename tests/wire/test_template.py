"""Templates: whatever is stamped equals what Scapy builds for the same fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.kernel.errors import InvalidValue, NotSupported
from emu.wire.address import ipv4_to_text, mac_to_text
from emu.wire.flow import arp_template, echo_template
from emu.wire.template import Template
from tests.wire.strategies import SCAPY, addresses, bytes_8, macs, payloads, scapy_ether, scapy_ip, words

MAC_A, MAC_B = bytes.fromhex("0242ac110002"), bytes.fromhex("0242ac110003")
A, B = bytes.fromhex("ac110002"), bytes.fromhex("ac110003")


def udp_packet(payload: bytes = b"as compiled", **fields):
    ip_fields = {name: fields.pop(name) for name in ("tos", "id", "flags", "frag", "ttl") if name in fields}
    ether = scapy_ether(fields.pop("dmac", MAC_B), fields.pop("smac", MAC_A), 0x0800)
    ip = scapy_ip(fields.pop("src", A), fields.pop("dst", B), 17, **ip_fields)
    return ether / ip / SCAPY.UDP(**({"sport": 1000, "dport": 2000} | fields)) / SCAPY.Raw(payload)


UDP_FIELDS = {
    "dmac": (SCAPY.Ether, "dst"),
    "smac": (SCAPY.Ether, "src"),
    "tos": (SCAPY.IP, "tos"),
    "id": (SCAPY.IP, "id"),
    "flags": (SCAPY.IP, "flags"),
    "frag": (SCAPY.IP, "frag"),
    "ttl": (SCAPY.IP, "ttl"),
    "src": (SCAPY.IP, "src"),
    "dst": (SCAPY.IP, "dst"),
    "sport": (SCAPY.UDP, "sport"),
    "dport": (SCAPY.UDP, "dport"),
}
UDP_TEMPLATE = Template(udp_packet(), UDP_FIELDS)
udp_values = {
    "dmac": macs,
    "smac": macs,
    "tos": bytes_8,
    "id": words,
    "flags": st.integers(0, 7),
    "frag": st.integers(0, 0x1FFF),
    "ttl": bytes_8,
    "src": addresses,
    "dst": addresses,
    "sport": words,
    "dport": words,
}


@given(st.fixed_dictionaries({}, optional=udp_values), payloads)
def test_any_choice_of_fields_of_a_udp_packet_is_stamped_as_scapy_builds_it(values, payload):
    assert UDP_TEMPLATE.stamp(payload, **values) == bytes(udp_packet(payload, **values))


@given(st.fixed_dictionaries({}, optional=udp_values), st.fixed_dictionaries({}, optional=udp_values), payloads)
def test_binding_some_fields_and_stamping_the_others_is_the_same_as_stamping_all(bound, stamped, payload):
    stamped = {name: value for name, value in stamped.items() if name not in bound}
    template = UDP_TEMPLATE.bind(**bound)
    assert set(template.names) == set(UDP_FIELDS) - set(bound)
    assert template.stamp(payload, **stamped) == UDP_TEMPLATE.stamp(payload, **bound, **stamped)


def test_without_values_the_compiled_packet_comes_out():
    assert UDP_TEMPLATE.stamp() == bytes(udp_packet())


def test_a_template_is_never_changed_by_stamping_or_binding():
    before = UDP_TEMPLATE.stamp()
    UDP_TEMPLATE.stamp(b"other", ttl=1)
    UDP_TEMPLATE.bind(ttl=2).stamp(b"another", id=7)
    assert UDP_TEMPLATE.stamp() == before


@given(
    macs,
    macs,
    addresses,
    addresses,
    words,
    words,
    words,
    bytes_8,
    bytes_8,
    st.sampled_from((0, 2)),
    st.booleans(),
    payloads,
)
def test_echo_frames_equal_scapys(
    dmac, smac, source, destination, ip_id, identifier, sequence, ttl, tos, flags, reply, data
):
    kind = 0 if reply else 8
    stamped = echo_template().stamp(
        data,
        destination_mac=dmac,
        source_mac=smac,
        source=source,
        destination=destination,
        ip_id=ip_id,
        identifier=identifier,
        sequence=sequence,
        ttl=ttl,
        tos=tos,
        flags=flags,
        kind=kind,
    )
    ip = scapy_ip(source, destination, 1, id=ip_id, ttl=ttl, tos=tos, flags=flags)
    packet = scapy_ether(dmac, smac, 0x0800) / ip / SCAPY.ICMP(type=kind, code=0, id=identifier, seq=sequence)
    assert stamped == bytes(packet / SCAPY.Raw(data))


@given(macs, macs, st.integers(1, 2), macs, addresses, macs, addresses)
def test_arp_frames_equal_scapys(dmac, smac, operation, sender_mac, sender, target_mac, target):
    stamped = arp_template().stamp(
        destination_mac=dmac,
        source_mac=smac,
        operation=operation,
        sender_mac=sender_mac,
        sender_address=sender,
        target_mac=target_mac,
        target_address=target,
    )
    message = SCAPY.ARP(
        op=operation,
        hwsrc=mac_to_text(sender_mac),
        psrc=ipv4_to_text(sender),
        hwdst=mac_to_text(target_mac),
        pdst=ipv4_to_text(target),
    )
    assert stamped == bytes(scapy_ether(dmac, smac, 0x0806) / message)


def test_checksums_that_come_out_as_zero_are_sent_as_scapy_sends_them():
    template = Template(udp_packet(bytes(2)), {"sport": (SCAPY.UDP, "sport"), "id": (SCAPY.IP, "id")})
    sums = set()
    for number in range(0x10000):
        frame = template.stamp(sport=number, id=number)
        if frame[24:26] in (b"\0\0", b"\xff\xff") or frame[40:42] in (b"\0\0", b"\xff\xff"):
            sums.add((frame[24:26], frame[40:42]))
            assert frame == bytes(udp_packet(bytes(2), sport=number, id=number))
    assert any(ip_sum == b"\0\0" for ip_sum, _ in sums)
    assert any(udp_sum == b"\xff\xff" for _, udp_sum in sums)


def test_an_echo_reply_of_nothing_but_zeros_has_the_checksum_ffff():
    frame = echo_template().stamp(bytes(8), kind=0, identifier=0, sequence=0)
    assert frame[36:38] == b"\xff\xff"


def test_lengths_and_checksums_that_the_packet_sets_stay_as_they_are():
    packet = udp_packet(len=77, chksum=0)
    packet[SCAPY.IP].chksum = 0x1234
    template = Template(packet, {"sum": (SCAPY.UDP, "chksum"), "ttl": (SCAPY.IP, "ttl")})
    expected = udp_packet(b"longer than before", len=77, chksum=0xABCD, ttl=3)
    expected[SCAPY.IP].chksum = 0x1234
    assert template.stamp(b"longer than before", sum=0xABCD, ttl=3) == bytes(expected)


@given(payloads, words, words, bytes_8)
def test_encapsulated_packets_get_the_lengths_and_checksums_of_both_levels(payload, inner_port, outer_port, ttl):
    def packet(payload, inner_port=1, outer_port=2, ttl=64):
        outer = scapy_ip(A, B, 17) / SCAPY.UDP(sport=outer_port, dport=5000)
        inner = udp_packet(payload, sport=inner_port, ttl=ttl)
        return scapy_ether(MAC_B, MAC_A, 0x0800) / outer / inner

    vary = {"outer_port": (SCAPY.UDP, "sport"), "inner_port": (SCAPY.UDP, "sport", 2), "ttl": (SCAPY.IP, "ttl", 2)}
    template = Template(packet(b"x"), vary)
    stamped = template.stamp(payload, inner_port=inner_port, outer_port=outer_port, ttl=ttl)
    assert stamped == bytes(packet(payload, inner_port, outer_port, ttl))


def test_headers_with_options_are_compiled_too():
    packet = (
        scapy_ether(MAC_B, MAC_A, 0x0800) / scapy_ip(A, B, 1, b"\x94\x04\x00\x00") / SCAPY.ICMP(type=8, id=1, seq=1)
    )
    template = Template(packet, {"seq": (SCAPY.ICMP, "seq")})
    packet[SCAPY.ICMP].seq = 9
    assert template.stamp(b"abc", seq=9) == bytes(packet / SCAPY.Raw(b"abc"))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Template("text"), InvalidValue, "expected a Scapy packet such as Ether()/IP()/UDP(), got str"),
        (lambda: Template(SCAPY.Ether(type=0x88B5)), InvalidValue, "Ether.dst is not set"),
        (lambda: Template(SCAPY.IP(dst="10.0.0.1") / SCAPY.UDP()), InvalidValue, "IP.src is not set"),
        (lambda: Template(udp_packet(), {"x": (SCAPY.ARP, "op")}), InvalidValue, "has no field ARP.op"),
        (lambda: Template(udp_packet(), {"x": (SCAPY.IP, "hops")}), InvalidValue, "has no field IP.hops"),
        (lambda: Template(udp_packet(), {"x": (SCAPY.IP, "len")}), InvalidValue, "'x' is computed at every stamp"),
        (lambda: Template(udp_packet(), {"x": (SCAPY.IP, "options")}), NotSupported, "IP.options can't vary"),
        (lambda: Template(udp_packet() / SCAPY.TCP()), NotSupported, "checksum of TCP"),
        (lambda: UDP_TEMPLATE.stamp(hops=1), InvalidValue, "no varying field 'hops': it has dmac, smac"),
        (lambda: UDP_TEMPLATE.stamp(ttl=256), InvalidValue, "ttl=256 does not fit its field of 8 bits"),
        (lambda: UDP_TEMPLATE.stamp(ttl=-1), InvalidValue, "ttl=-1 does not fit"),
        (lambda: UDP_TEMPLATE.stamp(src=b"abc"), InvalidValue, "does not fit its field of 32 bits"),
        (lambda: UDP_TEMPLATE.stamp(bytes(65508)), InvalidValue, "a payload of 65508 bytes is too long"),
        (lambda: UDP_TEMPLATE.bind(ttl=1).stamp(ttl=2), InvalidValue, "no varying field 'ttl'"),
    ],
)
def test_what_cannot_be_compiled_or_stamped_is_refused_by_name(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value)
