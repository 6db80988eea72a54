"""UDP headers (RFC 768)."""

from __future__ import annotations

from struct import Struct

from emu.wire.checksum import checksum_sum, pseudo_header_sum, verify_udp

HEADER_LENGTH = 8

_pack = Struct("!HHHH").pack
_unpack_from = Struct("!HH").unpack_from


class UdpView:
    """Reads a UDP datagram whose length `parse_udp` found right.

    data: the frame or packet. offset: where the UDP header starts. length: of header and data, in bytes.
    """

    __slots__ = ("data", "length", "offset")

    def __init__(self, data: bytes, offset: int, length: int) -> None:
        self.data = data
        self.offset = offset
        self.length = length

    @property
    def source_port(self) -> int:
        """The sender's port."""
        return self.data[self.offset] << 8 | self.data[self.offset + 1]

    @property
    def destination_port(self) -> int:
        """The receiver's port."""
        return self.data[self.offset + 2] << 8 | self.data[self.offset + 3]

    @property
    def checksum(self) -> int:
        """The checksum as it was received; 0 if the sender made none."""
        return self.data[self.offset + 6] << 8 | self.data[self.offset + 7]

    @property
    def payload_offset(self) -> int:
        """The offset in `data` of what the datagram carries."""
        return self.offset + 8

    @property
    def payload_length(self) -> int:
        """The length in bytes of what the datagram carries."""
        return self.length - 8

    @property
    def payload(self) -> bytes:
        """What the datagram carries."""
        return self.data[self.offset + 8 : self.offset + self.length]

    @property
    def segment(self) -> bytes:
        """Header and data."""
        return self.data[self.offset : self.offset + self.length]

    def checksum_is_valid(self, source: bytes, destination: bytes) -> bool:
        """Tell whether the checksum holds between these two 4-byte addresses; none at all is fine too."""
        return verify_udp(source, destination, self.segment)


def parse_udp(data: bytes, offset: int, end: int | None = None) -> UdpView | None:
    """Give a view of the UDP datagram at `offset`, or None if it is cut off or its length field lies.

    end: where the IP packet ends in `data` (default: at its end). Bytes between the datagram's own end and this
    are ignored, as in Linux.
    """
    if end is None:
        end = len(data)
    available = end - offset
    if available < HEADER_LENGTH or end > len(data):
        return None
    length, _ = _unpack_from(data, offset + 4)
    if length < HEADER_LENGTH or length > available:
        return None
    return UdpView(data, offset, length)


def build_udp(
    source: bytes,
    destination: bytes,
    source_port: int,
    destination_port: int,
    payload: bytes,
    *,
    checksum: bool = True,
) -> bytes:
    """Build a UDP header and append the payload.

    source, destination: 4-byte addresses, only for the checksum. checksum: False sends 0, "none made".
    """
    length = 8 + len(payload)
    if not checksum:
        return _pack(source_port, destination_port, length, 0) + payload
    total = source_port + destination_port + length + checksum_sum(payload)
    total += pseudo_header_sum(source, destination, 17, length)
    return _pack(source_port, destination_port, length, 65535 - total % 65535) + payload
