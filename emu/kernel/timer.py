"""A restartable timer on the kernel's heap, as protocols need them."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emu.kernel.environment import Kernel


class Timer:
    """Calls `fn(arg)` once when it expires; it can be restarted and stopped as often as needed.

    Restarting a running timer to a later time costs nothing: its heap entry stays and is moved when it comes up.
    A stopped timer neither fires nor keeps the run alive. A background timer fires but does not keep the run alive.
    """

    __slots__ = (
        "_arg",
        "_entry_ns",
        "_entry_sequence",
        "_fn",
        "_kernel",
        "background",
        "expires_ns",
        "pending",
    )

    def __init__(self, kernel: Kernel, fn: Callable[[Any], object], arg: Any, background: bool) -> None:
        self._kernel = kernel
        self._fn = fn
        self._arg = arg
        self.background = background
        self.pending = False
        self.expires_ns = 0
        self._entry_ns = 0
        self._entry_sequence = -1  # the heap entry that belongs to this timer; -1: none

    def start(self, delay_ns: int) -> None:
        """Let the timer expire `delay_ns` from now, whether it was running or not."""
        self.start_at(self._kernel.now + delay_ns)

    def start_at(self, time_ns: int) -> None:
        """Let the timer expire at an absolute time, which must not be in the past."""
        kernel = self._kernel
        assert time_ns >= kernel.now, f"timer set to {time_ns}, but it is {kernel.now} already"
        self.expires_ns = time_ns
        if self._entry_sequence >= 0:
            if time_ns >= self._entry_ns:  # the entry comes up early enough: it is moved on then
                if not self.pending and not self.background:
                    kernel.background_entries -= 1  # the dead entry of a stopped timer lives again
                self.pending = True
                return
            if self.pending and not self.background:
                kernel.background_entries += 1  # the old entry is orphaned: nobody waits for it any more
        self.pending = True
        self._push(time_ns)

    def stop(self) -> None:
        """Stop the timer; does nothing when it is not running."""
        if self.pending:
            self.pending = False
            if not self.background:
                self._kernel.background_entries += 1

    def _push(self, time_ns: int) -> None:
        kernel = self._kernel
        sequence = self._entry_sequence = kernel.next_sequence()
        self._entry_ns = time_ns
        if self.background:
            kernel.background_entries += 1
        heappush(kernel.heap, (time_ns, 1, sequence, None, None, self))

    def is_due(self, sequence: int, time_ns: int) -> bool:
        """Settle the heap entry `sequence` that came up; return whether the timer must fire now (kernel only)."""
        kernel = self._kernel
        if sequence != self._entry_sequence:  # an orphan
            kernel.background_entries -= 1
            return False
        if not self.pending:  # stopped
            self._entry_sequence = -1
            kernel.background_entries -= 1
            return False
        if self.expires_ns > time_ns:  # restarted to a later time
            if self.background:
                kernel.background_entries -= 1
            self._push(self.expires_ns)
            return False
        return True

    def fire(self) -> None:
        """Run the timer's function (kernel only; the entry is off the heap)."""
        if self.background:
            self._kernel.background_entries -= 1
        self._entry_sequence = -1
        self.pending = False
        self._fn(self._arg)
