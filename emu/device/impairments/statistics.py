"""What the impairments of one direction really did, beside what they were set to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LineStatistics:
    """What one direction of a cable or veth did to frames while its settings were the same.

    interface, toward: names of the sending and the receiving interface. settings: in words, "" for a perfect wire.
    since_ns, until_ns: when they were made, and when they were changed (or now).
    frames, bytes: what was accepted for sending; frames that were lost on the line afterwards are among them.
    rate_bps: bits per second from the first frame to the last, with all that counts for the rate (Ethernet: framing
        and padding); None without a rate or before something was sent.
    lost, loss_rate: on the line. duplicated, corrupted, reordered: frames to which it happened.
    delay_minimum_ns, delay_mean_ns, delay_maximum_ns: of the frames that were not lost, after their last bit was sent
        (with jitter, without the time in the queue); None before there is one.
    queue_full: frames the full queue refused. queue_dropped, queue_marked: what CoDel or RED dropped, and marked
        "congestion experienced". over_burst: frames longer than the token bucket.
    queue_maximum_frames, queue_maximum_bytes: the most that waited; the frame on the line has left the queue.
    queue_delay_*_ns: how long frames waited; None unless the queue is CoDel or RED.
    """

    interface: str
    toward: str
    settings: str
    since_ns: int
    until_ns: int
    frames: int
    bytes: int
    rate_bps: int | None
    lost: int
    loss_rate: float
    duplicated: int
    corrupted: int
    reordered: int
    delay_minimum_ns: int | None
    delay_mean_ns: int | None
    delay_maximum_ns: int | None
    queue_full: int
    queue_dropped: int
    queue_marked: int
    over_burst: int
    queue_maximum_frames: int
    queue_maximum_bytes: int
    queue_delay_minimum_ns: int | None
    queue_delay_mean_ns: int | None
    queue_delay_maximum_ns: int | None

    @property
    def is_empty(self) -> bool:
        """Whether no frame came."""
        return not (self.frames or self.queue_full or self.queue_dropped or self.over_burst)

    def summary(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return asdict(self)


class LineCounters:
    """What is counted on one direction since its settings were last changed.

    What lines without anything random do for every frame is not counted here but taken from the device's own counters,
    from where they stood at the beginning (`packets_before`, `bytes_before`).
    first: when the line was first used, in its unit of time; -1 before that.
    extra_bytes: what took time on the line beyond the frames' own bytes and the framing: padding and duplicates.
    delays: how many were counted one by one; 0 on lines whose delay is always the same.
    """

    __slots__ = (
        "bytes_before",
        "corrupted",
        "delay_maximum_ns",
        "delay_minimum_ns",
        "delay_total_ns",
        "delays",
        "duplicated",
        "extra_bytes",
        "first",
        "lost",
        "over_burst",
        "packets_before",
        "queue_dropped",
        "queue_full",
        "reordered",
        "since_ns",
    )

    def __init__(self, since_ns: int, packets_before: int, bytes_before: int) -> None:
        self.since_ns = since_ns
        self.packets_before = packets_before
        self.bytes_before = bytes_before
        self.first = -1
        self.extra_bytes = 0
        self.lost = self.duplicated = self.reordered = self.corrupted = 0
        self.queue_full = self.queue_dropped = self.over_burst = 0
        self.delays = self.delay_total_ns = self.delay_minimum_ns = self.delay_maximum_ns = 0

    def note_delay(self, delay_ns: int) -> None:
        """Count the delay of a frame that goes on its way."""
        if not self.delays or delay_ns < self.delay_minimum_ns:
            self.delay_minimum_ns = delay_ns
        if delay_ns > self.delay_maximum_ns:
            self.delay_maximum_ns = delay_ns
        self.delays += 1
        self.delay_total_ns += delay_ns

    def delays_ns(self, frames: int, constant_ns: int) -> tuple[int | None, int | None, int | None]:
        """Minimum, mean (rounded down) and maximum; constant_ns: that of lines on which they are not counted."""
        if self.delays:
            return self.delay_minimum_ns, self.delay_total_ns // self.delays, self.delay_maximum_ns
        if frames == self.lost:
            return None, None, None
        return constant_ns, constant_ns, constant_ns
