"""Frames for tests of captures: real ones, built by Scapy, so that tshark has something to dissect."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from emu.capture import InterfaceInfo
from emu.wire.frame import Frame

MAC_WEB = "02:42:ac:12:00:02"
MAC_DB = "02:42:ac:12:00:03"
IP_WEB = "172.18.0.2"
IP_DB = "172.18.0.3"

WEB = InterfaceInfo(
    name="web1:eth0",
    description="container web1, network shop",
    mac=bytes.fromhex(MAC_WEB.replace(":", "")),
    mtu=1500,
    speed_bps=10_000_000_000,
    hardware="veth",
)
DB = InterfaceInfo(
    name="db:eth0",
    description="container db",
    mac=bytes.fromhex(MAC_DB.replace(":", "")),
    mtu=1500,
    hardware="veth",
)


def arp_request() -> bytes:
    return bytes(
        Ether(src=MAC_WEB, dst="ff:ff:ff:ff:ff:ff")
        / ARP(op=1, hwsrc=MAC_WEB, psrc=IP_WEB, hwdst="00:00:00:00:00:00", pdst=IP_DB)
    )


def echo(sequence: int = 1, *, reply: bool = False, size: int = 56) -> bytes:
    source, target = ((MAC_DB, IP_DB), (MAC_WEB, IP_WEB)) if reply else ((MAC_WEB, IP_WEB), (MAC_DB, IP_DB))
    return bytes(
        Ether(src=source[0], dst=target[0])
        / IP(src=source[1], dst=target[1], id=sequence, ttl=64)
        / ICMP(type=0 if reply else 8, id=7, seq=sequence)
        / Raw(bytes(i & 0xFF for i in range(size)))
    )


def port_unreachable() -> bytes:
    quoted = IP(src=IP_WEB, dst=IP_DB, id=1, ttl=64) / UDP(sport=40000, dport=9) / Raw(b"hello")
    return bytes(
        Ether(src=MAC_DB, dst=MAC_WEB)
        / IP(src=IP_DB, dst=IP_WEB, id=1, ttl=64)
        / ICMP(type=3, code=3)
        / Raw(bytes(quoted))
    )


def vxlan(inner: bytes, vni: int = 4097) -> bytes:
    outer: Packet = (
        Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
        / IP(src="198.18.0.1", dst="198.18.0.2", id=1, ttl=64)
        / UDP(sport=50000, dport=4789, chksum=0)
        / VXLAN(vni=vni, flags="Instance")
        / Raw(inner)
    )
    return bytes(outer)


def frame(data: bytes, packet_id: int = 1) -> Frame:
    return Frame(data, packet_id)
