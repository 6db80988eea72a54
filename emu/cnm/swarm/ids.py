"""Ids of the swarm's objects: 25 digits in base 36, as swarmkit writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from emu.kernel import Kernel

ID_LENGTH = 25
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class SwarmIds:
    """Makes the ids of networks, nodes and tasks, and the names nodes gossip under.

    kernel: gives the random streams, so that a seed gives the same ids.
    """

    __slots__ = ("_ids", "_names")

    def __init__(self, kernel: Kernel) -> None:
        self._ids: Random = kernel.random("swarm ids")
        self._names: Random = kernel.random("swarm node names")

    def object_id(self) -> str:
        """Return 25 digits: the id of a network, node or task."""
        return "".join(self._ids.choice(_DIGITS) for _ in range(ID_LENGTH))

    def peer_name(self) -> str:
        """Return 12 hex digits: what `Peers` of `docker network inspect` calls a node."""
        return f"{self._names.getrandbits(48):012x}"
