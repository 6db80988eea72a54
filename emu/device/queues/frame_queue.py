"""A queue that really holds frames, for disciplines that decide when a frame is taken out or how long it has waited."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from emu.wire.drop import DropReason
from emu.wire.ecn import mark_congestion
from emu.wire.frame import Frame


class Waiting(NamedTuple):
    """A frame in a queue, and since when it waits."""

    frame: Frame
    since_ns: int


class FrameQueue(ABC):
    """A first-in-first-out queue whose discipline may drop or mark frames.

    report_drop: told of every frame the discipline drops, except those that `enqueue` refuses.
    bytes_waiting: of the frames in it. marked: how many were marked "congestion experienced".
    maximum_frames, maximum_bytes: the most that ever waited; `delays`, `delay_*`: how long those waited that were sent.
    """

    __slots__ = (
        "bytes_waiting",
        "delay_maximum_ns",
        "delay_minimum_ns",
        "delay_total_ns",
        "delays",
        "frames",
        "marked",
        "maximum_bytes",
        "maximum_frames",
        "report_drop",
    )

    def __init__(self, report_drop: Callable[[Frame, DropReason], None]) -> None:
        self.report_drop = report_drop
        self.frames: deque[Waiting] = deque()
        self.bytes_waiting = 0
        self.reset_statistics()

    @abstractmethod
    def enqueue(self, frame: Frame, now_ns: int, idle_ns: int) -> DropReason | None:
        """Take in a frame; return why not if it is dropped.

        now_ns: when it comes, which may be a little later than the present. idle_ns: for how long the line has been
        idle by then (0 or less if it is not).
        """

    @abstractmethod
    def dequeue(self, now_ns: int) -> Waiting | None:
        """Give the next frame to send; None when there is none (any more)."""

    def reset_statistics(self) -> None:
        """Count from here on."""
        self.marked = self.delays = 0
        self.delay_total_ns = self.delay_minimum_ns = self.delay_maximum_ns = 0
        self.maximum_frames = len(self.frames)
        self.maximum_bytes = self.bytes_waiting

    def push(self, frame: Frame, now_ns: int) -> None:
        """Put a frame at the end."""
        self.frames.append(Waiting(frame, now_ns))
        self.bytes_waiting += len(frame.data)

    def note_length(self) -> None:
        """Note how much waits, after a frame came that has to wait."""
        if len(self.frames) > self.maximum_frames:
            self.maximum_frames = len(self.frames)
        if self.bytes_waiting > self.maximum_bytes:
            self.maximum_bytes = self.bytes_waiting

    def pop(self) -> Waiting:
        """Take the frame at the head."""
        waiting = self.frames.popleft()
        self.bytes_waiting -= len(waiting.frame.data)
        return waiting

    def take_over(self, frames: deque[Waiting]) -> None:
        """Put frames that waited in another queue into this one, in their order, whatever the limits."""
        for frame, since_ns in frames:
            self.push(frame, since_ns)

    def empty(self) -> deque[Waiting]:
        """Give up all frames."""
        frames, self.frames = self.frames, deque()
        self.bytes_waiting = 0
        return frames

    def note_delay(self, delay_ns: int) -> None:
        """Count how long a frame has waited that is sent now."""
        if not self.delays or delay_ns < self.delay_minimum_ns:
            self.delay_minimum_ns = delay_ns
        if delay_ns > self.delay_maximum_ns:
            self.delay_maximum_ns = delay_ns
        self.delays += 1
        self.delay_total_ns += delay_ns

    def mark(self, frame: Frame) -> Frame | None:
        """Return the frame marked "congestion experienced"; None when its sender does not support that.

        Who sends it counts it, too (`marked`).
        """
        marked = mark_congestion(frame.data)
        if marked is None:
            return None
        return frame if marked is frame.data else Frame(marked, frame.packet_id, frame.altered)
