"""The cable: how a frame gets from one device to the other, one object per direction.

A direction is a line with a clock: the time until which it is busy. Sending a frame computes at once when its last
bit is sent and when it arrives, and puts one entry on the kernel's heap (one event per traversal). Which method does
that, `send`, is chosen when something is configured, so that what is not used costs nothing.

Serialization times are exact: the line's clock counts in fractions of a nanosecond chosen so that every byte takes a
whole number of them. Only the moment of arrival is rounded, up to the next nanosecond, so nothing drifts.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappush
from math import gcd
from random import Random
from typing import TYPE_CHECKING, Any

from emu.device.impairment import Impairments
from emu.device.queue import TransmitQueue
from emu.kernel.tap import DIRECTION_OUT
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.device.wired import WiredDevice

BIT_NS_PER_BYTE_SECOND = 8 * 10**9


class CableDirection:
    """One direction of a cable, from `source` to `destination`.

    framing_bytes: what the line adds to every frame (24 on Ethernet: preamble 8, FCS 4, gap 12).
    minimum_bytes: the shortest frame on the line (60 on Ethernet, without framing); shorter ones take as long.
    impairments: the settings (change them with `set`).
    send: takes a frame; returns False when the queue is full (the drop is counted and reported).
    deliver: what a heap entry calls at the other end.

    A frame that is lost still occupies the line; a duplicate occupies it once more. A reordered frame skips the
    delay, as with netem, and random jitter reorders frames that are closer together than the jitter.

    Limits: netem drops lost frames before they are queued, here they are lost after the line. A duplicate is neither
    lost nor corrupted. What is changed while running applies to frames sent from then on; frames in the queue keep
    the times they were given. The source's tap sees a frame when it enters the queue, not when it leaves it.
    """

    __slots__ = (
        "busy",
        "cpu",
        "delay_ns",
        "deliver",
        "destination",
        "framing_bytes",
        "heap",
        "impairments",
        "kernel",
        "minimum_bytes",
        "next_sequence",
        "per_byte",
        "queue",
        "scale",
        "send",
        "source",
        "statistics",
        "streams",
    )

    def __init__(
        self, source: WiredDevice, destination: WiredDevice, framing_bytes: int = 0, minimum_bytes: int = 0
    ) -> None:
        kernel = source.kernel
        self.kernel = kernel
        self.heap: list[Any] = kernel.heap
        self.next_sequence = kernel.next_sequence
        self.source = source
        self.destination = destination
        self.framing_bytes = framing_bytes
        self.minimum_bytes = minimum_bytes
        self.impairments = Impairments()
        self.busy = 0
        """When the line is free again, in 1/scale ns."""
        self.scale = 1
        self.per_byte = 0
        self.delay_ns = 0
        self.queue = TransmitQueue(self.impairments.packet_limit, None)
        self.cpu = source.cpu
        self.streams: dict[str, Random] = {}
        self.statistics = CableStatistics()
        self.deliver: Callable[[Frame], Any] = destination.receive
        self.send: Callable[[Frame], bool] = self._send_at_once
        self.choose_send()

    # -- configuration ------------------------------------------------------------------------------------------------

    def set(self, **changes: Any) -> None:
        """Change some of the impairments (see `Impairments.change`), also while running."""
        self.apply(self.impairments.change(changes, self.source.label))

    def apply(self, impairments: Impairments) -> None:
        """Take over settings that have been checked."""
        self.impairments = impairments
        self.delay_ns = impairments.delay_ns
        self._set_rate(impairments.rate_bps)
        self.queue.limit_packets = impairments.packet_limit
        self.queue.limit_bytes = impairments.queue_bytes
        self.choose_send()

    def _set_rate(self, rate_bps: int | None) -> None:
        if rate_bps is None:
            per_byte, scale = 0, 1
        else:
            common = gcd(BIT_NS_PER_BYTE_SECOND, rate_bps)
            per_byte, scale = BIT_NS_PER_BYTE_SECOND // common, rate_bps // common
        if scale != self.scale:
            self.busy = -(-self.busy // self.scale) * scale
            self.queue.rescale(self.scale, scale)
        self.per_byte, self.scale = per_byte, scale

    def choose_send(self) -> None:
        """Choose the cheapest method that does what is configured; called whenever something has changed."""
        source, destination = self.source, self.destination
        self.cpu = source.cpu
        same_cpu = source.cpu is destination.cpu
        impairments = self.impairments
        if impairments.is_random:
            self.send = self._send_impaired
        elif self.per_byte:
            self.send = self._send_serialized if self.scale == 1 else self._send_exactly
        elif self.delay_ns or (self.cpu is not None and not same_cpu):
            self.send = self._send_delayed
        else:
            self.send = self._send_at_once
        # Within one host a frame that crosses at once stays part of the same traversal; else it starts a new one.
        if destination.cpu is None or (same_cpu and self.send == self._send_at_once):
            self.deliver = destination.receive
        else:
            self.deliver = destination.arrive
        source.send = self.send
        # The commonest lines have a way in of their own that saves a call per frame.
        if self.send != self._send_serialized or self.cpu is not None:
            source.transmit = source.transmit_generally
        elif self.framing_bytes or self.minimum_bytes:
            source.transmit = self._transmit_framed
        else:
            source.transmit = self._transmit_serialized

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
        on_line = size if size > self.minimum_bytes else self.minimum_bytes
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

    def _send_at_once(self, frame: Frame) -> bool:
        """A perfect wire: the frame crosses at this instant, after what is already waiting for it."""
        self.kernel.soon(self.deliver, frame)
        return True

    def _send_delayed(self, frame: Frame) -> bool:
        """A line without a rate limit: only the propagation delay, and the host's work before it."""
        heappush(self.heap, (self._ready_ns() + self.delay_ns, 1, self.next_sequence(), self.deliver, frame))
        return True

    def _send_serialized(self, frame: Frame) -> bool:
        """A line on which a byte takes a whole number of nanoseconds."""
        ready = self.kernel.now if self.cpu is None else self._ready_ns()
        size = len(frame.data)
        if size < self.minimum_bytes:
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
        """A line with any rate: its clock runs in fractions of a nanosecond."""
        sequence = self.next_sequence()
        done_ns = self._occupy(len(frame.data), sequence)
        if done_ns < 0:
            return self._refuse(frame)
        heappush(self.heap, (done_ns + self.delay_ns, 1, sequence, self.deliver, frame))
        return True

    def _send_impaired(self, frame: Frame) -> bool:
        """A line on which chance plays a part; every kind draws once per frame from a stream of its own."""
        settings = self.impairments
        lost = bool(settings.loss) and self._random("loss").random() < settings.loss
        duplicated = bool(settings.duplicate) and self._random("duplicate").random() < settings.duplicate
        corrupted = bool(settings.corrupt) and self._random("corrupt").random() < settings.corrupt
        delay_ns = self._draw_delay_ns("jitter", "reorder")
        sequence = self.next_sequence()
        done_ns = self._occupy(len(frame.data), sequence)
        if done_ns < 0:
            return self._refuse(frame)
        statistics = self.statistics
        statistics.frames += 1
        if lost:
            statistics.lost += 1
            self.source.drop(frame, DropReason.LOSS)
        else:
            sent = self._corrupt(frame) if corrupted else frame
            if delay_ns < 0:
                statistics.reordered += 1
                delay_ns = 0
            heappush(self.heap, (done_ns + delay_ns, 1, sequence, self.deliver, sent))
        if duplicated:
            self._send_duplicate(frame)
        return True

    def _send_duplicate(self, frame: Frame) -> None:
        delay_ns = max(0, self._draw_delay_ns("duplicate jitter", "duplicate reorder"))
        sequence = self.next_sequence()
        done_ns = self._occupy(len(frame.data), sequence)
        if done_ns < 0:
            self._refuse(frame)
            return
        self.statistics.duplicated += 1
        heappush(self.heap, (done_ns + delay_ns, 1, sequence, self.deliver, frame))

    # -- parts --------------------------------------------------------------------------------------------------------

    def _ready_ns(self) -> int:
        """When the host has done the work that precedes sending: now, or when its CPU gets there."""
        now = self.kernel.now
        cpu = self.cpu
        if cpu is not None and cpu.busy_until_ns > now:
            return cpu.busy_until_ns
        return now

    def _occupy(self, size: int, sequence: int) -> int:
        """Queue a frame for the line; return when its last bit is sent in ns (rounded up), -1 if the queue is full."""
        scale = self.scale
        ready = self._ready_ns() * scale
        if size < self.minimum_bytes:
            size = self.minimum_bytes
        start = self.busy
        if start <= ready:
            start = ready
        elif not self.queue.admit(ready, start, size, sequence):
            return -1
        self.busy = done = start + (size + self.framing_bytes) * self.per_byte
        return -(-done // scale)

    def _refuse(self, frame: Frame) -> bool:
        self.statistics.queue_full += 1
        self.source.drop(frame, DropReason.QUEUE_FULL)
        return False

    def _random(self, kind: str) -> Random:
        """Return this direction's stream for one kind of impairment."""
        stream = self.streams.get(kind)
        if stream is None:
            name = f"cable {self.source.label} to {self.destination.label} {kind}"
            stream = self.streams[kind] = self.kernel.random(name)
        return stream

    def _draw_delay_ns(self, jitter_stream: str, reorder_stream: str) -> int:
        """Draw a frame's delay; -1 when it is to overtake the others by skipping it."""
        settings = self.impairments
        delay_ns = self.delay_ns
        jitter_ns = settings.jitter_ns
        if jitter_ns:
            delay_ns += int(self._random(jitter_stream).random() * (2 * jitter_ns + 1)) - jitter_ns
            self.statistics.note_delay(delay_ns)
        if settings.reorder and self._random(reorder_stream).random() < settings.reorder:
            return -1
        return delay_ns

    def _corrupt(self, frame: Frame) -> Frame:
        """Return a copy with one random bit flipped, marked as altered."""
        self.statistics.corrupted += 1
        data = bytearray(frame.data)
        bit = self._random("corrupted bit").randrange(len(data) * 8)
        data[bit >> 3] ^= 1 << (bit & 7)
        return Frame(bytes(data), frame.packet_id, True)

    # -- the link goes down -------------------------------------------------------------------------------------------

    def flush_queue(self) -> None:
        """Drop the frames that wait for the line, as Linux empties the queue when the carrier goes.

        Frames that are on the line or beyond arrive (if the other end still listens).
        """
        queue = self.queue
        queue.forget_left(self._ready_ns() * self.scale)
        if not queue.waiting:
            return
        self.busy = queue.waiting[0][0]
        sequences = {sequence for _, _, sequence in queue.waiting}
        queue.clear()
        heap = self.heap
        flushed = sorted(entry for entry in heap if entry[2] in sequences)
        heap[:] = [entry for entry in heap if entry[2] not in sequences]
        heapify(heap)
        for entry in flushed:
            self.source.drop_sent(entry[4], DropReason.NO_CARRIER)


class CableStatistics:
    """What chance and the queue really did on one direction.

    frames, lost, duplicated, reordered, corrupted: counted while something random is configured.
    queue_full: frames the queue refused. jitter_*: of the delays drawn.
    """

    __slots__ = (
        "corrupted",
        "delay_maximum_ns",
        "delay_minimum_ns",
        "delay_total_ns",
        "delays",
        "duplicated",
        "frames",
        "lost",
        "queue_full",
        "reordered",
    )

    def __init__(self) -> None:
        self.frames = self.lost = self.duplicated = self.reordered = self.corrupted = self.queue_full = 0
        self.delays = self.delay_total_ns = self.delay_minimum_ns = self.delay_maximum_ns = 0

    def note_delay(self, delay_ns: int) -> None:
        """Count one delay that was drawn with jitter."""
        if not self.delays or delay_ns < self.delay_minimum_ns:
            self.delay_minimum_ns = delay_ns
        if delay_ns > self.delay_maximum_ns:
            self.delay_maximum_ns = delay_ns
        self.delays += 1
        self.delay_total_ns += delay_ns

    def as_dict(self) -> dict[str, int]:
        """Return all counts by name."""
        return {name: getattr(self, name) for name in self.__slots__}


class Cable:
    """Both directions between two devices; `set`, `up` and `down` act on both.

    ends: the two devices. is_up: the cable is plugged in; `down` takes the carrier from both ends.

    Frames that are on the line when it goes down arrive, those still in the queue are dropped, and new ones find no
    carrier (Linux empties a device's queue when the carrier goes, and what a card has begun to send it finishes).
    """

    __slots__ = ("directions", "ends", "is_up")

    def __init__(self, a: WiredDevice, b: WiredDevice, framing_bytes: int = 0, minimum_bytes: int = 0) -> None:
        self.ends = (a, b)
        self.is_up = True
        a.peer, b.peer = b, a
        a.cable = b.cable = self
        a.direction = CableDirection(a, b, framing_bytes, minimum_bytes)
        b.direction = CableDirection(b, a, framing_bytes, minimum_bytes)
        self.directions = (a.direction, b.direction)
        a.cable_changed()
        b.cable_changed()

    def set(self, **changes: Any) -> None:
        """Change impairments of both directions; nothing is changed when a value is wrong."""
        checked = [direction.impairments.change(changes, direction.source.label) for direction in self.directions]
        for direction, impairments in zip(self.directions, checked, strict=True):
            direction.apply(impairments)

    def up(self) -> None:
        """Plug the cable in."""
        self._switch(True)

    def down(self) -> None:
        """Pull the cable out."""
        self._switch(False)

    def _switch(self, is_up: bool) -> None:
        if self.is_up is is_up:
            return
        self.is_up = is_up
        for end in self.ends:
            end.cable_changed()
