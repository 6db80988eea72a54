"""How a frame gets from one device to the other: the ways through one direction of a cable, one method each.

A direction is a line with a clock: the time until which it is busy. Sending a frame computes at once when its last
bit is sent and when it arrives, and puts one entry on the kernel's heap (one event per traversal). Which method does
that is chosen when something is configured (`CableDirection.choose_send`), so that what is not used costs nothing.

Serialization times are exact: the line's clock counts in fractions of a nanosecond chosen so that every byte takes a
whole number of them. Only the moment of arrival is rounded, up to the next nanosecond, so nothing drifts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from heapq import heappush
from typing import TYPE_CHECKING, Any

from emu.device.impairments.chance import REORDERED, Chance, Fate
from emu.device.impairments.statistics import LineCounters
from emu.device.impairments.token_bucket import TokenBucket
from emu.device.queues.drop_tail import TransmitQueue
from emu.kernel.tap import DIRECTION_OUT
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from emu.wire.offload import finished_frames

if TYPE_CHECKING:
    from emu.device.wired import WiredDevice


class Line(ABC):
    """One direction between two devices as a frame sees it; what is set, and how, is `CableDirection`'s.

    framing_bytes: what the line adds to every frame (24 on Ethernet: preamble 8, FCS 4, gap 12).
    minimum_bytes: the shortest frame on the line (60 on Ethernet, without framing); shorter ones take as long.
    busy: when the line is free again. Times of the line are in 1/scale ns, per_byte is one of them.
    queue: the drop-tail queue. bucket: with a burst; `busy` is then when the last frame left.
    deliver: what a heap entry calls at the other end. counters: what happened since the settings were last changed.
    """

    __slots__ = (
        "bucket",
        "busy",
        "chance",
        "counters",
        "cpu",
        "delay_ns",
        "deliver",
        "destination",
        "framing_bytes",
        "heap",
        "kernel",
        "minimum_bytes",
        "next_sequence",
        "per_byte",
        "queue",
        "scale",
        "send",
        "source",
    )

    def __init__(self, source: WiredDevice, destination: WiredDevice, framing_bytes: int, minimum_bytes: int) -> None:
        kernel = source.kernel
        self.kernel = kernel
        self.heap: list[Any] = kernel.heap
        self.next_sequence = kernel.next_sequence
        self.source = source
        self.destination = destination
        self.framing_bytes = framing_bytes
        self.minimum_bytes = minimum_bytes
        self.busy = 0
        self.scale = 1
        self.per_byte = 0
        self.delay_ns = 0
        self.queue = TransmitQueue(None, None)
        self.bucket: TokenBucket | None = None
        self.cpu = source.cpu
        self.chance = Chance(kernel, lambda: f"{source.label} to {destination.label}")
        self.counters = LineCounters(kernel.now, source.tx_packets, source.tx_bytes)
        self.deliver: Callable[[Frame], Any] = destination.receive
        self.send: Callable[[Frame], bool] = self._send_at_once

    @abstractmethod
    def choose_send(self) -> None:
        """Choose the cheapest method that does what is configured."""

    # -- the ways in of lines with nothing but a rate and a delay, on hosts whose work is free ------------------------

    def _transmit_serialized(self, frame: Frame) -> bool:
        """Do what `WiredDevice.transmit_generally` and `_send_serialized` do, in one go."""
        source = self.source
        size = len(frame.data)
        if size > source.size_limit:
            return source.refuse(frame, size)
        kernel = self.kernel
        now = kernel.now
        sequence = self.next_sequence()
        start = self.busy
        if start <= now:
            start = now
        elif not self.queue.admit(now, start, size, sequence):
            source.tx_dropped += 1
            return self._refuse(frame)
        self.busy = done = start + size * self.per_byte
        heappush(self.heap, (done + self.delay_ns, 1, sequence, self.deliver, frame))
        source.tx_packets += 1
        source.tx_bytes += size
        tap = source.tap
        if tap is not None:
            tap(now, frame, DIRECTION_OUT)
        return True

    def _transmit_framed(self, frame: Frame) -> bool:
        """Do the same on Ethernet, where framing takes time, too, and short frames take as long as the shortest."""
        source = self.source
        size = len(frame.data)
        if size > source.size_limit:
            return source.refuse(frame, size)
        now = self.kernel.now
        sequence = self.next_sequence()
        start = self.busy
        if size >= self.minimum_bytes:
            on_line = size
        else:
            on_line = self.minimum_bytes
            self.counters.extra_bytes += on_line - size
        if start <= now:
            start = now
        elif not self.queue.admit(now, start, on_line, sequence):
            source.tx_dropped += 1
            return self._refuse(frame)
        self.busy = done = start + (on_line + self.framing_bytes) * self.per_byte
        heappush(self.heap, (done + self.delay_ns, 1, sequence, self.deliver, frame))
        source.tx_packets += 1
        source.tx_bytes += size
        tap = source.tap
        if tap is not None:
            tap(now, frame, DIRECTION_OUT)
        return True

    # -- sending: one of these is `send` ------------------------------------------------------------------------------

    def _send_first(self, frame: Frame) -> bool:
        """Note when a line with a rate is first used, and send as chosen from then on."""
        ready = self.ready_ns() * self.scale
        self.counters.first = self.busy if self.busy > ready else ready
        self.choose_send()
        return self.send(frame)

    def _send_at_once(self, frame: Frame) -> bool:
        """A perfect wire: the frame crosses at this instant, after what is already waiting for it."""
        self.kernel.soon(self.deliver, frame)
        return True

    def _send_delayed(self, frame: Frame) -> bool:
        """A line without a rate limit: only the propagation delay, and the host's work before it."""
        heappush(self.heap, (self.ready_ns() + self.delay_ns, 1, self.next_sequence(), self.deliver, frame))
        return True

    def _send_serialized(self, frame: Frame) -> bool:
        """A line on which a byte takes a whole number of nanoseconds."""
        ready = self.kernel.now if self.cpu is None else self.ready_ns()
        size = len(frame.data)
        if size < self.minimum_bytes:
            self.counters.extra_bytes += self.minimum_bytes - size
            size = self.minimum_bytes
        sequence = self.next_sequence()
        start = self.busy
        if start <= ready:
            start = ready
        elif not self.queue.admit(ready, start, size, sequence):
            return self._refuse(frame)
        self.busy = done = start + (size + self.framing_bytes) * self.per_byte
        heappush(self.heap, (done + self.delay_ns, 1, sequence, self.deliver, frame))
        return True

    def _send_exactly(self, frame: Frame) -> bool:
        """A line with any rate: its clock runs in fractions of a nanosecond. Also one with a token bucket."""
        sequence = self.next_sequence()
        done_ns = self._occupy(len(frame.data), sequence)
        if done_ns < 0:
            return self._refuse(frame)
        heappush(self.heap, (done_ns + self.delay_ns, 1, sequence, self.deliver, frame))
        return True

    def _send_impaired(self, frame: Frame) -> bool:
        """A line on which chance plays a part."""
        fate = self.chance.draw()
        sequence = self.next_sequence()
        done_ns = self._occupy(len(frame.data), sequence)
        if done_ns < 0:
            return self._refuse(frame)
        self.meet_fate(frame, fate, done_ns, sequence)
        if fate.duplicated:
            self._send_duplicate(frame)
        return True

    def _send_duplicate(self, frame: Frame) -> None:
        delay_ns = self.chance.draw_for_duplicate()
        sequence = self.next_sequence()
        done_ns = self._occupy(len(frame.data), sequence)
        if done_ns < 0:
            self._refuse(frame)
            return
        self.meet_fate_of_duplicate(frame, delay_ns, done_ns, sequence)

    # -- parts --------------------------------------------------------------------------------------------------------

    def ready_ns(self) -> int:
        """When the host has done the work that precedes sending: now, or when its CPU gets there."""
        now = self.kernel.now
        cpu = self.cpu
        if cpu is not None and cpu.busy_until_ns > now:
            return cpu.busy_until_ns
        return now

    def _occupy(self, size: int, sequence: int) -> int:
        """Queue a frame for the line; return when its last bit is sent in ns (rounded up), -1 if it is refused."""
        if size < self.minimum_bytes:
            self.counters.extra_bytes += self.minimum_bytes - size
            size = self.minimum_bytes
        ready = self.ready_ns() * self.scale
        bucket = self.bucket
        if bucket is not None and size + self.framing_bytes > bucket.burst_bytes:
            return -1
        start = self.start_of(size, ready)
        if start > ready and not self.queue.admit(ready, start, size, sequence):
            return -1
        return self.begin(size, start)

    def start_of(self, size: int, ready: int) -> int:
        """When the line could begin to send a frame of so many bytes, in 1/scale ns; with a bucket, when it leaves."""
        start = self.busy
        if start <= ready:
            start = ready
        bucket = self.bucket
        if bucket is not None:
            tokens = bucket.ready_for(size + self.framing_bytes)
            if tokens > start:
                return tokens
        return start

    def begin(self, size: int, start: int) -> int:
        """Let the line send a frame of so many bytes from `start` on; return when its last bit is sent, in ns."""
        on_line = size + self.framing_bytes
        bucket = self.bucket
        if bucket is None:
            start += on_line * self.per_byte
        else:
            bucket.take(start, on_line)
        self.busy = start
        return -(-start // self.scale)

    def meet_fate(self, frame: Frame, fate: Fate, done_ns: int, sequence: int) -> None:
        """Let happen to a frame, whose last bit is sent at `done_ns`, what chance has drawn."""
        counters = self.counters
        if fate.lost:
            counters.lost += 1
            self.source.drop(frame, DropReason.LOSS)
            return
        pieces: list[Frame] = []
        if fate.corrupted:
            counters.corrupted += 1
            frame, *pieces = finished_frames(frame)  # netem, too, cuts a long segment before it damages the first piece
            frame = self.chance.corrupt(frame)
        delay_ns = fate.delay_ns
        if delay_ns == REORDERED:
            counters.reordered += 1
            delay_ns = 0
        counters.note_delay(delay_ns)
        heappush(self.heap, (done_ns + delay_ns, 1, sequence, self.deliver, frame))
        for piece in pieces:
            heappush(self.heap, (done_ns + delay_ns, 1, self.next_sequence(), self.deliver, piece))

    def meet_fate_of_duplicate(self, frame: Frame, delay_ns: int, done_ns: int, sequence: int) -> None:
        """Let a duplicate go its way; it is neither lost nor corrupted, nor counted as reordered."""
        if delay_ns == REORDERED:
            delay_ns = 0
        counters = self.counters
        counters.duplicated += 1
        counters.extra_bytes += len(frame.data) + self.framing_bytes
        counters.note_delay(delay_ns)
        heappush(self.heap, (done_ns + delay_ns, 1, sequence, self.deliver, frame))

    def refusal_of(self, size: int) -> DropReason | None:
        """Say why a frame of so many bytes can never be sent, if so: the token bucket is too small."""
        bucket = self.bucket
        if bucket is not None and max(size, self.minimum_bytes) + self.framing_bytes > bucket.burst_bytes:
            return DropReason.OVER_BURST
        return None

    def _refuse(self, frame: Frame) -> bool:
        size = len(frame.data)
        counters = self.counters
        if size < self.minimum_bytes:
            counters.extra_bytes -= self.minimum_bytes - size  # it was counted before it was refused
        reason = self.refusal_of(size) or DropReason.QUEUE_FULL
        if reason is DropReason.QUEUE_FULL:
            counters.queue_full += 1
        else:
            counters.over_burst += 1
        self.source.drop(frame, reason)
        return False
