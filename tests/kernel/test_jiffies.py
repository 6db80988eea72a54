"""Linux's coarse timers: when they really expire, and in which order."""

from hypothesis import given
from hypothesis import strategies as st

from emu.kernel import Kernel
from emu.kernel.jiffies import JIFFY_NS, wheel_expiry_ns

MS = 1_000_000
SECOND = 1_000_000_000


@given(now_ns=st.integers(0, 10**15), delay_ns=st.integers(0, 100 * SECOND))
def test_a_coarse_timer_is_never_early_and_late_by_at_most_an_eighth_and_one_jiffy(now_ns: int, delay_ns: int) -> None:
    late_ns = wheel_expiry_ns(now_ns, delay_ns) - now_ns - delay_ns
    assert 0 <= late_ns <= delay_ns // 7 + 2 * JIFFY_NS


def test_a_one_second_timer_that_restarts_itself_ticks_every_1024_ms_as_recorded_for_arp_and_ping() -> None:
    first = wheel_expiry_ns(123 * MS, SECOND)
    second = wheel_expiry_ns(first, SECOND)
    assert second - first == wheel_expiry_ns(second, SECOND) - second == 1024 * MS
    assert 1000 * MS < first - 123 * MS <= 1036 * MS


def test_five_second_timers_of_one_quarter_second_expire_together_and_the_newest_runs_first() -> None:
    kernel = Kernel()
    ran: list[tuple[str, int]] = []
    for delay_ms, name in ((10, "c1"), (11, "c2")):
        kernel.call_later(delay_ms * MS, lambda name: kernel.wheel.timer(note, name).start(5 * SECOND), name)

    def note(name: str) -> None:
        ran.append((name, kernel.now))

    kernel.run()
    assert [name for name, _ in ran] == ["c2", "c1"]
    assert ran[0][1] == ran[1][1] == 5120 * MS


def test_a_stopped_coarse_timer_neither_fires_nor_keeps_the_run_alive() -> None:
    kernel = Kernel()
    timer = kernel.wheel.timer(lambda _: (_ for _ in ()).throw(AssertionError("fired")))
    timer.start(SECOND)
    timer.stop()
    kernel.run()
    assert kernel.now == 0
    assert not timer.pending


def test_a_timer_may_stop_another_one_of_its_slot_while_the_slot_runs() -> None:
    kernel = Kernel()
    ran: list[str] = []
    first = kernel.wheel.timer(ran.append, "first")
    second = kernel.wheel.timer(lambda _: (ran.append("second"), first.stop()))
    first.start(SECOND)
    second.start(SECOND)
    kernel.run()
    assert ran == ["second"]


def test_restarting_a_coarse_timer_moves_it() -> None:
    kernel = Kernel()
    fired: list[int] = []
    timer = kernel.wheel.timer(lambda _: fired.append(kernel.now))
    timer.start(SECOND)
    kernel.call_later(500 * MS, timer.start, SECOND)
    kernel.run()
    assert fired == [wheel_expiry_ns(500 * MS, SECOND)]
