"""A token bucket lets its burst through at once, and in no window of time more than rate x time + burst."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.device import EthernetPort, connect
from emu.kernel import Kernel
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from tests.device.lan import mac
from tests.device.test_cable_times import Line


class Oracle:
    """tc's tbf, counting tokens (in bytes) as exact fractions."""

    def __init__(self, rate_bps: int, burst: int) -> None:
        self.rate, self.burst = Fraction(rate_bps, 8 * 10**9), burst  # bytes per ns
        self.tokens, self.at = Fraction(burst), Fraction(0)

    def send(self, now: int, size: int) -> Fraction:
        """When a frame leaves that comes now (and waits for those before it)."""
        start = max(Fraction(now), self.at)
        tokens = min(Fraction(self.burst), self.tokens + (start - self.at) * self.rate)
        if tokens < size:
            start += (size - tokens) / self.rate
            tokens = Fraction(size)
        self.tokens, self.at = tokens - size, start
        return start


sends = st.lists(st.tuples(st.integers(0, 200_000), st.integers(14, 1514)), min_size=1, max_size=40)


@given(st.integers(1_000_000, 10**10), st.integers(1514, 20_000), sends)
def test_frames_leave_exactly_when_a_bucket_of_tokens_says(rate, burst, sent):
    line = Line(rate=rate, burst=burst, delay=5)
    oracle = Oracle(rate, burst)
    expected, now = [], 0
    for gap, size in sent:
        now += gap
        line.send_at(now, size)
        expected.append(ceil(oracle.send(now, size)) + 5)
    line.kernel.run()
    assert line.arrivals == expected


def windows_hold(departures: list[tuple[int, int]], per_ns: Fraction, burst: int) -> bool:
    """In every window between two departures no more than rate x time + burst leaves: checked in one pass.

    For all i <= j: bytes(i..j) <= rate x (t_j - t_i) + burst.
    """
    total, lowest = 0, None
    for time_ns, size in departures:
        before = total - per_ns * time_ns
        lowest = before if lowest is None else min(lowest, before)
        total += size
        if total - per_ns * time_ns - lowest > burst:
            return False
    return True


def saturated(frames: int) -> tuple[Line, list[tuple[int, int]]]:
    line = Line(rate="80Mbit", burst="20KB", queue=frames)  # 100 ns a byte
    sizes = [60 + 97 * number % 1400 for number in range(frames)]
    for size in sizes:
        assert line.send(size)
    line.kernel.run()
    return line, list(zip(line.arrivals, sizes, strict=True))


def test_when_saturated_exactly_rate_times_time_plus_burst_has_left():
    _, departures = saturated(2000)
    total = 0
    for time_ns, size in departures:
        total += size
        if time_ns:
            assert total == Fraction(time_ns, 100) + 20_000
        else:
            assert total <= 20_000
    assert windows_hold(departures, Fraction(1, 100), 20_000)
    assert not windows_hold(departures, Fraction(1, 100), 19_999), "the check can fail"


@pytest.mark.slow
def test_over_100000_frames_no_window_has_more_and_the_rate_is_the_configured_one():
    line, departures = saturated(100_000)
    assert windows_hold(departures, Fraction(1, 100), 20_000)
    total = sum(size for _, size in departures)
    statistics = line.a.direction.statistics
    assert statistics.bytes == total
    assert statistics.rate_bps == total * 8 * 10**9 // departures[-1][0]
    assert statistics.rate_bps == pytest.approx(80_000_000, rel=0.001)


@given(sends)
def test_random_arrivals_never_exceed_the_envelope(sent):
    line = Line(rate="80Mbit", burst="4KB")
    now = 0
    for gap, size in sent:
        now += gap
        line.send_at(now, size)
    line.kernel.run()
    sizes = [size for _, size in sent]
    assert windows_hold(list(zip(line.arrivals, sizes, strict=True)), Fraction(1, 100), 4000)


def test_a_frame_longer_than_the_bucket_is_dropped_with_its_own_reason():
    line = Line(rate="1Mbit", burst="1KB")
    assert line.send(1000)
    assert not line.send(1001)
    line.kernel.run()
    assert line.a.drops == {DropReason.OVER_BURST: 1}
    assert line.a.tx_dropped == 1
    assert line.a.direction.statistics.over_burst == 1
    assert line.a.direction.statistics.queue_full == 0


def test_frames_that_wait_for_tokens_fill_the_queue():
    line = Line(rate="1Mbit", burst="1KB", queue=2)
    assert [line.send(1000) for _ in range(5)] == [True, True, True, False, False]
    line.kernel.run()
    assert line.arrivals == [0, 8_000_000, 16_000_000]
    assert line.a.direction.statistics.queue_maximum_frames == 2


def test_on_ethernet_framing_takes_tokens_too():
    kernel = Kernel()
    a, b = (EthernetPort(kernel, name, mac(number)) for number, name in enumerate("ab", 1))
    connect(a, b).set(rate="8Mbit", burst="168B")  # two of the shortest frames
    arrivals = []
    b.upper = lambda frame: arrivals.append(kernel.now)
    a.set_up()
    b.set_up()
    for number in range(3):
        a.transmit(Frame(bytes(42), number))
    kernel.run()
    assert arrivals == [0, 0, 84_000]


def test_a_new_rate_keeps_the_tokens_and_frees_what_waits_sooner():
    line = Line(rate="1Mbit", burst="1KB")
    for _ in range(3):
        line.send(1000)
    line.kernel.call_at(4_000_000, lambda _: line.a.set(rate="10Mbit"))  # half of the tokens are there
    line.kernel.run()
    assert line.arrivals == [0, 4_400_000, 5_200_000]


def test_setting_other_things_does_not_fill_the_bucket():
    line = Line(rate="1Mbit", burst="1KB")
    line.send(1000)
    line.kernel.call_at(4_000_000, lambda _: (line.a.set(delay="1us"), line.a.set(burst="2KB"), line.send(1000)))
    line.kernel.run()
    assert line.arrivals == [0, 8_001_000]


def test_a_bucket_taken_away_leaves_a_line_that_sends_bit_by_bit():
    line = Line(rate="1Mbit", burst="1KB")
    for _ in range(3):
        line.send(1000)
    line.kernel.call_at(1_000_000, lambda _: line.a.set(burst=None))
    line.kernel.run()
    assert line.arrivals == [0, 9_000_000, 17_000_000]


def test_pulling_the_cable_drops_what_waits_for_tokens_and_keeps_the_bucket():
    line = Line(rate="1Mbit", burst="1KB")
    for _ in range(3):
        line.send(1000)
    line.kernel.call_at(4_000_000, lambda _: (line.b.set_down(), line.b.set_up(), line.send(1000)))
    line.kernel.run()
    assert line.arrivals == [0, 8_000_000]
    assert line.a.drops == {DropReason.NO_CARRIER: 2}
