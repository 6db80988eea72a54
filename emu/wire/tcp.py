"""TCP headers (RFC 9293, section 3.1)."""

from __future__ import annotations

from struct import Struct

from emu.wire.checksum import checksum_sum, pseudo_header_sum

PROTOCOL_TCP = 6
HEADER_LENGTH = 20
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
FLAG_LETTERS = {"F": FIN, "S": SYN, "R": RST, "P": PSH, ".": ACK, "U": URG, "E": ECE, "W": CWR}
"""The flags as tcpdump writes them."""

_pack = Struct("!HHIIHHHH").pack
_unpack_from = Struct("!HHIIHHHH").unpack_from


class TcpView:
    """Reads a TCP segment whose header length `parse_tcp` found right.

    data: the frame or packet. offset: where the TCP header starts. end: where the segment ends.
    flags: the eight flag bits from CWR (0x80) to FIN (0x01). header_length: in bytes, options included.
    """

    __slots__ = (
        "acknowledgment",
        "checksum",
        "data",
        "destination_port",
        "end",
        "flags",
        "header_length",
        "offset",
        "sequence",
        "source_port",
        "urgent",
        "window",
    )

    def __init__(self, data: bytes, offset: int, end: int) -> None:
        self.data = data
        self.offset = offset
        self.end = end
        (
            self.source_port,
            self.destination_port,
            self.sequence,
            self.acknowledgment,
            offset_flags,
            self.window,
            self.checksum,
            self.urgent,
        ) = _unpack_from(data, offset)
        self.flags = offset_flags & 0xFF
        self.header_length = (offset_flags >> 12) * 4

    @property
    def options(self) -> bytes:
        """The option bytes, padding included."""
        return self.data[self.offset + HEADER_LENGTH : self.offset + self.header_length]

    @property
    def payload(self) -> bytes:
        """What the segment carries."""
        return self.data[self.offset + self.header_length : self.end]

    def checksum_is_valid(self, source: bytes, destination: bytes) -> bool:
        """Tell whether the checksum holds between these two 4-byte addresses."""
        segment = self.data[self.offset : self.end]
        total = checksum_sum(segment) + pseudo_header_sum(source, destination, PROTOCOL_TCP, len(segment))
        return total % 65535 == 0


def parse_tcp(data: bytes, offset: int, end: int | None = None) -> TcpView | None:
    """Give a view of the TCP segment at `offset`, or None if it is cut off or its header length lies.

    end: where the IP packet ends in `data` (default: at its end).
    """
    if end is None:
        end = len(data)
    if end - offset < HEADER_LENGTH or end > len(data):
        return None
    header_length = (data[offset + 12] >> 4) * 4
    if not HEADER_LENGTH <= header_length <= end - offset:
        return None
    return TcpView(data, offset, end)


def build_tcp(
    source: bytes,
    destination: bytes,
    source_port: int,
    destination_port: int,
    sequence: int,
    acknowledgment: int,
    flags: int,
    window: int,
    options: bytes = b"",
    payload: bytes = b"",
) -> bytes:
    """Build a TCP header with options and append the payload.

    source, destination: 4-byte addresses, only for the checksum. window: as it stands in the header, unscaled.
    options: a multiple of 4 bytes, at most 40.
    """
    assert len(options) in range(0, 41, 4), options
    offset_flags = (HEADER_LENGTH + len(options)) << 10 | flags
    fields = (source_port, destination_port, sequence, acknowledgment, offset_flags, window)
    length = HEADER_LENGTH + len(options) + len(payload)
    total = sum(fields) + checksum_sum(options) + checksum_sum(payload)
    total += pseudo_header_sum(source, destination, PROTOCOL_TCP, length)
    return _pack(*fields, -total % 65535, 0) + options + payload


def flags_text(flags: int) -> str:
    """Write flags as tcpdump does: "S", "S.", "P."; "none" without any."""
    return "".join(letter for letter, bit in FLAG_LETTERS.items() if flags & bit) or "none"
