"""The round-trip estimator gives Linux's numbers."""

from __future__ import annotations

import pytest

from emu.stack.tcp.rtt import RttEstimator

MS = 1_000_000


def estimator(*samples_ms: float) -> RttEstimator:
    rtt = RttEstimator()
    for number, sample in enumerate(samples_ms):
        rtt.sample(round(sample * MS), una=number, nxt=number)
    return rtt


def test_without_a_sample_the_timeout_is_one_second() -> None:
    assert RttEstimator().rto_ns == 1000 * MS


@pytest.mark.parametrize(("sample_ms", "rto_ms"), [(0.05, 200.05), (50, 250), (100, 300), (300, 900), (1000, 3000)])
def test_the_first_sample_makes_it_three_times_the_sample_but_at_least_200_ms_more(
    sample_ms: float, rto_ms: float
) -> None:
    """RFC 6298, 2.2: SRTT + 4 * (R / 2); Linux bounds the second term at 200 ms."""
    assert estimator(sample_ms).rto_ns == round(rto_ms * MS)


def test_the_mean_moves_by_an_eighth_of_the_difference() -> None:
    """RFC 6298, 2.3, alpha 1/8."""
    assert estimator(100, 180).srtt_ns == 110 * MS
    assert estimator(100, 20).srtt_ns == 90 * MS


def test_a_longer_time_raises_the_variation_by_a_quarter_of_the_surprise() -> None:
    """beta 1/4: the mean deviation is 50 ms after a first sample of 100 ms; 400 ms are 300 ms off."""
    rtt = estimator(100, 400)
    assert rtt.rttvar_ns == (3 * 50 + 300) * MS // 4


def test_a_shorter_time_hardly_raises_the_variation() -> None:
    """Linux: a sample below the mean counts an eighth, or a path that gets faster would get a longer timeout."""
    assert estimator(800, 100).rto_ns < estimator(800, 800).rto_ns
    slow = RttEstimator()
    slow.sample(800 * MS)
    variation = slow.rttvar_ns
    slow.sample(10 * MS)
    assert slow.rttvar_ns - variation <= (790 - 400) * MS // 4 // 8 + 1


def test_steady_times_bring_the_timeout_down_to_200_ms_above_the_mean() -> None:
    rtt = estimator(*[300] * 60)
    assert 500 * MS <= rtt.rto_ns < 501 * MS


def test_the_variation_falls_once_a_round_trip_only() -> None:
    rtt = RttEstimator()
    rtt.sample(1000 * MS, una=0, nxt=100)
    before = rtt.rttvar_ns
    for una in range(1, 202):
        rtt.sample(1000 * MS, una=una, nxt=100 + una)
        assert rtt.rttvar_ns == before
    rtt.sample(1000 * MS, una=202, nxt=300)
    assert rtt.rttvar_ns == before - (before - 50 * MS) // 4


def test_the_timeout_is_never_above_two_minutes() -> None:
    assert estimator(90_000).rto_ns == 120_000 * MS


def test_the_shortest_time_is_forgotten_after_five_minutes() -> None:
    rtt = RttEstimator()
    rtt.shortest(10 * MS, now_ns=0)
    rtt.shortest(20 * MS, now_ns=299_000 * MS)
    assert rtt.min_rtt_ns == 10 * MS
    rtt.shortest(20 * MS, now_ns=301_000 * MS)
    assert rtt.min_rtt_ns == 20 * MS
