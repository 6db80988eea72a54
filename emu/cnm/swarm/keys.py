"""The keys that the manager hands out for encrypted overlay networks, and their rotation.

Source: libnetwork overlay/encryption.go, swarmkit's key manager. There are three keys at a time, told apart by the
Lamport time at which they were made. All decrypt; the second oldest encrypts, so every node has known it for twelve
hours when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emu.wire.esp import KEY_LENGTH

if TYPE_CHECKING:
    from random import Random

    from emu.cnm.swarm.node import SwarmNode
    from emu.kernel import Kernel

KEY_COUNT = 3
ROTATION_INTERVAL_NS = 12 * 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """A key for data between hosts. tag: the Lamport time at which it was made. value: 16 bytes."""

    tag: int
    value: bytes


class KeyRing:
    """The keys of a swarm, drawn from the emulation's seed.

    Gossip has keys of its own, which count in the same Lamport time and are made first: so the first tags are 4, 5 and
    6, and later ones 8, 10, 12 and so on. Limits: swarmkit rotates the two kinds in random order.
    """

    __slots__ = ("_keys", "_random")

    def __init__(self, kernel: Kernel) -> None:
        self._random: Random = kernel.random("swarm encryption keys")
        self._keys = [self._make(KEY_COUNT + number) for number in range(1, KEY_COUNT + 1)]

    @property
    def keys(self) -> tuple[EncryptionKey, ...]:
        """The keys as nodes keep them: the one to send with first, then by age."""
        oldest, sending, *others = self._keys
        return (sending, oldest, *others)

    def rotate(self) -> None:
        """Make a new key and forget the oldest one."""
        self._keys = [*self._keys[1:], self._make(self._keys[-1].tag + 2)]

    def _make(self, tag: int) -> EncryptionKey:
        return EncryptionKey(tag, self._random.getrandbits(8 * KEY_LENGTH).to_bytes(KEY_LENGTH, "big"))


class KeyManager:
    """Hands the keys to the nodes and makes a new one every twelve hours, from when the swarm began.

    nodes: of the swarm, by name. reachable: whether a node can reach the manager at this moment; one that can't gets
    the keys when it can again.
    """

    __slots__ = ("_began_ns", "_behind", "_is_rotating", "_kernel", "_nodes", "_reachable", "_ring")

    def __init__(self, kernel: Kernel, nodes: Mapping[str, SwarmNode], reachable: Callable[[str], bool]) -> None:
        self._kernel = kernel
        self._nodes = nodes
        self._reachable = reachable
        self._ring = KeyRing(kernel)
        self._began_ns = kernel.now
        self._is_rotating = False
        #: nodes that have not got the newest keys
        self._behind: dict[str, None] = {}

    @property
    def keys(self) -> tuple[EncryptionKey, ...]:
        """The keys of this moment, the one to send with first."""
        return self._ring.keys

    def begin(self) -> None:
        """Rotate by the clock from now on: there is an encrypted network. Nothing if that is so already."""
        if not self._is_rotating:
            self._is_rotating = True
            self._plan()

    def _plan(self) -> None:
        passed = (self._kernel.now - self._began_ns) // ROTATION_INTERVAL_NS
        self._kernel.call_at(
            self._began_ns + (passed + 1) * ROTATION_INTERVAL_NS, self._rotate_by_the_clock, background=True
        )

    def _rotate_by_the_clock(self, _: None) -> None:
        self.rotate()
        self._plan()

    def rotate(self) -> None:
        """Make a new key, forget the oldest one, and hand the keys out."""
        self._ring.rotate()
        self._behind = dict.fromkeys(self._nodes)
        self.hand_out()

    def hand_out(self) -> None:
        """Give the keys to nodes that have older ones and can be reached by now."""
        for name in list(self._behind):
            node = self._nodes.get(name)
            if node is not None and not self._reachable(name):
                continue
            del self._behind[name]
            if node is not None:
                node.encryption.set_keys(self.keys)
