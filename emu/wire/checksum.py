"""The internet checksum (RFC 1071), its pseudo header and its incremental update (RFC 1624).

The checksum is the complement of the one's complement sum of 16-bit words. Since 2**16 is 1 modulo 65535, that sum
is the whole data, read as one big number, modulo 65535: Python computes this far faster than any loop over words.
What makes it fast for long data is folding the number first: halves of it are added, which keeps its value modulo
65535 as long as the halves are cut at a multiple of 16 bits.

Sums here are "folded": 0 only if every byte is zero, otherwise 1 to 65535. The one's complement has two zeros, and
this keeps them apart exactly as adding with end-around carry would.
"""

from __future__ import annotations

_from_bytes = int.from_bytes
_MASK_1024 = (1 << 1024) - 1
_MASK_2048 = (1 << 2048) - 1
_MASK_4096 = (1 << 4096) - 1
_MASK_8192 = (1 << 8192) - 1


def checksum_sum(data: bytes) -> int:
    """Add up the 16-bit words of the data in one's complement, without the final complement.

    data: any length; an odd last byte counts as if a zero byte followed (RFC 1071).
    Returns 0 to 65535: 0 only if all bytes are zero. Sums of parts that begin at even offsets may simply be added.
    About 1 microsecond per 1000 bytes.
    """
    length = len(data)
    value = _from_bytes(data, "big")
    if length & 1:
        value <<= 8
    if length > 256:
        if length > 512:
            if 1024 < length <= 1536:  # the usual full frames: in three parts at once
                value = (value >> 8192) + (value >> 4096 & _MASK_4096) + (value & _MASK_4096)
            else:
                if length > 1024:
                    value = _fold_long(value, length)
                value = (value >> 4096) + (value & _MASK_4096)
        value = (value >> 2048) + (value & _MASK_2048)
        value = (value >> 1024) + (value & _MASK_1024)
    return value % 65535 or (65535 if value else 0)


def _fold_long(value: int, length: int) -> int:
    """Fold a number of more than 1024 bytes down to about 1024 bytes, in halves cut at powers of two."""
    if length > 2048:
        bits = 16384
        while bits < length * 4:
            bits *= 2
        while bits > 8192:
            value = (value >> bits) + (value & ((1 << bits) - 1))
            bits >>= 1
    return (value >> 8192) + (value & _MASK_8192)


def internet_checksum(data: bytes, initial: int = 0) -> int:
    """Compute the internet checksum of the data (RFC 1071), ready to be put in a header.

    data: the bytes to cover, with zeros where the checksum goes.
    initial: an uncomplemented sum to start from, such as `pseudo_header_sum(...)`; any integer from 0.
    Returns 0 to 65535. UDP sends 0 as 65535, because 0 means "no checksum" there: see `udp_checksum`.
    """
    total = checksum_sum(data) + initial
    return -total % 65535 if total else 0xFFFF


def pseudo_header_sum(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """Sum the pseudo header that UDP and TCP checksums cover (RFC 768, RFC 9293 section 3.1).

    source, destination: 4-byte IPv4 addresses. length: of the UDP or TCP header and data, in bytes.
    Returns an uncomplemented sum (not folded) for `internet_checksum(..., initial=...)`.
    """
    return _from_bytes(source, "big") % 65535 + _from_bytes(destination, "big") % 65535 + protocol + length


def udp_checksum(source: bytes, destination: bytes, segment: bytes) -> int:
    """Compute the checksum of a UDP header and its data, never 0 (RFC 768: a computed 0 is sent as 65535).

    segment: the UDP header with zeros as checksum, and the data.
    """
    total = checksum_sum(segment) + pseudo_header_sum(source, destination, 17, len(segment))
    return 65535 - total % 65535


def verify_internet_checksum(data: bytes, initial: int = 0) -> bool:
    """Tell whether data that contains its own checksum (an IPv4 header, an ICMP message) is intact.

    initial: the pseudo header's sum for UDP and TCP. Both zeros of one's complement pass, as in Linux;
    data of nothing but zeros doesn't.
    """
    total = checksum_sum(data) + initial
    return total % 65535 == 0 and total != 0


def verify_ipv4_header(data: bytes, offset: int, header_length: int) -> bool:
    """Tell whether the checksum of the IPv4 header at `offset` holds.

    header_length: in bytes, from 20 to 60.
    """
    return _from_bytes(data[offset : offset + header_length], "big") % 65535 == 0


def verify_udp(source: bytes, destination: bytes, segment: bytes) -> bool:
    """Tell whether a UDP header with its data is intact; a checksum field of 0 means the sender made none (RFC 768)."""
    if segment[6] == 0 and segment[7] == 0:
        return True
    return (checksum_sum(segment) + pseudo_header_sum(source, destination, 17, len(segment))) % 65535 == 0


def update_checksum(old_checksum: int, old_word: int, new_word: int) -> int:
    """Give the checksum after one 16-bit word of the data changed, without reading the rest (RFC 1624).

    Equation 3 of the RFC, HC' = ~(~HC + ~m + m'), written modulo 65535. It gives exactly what a full computation
    would, and so never the 0xffff that RFC 1141's equation gave where 0x0000 is right.
    Also right for a changed 32-bit value at an even offset, when both values are given whole.
    Limits: data that consists of nothing but zeros has the checksum 0xffff, which no incremental update can know.
    """
    return (old_checksum + old_word - new_word) % 65535


def update_checksum_bytes(old_checksum: int, old: bytes, new: bytes) -> int:
    """Give the checksum after a run of bytes at an even offset changed; both runs have the same even length."""
    return (old_checksum + _from_bytes(old, "big") - _from_bytes(new, "big")) % 65535


def update_udp_checksum(old_checksum: int, old: bytes, new: bytes) -> int:
    """Give the UDP checksum after a run of covered bytes at an even offset changed (addresses, ports).

    A checksum of 0 means the sender made none: it stays 0 (RFC 768, RFC 3022 section 4.1). A computed 0 becomes 65535.
    """
    if old_checksum == 0:
        return 0
    return (old_checksum + _from_bytes(old, "big") - _from_bytes(new, "big")) % 65535 or 0xFFFF
