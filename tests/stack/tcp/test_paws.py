"""Timestamps: what is echoed, and segments that are too old to be true (RFC 7323)."""

from tests.stack.tcp.language import OUR_CLOCK, PEER_CLOCK, established, ms, s


def test_an_acknowledgment_echoes_the_timestamp_of_the_segment():
    tcp = established()
    tcp.send("P.", length=10, at=ms(33))
    tcp.recv(".", ts=OUR_CLOCK + 33, echo=PEER_CLOCK + 33)


def test_a_delayed_acknowledgment_echoes_the_first_segment_it_covers():
    tcp = established(quick=False)
    tcp.connection.receiver.window.segment_size = 1448
    tcp.connection.receiver.window.threshold = 65536
    tcp.send(".", length=1448, at=ms(10))
    tcp.send(".", length=1448, at=ms(15))
    tcp.recv(".", echo=PEER_CLOCK + 10)


def test_a_segment_ahead_of_a_gap_does_not_change_what_is_echoed():
    tcp = established()
    tcp.send(".", seq=101, length=100, at=ms(50))
    tcp.recv(".", ack=1, echo=PEER_CLOCK)


def test_a_segment_with_an_older_timestamp_is_dropped_and_answered():
    tcp = established()
    tcp.send("P.", length=10, at=ms(100))
    tcp.recv(".")
    tcp.send("P.", payload=b"old", ts=PEER_CLOCK + 50)
    tcp.recv(".", ack=11, echo=PEER_CLOCK + 100)
    assert tcp.connection.paws_rejected == 1
    assert b"old" not in tcp.received


def test_an_equal_timestamp_is_fine():
    tcp = established()
    tcp.send("P.", payload=b"a", ts=PEER_CLOCK)
    tcp.send("P.", payload=b"b", ts=PEER_CLOCK)
    assert tcp.received == b"ab"


def test_timestamps_wrap():
    tcp = established()
    tcp.connection.ts_recent = 0xFFFFFFFE
    tcp.send("P.", payload=b"after the wrap", ts=1)
    assert tcp.received == b"after the wrap"


def test_after_24_days_without_a_segment_any_timestamp_is_believed():
    tcp = established()
    tcp.send("P.", payload=b"a", ts=1 << 31, at=ms(1))
    tcp.sent.clear()
    tcp.send("P.", payload=b"b", ts=PEER_CLOCK, at=s(25 * 24 * 3600))
    assert tcp.received.endswith(b"b")


def test_a_plain_duplicate_ack_that_was_overtaken_is_not_dropped():
    tcp = established()
    tcp.write(3000)
    tcp.sent.clear()
    tcp.send("P.", payload=b"x", ack=1, at=ms(100))
    tcp.send(".", ack=1, ts=PEER_CLOCK + 99)
    assert tcp.connection.paws_rejected == 0


def test_a_reset_needs_no_timestamp():
    tcp = established()
    tcp.send("R", seq=1)
    assert tcp.state == "CLOSED"


def test_the_round_trip_time_is_measured_by_what_is_echoed():
    tcp = established()
    tcp.write(100, at=ms(10))
    tcp.recv("P.")
    tcp.send(".", ack=101, at=ms(17))
    assert tcp.connection.rtt.srtt_ns > 0
