"""What a VXLAN device says in the name of others: ARP replies, and "fragmentation needed"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.wire.address import is_loopback_ipv4, is_multicast_ipv4
from emu.wire.arp import build_arp_reply
from emu.wire.checksum import internet_checksum
from emu.wire.drop import DropReason
from emu.wire.ipv4 import PROTOCOL_ICMP, build_ipv4_header

if TYPE_CHECKING:
    from emu.device.vxlan import VxlanDevice
    from emu.wire.frame import Frame

_ARP_REQUEST_FIXED = b"\x00\x01\x08\x00\x06\x04\x00\x01"  # Ethernet, IPv4, lengths 6 and 4, request
_ARP_FRAME_LENGTH = 42
_LIMITED_BROADCAST = b"\xff\xff\xff\xff"
_ICMP_ERROR_TYPES = (3, 4, 5, 11, 12)

QUOTE_LIMIT = 576
"""The longest "fragmentation needed", and the smallest limit that one is sent for."""


def arp_reduce(device: VxlanDevice, frame: Frame) -> None:
    """Take an ARP frame that is about to leave through a device with `proxy`; it never goes any further (FACT 61).

    A request for an address with a confirmed neighbour entry is answered with that entry's MAC address; the answer
    arrives on the device. Anything else is swallowed.
    """
    data = frame.data
    if len(data) >= _ARP_FRAME_LENGTH and data[14:22] == _ARP_REQUEST_FIXED:
        target = data[38:42]
        if not is_loopback_ipv4(target) and not is_multicast_ipv4(target):
            mac = None if device.neighbour_lookup is None else device.neighbour_lookup(target)
            if mac:
                device.fdb.touch(mac)
                device.answer(build_arp_reply(mac, target, data[22:28], data[28:32]), frame.packet_id, False)
                return
            if mac is None and device.l3miss:
                device.l3_misses += 1
    device.drop(frame, DropReason.VXLAN_ARP_CONSUMED)


def fragmentation_needed(data: bytes, limit: int) -> bytes | None:
    """Answer an IPv4 packet that is too long for the tunnel as if its destination had sent the answer (FACT 66).

    data: the inner frame. limit: the longest inner packet, bytes. Returns the frame of an ICMP 3/4 with at most 576
    bytes of IP: Ethernet and IP addresses swapped, TOS 0, identification 0, DF, the packet's own TTL. None when there
    is nothing to answer: the packet may be fragmented, is a fragment, is an ICMP error, has an address that cannot be
    answered, or the limit is below 576.
    """
    if limit < QUOTE_LIMIT or len(data) < 34 or data[12:14] != b"\x08\x00" or data[20:22] != b"\x40\x00":
        return None
    source, destination = data[26:30], data[30:34]
    if destination == _LIMITED_BROADCAST or is_multicast_ipv4(destination) or not _can_be_told(source):
        return None
    start = 14 + (data[14] & 15) * 4
    if data[23] == PROTOCOL_ICMP and (len(data) <= start or data[start] in _ICMP_ERROR_TYPES):
        return None
    quote = data[14 : 14 + QUOTE_LIMIT - 28]
    message = b"\x03\x04\x00\x00\x00\x00" + limit.to_bytes(2, "big") + quote
    message = message[:2] + internet_checksum(message).to_bytes(2, "big") + message[4:]
    header = build_ipv4_header(
        destination, source, PROTOCOL_ICMP, len(message), identification=0, ttl=data[22], tos=0, dont_fragment=True
    )
    return data[6:12] + data[:6] + b"\x08\x00" + header + message


def _can_be_told(source: bytes) -> bool:
    return source[0] != 0 and not is_loopback_ipv4(source) and source[0] < 224 and source != _LIMITED_BROADCAST
