"""Reno, CUBIC and HyStart++ grow and shrink the window by their formulas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.kernel.errors import InvalidValue
from emu.stack.tcp import congestion
from emu.stack.tcp.congestion.cubic import Cubic, cube_root
from emu.stack.tcp.congestion.hystart import HyStart
from emu.stack.tcp.congestion.reno import Reno

MSS = 1000
MS = 1_000_000
SECOND = 1_000_000_000


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidValue, match='congestion control \'bbr\': expected "cubic" or "reno"'):
        congestion.make("bbr", MSS)


@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_the_initial_window_is_ten_segments(name: str) -> None:
    assert congestion.make(name, MSS).cwnd == 10 * MSS


# -- Reno


def test_reno_doubles_in_a_round_trip_of_slow_start() -> None:
    reno = Reno(MSS, 10)
    for _ in range(5):
        reno.acked(2 * MSS, 0, 0, 0, 0)
    assert reno.cwnd == 20 * MSS


def test_reno_crosses_the_threshold_within_one_ack() -> None:
    reno = Reno(MSS, 10)
    reno.ssthresh = 11 * MSS
    reno.acked(12 * MSS, 0, 0, 0, 0)
    assert reno.cwnd == 12 * MSS, "one segment of slow start, eleven make one more"


def test_reno_adds_one_segment_per_window() -> None:
    reno = Reno(MSS, 10)
    reno.ssthresh = 10 * MSS
    for window in range(10, 15):
        for _ in range(window):
            assert reno.cwnd == window * MSS
            reno.acked(MSS, 0, 0, 0, 0)
    assert reno.cwnd == 15 * MSS


@pytest.mark.parametrize(("cwnd", "half"), [(10, 5), (11, 5), (3, 2), (1, 2)])
def test_reno_halves_to_whole_segments_and_at_least_two(cwnd: int, half: int) -> None:
    assert Reno(MSS, cwnd).reduce(0) == half * MSS


# -- CUBIC


def drive(cubic: Cubic, seconds: float, rtt_ns: int) -> list[tuple[int, int]]:
    """Acknowledges window after window, segment by segment over a round trip; (time, window) at every segment."""
    now, end = 0, round(seconds * SECOND)
    track = []
    while now < end:
        now += rtt_ns * MSS // cubic.cwnd
        cubic.acked(MSS, rtt_ns, 0, 0, now)
        track.append((now, cubic.cwnd))
    return track


def after_loss(cwnd: int) -> Cubic:
    cubic = Cubic(MSS, cwnd)
    cubic.ssthresh = cubic.reduce(0)
    cubic.cwnd = cubic.ssthresh
    return cubic


@pytest.mark.parametrize("w_max", [250, 400, 1000])
def test_cubic_follows_its_closed_formula(w_max: int) -> None:
    """RFC 9438, figure 1: W(t) = C (t - K)^3 + W_max, K = cbrt((W_max - cwnd) / C); on a long path, so not Reno's."""
    rtt_ns = 100 * MS
    start = int(w_max * 0.7)
    k = ((w_max - start) / 0.4) ** (1 / 3)
    for now, cwnd in drive(after_loss(w_max), 1.7 * k, rtt_ns):
        t = now / SECOND
        ideal = 0.4 * (t - k) ** 3 + w_max
        assert cwnd / MSS <= ideal + 0.4 * ((t + 0.2 - k) ** 3 - (t - k) ** 3) + 2
        assert cwnd / MSS >= min(ideal - 0.03 * w_max - 2, ideal), (t, ideal, cwnd)


def test_cubic_is_flat_around_the_window_of_the_loss() -> None:
    cubic = after_loss(1000)
    k = (300 / 0.4) ** (1 / 3)
    track = drive(cubic, 2 * k, 100 * MS)
    near = [cwnd for now, cwnd in track if abs(now / SECOND - k) < 1]
    assert max(near) - min(near) <= 0.03 * 1000 * MSS


def test_cubic_is_never_slower_than_reno_on_a_short_path() -> None:
    """RFC 9438, 4.3: 9/17 of a segment per round trip until the window before the loss, then one."""
    rtt_ns = 1 * MS
    track = drive(after_loss(100), 0.03 / 9 * 17, rtt_ns)
    assert track[-1][1] >= (70 + 25) * MSS
    later = drive(after_loss(100), 0.2, rtt_ns)
    per_round = (later[-1][1] - 101 * MSS) / (200 - 57)
    assert 0.85 * MSS < per_round < 1.1 * MSS


def test_fast_convergence_lets_go_of_some_more() -> None:
    cubic = after_loss(100)
    cubic.acked(MSS, MS, 0, 0, 0)
    assert cubic.window_at(10**12) > 0
    cubic.ssthresh = cubic.reduce(0)
    cubic.cwnd = cubic.ssthresh
    cubic.acked(MSS, MS, 0, 0, SECOND)
    k = cube_root(round((70 * 0.85 - 49) * 10) * 10**27 // 4)
    assert cubic.window_at(k) == pytest.approx(70 * 0.85 * MSS, abs=2)


def test_cubic_takes_back_an_undeserved_loss_completely() -> None:
    cubic = after_loss(1000)
    track = drive(cubic, 5, 100 * MS)
    before = (cubic.cwnd, cubic.window_at(7 * SECOND))
    cubic.ssthresh = cubic.reduce(5 * SECOND)
    cubic.cwnd = cubic.ssthresh
    cubic.undo(track[-1][1])
    assert (cubic.cwnd, cubic.window_at(7 * SECOND)) == before


def test_after_a_timeout_cubic_begins_where_slow_start_ends() -> None:
    cubic = Cubic(MSS, 1000)
    cubic.ssthresh = cubic.reduce(0)
    cubic.timed_out()
    cubic.cwnd = cubic.ssthresh
    cubic.acked(MSS, 100 * MS, 0, 0, SECOND)
    assert cubic.window_at(0) == 700 * MSS


def test_idle_time_does_not_make_cubic_jump() -> None:
    busy, idle = after_loss(100), after_loss(100)
    for cubic in (busy, idle):
        cubic.acked(MSS, 10 * MS, 0, 0, 0)
    idle.idle(60 * SECOND)
    for cubic, now in ((busy, SECOND), (idle, 61 * SECOND)):
        for _ in range(50):
            cubic.acked(MSS, 10 * MS, 0, 0, now)
    assert busy.cwnd == idle.cwnd


@given(st.integers(0, 10**45))
def test_the_cube_root_is_exact(value: int) -> None:
    root = cube_root(value)
    assert root**3 <= value < (root + 1) ** 3


# -- HyStart++


def rounds(hystart: HyStart, rtts_ms: list[float], samples: int = 10, start: int = 0) -> list[int]:
    """One round trip for each time, `samples` ACKs in it; the growth in segments of each round.

    start: how many rounds there were before.
    """
    grown = []
    for number, rtt_ms in enumerate(rtts_ms, start):
        una, nxt = number * samples, (number + 1) * samples
        acks = [hystart.growth(MSS, round(rtt_ms * MS), una + index, nxt, MSS) for index in range(samples)]
        grown.append(sum(acks) // MSS)
    return grown


def test_slow_start_goes_on_while_the_round_trip_stays_short() -> None:
    hystart = HyStart()
    assert rounds(hystart, [50] * 20) == [10] * 20
    assert not hystart.done


def test_a_growing_round_trip_slows_slow_start_down_and_ends_it_five_rounds_later() -> None:
    """RFC 9406: the threshold of a 50 ms path is 6.25 ms."""
    hystart = HyStart()
    assert rounds(hystart, [50, 50, 57])[-1] < 10
    assert hystart.conservative
    grown = rounds(hystart, [57] * 4, start=3)
    assert all(segments <= 3 for segments in grown)
    assert not hystart.done
    rounds(hystart, [57], start=7)
    assert hystart.done


@pytest.mark.parametrize(
    ("base_ms", "unnoticed_ms", "noticed_ms"), [(1, 4.9, 5.1), (80, 89.9, 90.1), (400, 415.9, 416.1)]
)
def test_the_threshold_is_an_eighth_between_4_and_16_ms(base_ms: float, unnoticed_ms: float, noticed_ms: float) -> None:
    calm, alarmed = HyStart(), HyStart()
    rounds(calm, [base_ms, unnoticed_ms])
    rounds(alarmed, [base_ms, noticed_ms])
    assert not calm.conservative
    assert alarmed.conservative


def test_seven_samples_are_not_enough() -> None:
    hystart = HyStart()
    rounds(hystart, [50, 90, 140], samples=7)
    assert not hystart.conservative


def test_a_short_round_trip_again_resumes_slow_start() -> None:
    hystart = HyStart()
    rounds(hystart, [50, 60])
    assert hystart.conservative
    rounds(hystart, [51], start=2)
    assert not hystart.conservative


def test_one_ack_grows_the_window_by_eight_segments_at_most() -> None:
    assert HyStart().growth(20 * MSS, 0, 0, 0, MSS) == 8 * MSS


def test_cubic_leaves_slow_start_when_hystart_says_so() -> None:
    cubic = Cubic(MSS, 10)
    una = nxt = 0
    for rtt_ms in [50, 50, 60, 60, 60, 60, 60, 60, 60]:
        window = cubic.cwnd // MSS
        una, nxt = nxt, nxt + window
        for index in range(window):
            cubic.acked(MSS, rtt_ms * MS, una + index, nxt, 0)
    assert cubic.ssthresh < 200 * MSS
    assert cubic.cwnd >= cubic.ssthresh
