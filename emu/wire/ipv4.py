"""IPv4 headers (RFC 791; the DS field of RFC 2474 and ECN of RFC 3168 are the `tos` byte).

Options are carried, not interpreted. Fragment offsets are in bytes here (multiples of 8), unlike on the wire.
"""

from __future__ import annotations

from struct import Struct

PROTOCOL_ICMP = 1
PROTOCOL_TCP = 6
PROTOCOL_UDP = 17

FLAG_MORE_FRAGMENTS = 0x2000
FLAG_DONT_FRAGMENT = 0x4000
FRAGMENT_MASK = 0x3FFF
"""MF flag and fragment offset: any of these bits set means the packet is a fragment."""
OFFSET_MASK = 0x1FFF

_header = Struct("!BBHHHBBH4s4s")
_pack = _header.pack
_unpack_from = Struct("!BBH").unpack_from
_from_bytes = int.from_bytes


class Ipv4View:
    """Reads an IPv4 packet whose lengths `parse_ipv4` found to agree.

    data: the frame or packet. offset: where the IPv4 header starts. header_length, total_length: in bytes.
    end: the offset in `data` just after the packet; what follows in a frame is padding.
    """

    __slots__ = ("data", "end", "header_length", "offset", "total_length")

    def __init__(self, data: bytes, offset: int, header_length: int, total_length: int) -> None:
        self.data = data
        self.offset = offset
        self.header_length = header_length
        self.total_length = total_length
        self.end = offset + total_length

    @property
    def tos(self) -> int:
        """The type of service byte: DSCP in the upper six bits, ECN in the lower two."""
        return self.data[self.offset + 1]

    @property
    def identification(self) -> int:
        """The identification that fragments of one packet share."""
        return self.data[self.offset + 4] << 8 | self.data[self.offset + 5]

    @property
    def fragment_word(self) -> int:
        """Flags and fragment offset as they are on the wire: `word & FRAGMENT_MASK` is 0 for whole packets."""
        return self.data[self.offset + 6] << 8 | self.data[self.offset + 7]

    @property
    def dont_fragment(self) -> bool:
        """The DF flag."""
        return bool(self.data[self.offset + 6] & 0x40)

    @property
    def more_fragments(self) -> bool:
        """The MF flag."""
        return bool(self.data[self.offset + 6] & 0x20)

    @property
    def fragment_offset(self) -> int:
        """Where this fragment's data belongs in the whole packet's data, in bytes."""
        return (self.fragment_word & OFFSET_MASK) << 3

    @property
    def is_fragment(self) -> bool:
        """True for any fragment: the first one (MF, offset 0), a middle one or the last one."""
        return bool(self.fragment_word & FRAGMENT_MASK)

    @property
    def ttl(self) -> int:
        """Time to live, in hops."""
        return self.data[self.offset + 8]

    @property
    def protocol(self) -> int:
        """What the payload is: one of the PROTOCOL_ constants or another IANA number."""
        return self.data[self.offset + 9]

    @property
    def checksum(self) -> int:
        """The header checksum as it was received."""
        return self.data[self.offset + 10] << 8 | self.data[self.offset + 11]

    @property
    def checksum_is_valid(self) -> bool:
        """True if the header checksum holds."""
        return _from_bytes(self.header, "big") % 65535 == 0

    @property
    def source(self) -> bytes:
        """The source address, 4 bytes."""
        return self.data[self.offset + 12 : self.offset + 16]

    @property
    def destination(self) -> bytes:
        """The destination address, 4 bytes."""
        return self.data[self.offset + 16 : self.offset + 20]

    @property
    def options(self) -> bytes:
        """The option bytes with their padding; empty for a 20-byte header."""
        return self.data[self.offset + 20 : self.offset + self.header_length]

    @property
    def payload_offset(self) -> int:
        """The offset in `data` of what the packet carries."""
        return self.offset + self.header_length

    @property
    def payload_length(self) -> int:
        """The length in bytes of what the packet carries."""
        return self.total_length - self.header_length

    @property
    def header(self) -> bytes:
        """The header with its options."""
        return self.data[self.offset : self.offset + self.header_length]

    @property
    def payload(self) -> bytes:
        """What the packet carries, without padding."""
        return self.data[self.offset + self.header_length : self.end]

    @property
    def packet(self) -> bytes:
        """Header and payload, without padding."""
        return self.data[self.offset : self.end]


def parse_ipv4(data: bytes, offset: int = 14) -> Ipv4View | None:
    """Give a view of the IPv4 packet at `offset`, or None if Linux would call its header or lengths wrong.

    That is: version not 4, header length under 20, total length shorter than the header, or fewer bytes than the
    header says (ip_rcv in the kernel). The checksum is not looked at: see `Ipv4View.checksum_is_valid`.
    """
    available = len(data) - offset
    if available < 20:
        return None
    version_and_length, _, total_length = _unpack_from(data, offset)
    header_length = (version_and_length & 0x0F) << 2
    if version_and_length >> 4 != 4 or header_length < 20:
        return None
    if total_length < header_length or total_length > available:
        return None
    return Ipv4View(data, offset, header_length, total_length)


def parse_quoted_ipv4(data: bytes, offset: int = 0) -> Ipv4View | None:
    """Give a view of an IPv4 packet quoted in an ICMP error, whose payload may be cut off (RFC 792, RFC 1812 4.3.2.3).

    Returns None if not even the header is whole. `total_length` is what the header says; `payload` is what is there.
    """
    available = len(data) - offset
    if available < 20:
        return None
    version_and_length, _, total_length = _unpack_from(data, offset)
    header_length = (version_and_length & 0x0F) << 2
    if version_and_length >> 4 != 4 or header_length < 20:
        return None
    if header_length > available or total_length < header_length:
        return None
    return Ipv4View(data, offset, header_length, total_length)


def build_ipv4_header(
    source: bytes,
    destination: bytes,
    protocol: int,
    payload_length: int,
    *,
    identification: int = 0,
    ttl: int = 64,
    tos: int = 0,
    dont_fragment: bool = False,
    more_fragments: bool = False,
    fragment_offset: int = 0,
    options: bytes = b"",
) -> bytes:
    """Build an IPv4 header with its checksum.

    source, destination: 4 bytes each. payload_length: in bytes, at most 65535 together with the header.
    fragment_offset: in bytes, a multiple of 8. options: already padded to a multiple of 4 bytes, at most 40.
    """
    assert fragment_offset & 7 == 0, fragment_offset
    assert len(options) & 3 == 0, options
    header_length = 20 + len(options)
    total_length = header_length + payload_length
    fragment_word = fragment_offset >> 3
    if dont_fragment:
        fragment_word |= FLAG_DONT_FRAGMENT
    if more_fragments:
        fragment_word |= FLAG_MORE_FRAGMENTS
    first = 0x40 | header_length >> 2
    total = (first << 8) + tos + total_length + identification + fragment_word + (ttl << 8) + protocol
    total += _from_bytes(source, "big") + _from_bytes(destination, "big") + _from_bytes(options, "big")
    header = _pack(
        first,
        tos,
        total_length,
        identification,
        fragment_word,
        ttl,
        protocol,
        -total % 65535,
        source,
        destination,
    )
    return header + options if options else header
