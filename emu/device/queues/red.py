"""RED, random early detection (Floyd and Jacobson 1993, RFC 2309): drops or marks the more frames the longer the queue
is on average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from emu.device.queues.frame_queue import FrameQueue, Waiting
from emu.device.queues.values import parse_count, parse_flag, parse_part, parse_queue_size
from emu.kernel.errors import InvalidValue
from emu.kernel.units import format_size_bytes
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

LIMIT_PER_MAXIMUM = 4
"""How many times `maximum` the queue may hold unless said otherwise; tc-red(8) advises "a few times"."""


@dataclass(frozen=True, slots=True, init=False)
class Red:
    """A RED queue: `queue=emu.Red(minimum="30KB", maximum="90KB", probability=0.1, ecn=True)`, tc's "red".

    minimum, maximum: average queue lengths in bytes: below the one nothing is dropped, above the other everything.
    probability: with which a frame is dropped as the average comes near the maximum.
    limit: bytes that may really wait; 4 times the maximum unless given.
    weight: of a new queue length in the average, above 0 up to 1. average_packet: bytes (tc's avpkt), for how fast
    the average falls while the line is idle.
    ecn: mark frames whose senders support it instead of dropping them, also above the maximum; with harddrop those
    above the maximum are dropped.

    Raises `InvalidValue` for what cannot be read, and when not minimum < maximum <= limit.
    """

    minimum_bytes: int
    maximum_bytes: int
    probability: float
    limit_bytes: int
    weight: float
    average_packet_bytes: int
    ecn: bool
    harddrop: bool

    def __init__(
        self,
        minimum: str | int,
        maximum: str | int,
        probability: float | str = 0.02,
        limit: str | int | None = None,
        weight: float | str = 0.002,
        average_packet: str | int = 1000,
        ecn: bool = False,
        harddrop: bool = False,
    ) -> None:
        set_field = object.__setattr__
        set_field(self, "minimum_bytes", parse_queue_size(minimum, "minimum of Red"))
        set_field(self, "maximum_bytes", parse_queue_size(maximum, "maximum of Red"))
        set_field(self, "probability", parse_part(probability, "probability of Red"))
        largest = LIMIT_PER_MAXIMUM * self.maximum_bytes
        set_field(self, "limit_bytes", largest if limit is None else parse_queue_size(limit, "limit of Red"))
        set_field(self, "weight", parse_part(weight, "weight of Red"))
        set_field(self, "average_packet_bytes", parse_count(average_packet, "average_packet of Red"))
        set_field(self, "ecn", parse_flag(ecn, "ecn of Red"))
        set_field(self, "harddrop", parse_flag(harddrop, "harddrop of Red"))
        if not self.minimum_bytes < self.maximum_bytes <= self.limit_bytes:
            sizes = (self.minimum_bytes, self.maximum_bytes, self.limit_bytes)
            values = "{}, {} and {}".format(*(format_size_bytes(size) for size in sizes))
            raise InvalidValue(f"Red: expected minimum < maximum <= limit, not {values}")
        if self.harddrop and not self.ecn:
            raise InvalidValue("Red: harddrop says what ecn does above the maximum: set ecn=True as well")

    def text(self) -> str:
        """Write it as tc does."""
        sizes = (("limit", self.limit_bytes), ("min", self.minimum_bytes), ("max", self.maximum_bytes))
        words = [f"{name} {format_size_bytes(size)}" for name, size in sizes]
        words += [f"probability {self.probability:.10g}", f"weight {self.weight:.10g}"]
        words += [f"avpkt {self.average_packet_bytes}"] + ["ecn"] * self.ecn + ["harddrop"] * self.harddrop
        return " ".join(["red", *words])


class RedQueue(FrameQueue):
    """The queue and RED's average.

    average: exponentially weighted mean of the queue's length in bytes, as each frame finds it.
    count: frames since the last one that was dropped or marked at random, -1 below the minimum: it makes the distance
    between two such frames uniform instead of geometric (Floyd and Jacobson, section 7).
    """

    __slots__ = ("average", "average_packet_ns", "count", "random", "settings")

    def __init__(
        self,
        settings: Red,
        report_drop: Callable[[Frame, DropReason], None],
        random: Callable[[], Random],
    ) -> None:
        super().__init__(report_drop)
        self.settings = settings
        self.average = 0.0
        self.average_packet_ns = 1
        self.count = -1
        self.random = random

    def set_rate(self, rate_bps: int) -> None:
        """Follow the line's rate: it says how many packets an idle time is worth."""
        self.average_packet_ns = max(1, self.settings.average_packet_bytes * 8 * 10**9 // rate_bps)

    def enqueue(self, frame: Frame, now_ns: int, idle_ns: int) -> DropReason | None:
        """Take in a frame, marked perhaps, or say why not (see `FrameQueue.enqueue`)."""
        settings = self.settings
        weight = settings.weight
        if self.frames or idle_ns <= 0:
            self.average += weight * (self.bytes_waiting - self.average)
        else:
            self.average *= power(1.0 - weight, idle_ns // self.average_packet_ns)
        reason = self._judge()
        marked = self.mark(frame) if reason is not None and self._may_mark(reason) else None
        if reason is not None and marked is None:
            return reason
        if self.bytes_waiting + len(frame.data) > settings.limit_bytes:
            return DropReason.QUEUE_FULL
        if marked is not None:
            self.marked += 1
            frame = marked
        self.push(frame, now_ns)
        return None

    def _judge(self) -> DropReason | None:
        """Say for what reason the frame is to be dropped or marked, if it is."""
        settings = self.settings
        if self.average < settings.minimum_bytes:
            self.count = -1
            return None
        if self.average >= settings.maximum_bytes:
            self.count = 0
            return DropReason.RED_ABOVE_MAXIMUM
        return DropReason.RED_EARLY if self._is_picked() else None

    def _may_mark(self, reason: DropReason) -> bool:
        settings = self.settings
        return settings.ecn and not (settings.harddrop and reason is DropReason.RED_ABOVE_MAXIMUM)

    def dequeue(self, now_ns: int) -> Waiting | None:
        """Give the next frame: RED has decided when it came in."""
        return self.pop() if self.frames else None

    def _is_picked(self) -> bool:
        """Decide at random between minimum and maximum."""
        settings = self.settings
        self.count += 1
        span = settings.maximum_bytes - settings.minimum_bytes
        share = settings.probability * (self.average - settings.minimum_bytes) / span
        left = 1.0 - self.count * share
        if left <= 0.0 or self.random().random() < share / left:
            self.count = 0
            return True
        return False


def power(base: float, exponent: int) -> float:
    """Raise to a whole power by multiplying, which rounds alike on every machine."""
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result
