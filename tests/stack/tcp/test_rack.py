"""RACK believes a segment lost exactly when it is a reordering window late (RFC 8985)."""

from __future__ import annotations

import pytest

from emu.stack.tcp.recovery import TimerAction
from tests.stack.tcp.sender import MS, Sender


def in_order(sender: Sender) -> None:
    """Ten segments, one every ms, on a path of 100 ms."""
    for at in range(10):
        sender.send(1, 1000 + at)


def with_reordering_seen(**settings: object) -> Sender:
    """The first two segments arrived the wrong way round."""
    sender = Sender(cwnd=20, **settings)  # type: ignore[arg-type]
    sender.send(2, 0)
    sender.ack(0, (1, 2), at=100)
    sender.ack(2, at=100.1)
    assert sender.recovery.counters.reorderings == 1
    return sender


def test_three_sacked_segments_prove_the_loss_without_a_wait() -> None:
    sender = Sender()
    in_order(sender)
    assert sender.ack(0, (1, 2), at=1101) == []
    assert sender.ack(0, (1, 3), at=1102) == []
    assert sender.ack(0, (1, 4), at=1103) == [0]
    assert sender.recovery.state_name == "Recovery"


def test_fewer_than_three_wait_a_quarter_of_the_shortest_round_trip() -> None:
    """RACK.rtt is that of the SACKed segment, 100 ms; the window 25 ms: segment 0 is lost 125 ms after it was sent."""
    sender = Sender()
    in_order(sender)
    sender.ack(0, (1, 2), at=1101)
    assert sender.deadline == pytest.approx(1125, abs=0.001)
    assert sender.timer(1124.999) is TimerAction.NOTHING
    assert sender.lost == []
    assert sender.timer(1125.001) is TimerAction.RETRANSMIT
    assert sender.resend(1125.001) == [0]


def test_an_ack_after_the_window_finds_the_loss_too() -> None:
    sender = Sender(cwnd=20)
    sender.send(2, 0)
    sender.send(1, 40)
    sender.ack(0, (1, 2), at=100)
    assert sender.lost == []
    assert sender.ack(0, (1, 3), at=140) == [0], "40 ms later than the one sent with it"


def test_with_reordering_seen_three_duplicates_prove_nothing() -> None:
    sender = with_reordering_seen()
    in_order(sender)
    for last in range(3, 10):
        assert sender.ack(2, (3, last + 1), at=1098 + last) == []
    assert sender.recovery.state_name == "Disorder"
    assert sender.deadline == pytest.approx(1000 + 100 + 25, abs=0.001), "segment 2: sent at 1000, window 25 ms"


def test_segments_after_the_newest_arrival_are_not_judged() -> None:
    sender = Sender(cwnd=20)
    in_order(sender)
    assert sender.ack(0, (1, 4), at=1103) == [0]
    assert sender.lost == []
    assert [segment.lost for segment in sender.recovery.queued()].count(True) == 1


def test_a_lost_retransmission_is_found_by_time() -> None:
    sender = Sender(cwnd=20)
    in_order(sender)
    sender.ack(0, (1, 4), at=1103)
    sender.send(4, 1108)
    sender.ack(0, (1, 10), at=1109)
    assert sender.ack(0, (1, 11), at=1210) == [0], "what was sent after the copy arrived, and the copy did not"
    assert sender.recovery.counters.retransmissions == 2


def test_a_dsack_widens_the_window_by_a_quarter_once_a_round_trip() -> None:
    sender = with_reordering_seen()
    in_order(sender)
    sender.ack(3, (0, 1), at=1100)
    sender.ack(3, (1, 2), at=1101)
    sender.ack(3, (4, 5), at=1102)
    assert sender.deadline == pytest.approx(1001 + 100 + 50, abs=0.001)


def test_sixteen_recoveries_without_a_dsack_narrow_it_again() -> None:
    sender = with_reordering_seen()
    rack = sender.recovery._rack
    in_order(sender)
    sender.ack(3, (0, 1), at=1100)
    assert rack.steps == 2
    for _ in range(15):
        rack.recovered()
    assert rack.steps == 2
    rack.recovered()
    assert rack.steps == 1


def test_the_window_is_at_most_the_smoothed_round_trip() -> None:
    sender = with_reordering_seen()
    sender.recovery._rack.steps = 50
    in_order(sender)
    sender.ack(2, (3, 4), at=1101)
    assert sender.deadline - (1000 + 100) == pytest.approx(sender.rtt.srtt_ns / MS, abs=0.001)


def test_with_the_kernels_clock_the_wait_is_two_jiffies_longer_and_rounded_up() -> None:
    sender = Sender(granularity_ns=4 * MS)
    in_order(sender)
    sender.ack(0, (1, 2), at=1101)
    assert sender.deadline == pytest.approx(1125 + 8, abs=0.001)
    assert sender.timer(1133.001) is TimerAction.NOTHING
    assert sender.deadline == 1136
    assert sender.timer(1136) is TimerAction.RETRANSMIT


def test_without_rack_three_sacked_segments_above_decide() -> None:
    """net.ipv4.tcp_recovery=0 (RFC 6675)."""
    sender = Sender(rack=False, cwnd=20)
    sender.send(10, 0)
    assert sender.ack(0, (1, 2), (3, 4), at=100) == []
    assert sender.ack(0, (1, 2), (3, 5), at=100) == [0]
    assert sender.ack(0, (1, 2), (3, 7), at=100) == [2]


def test_a_timeout_spares_what_was_sent_just_now() -> None:
    """RFC 8985, 6.3: at a timeout RACK's time decides for all but the first segment."""
    sender = Sender(tail_loss_probe=False)
    sender.send(1, 0)
    sender.ack(1, at=100)
    sender.send(2, 100)
    sender.send(1, 350)
    timeout = sender.deadline
    assert sender.timer(timeout) is TimerAction.RETRANSMIT
    assert sender.lost == [1, 2]
    assert sender.resend(timeout) == [1]
