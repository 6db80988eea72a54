"""A reduction that was not needed is taken back when the peer proves it (D-SACK, timestamps)."""

from __future__ import annotations

from emu.stack.tcp.recovery import TimerAction
from tests.stack.tcp.sender import Sender


def recovering(**settings: object) -> Sender:
    """Ten segments sent at 0; 1 to 3 arrived before 0, which was sent again at 103 ms."""
    sender = Sender(cwnd=10, **settings)  # type: ignore[arg-type]
    sender.send(10, 0)
    assert sender.ack(0, (1, 4), at=103) == [0]
    assert sender.ssthresh == 5
    return sender


def test_a_dsack_for_every_retransmission_restores_the_window() -> None:
    sender = recovering()
    sender.ack(4, at=105)
    sender.ack(10, at=106)
    assert (sender.cwnd, sender.recovery.state_name) == (6, "Open")
    sender.ack(10, (0, 1), at=203)
    assert sender.cwnd == 10
    assert sender.recovery.counters.undone == 1
    assert sender.recovery.counters.dsacks_received == 1


def test_a_dsack_during_recovery_ends_it() -> None:
    sender = recovering()
    sender.ack(4, at=104)
    sender.ack(4, (0, 1), at=105)
    assert sender.recovery.state_name == "Open"
    assert sender.cwnd == 10
    assert sender.ssthresh > 10**6, "as unknown as before"


def test_an_old_timestamp_proves_that_the_original_arrived() -> None:
    """Eifel: the ACK echoes what segment 0 carried at 0 ms, not the copy of 103 ms."""
    sender = recovering(timestamps=True)
    sender.ack(4, at=105, echo=0)
    assert (sender.cwnd, sender.recovery.state_name) == (11, "Open"), "and slow start goes on"
    assert sender.recovery.counters.undone == 1


def test_the_copys_own_timestamp_proves_nothing() -> None:
    sender = recovering(timestamps=True)
    sender.ack(4, at=203, echo=103)
    sender.ack(10, at=204, echo=103)
    assert (sender.cwnd, sender.recovery.counters.undone) == (5, 0)


def test_a_timeout_is_taken_back_by_an_old_timestamp() -> None:
    sender = Sender(tail_loss_probe=False, frto=False, timestamps=True, cwnd=20)
    sender.send(5, 0)
    assert sender.timer(300) is TimerAction.RETRANSMIT
    sender.resend(300)
    sender.ack(1, at=310, echo=0)
    assert (sender.cwnd, sender.recovery.state_name, sender.lost) == (20, "Open", [])


def test_congestion_that_was_echoed_is_not_taken_back() -> None:
    """An ECN echo during the recovery makes the reduction deserved after all."""
    sender = recovering()
    sender.ack(4, at=104, ece=True)
    sender.ack(4, (0, 1), at=105)
    assert sender.cwnd < 10


def test_one_dsack_of_two_retransmissions_is_not_enough() -> None:
    sender = Sender(cwnd=10)
    sender.send(10, 0)
    assert sender.ack(0, (1, 2), (3, 6), at=103) == [0]
    assert sender.ack(0, (1, 2), (3, 9), at=104) == [2]
    sender.ack(9, at=150)
    sender.ack(10, (0, 1), at=203)
    assert sender.cwnd == 5
    sender.send(1, 203)
    sender.ack(10, (2, 3), at=204)
    assert sender.cwnd == 10
