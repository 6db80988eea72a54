"""CoDel drops exactly what the pseudocode of RFC 8289 drops, and brings a standing queue down to its target."""

from __future__ import annotations

from collections import deque
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.device.queues.codel import CoDel, CoDelQueue
from emu.wire.drop import DropReason
from emu.wire.ecn import ECN_CE, ECN_ECT_0, ECN_MASK, traffic_class
from emu.wire.frame import Frame
from emu.wire.ipv4 import build_ipv4_header
from tests.device.test_cable_times import Line

MS = 1_000_000
ADDRESSES = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))


class Oracle:
    """Section 5 of RFC 8289, written down from the text on its own; packets are (number, size, arrival)."""

    def __init__(self, target: int, interval: int, maxpacket: int) -> None:
        self.TARGET, self.INTERVAL, self.MAXPACKET = target, interval, maxpacket
        self.queue: deque[tuple[int, int, int]] = deque()
        self.first_above_time = self.drop_next = 0
        self.count = self.lastcount = 0
        self.dropping = False
        self.dropped: list[tuple[int, int]] = []

    def control_law(self, t: int, count: int) -> int:
        return t + int(self.INTERVAL / sqrt(count))

    def dodequeue(self, now: int) -> tuple[tuple[int, int, int] | None, bool]:
        packet = self.queue.popleft() if self.queue else None
        ok_to_drop = False
        if packet is None:
            self.first_above_time = 0
            return None, False
        sojourn_time = now - packet[2]
        if sojourn_time < self.TARGET or sum(size for _, size, _ in self.queue) <= self.MAXPACKET:
            self.first_above_time = 0
        elif self.first_above_time == 0:
            self.first_above_time = now + self.INTERVAL
        elif now >= self.first_above_time:
            ok_to_drop = True
        return packet, ok_to_drop

    def drop(self, packet: tuple[int, int, int] | None, now: int) -> None:
        assert packet is not None
        self.dropped.append((now, packet[0]))

    def dequeue(self, now: int) -> int | None:
        packet, ok_to_drop = self.dodequeue(now)
        if packet is None:
            self.dropping = False
            return None
        if self.dropping:
            if not ok_to_drop:
                self.dropping = False
            while now >= self.drop_next and self.dropping:
                self.drop(packet, now)
                self.count += 1
                packet, ok_to_drop = self.dodequeue(now)
                if not ok_to_drop:
                    self.dropping = False
                else:
                    self.drop_next = self.control_law(self.drop_next, self.count)
        elif ok_to_drop:
            self.drop(packet, now)
            packet, ok_to_drop = self.dodequeue(now)
            self.dropping = True
            delta = self.count - self.lastcount
            self.count = 1
            if delta > 1 and now - self.drop_next < 16 * self.INTERVAL:
                self.count = delta
            self.drop_next = self.control_law(now, self.count)
            self.lastcount = self.count
        return None if packet is None else packet[0]


class Both:
    """The queue and the oracle, given the same frames at the same times."""

    def __init__(self, target: int = 5 * MS, interval: int = 100 * MS, largest: int = 1514) -> None:
        self.dropped: list[tuple[int, int]] = []
        self.now = 0
        settings = CoDel(limit=10**6, target=target, interval=interval)
        self.queue = CoDelQueue(settings, self._note, lambda: largest)
        self.oracle = Oracle(target, interval, largest)

    def _note(self, frame: Frame, reason: DropReason) -> None:
        assert reason is DropReason.CODEL
        self.dropped.append((self.now, frame.packet_id))

    def arrive(self, now: int, number: int, size: int) -> None:
        assert self.queue.enqueue(Frame(bytes(size), number), now, 0) is None
        self.oracle.queue.append((number, size, now))

    def leave(self, now: int) -> None:
        self.now = now
        got = self.queue.dequeue(now)
        expected = self.oracle.dequeue(now)
        assert (None if got is None else got.frame.packet_id) == expected

    def agree(self) -> None:
        assert self.dropped == self.oracle.dropped
        assert (self.queue.count, self.queue.dropping) == (self.oracle.count, self.oracle.dropping)


def overloaded(both: Both, frames: int, overload: float) -> None:
    """Frames of 1000 bytes come a bit faster than they leave, one each millisecond, in bursts and pauses."""
    events = []
    at = 0.0
    for number in range(frames):
        at += MS / overload * (8 if number % 700 == 699 else 1)  # now and then the queue may drain
        events.append((int(at), 0, number))
    events += [(step * MS, 1, 0) for step in range(1, int(at / MS) + 1)]
    for now, kind, number in sorted(events):
        if kind:
            both.leave(now)
        else:
            both.arrive(now, number, 1000)
    both.agree()


@pytest.mark.parametrize("overload", [0.9, 1.02, 1.3, 3.0])
def test_the_same_frames_are_dropped_as_by_the_pseudocode_of_the_rfc(overload):
    both = Both()
    overloaded(both, 5000, overload)
    assert bool(both.dropped) is (overload > 1)


@pytest.mark.slow
def test_over_100000_frames_the_same_ones_are_dropped():
    both = Both(interval=20 * MS, target=1 * MS)
    overloaded(both, 100_000, 1.1)
    assert len(both.dropped) > 1000


events = st.lists(
    st.tuples(st.booleans(), st.integers(0, 3 * MS), st.sampled_from([60, 500, 1514])), min_size=1, max_size=300
)


@given(events, st.integers(1, 4), st.integers(5, 40))
def test_whatever_comes_and_goes_when_ever_both_agree(sequence, target_ms, interval_ms):
    both = Both(target_ms * MS, interval_ms * MS)
    now = 1
    for number, (is_arrival, gap, size) in enumerate(sequence):
        now += gap
        if is_arrival:
            both.arrive(now, number, size)
        else:
            both.leave(now)
    both.agree()


def test_a_standing_queue_is_brought_to_the_target():
    """A sender that keeps 60 frames under way, each followed by the next once it has got through or been lost.

    Like a window that is too large by 50 ms; it shrinks by one with every drop. Drop-tail would keep the queue.
    """
    line = Line(rate="8Mbit", queue=CoDel(target="5ms", interval="100ms"))  # 1 ms per frame of 1000 bytes
    waits: list[tuple[int, int]] = []
    sent: dict[int, int] = {}

    def send(_: object) -> None:
        frame = Frame(bytes(1000), line.kernel.next_packet_id())
        sent[frame.packet_id] = line.kernel.now
        line.a.transmit(frame)

    def take(frame: Frame) -> None:
        waits.append((line.kernel.now, line.kernel.now - sent[frame.packet_id] - MS))
        if line.kernel.now < 8_000 * MS:
            line.kernel.soon(send)

    line.b.upper = take
    for _ in range(60):
        send(None)
    line.kernel.run()
    early = [wait for now, wait in waits if 59 * MS < now < 150 * MS]
    late = [wait for now, wait in waits if 6_000 * MS < now < 8_000 * MS]
    assert min(early) > 50 * MS
    assert max(late) <= 6 * MS
    assert line.a.drops[DropReason.CODEL] >= 50
    statistics = line.a.direction.statistics
    assert statistics.queue_dropped == line.a.drops[DropReason.CODEL] == line.a.tx_dropped
    assert statistics.queue_maximum_frames == 60, "one comes at the instant at which another leaves"
    assert statistics.queue_delay_maximum_ns == 59 * MS
    assert statistics.queue_delay_minimum_ns == 0


def ecn_frame(number: int, ecn: int) -> Frame:
    header = build_ipv4_header(*ADDRESSES, 17, 986, tos=0xB8 | ecn)
    return Frame(bytes(12) + b"\x08\x00" + header + bytes(1000 - 34), number)


@pytest.mark.parametrize("ecn", [ECN_ECT_0, 0])
def test_frames_are_marked_instead_of_dropped_if_their_senders_support_it(ecn):
    line = Line(rate="8Mbit", queue="codel ecn target 5ms interval 20ms")
    seen: list[tuple[int, int]] = []
    tapped: list[int] = []
    line.b.upper = lambda frame: seen.append((frame.packet_id, traffic_class(frame.data) & ECN_MASK))
    line.a.add_tap(lambda now_ns, frame, direction: tapped.append(traffic_class(frame.data) & ECN_MASK))
    for number in range(200):
        line.a.transmit(ecn_frame(number, ecn))
    line.kernel.run()
    marked = [number for number, value in seen if value == ECN_CE]
    statistics = line.a.direction.statistics
    assert statistics.queue_marked == len(marked)
    assert tapped == [value for _, value in seen], "the sender's tap shows frames as they leave"
    if ecn:
        assert len(seen) == 200
        assert len(marked) > 10
        assert statistics.queue_dropped == 0
    else:
        assert not marked
        assert len(seen) == 200 - statistics.queue_dropped
        assert statistics.queue_dropped == line.a.drops[DropReason.CODEL] > 10


def test_marks_come_at_the_times_at_which_drops_would_begin():
    marks, drops = Both(), Both()
    marks.queue.settings = CoDel(limit=10**6, ecn=True)
    for number in range(2000):
        marks.queue.enqueue(ecn_frame(number, ECN_ECT_0), number * MS // 2, 0)
        drops.queue.enqueue(ecn_frame(number, 0), number * MS // 2, 0)
    marked_at = []
    for step in range(2, 400):
        marks.now = drops.now = step * MS
        before = marks.queue.marked
        marks.queue.dequeue(step * MS)
        if marks.queue.marked > before:
            marked_at.append(step * MS)
        drops.queue.dequeue(step * MS)
    assert marked_at == [now for now, _ in drops.dropped]


def test_a_full_queue_refuses_and_the_sender_hears_of_it():
    line = Line(rate="8Mbit", queue=CoDel(limit=3))
    assert [line.send(1000) for _ in range(6)] == [True] * 4 + [False] * 2
    line.kernel.run()
    assert line.a.drops == {DropReason.QUEUE_FULL: 2}
    assert line.a.direction.statistics.queue_full == 2
    assert line.a.tx_packets == 4
