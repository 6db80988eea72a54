"""One direction of a cable: what is set on it, which way frames take because of it, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import TYPE_CHECKING, Any

from emu.device.impairments.settings import Impairments
from emu.device.impairments.statistics import LineCounters, LineStatistics
from emu.device.impairments.token_bucket import TokenBucket
from emu.device.line import Line
from emu.device.line_statistics import statistics_of
from emu.device.queued_line import QueuedLine
from emu.device.rescheduling import put_back, take_back
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.device.wired import WiredDevice

BIT_NS_PER_BYTE_SECOND = 8 * 10**9


class CableDirection(Line):
    """One direction of a cable, from `source` to `destination`.

    impairments: the settings (change them with `set`).
    send: takes a frame; returns False when the queue is full (the drop is counted and reported).
    queued: what takes the place of the drop-tail queue when a queue discipline is set; it needs a second event per
        frame. history: what happened before the settings were last changed.

    A frame that is lost still occupies the line; a duplicate occupies it once more. A reordered frame skips the
    delay, as with netem, and random jitter reorders frames that are closer together than the jitter.

    A change while running: chance and delay apply to frames sent from then on. A new rate or burst also applies to
    the frames that wait, but not to the one on the line; without a rate they leave at once. Nothing that waits is
    dropped by a change, whatever the new limits. What waits in a drop-tail queue leaves as it would have; what waits
    under a queue discipline goes over to the next queue.

    Limits: netem drops lost frames before they are queued, here they are lost after the line. A duplicate is neither
    lost nor corrupted. The source's tap sees a frame when it enters the drop-tail queue, not when it leaves it.
    """

    __slots__ = ("history", "impairments", "queued")

    def __init__(
        self, source: WiredDevice, destination: WiredDevice, framing_bytes: int = 0, minimum_bytes: int = 0
    ) -> None:
        super().__init__(source, destination, framing_bytes, minimum_bytes)
        self.impairments = Impairments()
        self.queue.set_limits(self.impairments.packet_limit, None)
        self.queued: QueuedLine | None = None
        self.history: list[LineStatistics] = []
        self.choose_send()

    # -- configuration ------------------------------------------------------------------------------------------------

    def set(self, **changes: Any) -> None:
        """Change some of the impairments (see `Impairments.change`), also while running."""
        self.apply(self.impairments.change(changes, self.source.label))

    def apply(self, impairments: Impairments) -> None:
        """Take over settings that have been checked."""
        old = self.impairments
        if impairments == old:
            return
        so_far = self.statistics
        if not so_far.is_empty:
            self.history.append(so_far)
        self.impairments = impairments
        self.delay_ns = impairments.delay_ns
        self.chance.configure(impairments)
        self.queue.set_limits(impairments.packet_limit, impairments.queue_bytes)
        if (impairments.rate_bps, impairments.burst_bytes) != (old.rate_bps, old.burst_bytes):
            waiting = take_back(self)
            self._set_rate(impairments.rate_bps, impairments.burst_bytes)
            put_back(self, waiting)
        self.queue.reset_maximum()
        self.counters = LineCounters(self.kernel.now, self.source.tx_packets, self.source.tx_bytes)
        self._set_discipline(impairments)

    def _set_rate(self, rate_bps: int | None, burst_bytes: int | None) -> None:
        old_scale = self.scale
        if rate_bps is None:
            per_byte, scale = 0, 1
        else:
            common = gcd(BIT_NS_PER_BYTE_SECOND, rate_bps)
            per_byte, scale = BIT_NS_PER_BYTE_SECOND // common, rate_bps // common
        if scale != old_scale:
            self.busy = -(-self.busy // old_scale) * scale
        self.per_byte, self.scale = per_byte, scale
        now = self.kernel.now
        if burst_bytes is None:
            self.bucket = None
        elif self.bucket is None:
            self.bucket = TokenBucket(burst_bytes, per_byte, now * scale)
        else:
            self.bucket = self.bucket.changed(burst_bytes, per_byte, now * scale, now * old_scale)

    def _set_discipline(self, impairments: Impairments) -> None:
        """Make the queue what it shall be; frames that wait in another one go over to it."""
        queued = self.queued
        if impairments.discipline is None:
            self.queued = None
            self.choose_send()
            if queued is not None:
                queued.hand_over()
            return
        assert impairments.rate_bps is not None
        if queued is None:
            queued = self.queued = QueuedLine(self, impairments.discipline)
        queued.configure(impairments.discipline, impairments.rate_bps)
        self.choose_send()

    def choose_send(self) -> None:
        """Choose the cheapest method that does what is configured; called whenever something has changed."""
        source, destination = self.source, self.destination
        self.cpu = source.cpu
        same_cpu = source.cpu is destination.cpu
        send = self._cheapest_send(same_cpu)
        # Within one host a frame that crosses at once stays part of the same traversal; else it starts a new one.
        if destination.cpu is None or (same_cpu and send == self._send_at_once):
            self.deliver = destination.receive
        else:
            self.deliver = destination.arrive
        if self.per_byte and self.counters.first < 0 and self.queued is None:
            send = self._send_first
        self.send = source.send = send
        # The commonest lines have a way in of their own that saves a call per frame.
        if self.queued is not None:
            source.transmit = self.queued.transmit
        elif send != self._send_serialized or self.cpu is not None:
            source.transmit = source.transmit_generally
        elif self.framing_bytes or self.minimum_bytes:
            source.transmit = self._transmit_framed
        else:
            source.transmit = self._transmit_serialized
        source.transmit_chosen()

    def _cheapest_send(self, same_cpu: bool) -> Callable[[Frame], bool]:
        if self.queued is not None:
            return self.queued.send
        if self.impairments.is_random:
            return self._send_impaired
        if self.bucket is not None:
            return self._send_exactly
        if self.per_byte:
            return self._send_serialized if self.scale == 1 else self._send_exactly
        if self.delay_ns or (self.cpu is not None and not same_cpu):
            return self._send_delayed
        return self._send_at_once

    # -- what it did --------------------------------------------------------------------------------------------------

    @property
    def statistics(self) -> LineStatistics:
        """What the direction did since its settings were last changed."""
        return statistics_of(self)

    # -- the link goes down -------------------------------------------------------------------------------------------

    def flush_queue(self) -> None:
        """Drop the frames that wait for the line, as Linux empties the queue when the carrier goes.

        Frames that are on the line or beyond arrive (if the other end still listens).
        """
        frames = [entry.frame for entry in take_back(self) if entry.frame is not None]
        if self.queued is not None:
            frames += self.queued.flush()
        for frame in frames:
            self.source.drop_sent(frame, DropReason.NO_CARRIER)
