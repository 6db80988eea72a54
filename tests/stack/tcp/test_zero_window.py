"""Closed windows: the persist timer, window updates, and silly windows (RFC 9293, section 3.8.6; FACT 44)."""

from tests.stack.tcp.language import PEER_CLOCK, established, ms, s

FULL = 1448


def stopped(**options):
    """A connection whose peer has closed its window while 3 bytes wait."""
    tcp = established(**options)
    tcp.send(".", win=0)
    tcp.write(b"abc")
    tcp.recv_nothing()
    return tcp


def test_probes_come_after_200_ms_and_ever_less_often():
    tcp = stopped()
    rto = tcp.connection.rtt.rto_ns
    moment = 0
    for number in range(6):
        moment += rto << number
        tcp.recv(".", seq=0, ack=1, length=0, at=moment)


def test_probes_are_at_most_120_s_apart():
    tcp = stopped(retries2=100)
    tcp.advance(s(2000))
    times = [sent.time_ns for sent in tcp.sent]
    assert times[-1] - times[-2] == s(120)


def test_a_probe_that_finds_the_window_open_lets_the_data_go():
    tcp = stopped()
    tcp.recv(".", seq=0, at=tcp.connection.rtt.rto_ns)
    tcp.send(".", win=512, at=ms(201))
    tcp.recv("P.", seq=1, payload=b"abc")
    tcp.send(".", ack=4)
    tcp.recv_nothing(until=s(10))


def test_an_answered_probe_does_not_count_as_silence():
    tcp = stopped(retries2=3)
    for _ in range(12):
        tcp.advance(min(tcp.connection.deadline_ns, tcp.connection.background_deadline_ns))
        tcp.recv(".", seq=0)
        tcp.send(".", win=0)
    assert tcp.state == "ESTABLISHED"


def test_a_peer_that_answers_no_probe_is_given_up():
    tcp = stopped(retries2=5)
    tcp.advance(s(60))
    assert len(tcp.sent) == 5
    assert (tcp.state, tcp.error) == ("CLOSED", "ETIMEDOUT")


def test_an_answered_probe_makes_the_next_one_background_work():
    tcp = stopped()
    assert tcp.connection.deadline_ns < s(1)
    tcp.recv(".", at=tcp.connection.deadline_ns)
    assert tcp.connection.deadline_ns < s(1)
    tcp.send(".", win=0)
    assert tcp.connection.deadline_ns > s(1000)
    assert tcp.connection.background_deadline_ns < s(1)


def test_a_window_update_starts_the_data_at_once():
    tcp = stopped()
    tcp.send(".", win=512, at=ms(50))
    tcp.recv("P.", payload=b"abc", at=ms(50))


def test_a_fin_waits_for_the_window_too():
    tcp = established()
    tcp.send(".", win=0)
    tcp.close()
    tcp.recv(".", seq=0, at=tcp.connection.rtt.rto_ns)
    tcp.send(".", win=1)
    tcp.recv("F.", seq=1)


def test_a_window_smaller_than_a_segment_is_used_by_the_probe():
    tcp = established()
    tcp.send(".", win=8)  # 1024 bytes
    tcp.write(FULL)
    tcp.recv_nothing()
    tcp.recv("P.", seq=1, length=1024, at=tcp.connection.rtt.rto_ns)


def test_the_user_timeout_ends_a_stopped_connection():
    tcp = stopped()
    tcp.connection.user_timeout_ns = s(3)
    tcp.advance(s(10))
    assert tcp.error == "ETIMEDOUT"


# -- our own window ---------------------------------------------------------------------------------------------------


def filled(**options):
    """A connection whose program does not read: the peer has filled the window."""
    tcp = established(**options)
    tcp.reader = False
    for _ in range(200):
        room = tcp.connection.receiver.window.remaining(tcp.connection.receiver.rcv_nxt)
        if not room:
            break
        tcp.send(".", length=min(room, FULL))
    tcp.advance(s(1))
    tcp.sent.clear()
    return tcp


def test_an_unread_stream_closes_the_window():
    tcp = filled()
    tcp.send(".", seq=0, ts=PEER_CLOCK + 1000)
    assert tcp.recv(".").win == 0


def test_the_right_edge_of_the_window_never_moves_back():
    tcp = established()
    tcp.reader = False
    edge = 0
    for _ in range(60):
        tcp.send(".", length=1000)
        tcp.advance(tcp.now + ms(50))
        while tcp.sent:
            sent = tcp.sent.pop(0)
            assert sent.ack + (sent.win << 7) >= edge
            edge = sent.ack + (sent.win << 7)


def test_reading_opens_the_window_and_says_so():
    tcp = filled()
    tcp.read(at=s(2))
    sent = tcp.recv(".", at=s(2))
    assert sent.win == 252  # what 128 KiB hold of full segments (recorded in g30)


def test_reading_a_little_of_a_full_window_says_nothing():
    tcp = filled()
    tcp.read(500, at=s(2))
    tcp.recv_nothing(until=s(3))


def test_data_into_a_closed_window_is_not_taken():
    tcp = filled()
    before = tcp.connection.receiver.received
    tcp.send("P.", length=10)
    tcp.recv(".", win=0)
    assert tcp.connection.receiver.received == before


def test_a_fast_reader_makes_the_window_grow():
    tcp = established()
    window = tcp.connection.receiver.window
    for number in range(800):
        tcp.send(".", length=FULL, at=number * 12_000)
    assert window.offered > 500_000


def test_a_fixed_receive_buffer_does_not_grow():
    tcp = established(receive_autotuning=False)
    for number in range(800):
        tcp.send(".", length=FULL, at=number * 12_000)
    assert tcp.connection.receiver.window.offered <= 65536
