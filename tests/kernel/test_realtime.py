"""A paced run: virtual time follows a wall clock, here one that the test turns by hand."""

from __future__ import annotations

import time

import pytest
from simpy.core import Infinity

from emu.kernel import InvalidValue, Kernel, SimulationStuck, environment
from emu.kernel.realtime import Lateness, RealTime

MS = 1_000_000


class FakeClock:
    """A wall clock, and a wait that turns it; `visits` lists (real time, call) of what comes in from outside."""

    def __init__(self, *visits, overshoot_ns=0):
        self.now_ns = 5_000_000_000
        self.start_ns = self.now_ns
        self.visits = [(self.start_ns + at_ns, call) for at_ns, call in visits]
        self.overshoot_ns = overshoot_ns
        self.waits = []

    def __call__(self):
        return self.now_ns

    @property
    def passed_ns(self):
        return self.now_ns - self.start_ns

    def wait(self, timeout_ns):
        self.waits.append(timeout_ns)
        end_ns = Infinity if timeout_ns is None else self.now_ns + timeout_ns
        if self.visits and self.visits[0][0] <= end_ns:
            at_ns, call = self.visits.pop(0)
            self.now_ns = max(self.now_ns, at_ns)
            return [call]
        assert timeout_ns is not None, "waits for ever"
        self.now_ns = end_ns + (self.overshoot_ns if timeout_ns else 0)
        return []


def paced(kernel, clock, factor=1.0, **options):
    return RealTime(kernel, factor, clock.wait, clock=clock, **options)


def test_every_instant_waits_for_its_time_on_the_wall():
    kernel, clock, log = Kernel(), FakeClock(), []
    for at_ns in (0, 30, 10, 10):
        kernel.call_later(at_ns * MS, lambda _: log.append((kernel.now, clock.passed_ns)))
    paced(kernel, clock).run()
    assert log == [(0, 0), (10 * MS, 10 * MS), (10 * MS, 10 * MS), (30 * MS, 30 * MS)]
    assert clock.waits == [0, 10 * MS, 20 * MS]  # one wait for each instant


@pytest.mark.parametrize(("factor", "real_ms"), [(0.1, 10), (1, 100), (2.5, 250)])
def test_the_factor_is_real_seconds_per_virtual_second(factor, real_ms):
    kernel, clock = Kernel(), FakeClock()
    kernel.call_later(100 * MS, lambda _: None)
    paced(kernel, clock, factor).run()
    assert (kernel.now, clock.passed_ns) == (100 * MS, real_ms * MS)
    assert type(kernel.now) is int


@pytest.mark.parametrize("factor", [0, -1, float("inf"), float("nan")])
def test_a_factor_that_is_no_pace_is_refused(factor):
    with pytest.raises(InvalidValue, match="real seconds per virtual second"):
        RealTime(Kernel(), factor)


def test_a_late_run_goes_on_and_tells_how_late_it_was():
    kernel, clock = Kernel(), FakeClock()

    def work(_):
        clock.now_ns += 25 * MS

    kernel.call_later(0, work)
    for at_ns in (10, 20, 40):
        kernel.call_later(at_ns * MS, lambda _: None)
    run = paced(kernel, clock)
    run.run()
    assert run.lateness == Lateness(instants=4, count=2, maximum_ns=15 * MS, total_ns=20 * MS)
    assert str(run.lateness) == "2 of 4 instants late; by 5000 us on average, 15000 us at most"
    assert clock.passed_ns == 40 * MS, "it has caught up"


def test_a_sleep_that_is_a_little_too_long_is_within_the_tolerance():
    kernel, clock = Kernel(), FakeClock(overshoot_ns=60_000)
    kernel.call_later(10 * MS, lambda _: None)
    run = paced(kernel, clock)
    run.run()
    assert run.lateness == Lateness(instants=1, count=0, maximum_ns=60_000, total_ns=60_000)


def test_what_comes_in_happens_at_the_time_that_the_wall_clock_tells():
    kernel, log = Kernel(), []
    clock = FakeClock((4 * MS, (lambda what: log.append((kernel.now, what)), "frame")))
    kernel.call_later(10 * MS, lambda _: log.append((kernel.now, "timer")))
    paced(kernel, clock, 2.0).run()
    assert log == [(2 * MS, "frame"), (10 * MS, "timer")]


def test_what_an_input_schedules_comes_before_the_entry_that_was_waited_for():
    kernel, log = Kernel(), []
    answer = (lambda _: kernel.call_later(1 * MS, lambda _: log.append((kernel.now, clock.passed_ns))), None)
    clock = FakeClock((4 * MS, answer))
    kernel.call_later(10 * MS, lambda _: log.append((kernel.now, clock.passed_ns)))
    paced(kernel, clock).run()
    assert log == [(5 * MS, 5 * MS), (10 * MS, 10 * MS)]


def test_a_late_run_still_hears_and_is_not_starved_by_what_it_hears():
    kernel, log = Kernel(), []
    clock = FakeClock(*((0, (log.append, f"frame {number}")) for number in range(5)))
    clock.now_ns += 50 * MS
    kernel.call_later(1 * MS, log.append, "timer 1")
    kernel.call_later(2 * MS, log.append, "timer 2")
    run = paced(kernel, clock)
    run._clock = iter(range(clock.now_ns, clock.now_ns + 10**12, 10 * MS)).__next__  # every look at it costs 10 ms
    run.run()
    assert log == ["timer 1", "frame 0", "timer 2", "frame 1"]


def test_a_time_ends_the_run_exactly_then_and_the_next_run_goes_on_from_there():
    kernel, clock, log = Kernel(), FakeClock(), []
    kernel.call_later(20 * MS, log.append, "at the end")
    run = paced(kernel, clock)
    run.run(until=20 * MS)
    assert (kernel.now, clock.passed_ns, log) == (20 * MS, 20 * MS, [])
    clock.now_ns += 1000 * MS  # between runs no virtual time passes
    run.run(until=50 * MS)
    assert (kernel.now, clock.passed_ns, log) == (50 * MS, 1050 * MS, ["at the end"])
    assert run.lateness.maximum_ns == 0


def test_a_time_that_is_not_in_the_future_is_refused():
    with pytest.raises(InvalidValue, match="later than the present"):
        paced(Kernel(), FakeClock()).run(until=0)


def test_an_event_ends_the_run_with_its_value():
    kernel, clock = Kernel(), FakeClock()

    def process():
        yield kernel.timeout(5 * MS)
        return "done"

    kernel.call_later(100 * MS, lambda _: None)
    assert paced(kernel, clock).run(until=kernel.spawn(process())) == "done"
    assert clock.passed_ns == 5 * MS


def test_an_event_may_be_triggered_from_outside_when_nothing_else_is_left_to_do():
    kernel = Kernel()
    arrival = kernel.event()
    clock = FakeClock((7 * MS, (arrival.succeed, "hello")))
    assert paced(kernel, clock).run(until=arrival) == "hello"
    assert kernel.now == 7 * MS


def test_an_event_that_nothing_can_trigger_is_an_error_when_nothing_comes_in():
    kernel = Kernel()
    with pytest.raises(RuntimeError, match="not triggered"):
        RealTime(kernel).run(until=kernel.event())


def test_a_failing_process_fails_the_run_and_leaves_a_kernel_that_works():
    kernel, clock = Kernel(), FakeClock()

    def process():
        yield kernel.timeout(5 * MS)
        raise ZeroDivisionError

    kernel.spawn(process())
    with pytest.raises(ZeroDivisionError):
        paced(kernel, clock).run(until=100 * MS)
    paced(kernel, clock).run()
    assert kernel.now == 5 * MS, "the end that was not reached is forgotten"


def test_a_run_ends_with_its_foreground_work_and_background_work_is_not_waited_for():
    kernel, clock, log = Kernel(), FakeClock(), []

    def tick(_):
        log.append(kernel.now)
        kernel.call_later(10 * MS, tick, background=True)

    kernel.call_later(10 * MS, tick, background=True)
    timer = kernel.timer(log.append, "stopped")
    timer.start(500 * MS)
    timer.stop()
    kernel.call_later(25 * MS, lambda _: None)
    paced(kernel, clock).run()
    assert (log, kernel.now, clock.passed_ns) == ([10 * MS, 20 * MS], 25 * MS, 25 * MS)


def test_endless_work_in_one_instant_is_noticed(monkeypatch):
    monkeypatch.setattr("emu.kernel.realtime.STUCK_STEPS", 1000)
    kernel = Kernel()

    def again(_):
        kernel.call_later(0, again)

    again(None)
    with pytest.raises(SimulationStuck):
        paced(kernel, FakeClock()).run()
    assert environment.STUCK_STEPS == 1_000_000


def test_a_paced_run_does_the_same_as_an_unpaced_one():
    def story(run):
        kernel, log = Kernel(seed=3), []
        stream = kernel.random("test")

        def process(name):
            for _ in range(20):
                yield kernel.timeout(stream.randrange(3) * MS)
                kernel.soon(log.append, (kernel.now, name))

        timer = kernel.timer(lambda _: log.append((kernel.now, "timer")))
        for name in "abc":
            kernel.spawn(process(name))
            timer.start(4 * MS)
        kernel.call_later(1 * MS, lambda _: timer.start(9 * MS))
        run(kernel)
        return log

    assert story(lambda kernel: paced(kernel, FakeClock()).run()) == story(lambda kernel: kernel.run())


def test_the_real_clock_is_followed():
    kernel = Kernel()
    kernel.call_later(100 * MS, lambda _: None)
    run = RealTime(kernel, 0.2)
    began_ns = time.monotonic_ns()
    run.run()
    assert time.monotonic_ns() - began_ns >= 20 * MS
    assert run.lateness.instants == 1
