"""The receive window offers what recorded Linux kernels offered."""

from __future__ import annotations

import pytest

from emu.stack.tcp.receive_window import ReceiveWindow, choose_scale, initial_window, memory_of

BUFFER = 131_072
MIB = 1024 * 1024


def established(mss: int, scale: int, syn_mss: int | None = None) -> ReceiveWindow:
    """The window of a connection that is established; the next byte expected has number 1.

    mss: payload of a full segment. syn_mss: the announced one, on the side that sent the SYN and acknowledges the
    other's.
    """
    window = ReceiveWindow(BUFFER, 32 * MIB, True, syn_mss or mss, scale)
    window.advertised_mss = mss
    window.begin(1, mss, 0)
    if syn_mss:
        window.offer(1)
    return window


@pytest.mark.parametrize(
    ("mss", "syn", "syn_ack"),
    [(1460, 64240, 65160), (1410, 64860, 64308), (1360, 65280, 64704)],
    ids=["bridge", "overlay", "MTU 1400"],
)
def test_a_syn_offers_half_the_buffer_in_whole_segments(mss: int, syn: int, syn_ack: int) -> None:
    """a3, f4 and g9; the timestamps' 12 bytes are known to the SYN-ACK only."""
    assert initial_window(BUFFER, mss) == syn
    assert initial_window(BUFFER, mss - 12) == syn_ack


@pytest.mark.parametrize(("buffer_max", "scale"), [(6 * MIB, 7), (32 * MIB, 10), (BUFFER, 2), (1, 1)])
def test_the_scale_lets_the_largest_buffer_be_offered(buffer_max: int, scale: int) -> None:
    assert choose_scale(BUFFER, buffer_max) == scale


def test_headers_say_the_window_rounded_up() -> None:
    """g30: 64240 is 502 times 128, 65160 less a request of 81 bytes is 509."""
    client, server = established(1448, 7, 1460), established(1448, 7)
    assert client.offered == 502 * 128
    server.memory += memory_of(81)
    assert server.offer(82) == 509
    server.memory = 0
    assert server.offer(82) == 509, "read: one segment's worth of the buffer is never offered"


def test_the_first_full_segments_leave_the_right_edge_where_it_is() -> None:
    """g30: the windows in the acknowledgments of the header of 192 bytes and of each full segment after it."""
    window = established(1448, 7, 1460)
    fields, rcv_nxt = [], 1
    for size in [192] + [1448] * 15:
        window.memory += memory_of(size)
        if size > window.segment_size:
            window.learn_size(size)
        window.grow(size)
        rcv_nxt += size
        fields.append(window.offer(rcv_nxt))
    assert fields == [501, 490, 479, 468, 457, 446, 435, 424, 413, 402, 391, 380, 369, 358, 347, 336]


@pytest.mark.parametrize(
    ("mss", "plateau"),
    [(1448, 32_256), (1398, 49_152), (1348, 48_128)],
    ids=["bridge (a3, g30)", "overlay (f4)", "MTU 1400 (g9)"],
)
def test_after_them_it_offers_what_a_buffer_holds_of_such_segments(mss: int, plateau: int) -> None:
    window = established(mss, 7)
    window.learn_size(mss)
    assert window.offer(1 + 65_000) == plateau // 128


def test_a_segment_lets_the_window_grow_by_two_when_the_buffer_has_grown() -> None:
    """g30: 275, 298, 320, 343, 366, then by three segments to 433, 456, 479, 501, 524, 547, 569."""
    window = established(1448, 7)
    window.learn_size(1448)
    window.threshold = 275 * 128 - 60
    window.buffer *= 4
    window.window_max *= 4
    fields = []
    for _ in range(14):
        fields.append(window.offer(1 + 65_000))
        assert window.grow(1448)
    recorded = [275, 298, 320, 343, 366, 433, 456, 479, 501, 524, 547, 569]
    assert fields[:5] + fields[7:] == pytest.approx(recorded, abs=1)


def test_short_segments_do_not_let_it_grow_without_bound() -> None:
    window = established(1448, 7)
    window.learn_size(1448)
    window.buffer *= 1000
    window.window_max = window.threshold = 5 * MIB
    window.window_max *= 2
    assert not window.grow(130)
    assert window.grow(1448)


def test_the_buffer_follows_what_a_program_reads_in_a_round_trip() -> None:
    window = established(1448, 7)
    window.learn_size(1448)
    window.measure_round_trip(1, 100_000)
    window.read(20_000, 500_000)
    assert window.buffer == BUFFER, "a round trip takes at least a millisecond of the timestamps' clock"
    window.read(20_000, 1_000_000)
    grown = 2 * 20_000 + 2 * (2 * 20_000 * (20_000 - 14_480) // 14_480)
    assert window.buffer == grown * 256 // 63
    window.read(40_000, 2_000_000)
    assert window.buffer == grown * 256 // 63, "no more than in the round trip before"


def test_an_unread_stream_closes_the_window() -> None:
    window = established(1448, 0)
    window.learn_size(1448)
    window.memory = BUFFER
    assert window.select() == 0
