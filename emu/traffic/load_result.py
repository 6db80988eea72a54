"""What a load generator measured."""

from __future__ import annotations

from dataclasses import dataclass, field

from emu.traffic.latency import LatencyHistogram
from emu.traffic.load_options import LoadOptions

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came of a run.

    requests: how many were begun. latency: of those that were answered, from the moment when the request was due (so
    waiting for a free connection counts) to the last byte of the response. lost: datagrams without an answer in time.
    errors: Linux's words -> how often. time_ns: from the start to the last response.
    """

    target: str
    options: LoadOptions
    requests: int
    latency: LatencyHistogram
    lost: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    connections: int = 0
    time_ns: int = 0

    @property
    def responses(self) -> int:
        """How many requests were answered."""
        return self.latency.count

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.responses * SECOND / self.time_ns if self.time_ns else 0.0

    @property
    def text(self) -> str:
        """A report with percentiles and a histogram."""
        options = self.options
        lines = [f"Load on {self.target}: {options.text}"]
        seconds = self.time_ns / SECOND
        bits = self.rate * options.response_bytes * 8 / 1e6
        lines.append(
            f"  {self.responses} of {self.requests} answered in {seconds:.3f} s over {self.connections} connections: "
            f"{self.rate:.1f} per second, {bits:.2f} Mbit/s"
        )
        if self.lost:
            lines.append(f"  {self.lost} lost")
        lines += [f"  {count} x {words}" for words, count in self.errors.items()]
        return "".join(f"{line}\n" for line in lines) + self.latency.text

    @property
    def outcome(self) -> str:
        """One line for result tables."""
        p50, p99 = (self.latency.percentile_ns(percent) / 1000 for percent in (50, 99))
        text = f"{self.responses}/{self.requests} answered, {self.rate:.0f}/s, p50 {p50:.1f} us, p99 {p99:.1f} us"
        return (
            text
            + (f", {self.lost} lost" if self.lost else "")
            + "".join(f", {count} x {words}" for words, count in self.errors.items())
        )

    def __str__(self) -> str:
        return self.text
