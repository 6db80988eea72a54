"""IPv4 identification numbers for packets that do not belong to a connection."""

from __future__ import annotations

from random import Random

from emu.kernel.jiffies import JIFFY_NS


class IdentCounter:
    """The counter of one (destination, source, protocol)."""

    __slots__ = ("_random", "_tick", "_value")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._value = -1
        self._tick = 0

    def next(self, now_ns: int) -> int:
        """Return the identification (0 to 65535) for a packet sent at `now_ns`."""
        tick = now_ns // JIFFY_NS
        value = self._value
        if value < 0:
            value = self._random.getrandbits(16)
        elif tick > self._tick:
            value += self._random.randrange(tick - self._tick)
        self._value = value + 1
        self._tick = tick
        return value & 0xFFFF

    def skip(self, count: int) -> None:
        """Leave out so many identifications: a packet that will be cut takes one for each piece."""
        self._value += count


class IdentCounters:
    """One counter per (destination, source, protocol), which also jumps with time (FACT 33).

    Linux keeps 2048 and more shared counters chosen by a keyed hash; between two uses a counter advances by one plus
    a random number smaller than the ticks that have passed. Here every address pair has its own counter.
    random: the stream that start values and jumps are drawn from.
    """

    __slots__ = ("_counters", "_random")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._counters: dict[bytes, IdentCounter] = {}

    def counter(self, source: bytes, destination: bytes, protocol: int) -> IdentCounter:
        """Return the counter of an address pair, for who sends much."""
        key = destination + source + bytes((protocol,))
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = IdentCounter(self._random)
        return counter

    def next(self, now_ns: int, source: bytes, destination: bytes, protocol: int) -> int:
        """Return the identification (0 to 65535) for a packet sent at `now_ns`."""
        return self.counter(source, destination, protocol).next(now_ns)
