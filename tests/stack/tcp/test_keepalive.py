"""Keepalive and the user timeout: when an idle or silent peer is given up (tcp(7))."""

from tests.stack.tcp.language import established, ms, s


def kept(**options):
    tcp = established(**options)
    tcp.connection.keepalive.start(tcp.now)
    return tcp


def test_an_idle_peer_is_asked_after_two_hours_and_then_every_75_s():
    tcp = kept()
    for number in range(9):
        tcp.recv(".", seq=0, ack=1, length=0, at=s(7200 + 75 * number))


def test_a_peer_that_never_answers_is_reset_after_nine_questions():
    tcp = kept()
    tcp.advance(s(7200 + 75 * 9))
    assert [sent.flags for sent in tcp.sent] == ["."] * 9 + ["R."]
    assert (tcp.state, tcp.error) == ("CLOSED", "ETIMEDOUT")


def test_an_answer_starts_the_two_hours_anew():
    tcp = kept()
    tcp.recv(".", at=s(7200))
    tcp.send(".", at=s(7200) + ms(1))
    tcp.recv(".", at=s(14400) + ms(1))


def test_any_segment_puts_the_question_off():
    tcp = kept()
    tcp.send("P.", length=10, at=s(7000))
    tcp.sent.clear()
    tcp.recv_nothing(until=s(14200) - 1)
    tcp.recv(".", at=s(14200))


def test_without_keepalive_an_idle_connection_lives_for_ever():
    tcp = established()
    tcp.recv_nothing(until=s(1_000_000))
    assert tcp.state == "ESTABLISHED"


def test_keepalive_does_not_keep_a_run_going():
    tcp = kept()
    assert tcp.connection.deadline_ns > s(1_000_000)
    assert tcp.connection.background_deadline_ns == s(7200)


def test_its_times_can_be_set():
    tcp = established()
    keepalive = tcp.connection.keepalive
    keepalive.idle_ns, keepalive.interval_ns, keepalive.count = s(10), s(2), 3
    keepalive.start(tcp.now)
    for moment in (10, 12, 14):
        tcp.recv(".", seq=0, at=s(moment))
    tcp.recv("R.", at=s(16))


def test_unacknowledged_data_is_retransmitted_instead_of_asking():
    tcp = established()
    keepalive = tcp.connection.keepalive
    keepalive.idle_ns = ms(300)
    keepalive.start(tcp.now)
    tcp.write(10, at=ms(290))
    tcp.recv("P.")
    tcp.recv("P.", seq=1, at=ms(490) + 1000)


def test_the_peer_answers_a_question_with_what_it_expects():
    tcp = established()
    tcp.send(".", seq=0, at=s(1))
    tcp.recv(".", seq=1, ack=1)


def test_data_without_an_answer_ends_the_connection_after_about_15_minutes():
    tcp = established()
    tcp.write(10)
    tcp.advance(s(924) - 1)
    assert tcp.state == "ESTABLISHED"
    tcp.advance(s(1100))
    assert tcp.error == "ETIMEDOUT"
