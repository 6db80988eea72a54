"""DHCP messages (RFC 2131, RFC 2132): what a UDP datagram between ports 67 and 68 carries.

Options keep their order. A value longer than 255 bytes is split over several options of one code and joined again
(RFC 3396). Options that find no room in their field go into `file` and `sname` (option overload, RFC 2132 9.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import Struct

from emu.kernel.errors import InvalidValue
from emu.wire.address import ANY_IPV4
from emu.wire.drop import DropReason

SERVER_PORT = 67
CLIENT_PORT = 68
MAGIC_COOKIE = b"\x63\x82\x53\x63"
HEADER_LENGTH = 240
"""Up to and including the cookie: where the options begin."""
MINIMUM_LENGTH = 300
"""What every BOOTP implementation has to pad to (RFC 1542 section 2.1)."""
DEFAULT_MAXIMUM_LENGTH = 576
"""The IP packet that everybody takes, in bytes with the IP and UDP headers; option 57 raises it."""
_HEADERS_BELOW = 28

OPERATION_REQUEST = 1
OPERATION_REPLY = 2
FLAG_BROADCAST = 0x8000

DISCOVER = 1
OFFER = 2
REQUEST = 3
DECLINE = 4
ACK = 5
NAK = 6
RELEASE = 7
INFORM = 8
TYPE_NAMES = {
    DISCOVER: "DISCOVER",
    OFFER: "OFFER",
    REQUEST: "REQUEST",
    DECLINE: "DECLINE",
    ACK: "ACK",
    NAK: "NAK",
    RELEASE: "RELEASE",
    INFORM: "INFORM",
}

OPTION_PAD = 0
OPTION_SUBNET_MASK = 1
OPTION_ROUTER = 3
OPTION_DNS = 6
OPTION_HOST_NAME = 12
OPTION_DOMAIN_NAME = 15
OPTION_MTU = 26
OPTION_BROADCAST = 28
OPTION_REQUESTED_ADDRESS = 50
OPTION_LEASE_TIME = 51
OPTION_OVERLOAD = 52
OPTION_MESSAGE_TYPE = 53
OPTION_SERVER_ID = 54
OPTION_PARAMETER_REQUEST_LIST = 55
OPTION_MESSAGE = 56
OPTION_MAXIMUM_SIZE = 57
OPTION_T1 = 58
OPTION_T2 = 59
OPTION_VENDOR_CLASS = 60
OPTION_CLIENT_ID = 61
OPTION_CLASSLESS_ROUTES = 121
OPTION_END = 255

INFINITE_LEASE_S = 0xFFFFFFFF

_SERVER_NAME = slice(44, 108)
_BOOT_FILE = slice(108, 236)
_header = Struct("!BBBBIHH4s4s4s4s16s")
_OVERLOAD_BOOT_FILE = 1
_OVERLOAD_SERVER_NAME = 2
_OVERLOAD_OPTION_LENGTH = 3

Options = Sequence[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class DhcpMessage:
    """A DHCP message.

    operation: OPERATION_REQUEST from clients, OPERATION_REPLY from servers. transaction_id: chosen by the client.
    client_mac: 6 bytes. options: (code, value) in the order on the wire, without pad, overload and end.
    seconds: since the client began. flags: FLAG_BROADCAST or 0. hops: relays passed.
    client_address (ciaddr), your_address (yiaddr), next_server (siaddr), relay_address (giaddr): 4 bytes each.
    server_name, boot_file: the fields sname and file up to their first zero byte; empty when options fill them.
    """

    operation: int
    transaction_id: int
    client_mac: bytes
    options: tuple[tuple[int, bytes], ...] = ()
    seconds: int = 0
    flags: int = 0
    hops: int = 0
    client_address: bytes = ANY_IPV4
    your_address: bytes = ANY_IPV4
    next_server: bytes = ANY_IPV4
    relay_address: bytes = ANY_IPV4
    server_name: bytes = b""
    boot_file: bytes = b""

    def option(self, code: int) -> bytes | None:
        """Return the value of an option, or None when the message does not have it."""
        for other, value in self.options:
            if other == code:
                return value
        return None

    @property
    def message_type(self) -> int | None:
        """DISCOVER to INFORM or another number; None when the option is missing or has a wrong length."""
        value = self.option(OPTION_MESSAGE_TYPE)
        return value[0] if value is not None and len(value) == 1 else None

    def address_option(self, code: int) -> bytes | None:
        """Return an option that holds one address; None when it is missing or not 4 bytes long."""
        value = self.option(code)
        return value if value is not None and len(value) == 4 else None

    def number_option(self, code: int, length: int = 4) -> int | None:
        """Return an option that holds a number of `length` bytes; None when it is missing or of another length."""
        value = self.option(code)
        return int.from_bytes(value, "big") if value is not None and len(value) == length else None


def parse_dhcp(payload: bytes) -> DhcpMessage | DropReason:
    """Read what a datagram carries; a DropReason when it is no DHCP message on Ethernet or an option is cut off.

    A missing end option is tolerated, as servers and clients in use do. Limits: hardware other than Ethernet and
    plain BOOTP (no cookie) are not taken.
    """
    if len(payload) < HEADER_LENGTH:
        return DropReason.DHCP_TRUNCATED
    operation, hardware, mac_length, hops, transaction_id, seconds, flags, client, your, server, relay, mac = (
        _header.unpack_from(payload)
    )
    if operation not in (OPERATION_REQUEST, OPERATION_REPLY) or hardware != 1 or mac_length != 6:
        return DropReason.DHCP_HEADER
    if payload[236:240] != MAGIC_COOKIE:
        return DropReason.DHCP_HEADER
    found: dict[int, bytes] = {}
    if not _read_options(payload[HEADER_LENGTH:], found):
        return DropReason.DHCP_OPTION_TRUNCATED
    overload = found.pop(OPTION_OVERLOAD, b"\0")
    if len(overload) != 1 or overload[0] > 3:
        return DropReason.DHCP_HEADER
    for bit, area in ((_OVERLOAD_BOOT_FILE, _BOOT_FILE), (_OVERLOAD_SERVER_NAME, _SERVER_NAME)):
        if overload[0] & bit and not _read_options(payload[area], found):
            return DropReason.DHCP_OPTION_TRUNCATED
    found.pop(OPTION_OVERLOAD, None)  # one inside an overloaded field means nothing
    return DhcpMessage(
        operation=operation,
        transaction_id=transaction_id,
        client_mac=mac[:6],
        options=tuple(found.items()),
        seconds=seconds,
        flags=flags,
        hops=hops,
        client_address=client,
        your_address=your,
        next_server=server,
        relay_address=relay,
        server_name=b"" if overload[0] & _OVERLOAD_SERVER_NAME else payload[_SERVER_NAME].partition(b"\0")[0],
        boot_file=b"" if overload[0] & _OVERLOAD_BOOT_FILE else payload[_BOOT_FILE].partition(b"\0")[0],
    )


def _read_options(area: bytes, found: dict[int, bytes]) -> bool:
    """Add the options of one field to `found`, parts of one code joined; False when one is cut off."""
    offset = 0
    while offset < len(area):
        code = area[offset]
        if code == OPTION_END:
            break
        offset += 1
        if code == OPTION_PAD:
            continue
        if offset >= len(area) or offset + 1 + area[offset] > len(area):
            return False
        length = area[offset]
        found[code] = found.get(code, b"") + area[offset + 1 : offset + 1 + length]
        offset += 1 + length
    return True


def build_dhcp(message: DhcpMessage, maximum_length: int = DEFAULT_MAXIMUM_LENGTH) -> bytes:
    """Build the UDP payload of a message, padded to 300 bytes.

    maximum_length: of the IP packet, in bytes, at least 576 (RFC 2132 9.10): longer options go into the fields
    `file` and `sname` if those are empty. Raises InvalidValue when the options find no room even there.
    """
    assert len(message.client_mac) == 6, message.client_mac
    if maximum_length < DEFAULT_MAXIMUM_LENGTH:
        raise InvalidValue(f"maximum DHCP message size {maximum_length}: expected at least {DEFAULT_MAXIMUM_LENGTH}")
    if len(message.server_name) > 63 or len(message.boot_file) > 127:
        raise InvalidValue("DHCP: a server name has at most 63 bytes, a boot file name at most 127")
    pieces = list(_encode(message.options))
    options, boot_file, server_name = _lay_out(pieces, maximum_length, message.boot_file, message.server_name)
    header = _header.pack(
        message.operation,
        1,
        6,
        message.hops,
        message.transaction_id,
        message.seconds,
        message.flags,
        message.client_address,
        message.your_address,
        message.next_server,
        message.relay_address,
        message.client_mac,
    )
    payload = header + server_name.ljust(64, b"\0") + boot_file.ljust(128, b"\0") + MAGIC_COOKIE + options + b"\xff"
    return payload.ljust(MINIMUM_LENGTH, b"\0")


def find_room(options: Iterable[tuple[int, bytes]]) -> bool:
    """Tell whether options in this order find room in a message that everybody takes, without boot file and name."""
    try:
        _lay_out(list(_encode(options)), DEFAULT_MAXIMUM_LENGTH, b"", b"")
    except InvalidValue:
        return False
    return True


def _lay_out(
    pieces: list[bytes], maximum_length: int, boot_file: bytes, server_name: bytes
) -> tuple[bytes, bytes, bytes]:
    """Return the fields options, file and sname."""
    room = maximum_length - _HEADERS_BELOW - HEADER_LENGTH - 1
    if sum(map(len, pieces)) <= room:
        return b"".join(pieces), boot_file, server_name
    return _overload(pieces, room, boot_file, server_name)


def _encode(options: Iterable[tuple[int, bytes]]) -> Iterable[bytes]:
    """Give the bytes of each option, long values in several parts."""
    for code, value in options:
        if not 1 <= code <= 254 or code == OPTION_OVERLOAD:
            raise InvalidValue(f"DHCP option {code}: expected 1 to 254, and not 52, which is set when it is needed")
        for start in range(0, max(len(value), 1), 255):
            part = value[start : start + 255]
            yield bytes((code, len(part))) + part


def _overload(pieces: list[bytes], room: int, boot_file: bytes, server_name: bytes) -> tuple[bytes, bytes, bytes]:
    """Spread options over the field for options, then `file`, then `sname`, in their order."""
    areas = [b"", b"", b""]
    rooms = [room - _OVERLOAD_OPTION_LENGTH, 0 if boot_file else 127, 0 if server_name else 63]
    area = 0
    for piece in pieces:
        while area < 3 and len(areas[area]) + len(piece) > rooms[area]:
            area += 1
        if area == 3:
            total = sum(map(len, pieces))
            raise InvalidValue(f"DHCP options of {total} bytes find no room in the message: expected shorter ones")
        areas[area] += piece
    used = 0
    if areas[1]:
        used |= _OVERLOAD_BOOT_FILE
        boot_file = areas[1] + b"\xff"
    if areas[2]:
        used |= _OVERLOAD_SERVER_NAME
        server_name = areas[2] + b"\xff"
    return areas[0] + bytes((OPTION_OVERLOAD, 1, used)), boot_file, server_name


def encode_classless_routes(routes: Iterable[tuple[bytes, int, bytes]]) -> bytes:
    """Give the value of option 121 (RFC 3442) for (network, prefix length, gateway) each."""
    parts = []
    for network, prefix_length, gateway in routes:
        parts.append(bytes((prefix_length,)) + network[: (prefix_length + 7) // 8] + gateway)
    return b"".join(parts)


def decode_classless_routes(value: bytes) -> list[tuple[bytes, int, bytes]] | None:
    """Read the value of option 121; None when it is cut off or a prefix length is above 32."""
    routes = []
    offset = 0
    while offset < len(value):
        prefix_length = value[offset]
        significant = (prefix_length + 7) // 8
        end = offset + 1 + significant + 4
        if prefix_length > 32 or end > len(value):
            return None
        network = value[offset + 1 : offset + 1 + significant].ljust(4, b"\0")
        routes.append((network, prefix_length, value[end - 4 : end]))
        offset = end
    return routes
