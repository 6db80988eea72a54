"""When segments are acknowledged: quick-ack, every second segment, delayed, with the answer (FACTS 41, 42)."""

from tests.stack.tcp.language import established, ms, s, us

FULL = 1448


def settled(**options):
    """A connection that is past its quick-ack start and has learnt that full segments have 1448 bytes."""
    tcp = established(quick=False, **options)
    tcp.connection.receiver.window.segment_size = FULL
    tcp.connection.receiver.window.threshold = 65536
    return tcp


def test_the_first_segments_are_all_acknowledged_at_once():
    tcp = established()
    for number in range(16):
        tcp.send(".", length=FULL, at=us(10 * number))
        tcp.recv(".", ack=1 + FULL * (number + 1), at=us(10 * number))


def test_later_every_second_full_segment_is_acknowledged():
    tcp = settled()
    for number in range(10):
        tcp.send(".", length=FULL, at=us(10 * number))
        if number % 2:
            tcp.recv(".", ack=1 + FULL * (number + 1))
        tcp.recv_nothing()


def test_a_lone_full_segment_is_acknowledged_after_40_ms():
    tcp = settled()
    tcp.send(".", length=FULL, at=ms(100))
    tcp.recv(".", ack=1 + FULL, at=ms(140))


def test_a_small_segment_of_a_one_way_stream_is_acknowledged_when_it_is_read():
    tcp = settled()
    tcp.send("P.", length=20, at=ms(100))
    tcp.recv(".", ack=21, at=ms(100))


def test_a_small_segment_that_nobody_reads_is_acknowledged_after_40_ms():
    tcp = settled()
    tcp.reader = False
    tcp.send("P.", length=20, at=ms(100))
    tcp.recv(".", ack=21, at=ms(140))


def test_an_answer_within_40_ms_carries_the_acknowledgment():
    tcp = settled()
    tcp.reader = False
    tcp.send("P.", length=20, at=ms(100))
    tcp.write(b"answer", at=ms(120))
    tcp.recv("P.", ack=21, at=ms(120))
    tcp.send(".", at=ms(121))
    tcp.recv_nothing(until=ms(300))


def interactive():
    """A connection whose program answers what it reads."""
    tcp = settled()
    tcp.send("P.", length=20, at=ms(1))
    tcp.sent.clear()
    tcp.write(b"answer", at=ms(2))
    tcp.recv("P.")
    tcp.send(".", at=ms(3))
    return tcp


def test_in_a_dialogue_the_acknowledgment_waits_for_the_answer_although_all_is_read():
    tcp = interactive()
    tcp.send("P.", length=20, at=ms(10))
    tcp.recv_nothing(until=ms(30))
    tcp.write(b"answer")
    tcp.recv("P.", ack=41, at=ms(30))


def test_a_late_answer_lets_the_acknowledgment_go_first():
    tcp = interactive()
    tcp.send("P.", length=20, at=ms(10))
    tcp.recv(".", ack=41, at=ms(50))
    tcp.write(b"answer", at=ms(60))
    tcp.recv("P.", ack=41)


def test_a_missed_answer_ends_the_dialogue():
    tcp = interactive()
    tcp.send("P.", length=20, at=ms(10))
    tcp.recv(".", at=ms(50))
    tcp.send("P.", length=20, at=ms(60))
    tcp.recv(".", ack=61, at=ms(60))


def test_with_the_wheel_40_ms_are_41_to_48():
    tcp = settled(clock_granularity_ns=ms(4))
    tcp.send(".", length=FULL, at=ms(101))
    tcp.recv(".", ack=1 + FULL, at=ms(144))


def test_after_a_pause_longer_than_the_timeout_it_is_quick_again():
    tcp = settled()
    tcp.send(".", length=FULL, at=ms(100))
    tcp.recv(".", at=ms(140))
    for number in range(16):
        tcp.send(".", length=FULL, at=s(2) + us(number))
        tcp.recv(".", at=s(2) + us(number))


def test_a_duplicate_makes_it_quick_again():
    tcp = settled()
    tcp.send(".", seq=1, length=FULL)
    tcp.send(".", seq=1, length=FULL)
    tcp.recv(".", ack=1 + FULL, sack=[(1, 1 + FULL)])
    tcp.send(".", length=FULL, at=ms(1))
    tcp.recv(".", at=ms(1))


def test_a_segment_ahead_of_a_gap_is_answered_at_once():
    tcp = settled()
    tcp.send(".", seq=1 + FULL, length=FULL, at=ms(5))
    tcp.recv(".", ack=1, sack=[(1 + FULL, 1 + 2 * FULL)], at=ms(5))


def test_a_filled_gap_is_acknowledged_at_once():
    tcp = settled()
    tcp.send(".", seq=1 + FULL, length=FULL)
    tcp.recv(".", ack=1)
    tcp.send(".", seq=1, length=FULL)
    tcp.recv(".", ack=1 + 2 * FULL, sack=[])


def test_the_newest_piece_is_reported_first():
    tcp = settled()
    for first in (2, 6, 4):
        tcp.send(".", seq=1 + first * FULL, length=FULL)
    assert [sent.sack for sent in tcp.sent][-1] == [(1 + first * FULL, 1 + (first + 1) * FULL) for first in (4, 6, 2)]


def test_pieces_that_touch_are_one_block():
    tcp = settled()
    for first in (2, 4, 3):
        tcp.send(".", seq=1 + first * FULL, length=FULL)
    assert [sent.sack for sent in tcp.sent][-1] == [(1 + 2 * FULL, 1 + 5 * FULL)]


def test_with_timestamps_there_are_three_blocks_without_them_four():
    for options, count in (({}, 3), ({"timestamps": False}, 4)):
        tcp = settled(**options)
        for first in (2, 4, 6, 8, 10):
            tcp.send(".", seq=1 + first * 1000, length=1000)
        assert len(tcp.sent[-1].sack) == count


def test_without_sack_a_gap_is_answered_by_a_plain_duplicate():
    tcp = established(sackok=False, quick=False)
    tcp.send(".", seq=1001, length=1000)
    tcp.recv(".", ack=1, sack=[])


def test_a_duplicate_of_a_piece_ahead_of_a_gap_is_reported_before_the_piece():
    tcp = settled()
    tcp.send(".", seq=1001, length=1000)
    tcp.recv(".", sack=[(1001, 2001)])
    tcp.send(".", seq=1001, length=1000)
    tcp.recv(".", ack=1, sack=[(1001, 2001), (1001, 2001)])


def test_data_is_put_together_whatever_the_order_and_overlap():
    tcp = settled()
    whole = bytes(range(200))
    for start, end in ((150, 200), (20, 60), (50, 120), (10, 30), (100, 160), (0, 15)):
        tcp.send(".", seq=1 + start, payload=whole[start:end])
    assert tcp.received == whole
    assert tcp.sent[-1].ack == 201
