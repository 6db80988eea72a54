"""The kernel runs light calls and SimPy's processes on one heap, in one well-defined order."""

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from emu.kernel import InvalidValue, Kernel, SimulationStuck, environment


def test_light_calls_run_in_time_order_and_ties_run_first_in_first_out():
    kernel = Kernel()
    log = []
    for delay_ns, name in [(20, "c"), (10, "a"), (10, "b"), (0, "now")]:
        kernel.call_later(delay_ns, lambda name: log.append((kernel.now, name)), name)
    kernel.run()
    assert log == [(0, "now"), (10, "a"), (10, "b"), (20, "c")]


def test_call_at_takes_an_absolute_time():
    kernel = Kernel()
    log = []
    kernel.call_at(7, lambda _: kernel.call_at(9, lambda _: log.append(kernel.now)))
    kernel.run()
    assert log == [9]


def test_a_call_into_the_past_is_a_bug_not_a_silent_reordering():
    kernel = Kernel()
    with pytest.raises(AssertionError, match="-5"):
        kernel.call_later(-5, print)


def test_same_instant_work_is_done_breadth_first_before_the_next_heap_entry():
    kernel = Kernel()
    log = []

    def flood(name: str) -> None:
        log.append(name)
        if len(name) < 3:
            kernel.soon(flood, name + "1")
            kernel.soon(flood, name + "2")

    kernel.call_later(5, flood, "r")
    kernel.call_later(5, log.append, "next entry of the same instant")
    kernel.run()
    assert log == ["r", "r1", "r2", "r11", "r12", "r21", "r22", "next entry of the same instant"]


def test_same_instant_work_asked_for_before_the_run_is_done_first():
    kernel = Kernel()
    log = []
    kernel.call_later(0, log.append, "heap")
    kernel.soon(log.append, "soon")
    kernel.run()
    assert log == ["soon", "heap"]


def test_the_clock_is_an_int_for_processes_too():
    kernel = Kernel()
    log = []

    def process():
        yield kernel.timeout(1_500_000_000)
        log.append(kernel.now)

    kernel.process(process())
    kernel.run()
    assert log == [1_500_000_000]
    assert type(kernel.now) is int


def test_a_float_never_enters_the_clock():
    kernel = Kernel()
    with pytest.raises(InvalidValue, match="whole nanoseconds"):
        kernel.timeout(0.5)
    with pytest.raises(InvalidValue, match="whole nanoseconds"):
        kernel.run(until=1.5)


def test_processes_and_light_calls_share_one_order():
    kernel = Kernel()
    log = []

    def process():
        yield kernel.timeout(10)
        log.append("process")

    kernel.process(process())
    kernel.call_later(10, log.append, "call scheduled before the process started")
    kernel.run()
    assert log == ["call scheduled before the process started", "process"]


def test_simpy_resources_work():
    kernel = Kernel()
    resource = simpy.Resource(kernel, capacity=1)
    log = []

    def user(name):
        with resource.request() as request:
            yield request
            log.append((kernel.now, name))
            yield kernel.timeout(10)

    for name in "abc":
        kernel.process(user(name))
    kernel.run()
    assert log == [(0, "a"), (10, "b"), (20, "c")]


def test_simpy_stores_work():
    kernel = Kernel()
    store = simpy.Store(kernel)
    log = []

    def consumer():
        item = yield store.get()
        log.append((kernel.now, item))

    kernel.process(consumer())
    kernel.call_later(30, lambda _: store.put("letter"))
    kernel.run()
    assert log == [(30, "letter")]


def test_simpy_interrupts_work():
    kernel = Kernel()
    log = []

    def sleeper():
        try:
            yield kernel.timeout(1000)
        except simpy.Interrupt as interrupt:
            log.append((kernel.now, interrupt.cause))

    process = kernel.process(sleeper())
    kernel.call_later(10, lambda _: process.interrupt("wake up"))
    kernel.run()
    assert log == [(10, "wake up")]


def test_simpy_conditions_work():
    kernel = Kernel()
    fast, slow = kernel.timeout(5, "fast"), kernel.timeout(50, "slow")
    result = kernel.run(until=fast | slow)
    assert list(result.values()) == ["fast"]
    assert kernel.now == 5


def test_run_until_an_event_returns_its_value_and_stops_there():
    kernel = Kernel()
    event = kernel.event()
    kernel.call_later(10, lambda _: event.succeed("done"))
    kernel.call_later(20, lambda _: pytest.fail("ran on"))
    assert kernel.run(until=event) == "done"
    assert kernel.now == 10
    assert kernel.run(until=event) == "done", "an event of the past answers at once"


def test_run_until_an_event_that_cannot_happen_is_an_error():
    kernel = Kernel()
    with pytest.raises(RuntimeError, match="not triggered"):
        kernel.run(until=kernel.event())


def test_run_until_a_failing_process_raises_its_exception():
    kernel = Kernel()

    def process():
        yield kernel.timeout(1)
        raise ZeroDivisionError("in the process")

    with pytest.raises(ZeroDivisionError, match="in the process"):
        kernel.run(until=kernel.process(process()))


def test_run_until_a_time_ends_exactly_then_and_leaves_that_instant_for_later():
    kernel = Kernel()
    log = []
    kernel.call_later(100, log.append, "due at 100")
    kernel.run(until=100)
    assert (kernel.now, log) == (100, [])
    kernel.run(until=101)
    assert (kernel.now, log) == (101, ["due at 100"])


def test_run_until_a_time_advances_the_clock_without_any_work():
    kernel = Kernel()
    kernel.run(until=5)
    assert kernel.now == 5
    with pytest.raises(InvalidValue, match="later than the present"):
        kernel.run(until=5)


def test_after_an_exception_the_run_can_go_on_to_its_end():
    kernel = Kernel()
    log = []

    def fail(_):
        raise KeyboardInterrupt

    kernel.call_later(1, fail)
    kernel.call_later(2, log.append, "later")
    with pytest.raises(KeyboardInterrupt):
        kernel.run(until=50)
    kernel.run()
    assert (kernel.now, log) == (2, ["later"]), "the stop mark of the interrupted run is gone"


def test_step_and_peek_agree_with_run():
    kernel = Kernel()
    log = []
    kernel.call_later(10, lambda _: kernel.soon(log.append, "follows at once"))
    kernel.timeout(20)
    assert kernel.peek() == 10
    kernel.step()
    assert (kernel.now, log, kernel.peek()) == (10, ["follows at once"], 20)
    kernel.step()
    assert kernel.peek() == simpy.core.Infinity
    with pytest.raises(simpy.core.EmptySchedule):
        kernel.step()


def test_an_endless_instant_stops_with_an_error_that_names_who_takes_part():
    kernel = Kernel()

    class Bridge:
        def __init__(self, label):
            self.label = label
            self.other = None

        def receive(self, frame):
            kernel.soon(self.other.receive, frame)

    left, right = Bridge("host1:br-left"), Bridge("host1:br-right")
    left.other, right.other = right, left
    kernel.call_later(3_000, left.receive, "frame")
    with pytest.raises(SimulationStuck, match=r"t=3us.*host1:br-\w+, host1:br-\w+"):
        kernel.run()


def test_much_work_that_was_due_at_one_instant_is_no_loop(monkeypatch):
    monkeypatch.setattr(environment, "STUCK_STEPS", 1_000)
    kernel = Kernel()
    done = []

    def broadcast(number):
        for receiver in range(100):
            kernel.soon(done.append, (number, receiver))

    for number in range(100):
        kernel.call_later(5, broadcast, number)
    kernel.run()
    assert (kernel.now, len(done)) == (5, 10_000)


def test_a_loop_is_noticed_although_other_work_is_due_at_the_same_instant(monkeypatch):
    monkeypatch.setattr(environment, "STUCK_STEPS", 1_000)
    steps = []

    def go_round(kernel):
        steps.append(kernel)
        kernel.soon(go_round, kernel)

    def come_again(kernel):
        steps.append(kernel)
        kernel.call_later(0, come_again, kernel)

    for endless in (go_round, come_again):
        kernel = Kernel()
        steps.clear()
        for _ in range(10):
            kernel.call_later(5, lambda _: None)
        kernel.call_later(5, endless, kernel)
        kernel.call_later(5, lambda _: None)
        with pytest.raises(SimulationStuck):
            kernel.run()
        assert len(steps) < 10_000


def test_of_many_in_a_loop_some_are_named(monkeypatch):
    monkeypatch.setattr(environment, "STUCK_STEPS", 1_000)
    kernel = Kernel()

    class Device:
        def __init__(self, number):
            self.label = f"c{number}:eth0"

        def receive(self, next_number):
            kernel.soon(devices[next_number].receive, (next_number + 1) % len(devices))

    devices = [Device(number) for number in range(100)]
    devices[0].receive(1)
    with pytest.raises(SimulationStuck, match=r"through (c\d+:eth0, ){11}c\d+:eth0 and 88 more; break"):
        kernel.run()


def test_a_process_that_never_waits_is_told_to_wait(monkeypatch):
    monkeypatch.setattr(environment, "STUCK_STEPS", 1_000)
    kernel = Kernel()

    def busy():
        while True:
            yield kernel.timeout(0)

    kernel.process(busy())
    with pytest.raises(SimulationStuck, match=r"t=0ns: a process or function goes on and on; let it wait for time to"):
        kernel.run()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=40))
def test_any_mix_of_calls_timers_and_processes_is_ordered_by_time_then_request(requests):
    kernel = Kernel()
    log = []
    for index, (delay_ns, kind) in enumerate(requests):
        if kind == 0:
            kernel.call_later(delay_ns, log.append, (delay_ns, index))
        elif kind == 1:
            kernel.timer(log.append, (delay_ns, index)).start(delay_ns)
        else:
            kernel.timeout(delay_ns).callbacks.append(lambda _, entry=(delay_ns, index): log.append(entry))
    kernel.run()
    assert log == sorted(log)
    assert len(log) == len(requests)
