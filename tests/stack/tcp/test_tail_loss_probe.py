"""A loss probe goes out after two round trips of silence, and finds out what was lost (RFC 8985, section 7)."""

from __future__ import annotations

import itertools

import pytest

from emu.stack.tcp.recovery import NEVER, TimerAction
from tests.stack.tcp.sender import MS, Sender


def probe(sender: Sender, at: float, new: bool = False) -> None:
    """The probe is due: a new segment leaves, or the last one again."""
    assert sender.timer(at) is TimerAction.PROBE
    if new:
        sender.send(1, at)
    else:
        sender.recovery.retransmitted(sender.recovery.probe_segment(), round(at * MS))


def test_it_is_due_two_round_trips_after_the_last_transmission() -> None:
    sender = Sender(rtt=20)
    sender.send(2, 0)
    sender.send(1, 5)
    assert sender.deadline == pytest.approx(5 + 2 * 20, abs=0.001)


def test_a_single_segment_waits_for_a_delayed_ack() -> None:
    """FACT 43: +205 ms on a path of 50 us: 2 * SRTT + 200 ms, in jiffies of 4 ms."""
    sender = Sender(rtt=0.05, granularity_ns=4 * MS)
    sender.send(1, 0)
    assert sender.timer(sender.deadline) is TimerAction.NOTHING
    assert 204 <= sender.deadline <= 208


def test_the_recorded_schedule_of_a_silent_peer() -> None:
    """FACT 43: probe at +205 ms, timeout +208, then 0.42, 0.83, 1.66, 3.36, 6.66 s."""
    sender = Sender(rtt=0.05, granularity_ns=4 * MS)
    sender.send(1, 1.0)
    times = [1.0]
    while len(times) < 8:
        at = sender.deadline
        action = sender.timer(at)
        if action is TimerAction.PROBE:
            sender.recovery.retransmitted(sender.recovery.probe_segment(), round(at * MS))
        elif action is TimerAction.RETRANSMIT:
            assert sender.resend(at) == [0]
        else:
            continue
        times.append(at)
    gaps = [round(b - a) for a, b in itertools.pairwise(times)]
    assert gaps == pytest.approx([205, 208, 420, 830, 1660, 3360, 6660], rel=0.02)


def test_it_is_never_later_than_the_timeout() -> None:
    sender = Sender(rtt=0)
    sender.send(1, 0)
    assert sender.deadline == 1000, "nothing measured: one second for both"


def test_without_sack_there_is_none() -> None:
    sender = Sender(rtt=20, sack=False)
    sender.send(2, 0)
    assert sender.timer(sender.deadline) is TimerAction.RETRANSMIT


def test_only_one_is_out_at_a_time_and_the_timeout_follows() -> None:
    sender = Sender(rtt=20)
    sender.send(2, 0)
    probe(sender, sender.deadline)
    assert sender.recovery.counters.tail_loss_probes == 1
    assert sender.deadline == pytest.approx(40 + 220, abs=0.001)
    assert sender.timer(sender.deadline) is TimerAction.RETRANSMIT
    assert sender.recovery.counters.timeouts == 1


def test_new_data_is_preferred_and_costs_nothing_when_it_arrives() -> None:
    sender = Sender(rtt=20)
    sender.send(2, 0)
    probe(sender, sender.deadline, new=True)
    sender.ack(3, at=60)
    assert (sender.cwnd, sender.recovery.state_name) == (10, "Open")
    assert sender.recovery.deadline_ns == NEVER


def test_a_lost_tail_is_repaired_by_fast_recovery() -> None:
    """Segments 0 to 4, the last three lost: the probe is SACKed and shows the holes."""
    sender = Sender(rtt=20)
    sender.send(5, 0)
    sender.ack(2, at=20)
    assert sender.deadline == pytest.approx(60, abs=0.001)
    probe(sender, sender.deadline)
    assert sender.ack(2, (4, 5), at=80.001) == [2]
    assert sender.recovery.state_name == "Recovery"
    assert sender.ack(3, (4, 5), at=100.001) == [3]
    sender.ack(5, at=120.001)
    assert sender.recovery.state_name == "Open"
    assert sender.recovery.counters.timeouts == 0


def test_a_repaired_loss_is_congestion_once_more_is_acknowledged() -> None:
    """The last segment alone was lost: nobody reports a duplicate, so the window is halved."""
    sender = Sender(rtt=20)
    sender.send(2, 0)
    sender.ack(1, at=20)
    at = sender.deadline
    probe(sender, at)
    sender.ack(2, at=at + 20)
    assert sender.cwnd == 10
    sender.send(1, at + 20)
    sender.ack(3, at=at + 40)
    assert (sender.cwnd, sender.recovery.counters.probes_repaired) == (5, 1)


def test_a_reported_duplicate_means_that_nothing_was_lost() -> None:
    """The ACK was late only: the probe arrives twice and is reported by D-SACK."""
    sender = Sender(rtt=20)
    sender.send(2, 0)
    probe(sender, sender.deadline)
    sender.ack(2, at=50)
    sender.send(1, 55)
    sender.ack(2, (1, 2), at=60)
    sender.ack(3, at=75)
    assert (sender.cwnd, sender.recovery.counters.probes_repaired) == (10, 0)


def test_during_recovery_there_is_no_probe() -> None:
    sender = Sender(rtt=20)
    sender.send(10, 0)
    sender.ack(0, (1, 4), at=20)
    assert sender.recovery.state_name == "Recovery"
    assert sender.deadline >= 20 + 220
