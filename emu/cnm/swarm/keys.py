"""The keys that the manager hands out for encrypted overlay networks, and their rotation.

Source: reference 4.7, swarmkit's key manager. There are three keys at a time, told apart by the Lamport time at which
they were made. All decrypt; the second oldest encrypts, so when it becomes that every node has known it for twelve hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emu.wire.esp import KEY_LENGTH

if TYPE_CHECKING:
    from random import Random

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
