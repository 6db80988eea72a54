"""What chance does to the frames of one direction: each kind of misfortune draws from a random stream of its own.

So switching one on never changes what another does, and the same seed gives the same fates.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from emu.device.impairments.loss import GilbertElliott, GilbertElliottState
from emu.device.impairments.settings import Impairments
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.kernel import Kernel

REORDERED = -1
"""Instead of a delay: the frame skips the delay and overtakes the others."""


class Fate(NamedTuple):
    """What becomes of a frame; delay_ns is REORDERED for one that skips the delay."""

    lost: bool
    duplicated: bool
    corrupted: bool
    delay_ns: int


class Chance:
    """Draws the fates of the frames of one direction.

    name: of the direction ("web:eth0 to …"), asked when the first number of a kind is drawn; a part of the streams'
    names.
    """

    __slots__ = ("_burst_loss", "_kernel", "_name", "_settings", "_streams")

    def __init__(self, kernel: Kernel, name: Callable[[], str]) -> None:
        self._kernel = kernel
        self._name = name
        self._settings = Impairments()
        self._streams: dict[str, Random] = {}
        self._burst_loss: GilbertElliottState | None = None

    def configure(self, settings: Impairments) -> None:
        """Take over settings; where a Gilbert-Elliott model is stays as it is unless the model itself changes."""
        self._settings = settings
        loss = settings.loss
        if not isinstance(loss, GilbertElliott):
            self._burst_loss = None
        elif self._burst_loss is None or self._burst_loss.model != loss:
            self._burst_loss = GilbertElliottState(loss)

    def draw(self) -> Fate:
        """Draw the fate of a frame."""
        settings = self._settings
        lost = bool(settings.loss) and self._is_lost()
        duplicated = bool(settings.duplicate) and self.stream("duplicate").random() < settings.duplicate
        corrupted = bool(settings.corrupt) and self.stream("corrupt").random() < settings.corrupt
        return Fate(lost, duplicated, corrupted, self._draw_delay_ns("jitter", "reorder"))

    def draw_for_duplicate(self) -> int:
        """Draw the delay of a duplicate, which is neither lost nor corrupted."""
        return self._draw_delay_ns("duplicate jitter", "duplicate reorder")

    def corrupt(self, frame: Frame) -> Frame:
        """Return a copy with one random bit flipped, marked as altered."""
        data = bytearray(frame.data)
        bit = self.stream("corrupted bit").randrange(len(data) * 8)
        data[bit >> 3] ^= 1 << (bit & 7)
        return Frame(bytes(data), frame.packet_id, True)

    def _is_lost(self) -> bool:
        burst_loss = self._burst_loss
        if burst_loss is not None:
            return burst_loss.loses(self.stream("loss"), self.stream("loss state"))
        loss = self._settings.loss
        assert isinstance(loss, float)
        return self.stream("loss").random() < loss

    def _draw_delay_ns(self, jitter_stream: str, reorder_stream: str) -> int:
        settings = self._settings
        delay_ns = settings.delay_ns
        jitter_ns = settings.jitter_ns
        if jitter_ns:
            uniform = self.stream(jitter_stream).random()
            if settings.distribution is None:
                delay_ns += int(uniform * (2 * jitter_ns + 1)) - jitter_ns
            else:
                delay_ns = max(0, delay_ns + settings.distribution.deviation_ns(jitter_ns, uniform))
        if settings.reorder and self.stream(reorder_stream).random() < settings.reorder:
            return REORDERED
        return delay_ns

    def stream(self, kind: str) -> Random:
        """Return this direction's stream for one kind of chance."""
        stream = self._streams.get(kind)
        if stream is None:
            stream = self._streams[kind] = self._kernel.random(f"cable {self._name()} {kind}")
        return stream
