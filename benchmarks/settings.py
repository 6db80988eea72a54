"""One measurement: which workload under which setting, and what a run of it gave."""

from __future__ import annotations

from dataclasses import dataclass

CAPTURES: dict[str, tuple[str, ...]] = {
    "bridge-udp": ("none", "receiver", "all"),
    "overlay-udp": ("none", "underlay"),
    "bridge-tcp": ("none", "receiver"),
}
"""Workload -> what can be captured in it."""

TCP_WORKLOADS = ("bridge-tcp",)
SEGMENT = 1448
"""Payload of a full TCP segment with timestamps."""


class BenchmarkError(Exception):
    """The user asked for something that cannot be measured; the text is the one line that is printed."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured: the workload's name, what is captured, checksums or not, how many datagrams.

    In a TCP workload a datagram is a full segment's payload of 1448 bytes.
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
