"""A timer fires once, at the time it was last started for, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.kernel import Kernel


def make(kernel, log, background=False):
    return kernel.timer(lambda name: log.append((kernel.now, name)), "timer", background=background)


def test_it_fires_once_with_its_argument():
    kernel, log = Kernel(), []
    timer = make(kernel, log)
    timer.start(10)
    assert timer.pending
    assert timer.expires_ns == 10
    kernel.run()
    assert log == [(10, "timer")]
    assert not timer.pending


@pytest.mark.parametrize("second", [5, 10, 20])
def test_starting_again_moves_it(second):
    kernel, log = Kernel(), []
    timer = make(kernel, log)
    timer.start(10)
    timer.start(second)
    kernel.run()
    assert log == [(second, "timer")]


def test_it_can_be_restarted_from_its_own_function():
    kernel, log = Kernel(), []

    def again(_):
        log.append(kernel.now)
        if kernel.now < 30:
            timer.start(10)

    timer = kernel.timer(again)
    timer.start(10)
    kernel.run()
    assert log == [10, 20, 30]


def test_a_start_in_the_past_is_a_bug():
    kernel = Kernel()
    kernel.run(until=100)
    with pytest.raises(AssertionError, match="50"):
        kernel.timer(print).start_at(50)


def test_restarting_to_a_later_time_leaves_one_heap_entry():
    kernel, log = Kernel(), []
    timer = make(kernel, log)
    for delay_ns in range(1000):
        timer.start(10 + delay_ns)
    assert len(kernel.heap) == 1
    kernel.run()
    assert log == [(1009, "timer")]


operations = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.integers(0, 2),
        st.sampled_from(["start", "stop"]),
        st.integers(0, 15),
    ),
    max_size=30,
)


@given(operations, st.booleans())
def test_timers_behave_like_the_obvious_model(steps, background):
    """Model: each timer is just its expiry time or None; compared at every instant."""
    kernel, log = Kernel(), []
    timers = [kernel.timer(lambda index: log.append((kernel.now, index)), i, background=background) for i in range(3)]
    expected, expiry, now = [], [None] * 3, 0

    def advance(to):
        due = sorted((t, i) for i, t in enumerate(expiry) if t is not None and t < to)
        for t, i in due:
            expected.append((t, i))
            expiry[i] = None

    for gap, index, operation, delay in steps:
        now += gap
        if gap:
            kernel.run(until=now)
            advance(now)
        assert sorted(log) == sorted(expected)
        assert [timer.pending for timer in timers] == [t is not None for t in expiry]
        if operation == "start":
            timers[index].start(delay)
            expiry[index] = now + delay
        else:
            timers[index].stop()
            expiry[index] = None
    last = max((t for t in expiry if t is not None), default=None)
    kernel.run()
    if background:
        assert kernel.now == now, "background timers do not keep a run alive"
    else:
        advance(10**9)
        assert sorted(log) == sorted(expected)
        assert kernel.now == (now if last is None else last)
    kernel.run(until=kernel.now + 100)
    assert kernel.background_entries == 0
    assert not kernel.heap
