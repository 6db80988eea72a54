"""IPv4 identification numbers for packets that do not belong to a connection."""

from __future__ import annotations

from random import Random

from emu.kernel.jiffies import JIFFY_NS


class IdentCounters:
    """One counter per (destination, source, protocol), which also jumps with time (FACT 33).

    Linux keeps 2048 and more shared counters chosen by a keyed hash; between two uses a counter advances by one plus
    a random number smaller than the ticks that have passed. Here every address pair has its own counter.
    random: the stream that start values and jumps are drawn from.
    """

    __slots__ = ("_counters", "_random")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._counters: dict[bytes, tuple[int, int]] = {}

    def next(self, now_ns: int, source: bytes, destination: bytes, protocol: int) -> int:
        """Return the identification (0 to 65535) for a packet sent at `now_ns`."""
        key = destination + source + bytes((protocol,))
        tick = now_ns // JIFFY_NS
        known = self._counters.get(key)
        if known is None:
            value = self._random.getrandbits(16)
        else:
            value, last_tick = known
            if tick > last_tick:
                value += self._random.randrange(tick - last_tick)
        self._counters[key] = (value + 1, tick)
        return value & 0xFFFF
