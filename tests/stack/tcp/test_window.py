"""How the congestion window grows, shrinks and is given back on a whole machine (RFC 5681, 2861, 3168, 3708)."""

from tests.stack.tcp.language import connecting, ms, s
from tests.stack.tcp.stream import FULL, ack, expect, recovery, seq, streaming, window


def test_the_first_flight_is_ten_segments():
    tcp = streaming(30)
    tcp.recv_nothing(until=ms(299))


def test_slow_start_sends_two_segments_for_each_acknowledged():
    tcp = streaming(30)
    ack(tcp, 1, at=200)
    expect(tcp, 10, 11)
    ack(tcp, 3, at=201)
    expect(tcp, 12, 13, 14, 15)


def test_congestion_avoidance_adds_one_segment_per_round_trip():
    tcp = streaming(60)
    recovery(tcp)._congestion.ssthresh = 10 * FULL
    for index in range(1, 11):
        ack(tcp, index, at=200 + index / 10)
    assert window(tcp) == 11
    assert len(tcp.sent) == 11


def test_a_window_that_is_not_used_does_not_grow():
    tcp = streaming(0)
    recovery(tcp)._congestion.ssthresh = 5 * FULL
    for number in range(30):
        tcp.write(2 * FULL, at=ms(200 + 100 * number))
        tcp.sent.clear()
        ack(tcp, 2 * (number + 1), at=299 + 100 * number)
    assert window(tcp) == 10


def test_after_an_idle_time_a_large_window_starts_small_again():
    """RFC 5681, section 4.1, as Linux does it: halved for every timeout of silence."""
    tcp = streaming(10)
    ack(tcp, 10, at=200)
    recovery(tcp)._congestion.cwnd = 80 * FULL
    tcp.write(100 * FULL, at=ms(650))
    assert len(tcp.sent) == 40, "550 ms after the last segment: one timeout of 300 ms and a bit of the next"


def test_after_a_long_idle_time_it_is_the_initial_window():
    tcp = streaming(10)
    ack(tcp, 10, at=200)
    recovery(tcp)._congestion.cwnd = 80 * FULL
    tcp.write(100 * FULL, at=s(30))
    assert len(tcp.sent) == 10


def test_slow_start_after_idle_can_be_switched_off():
    """net.ipv4.tcp_slow_start_after_idle."""
    tcp = streaming(10, slow_start_after_idle=False)
    ack(tcp, 10, at=200)
    recovery(tcp)._congestion.cwnd = 40 * FULL
    tcp.write(100 * FULL, at=s(30))
    assert len(tcp.sent) == 40


def test_after_a_short_pause_it_is_as_large_as_before():
    tcp = streaming(10)
    ack(tcp, 10, at=200)
    before = window(tcp)
    tcp.write(100 * FULL, at=ms(390))
    assert len(tcp.sent) == before


def ecn_stream(count):
    """A stream whose ends use ECN."""
    tcp = connecting(ecn=1)
    tcp.send("S.E", seq=0, ack=1, at=ms(100))
    tcp.recv(".")
    tcp.write(count * FULL)
    for _ in range(10):
        tcp.recv(ect=True)
    return tcp


def test_a_congestion_echo_halves_the_window_and_says_so_on_the_next_new_segment():
    tcp = ecn_stream(30)
    for index in range(1, 11):
        tcp.send(".E", ack=seq(index), at=ms(200 + index))
    flags = [sent.flags for sent in tcp.sent]
    assert "W" in flags[0]
    assert not any("W" in other for other in flags[1:])
    assert recovery(tcp).ssthresh == 5 * FULL
    assert recovery(tcp).in_flight == 5 * FULL
    assert recovery(tcp).counters.congestion_echoes == 1


def test_echoes_of_the_next_round_trip_halve_it_again():
    tcp = ecn_stream(60)
    tcp.send(".E", ack=seq(10), at=ms(200))
    tcp.sent.clear()
    for index in (12, 14, 16):
        tcp.send(".", ack=seq(index), at=ms(300 + index))
    tcp.sent.clear()
    before = recovery(tcp).ssthresh
    tcp.send(".E", ack=seq(17), at=ms(400))
    assert recovery(tcp).counters.congestion_echoes == 2
    assert recovery(tcp).ssthresh < before


def test_a_retransmission_is_not_marked_ecn_capable():
    tcp = ecn_stream(10)
    ack(tcp, 0, (1, 4), at=200)
    found = tcp.recv(seq=seq(0), retransmission=True)
    assert not found.ect
    assert "W" not in found.flags


def test_a_loss_makes_the_next_new_segment_carry_cwr_too():
    tcp = ecn_stream(30)
    ack(tcp, 0, (1, 8), at=200)
    tcp.recv(seq=seq(0))
    ack(tcp, 8, at=300)
    assert "W" in tcp.recv().flags


def test_a_dsack_gives_the_window_back():
    tcp = streaming(10)
    ack(tcp, 0, (1, 4), at=200)
    expect(tcp, 0)
    ack(tcp, 0, (1, 10), at=201)
    ack(tcp, 10, at=205)
    assert window(tcp) < 10
    ack(tcp, 10, (0, 1), at=302)
    assert window(tcp) >= 10
    assert recovery(tcp).counters.dsacks_received == 1


def test_an_old_echo_in_a_recovery_gives_it_back_at_once():
    tcp = streaming(30)
    ack(tcp, 0, (1, 4), at=200)
    tcp.sent.clear()
    ack(tcp, 4, at=205, echo=1100)
    assert recovery(tcp).counters.undone == 1
    assert window(tcp) >= 10
    assert not any(sent.retransmission for sent in tcp.sent)


def test_a_recovery_with_one_deserved_and_one_needless_retransmission_stands():
    tcp = streaming(10)
    ack(tcp, 0, (1, 2), (3, 6), at=200)
    ack(tcp, 0, (1, 2), (3, 10), at=201)
    tcp.sent.clear()
    ack(tcp, 10, at=301)
    ack(tcp, 10, (0, 1), at=302)
    assert recovery(tcp).counters.undone == 0
    assert window(tcp) < 10


def test_congestion_control_can_be_reno_or_cubic():
    for name, left in (("reno", 5), ("cubic", 7)):
        tcp = streaming(10, congestion=name)
        ack(tcp, 0, (1, 4), at=200)
        assert recovery(tcp).ssthresh == left * FULL


def test_a_path_that_gets_smaller_repeats_what_was_too_long_in_pieces_and_keeps_the_number_of_segments():
    tcp = streaming(10)
    tcp.advance(ms(150))
    tcp.connection.path_mtu_changed(1000, tcp.now)
    sizes = [sent.length for sent in tcp.sent]
    assert max(sizes) == 1000 - 52
    assert all(sent.retransmission for sent in tcp.sent)
    assert tcp.cwnd == 10 * (1000 - 52)
    assert len(sizes) == 10 or sum(sizes) <= tcp.cwnd


def test_a_long_transfer_without_loss_never_repeats_anything():
    tcp = streaming(0, congestion="cubic")
    tcp.write(2000 * FULL)
    at = 200
    while tcp.connection.sender.outstanding:
        highest = max(sent.seq + sent.length for sent in tcp.sent)
        assert not any(sent.retransmission for sent in tcp.sent)
        tcp.sent.clear()
        tcp.send(".", ack=highest, at=ms(at))
        at += 100
    assert recovery(tcp).lost == 0
    tcp.recv_nothing(until=tcp.now + s(60))
