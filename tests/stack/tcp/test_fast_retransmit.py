"""What is lost in the middle is sent again without waiting for a timeout (RFC 5681, 6675, 6582, 3042, 6937, 8985)."""

import pytest

from tests.stack.tcp.language import ms
from tests.stack.tcp.stream import FULL, ack, expect, recovery, seq, streaming, window


def test_the_third_segment_sacked_above_a_hole_brings_the_missing_one_again():
    tcp = streaming(10)
    ack(tcp, 0, (1, 2), at=200)
    ack(tcp, 0, (1, 3), at=200.1)
    tcp.recv_nothing()
    ack(tcp, 0, (1, 4), at=200.2)
    found = tcp.recv(".", seq=seq(0), length=FULL, retransmission=True)
    assert found.payload == b"A" * FULL
    tcp.recv_nothing()


def test_the_first_two_let_new_data_out_instead():
    """Limited transmit (RFC 3042)."""
    tcp = streaming(20)
    ack(tcp, 0, (1, 2), at=200)
    expect(tcp, 10)
    ack(tcp, 0, (1, 3), at=200.1)
    expect(tcp, 11)
    ack(tcp, 0, (1, 4), at=200.2)
    expect(tcp, 0)


def test_limited_transmit_stays_in_the_peers_window():
    tcp = streaming(20, win=10 * FULL // 128 + 1)
    ack(tcp, 0, (1, 2), at=200)
    tcp.recv_nothing()


def test_without_sack_three_duplicate_acks_do_it():
    tcp = streaming(9, sackok=False)
    for at in (200, 201):
        tcp.send(".", ack=1, at=ms(at))
        tcp.recv_nothing()
    tcp.send(".", ack=1, at=ms(202))
    expect(tcp, 0)


def test_without_sack_limited_transmit_sends_two_new_segments():
    tcp = streaming(20, sackok=False)
    tcp.send(".", ack=1, at=ms(200))
    expect(tcp, 10)
    tcp.send(".", ack=1, at=ms(201))
    expect(tcp, 11)


def test_an_ack_with_data_is_no_duplicate():
    tcp = streaming(9, sackok=False)
    for at in range(200, 210):
        tcp.send("P.", ack=1, length=10, at=ms(at))
    assert not any(sent.retransmission for sent in tcp.sent)


def test_an_ack_with_another_window_is_no_duplicate():
    tcp = streaming(9, sackok=False)
    for number in range(1, 10):
        tcp.send(".", ack=1, win=512 + number, at=ms(200 + number))
    assert recovery(tcp).counters.recoveries == 0


def test_an_old_ack_is_no_duplicate():
    tcp = streaming(9, sackok=False)
    ack(tcp, 3, at=200)
    for at in range(201, 210):
        ack(tcp, 2, at=at)
    tcp.recv_nothing()


def test_sack_blocks_on_an_overtaken_ack_count():
    """The ACK is old, what it says about data further on is not."""
    tcp = streaming(10)
    ack(tcp, 2, at=200)
    for end in (4, 5, 6):
        ack(tcp, 1, (3, end), at=200)
    expect(tcp, 2)


@pytest.mark.parametrize("block", [(11, 14), (-3, -1), (5, 5)])
def test_blocks_about_what_was_never_sent_are_ignored(block):
    tcp = streaming(10)
    for at in (200, 201, 202, 203):
        ack(tcp, 0, block, at=at)
    tcp.recv_nothing()
    assert recovery(tcp).in_flight == 10 * FULL


def test_the_window_is_halved_once_for_several_losses_in_it():
    tcp = streaming(20, cwnd=20)
    ack(tcp, 0, (1, 4), at=200)
    expect(tcp, 0)
    ack(tcp, 0, (5, 9), (1, 4), at=201)
    ack(tcp, 0, (10, 20), (5, 9), (1, 4), at=202)
    tcp.sent.clear()
    assert recovery(tcp).ssthresh == 10 * FULL
    assert recovery(tcp).counters.recoveries == 1


def test_all_holes_are_filled_lowest_first():
    tcp = streaming(20, cwnd=20)
    sent = []
    for end in range(2, 21):
        if end not in (6, 11):
            blocks = [(1, min(end, 5))]
            if end > 6:
                blocks.insert(0, (6, min(end, 10)))
            if end > 11:
                blocks.insert(0, (11, end))
            ack(tcp, 0, *blocks, at=200 + end / 10)
            sent += [(found.seq - 1) // FULL for found in tcp.sent]
            tcp.sent.clear()
    assert sent == [0, 5, 10]


def test_proportional_rate_reduction_sends_for_every_second_segment_that_arrives():
    """20 in flight: 10 at the end. One segment for every two that arrived, the first at once."""
    tcp = streaming(60, cwnd=20)
    counts = []
    for end in range(2, 21):
        ack(tcp, 0, (1, end), at=200 + end / 10)
        counts.append(len(tcp.sent))
        tcp.sent.clear()
    assert counts[:3] == [1, 1, 1], "two by limited transmit, then the retransmission"
    assert sum(counts[3:]) == 7
    assert set(counts[3:]) == {0, 1}
    assert recovery(tcp).in_flight == 10 * FULL


def test_after_the_recovery_the_window_is_the_threshold():
    tcp = streaming(20, cwnd=20)
    for end in range(2, 21):
        ack(tcp, 0, (1, end), at=200 + end / 10)
    tcp.sent.clear()
    ack(tcp, 20, at=300)
    assert window(tcp) == 10
    assert recovery(tcp).state_name == "Open"


def test_a_loss_in_the_next_window_halves_again():
    tcp = streaming(20, cwnd=20)
    ack(tcp, 0, (1, 20), at=200)
    tcp.sent.clear()
    ack(tcp, 20, at=300)
    tcp.write(15 * FULL)
    tcp.sent.clear()
    ack(tcp, 20, (21, 24), at=400)
    assert tcp.recv().seq == seq(20)
    assert recovery(tcp).ssthresh == 5 * FULL


def test_a_loss_shown_only_after_a_partial_ack_is_repaired_in_the_same_recovery():
    tcp = streaming(10)
    ack(tcp, 0, (1, 4), at=200)
    expect(tcp, 0)
    ack(tcp, 4, (5, 10), at=300)
    expect(tcp, 4)
    ack(tcp, 10, at=400)
    assert recovery(tcp).counters.recoveries == 1
    assert recovery(tcp).state_name == "Open"


def test_newreno_fills_a_hole_per_round_trip():
    tcp = streaming(10, sackok=False)
    for number in (1, 2, 3, 5, 6, 7, 8, 9):
        tcp.send(".", ack=1, at=ms(200 + number))
    expect(tcp, 0)
    ack(tcp, 4, at=310)
    expect(tcp, 4)
    ack(tcp, 10, at=410)
    tcp.recv_nothing()


def test_newreno_is_not_fooled_by_duplicates_of_its_own_retransmissions():
    """RFC 6582, section 4.1."""
    tcp = streaming(10, sackok=False)
    for number in range(9):
        tcp.send(".", ack=1, at=ms(200 + number))
    expect(tcp, 0)
    ack(tcp, 10, at=310)
    tcp.write(10 * FULL)
    tcp.sent.clear()
    for number in range(2):
        tcp.send(".", ack=seq(10), at=ms(311 + number))
    assert not any(sent.retransmission for sent in tcp.sent)
    assert recovery(tcp).counters.recoveries == 1


def test_half_a_segment_that_is_missing_is_all_that_is_sent_again():
    """A middle box or a peer with other segments: blocks need not fit ours."""
    tcp = streaming(10)
    ack(tcp, 0, (0.5, 4), at=200)
    tcp.recv(seq=seq(0), length=FULL // 2, retransmission=True)
    tcp.recv_nothing()


def test_part_of_a_segment_acknowledged_leaves_the_rest_to_be_repeated():
    tcp = streaming(10)
    ack(tcp, 0.25, (1, 4), at=200)
    tcp.recv(seq=seq(0.25), length=FULL * 3 // 4, retransmission=True)


def test_a_lost_retransmission_is_sent_a_third_time_when_later_data_arrives():
    """RACK: what left after the copy has arrived, so the copy is lost as well. NewReno and RFC 6675 would time out."""
    tcp = streaming(30)
    ack(tcp, 0, (1, 4), at=200)
    tcp.sent.clear()
    ack(tcp, 0, (1, 10), at=201)
    later = [(sent.seq - 1) // FULL for sent in tcp.sent]
    tcp.sent.clear()
    assert later
    ack(tcp, 0, (1, later[-1] + 1), at=301)
    found = tcp.recv()
    assert (found.seq, found.retransmission) == (seq(0), True)
    assert recovery(tcp).counters.timeouts == 0


def test_a_retransmission_carries_todays_acknowledgment_window_and_timestamps():
    tcp = streaming(10)
    tcp.send("P.", ack=1, length=500, at=ms(150))
    tcp.recv(".", ack=501)
    ack(tcp, 0, (1, 4), at=200)
    tcp.recv(".", seq=seq(0), ack=501, ts=1000 + 200, echo=5000 + 200)


def test_the_last_segment_keeps_its_push_flag():
    tcp = streaming(4)
    ack(tcp, 3, at=200)
    tcp.recv("P.", at=ms(500), seq=seq(3), retransmission=True)


def test_a_lost_fin_is_repeated_with_the_data_it_rode_on():
    tcp = streaming(4)
    tcp.shutdown()
    tcp.recv("F.", seq=seq(4))
    ack(tcp, 4, at=200)
    tcp.recv("F.", seq=seq(4), retransmission=True, at=ms(500))


def test_a_lost_last_segment_is_repeated_with_its_fin():
    tcp = streaming(0)
    tcp.connection.write(b"early", tcp.now)
    tcp.recv("P.")
    tcp.connection.write(b"tail", tcp.now)  # waits: Nagle
    tcp.shutdown()
    tcp.recv("FP.", payload=b"tail")
    tcp.send(".", ack=6, at=ms(200))
    tcp.recv("FP.", payload=b"tail", retransmission=True, at=ms(500))


def test_data_sent_before_the_loss_is_noticed_is_not_sent_twice():
    tcp = streaming(60)
    counts = {}
    acked = 0
    for at in range(200, 1500, 100):
        for sent in tcp.sent:
            counts[sent.seq] = counts.get(sent.seq, 0) + 1
        tcp.sent.clear()
        outstanding = tcp.connection.sender.outstanding // FULL
        if at == 200:
            ack(tcp, 0, (1, 10), at=at)
        elif outstanding:
            acked = (tcp.connection.sender.snd_nxt - tcp.connection.iss - 1) % 2**32 // FULL
            ack(tcp, acked, at=at)
    assert counts[seq(0)] == 1, "the copy"
    assert all(count == 1 for count in counts.values())
    assert acked == 60


# -- the reordering window


def test_one_sacked_segment_starts_a_timer_of_a_quarter_of_the_round_trip():
    """RFC 8985: the hole is lost when it is 25 ms late, neither earlier nor later."""
    tcp = streaming(2)
    ack(tcp, 0, (1, 2), at=200)
    tcp.recv_nothing(until=ms(224))
    tcp.recv(".", seq=seq(0), retransmission=True, at=ms(225) + 2)


def test_a_segment_that_comes_within_the_window_was_only_late():
    tcp = streaming(2)
    ack(tcp, 0, (1, 2), at=200)
    ack(tcp, 2, at=224)
    tcp.recv_nothing(until=ms(1000))
    assert window(tcp) >= 10


def test_once_reordering_was_seen_three_duplicates_prove_nothing():
    tcp = streaming(20)
    ack(tcp, 0, (1, 2), at=200)
    ack(tcp, 2, at=201)
    tcp.sent.clear()
    for end in range(4, 9):
        ack(tcp, 2, (3, end), at=202)
    assert not any(sent.retransmission for sent in tcp.sent)
    tcp.sent.clear()
    ack(tcp, 8, at=210)
    assert recovery(tcp).counters.recoveries == 0


def test_then_the_loss_is_found_by_time():
    tcp = streaming(10)
    ack(tcp, 0, (1, 2), at=200)
    ack(tcp, 2, at=201)
    ack(tcp, 2, (3, 8), at=202)
    tcp.recv_nothing(until=ms(226))
    tcp.recv(seq=seq(2), retransmission=True, at=ms(202 + 25) + 2)


def test_reordering_of_more_than_three_costs_one_needless_retransmission_that_is_taken_back():
    tcp = streaming(20, timestamps=False, cwnd=20)
    ack(tcp, 0, (1, 6), at=200)
    expect(tcp, 0)
    ack(tcp, 6, at=201)
    ack(tcp, 6, (0, 1), at=300)
    assert recovery(tcp).counters.undone == 1
    assert window(tcp) >= 20
