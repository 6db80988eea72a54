"""IPv4 and MAC addresses: text for people, `bytes` (4 and 6) everywhere inside the emulation.

IPv4 text is strict dotted decimal (four numbers, no leading zeros: the ambiguous octal forms of RFC 6943 section
3.1.1 are refused, as Docker refuses them). MAC text is the IEEE 802 canonical form with colons, as Linux prints it.
"""

from __future__ import annotations

from emu.kernel.errors import InvalidValue

ANY_IPV4 = bytes(4)
LIMITED_BROADCAST_IPV4 = b"\xff\xff\xff\xff"

ZERO_MAC = bytes(6)
BROADCAST_MAC = b"\xff\xff\xff\xff\xff\xff"

_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


def ipv4_to_bytes(text: str) -> bytes:
    """Turn dotted decimal text into the four bytes of an IPv4 address.

    Raises InvalidValue if the text is anything but four decimal numbers from 0 to 255 without leading zeros.
    """
    address = _parse_ipv4(text)
    if address is None:
        raise InvalidValue(f"invalid IPv4 address {text!r}: expected four numbers from 0 to 255 such as 172.17.0.2")
    return address


def is_ipv4_text(text: str) -> bool:
    """Tell whether `ipv4_to_bytes` would accept the text."""
    return _parse_ipv4(text) is not None


def _parse_ipv4(text: object) -> bytes | None:
    if not isinstance(text, str):
        return None
    parts = text.split(".")
    if len(parts) != 4:
        return None
    address = bytearray()
    for part in parts:
        if not (part.isascii() and part.isdigit() and len(part) <= 3):
            return None
        number = int(part)
        if number > 255 or (part[0] == "0" and part != "0"):
            return None
        address.append(number)
    return bytes(address)


def ipv4_to_text(address: bytes) -> str:
    """Turn the four bytes of an IPv4 address into dotted decimal text."""
    first, second, third, fourth = address
    return f"{first}.{second}.{third}.{fourth}"


def mac_to_bytes(text: str) -> bytes:
    """Turn MAC address text such as "02:42:ac:11:00:02" into six bytes.

    Colons or hyphens may separate the six two-digit groups, in either case of letters.
    Raises InvalidValue for anything else.
    """
    address = _parse_mac(text)
    if address is None:
        raise InvalidValue(f"invalid MAC address {text!r}: expected six hexadecimal pairs such as 02:42:ac:11:00:02")
    return address


def is_mac_text(text: str) -> bool:
    """Tell whether `mac_to_bytes` would accept the text."""
    return _parse_mac(text) is not None


def _parse_mac(text: object) -> bytes | None:
    if not isinstance(text, str) or len(text) != 17:
        return None
    parts = text.split("-" if text[2] == "-" else ":")
    if len(parts) != 6:
        return None
    for part in parts:
        if len(part) != 2 or part[0] not in _HEX_DIGITS or part[1] not in _HEX_DIGITS:
            return None
    return bytes.fromhex("".join(parts))


def mac_to_text(address: bytes) -> str:
    """Turn six bytes into MAC address text: lower case, with colons."""
    return address.hex(":")


def is_multicast_ipv4(address: bytes) -> bool:
    """Tell whether an IPv4 address is multicast, 224.0.0.0/4 (RFC 5771)."""
    return address[0] & 0xF0 == 0xE0


def is_loopback_ipv4(address: bytes) -> bool:
    """Tell whether an IPv4 address is in 127.0.0.0/8 (RFC 1122 section 3.2.1.3)."""
    return address[0] == 127


def is_link_local_ipv4(address: bytes) -> bool:
    """Tell whether an IPv4 address is in 169.254.0.0/16 (RFC 3927)."""
    return address[0] == 169 and address[1] == 254


def is_group_mac(address: bytes) -> bool:
    """Tell whether a MAC address is multicast or broadcast: the I/G bit of its first byte (IEEE 802)."""
    return bool(address[0] & 1)


def is_valid_source_mac(address: bytes) -> bool:
    """Tell whether a MAC address may be a sender: neither a group address nor zero (Linux: is_valid_ether_addr)."""
    return not address[0] & 1 and address != ZERO_MAC


def is_locally_administered_mac(address: bytes) -> bool:
    """Tell whether a MAC address has the U/L bit set, as every address that software made up should (IEEE 802)."""
    return bool(address[0] & 2)


def is_reserved_group_mac(address: bytes) -> bool:
    """Tell whether a MAC address is one of 01:80:c2:00:00:00 to :0f, which bridges keep (IEEE 802.1D 7.12.6)."""
    return address[:5] == b"\x01\x80\xc2\x00\x00" and address[5] < 16


def multicast_mac(address: bytes) -> bytes:
    """Give the MAC address that an IPv4 multicast group uses on Ethernet (RFC 1112 section 6.4)."""
    return b"\x01\x00\x5e" + bytes((address[1] & 0x7F,)) + address[2:4]
