"""F-RTO finds out whether a timeout was needed (RFC 5682, with SACK)."""

from __future__ import annotations

from emu.stack.tcp.recovery import TimerAction
from tests.stack.tcp.sender import Sender


def timed_out(count: int = 5, unsent: bool = True, **settings: object) -> Sender:
    """`count` segments sent at 0, nothing came back: the timeout at 300 ms sent the first again."""
    sender = Sender(tail_loss_probe=False, cwnd=20, **settings)  # type: ignore[arg-type]
    sender.recovery.unsent = lambda: unsent
    sender.send(count, 0)
    assert sender.deadline == 300
    assert sender.timer(300) is TimerAction.RETRANSMIT
    assert sender.resend(300) == [0]
    assert (sender.cwnd, sender.ssthresh, sender.in_flight) == (1, 10, 1)
    return sender


def test_an_ack_for_what_was_sent_once_proves_the_timeout_spurious() -> None:
    sender = timed_out()
    assert sender.ack(2, at=310) == []
    assert sender.recovery.counters.spurious_timeouts == 1
    assert (sender.cwnd, sender.recovery.state_name) == (20, "Open")
    assert sender.lost == []
    assert sender.in_flight == 3


def test_an_ack_for_the_retransmission_alone_lets_new_data_ask() -> None:
    """Step 2b: up to two new segments instead of retransmissions."""
    sender = timed_out()
    assert sender.ack(1, at=400) == []
    assert sender.fill(400) == 2
    assert sender.recovery.state_name == "Loss"


def test_then_an_original_acknowledged_means_spurious() -> None:
    """Everything was late, not lost: the first ACK comes too soon after the copy to be an answer to it."""
    sender = timed_out()
    sender.ack(1, at=310)
    sender.fill(310)
    assert sender.ack(2, at=315) == []
    assert sender.recovery.counters.spurious_timeouts == 1
    assert sender.recovery.state_name == "Open"
    assert sender.cwnd >= 20


def test_then_a_sack_for_new_data_means_that_the_loss_is_real() -> None:
    sender = timed_out()
    sender.ack(1, at=400)
    sender.fill(400)
    assert sender.ack(1, (5, 6), at=500) == [1]
    assert sender.recovery.counters.spurious_timeouts == 0
    assert sender.recovery.state_name == "Loss"
    assert sender.cwnd == 2
    assert sender.ack(2, (5, 7), at=600) == [2, 3, 4], "slow start: two more for the two that arrived"
    sender.ack(7, at=700)
    assert sender.recovery.state_name == "Open"


def test_without_new_data_the_retransmissions_go_on() -> None:
    sender = timed_out(unsent=False)
    assert sender.ack(1, at=400) == [1, 2]


def test_without_frto_an_ack_for_originals_changes_nothing() -> None:
    sender = timed_out(frto=False)
    assert sender.ack(2, at=310) == [2, 3, 4]
    assert sender.recovery.counters.spurious_timeouts == 0


def test_a_second_timeout_of_the_same_data_asks_again() -> None:
    sender = timed_out()
    assert sender.deadline == 300 + 600, "doubled"
    assert sender.timer(900) is TimerAction.RETRANSMIT
    assert sender.resend(900) == [0]
    assert sender.ssthresh == 10, "halved once only"
    sender.ack(3, at=910)
    assert sender.recovery.counters.spurious_timeouts == 1
    assert sender.cwnd == 20
