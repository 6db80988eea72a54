"""The kernel: SimPy's environment with an integer-nanosecond clock and light callbacks on the same heap.

SimPy's own entries, `(time, priority, sequence, event)`, and light calls, `(time, priority, sequence, fn, arg)`, live
on one heap, so processes, resources, interrupts and `until=event` work as SimPy documents them, and a frame on a wire
costs one tuple. A third kind with six items, `(…, fn, arg, timer or None)`, is for timers and background work. The
running sequence number makes ties first-in-first-out.

Same-instant work goes to a FIFO (`soon`), Linux's softirq: it is drained before the next heap entry, so frames cross
namespaces breadth-first, replies never overtake, and looped bridges cannot recurse.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from heapq import heapify, heappop, heappush
from itertools import count
from random import Random
from typing import Any

from simpy.core import EmptySchedule, Environment, Infinity, StopSimulation
from simpy.events import URGENT, Event, EventPriority, Process, Timeout

from emu.kernel.errors import InvalidValue, SimulationStuck
from emu.kernel.jiffies import TimerWheel
from emu.kernel.journal import Journal
from emu.kernel.random_streams import RandomStreams
from emu.kernel.timer import Timer
from emu.kernel.units import format_time_ns

STUCK_STEPS = 1_000_000
"""So many steps without time passing are taken for a loop."""
STUCK_SAMPLE = 5_000
"""So many further steps are watched to name who is in the loop."""
STUCK_NAMES = 12
"""So many of those are named at most."""

Call = Callable[[Any], object]


class Kernel(Environment):
    """The clock and the event queue of one emulation.

    seed: any integer; every random stream derives from it.
    now: the virtual time in ns, an int.

    A run without `until` ends when no foreground work is left; background work (servers, periodic tasks) does not
    keep it alive.
    """

    now: int = 0  # a plain attribute instead of SimPy's property: read for every frame

    def __init__(self, seed: int = 0) -> None:
        super().__init__(0)
        self.now = 0
        self.heap: list[Any] = self._queue
        self.next_sequence: Callable[[], int] = self._eid.__next__
        self.background_entries = 0
        """How many heap entries do not keep the run alive (background work, dead timers)."""
        self.next_packet_id: Callable[[], int] = count(1).__next__
        self.journal = Journal(self)
        self.wheel = TimerWheel(self)
        """Timers with the accuracy of Linux's own: `wheel.timer(fn, arg)`."""
        self._streams = RandomStreams(seed)
        self.hash_secret: bytes = self.random("hash secret").getrandbits(128).to_bytes(16, "big")
        """The key of hashes that Linux draws at boot, such as the one of flows; one for all hosts."""
        self._soon: deque[tuple[Call, Any]] = deque()
        self._background_processes: set[Process] = set()
        self._stop_entry: tuple[Any, ...] | None = None
        self._long_instant = (-1, 0, 0)
        """See `check_progress`: when it was noticed, the number of the first later entry, how many earlier are left."""

    # -- scheduling ---------------------------------------------------------------------------------------------------

    def call_later(self, delay_ns: int, fn: Call, arg: Any = None, *, background: bool = False) -> None:
        """Call `fn(arg)` in `delay_ns` nanoseconds (>= 0); it cannot be cancelled (see `timer`)."""
        assert delay_ns >= 0, f"a delay of {delay_ns} ns"
        if background:
            self.background_entries += 1
            heappush(self.heap, (self.now + delay_ns, 1, self.next_sequence(), fn, arg, None))
        else:
            heappush(self.heap, (self.now + delay_ns, 1, self.next_sequence(), fn, arg))

    def call_at(self, time_ns: int, fn: Call, arg: Any = None, *, background: bool = False) -> None:
        """Call `fn(arg)` at an absolute time in ns, which must not be in the past."""
        self.call_later(time_ns - self.now, fn, arg, background=background)

    def soon(self, fn: Call, arg: Any = None) -> None:
        """Call `fn(arg)` at this very instant, after what is already waiting for this instant."""
        self._soon.append((fn, arg))

    def timer(self, fn: Call, arg: Any = None, *, background: bool = False) -> Timer:
        """Return a stopped timer that calls `fn(arg)` when it expires."""
        return Timer(self, fn, arg, background)

    def spawn(self, generator: Generator[Event, Any, Any], *, background: bool = False) -> Process:
        """Start a SimPy process; the time that a background process waits does not keep the run alive."""
        process = Process(self, generator)
        if background:
            self._background_processes.add(process)
            assert process.callbacks is not None
            process.callbacks.append(self._forget_background_process)
        return process

    def _forget_background_process(self, process: Event) -> None:
        self._background_processes.discard(process)

    def schedule(
        self,
        event: Event,
        priority: EventPriority = EventPriority(1),  # noqa: B008  (SimPy's own signature)
        delay: int | float = 0,
    ) -> None:
        """Put a SimPy event on the heap (called by SimPy); only integer nanoseconds are taken."""
        if type(delay) is not int:
            raise InvalidValue(f"time is counted in whole nanoseconds: {delay!r} is not an int")
        process = self._active_proc
        if delay and process is not None and process in self._background_processes:
            self.background_entries += 1
            entry = (self.now + delay, priority, self.next_sequence(), self._process_event, event, None)
            heappush(self.heap, entry)
        else:
            heappush(self.heap, (self.now + delay, priority, self.next_sequence(), event))

    def random(self, name: str) -> Random:
        """Return the random stream of that name."""
        return self._streams.stream(name)

    # -- running ------------------------------------------------------------------------------------------------------

    def peek(self) -> int | float:
        """Return the time of the next entry in ns, or `simpy.core.Infinity` when there is none."""
        if self._soon:
            return self.now
        heap = self.heap
        while heap and len(heap[0]) == 6 and heap[0][5] is not None:
            time_ns, _, sequence, _, _, timer = heap[0]
            if timer.pending and sequence == timer._entry_sequence and timer.expires_ns == time_ns:
                break
            heappop(heap)
            timer.is_due(sequence, time_ns)
        return heap[0][0] if heap else Infinity

    def only_background_is_left(self) -> bool:
        """Tell whether nothing that keeps a run alive is waiting (kernel only; right after `peek`)."""
        return not self._soon and len(self.heap) <= self.background_entries

    def step(self) -> None:
        """Process the next heap entry and everything that follows at the same instant.

        Raises `simpy.core.EmptySchedule` when nothing is left.
        """
        self.drain()
        if self.peek() == Infinity:
            raise EmptySchedule
        entry = heappop(self.heap)
        self._now = self.now = entry[0]
        self._dispatch(entry)
        self.drain()

    def run(self, until: int | float | Event | None = None) -> Any:
        """Run until no foreground work is left, or until a time in ns, or until an event has been processed.

        With a time the run ends exactly then: what is due at that very instant is not run. With an event its value
        is returned (or its exception raised); RuntimeError when it can no longer happen.
        Raises `InvalidValue` for a time that is not in the future, `SimulationStuck` for endless same-instant work.
        """
        return self.run_by(self._loop, until)

    def run_by(self, loop: Callable[[bool], None], until: int | float | Event | None = None) -> Any:
        """Run as `run` does, but let `loop(ends_with_foreground)` work off the entries (see `emu.kernel.realtime`)."""
        if isinstance(until, Event):
            if until.processed:
                return until.value
            until.callbacks.append(StopSimulation.callback)
        elif until is not None:
            self._schedule_stop(until)
        try:
            loop(until is None)
        except StopSimulation as stop:
            return stop.args[0]
        finally:
            self._remove_stop()
        if isinstance(until, Event):
            raise RuntimeError(f'No scheduled events left but "until" event was not triggered: {until}')
        return None

    def _loop(self, ends_with_foreground: bool) -> None:
        heap = self.heap
        soon = self._soon
        next_soon = soon.popleft
        now = self.now
        steps = 0
        while True:
            while soon:
                fn, arg = next_soon()
                fn(arg)
                steps += 1
                if steps > STUCK_STEPS:
                    steps = self.check_progress()
            if not heap:
                return
            entry = heappop(heap)
            if len(entry) == 5:
                if entry[0] != now:
                    now = self._now = self.now = entry[0]
                    steps = 0
                entry[3](entry[4])
            else:
                if len(entry) == 6:
                    timer = entry[5]
                    if timer is not None and not timer.is_due(entry[2], entry[0]):
                        continue
                    if ends_with_foreground and len(heap) < self.background_entries:
                        heappush(heap, entry)  # only background work is left, this entry included
                        return
                if entry[0] != now:
                    now = self._now = self.now = entry[0]
                    steps = 0
                self._dispatch(entry)
            steps += 1
            if steps > STUCK_STEPS:
                steps = self.check_progress()

    def _dispatch(self, entry: tuple[Any, ...]) -> None:
        """Do what a heap entry asks for; its time has become the present."""
        if len(entry) == 4:
            self._process_event(entry[3])
        elif len(entry) == 5:
            entry[3](entry[4])
        elif entry[5] is None:
            self.background_entries -= 1
            entry[3](entry[4])
        else:
            entry[5].fire()

    def _process_event(self, event: Event) -> None:
        """Run a SimPy event's callbacks, as `Environment.step` does."""
        callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
        assert callbacks is not None
        for index, callback in enumerate(callbacks):
            try:
                callback(event)
            except StopSimulation:
                event.callbacks = callbacks[index + 1 :]
                self.schedule(event, EventPriority(-1))
                raise
        if not event._ok and not hasattr(event, "_defused"):
            failure: BaseException = event._value
            raise failure

    def drain(self) -> None:
        """Do all that waits for this very instant (kernel only)."""
        steps = 0
        while self._soon:
            fn, arg = self._soon.popleft()
            fn(arg)
            steps += 1
            if steps > STUCK_STEPS:
                steps = self.check_progress()

    # -- the end of a run ---------------------------------------------------------------------------------------------

    def _schedule_stop(self, until: int | float) -> None:
        if type(until) is not int:
            raise InvalidValue(f"time is counted in whole nanoseconds: until={until!r} is not an int")
        if until <= self.now:
            raise InvalidValue(f"until={until} must be later than the present, {self.now} ns")
        self._stop_entry = (until, URGENT, self.next_sequence(), self._stop, None)
        heappush(self.heap, self._stop_entry)

    def _stop(self, _: None) -> None:
        self._stop_entry = None
        raise StopSimulation(None)

    def _remove_stop(self) -> None:
        """Take the stop entry off the heap when the run ended before it (an error, an interrupt)."""
        if self._stop_entry is not None:
            self.heap.remove(self._stop_entry)
            heapify(self.heap)
            self._stop_entry = None

    def check_progress(self) -> int:
        """Return 0, to count on from, if an instant of so many steps may still end by itself (kernel only).

        What was due at this instant when its length was first noticed is finite: as long as some of that gets done, no
        loop keeps it from its turn. A thousand hosts that broadcast at once on a wire without delay need that.
        Raises SimulationStuck when nothing of it got done since the last call.
        """
        since_ns, mark, left_before = self._long_instant
        is_new = since_ns != self.now
        if is_new:
            mark = self.next_sequence()
        left = sum(entry[0] == self.now and entry[2] < mark for entry in self.heap)
        self._long_instant = (self.now, mark, left)
        if not is_new and left >= left_before:
            self._raise_stuck()
        return 0

    def _raise_stuck(self) -> None:
        """Watch some more steps of an endless instant and name who takes part in it."""
        labels: dict[str, None] = {}
        for _ in range(STUCK_SAMPLE):
            if self._soon:
                fn, arg = self._soon.popleft()
            elif self.heap and self.heap[0][0] == self.now and len(self.heap[0]) == 5:
                _, _, _, fn, arg = heappop(self.heap)
            else:
                break
            owner = getattr(fn, "__self__", None)
            owner = getattr(owner, "master", None) or owner
            label = getattr(owner, "label", None) or getattr(owner, "name", None)
            if isinstance(label, str):
                labels[label] = None
            fn(arg)
        start = f"{STUCK_STEPS:,} steps without time passing at t={format_time_ns(self.now)}: "
        if not labels:
            raise SimulationStuck(
                f"{start}a process or function goes on and on; let it wait for time to pass, or give a link on its way "
                "a rate or a delay"
            )
        named = list(labels)[:STUCK_NAMES]
        more = f" and {len(labels) - STUCK_NAMES} more" if len(labels) > STUCK_NAMES else ""
        raise SimulationStuck(
            f"{start}frames go round through {', '.join(named)}{more}; break the loop, or give a link on the way a "
            "rate or a delay"
        )


__all__ = ["STUCK_STEPS", "Kernel", "Timeout"]
