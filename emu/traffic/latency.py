"""Latencies, kept exactly: percentiles by nearest rank in whole ns, and a histogram as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PERCENTILES = (50.0, 75.0, 90.0, 99.0, 99.9)
_BAR_WIDTH = 40
_ROWS = 12


@dataclass(frozen=True, slots=True)
class LatencyHistogram:
    """All latencies of a run in ns, in the order in which they were measured."""

    values_ns: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.values_ns)

    @property
    def min_ns(self) -> int:
        """The shortest; 0 when there is none."""
        return min(self.values_ns, default=0)

    @property
    def max_ns(self) -> int:
        """The longest; 0 when there is none."""
        return max(self.values_ns, default=0)

    @property
    def mean_ns(self) -> int:
        """The mean, rounded down; 0 when there is none."""
        return sum(self.values_ns) // len(self.values_ns) if self.values_ns else 0

    def percentile_ns(self, percent: float) -> int:
        """Return the value that so many percent do not exceed, by nearest rank; 0 when there is none.

        percent: more than 0 and up to 100, in steps of a thousandth.
        """
        ordered = sorted(self.values_ns)
        if not ordered:
            return 0
        thousandths = round(percent * 1000)
        if not 0 < thousandths <= 100_000:
            raise ValueError(f"percentile {percent!r}: expected more than 0, up to 100")
        rank = -(-len(ordered) * thousandths // 100_000)
        return ordered[rank - 1]

    @property
    def text(self) -> str:
        """The percentiles, and a histogram with even steps."""
        if not self.values_ns:
            return "no latencies\n"
        lines = [
            f"  min {microseconds(self.min_ns)}   mean {microseconds(self.mean_ns)}   max {microseconds(self.max_ns)}"
        ]
        lines += [f"{percent:6g}% {microseconds(self.percentile_ns(percent))}" for percent in PERCENTILES]
        lines.append("")
        buckets = self.buckets()
        most = max(count for _, count in buckets)
        for limit_ns, count in buckets:
            bar = "#" * -(-count * _BAR_WIDTH // most)
            lines.append(f"<= {microseconds(limit_ns)} {count:8d} {bar}".rstrip())
        return "".join(f"{line}\n" for line in lines)

    def buckets(self) -> list[tuple[int, int]]:
        """Return (upper limit in ns, how many values up to it and above the one before): twelve steps at most."""
        limits = _limits(self.min_ns, self.max_ns)
        counts = [0] * len(limits)
        index = 0
        for value in sorted(self.values_ns):
            while value > limits[index]:
                index += 1
            counts[index] += 1
        return list(zip(limits, counts, strict=True))


def _limits(low_ns: int, high_ns: int) -> Sequence[int]:
    """Return even limits at multiples of 1, 2 or 5 times a power of ten."""
    step = 1
    while (high_ns - low_ns) // step >= _ROWS - 1:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    first = -(-low_ns // step) * step
    limits = list(range(first, high_ns + step, step))
    return limits or [high_ns]


def microseconds(time_ns: int) -> str:
    """Return a time in µs with three decimals, right-aligned: "     123.456us"."""
    return f"{time_ns // 1000:8d}.{time_ns % 1000:03}us"


__all__ = ["LatencyHistogram"]
