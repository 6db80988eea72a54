"""Real-time pacing: a run whose virtual time follows the wall clock, so that it can talk to real programs.

The only file of emu in which the wall clock moves anything. A kernel is paced from outside, by another loop over its
entries, so that the normal loop knows nothing of it and costs what it cost before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from simpy.core import Infinity
from simpy.events import Event

from emu.kernel.environment import STUCK_STEPS, Call, Kernel
from emu.kernel.errors import InvalidValue

MILLISECOND = 1_000_000

Wait = Callable[[int | None], Iterable[tuple[Call, Any]]]
"""Called with the real time in ns until the next entry is due (0 when it is late, None when nothing is due at all).

Returns at once when something came in from outside: the calls, as (fn, arg), that hand it in. May return earlier
with nothing. It is called before every instant, so that an emulation that is late still hears.
"""


@dataclass(slots=True)
class Lateness:
    """How far a paced run lagged behind the wall clock, in real ns.

    instants: how many moments of virtual time were paced. count: those begun later than the tolerance.
    maximum_ns, total_ns: of all of them.
    """

    instants: int = 0
    count: int = 0
    maximum_ns: int = 0
    total_ns: int = 0

    def note(self, late_ns: int, tolerance_ns: int) -> None:
        """Count one instant that began `late_ns` after its time."""
        self.instants += 1
        self.total_ns += late_ns
        self.maximum_ns = max(self.maximum_ns, late_ns)
        self.count += late_ns > tolerance_ns

    def __str__(self) -> str:
        """Return one line for people."""
        if not self.instants:
            return "nothing was paced"
        mean_us, maximum_us = self.total_ns // self.instants // 1000, self.maximum_ns // 1000
        return f"{self.count} of {self.instants} instants late; by {mean_us} us on average, {maximum_us} us at most"


def sleep(timeout_ns: int | None) -> tuple[tuple[Call, Any], ...]:
    """Sleep; nothing ever comes in from outside."""
    assert timeout_ns is not None, "nobody can wake a run to which nothing comes in"
    if timeout_ns:
        time.sleep(timeout_ns / 1e9)
    return ()


class RealTime:
    """Runs a kernel at the pace of the wall clock.

    factor: real seconds per virtual second, above 0, as in SimPy's RealtimeEnvironment: 0.1 is ten times faster.
    wait: waits for the next entry, or for something from outside (see `Wait`); without it nothing comes in.
    tolerance_ns: what does not count as late yet, in real ns. clock: the wall clock in ns, monotonic.
    lateness: of all runs so far. A run that is late does not fail, it catches up as fast as it can.
    Raises InvalidValue for a factor that is not above 0.

    What comes in from outside happens at the virtual time that the wall clock tells, at the latest together with the
    next entry; a capture of a paced run therefore depends on the machine, and two are never the same.
    """

    def __init__(
        self,
        kernel: Kernel,
        factor: float = 1.0,
        wait: Wait | None = None,
        *,
        tolerance_ns: int = MILLISECOND,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if not 0 < factor < float("inf"):
            raise InvalidValue(f"real-time factor {factor!r}: expected more than 0 real seconds per virtual second")
        self._kernel = kernel
        self._factor = Fraction(factor)
        self._hears = wait is not None
        self._wait: Wait = sleep if wait is None else wait
        self._tolerance_ns = tolerance_ns
        self._clock = clock
        self._real_start_ns = 0
        self._virtual_start_ns = 0
        self.lateness = Lateness()

    def run(self, until: int | Event | None = None) -> Any:
        """Run as `Kernel.run` does, paced; virtual time begins to follow the wall clock at this call.

        Without `until` the run ends when no foreground work is left, although something could still come in. With an
        event, it waits for what comes in even when nothing else is left to do, since that may trigger the event;
        with neither `wait` nor work it raises RuntimeError, as an unpaced run does.
        """
        self._real_start_ns = self._clock()
        self._virtual_start_ns = self._kernel.now
        return self._kernel.run_by(self._loop, until)

    def _loop(self, ends_with_foreground: bool) -> None:
        kernel = self._kernel
        steps = 0
        while True:
            kernel.drain()
            next_ns = kernel.peek()
            if next_ns == Infinity:
                if ends_with_foreground or not self._hears:
                    return
                self._take_in(self._wait(None), None)
                continue
            if ends_with_foreground and kernel.only_background_is_left():
                return
            assert isinstance(next_ns, int), "the clock is an int"
            if next_ns > kernel.now or not steps:
                steps = 0
                if not self._wait_until(next_ns):
                    continue
            kernel.step()
            steps += 1
            if steps > STUCK_STEPS:
                steps = kernel.check_progress()

    def _wait_until(self, next_ns: int) -> bool:
        """Wait for an instant; False when its time has not come yet (something else came in, or the wait was short)."""
        due_ns = self._real_start_ns + round((next_ns - self._virtual_start_ns) * self._factor)
        self._take_in(self._wait(max(due_ns - self._clock(), 0)), next_ns)
        late_ns = self._clock() - due_ns
        if late_ns < 0:
            return False
        self.lateness.note(late_ns, self._tolerance_ns)
        return True

    def _take_in(self, calls: Iterable[tuple[Call, Any]], next_ns: int | None) -> None:
        """Schedule what came in for the present of the wall clock, but not later than the next entry."""
        kernel = self._kernel
        for fn, arg in calls:
            passed_ns = int((self._clock() - self._real_start_ns) / self._factor)
            present_ns = max(self._virtual_start_ns + passed_ns, kernel.now)
            kernel.call_at(present_ns if next_ns is None else min(present_ns, next_ns), fn, arg)
