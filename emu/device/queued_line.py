"""A line whose queue really holds its frames, for disciplines that decide when a frame leaves (CoDel, RED).

It costs a second event per frame, when the line is free for the next one. So it is chosen only for such a discipline;
everything else about the line (rate, burst, delay, chance) is the direction's own.
"""

from __future__ import annotations

from heapq import heappush
from typing import TYPE_CHECKING

from emu.device.netdevice import ETHERNET_HEADER_BYTES
from emu.device.queues.codel import CoDel, CoDelQueue
from emu.device.queues.frame_queue import FrameQueue, Waiting
from emu.device.queues.red import Red, RedQueue
from emu.kernel.tap import DIRECTION_OUT
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.device.cable_direction import CableDirection
    from emu.device.queues.parse import Discipline


class QueuedLine:
    """The way through one direction with a queue discipline.

    queue: the frames that wait. held: the frame that has left the queue, but not yet the token bucket.

    As in Linux the device counts a frame and shows it to taps when it leaves the queue, so that they see marks, and
    frames that are dropped before that appear nowhere but as drops. Fates are drawn then, too.
    """

    __slots__ = ("_direction", "_is_waiting", "_wake_number", "held", "queue")

    def __init__(self, direction: CableDirection, discipline: Discipline) -> None:
        self._direction = direction
        self._is_waiting = False
        self._wake_number = 0
        self.held: Waiting | None = None
        self.queue: FrameQueue = self._make_queue(discipline)

    def configure(self, discipline: Discipline, rate_bps: int) -> None:
        """Set the discipline, or follow a change of the line; frames that wait stay in the queue."""
        queue = self.queue
        if (isinstance(queue, CoDelQueue) and isinstance(discipline, CoDel)) or (
            isinstance(queue, RedQueue) and isinstance(discipline, Red)
        ):
            queue.settings = discipline
        else:
            self.queue = self._make_queue(discipline)
            self.queue.take_over(queue.empty())
        if isinstance(self.queue, RedQueue):
            self.queue.set_rate(rate_bps)
        self.queue.reset_statistics()
        if self.held is not None or self.queue.frames:
            self._wake_at(self._free_ns())

    def _make_queue(self, discipline: Discipline) -> FrameQueue:
        source, chance = self._direction.source, self._direction.chance
        if isinstance(discipline, CoDel):
            return CoDelQueue(discipline, self._drop, lambda: source.mtu + ETHERNET_HEADER_BYTES)
        return RedQueue(discipline, self._drop, lambda: chance.stream("red"))

    # -- frames come --------------------------------------------------------------------------------------------------

    def transmit(self, frame: Frame) -> bool:
        """Do what `WiredDevice.transmit_generally` does, except for what happens later here (see the class)."""
        source = self._direction.source
        size = len(frame.data)
        if size > source.size_limit:
            return source.refuse(frame, size)
        cpu = self._direction.cpu
        if cpu is not None:
            cpu.busy_until_ns += source.transmit_cost_ns
        return self.send(frame)

    def send(self, frame: Frame) -> bool:
        """Queue a frame; False when it is refused, except for RED's drops, of which Linux's senders don't hear."""
        direction = self._direction
        reason = direction.refusal_of(len(frame.data))
        ready_ns = direction.ready_ns()
        if reason is None:
            reason = self.queue.enqueue(frame, ready_ns, ready_ns - self._free_ns())
        if reason is not None:
            return self._refuse(frame, reason)
        free_ns = self._free_ns()
        if self._is_waiting or free_ns > ready_ns:
            self.queue.note_length()
        if not self._is_waiting:
            wake_ns = max(ready_ns, free_ns)
            if wake_ns > direction.kernel.now:
                self._wake_at(wake_ns)
            else:
                self._serve(self._wake_number)
        return True

    def _refuse(self, frame: Frame, reason: DropReason) -> bool:
        counters = self._direction.counters
        if reason is DropReason.QUEUE_FULL:
            counters.queue_full += 1
        elif reason is DropReason.OVER_BURST:
            counters.over_burst += 1
        else:
            self._drop(frame, reason)
            return True
        self._direction.source.drop_sent(frame, reason)
        return False

    def _drop(self, frame: Frame, reason: DropReason) -> None:
        """Count and report a frame that the discipline drops."""
        self._direction.counters.queue_dropped += 1
        self._direction.source.drop_sent(frame, reason)

    # -- frames leave -------------------------------------------------------------------------------------------------

    def leaves_ns(self) -> int:
        """Return when the last frame that waits will leave the queue if none before it is dropped, in ns."""
        direction = self._direction
        free = max(direction.busy, direction.kernel.now * direction.scale)
        return (free + self.queue.bytes_waiting * direction.per_byte) // direction.scale

    def _free_ns(self) -> int:
        """When the line is free, rounded up."""
        direction = self._direction
        return -(-direction.busy // direction.scale)

    def _wake_at(self, time_ns: int) -> None:
        """Look after the queue at that time, and not at any other that was asked for before."""
        direction = self._direction
        self._is_waiting = True
        self._wake_number += 1
        time_ns = max(time_ns, direction.kernel.now)
        heappush(direction.heap, (time_ns, 1, direction.next_sequence(), self._serve, self._wake_number))

    def _serve(self, wake_number: int) -> None:
        """The line is free: send the next frame, and come back when it is free again."""
        if wake_number != self._wake_number:
            return
        self._is_waiting = False
        direction = self._direction
        now = direction.kernel.now
        if self._free_ns() > now:
            self._wake_at(self._free_ns())
            return
        waiting, self.held = self.held, None
        if waiting is None:
            waiting = self._next(now)
        if waiting is None:
            return
        size = max(len(waiting.frame.data), direction.minimum_bytes)
        start = direction.start_of(size, waiting.since_ns * direction.scale)
        if start > now * direction.scale:  # the bucket has no tokens for it yet
            self.held = waiting
            self._wake_at(-(-start // direction.scale))
            return
        self._leave(waiting.frame, size, start)
        if self.queue.frames:
            self._wake_at(self._free_ns())

    def _next(self, now: int) -> Waiting | None:
        """Take the next frame out of the queue, unless the host's CPU is still at work on it."""
        frames = self.queue.frames
        if frames and frames[0].since_ns > now:
            self._wake_at(frames[0].since_ns)
            return None
        waiting = self.queue.dequeue(now)
        if waiting is not None:
            self.queue.note_delay(now - waiting.since_ns)
        return waiting

    def _leave(self, frame: Frame, size: int, start: int) -> None:
        """Send a frame: `start` is when its first bit is sent, in the line's unit of time."""
        direction = self._direction
        source = direction.source
        counters = direction.counters
        if counters.first < 0:
            counters.first = start
        counters.extra_bytes += size - len(frame.data)
        source.tx_packets += 1
        source.tx_bytes += len(frame.data)
        tap = source.tap
        if tap is not None:
            tap(direction.kernel.now, frame, DIRECTION_OUT)
        if not direction.impairments.is_random:
            done_ns = direction.begin(size, start)
            arrives_ns = done_ns + direction.delay_ns
            heappush(direction.heap, (arrives_ns, 1, direction.next_sequence(), direction.deliver, frame))
            return
        fate = direction.chance.draw()
        direction.meet_fate(frame, fate, direction.begin(size, start), direction.next_sequence())
        if fate.duplicated:
            delay_ns = direction.chance.draw_for_duplicate()
            done_ns = direction.begin(size, direction.start_of(size, direction.busy))
            direction.meet_fate_of_duplicate(frame, delay_ns, done_ns, direction.next_sequence())

    # -- the end ------------------------------------------------------------------------------------------------------

    def flush(self) -> list[Frame]:
        """Give up all frames that wait."""
        self._wake_number += 1
        self._is_waiting = False
        frames = [] if self.held is None else [self.held.frame]
        self.held = None
        return frames + [waiting.frame for waiting in self.queue.empty()]

    def hand_over(self) -> None:
        """Let the direction send all frames that wait, however many, without this queue."""
        direction = self._direction
        source = direction.source
        queue = direction.queue
        limits = queue.limit_packets, queue.limit_bytes
        queue.set_limits(None, None)
        for frame in self.flush():
            if direction.send(frame):
                source.tx_packets += 1
                source.tx_bytes += len(frame.data)
                if source.tap is not None:
                    source.tap(direction.kernel.now, frame, DIRECTION_OUT)
            else:
                source.tx_dropped += 1  # the new token bucket is too small for it
        queue.set_limits(*limits)
