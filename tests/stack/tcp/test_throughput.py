"""How fast TCP is: the link's rate without loss, Mathis's formula with it, and a golden table of many cases.

Mathis, Semke, Mahdavi, Ott 1997: a Reno sender that loses a segment now and then has C / sqrt(p) segments in flight on
average, C = sqrt(3 / (2 b)). b is 1 here and in Linux, delayed ACKs or not: the window grows by the bytes acknowledged
(RFC 3465), not by the ACKs counted. The formula wants a window that the path, not the link's rate or the receiver,
limits, and no timeouts; the cases are chosen so. Its losses are evenly spaced; with losses at random, as a link makes
them, the mean is up to 7 % higher (Ott, Kemperman, Mathis 1996: 1.31 / sqrt(p)).
"""

from __future__ import annotations

from math import sqrt

import pytest

from tests.stack.tcp.machine_pair import MS, MachinePair, WireTraits
from tests.stack.tcp.throughput import CASES, GOLDEN, HEADER, Link, bulk, row

RTT = 0.1
FAR = {"rate": "1Gbit", "delay": "50ms", "queue": 100_000}
SEGMENT = 1448


@pytest.mark.parametrize("congestion", ["cubic", "reno"])
@pytest.mark.parametrize(
    "rate", ["1Mbit", pytest.param("10Mbit", marks=pytest.mark.slow), pytest.param("100Mbit", marks=pytest.mark.slow)]
)
def test_without_loss_the_link_is_full(congestion: str, rate: str) -> None:
    """1448 bytes of payload in a frame of 1514; what waited behind a hole at the edges of the time may be 2 % of it."""
    queue = {"1Mbit": 20, "10Mbit": 50, "100Mbit": 300}[rate]
    outcome = bulk(congestion, Link(rate=rate, delay="10ms", queue=queue), seconds=22, skip=2)
    assert outcome.goodput_bps == pytest.approx(int(rate[:-4]) * 1e6 * 1448 / 1514, rel=0.02)
    assert outcome.timeouts == 0


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "seconds"), [(0.01, 1200), (0.001, 900)])
def test_reno_reaches_mathis_window_over_a_lossy_link(loss: float, seconds: int) -> None:
    outcome = bulk("reno", Link(loss=loss, **FAR), seconds=seconds, skip=30)  # type: ignore[arg-type]
    window = outcome.goodput_bps / 8 / SEGMENT * RTT
    assert window == pytest.approx(sqrt(3 / 2) / sqrt(loss), rel=0.1)
    assert outcome.timeouts == 0


def window_with_regular_losses(
    congestion: str, every: int, cycles: int, round_trip_ms: int, spread: float = 0.0, seed: int = 1
) -> tuple[float, int]:
    """The mean window, in segments, of a long transfer whose every so manieth segment is lost; and the timeouts.

    The first half, in which the window comes down from slow start, does not count. spread: see `WireTraits`.
    """
    traits = WireTraits(lose_every=every, lose_spread=spread, delay_ns=round_trip_ms * MS // 2, rate_bps=10**12)
    size = SEGMENT * every * cycles
    pair = MachinePair(seed, traits, (bytes(size), b""), congestion=congestion)
    receiver = pair.ends[1].receiver
    middle_ns = pair.run_until(lambda: receiver.received >= size // 2)
    counted = receiver.received
    pair.run(limit_ns=10**15, limit_steps=10**8)
    segments = (receiver.received - counted) / SEGMENT
    seconds = (pair.finished_ns - middle_ns) / 1e9
    return segments / seconds * round_trip_ms / 1000, pair.ends[0].sender.recovery.counters.timeouts


@pytest.mark.slow
@pytest.mark.parametrize(("every", "cycles"), [(1000, 60), (10_000, 24)])
def test_reno_reaches_mathis_window_with_regular_losses(every: int, cycles: int) -> None:
    window, timeouts = window_with_regular_losses("reno", every, cycles, 100)
    assert window == pytest.approx(sqrt(3 / 2 * every), rel=0.1)
    assert timeouts == 0


@pytest.mark.slow
def test_with_a_small_window_the_round_trip_of_the_repair_shows() -> None:
    """At exactly one loss in 100 segments Mathis's 12.2 segments are out of reach. The formula halves to fractions of a
    segment and repairs in no time; here 14 segments become 7, and the round trip of the repair, one of nine, carries 7
    and does not let the window grow: 7 + 8 + ... + 14, and 7 more, in nine round trips."""
    window, timeouts = window_with_regular_losses("reno", 100, 60, 100)
    assert window == pytest.approx((sum(range(7, 15)) + 7) / 9, rel=0.05)
    assert timeouts == 0


def widest_cubic_window(every: int, round_trip_s: float) -> float:
    """The mean window of a CUBIC that loses its segment when it is just one segment below W_max.

    The cubic is flat around W_max, and windows are whole segments: a loss a little before K finds the same window as
    the loss before, so that nothing makes W_max smaller. W is one segment below it at K - (1 / C)^(1/3). With the loss
    there, at T, the `every` segments of a cycle are the integral of W(t) = C (t - K)^3 + W_max from 0 to T over the
    round trip; it grows with K, which is found by halving. W(0) = 0.7 W_max makes W_max = C K^3 / 0.3.
    """
    low, high = 2.0, 100.0
    early = (1 / 0.4) ** (1 / 3)
    while high - low > 1e-6:
        k = (low + high) / 2
        carried = 0.4 * k**3 / 0.3 * (k - early) - 0.1 * (k**4 - early**4)
        low, high = (k, high) if carried < every * round_trip_s else (low, k)
    return every * round_trip_s / (low - early)


@pytest.mark.slow
@pytest.mark.parametrize(("every", "cycles", "round_trip_ms"), [(1000, 100, 400), (10_000, 40, 100)])
def test_cubic_reaches_its_own_window_with_regular_losses(every: int, cycles: int, round_trip_ms: int) -> None:
    """RFC 9438, 5.1: 1.054 (RTT / p)^(3/4) segments, where that is more than Reno's; coming from larger windows it
    stays where losses on the plateau stop changing W_max."""
    window, timeouts = window_with_regular_losses("cubic", every, cycles, round_trip_ms)
    expected = 1.054 * (round_trip_ms / 1000 * every) ** 0.75
    assert expected > sqrt(3 / 2 * every)
    assert 0.9 * expected < window < 1.02 * widest_cubic_window(every, round_trip_ms / 1000)
    assert timeouts == 0


@pytest.mark.slow
@pytest.mark.parametrize(("every", "cycles", "round_trip_ms"), [(1000, 100, 400), (10_000, 40, 100)])
def test_cubic_is_within_a_tenth_of_its_window_when_losses_vary_in_place(
    every: int, cycles: int, round_trip_ms: int
) -> None:
    """Losses a tenth earlier or later do not find the same window for ever; the mean of three runs."""
    runs = [window_with_regular_losses("cubic", every, cycles, round_trip_ms, 0.1, seed) for seed in (1, 2, 3)]
    expected = 1.054 * (round_trip_ms / 1000 * every) ** 0.75
    assert sum(window for window, _ in runs) / 3 == pytest.approx(expected, rel=0.1)
    assert not any(timeouts for _, timeouts in runs)


CHEAP = [case for case in CASES if case[1] == 0.01 and case[2] == "50ms"]


@pytest.mark.parametrize("case", CHEAP, ids=str)
def test_a_row_of_the_golden_table_is_what_it_was(case: tuple[str, float, str, int]) -> None:
    """To accept a change: python -m tests.stack.tcp.throughput --bless."""
    assert row(*case) in GOLDEN.read_text().splitlines(keepends=True)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case not in CHEAP], ids=str)
def test_every_other_row_of_the_golden_table_is_what_it_was(case: tuple[str, float, str, int]) -> None:
    """To accept a change: python -m tests.stack.tcp.throughput --bless."""
    assert row(*case) in GOLDEN.read_text().splitlines(keepends=True)


def test_the_golden_table_has_one_row_for_each_case_in_their_order() -> None:
    text = GOLDEN.read_text()
    assert text.startswith(HEADER)
    cells = [line.split()[:4] for line in text.removeprefix(HEADER).splitlines()]
    assert cells == [[name, f"{loss:.2%}", delay, str(queue)] for name, loss, delay, queue in CASES]
