"""The queue in front of a line takes so many frames or bytes and refuses the rest; what is on the line has left it."""

import pytest

from emu.wire.drop import DropReason
from tests.device.test_cable_times import Line

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
