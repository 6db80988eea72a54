"""How slow the machine is right now, so that limits in seconds hold on a busy one, too."""

from __future__ import annotations

from collections import deque
from time import process_time

QUIET_S = 0.09
"""What the yardstick takes in processor seconds on the machine of docs/performance.md when nothing else runs."""


def slowness() -> float:
    """Return how many times longer Python takes than on a quiet machine, at least 1.

    Others who use the same processor slow down even what is counted in processor seconds.
    """
    begun_s = process_time()
    waiting: deque[tuple[int, dict[int, int]]] = deque()
    seen: dict[int, int] = {}
    for number in range(1_000_000):
        waiting.append((number, seen))
        key, table = waiting.popleft()
        table[key & 1023] = table.get(key & 1023, 0) + 1
    return max((process_time() - begun_s) / QUIET_S, 1.0)
