"""What a line says it did is what arrived, and it counts anew when its settings change."""

from __future__ import annotations

import pytest

from tests.device.sample import Sample
from tests.device.test_cable_times import Line
from tests.device.test_ethernet import Wire

MS = 1_000_000


@pytest.mark.parametrize("rate", ["1Mbit", "3Mbit", 999_983, "10Gbit"])
@pytest.mark.parametrize("queue", [1000, "codel limit 1000 target 999s interval 1000s"])
def test_a_saturated_line_has_exactly_the_rate_it_was_set_to(rate, queue):
    line = Line(rate=rate, queue=queue)
    line.kernel.call_at(7 * MS, lambda _: [line.send(60 + number % 1400) for number in range(500)])
    line.kernel.run()
    statistics = line.a.direction.statistics
    assert statistics.rate_bps == line.a.direction.impairments.rate_bps
    assert (statistics.frames, statistics.bytes) == (500, sum(60 + number % 1400 for number in range(500)))
    assert statistics.queue_maximum_frames == 499


@pytest.mark.slow
@pytest.mark.parametrize("rate", ["100Mbit", 99_999_989])
def test_over_100000_frames_the_rate_and_the_delay_are_exactly_those_configured(rate):
    line = Line(rate=rate, delay="5ms", queue=100_000)
    for number in range(100_000):
        line.send(60 + number % 1400)
    line.kernel.run()
    total_bits = sum(60 + number % 1400 for number in range(100_000)) * 8
    rate_bps = line.a.direction.impairments.rate_bps
    assert line.arrivals[-1] - 5 * MS == -(-total_bits * 10**9 // rate_bps)
    statistics = line.a.direction.statistics
    assert statistics.rate_bps == rate_bps
    assert {statistics.delay_minimum_ns, statistics.delay_mean_ns, statistics.delay_maximum_ns} == {5 * MS}


@pytest.mark.parametrize("size", [42, 60, 1000])
@pytest.mark.parametrize("settings", [{"rate": "1Gbit"}, {"rate": "3Mbit"}, {"rate": "1Gbit", "duplicate": 1.0}])
def test_on_ethernet_framing_and_padding_count_for_the_rate_but_not_as_bytes(size, settings):
    wire = Wire(**settings)
    wire.send(size, 10)
    wire.kernel.run()
    statistics = wire.a.direction.statistics
    assert statistics.rate_bps == wire.a.direction.impairments.rate_bps
    assert statistics.bytes == 10 * size
    assert (statistics.interface, statistics.toward) == ("host1:eth0", "host2:eth0")


@pytest.mark.parametrize("short", [42, 1000])
def test_frames_that_are_refused_do_not_count_for_the_rate(short):
    wire = Wire(rate="1Gbit", queue=3)
    wire.send(short, 10)
    wire.kernel.run()
    statistics = wire.a.direction.statistics
    assert (statistics.frames, statistics.queue_full, statistics.rate_bps) == (4, 6, 10**9)
    assert statistics.queue_maximum_frames == 3
    assert statistics.queue_maximum_bytes == 3 * max(short, 60)


def test_every_change_begins_a_new_count_and_the_old_one_is_kept():
    line = Line(rate="1Mbit", loss=1.0)
    line.send()
    line.kernel.call_at(3 * MS, lambda _: (line.a.set(loss=0, delay="1ms"), line.send(), line.send()))
    line.kernel.run()
    before, now = line.a.direction.history[0], line.a.direction.statistics
    assert (before.settings, before.since_ns, before.until_ns) == ("rate 1Mbit loss 1", 0, 3 * MS)
    assert (before.frames, before.lost, before.loss_rate, before.delay_mean_ns) == (1, 1, 1.0, None)
    assert (now.settings, now.since_ns) == ("rate 1Mbit delay 1ms", 3 * MS)
    assert (now.frames, now.lost, now.loss_rate, now.rate_bps) == (2, 0, 0.0, 10**6)
    assert (now.delay_minimum_ns, now.delay_mean_ns, now.delay_maximum_ns) == (MS, MS, MS)
    assert (before.queue_maximum_frames, now.queue_maximum_frames) == (0, 1)


def test_a_change_that_changes_nothing_and_one_before_any_frame_leave_no_trace():
    line = Line(rate="1Mbit")
    line.a.set(delay="1ms")
    line.send()
    line.a.set(delay="1ms", rate="1000kbit")
    assert line.a.direction.history == []
    assert line.a.direction.statistics.frames == 1


def test_a_perfect_wire_and_one_without_frames_have_nothing_to_say():
    line = Line()
    assert line.a.direction.statistics.is_empty
    line.send()
    statistics = line.a.direction.statistics
    assert (statistics.frames, statistics.rate_bps, statistics.settings) == (1, None, "")
    assert (statistics.delay_minimum_ns, statistics.delay_maximum_ns) == (0, 0)
    assert line.b.direction.statistics.delay_mean_ns is None


def test_all_kinds_are_told_apart():
    sample = Sample(500, loss=0.1, duplicate=0.2, corrupt=0.3, delay="10us", reorder=0.25, rate="10Gbit")
    statistics = sample.statistics
    assert statistics.frames == 500
    assert len(sample.ids) == 500 - statistics.lost + statistics.duplicated
    assert sum(frame.altered for _, frame in sample.arrived) == statistics.corrupted
    assert statistics.reordered > 50
    assert (statistics.delay_minimum_ns, statistics.delay_maximum_ns) == (0, 10_000)
    assert set(statistics.summary()) >= {"loss_rate", "rate_bps", "queue_marked", "queue_delay_mean_ns"}
