"""Closing in every order: FINs, half-close, crossing FINs, orphans, and TIME-WAIT (RFC 9293, section 3.6)."""

import pytest

from emu.stack.tcp.segment import Segment
from emu.stack.tcp.time_wait import may_begin_anew
from emu.wire.tcp import SYN
from emu.wire.tcp_options import syn_options
from tests.stack.tcp.language import (
    MASK,
    PEER_CLOCK,
    PEER_ISS,
    close_wait,
    closing,
    established,
    fin_wait_1,
    fin_wait_2,
    last_ack,
    ms,
    s,
    time_wait,
    us,
)


def test_a_close_sends_a_fin_and_ends_in_time_wait_for_60_s():
    tcp = established()
    tcp.close(at=ms(1))
    tcp.recv("F.", seq=1, ack=1)
    assert tcp.state == "FIN_WAIT_1"
    tcp.send(".", ack=2, at=ms(2))
    assert tcp.state == "FIN_WAIT_2"
    tcp.send("F.", seq=1, at=ms(3))
    tcp.recv(".", seq=2, ack=2)
    tcp.recv_nothing(until=s(60) + ms(3) - 1)
    assert tcp.state == "TIME_WAIT"
    tcp.recv_nothing(until=s(60) + ms(3))
    assert tcp.state == "CLOSED"


def test_the_fin_rides_on_the_last_data():
    tcp = established()
    tcp.connection.sender.snd_wnd = 0
    tcp.write(b"bye")
    tcp.close()
    tcp.recv_nothing()
    tcp.send(".", win=512, ts=PEER_CLOCK + 1)
    tcp.recv("FP.", seq=1, payload=b"bye")


def test_a_fin_follows_data_that_is_under_way():
    tcp = established()
    tcp.write(b"bye")
    tcp.recv("P.", seq=1)
    tcp.close()
    tcp.recv("F.", seq=4)


def test_the_peer_s_fin_is_acknowledged_late_because_ours_may_follow():
    tcp = established(quick=False)
    tcp.send("F.", seq=1, at=ms(1))
    tcp.recv_nothing(until=ms(41) - 1)
    tcp.recv(".", seq=1, ack=2, at=ms(41))
    assert tcp.state == "CLOSE_WAIT"
    assert tcp.end_of_stream


def test_a_fin_that_is_the_first_to_arrive_is_acknowledged_at_the_next_tick():
    tcp = established()
    tcp.send("F.", seq=1, at=ms(1))
    tcp.recv(".", ack=2, at=ms(1))
    tcp = established(clock_granularity_ns=ms(4))
    tcp.send("F.", seq=1, at=ms(1))
    tcp.recv(".", ack=2, at=ms(4))


def test_our_fin_carries_the_acknowledgment_of_the_peer_s():
    tcp = established(quick=False)
    tcp.send("F.", seq=1)
    tcp.close(at=us(50))
    tcp.recv("F.", seq=1, ack=2)
    assert tcp.state == "LAST_ACK"
    tcp.send(".", ack=2, at=us(80))
    assert tcp.state == "CLOSED"
    tcp.recv_nothing(until=s(100))


def test_after_the_peer_s_fin_data_still_goes_out():
    tcp = close_wait()
    tcp.write(5000)
    assert sum(tcp.recv().length for _ in range(4)) == 5000


def test_after_our_fin_data_still_comes_in():
    tcp = fin_wait_2()
    tcp.send("P.", seq=1, payload=b"late")
    tcp.recv(".", ack=5)
    assert tcp.received == b"late"
    tcp.send("F.", seq=5)
    tcp.recv(".", ack=6)
    assert tcp.state == "TIME_WAIT"


def test_fins_that_cross_lead_through_closing():
    tcp = fin_wait_1()
    tcp.send("F.", seq=1, ack=1)
    tcp.recv(".", seq=2, ack=2)
    assert tcp.state == "CLOSING"
    tcp.send(".", seq=2, ack=2)
    assert tcp.state == "TIME_WAIT"


def test_a_fin_that_acknowledges_ours_leads_straight_to_time_wait():
    tcp = fin_wait_1()
    tcp.send("F.", seq=1, ack=2)
    tcp.recv(".", seq=2, ack=2)
    assert tcp.state == "TIME_WAIT"


def test_a_fin_with_data_delivers_the_data_first():
    tcp = established()
    tcp.send("FP.", seq=1, payload=b"last words")
    assert tcp.received == b"last words"
    assert tcp.end_of_stream
    assert tcp.state == "CLOSE_WAIT"


def test_a_fin_ahead_of_a_gap_waits_for_the_gap():
    tcp = established()
    tcp.send("F.", seq=11)
    tcp.recv(".", ack=1, sack=[(11, 12)])
    assert not tcp.end_of_stream
    tcp.send("P.", seq=1, length=10)
    tcp.recv(".", ack=12)
    assert tcp.state == "CLOSE_WAIT"


def test_a_lost_fin_is_sent_again():
    tcp = fin_wait_1()
    tcp.recv("F.", seq=1, at=ms(200) + us(1), retransmission=True)  # the round trip and 200 ms


def test_a_repeated_fin_is_acknowledged_again():
    tcp = close_wait()
    tcp.send("F.", seq=1, at=s(1))
    tcp.recv(".", ack=2, sack=[(1, 2)])


@pytest.mark.parametrize("state", [close_wait, closing, last_ack])
def test_data_after_the_peer_s_fin_is_ignored(state):
    tcp = state()
    before = tcp.state
    tcp.send("P.", seq=2, ack=1, length=10)
    assert tcp.state == before
    assert tcp.received == b""


def test_closing_with_unread_data_resets_the_connection():
    tcp = established()
    tcp.reader = False
    tcp.send("P.", seq=1, length=100)
    tcp.sent.clear()
    tcp.close()
    tcp.recv("R.", seq=1, ack=101)
    assert tcp.state == "CLOSED"


def test_data_for_a_program_that_is_gone_is_answered_by_a_reset():
    tcp = established()
    tcp.close()
    tcp.recv("F.")
    tcp.send("P.", seq=1, ack=2, length=10, at=ms(1))
    tcp.recv("R.", seq=2)
    assert tcp.state == "CLOSED"


def test_an_orphan_waits_60_s_in_fin_wait_2():
    tcp = established()
    tcp.close()
    tcp.recv("F.")
    tcp.send(".", ack=2)
    tcp.recv_nothing(until=s(60) - 1)
    assert tcp.state == "FIN_WAIT_2"
    tcp.recv_nothing(until=s(60))
    assert tcp.state == "CLOSED"


def test_a_half_closed_connection_waits_for_ever_in_fin_wait_2():
    tcp = fin_wait_2()
    tcp.recv_nothing(until=s(100_000))
    assert tcp.state == "FIN_WAIT_2"


def test_closing_a_half_closed_connection_starts_the_60_s():
    tcp = fin_wait_2()
    tcp.close(at=s(1000))
    tcp.recv_nothing(until=s(1060) - 1)
    assert tcp.state == "FIN_WAIT_2"
    tcp.recv_nothing(until=s(1060))
    assert tcp.state == "CLOSED"


def test_an_orphan_whose_peer_is_silent_is_given_up_after_8_timeouts():
    tcp = established()
    tcp.close()
    tcp.advance(s(900))
    assert tcp.state == "CLOSED"
    assert [sent.flags for sent in tcp.sent] == ["F."] * 10  # the first, a loss probe, and eight timeouts


def test_an_abort_sends_a_reset_with_our_next_number():
    tcp = established()
    tcp.write(100)
    tcp.recv("P.")
    tcp.abort()
    tcp.recv("R.", seq=101, ack=1, win=502)
    assert (tcp.state, tcp.error) == ("CLOSED", "")


# -- TIME-WAIT --------------------------------------------------------------------------------------------------------


def test_a_repeated_fin_in_time_wait_is_acknowledged_and_starts_the_60_s_anew():
    tcp = time_wait()
    tcp.send("F.", seq=1, ack=2, at=s(30))
    tcp.recv(".", seq=2, ack=2)
    tcp.advance(s(89))
    assert tcp.state == "TIME_WAIT"
    tcp.advance(s(90))
    assert tcp.state == "CLOSED"


def test_a_reset_ends_time_wait():
    tcp = time_wait()
    tcp.send("R", seq=2)
    assert tcp.state == "CLOSED"


def test_a_reset_with_another_number_does_not_end_time_wait():
    tcp = time_wait()
    tcp.send("R", seq=1)
    assert tcp.state == "TIME_WAIT"


@pytest.mark.parametrize(
    ("changes", "anew"),
    [
        ({"seq": 1000}, True),
        ({"seq": -1000, "ts": PEER_CLOCK + 5000}, True),
        ({"seq": -1000, "ts": PEER_CLOCK}, False),
        ({"seq": 1000, "ts": PEER_CLOCK - 5000}, False),
    ],
)
def test_time_wait_makes_way_for_a_syn_with_a_later_number_or_timestamp(changes, anew):
    tcp = time_wait()
    options = syn_options(1460, sack_permitted=True, timestamps=(changes.get("ts", PEER_CLOCK), 0), window_scale=7)
    syn = Segment((changes["seq"] + PEER_ISS) & MASK, 0, SYN, 65535, options=options)
    assert may_begin_anew(tcp.connection, syn) is anew


def test_an_old_segment_in_time_wait_is_answered_at_most_twice_a_second():
    tcp = time_wait()
    for moment in (100, 200, 300, 700):
        tcp.send(".", seq=1, ack=2, at=ms(moment))
    assert [sent.time_ns for sent in tcp.sent] == [ms(100), ms(700)]
