"""Linux's coarse timers: the jiffy clock, the timer wheel's rounding, and the order in which a slot's timers run.

Neighbour timers and socket timeouts are kept in the kernel's timer wheel, which trades accuracy for cost: the further
away a timer is, the coarser the slot that it is put into. That is why ARP requests are repeated after 1.02 s rather
than 1 s, why the confirmation after "5 s" comes 5.04 to 5.22 s later (FACTS 15, 17, 18), and why two containers that
began to wait within the same few milliseconds ask each other at the same instant, the later one first: with 250
jiffies a second a 1 s timer waits for a multiple of 32 ms and a 5 s timer for a multiple of 256 ms, and a slot runs
its newest timer first.

Sources: Linux kernel/time/timer.c (LVL_BITS 6, LVL_CLK_SHIFT 3, enqueue_timer, expire_timers); CONFIG_HZ=250 as in
Debian and Ubuntu; recordings a8-neigh-probe and a4-udp-closed-burst.
Limits: one wheel for all hosts, its jiffy clock starts at virtual time 0 (real hosts have a wheel per CPU and are not
in step with each other). User-space timers (`alarm`, `poll`, `nanosleep`) are exact in Linux and do not come here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emu.kernel.environment import Kernel
    from emu.kernel.timer import Timer

HZ = 250
"""Jiffies per second."""
JIFFY_NS = 1_000_000_000 // HZ

_LEVEL_BITS = 6
_LEVEL_SHIFT = 3
_LEVELS = 9


def wheel_expiry_ns(now_ns: int, delay_ns: int) -> int:
    """Return the time in ns at which a kernel timer set at `now_ns` for `delay_ns` (>= 0) expires.

    It is never early, and late by at most one slot of the timer wheel: 4 ms for timers below 0.25 s, 32 ms below 2 s,
    256 ms below 16 s, 2 s below 2 minutes.
    """
    clock = now_ns // JIFFY_NS
    expires = clock - (-delay_ns // JIFFY_NS)
    shift = 0
    for level in range(_LEVELS):
        shift = level * _LEVEL_SHIFT
        if expires - clock < (2**_LEVEL_BITS - 1) << shift:
            break
    return ((expires >> shift) + 1 << shift) * JIFFY_NS


class WheelTimer:
    """A restartable, cancellable timer with the accuracy of Linux's timer wheel; used like `emu.kernel.Timer`."""

    __slots__ = ("_arg", "_fn", "_wheel", "expires_ns", "pending")

    def __init__(self, wheel: TimerWheel, fn: Callable[[Any], object], arg: Any) -> None:
        self._wheel = wheel
        self._fn = fn
        self._arg = arg
        self.pending = False
        self.expires_ns = 0

    def start(self, delay_ns: int) -> None:
        """Let the timer expire at least `delay_ns` from now, whether it was running or not."""
        if self.pending:
            self._wheel.remove(self)
        self.pending = True
        self._wheel.add(self, delay_ns)

    def stop(self) -> None:
        """Stop the timer; does nothing when it is not running."""
        if self.pending:
            self.pending = False
            self._wheel.remove(self)

    def fire(self) -> None:
        """Run the timer's function (the wheel's business)."""
        self.pending = False
        self._fn(self._arg)


class TimerWheel:
    """All coarse timers of one emulation, by the slot in which they expire."""

    __slots__ = ("_kernel", "_slots")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._slots: dict[int, tuple[Timer, dict[WheelTimer, None]]] = {}

    def timer(self, fn: Callable[[Any], object], arg: Any = None) -> WheelTimer:
        """Return a stopped timer that calls `fn(arg)` when it expires; running, it keeps the run alive."""
        return WheelTimer(self, fn, arg)

    def add(self, timer: WheelTimer, delay_ns: int) -> None:
        """Put a timer into its slot (`WheelTimer.start` does)."""
        expires_ns = timer.expires_ns = wheel_expiry_ns(self._kernel.now, delay_ns)
        slot = self._slots.get(expires_ns)
        if slot is None:
            slot = self._slots[expires_ns] = (self._kernel.timer(self._expire, expires_ns), {})
            slot[0].start_at(expires_ns)
        slot[1][timer] = None

    def remove(self, timer: WheelTimer) -> None:
        """Take a timer out of its slot (`WheelTimer.stop` does)."""
        alarm, timers = self._slots[timer.expires_ns]
        del timers[timer]
        if not timers:
            alarm.stop()
            del self._slots[timer.expires_ns]

    def _expire(self, expires_ns: int) -> None:
        """Run a slot's timers, the newest first; one of them may stop others."""
        slots = self._slots
        while expires_ns in slots:
            timers = slots[expires_ns][1]
            timer, _ = timers.popitem()
            if not timers:
                del slots[expires_ns]
            timer.fire()


__all__ = ["HZ", "JIFFY_NS", "TimerWheel", "WheelTimer", "wheel_expiry_ns"]
