"""Ethernet II headers (IEEE 802.3 clause 3, RFC 894): destination, source, EtherType.

The frame check sequence is no part of a frame here, as in captures made on Linux.
"""

from __future__ import annotations

from struct import Struct

HEADER_LENGTH = 14

SOURCE = slice(6, 12)
ADDRESSES = slice(0, 12)

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
ETHERTYPE_VLAN = 0x8100
ETHERTYPE_IPV6 = 0x86DD
MINIMUM_ETHERTYPE = 0x0600
"""Smaller values in the EtherType field are the length of an IEEE 802.3 frame with an LLC header."""


_pack = Struct("!6s6sH").pack


class EthernetView:
    """Reads the Ethernet header of a frame that `parse_ethernet` found long enough."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def destination(self) -> bytes:
        """The destination MAC address, 6 bytes."""
        return self.data[0:6]

    @property
    def source(self) -> bytes:
        """The source MAC address, 6 bytes."""
        return self.data[6:12]

    @property
    def ethertype(self) -> int:
        """The EtherType; below 0x600 it is an IEEE 802.3 length."""
        return self.data[12] << 8 | self.data[13]

    @property
    def payload(self) -> bytes:
        """Everything after the header, padding included."""
        return self.data[14:]


def parse_ethernet(data: bytes) -> EthernetView | None:
    """Give a view of a frame's Ethernet header, or None if the frame is shorter than 14 bytes."""
    return EthernetView(data) if len(data) >= HEADER_LENGTH else None


def build_ethernet_header(destination: bytes, source: bytes, ethertype: int) -> bytes:
    """Build the 14-byte header; addresses are 6 bytes each."""
    assert len(destination) == len(source) == 6, (destination, source)
    return _pack(destination, source, ethertype)
