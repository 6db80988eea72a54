"""Identifiers and MAC addresses, drawn from named random streams so that a seed gives the same ones."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

import netaddr

from emu.kernel.errors import InvalidValue

if TYPE_CHECKING:
    from random import Random

    from emu.kernel import Kernel

_MAC_NOTATIONS = re.compile(
    r"[0-9a-f]{2}(:[0-9a-f]{2}){5}|[0-9a-f]{2}(-[0-9a-f]{2}){5}|[0-9a-f]{4}(\.[0-9a-f]{4}){2}", re.IGNORECASE
)
"""What Go's net.ParseMAC, and so Docker, accepts of the many notations that netaddr knows."""


class IdSource:
    """Makes the ids and MAC addresses of one host.

    kernel: gives the random streams.
    host_name: part of the streams' names, so that hosts don't influence each other.
    """

    __slots__ = ("_addresses", "_ids", "_names")

    def __init__(self, kernel: Kernel, host_name: str) -> None:
        self._ids: Random = kernel.random(f"cnm ids {host_name}")
        self._addresses: Random = kernel.random(f"cnm mac addresses {host_name}")
        self._names: Random = kernel.random(f"cnm veth names {host_name}")

    def object_id(self) -> str:
        """Return 64 hex digits: the id of a network, endpoint or sandbox."""
        return f"{self._ids.getrandbits(256):064x}"

    def veth_name(self) -> str:
        """Return `veth` and 7 hex digits (FACT 1)."""
        return f"veth{self._names.getrandbits(28):07x}"

    def random_mac(self) -> bytes:
        """Return a random locally administered unicast MAC (FACT 3)."""
        raw = self._addresses.getrandbits(48).to_bytes(6, "big")
        return bytes(((raw[0] & 0xFE) | 0x02,)) + raw[1:]

    def prefixed_mac(self) -> bytes:
        """Return 02:42 and 4 random bytes: a bridge's MAC in engine 20.10 (FACT 2)."""
        return b"\x02\x42" + self._addresses.getrandbits(32).to_bytes(4, "big")


def mac_from_address(address: ipaddress.IPv4Address) -> bytes:
    """Return 02:42 and the four bytes of an IPv4 address (FACT 2)."""
    return b"\x02\x42" + address.packed


def parse_mac(text: str) -> bytes:
    """Read a MAC address in one of Docker's notations: 02:42:ac:11:00:02, 02-42-AC-11-00-02 or 0242.ac11.0002.

    Raises InvalidValue with Docker's wording, `zz is not a valid mac address` (FACT 4).
    """
    if not _MAC_NOTATIONS.fullmatch(text):
        raise InvalidValue(f"{text} is not a valid mac address")
    return bytes(netaddr.EUI(text, version=48).packed)


def format_mac(mac: bytes | None) -> str:
    """Write a MAC address with colons; None gives an empty text."""
    return "" if mac is None else mac.hex(":")


def format_address(address: ipaddress.IPv4Address | None) -> str:
    """Write an address; None gives an empty text."""
    return "" if address is None else str(address)
