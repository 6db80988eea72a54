"""Proportional rate reduction sends by its sequence of numbers (RFC 6937bis)."""

from __future__ import annotations

from emu.stack.tcp.prr import ProportionalRateReduction

MSS = 1000


def play(prr: ProportionalRateReduction, pipe: int, ssthresh: int, acks: int, safe: bool = True) -> list[int]:
    """One segment arrives per ACK, what the window allows is sent at once; the segments sent per ACK."""
    sent = []
    for _ in range(acks):
        pipe -= 1
        window = prr.window(pipe * MSS, ssthresh * MSS, MSS, safe, MSS)
        count = window // MSS - pipe
        prr.out += count * MSS
        pipe += count
        sent.append(count)
    return sent


def test_halving_sends_one_segment_for_every_two_that_arrive() -> None:
    """20 in flight, threshold 10: the first goes out at once, which the next pay for."""
    prr = ProportionalRateReduction()
    prr.begin(20 * MSS)
    assert play(prr, 20, 10, 18) == [1, 0, 0] + [1, 0] * 7 + [0], "10 in flight at the end"


def test_seven_tenths_sends_seven_for_every_ten() -> None:
    prr = ProportionalRateReduction()
    prr.begin(100 * MSS)
    sent = play(prr, 100, 70, 90)
    assert sum(sent[:10]) == 7
    assert sum(sent) == 63
    assert max(sent) == 1


def test_after_a_burst_loss_the_window_slow_starts_back_to_the_threshold() -> None:
    """RFC 6937, 3: pipe fell below the threshold: two segments for every safe ACK until it is reached."""
    prr = ProportionalRateReduction()
    prr.begin(20 * MSS)
    assert play(prr, 5, 10, 8) == [2, 2, 2, 2, 2, 1, 1, 1]


def test_while_more_is_lost_it_is_only_conservative() -> None:
    """An ACK that shows further loss lets out what arrived, no more."""
    prr = ProportionalRateReduction()
    prr.begin(20 * MSS)
    assert play(prr, 5, 10, 5, safe=False) == [1, 1, 1, 1, 1]


def test_the_first_retransmission_is_never_held_back() -> None:
    prr = ProportionalRateReduction()
    prr.begin(20 * MSS)
    assert prr.window(19 * MSS, 2 * MSS, 100, False, MSS) == 20 * MSS
