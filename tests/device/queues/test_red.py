"""RED drops with the probability that its average says, evenly spread, and marks instead where it may."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.device.queues.red import Red, RedQueue, power
from emu.wire.drop import DropReason
from emu.wire.ecn import ECN_CE, ECN_ECT_0, ECN_ECT_1, ECN_MASK, traffic_class
from emu.wire.frame import Frame
from tests.device.chi_square import chi_square, critical
from tests.device.queues.test_codel import ecn_frame
from tests.device.test_cable_times import Line

MS = 1_000_000
MINIMUM, MAXIMUM = 30_000, 90_000


def queue_of(random: Random | None = None, **settings) -> RedQueue:
    source = random or Random("red")
    queue = RedQueue(Red(MINIMUM, MAXIMUM, **settings), lambda frame, reason: None, lambda: source)
    queue.set_rate(8_000_000)  # an average packet of 1000 bytes takes 1 ms
    return queue


def at_average(average: float, count: int, **settings) -> list[bool]:
    """Which of many frames are dropped while the average stays what it is."""
    queue = queue_of(weight=0.5, **settings)
    dropped = []
    for _ in range(count):
        queue.average = float(average)
        queue.bytes_waiting = average  # so that the average is also where it goes
        dropped.append(queue.enqueue(Frame(b"", 1), 0, 0) is not None)
        queue.frames.clear()
    return dropped


def distances(dropped: list[bool]) -> list[int]:
    places = [place for place, is_dropped in enumerate(dropped) if is_dropped]
    return [after - before for before, after in pairwise(places)]


def gap_shares(share: float) -> list[float]:
    """How probable it is that 1, 2, … frames after a drop the next one is dropped, by the definition of pa."""
    shares, left = [], 1.0
    while left > 1e-12:
        remaining = 1 - (len(shares) + 1) * share
        probability = 1.0 if remaining <= share else share / remaining
        shares.append(left * probability)
        left *= 1 - probability
    return shares


@pytest.mark.parametrize(
    ("average", "share"), [(30_000, 0.0), (33_000, 0.005), (45_000, 0.025), (60_000, 0.05), (75_000, 0.075)]
)
def test_the_probability_grows_linearly_between_minimum_and_maximum(average, share):
    """The next drop is 1 to 1/share - 1 frames later, all about alike (Floyd and Jacobson, section 7, method 2)."""
    dropped = at_average(average, 100_000 if share else 1000, probability=0.1)
    if not share:
        assert not any(dropped)
        return
    gaps = distances(dropped)
    expected = gap_shares(share)
    assert set(gaps) <= set(range(1, len(expected) + 1))
    classes = 10
    counts, wanted = [0] * classes, [0.0] * classes
    for length, probability in enumerate(expected):
        counts[length * classes // len(expected)] += gaps.count(length + 1)
        wanted[length * classes // len(expected)] += len(gaps) * probability
    assert chi_square(counts, wanted) < critical(9)


def test_below_the_minimum_nothing_is_dropped_and_above_the_maximum_everything():
    assert not any(at_average(29_999, 1000))
    assert all(at_average(90_000, 1000))


def test_the_average_moves_by_its_weight_and_falls_while_the_line_is_idle():
    queue = queue_of(weight=0.25)
    for waiting, average in [(0, 0.0), (1000, 250.0), (2000, 687.5)]:
        assert queue.bytes_waiting == waiting
        queue.enqueue(Frame(bytes(1000), 1), 0, 0)
        assert queue.average == average
    while queue.dequeue(0):
        pass
    queue.enqueue(Frame(bytes(1000), 1), 0, 3 * MS)  # as if three packets had passed
    assert queue.average == 687.5 * 0.75**3


@given(st.floats(0.0, 1.0), st.integers(0, 3000))
def test_powers_by_multiplying_are_powers(base, exponent):
    assert power(base, exponent) == pytest.approx(base**exponent, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("ecn", [ECN_ECT_0, ECN_ECT_1, ECN_CE])
def test_with_ecn_frames_are_marked_also_above_the_maximum_unless_harddrop(ecn):
    for harddrop in (False, True):
        queue = queue_of(weight=1.0, ecn=True, harddrop=harddrop, limit="1MB")
        queue.bytes_waiting = MAXIMUM
        reason = queue.enqueue(ecn_frame(1, ecn), 0, 0)
        if harddrop:
            assert reason is DropReason.RED_ABOVE_MAXIMUM
        else:
            assert reason is None
            assert traffic_class(queue.frames[0].frame.data) & ECN_MASK == ECN_CE
            assert queue.marked == 1


def test_with_ecn_a_frame_whose_sender_does_not_support_it_is_dropped():
    for average, expected in [(MAXIMUM, DropReason.RED_ABOVE_MAXIMUM), (MAXIMUM - 1, DropReason.RED_EARLY)]:
        queue = queue_of(weight=1.0, probability=1.0, ecn=True, limit="1MB")
        queue.bytes_waiting = average
        reasons = {queue.enqueue(ecn_frame(number, 0), 0, 0) for number in range(50)}
        assert expected in reasons
        assert queue.marked == 0


def test_the_limit_holds_whatever_the_average_says():
    line = Line(rate="8Mbit", queue="red limit 90000 min 30000 max 90000")
    assert sum(line.send(1000) for _ in range(200)) == 91
    assert line.a.drops == {DropReason.QUEUE_FULL: 109}


def test_senders_do_not_hear_of_early_drops():
    """Linux gives NET_XMIT_CN for them, which is no error to a program."""
    line = Line(rate="8Mbit", queue=Red("2KB", "6KB", probability=0.6, weight=1, limit="60KB"))
    assert all(line.send(1000) for _ in range(50))
    line.kernel.run()
    assert len(line.arrivals) == line.a.tx_packets
    statistics = line.a.direction.statistics
    assert 50 - len(line.arrivals) == statistics.queue_dropped == line.a.tx_dropped
    assert set(line.a.drops) == {DropReason.RED_EARLY, DropReason.RED_ABOVE_MAXIMUM}


@pytest.mark.slow
def test_over_100000_frames_of_a_steady_overload_the_average_settles_where_drops_balance_it():
    """Arrivals are 4 % more than the line carries: drops must be 4 % of them, and the average where they are."""
    line = Line(rate="8Mbit", queue=Red(MINIMUM, MAXIMUM, probability=0.1, weight=0.002))
    for number in range(100_000):
        line.send_at(number * MS * 25 // 26, 1000)
    line.kernel.run()
    statistics = line.a.direction.statistics
    assert statistics.queue_dropped / 100_000 == pytest.approx(1 / 26, rel=0.03)
    # Drops every 1 to 1/share - 1 frames are twice share on average: the average settles near share 1/52.
    settled = MINIMUM + (MAXIMUM - MINIMUM) * (1 / 52) / 0.1
    assert statistics.queue_delay_mean_ns == pytest.approx(settled * 1000, rel=0.1)  # 1 us a byte
