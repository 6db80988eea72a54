"""The queue in front of a line takes so many frames or bytes and refuses the rest; what is on the line has left it."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.wire.drop import DropReason
from tests.device.test_cable_times import Line


class Model:
    """A drop-tail queue written down plainly: the times at which its frames begin to be sent."""

    def __init__(self, per_byte_ns: int, limit_frames: int, limit_bytes: int) -> None:
        self.per_byte_ns, self.limit_frames, self.limit_bytes = per_byte_ns, limit_frames, limit_bytes
        self.free_ns = self.refused = self.longest = self.most_bytes = 0
        self.waiting: deque[tuple[int, int]] = deque()
        self.arrivals: list[int] = []

    def send(self, now: int, size: int) -> None:
        while self.waiting and self.waiting[0][0] <= now:
            self.waiting.popleft()
        waiting_bytes = sum(waiting for _, waiting in self.waiting)
        start = max(now, self.free_ns)
        if start > now:
            if len(self.waiting) >= self.limit_frames or waiting_bytes + size > self.limit_bytes:
                self.refused += 1
                return
            self.waiting.append((start, size))
            self.longest = max(self.longest, len(self.waiting))
            self.most_bytes = max(self.most_bytes, waiting_bytes + size)
        self.free_ns = start + size * self.per_byte_ns
        self.arrivals.append(self.free_ns)


def compared(queue: int | str, sends: list[tuple[int, int]]) -> None:
    line = Line(rate="80Mbit", queue=queue)  # 100 ns a byte
    model = Model(100, queue if isinstance(queue, int) else 10**9, 10**9 if isinstance(queue, int) else 8000)
    now = 0
    for gap, size in sends:
        now += gap
        line.send_at(now, size)
        model.send(now, size)
    line.kernel.run()
    assert line.arrivals == model.arrivals
    statistics = line.a.direction.statistics
    assert statistics.queue_full == line.a.drops.get(DropReason.QUEUE_FULL, 0) == model.refused
    assert (statistics.queue_maximum_frames, statistics.queue_maximum_bytes) == (model.longest, model.most_bytes)


@pytest.mark.parametrize("queue", [7, "8KB"])
@given(st.lists(st.tuples(st.integers(0, 200_000), st.integers(14, 1514)), max_size=60))
def test_frames_are_refused_and_counted_as_by_a_plain_model(queue, sends):
    compared(queue, sends)


@pytest.mark.slow
@pytest.mark.parametrize("queue", [7, "8KB"])
def test_over_100000_frames_the_same_ones_are_refused(queue):
    random = Random("sends")
    compared(queue, [(random.randrange(160_000), random.randrange(14, 1515)) for _ in range(100_000)])


FRAME_NS = 1_000_000
"""125 bytes at 1 Mbit/s."""


def accepted(line: Line, count: int, size: int = 125) -> int:
    return sum(line.send(size) for _ in range(count))


@pytest.mark.parametrize("queue", [10, "10"])
def test_a_queue_of_ten_frames_takes_ten_besides_the_one_on_the_line(queue):
    line = Line(rate="1Mbit", queue=queue)
    assert accepted(line, 20) == 11
    line.kernel.run()
    assert len(line.arrivals) == 11
    assert line.a.drops == {DropReason.QUEUE_FULL: 9}
    assert line.a.tx_dropped == 9
    assert line.a.tx_packets == 11
    assert line.a.direction.statistics.queue_full == 9


def test_a_thousand_frames_wait_by_default():
    line = Line(rate="1Mbit")
    assert accepted(line, 1100) == 1001


def test_a_byte_limit_counts_bytes():
    line = Line(rate="1Mbit", queue="1KiB")
    assert accepted(line, 20) == 1 + 8
    assert line.send(24) is True
    assert line.send(1) is False


@pytest.mark.parametrize(("rate", "free_ns"), [("1Mbit", FRAME_NS), (999_999, FRAME_NS + 2)])
def test_a_frame_leaves_the_queue_when_its_first_bit_is_sent(rate, free_ns):
    line = Line(rate=rate, queue=1)
    assert accepted(line, 3) == 2
    line.kernel.call_at(FRAME_NS // 2, lambda _: line.ids.append(("half", line.send())))
    line.kernel.call_at(free_ns, lambda _: line.ids.append(("one", line.send())))
    line.kernel.run()
    assert ("half", False) in line.ids
    assert ("one", True) in line.ids


def test_the_limit_can_be_changed_while_frames_wait():
    line = Line(rate="1Mbit", queue=2)
    assert accepted(line, 5) == 3
    line.a.set(queue=4)
    assert accepted(line, 5) == 2
    line.a.set(queue=1)
    assert accepted(line, 1) == 0
    line.kernel.run()
    assert len(line.arrivals) == 5


def test_a_rate_change_keeps_the_queue():
    line = Line(rate="1Mbit", queue=2)
    assert accepted(line, 5) == 3
    line.a.set(rate="3Mbit")
    assert accepted(line, 1) == 0
    line.kernel.run()
    assert accepted(line, 5) == 3
