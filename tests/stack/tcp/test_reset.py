"""Resets, and segments that cannot be true: RFC 9293 and RFC 5961 as Linux does them."""

import pytest

from tests.stack.tcp.language import close_wait, closing, established, fin_wait_1, fin_wait_2, last_ack, ms


def test_a_reset_with_exactly_the_expected_number_ends_the_connection():
    tcp = established()
    tcp.send("R", seq=1)
    assert (tcp.state, tcp.error) == ("CLOSED", "ECONNRESET")
    tcp.recv_nothing()


def test_a_reset_after_the_peer_s_fin_is_a_broken_pipe():
    tcp = close_wait()
    tcp.send("R", seq=2)
    assert tcp.error == "EPIPE"


@pytest.mark.parametrize("state", [fin_wait_1, fin_wait_2])
def test_a_reset_ends_a_closing_connection(state):
    tcp = state()
    tcp.send("R", seq=1)
    assert tcp.state == "CLOSED"


def test_a_reset_elsewhere_in_the_window_is_challenged():
    tcp = established()
    tcp.send("R", seq=2)
    tcp.recv(".", seq=1, ack=1)
    assert tcp.state == "ESTABLISHED"


@pytest.mark.parametrize("seq", [0, -100, 70_000, 1 << 31])
def test_a_reset_outside_of_the_window_is_ignored(seq):
    tcp = established()
    tcp.send("R", seq=seq)
    tcp.recv_nothing()
    assert tcp.state == "ESTABLISHED"


def test_a_reset_at_the_end_of_what_was_sacked_is_believed():
    tcp = established()
    tcp.send("P.", seq=101, length=100)
    tcp.recv(".", sack=[(101, 201)])
    tcp.send("R", seq=201)
    assert tcp.state == "CLOSED"


def test_a_reset_at_the_end_of_an_earlier_sacked_block_is_challenged():
    tcp = established()
    for seq in (301, 101):
        tcp.send("P.", seq=seq, length=100)
    tcp.sent.clear()
    tcp.send("R", seq=201)
    tcp.recv(".", ack=1)
    tcp.send("R", seq=401)
    assert tcp.state == "CLOSED"


@pytest.mark.parametrize("state", [close_wait, closing, last_ack])
def test_a_reset_that_does_not_count_the_peer_s_own_fin_is_believed(state):
    tcp = state()
    tcp.send("R", seq=1)
    assert tcp.state == "CLOSED"
    tcp.recv_nothing()


@pytest.mark.parametrize("seq", [1, 500, 1 << 30])
def test_a_syn_in_an_open_connection_is_challenged_wherever_it_is(seq):
    tcp = established()
    tcp.send("S", seq=seq)
    tcp.recv(".", seq=1, ack=1)
    assert tcp.state == "ESTABLISHED"


def test_there_is_one_challenge_in_500_ms():
    tcp = established()
    for moment in (0, 100, 499, 500, 999, 1000):
        tcp.send("R", seq=2, at=ms(moment))
    assert [sent.time_ns for sent in tcp.sent] == [ms(0), ms(500), ms(1000)]


def test_an_ack_of_what_was_never_sent_is_ignored():
    tcp = established()
    tcp.write(100)
    tcp.recv("P.")
    tcp.send("P.", ack=102, payload=b"spoofed")
    tcp.recv_nothing()
    assert tcp.received == b""


def test_an_ack_older_than_the_largest_window_is_challenged():
    tcp = established()
    tcp.send("P.", ack=1 - 65536 - 10, payload=b"spoofed")
    tcp.recv(".", ack=1)
    assert tcp.received == b""


def test_data_with_a_slightly_old_ack_is_taken():
    tcp = established()
    tcp.write(100)
    tcp.recv("P.")
    tcp.send(".", ack=101)
    tcp.send("P.", ack=50, payload=b"fine")
    assert tcp.received == b"fine"


def test_a_segment_without_ack_is_ignored():
    tcp = established()
    tcp.send("P", payload=b"?")
    tcp.recv_nothing()
    assert tcp.received == b""


def test_data_beyond_the_window_is_answered_by_what_is_expected():
    tcp = established()
    tcp.send("P.", seq=1 + 70_000, length=10)
    tcp.recv(".", seq=1, ack=1, sack=[])
    assert tcp.received == b""


def test_old_data_is_reported_as_a_duplicate():
    tcp = established()
    tcp.send("P.", seq=1, length=100)
    tcp.recv(".", ack=101)
    tcp.send("P.", seq=1, length=100)
    tcp.recv(".", ack=101, sack=[(1, 101)])


def test_without_dsack_a_duplicate_is_acknowledged_plainly():
    tcp = established(dsack=False)
    tcp.send("P.", seq=1, length=100)
    tcp.recv(".", ack=101)
    tcp.send("P.", seq=1, length=100)
    tcp.recv(".", ack=101, sack=[])


def test_out_of_window_acks_are_not_answered_more_than_twice_a_second():
    tcp = established()
    for moment in (0, 10, 20, 600):
        tcp.send(".", seq=1 + 70_000, at=ms(moment))
    assert [sent.time_ns for sent in tcp.sent] == [ms(0), ms(600)]
