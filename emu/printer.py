"""Frames as lines of text, as tcpdump prints them on all interfaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emu.capture.interface import InterfaceInfo
from emu.capture.patterns import InterfacePatterns
from emu.kernel.tap import DIRECTION_IN, Tap, TappedFrame
from emu.wire.render import render


class FramePrinter:
    """Writes one line per frame: time, interface, direction, packet id, contents."""

    def __init__(self, write: Callable[[str], None], interfaces: Sequence[str] | None = None) -> None:
        self._write = write
        self._patterns = InterfacePatterns(interfaces)

    def tap_for(self, info: InterfaceInfo) -> Tap | None:
        """A tap for an interface, or None when no glob matches it."""
        name = info.name
        self._patterns.note(name)
        if not self._patterns.selects(name):
            return None

        def tap(now_ns: int, frame: TappedFrame, direction: int, /) -> None:
            arrow = "In " if direction == DIRECTION_IN else "Out"
            self._write(f"{clock(now_ns)} {name:<22} {arrow} #{frame.packet_id} {render(frame.data)}")

        return tap

    def check_patterns(self) -> None:
        """Raise NotFound if a glob matches none of the interfaces seen so far."""
        self._patterns.check()


def clock(now_ns: int) -> str:
    """Virtual time as hh:mm:ss.nnnnnnnnn."""
    seconds, fraction = divmod(now_ns, 1_000_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{fraction:09}"
