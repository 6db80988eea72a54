"""Explicit congestion notification (RFC 3168): the two bits of the IP header that a congested queue may set.

They are the lower two of the type of service byte of IPv4 and of the traffic class of IPv6, read and written here in
whole Ethernet frames, in the outermost IP header.
"""

from __future__ import annotations

from emu.wire.checksum import update_checksum

ECN_MASK = 3
ECN_NOT_ECT = 0
ECN_ECT_1 = 1
ECN_ECT_0 = 2
ECN_CE = 3

_IPV4 = b"\x08\x00"
_IPV6 = b"\x86\xdd"
_IPV4_MINIMUM = 14 + 20
_IPV6_MINIMUM = 14 + 40


def traffic_class(data: bytes) -> int:
    """Return the TOS byte of an IPv4 frame, the traffic class of an IPv6 frame, and 0 for anything else."""
    if len(data) < 16:
        return 0
    ethertype = data[12:14]
    if ethertype == _IPV4:
        return data[15]
    if ethertype == _IPV6:
        return (data[14] & 15) << 4 | data[15] >> 4
    return 0


def set_ecn(data: bytes, ecn: int) -> bytes:
    """Return a copy of an IP frame with other ECN bits; the IPv4 header's checksum is updated with them (RFC 1624).

    data: a frame with a whole IPv4 or IPv6 header. A wrong checksum stays wrong.
    """
    if data[12:14] == _IPV6:
        return data[:15] + bytes((data[15] & 0xCF | ecn << 4,)) + data[16:]
    old_word = data[14] << 8 | data[15]
    new_word = old_word & ~ECN_MASK | ecn
    checksum = update_checksum(data[24] << 8 | data[25], old_word, new_word)
    return data[:15] + bytes((new_word & 0xFF,)) + data[16:24] + checksum.to_bytes(2, "big") + data[26:]


def mark_congestion(data: bytes) -> bytes | None:
    """Set "congestion experienced" in a frame; None when its sender does not support ECN, so it can only be dropped.

    That is every frame that is not IP, and every IP packet that is not ECT(0), ECT(1) or CE already (RFC 3168
    section 5).
    """
    if len(data) < (_IPV6_MINIMUM if data[12:14] == _IPV6 else _IPV4_MINIMUM):
        return None
    ecn = traffic_class(data) & ECN_MASK
    if ecn == ECN_NOT_ECT:
        return None
    return data if ecn == ECN_CE else set_ecn(data, ECN_CE)
