"""The cable between two devices: one `CableDirection` each way, plugged in and pulled out together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emu.device.cable_direction import CableDirection

if TYPE_CHECKING:
    from emu.device.wired import WiredDevice


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
