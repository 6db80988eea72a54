"""Explicit congestion notification (RFC 3168): asked for, answered, echoed, obeyed; off unless asked for."""

import pytest

from tests.stack.tcp.language import Script, connecting, established, ms

FULL = 1448


def with_ecn(**options):
    """A connection in which both sides use ECN; we opened it."""
    tcp = connecting(ecn=1, **options)
    tcp.send("S.E", seq=0, ack=1)
    tcp.recv(".")
    assert tcp.connection.ecn_active
    return tcp


def test_by_default_a_syn_does_not_ask_for_ecn():
    tcp = Script()
    tcp.connection.open(0)
    tcp.recv("S")


def test_by_default_a_syn_that_asks_is_answered():
    tcp = Script()
    tcp.send("SEW", seq=0)
    tcp.recv("S.E")


@pytest.mark.parametrize(("flags", "ecn"), [("SE", 2), ("SW", 2), ("SEW", 0)])
def test_nothing_is_answered_to_half_a_question_or_with_ecn_off(flags, ecn):
    tcp = Script(ecn=ecn)
    tcp.send(flags, seq=0)
    tcp.recv("S.")


@pytest.mark.parametrize("flags", ["S.", "S.EW"])
def test_an_answer_that_does_not_agree_leaves_ecn_off(flags):
    tcp = connecting(ecn=1)
    tcp.send(flags, seq=0, ack=1)
    assert not tcp.connection.ecn_active


def test_a_repeated_syn_asks_for_ecn_once_more_and_then_no_longer():
    tcp = connecting(ecn=1)
    tcp.recv("SEW", at=ms(1000))
    tcp.recv("S", at=ms(2000))


def test_data_is_marked_as_ecn_capable_and_acknowledgments_are_not():
    tcp = with_ecn()
    tcp.write(100)
    tcp.recv("P.", ect=True)
    tcp.send("P.", length=10)
    tcp.recv(ect=False)


def test_a_mark_is_echoed_until_the_peer_says_that_it_slowed_down():
    tcp = with_ecn()
    tcp.send(".", length=FULL, ce=True)
    assert "E" in tcp.recv().flags
    tcp.send(".", length=FULL)
    assert "E" in tcp.recv().flags
    tcp.send(".W", length=FULL)
    assert "E" not in tcp.recv().flags


def test_an_echo_makes_the_window_smaller_once_per_round_trip_and_is_confirmed():
    tcp = with_ecn()
    tcp.write(40 * FULL)
    before = tcp.cwnd
    tcp.sent.clear()
    for number in range(1, 5):
        tcp.send(".E", ack=1 + number * FULL, at=ms(number))
    for number in range(5, 11):
        tcp.send(".", ack=1 + number * FULL, at=ms(number))
    assert tcp.cwnd < before
    assert any("W" in sent.flags for sent in tcp.sent)
    assert tcp.connection.sender.recovery.counters.congestion_echoes == 1


def test_without_ecn_a_mark_means_nothing():
    tcp = established()
    tcp.send(".", length=FULL, ce=True)
    assert "E" not in tcp.recv().flags
