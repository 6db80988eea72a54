"""Serialization times are exact at any rate: no float, no drift, whatever the rate and however long the stream."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.device import create_veth
from emu.kernel import Kernel
from emu.wire.frame import Frame
from tests.device.lan import mac


class Line:
    """One direction of a veth pair with impairments, and when frames arrive."""

    def __init__(self, **settings) -> None:
        self.kernel = Kernel()
        self.a, self.b = create_veth(self.kernel, "a", mac(1), "b", mac(2))
        self.a.set_up()
        self.b.set_up()
        self.a.set(**settings)
        self.arrivals: list[int] = []
        self.ids: list[int] = []
        self.b.upper = self._take

    def _take(self, frame: Frame) -> None:
        self.arrivals.append(self.kernel.now)
        self.ids.append(frame.packet_id)

    def send(self, size: int = 125) -> bool:
        return self.a.transmit(Frame(bytes(size), self.kernel.next_packet_id()))

    def send_at(self, time_ns: int, size: int = 125) -> None:
        self.kernel.call_at(time_ns, self.send, size)


@pytest.mark.parametrize(
    ("rate", "size", "arrival_ns"),
    [
        ("1Gbit", 1000, 8_000),
        ("10Gbit", 1001, 801),  # 800.8 ns
        ("3Mbit", 100, 266_667),  # 266,666.67 ns
        ("7bit", 14, 16_000_000_000),
        (3, 1, 2_666_666_667),
        ("1.5Mbit", 1500, 8_000_000),
        ("400Gbit", 64, 2),  # 1.28 ns
        ("1Tbit", 125, 1),
    ],
)
def test_one_frame_takes_its_bits_divided_by_the_rate_rounded_up(rate, size, arrival_ns):
    line = Line(rate=rate)
    line.send(size)
    line.kernel.run()
    assert line.arrivals == [arrival_ns]


def test_a_thousand_frames_at_3_mbit_end_when_their_bits_do():
    line = Line(rate="3Mbit", queue=2000)
    for _ in range(1000):
        line.send(100)
    line.kernel.run()
    assert line.arrivals == [ceil(Fraction(800 * 10**9 * n, 3 * 10**6)) for n in range(1, 1001)]


@given(
    rate=st.integers(1, 10**12),
    sends=st.lists(st.tuples(st.integers(0, 10**6), st.integers(14, 1514)), min_size=1, max_size=30),
    delay=st.integers(0, 10**6),
)
def test_any_rate_equals_exact_rational_arithmetic(rate, sends, delay):
    line = Line(rate=rate, delay=delay)
    expected = []
    now, free = 0, Fraction(0)
    for gap, size in sends:
        now += gap
        line.send_at(now, size)
        free = max(free, Fraction(now)) + Fraction(size * 8 * 10**9, rate)
        expected.append(ceil(free) + delay)
    line.kernel.run()
    assert line.arrivals == expected


def test_delay_is_added_after_the_last_bit_and_does_not_occupy_the_line():
    line = Line(rate="1Mbit", delay="10ms")
    line.send(125)
    line.send(125)
    line.kernel.run()
    assert line.arrivals == [11_000_000, 12_000_000]


def test_delay_alone_lets_any_number_of_frames_fly_at_once():
    line = Line(delay="1ms")
    for _ in range(5000):
        assert line.send()
    line.kernel.run()
    assert line.arrivals == [1_000_000] * 5000
    assert line.ids == sorted(line.ids)


def test_a_new_rate_applies_to_frames_that_wait_but_not_to_the_one_on_the_line():
    line = Line(rate="1Mbit")  # 1 ms per frame of 125 bytes
    line.send()
    line.send()
    line.kernel.call_at(500_000, lambda _: (line.a.set(rate="3Mbit"), line.send()))
    line.kernel.run()
    assert line.arrivals == [1_000_000, 1_333_334, 1_666_667]


def test_taking_the_rate_away_frees_the_line():
    line = Line(rate="1Mbit")
    line.send()
    line.kernel.call_at(500_000, lambda _: (line.a.set(rate=None), line.send()))
    line.kernel.run()
    assert line.arrivals == [500_000, 1_000_000]
