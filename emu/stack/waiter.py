"""An event that a program waits for at a socket, and that knows when the program has given up waiting.

`yield socket.recv() | net.timeout("1s")` is given up when the timeout comes first; a real program's recv() has returned
then. What arrives afterwards belongs to the next `recv`, not to the one that nobody hears of any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simpy.events import Event

if TYPE_CHECKING:
    from emu.kernel import Kernel

Callback = Callable[[Event], None]


class Waiter(Event):
    """The event of one `recv` or `accept`.

    size: of what it takes at most. rejoin: called when a program waits again for an event that it had given up.
    """

    def __init__(self, kernel: Kernel, description: str, rejoin: Callable[[Waiter], None], size: int = 0) -> None:
        super().__init__(kernel)
        self.description = description
        self.callbacks = _Listeners(self)
        self.size = size
        self._rejoin = rejoin
        self._gave_up = False

    @property
    def is_waited_for(self) -> bool:
        """Whether it may take what arrives: not before somebody has listened to it and left."""
        return not self._gave_up and not self.triggered

    def left(self) -> None:
        """The last one who listened does so no more."""
        self._gave_up = True

    def joined(self) -> None:
        """Somebody listens."""
        if self._gave_up:
            self._gave_up = False
            if not self.triggered:
                self._rejoin(self)


class _Listeners(list[Any]):
    """The callbacks of a waiter; SimPy removes what no longer listens."""

    __slots__ = ("_waiter",)

    def __init__(self, waiter: Waiter) -> None:
        super().__init__()
        self._waiter = waiter

    def append(self, callback: Callback) -> None:
        super().append(callback)
        self._waiter.joined()

    def remove(self, callback: Callback) -> None:
        super().remove(callback)
        if not self:
            self._waiter.left()


__all__ = ["Waiter"]
