"""The tap: how a device shows the frames that pass it to whoever captures them."""

from __future__ import annotations

from typing import Protocol

DIRECTION_IN = 1
"""The frame came in at the interface (the value of pcapng's `epb_flags` direction)."""
DIRECTION_OUT = 2
"""The frame goes out of the interface."""


class TappedFrame(Protocol):
    """What a tap may read of a frame. The frame itself is `emu.wire.frame.Frame`."""

    data: bytes
    packet_id: int

    @property
    def altered(self) -> object: ...


class Tap(Protocol):
    """Anything that can be called with the time in ns, the frame and the direction; it must not change the frame."""

    def __call__(self, now_ns: int, frame: TappedFrame, direction: int, /) -> None: ...
