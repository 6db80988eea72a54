"""CoDel, controlled delay (RFC 8289): drops or marks frames when even the shortest wait in a while is too long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt

from emu.device.queues.frame_queue import FrameQueue, Waiting
from emu.device.queues.values import parse_count, parse_flag
from emu.kernel.errors import InvalidValue
from emu.kernel.units import format_time_ns, parse_time_ns
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

RECENT_INTERVALS = 16
"""Dropping that begins again within so many intervals goes on at about the rate it had."""


@dataclass(frozen=True, slots=True, init=False)
class CoDel:
    """A CoDel queue: `queue=emu.CoDel(target="5ms", interval="100ms", ecn=True)`, tc's "codel".

    limit: frames that may wait. target: the wait that is acceptable for good. interval: how long the wait must exceed
    it before the first frame is dropped; a round-trip time or somewhat more.
    ecn: mark frames whose senders support it instead of dropping them.

    Raises `InvalidValue` for what cannot be read, and a target that is not shorter than the interval.
    """

    limit: int
    target_ns: int
    interval_ns: int
    ecn: bool

    def __init__(
        self,
        limit: int | str = 1000,
        target: str | int = "5ms",
        interval: str | int = "100ms",
        ecn: bool = False,
    ) -> None:
        set_field = object.__setattr__
        set_field(self, "limit", parse_count(limit, "limit of CoDel"))
        set_field(self, "target_ns", parse_time_ns(target, "target of CoDel"))
        set_field(self, "interval_ns", parse_time_ns(interval, "interval of CoDel"))
        set_field(self, "ecn", parse_flag(ecn, "ecn of CoDel"))
        if not 0 < self.target_ns < self.interval_ns:
            raise InvalidValue(
                f"CoDel: target {format_time_ns(self.target_ns)} must be more than 0 and shorter than interval "
                f"{format_time_ns(self.interval_ns)}"
            )

    def text(self) -> str:
        """Write it as tc does."""
        words = f"codel limit {self.limit} target {format_time_ns(self.target_ns)}"
        return f"{words} interval {format_time_ns(self.interval_ns)}{' ecn' if self.ecn else ''}"


class CoDelQueue(FrameQueue):
    """The queue and the state of RFC 8289's algorithm, whose names it keeps.

    With ECN a frame that is marked instead of dropped is sent, and with it ends the work at this instant, as in Linux.
    largest_frame: asked for the bytes of the longest frame; a backlog of no more than that is no standing queue.
    Times are whole nanoseconds: interval / sqrt(count) is rounded down.
    """

    __slots__ = ("count", "drop_next", "dropping", "first_above_time", "largest_frame", "lastcount", "settings")

    def __init__(
        self, settings: CoDel, report_drop: Callable[[Frame, DropReason], None], largest_frame: Callable[[], int]
    ) -> None:
        super().__init__(report_drop)
        self.largest_frame = largest_frame
        self.settings = settings
        self.dropping = False
        self.first_above_time = 0
        self.drop_next = 0
        self.count = 0
        self.lastcount = 0

    def enqueue(self, frame: Frame, now_ns: int, idle_ns: int) -> DropReason | None:
        """Take in a frame unless the queue is full (see `FrameQueue.enqueue`)."""
        if len(self.frames) >= self.settings.limit:
            return DropReason.QUEUE_FULL
        self.push(frame, now_ns)
        return None

    def dequeue(self, now_ns: int) -> Waiting | None:
        """RFC 8289's deque (section 5.5)."""
        waiting, ok_to_drop = self._dodequeue(now_ns)
        if waiting is None:
            self.dropping = False
            return None
        if self.dropping:
            if not ok_to_drop:
                self.dropping = False
            while self.dropping and waiting is not None and now_ns >= self.drop_next:
                self.count += 1
                marked = self._mark_or_drop(waiting)
                if marked is not None:
                    self.drop_next = self._control_law(self.drop_next)
                    return marked
                waiting, ok_to_drop = self._dodequeue(now_ns)
                if ok_to_drop:
                    self.drop_next = self._control_law(self.drop_next)
                else:
                    self.dropping = False
        elif ok_to_drop:
            marked = self._mark_or_drop(waiting)
            waiting = marked if marked is not None else self._dodequeue(now_ns)[0]
            self._begin_dropping(now_ns)
        return waiting

    def _dodequeue(self, now_ns: int) -> tuple[Waiting | None, bool]:
        """Take the frame at the head; the flag says that waits have been above the target for an interval."""
        if not self.frames:
            self.first_above_time = 0
            return None, False
        waiting = self.pop()
        if now_ns - waiting.since_ns < self.settings.target_ns or self.bytes_waiting <= self.largest_frame():
            self.first_above_time = 0
            return waiting, False
        if self.first_above_time == 0:
            self.first_above_time = now_ns + self.settings.interval_ns
            return waiting, False
        return waiting, now_ns >= self.first_above_time

    def _begin_dropping(self, now_ns: int) -> None:
        self.dropping = True
        delta = self.count - self.lastcount
        is_recent = now_ns - self.drop_next < RECENT_INTERVALS * self.settings.interval_ns
        self.count = delta if delta > 1 and is_recent else 1
        self.drop_next = self._control_law(now_ns)
        self.lastcount = self.count

    def _control_law(self, time_ns: int) -> int:
        return time_ns + isqrt(self.settings.interval_ns**2 // self.count)

    def _mark_or_drop(self, waiting: Waiting) -> Waiting | None:
        """Return the marked frame, or None when it was dropped."""
        if self.settings.ecn:
            marked = self.mark(waiting.frame)
            if marked is not None:
                self.marked += 1
                return Waiting(marked, waiting.since_ns)
        self.report_drop(waiting.frame, DropReason.CODEL)
        return None
