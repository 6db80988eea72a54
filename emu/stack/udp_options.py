"""The options of a UDP socket that change how its datagrams look (ip(7), udp(7))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.kernel.errors import InvalidValue

if TYPE_CHECKING:
    from emu.stack.flow import SendFlow


class UdpOptions:
    """What can be set on a UDP socket; every change makes the cached flows look at everything again."""

    __slots__ = ("_checksum", "_dont_fragment", "_flows", "_tos", "_ttl")

    def __init__(self) -> None:
        self._flows: dict[tuple[str, int], SendFlow] = {}
        self._checksum = True
        self._dont_fragment: bool | None = None
        self._ttl: int | None = None
        self._tos = 0

    @property
    def checksum(self) -> bool:
        """Whether datagrams are sent with a UDP checksum; False is SO_NO_CHECK."""
        return self._checksum

    @checksum.setter
    def checksum(self, value: bool) -> None:
        self._checksum = value
        self._flows.clear()

    @property
    def dont_fragment(self) -> bool | None:
        """IP_MTU_DISCOVER: None sets DF while the datagram fits, True always (EMSGSIZE when too long), False never."""
        return self._dont_fragment

    @dont_fragment.setter
    def dont_fragment(self, value: bool | None) -> None:
        self._dont_fragment = value
        self._flows.clear()

    @property
    def ttl(self) -> int | None:
        """The TTL of datagrams, 1 to 255; None for the namespace's default."""
        return self._ttl

    @ttl.setter
    def ttl(self, value: int | None) -> None:
        if value is not None and (type(value) is not int or not 1 <= value <= 255):
            raise InvalidValue(f"TTL {value!r}: expected 1 to 255, or None for the default")
        self._ttl = value
        self._flows.clear()

    @property
    def tos(self) -> int:
        """The TOS byte of datagrams, 0 to 255."""
        return self._tos

    @tos.setter
    def tos(self, value: int) -> None:
        if type(value) is not int or not 0 <= value <= 255:
            raise InvalidValue(f"TOS {value!r}: expected 0 to 255")
        self._tos = value
        self._flows.clear()
