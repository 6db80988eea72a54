"""ARP for IPv4 over Ethernet (RFC 826), with the announcements and probes of RFC 5227."""

from __future__ import annotations

from struct import Struct

from emu.wire.address import ANY_IPV4, BROADCAST_MAC, ZERO_MAC

LENGTH = 28
OPERATION_REQUEST = 1
OPERATION_REPLY = 2

_FIXED = b"\x00\x01\x08\x00\x06\x04"
"""Hardware type Ethernet, protocol type IPv4, address lengths 6 and 4."""

_FRAME_FIXED = b"\x08\x06" + _FIXED
_pack_message = Struct("!6sH6s4s6s4s").pack
_pack_frame = Struct("!6s6s8sH6s4s6s4s").pack


class ArpView:
    """Reads an ARP message for IPv4 over Ethernet that `parse_arp` found complete."""

    __slots__ = ("data", "offset")

    def __init__(self, data: bytes, offset: int) -> None:
        self.data = data
        self.offset = offset

    @property
    def operation(self) -> int:
        """1 for a request, 2 for a reply."""
        offset = self.offset
        return self.data[offset + 6] << 8 | self.data[offset + 7]

    @property
    def sender_mac(self) -> bytes:
        """The sender's MAC address, 6 bytes."""
        return self.data[self.offset + 8 : self.offset + 14]

    @property
    def sender_address(self) -> bytes:
        """The sender's IPv4 address, 4 bytes; zero in a probe (RFC 5227)."""
        return self.data[self.offset + 14 : self.offset + 18]

    @property
    def target_mac(self) -> bytes:
        """The target's MAC address, 6 bytes; meaningless in requests."""
        return self.data[self.offset + 18 : self.offset + 24]

    @property
    def target_address(self) -> bytes:
        """The target's IPv4 address, 4 bytes."""
        return self.data[self.offset + 24 : self.offset + 28]

    @property
    def is_gratuitous(self) -> bool:
        """True if the sender speaks about its own address: an announcement (RFC 5227 section 3)."""
        return self.sender_address == self.target_address

    @property
    def is_probe(self) -> bool:
        """True for a request without a sender address (RFC 5227 section 1.1)."""
        return self.operation == OPERATION_REQUEST and self.sender_address == ANY_IPV4


def parse_arp(data: bytes, offset: int = 14) -> ArpView | None:
    """Give a view of the ARP message at `offset`, or None if it is cut off or not about IPv4 over Ethernet."""
    if len(data) < offset + LENGTH or data[offset : offset + 6] != _FIXED:
        return None
    return ArpView(data, offset)


def build_arp(
    operation: int, sender_mac: bytes, sender_address: bytes, target_mac: bytes, target_address: bytes
) -> bytes:
    """Build the 28-byte ARP message, without the Ethernet header."""
    return _pack_message(_FIXED, operation, sender_mac, sender_address, target_mac, target_address)


def build_arp_request(
    sender_mac: bytes,
    sender_address: bytes,
    target_address: bytes,
    destination_mac: bytes = BROADCAST_MAC,
    target_mac: bytes = ZERO_MAC,
) -> bytes:
    """Build a whole frame (42 bytes) that asks who has `target_address`.

    destination_mac: broadcast, or the neighbour's address for a unicast probe (RFC 1122 section 2.3.2.1).
    """
    return _pack_frame(
        destination_mac,
        sender_mac,
        _FRAME_FIXED,
        OPERATION_REQUEST,
        sender_mac,
        sender_address,
        target_mac,
        target_address,
    )


def build_arp_reply(sender_mac: bytes, sender_address: bytes, target_mac: bytes, target_address: bytes) -> bytes:
    """Build a whole frame (42 bytes) that tells the target, by unicast, where `sender_address` is."""
    return _pack_frame(
        target_mac,
        sender_mac,
        _FRAME_FIXED,
        OPERATION_REPLY,
        sender_mac,
        sender_address,
        target_mac,
        target_address,
    )


def build_arp_announcement(sender_mac: bytes, address: bytes, target_mac: bytes = ZERO_MAC) -> bytes:
    """Build the broadcast request (42 bytes) that announces an address: sender and target address are the same.

    target_mac: zero as RFC 5227 section 3 wants it; Linux's arping and the kernel put the broadcast or own address.
    """
    return build_arp_request(sender_mac, address, address, BROADCAST_MAC, target_mac)
