"""Which segments leave, how large, and with which flags: Nagle's algorithm in Minshall's variant, PSH, the window."""

import pytest

from tests.stack.tcp.language import established, ms, us

FULL = 1448


def test_a_small_segment_leaves_at_once_when_nothing_small_is_under_way():
    tcp = established()
    tcp.write(b"first")
    tcp.recv("P.", seq=1, payload=b"first")


def test_a_second_small_segment_waits_for_the_first_one_s_acknowledgment():
    tcp = established()
    tcp.write(b"first")
    tcp.recv("P.")
    tcp.write(b"second")
    tcp.write(b"third")
    tcp.recv_nothing(until=ms(20))
    tcp.send(".", ack=6)
    tcp.recv("P.", seq=6, payload=b"secondthird")


def test_no_delay_lets_every_small_segment_go():
    tcp = established()
    tcp.connection.sender.no_delay = True
    for text in (b"first", b"second", b"third"):
        tcp.write(text)
        tcp.recv("P.", payload=text)


def test_a_small_segment_may_follow_full_ones_that_are_under_way():
    tcp = established()
    tcp.write(2 * FULL + 10)
    assert [(tcp.recv().flags, tcp.recv().flags, tcp.recv().flags)] == [(".", ".", "P.")]


def test_what_waits_leaves_as_soon_as_it_fills_a_segment():
    tcp = established()
    tcp.write(b"first")
    tcp.recv("P.")
    tcp.write(1000)
    tcp.recv_nothing()
    tcp.write(1000)
    tcp.recv("P.", seq=6, length=FULL)  # the first thousand bytes were marked
    tcp.recv_nothing(until=us(1))


def test_a_close_lets_the_waiting_piece_go_with_the_fin():
    tcp = established()
    tcp.write(b"first")
    tcp.recv("P.")
    tcp.write(b"second")
    tcp.close()
    tcp.recv("FP.", payload=b"second")


@pytest.mark.parametrize("size", [1, FULL, FULL + 1, 5 * FULL])
def test_the_last_segment_of_a_write_has_psh(size):
    tcp = established()
    tcp.write(size)
    flags = [sent.flags for sent in tcp.sent]
    assert flags == ["."] * (len(flags) - 1) + ["P."]


def test_a_long_write_has_psh_at_every_half_of_the_peer_s_window():
    tcp = established(initial_window=100)
    tcp.write(60 * FULL)
    pushed = [number for number, sent in enumerate(tcp.sent) if sent.flags == "P."]
    assert pushed[0] == 21  # 22 segments are what half the window holds (recorded in a3 and g30)


def test_ten_segments_leave_at_first():
    tcp = established()
    tcp.write(20 * FULL)
    assert len(tcp.sent) == 10


def test_no_more_leaves_than_the_peer_s_window_takes():
    tcp = established(win=20)  # 2560 bytes
    tcp.send(".", win=20)
    tcp.write(10 * FULL)
    tcp.recv(".", length=FULL)
    tcp.recv("P.", length=2560 - FULL)  # it fills the window (recorded in a3)
    tcp.recv_nothing(until=us(1))


def test_a_segment_is_not_cut_to_fit_a_small_window_at_once():
    tcp = established()
    tcp.send(".", win=8, ts=6000)  # 1024 bytes
    tcp.write(FULL)
    tcp.recv_nothing(until=ms(100))
