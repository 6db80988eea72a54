"""Opening a connection: options, windows, repetition, simultaneous open, and what goes wrong (FACTS 40, 43)."""

import pytest

from tests.stack.tcp.language import OUR_CLOCK, PEER_CLOCK, Script, connecting, established, ms, s, syn_received


def opened(**options):
    tcp = Script(**options)
    tcp.connection.open(0)
    return tcp


def test_a_syn_has_the_window_and_options_of_linux():
    opened().recv("S", seq=0, ack=0, win=64240, mss=1460, sackok=True, wscale=7, ts=OUR_CLOCK, echo=0)


def test_a_syn_ack_has_the_window_and_options_of_linux():
    tcp = Script()
    tcp.send("S", seq=0, at=ms(2))
    tcp.recv("S.", seq=0, ack=1, win=65160, mss=1460, sackok=True, wscale=7, ts=OUR_CLOCK + 2, echo=PEER_CLOCK + 2)


@pytest.mark.parametrize(("mtu", "mss", "syn", "syn_ack"), [(1450, 1410, 64860, 64308), (65536, 65495, 65495, 65483)])
def test_the_first_windows_are_whole_segments_that_fit_64_kib(mtu, mss, syn, syn_ack):
    opened(mtu=mtu).recv("S", mss=mss, win=syn)
    tcp = Script(mtu=mtu)
    tcp.send("S", seq=0)
    tcp.recv("S.", mss=mss, win=syn_ack)


def test_a_receive_buffer_of_32_mib_at_most_gives_a_window_scale_of_10():
    opened(receive_buffer_max=32 * 1024 * 1024).recv("S", wscale=10, win=64240)


def test_the_third_segment_offers_the_window_in_whole_units_of_the_scale():
    tcp = connecting()
    tcp.send("S.", seq=0, ack=1)
    tcp.recv(".", seq=1, ack=1, win=502)
    tcp = connecting(receive_buffer_max=32 * 1024 * 1024)
    tcp.send("S.", seq=0, ack=1)
    tcp.recv(".", win=63)


def test_a_connection_is_open_when_the_syn_ack_arrives():
    tcp = connecting()
    assert tcp.state == "SYN_SENT"
    tcp.send("S.", seq=0, ack=1, at=ms(7))
    tcp.recv(".", seq=1, ack=1, echo=PEER_CLOCK + 7)
    assert tcp.state == "ESTABLISHED"
    assert tcp.connection.rtt.srtt_ns == ms(7)


def test_a_passive_connection_is_open_when_its_syn_is_acknowledged():
    tcp = syn_received()
    assert tcp.state == "SYN_RECEIVED"
    tcp.send(".", seq=1, ack=1, at=ms(5))
    assert tcp.state == "ESTABLISHED"
    assert tcp.connection.rtt.srtt_ns == ms(5)
    tcp.recv_nothing(until=s(10))


def test_the_ack_that_opens_a_connection_may_carry_data():
    tcp = syn_received()
    tcp.send("P.", seq=1, ack=1, payload=b"hello")
    tcp.recv(".", ack=6)
    assert (tcp.state, tcp.received) == ("ESTABLISHED", b"hello")


def test_data_is_sent_as_soon_as_the_connection_is_open():
    tcp = connecting()
    tcp.write(b"early")
    tcp.recv_nothing(until=ms(1))
    tcp.send("S.", seq=0, ack=1)
    tcp.recv(".", seq=1)
    tcp.recv("P.", seq=1, payload=b"early")


def test_a_syn_is_repeated_after_1_2_3_4_and_5_s_and_then_ever_less_often():
    tcp = connecting()
    for moment in (1, 2, 3, 4, 5, 7, 11, 19, 35, 67):
        tcp.recv("S", seq=0, at=s(moment), ts=OUR_CLOCK + 1000 * moment, retransmission=True)
    tcp.recv_nothing(until=s(67 + 64))
    assert (tcp.state, tcp.error) == ("CLOSED", "ETIMEDOUT")


def test_before_linux_6_5_a_syn_is_repeated_after_1_3_7_15_and_31_s():
    tcp = connecting(syn_linear_timeouts=0)
    for moment in (1, 3, 7, 15, 31, 63):
        tcp.recv("S", at=s(moment))
    tcp.recv_nothing(until=s(127))
    assert tcp.error == "ETIMEDOUT"


def test_a_syn_ack_is_repeated_five_times_and_then_forgotten():
    tcp = syn_received()
    for moment in (1, 3, 7, 15, 31):
        tcp.recv("S.", seq=0, ack=1, at=s(moment), retransmission=True)
    tcp.recv_nothing(until=s(63))
    assert tcp.state == "CLOSED"


def test_a_repeated_syn_is_answered_by_the_syn_ack_again():
    tcp = syn_received()
    tcp.send("S", seq=0, at=ms(700))
    tcp.recv("S.", seq=0, ack=1)


def test_a_syn_ack_that_was_lost_does_not_spoil_the_round_trip_time():
    tcp = connecting()
    tcp.recv("S", at=s(1))
    tcp.send("S.", seq=0, ack=1, at=s(1) + ms(30))
    assert tcp.connection.rtt.srtt_ns == ms(30)


def test_a_peer_without_options_gets_none_but_the_mss():
    tcp = Script(wscale=None, sackok=False, timestamps=False)
    tcp.send("S", seq=0)
    tcp.recv("S.", wscale=None, sackok=False, ts=None, mss=1460, win=64240)


def test_a_segment_is_at_most_half_the_largest_window_that_the_peer_offered():
    tcp = syn_received()
    tcp.send(".", seq=1, ack=1, win=8)
    tcp.connection.sender.max_window = 1024
    tcp.connection.sender.choose_mss()
    tcp.write(3000)
    assert tcp.recv(".").length == 512


def test_a_peer_that_announces_no_mss_gets_segments_of_536_bytes():
    tcp = Script(mss=None)
    tcp.send("S", seq=0)
    tcp.recv("S.")
    tcp.send(".", seq=1, ack=1, win=65535)
    tcp.write(1000)
    assert tcp.recv(".").length == 536


def test_the_smaller_mss_counts_less_the_timestamps():
    tcp = established(mss=1000)
    tcp.write(5000)
    assert tcp.recv(".").length == 988


def test_a_maximum_segment_of_the_socket_is_announced():
    opened(maximum_segment=1200).recv("S", mss=1200)


def test_a_maximum_segment_of_the_socket_also_bounds_what_it_sends():
    tcp = established(maximum_segment=1200)
    tcp.write(5000)
    assert tcp.recv(".").length == 1188


def test_with_quick_acks_switched_off_the_ack_that_opens_the_connection_waits_for_data():
    tcp = connecting()
    tcp.connection.receiver.acks.interactive = True
    tcp.send("S.", seq=0, ack=1, at=ms(10))
    tcp.recv_nothing(until=ms(50))
    tcp.write(b"hello")
    tcp.recv("P.", seq=1, ack=1, payload=b"hello", at=ms(50))


def test_with_quick_acks_switched_off_the_ack_that_opens_the_connection_waits_for_200_ms_at_most():
    tcp = connecting()
    tcp.connection.receiver.acks.interactive = True
    tcp.send("S.", seq=0, ack=1, at=ms(10))
    tcp.recv(".", seq=1, ack=1, at=ms(210))


def test_a_window_scale_above_14_counts_as_14():
    tcp = connecting()
    tcp.send("S.", seq=0, ack=1, wscale=200)
    assert tcp.connection.sender.window_scale == 14


def test_the_window_of_a_syn_is_never_scaled():
    tcp = connecting()
    tcp.send("S.", seq=0, ack=1, win=1000)
    assert tcp.connection.sender.snd_wnd == 1000


@pytest.mark.parametrize("ack", [0, 2, 1000])
def test_an_ack_of_what_was_not_sent_is_answered_by_a_reset_while_connecting(ack):
    tcp = connecting()
    assert tcp.send("S.", seq=0, ack=ack) is True
    assert tcp.state == "SYN_SENT"


def test_a_timestamp_echo_from_before_the_syn_is_answered_by_a_reset():
    tcp = connecting()
    assert tcp.send("S.", seq=0, ack=1, echo=OUR_CLOCK - 5) is True
    assert tcp.state == "SYN_SENT"


def test_a_reset_refuses_the_connection():
    tcp = connecting()
    tcp.send("R.", seq=0, ack=1)
    assert (tcp.state, tcp.error) == ("CLOSED", "ECONNREFUSED")


@pytest.mark.parametrize(("flags", "ack"), [("R", 0), ("R.", 5)])
def test_a_reset_that_does_not_acknowledge_the_syn_is_ignored(flags, ack):
    tcp = connecting()
    tcp.send(flags, seq=0, ack=ack)
    assert tcp.state == "SYN_SENT"


def test_an_ack_without_syn_is_ignored_while_connecting():
    tcp = connecting()
    assert tcp.send(".", seq=0, ack=1) is False
    assert tcp.state == "SYN_SENT"
    tcp.recv_nothing()


def test_a_wrong_ack_is_answered_by_a_reset_in_syn_received():
    tcp = syn_received()
    assert tcp.send(".", seq=1, ack=7) is True
    assert tcp.state == "SYN_RECEIVED"


def test_a_close_in_syn_received_waits_for_the_connection_to_be_open():
    tcp = syn_received()
    tcp.write(b"bye")
    tcp.close()
    tcp.recv_nothing(until=ms(10))
    tcp.send(".", seq=1, ack=1)
    tcp.recv("FP.", seq=1, payload=b"bye")
    assert tcp.state == "FIN_WAIT_1"


def test_a_fin_in_a_syn_is_not_taken():
    tcp = connecting()
    tcp.send("SF.", seq=0, ack=1)
    tcp.recv(".", ack=1)
    assert tcp.state == "ESTABLISHED"


def test_a_reset_ends_a_connection_in_syn_received():
    tcp = syn_received()
    tcp.send("R", seq=1)
    assert tcp.state == "CLOSED"


def test_a_hard_icmp_error_ends_an_attempt_to_connect():
    tcp = connecting()
    tcp.connection.icmp_error(113, True)
    assert (tcp.state, tcp.error) == ("CLOSED", "EHOSTUNREACH")


def test_a_soft_icmp_error_is_what_an_open_connection_reports_when_it_times_out():
    tcp = established(retries2=1)
    tcp.connection.icmp_error(113, False)
    tcp.write(10)
    tcp.advance(s(1500))
    assert (tcp.state, tcp.error) == ("CLOSED", "EHOSTUNREACH")


# -- simultaneous open ------------------------------------------------------------------------------------------------


def test_two_syns_that_cross_open_one_connection():
    tcp = connecting()
    tcp.send("S", seq=0, at=ms(1))
    tcp.recv("S.", seq=0, ack=1, win=64240)
    assert tcp.state == "SYN_RECEIVED"
    tcp.send("S.", seq=0, ack=1, at=ms(2))
    assert tcp.state == "ESTABLISHED"
    tcp.write(b"x")
    tcp.recv("P.", seq=1, ack=1, payload=b"x")


def test_after_crossing_syns_a_plain_ack_opens_the_connection_too():
    tcp = connecting()
    tcp.send("S", seq=0)
    tcp.recv("S.")
    tcp.send(".", seq=1, ack=1)
    assert tcp.state == "ESTABLISHED"


def test_after_crossing_syns_the_syn_ack_is_repeated():
    tcp = connecting()
    tcp.send("S", seq=0, at=ms(500))
    tcp.recv("S.")
    tcp.recv("S.", at=ms(1500))
