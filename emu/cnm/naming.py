"""How a sandbox names its interfaces, and in which order they come up at start.

Source: libnetwork osl/interface_linux.go, FACTS 88, FACTS29 10, 11. At start, engine 20.10 numbers the interfaces in
the order of the sorted networks. Engines 28 and 29 connect them in no fixed order (recorded: a random rotation of the
sorted one); here they come up in the order given, which is one of the orders seen and the one people expect.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from emu.cnm.gateway import sort_key
from emu.cnm.profile import Profile

if TYPE_CHECKING:
    from emu.cnm.network import Network


class InterfaceNumbers:
    """The interface numbers of one sandbox.

    profile: says whether a freed number is used again.
    """

    __slots__ = ("_next", "_reused")

    def __init__(self, profile: Profile) -> None:
        self._reused = profile.interface_numbers_reused
        self._next: dict[str, int] = {}

    def name(self, prefix: str, taken: Container[str]) -> str:
        """Return the next name: the lowest free number, or, in engine 20.10, one never used before.

        prefix: what names start with ("eth").
        taken: names in use.
        """
        number = 0 if self._reused else self._next.get(prefix, 0)
        while f"{prefix}{number}" in taken:
            number += 1
        self._next[prefix] = number + 1
        return f"{prefix}{number}"


def start_order(profile: Profile, networks: Iterable[tuple[Network, int]]) -> list[Network]:
    """Return a container's networks in the order they are connected at start.

    networks: networks with their gw_priority, in the order the user gave.
    """
    given = list(networks)
    if profile.start_order_sorted:
        given.sort(key=lambda entry: sort_key(entry[0], entry[1], entry[0].gateway is not None))
    return [network for network, _ in given]
