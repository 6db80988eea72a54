"""Named random streams: one independent generator per purpose, all derived from the emulation's seed."""

from __future__ import annotations

from random import Random


class RandomStreams:
    """The random numbers of one emulation.

    Each purpose has its own stream ("mac web1", "loss host1:eth0"), so that drawing more numbers for one never
    changes what another gets. A stream depends on the seed and its name alone: strings are seeded through SHA-512,
    not through `hash()`.
    """

    __slots__ = ("_streams", "seed")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, Random] = {}

    def stream(self, name: str) -> Random:
        """Return the stream of that name; the same object every time."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Random(f"emu/{self.seed}/{name}")
        return stream
