"""The journal: what happened to packets, told to whoever writes it down.

Rooms below report drops and causes here; captures, event lists and reports listen. The journal itself keeps only a
bounded number of annotations, so its memory does not grow with the length of a run.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from emu.kernel.tap import TappedFrame

if TYPE_CHECKING:
    from emu.kernel.environment import Kernel

ANNOTATIONS_MAX = 65536
"""How many packets keep a note; the oldest note goes first. A packet lives far shorter than 65,536 newer ones."""

DropListener = Callable[[int, TappedFrame, Enum, str], None]
"""Called with (now_ns, frame, reason, where) for every dropped frame."""


class Journal:
    """Collects what happened to packets in one emulation.

    keep_annotations: set by whoever captures; without a reader nothing is kept.
    annotations: packet id -> note ("caused by #41"), readable without a call by the capture's hot path.
    drop_listeners: called in order for every drop.
    """

    __slots__ = ("_kernel", "annotations", "drop_listeners", "keep_annotations")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.keep_annotations = False
        self.annotations: dict[int, str] = {}
        self.drop_listeners: list[DropListener] = []

    def caused(self, packet_id: int, cause: int | str) -> None:
        """Note what made a packet: the id of the packet that caused it, or a sentence."""
        if not self.keep_annotations:
            return
        annotations = self.annotations
        if len(annotations) >= ANNOTATIONS_MAX:
            del annotations[next(iter(annotations))]
        annotations[packet_id] = f"caused by #{cause}" if isinstance(cause, int) else cause

    def annotation(self, packet_id: int) -> str | None:
        """Return the note of a packet, or None."""
        return self.annotations.get(packet_id)

    def drop(self, frame: TappedFrame, reason: Enum, where: str) -> None:
        """Report that a frame was dropped at `where` (a label such as "web1:eth0") for the given reason."""
        now_ns = self._kernel.now
        for listener in self.drop_listeners:
            listener(now_ns, frame, reason, where)
