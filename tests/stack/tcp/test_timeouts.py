"""When nothing comes back: loss probes, timeouts, what follows, and whether they were needed (RFC 6298, 8985, 5682)."""

import itertools

import pytest

from tests.stack.tcp.language import established, ms, s
from tests.stack.tcp.stream import FULL, ack, expect, recovery, seq, streaming, window

# -- loss probes


def test_after_two_round_trips_of_silence_the_last_segment_is_sent_again():
    tcp = streaming(5)
    expect(tcp, 4, at=300 + 2e-6)


def test_a_probe_is_new_data_if_there_is_any():
    tcp = streaming(12)
    expect(tcp, 10, at=300 + 2e-6)


def test_but_only_if_it_fits_the_peers_window():
    tcp = streaming(12, win=10 * FULL // 128 + 1)
    expect(tcp, 9, at=300 + 2e-6)


def test_every_ack_and_every_transmission_puts_the_probe_off():
    tcp = streaming(5)
    ack(tcp, 2, at=200)
    tcp.write(b"F" * FULL, at=ms(250))
    tcp.recv(seq=seq(5))
    expect(tcp, 5, at=450 + 2e-6)


def test_the_probe_for_a_single_segment_waits_for_a_delayed_ack_too():
    """2 RTT and 200 ms, but no later than the timeout, whose place it takes: RTT and 200 ms."""
    tcp = streaming(1)
    expect(tcp, 0, at=100 + 300)
    assert recovery(tcp).counters.tail_loss_probes == 1


def test_after_the_probe_comes_the_timeout():
    tcp = streaming(5)
    expect(tcp, 4, at=300 + 2e-6)
    expect(tcp, 0, at=600 + 2e-6)
    assert recovery(tcp).counters.timeouts == 1


def test_the_recorded_schedule():
    """FACT 43 without the kernel's clock: 200 ms and the round trip, twice, then doubling."""
    tcp = established()
    tcp.write(b"hello", at=ms(1000))
    times = [tcp.recv(payload=b"hello").time_ns]
    for _ in range(7):
        tcp.advance(min(tcp.connection.deadline_ns, s(100)))
        times.append(tcp.recv(payload=b"hello", retransmission=True).time_ns)
    gaps = [round((after - before) / 1e6) for before, after in itertools.pairwise(times)]
    assert gaps == [200, 200, 400, 800, 1600, 3200, 6400]


def test_a_lost_tail_is_found_by_the_probe_and_repaired_without_a_timeout():
    tcp = streaming(5)
    ack(tcp, 2, at=200)
    expect(tcp, 4, at=400 + 2e-6)
    ack(tcp, 2, (4, 5), at=501)
    expect(tcp, 2)
    ack(tcp, 3, (4, 5), at=601)
    expect(tcp, 3)
    ack(tcp, 5, at=701)
    tcp.recv_nothing(until=s(60))
    assert recovery(tcp).counters.timeouts == 0


def test_a_probe_that_was_the_repair_halves_the_window():
    tcp = streaming(5)
    ack(tcp, 4, at=200)
    tcp.advance(ms(520))
    expect(tcp, 4)
    ack(tcp, 5, at=620)
    before = window(tcp)
    tcp.write(FULL)
    tcp.recv()
    ack(tcp, 6, at=720)
    assert recovery(tcp).counters.probes_repaired == 1
    assert window(tcp) <= before / 2 + 1


def test_a_probe_that_arrived_twice_costs_nothing():
    tcp = streaming(5)
    expect(tcp, 4, at=300 + 2e-6)
    ack(tcp, 5, at=310)
    ack(tcp, 5, (4, 5), at=400)
    tcp.write(FULL)
    tcp.recv()
    ack(tcp, 6, at=500)
    assert recovery(tcp).counters.probes_repaired == 0
    assert window(tcp) >= 10


def test_a_lone_fin_is_probed():
    tcp = streaming(0)
    tcp.shutdown()
    tcp.recv("F.", seq=1)
    tcp.recv("F.", seq=1, retransmission=True, at=ms(400))
    assert recovery(tcp).counters.tail_loss_probes == 1


@pytest.mark.parametrize("options", [{"sackok": False}, {"tail_loss_probe": False}])
def test_without_sack_or_switched_off_there_is_no_probe(options):
    tcp = streaming(5, **options)
    expect(tcp, 0, at=100 + 300)
    assert recovery(tcp).counters.tail_loss_probes == 0


def test_no_probe_during_a_recovery():
    tcp = streaming(10)
    ack(tcp, 0, (1, 4), at=200)
    expect(tcp, 0)
    tcp.recv_nothing(until=ms(490))
    assert recovery(tcp).counters.tail_loss_probes == 0


# -- timeouts


def plain(count, **options):
    """A stream without probes and F-RTO."""
    return streaming(count, **({"tail_loss_probe": False, "frto": False} | options))


def test_the_timeout_is_three_times_the_first_round_trip_and_doubles():
    tcp = plain(1)
    at = 100
    for wait in (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 76800, 120000, 120000):
        at += wait
        expect(tcp, 0, at=at)


def test_after_15_minutes_the_connection_is_given_up():
    """tcp_retries2 = 15: the first timeout after 924.6 s; doubled timeouts come at 762.1, 882.1 and 1002.1 s."""
    tcp = plain(1)
    while tcp.connection.deadline_ns < 1 << 60 and not tcp.error:
        tcp.advance(tcp.connection.deadline_ns)
    assert tcp.error == "ETIMEDOUT"
    assert s(925) < tcp.now < s(925 + 120)
    assert tcp.state == "CLOSED"


def test_with_fewer_retries_it_is_given_up_earlier():
    tcp = plain(1, retries2=3)
    while not tcp.error:
        tcp.advance(tcp.connection.deadline_ns)
    assert s(3) < tcp.now < s(7)


def test_the_window_is_one_segment_after_a_timeout_and_doubles_from_there():
    tcp = plain(20, cwnd=16)
    expect(tcp, 0, at=400)
    assert (window(tcp), recovery(tcp).ssthresh) == (1, 8 * FULL)
    ack(tcp, 1, at=500)
    expect(tcp, 1, 2)
    ack(tcp, 3, at=600)
    expect(tcp, 3, 4, 5, 6)
    ack(tcp, 7, at=700)
    expect(tcp, 7, 8, 9, 10, 11, 12, 13, 14)


def test_each_ack_that_advances_restarts_the_timeout():
    tcp = plain(4)
    ack(tcp, 1, at=200)
    ack(tcp, 2, at=210)
    expect(tcp, 2, at=210 + recovery(tcp).rto_ns / 1e6)
    assert tcp.now >= ms(510)


def test_duplicates_do_not_restart_it():
    tcp = plain(4, sackok=False)
    tcp.send(".", ack=1, at=ms(200))
    tcp.send(".", ack=1, at=ms(300))
    expect(tcp, 0, at=400)


def test_with_everything_acknowledged_nothing_is_ever_sent_again():
    tcp = streaming(5)
    ack(tcp, 5, at=200)
    tcp.recv_nothing(until=s(7000))


def test_without_timestamps_the_doubled_timeout_stays_until_new_data_is_acknowledged():
    """Karn's algorithm: an ACK for something sent twice measures nothing."""
    tcp = plain(1, timestamps=False)
    expect(tcp, 0, at=400)
    expect(tcp, 0, at=1000)
    ack(tcp, 1, at=1100)
    assert recovery(tcp).rto_ns == ms(1200)
    tcp.write(1460)
    tcp.recv(seq=1461)
    ack(tcp, 2, at=1200)
    assert recovery(tcp).rto_ns == ms(300)


def test_with_timestamps_the_ack_of_a_retransmission_measures():
    tcp = plain(1)
    expect(tcp, 0, at=400)
    expect(tcp, 0, at=1000)
    ack(tcp, 1, at=1100)
    assert recovery(tcp).rto_ns <= ms(300)


def test_the_timeout_is_never_below_200_ms_and_a_round_trip():
    tcp = plain(0, at=10)
    tcp.write(b"x", at=ms(1000))
    tcp.recv("P.")
    tcp.recv("P.", retransmission=True, at=ms(1210))


def test_data_outside_the_peers_window_by_now_is_still_repeated():
    tcp = plain(3)
    tcp.send(".", ack=1, win=1, at=ms(150))
    expect(tcp, 0, at=400)


def test_a_peer_that_forgot_what_it_sacked_gets_it_again():
    """RFC 2018, section 8."""
    tcp = plain(4)
    ack(tcp, 0, (1, 3), at=200)
    tcp.sent.clear()
    tcp.advance(ms(230))
    tcp.sent.clear()
    ack(tcp, 1, at=300)
    while recovery(tcp).state_name != "Loss":
        tcp.advance(tcp.connection.deadline_ns)
    expect(tcp, 1)
    ack(tcp, 2, at=round(tcp.now / 1e6) + 100)
    expect(tcp, 2, 3)


# -- spurious timeouts


def delayed(count=30, **options):
    """Ten segments in flight, all late; the timeout at 400 ms repeated the first."""
    tcp = streaming(count, tail_loss_probe=False, **options)
    expect(tcp, 0, at=400)
    return tcp


def test_an_ack_for_originals_takes_the_timeout_back():
    tcp = delayed(10, timestamps=True)
    ack(tcp, 2, at=410, echo=1100)
    expect(tcp)
    assert window(tcp) >= 10
    assert recovery(tcp).state_name == "Open"
    assert recovery(tcp).counters.spurious == 1


def test_an_old_echo_takes_the_timeout_back_at_the_first_ack():
    """Eifel (RFC 3522): the segment acknowledged is the original, says its timestamp."""
    tcp = delayed(10)
    ack(tcp, 1, at=410, echo=1100)
    expect(tcp)
    assert recovery(tcp).counters.undone == 1


def test_without_timestamps_f_rto_asks_with_two_new_segments():
    tcp = streaming(30, timestamps=False, tail_loss_probe=False)
    expect(tcp, 0, at=400)
    ack(tcp, 1, at=410)
    expect(tcp, 10, 11)
    ack(tcp, 2, at=411)
    assert recovery(tcp).counters.spurious_timeouts == 1
    assert not any(sent.retransmission for sent in tcp.sent)
    assert window(tcp) >= 10


def test_a_sack_for_the_new_segments_only_means_that_the_rest_was_lost():
    tcp = delayed()
    ack(tcp, 1, at=500)
    expect(tcp, 10, 11)
    ack(tcp, 1, (10, 11), at=600)
    assert [sent.retransmission for sent in tcp.sent] == [True]
    assert tcp.recv().seq == seq(1)
    assert recovery(tcp).counters.spurious == 0


def test_without_new_data_the_repair_goes_on():
    tcp = delayed(10)
    ack(tcp, 1, at=500)
    expect(tcp, 1, 2)


def test_switched_off_it_repeats_everything():
    tcp = plain(10, timestamps=False)
    expect(tcp, 0, at=400)
    ack(tcp, 2, at=410)
    expect(tcp, 2, 3, 4)
