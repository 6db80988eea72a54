"""ICMP for IPv4 (RFC 792, RFC 1191 for the next-hop MTU, RFC 1812 section 4.3 for what errors quote)."""

from __future__ import annotations

from struct import Struct

from emu.wire.checksum import checksum_sum, internet_checksum, verify_internet_checksum

HEADER_LENGTH = 8

TYPE_ECHO_REPLY = 0
TYPE_DESTINATION_UNREACHABLE = 3
TYPE_SOURCE_QUENCH = 4
TYPE_REDIRECT = 5
TYPE_ECHO_REQUEST = 8
TYPE_TIME_EXCEEDED = 11
TYPE_PARAMETER_PROBLEM = 12

CODE_NET_UNREACHABLE = 0
CODE_HOST_UNREACHABLE = 1
CODE_PROTOCOL_UNREACHABLE = 2
CODE_PORT_UNREACHABLE = 3
CODE_FRAGMENTATION_NEEDED = 4
CODE_SOURCE_ROUTE_FAILED = 5
CODE_NET_UNKNOWN = 6
CODE_HOST_UNKNOWN = 7
CODE_SOURCE_ISOLATED = 8
CODE_NET_PROHIBITED = 9
CODE_HOST_PROHIBITED = 10
CODE_NET_UNREACHABLE_FOR_TOS = 11
CODE_HOST_UNREACHABLE_FOR_TOS = 12
CODE_ADMINISTRATIVELY_PROHIBITED = 13

CODE_TTL_EXCEEDED = 0
CODE_REASSEMBLY_TIME_EXCEEDED = 1

ERROR_TYPES = frozenset(
    (
        TYPE_DESTINATION_UNREACHABLE,
        TYPE_SOURCE_QUENCH,
        TYPE_REDIRECT,
        TYPE_TIME_EXCEEDED,
        TYPE_PARAMETER_PROBLEM,
    )
)
"""The types that quote an offending packet; none of them may be answered with another error (RFC 1122 3.2.2)."""

ERROR_PACKET_LENGTH = 576
"""How long an ICMP error's IP packet may get at most (RFC 1812 section 4.3.2.3; Linux does the same)."""

_pack = Struct("!BBHHH").pack
_pack_pointer = Struct("!BBHBBH").pack


class IcmpView:
    """Reads an ICMP message that `parse_icmp` found to have a whole header.

    data: the frame or packet. offset: where the ICMP header starts. end: the offset just after the message.
    """

    __slots__ = ("data", "end", "offset")

    def __init__(self, data: bytes, offset: int, end: int) -> None:
        self.data = data
        self.offset = offset
        self.end = end

    @property
    def type(self) -> int:
        """One of the TYPE_ constants or another IANA number."""
        return self.data[self.offset]

    @property
    def code(self) -> int:
        """What the type means exactly."""
        return self.data[self.offset + 1]

    @property
    def checksum(self) -> int:
        """The checksum as it was received."""
        return self.data[self.offset + 2] << 8 | self.data[self.offset + 3]

    @property
    def checksum_is_valid(self) -> bool:
        """True if the checksum over the whole message holds."""
        return verify_internet_checksum(self.data[self.offset : self.end])

    @property
    def identifier(self) -> int:
        """The identifier of an echo request or reply."""
        return self.data[self.offset + 4] << 8 | self.data[self.offset + 5]

    @property
    def sequence(self) -> int:
        """The sequence number of an echo request or reply."""
        return self.data[self.offset + 6] << 8 | self.data[self.offset + 7]

    @property
    def next_hop_mtu(self) -> int:
        """The MTU in "fragmentation needed" (RFC 1191), in bytes; 0 if the router gave none."""
        return self.data[self.offset + 6] << 8 | self.data[self.offset + 7]

    @property
    def pointer(self) -> int:
        """The offset of the bad byte in a parameter problem."""
        return self.data[self.offset + 4]

    @property
    def gateway(self) -> bytes:
        """The better gateway in a redirect, 4 bytes."""
        return self.data[self.offset + 4 : self.offset + 8]

    @property
    def is_error(self) -> bool:
        """True for the types that quote an offending packet."""
        return self.data[self.offset] in ERROR_TYPES

    @property
    def length(self) -> int:
        """Length of the whole message in bytes, as tcpdump prints it."""
        return self.end - self.offset

    @property
    def payload(self) -> bytes:
        """Echo data, or the quoted packet of an error."""
        return self.data[self.offset + 8 : self.end]


def parse_icmp(data: bytes, offset: int, end: int | None = None) -> IcmpView | None:
    """Give a view of the ICMP message from `offset` to `end` (default: to the end of the data), or None if cut off."""
    if end is None:
        end = len(data)
    if end > len(data) or end - offset < HEADER_LENGTH:
        return None
    return IcmpView(data, offset, end)


def build_icmp(kind: int, code: int, high_word: int, low_word: int, payload: bytes) -> bytes:
    """Build any ICMP message with its checksum.

    kind: the type. high_word, low_word: the two 16-bit halves of the second header word, whatever they mean.
    """
    total = (kind << 8) + code + high_word + low_word + checksum_sum(payload)
    return _pack(kind, code, -total % 65535 if total else 0xFFFF, high_word, low_word) + payload


def build_echo_request(identifier: int, sequence: int, payload: bytes) -> bytes:
    """Build an echo request."""
    return build_icmp(TYPE_ECHO_REQUEST, 0, identifier, sequence, payload)


def build_echo_reply(identifier: int, sequence: int, payload: bytes) -> bytes:
    """Build an echo reply."""
    return build_icmp(TYPE_ECHO_REPLY, 0, identifier, sequence, payload)


def quote(packet: bytes, options_length: int = 0) -> bytes:
    """Cut an offending IPv4 packet to what an ICMP error quotes of it: as much as fits a 576-byte IP packet.

    packet: from its IPv4 header on, without padding. options_length: bytes of options in the error's own IP header.
    """
    return packet[: ERROR_PACKET_LENGTH - 20 - HEADER_LENGTH - options_length]


def build_destination_unreachable(code: int, quoted: bytes, next_hop_mtu: int = 0) -> bytes:
    """Build a destination unreachable message.

    code: one of the CODE_ constants. quoted: what `quote` gave. next_hop_mtu: in bytes, for "fragmentation needed".
    """
    return build_icmp(TYPE_DESTINATION_UNREACHABLE, code, 0, next_hop_mtu, quoted)


def build_time_exceeded(code: int, quoted: bytes) -> bytes:
    """Build a time exceeded message; code 0: TTL ran out on the way, 1: reassembly took too long."""
    return build_icmp(TYPE_TIME_EXCEEDED, code, 0, 0, quoted)


def build_parameter_problem(pointer: int, quoted: bytes, code: int = 0) -> bytes:
    """Build a parameter problem message; pointer: the offset of the bad byte in the quoted header."""
    message = _pack_pointer(TYPE_PARAMETER_PROBLEM, code, 0, pointer, 0, 0) + quoted
    checksum = internet_checksum(message)
    return message[:2] + checksum.to_bytes(2, "big") + message[4:]


def build_redirect(code: int, gateway: bytes, quoted: bytes) -> bytes:
    """Build a redirect to a better gateway (4 bytes); code 0: for the network, 1: for the host."""
    return build_icmp(TYPE_REDIRECT, code, gateway[0] << 8 | gateway[1], gateway[2] << 8 | gateway[3], quoted)
