"""DHCP messages in Ethernet frames, for programs that send and receive past the IP stack."""

from __future__ import annotations

from typing import NamedTuple

from emu.wire.address import ZERO_MAC
from emu.wire.arp import build_arp_request, parse_arp
from emu.wire.dhcp import DhcpMessage, build_dhcp, parse_dhcp
from emu.wire.drop import DropReason
from emu.wire.ethernet import ETHERTYPE_ARP, ETHERTYPE_IPV4
from emu.wire.ipv4 import PROTOCOL_UDP, build_ipv4_header, parse_ipv4
from emu.wire.udp import build_udp, parse_udp

_IPV4 = ETHERTYPE_IPV4.to_bytes(2, "big")
_ARP = ETHERTYPE_ARP.to_bytes(2, "big")


class Received(NamedTuple):
    """A message with the MAC and address it came from."""

    message: DhcpMessage
    mac: bytes
    address: bytes


def is_udp_to(data: bytes, port: int) -> bool:
    """Tell whether a frame holds a whole UDP datagram to a port (a packet socket's filter)."""
    if data[12:14] != _IPV4 or len(data) < 42 or data[23] != PROTOCOL_UDP or data[20] & 0x3F or data[21]:
        return False
    start = 14 + (data[14] & 15) * 4
    return len(data) >= start + 8 and data[start + 2] << 8 | data[start + 3] == port


def read_frame(data: bytes) -> Received | DropReason:
    """Read the DHCP message in a frame that `is_udp_to` was true of; a DropReason when anything is wrong with it."""
    packet = parse_ipv4(data)
    if packet is None:
        return DropReason.MALFORMED
    if not packet.checksum_is_valid:
        return DropReason.IP_CHECKSUM
    datagram = parse_udp(data, packet.payload_offset, packet.end)
    if datagram is None:
        return DropReason.MALFORMED
    if not datagram.checksum_is_valid(packet.source, packet.destination):
        return DropReason.UDP_CHECKSUM
    message = parse_dhcp(datagram.payload)
    return message if isinstance(message, DropReason) else Received(message, data[6:12], packet.source)


def build_frame(
    message: DhcpMessage, macs: tuple[bytes, bytes], addresses: tuple[bytes, bytes], ports: tuple[int, int]
) -> bytes:
    """Build a frame with a message; macs, addresses, ports: (source, destination)."""
    segment = build_udp(*addresses, *ports, build_dhcp(message))
    header = build_ipv4_header(*addresses, PROTOCOL_UDP, len(segment))
    return macs[1] + macs[0] + _IPV4 + header + segment


def build_probe(mac: bytes, address: bytes) -> bytes:
    """Build an ARP probe for an address (RFC 5227 section 2.1.1)."""
    return build_arp_request(mac, bytes(4), address, target_mac=ZERO_MAC)


def claims_address(data: bytes, address: bytes, own_mac: bytes) -> bool:
    """Tell whether a frame is an ARP message by which somebody else shows that the address is in use or wanted.

    Another host's probe for the same address counts, too (RFC 5227 section 2.1.1).
    """
    if data[12:14] != _ARP or (data[28:32] != address and data[38:42] != address):
        return False  # most of what a crowded segment says
    arp = parse_arp(data)
    if arp is None or arp.sender_mac == own_mac:
        return False
    return arp.sender_address == address or (arp.is_probe and arp.target_address == address)
