"""A line with a queue discipline has the times of any other line, and survives every change while frames wait."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.device import CostModel, EthernetPort, HostCpu, connect
from emu.device.queues.codel import CoDel
from emu.kernel import Kernel
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from tests.device.impairments.test_token_bucket import Oracle, windows_hold
from tests.device.lan import mac
from tests.device.sample import Sample
from tests.device.test_cable_times import Line

MS = 1_000_000
PATIENT = CoDel(target="999s", interval="1000s")
"""A CoDel that never drops."""
DISCIPLINES = [PATIENT, "red limit 100MB min 50MB max 60MB"]

sends = st.lists(st.tuples(st.integers(0, 10**5), st.integers(14, 1514)), min_size=1, max_size=40)


@pytest.mark.parametrize("discipline", DISCIPLINES)
@given(rate=st.integers(1000, 10**11), sent=sends, delay=st.integers(0, 10**6))
def test_any_rate_equals_exact_rational_arithmetic(discipline, rate, sent, delay):
    line = Line(rate=rate, delay=delay, queue=discipline)
    expected, now, free = [], 0, Fraction(0)
    for gap, size in sent:
        now += gap
        line.send_at(now, size)
        free = max(free, Fraction(now)) + Fraction(size * 8 * 10**9, rate)
        expected.append(ceil(free) + delay)
    line.kernel.run()
    assert line.arrivals == expected
    assert line.ids == sorted(line.ids)


@given(st.integers(1_000_000, 10**10), st.integers(1514, 20_000), sends)
def test_with_a_burst_frames_leave_when_the_token_bucket_says(rate, burst, sent):
    line = Line(rate=rate, burst=burst, queue=PATIENT)
    oracle = Oracle(rate, burst)
    expected, now = [], 0
    for gap, size in sent:
        now += gap
        line.send_at(now, size)
        expected.append(ceil(oracle.send(now, size)))
    line.kernel.run()
    assert line.arrivals == expected


def test_frames_count_and_are_seen_when_they_leave_the_queue():
    line = Line(rate="1Mbit", queue=PATIENT)
    seen = []
    line.a.add_tap(lambda now_ns, frame, direction: seen.append(now_ns))
    for _ in range(3):
        line.send()
    assert (line.a.tx_packets, seen) == (1, [0])
    line.kernel.run()
    assert (line.a.tx_packets, line.a.tx_bytes, seen) == (3, 375, [0, MS, 2 * MS])


def test_framing_and_the_minimum_frame_take_time_on_ethernet_here_too():
    kernel = Kernel()
    a, b = (EthernetPort(kernel, name, mac(number)) for number, name in enumerate("ab", 1))
    connect(a, b).set(rate="8Mbit", queue="codel")
    arrivals = []
    b.upper = lambda frame: arrivals.append(kernel.now)
    a.set_up()
    b.set_up()
    for number in range(3):
        a.transmit(Frame(bytes(42), number))
    kernel.run()
    assert arrivals == [84_000, 168_000, 252_000]
    assert a.direction.statistics.rate_bps == 8_000_000
    assert a.direction.statistics.bytes == 126


def test_what_waits_for_the_hosts_cpu_does_not_leave_before_it_is_ready():
    kernel = Kernel()
    a, b = (EthernetPort(kernel, name, mac(number)) for number, name in enumerate("ab", 1))
    connect(a, b).set(rate="8Gbit", queue="codel")
    costs = CostModel()
    a.cpu = HostCpu(kernel, "host", costs)
    arrivals = []
    b.upper = lambda frame: arrivals.append(kernel.now)
    a.set_up()
    b.set_up()
    a.cpu.start(lambda _: [a.transmit(Frame(bytes(60), number)) for number in range(3)])
    kernel.run()
    assert arrivals == [costs.ethernet_transmit * number + 84 for number in (1, 2, 3)]


def test_chance_plays_its_part_behind_the_queue():
    for settings in ({"loss": 0.2}, {"corrupt": 0.2}, {"delay": "10us", "jitter": "5us"}):
        plain = Sample(300, gap_ns=10_000, rate="1Gbit", **settings)
        queued = Sample(300, gap_ns=10_000, rate="1Gbit", queue=PATIENT, **settings)
        assert (plain.ids, plain.delays) == (queued.ids, queued.delays)
        assert [frame.data for _, frame in plain.arrived] == [frame.data for _, frame in queued.arrived]


def test_a_duplicate_occupies_the_line_once_more():
    sample = Sample(2, gap_ns=0, rate="512Mbit", duplicate=1.0, queue=PATIENT)
    assert [(time_ns, frame.packet_id) for time_ns, frame in sample.arrived] == [
        (1000, 1), (2000, 1), (3000, 2), (4000, 2),
    ]  # fmt: skip
    assert sample.statistics.duplicated == 2
    assert sample.statistics.rate_bps == 512_000_000


@pytest.mark.parametrize("queue", [100, *DISCIPLINES])
def test_a_frame_that_finds_the_line_free_does_not_count_as_waiting(queue):
    line = Line(rate="1Mbit", queue=queue)
    for at in (0, 2 * MS, 3 * MS):  # the last one comes as the line becomes free
        line.send_at(at)
    line.kernel.run()
    assert line.a.direction.statistics.queue_maximum_frames == 0
    line.send()
    line.send()
    assert line.a.direction.statistics.queue_maximum_frames == 1


# -- changes while frames wait -----------------------------------------------------------------------------------------


def arrivals_after(first_queue: object, at_ns: int, /, **changes) -> list[int]:
    """Five frames of 1 ms each at once; then a change."""
    line = Line(rate="1Mbit", queue=first_queue)
    for _ in range(5):
        line.send()
    line.kernel.call_at(at_ns, lambda _: line.a.set(**changes))
    line.kernel.run()
    assert line.ids == sorted(line.ids)
    assert line.a.drops == {}
    assert line.a.tx_packets == 5
    return line.arrivals


QUEUES = [100, "100KB", *DISCIPLINES]


@pytest.mark.parametrize("queue", QUEUES)
def test_a_faster_rate_lets_what_waits_leave_faster(queue):
    expected = [MS, MS + 500_000, 2 * MS, 2 * MS + 500_000, 3 * MS]
    assert arrivals_after(queue, 400_000, rate="2Mbit") == expected


@pytest.mark.parametrize("queue", QUEUES)
def test_a_slower_rate_holds_it_back(queue):
    assert arrivals_after(queue, 1_400_000, rate="500kbit") == [MS, 2 * MS, 4 * MS, 6 * MS, 8 * MS]


@pytest.mark.parametrize("queue", QUEUES)
def test_without_a_rate_it_leaves_at_once(queue):
    line = Line(rate="1Mbit", queue=queue)
    for _ in range(5):
        line.send()
    line.kernel.call_at(1_400_000, lambda _: line.a.set(rate=None, queue=None))
    line.kernel.run()
    assert line.arrivals == [MS, 1_400_000, 1_400_000, 1_400_000, 2 * MS]
    assert line.ids == [1, 3, 4, 5, 2], "the one on the line arrives when it would have"


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("other", [*QUEUES, 1, "125B", "codel limit 1", "red limit 600 min 100 max 200", None])
def test_another_queue_takes_over_what_waits_in_its_order_whatever_its_limits(queue, other):
    assert arrivals_after(queue, 1_400_000, queue=other) == [MS, 2 * MS, 3 * MS, 4 * MS, 5 * MS]


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("other", QUEUES)
def test_changing_the_queue_and_the_rate_together_does_both(queue, other):
    expected = [MS, MS + 500_000, 2 * MS, 2 * MS + 500_000, 3 * MS]
    assert arrivals_after(queue, 400_000, rate="2Mbit", queue=other) == expected


@pytest.mark.parametrize("queue", QUEUES)
def test_a_burst_that_comes_while_frames_wait_lets_them_go(queue):
    assert arrivals_after(queue, 400_000, burst="250B") == [MS, MS, MS, 2 * MS, 3 * MS]


@pytest.mark.parametrize("queue", QUEUES)
def test_delay_and_chance_change_for_what_is_sent_from_then_on(queue):
    line = Line(rate="1Mbit", delay="10ms", queue=queue)
    line.send()
    line.send()
    line.kernel.call_at(500_000, lambda _: (line.a.set(delay="20ms"), line.send()))
    line.kernel.run()
    waiting = 12 * MS if isinstance(queue, int) or queue == "100KB" else 22 * MS  # sent is: given to the line
    assert line.arrivals == [11 * MS, waiting, 23 * MS]


@pytest.mark.parametrize(
    ("queue", "lower"),
    [
        (100, 2), (100, "250B"), (PATIENT, "codel limit 2"), (PATIENT, 2), ("red min 50MB max 60MB", "codel limit 2"),
        (PATIENT, "red min 100 max 200 limit 300"),
    ],
)  # fmt: skip
def test_a_lower_limit_refuses_frames_that_come_later(queue, lower):
    line = Line(rate="1Mbit", queue=queue)
    for _ in range(5):
        line.send()
    line.a.set(queue=lower)
    assert not line.send()
    line.kernel.run()
    assert len(line.arrivals) == 5
    assert line.a.drops == {DropReason.QUEUE_FULL: 1}


def test_what_waits_in_a_drop_tail_queue_does_not_count_for_the_discipline_that_follows():
    line = Line(rate="1Mbit", queue=100)
    for _ in range(5):
        line.send()
    line.a.set(queue="codel limit 2")
    assert [line.send() for _ in range(3)] == [True, True, False]
    line.kernel.run()
    assert line.arrivals == [MS * number for number in range(1, 8)]
    assert line.a.direction.statistics.queue_maximum_frames == 2


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("burst", [None, "125B"])
def test_when_the_carrier_goes_what_waits_is_dropped_and_later_the_line_is_free(queue, burst):
    line = Line(rate="1Mbit", queue=queue, burst=burst)
    for _ in range(5):
        line.send()
    line.kernel.call_at(1_500_000, lambda _: (line.b.set_down(), line.b.set_up(), line.send()))
    line.kernel.run()
    assert line.arrivals == ([MS, 2 * MS, 3 * MS] if burst is None else [0, MS, 2 * MS])
    assert line.a.drops == {DropReason.NO_CARRIER: 3}
    assert line.a.tx_dropped == 3


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2 * MS),
            st.one_of(
                st.integers(14, 1514),
                st.sampled_from([
                    {"rate": "1Mbit"}, {"rate": "7Mbit"}, {"rate": 999_999}, {"burst": "2KB"}, {"burst": None},
                    {"queue": 5}, {"queue": "4KB"}, {"queue": "codel limit 5 target 1ms interval 3ms"}, {"queue": None},
                    {"queue": "red min 2KB max 6KB weight 0.5"}, {"loss": 0.3}, {"delay": "3ms", "jitter": "1ms"},
                    {"duplicate": 0.3},
                ]),
            ),
        ),
        max_size=60,
    )
)  # fmt: skip
def test_whatever_changes_when_ever_every_frame_arrives_once_or_is_dropped_with_a_reason(events):
    line = Line(rate="2Mbit")
    dropped = []
    line.kernel.journal.drop_listeners.append(lambda now_ns, frame, reason, where: dropped.append(frame.packet_id))
    now, sent = 0, 0
    for gap, event in events:
        now += gap
        if isinstance(event, int):
            sent += 1
            line.send_at(now, event)
        else:
            line.kernel.call_at(now, lambda _, changes=event: line.a.set(**changes))
    line.kernel.run()
    history = [*line.a.direction.history, line.a.direction.statistics]
    duplicated = sum(entry.duplicated for entry in history)
    # A copy that the full queue refuses is a drop, too, of a frame that was sent.
    assert len(line.ids) - duplicated + len(dropped) >= sent
    assert set(line.ids) | set(dropped) == set(range(1, sent + 1))
    assert sum(entry.frames for entry in history) == line.a.tx_packets
    if not duplicated:
        assert len(line.ids) + len(dropped) == sent
        lost = sum(entry.lost for entry in history)
        assert len(line.ids) == line.a.tx_packets - lost
        assert len(dropped) - lost == line.a.tx_dropped


@given(sends, st.lists(st.tuples(st.integers(0, 5 * MS), st.sampled_from(["1Mbit", "8Mbit"])), max_size=5))
def test_no_window_exceeds_the_larger_rate_while_it_changes(sent, changes):
    line = Line(rate="8Mbit", burst="4KB")
    now = 0
    for gap, size in sent:
        now += gap
        line.send_at(now, size)
    for at, rate in changes:
        line.kernel.call_at(at, lambda _, rate=rate: line.a.set(rate=rate))
    line.kernel.run()
    sizes = [size for _, size in sent]
    assert windows_hold(list(zip(line.arrivals, sizes, strict=True)), Fraction(1, 1000), 4001)
