"""One measurement: which workload under which setting, and what a run of it gave."""

from __future__ import annotations

from dataclasses import dataclass

CAPTURES: dict[str, tuple[str, ...]] = {
    "bridge-udp": ("none", "receiver", "all"),
    "overlay-udp": ("none", "underlay"),
    "tcp-bulk": ("none", "receiver"),
}
"""Workload -> what can be captured in it."""

DEFAULT_COUNT = {"bridge-udp": 200_000, "overlay-udp": 200_000, "tcp-bulk": 69_061}
"""Workload -> how many datagrams, or full segments of data, unless asked otherwise; 69,061 segments are 100 MB."""

SEGMENT = 1448
"""Bytes of data in a full TCP segment: an MTU of 1500 less two headers of 20 and the timestamp option's 12."""


class BenchmarkError(Exception):
    """The user asked for something that cannot be measured; the text is the one line that is printed."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured: the workload's name, what is captured, checksums or not, how many datagrams.

    In `tcp-bulk` a full segment of data, with its share of the acknowledgments, counts as a datagram.
    """

    workload: str
    capture: str
    checksums: bool
    count: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run in a fresh process gave.

    run_s, cpu_s: seconds of wall clock and of processor time that the run loop took, set-up excluded.
    datagrams: how many arrived. frame_hops: links and forwarding devices crossed by all of them.
    peak_rss_mib: the most memory the whole process ever used.
    capture_mib: the size of the captures that were written.
    """

    run_s: float
    cpu_s: float
    datagrams: int
    frame_hops: int
    peak_rss_mib: float
    capture_mib: float
