"""Scapy packets in and out, and nothing of Scapy where it isn't needed."""

import subprocess
import sys

import pytest

from emu.kernel.errors import InvalidValue
from emu.wire import scapy_bridge
from tests.wire.strategies import SCAPY, scapy_ether, scapy_ip

A, B = bytes.fromhex("ac110002"), bytes.fromhex("ac110003")


def frame():
    ip = scapy_ip(A, B, 1, id=7)
    return scapy_ether(b"\2" * 6, b"\4" * 6, 0x0800) / ip / SCAPY.ICMP(type=8, id=1, seq=2) / SCAPY.Raw(b"hello")


def test_a_packet_survives_bytes_and_back():
    data = scapy_bridge.packet_to_bytes(frame())
    again = scapy_bridge.packet_from_bytes(data)
    assert again[SCAPY.ICMP].seq == 2
    assert again[SCAPY.Raw].load == b"hello"
    assert scapy_bridge.packet_to_bytes(again) == data


def test_fields_that_scapy_would_take_from_this_machine_are_listed():
    packet = SCAPY.Ether() / SCAPY.IP(dst="10.0.0.1") / SCAPY.UDP(sport=1, dport=2)
    assert scapy_bridge.open_fields(packet) == ["Ether.dst", "Ether.src", "IP.src"]
    assert scapy_bridge.open_fields(SCAPY.ARP(pdst="10.0.0.1")) == ["ARP.hwsrc", "ARP.psrc"]
    assert scapy_bridge.open_fields(SCAPY.ICMP(type=13)) == ["ICMP.ts_ori", "ICMP.ts_rx", "ICMP.ts_tx"]
    assert scapy_bridge.open_fields(frame()) == []


def test_random_values_are_refused_like_unset_ones():
    from scapy.volatile import RandShort

    packet = frame()
    packet[SCAPY.IP].id = RandShort()
    with pytest.raises(InvalidValue, match=r"IP\.id is not set: .* at random; give it a value"):
        scapy_bridge.packet_to_bytes(packet)


def test_layouts_say_where_headers_lie_and_what_is_left_to_compute():
    found = scapy_bridge.layouts(frame())
    assert [(layout.name, layout.offset, layout.header_length) for layout in found] == [
        ("Ether", 0, 14),
        ("IP", 14, 20),
        ("ICMP", 34, 8),
    ]
    assert found[1].automatic == {"ihl", "len", "chksum"}


def test_fields_are_found_by_their_bits():
    position = scapy_bridge.field_position(frame(), SCAPY.IP, "flags")
    assert position == ((14 + 6) * 8, 3)
    assert scapy_bridge.field_position(frame(), SCAPY.IP, "frag") == ((14 + 6) * 8 + 3, 13)
    assert scapy_bridge.field_position(frame(), SCAPY.Ether, "src") == (48, 48)


def test_finding_a_field_leaves_the_packet_as_it_was():
    packet = frame()
    before = packet.command()
    scapy_bridge.field_position(packet, SCAPY.IP, "ttl")
    assert packet.command() == before


def test_the_hot_modules_do_not_import_scapy_and_nothing_imports_all_of_it():
    script = (
        "import sys, emu.wire.flow, emu.wire.template, emu.wire.render\n"
        "assert not any(name.startswith('scapy') for name in sys.modules)\n"
        "from emu.wire.flow import arp_template; arp_template()\n"
        "assert 'scapy.all' not in sys.modules and 'scapy.layers.dns' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
