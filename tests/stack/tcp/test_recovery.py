"""Loss recovery as a whole: every transfer ends, the accounts are right, the window stays in its bounds."""

from __future__ import annotations

import functools
import operator
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.stack.tcp.recovery import NEVER, TimerAction
from tests.stack.tcp.path_model import PathModel, PathTraits, check_accounts
from tests.stack.tcp.sender import MS, MSS, Sender

TRAITS = st.builds(
    PathTraits,
    loss=st.sampled_from([0, 0.01, 0.1, 0.3]),
    ack_loss=st.sampled_from([0, 0.1, 0.5]),
    reorder=st.sampled_from([0, 0.1, 0.5]),
    sack=st.booleans(),
    dsack=st.booleans(),
    timestamps=st.booleans(),
    algorithm=st.sampled_from(["cubic", "reno"]),
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 120), TRAITS)
def test_everything_is_acknowledged_in_the_end_whatever_the_path_does(
    seed: int, count: int, traits: PathTraits
) -> None:
    model = PathModel(seed, count, traits)
    model.run()
    assert model.received == count
    assert model.recovery.in_flight == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(400))
def test_long_transfers_over_bad_paths_end(seed: int) -> None:
    draw = PathModel(seed, 1, PathTraits()).random
    traits = PathTraits(
        loss=draw.choice([0, 0.001, 0.02, 0.2]),
        ack_loss=draw.choice([0, 0.1]),
        reorder=draw.choice([0, 0.02, 0.3]),
        sack=draw.random() < 0.7,
        dsack=draw.random() < 0.8,
        timestamps=draw.random() < 0.7,
        algorithm=draw.choice(["cubic", "reno"]),
    )
    model = PathModel(seed, draw.choice([50, 500, 2000]), traits)
    model.run()
    assert model.received == model.total


EDGE = st.integers(0, 40).map(lambda half: half / 2)


@settings(max_examples=150, deadline=None)
@given(
    st.booleans(),
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.integers(1, 5)),
            st.tuples(st.just("ack"), st.integers(0, 4), st.lists(st.tuples(EDGE, EDGE), max_size=3), st.booleans()),
            st.tuples(st.just("timer")),
            st.tuples(st.just("mss"), st.sampled_from([300, 700, 1000])),
        ),
        max_size=40,
    ),
)
def test_no_sequence_of_acks_and_blocks_however_wild_breaks_the_accounts(sack: bool, steps: list[tuple]) -> None:
    """SACK blocks of half segments, blocks that lie, timeouts at any time, a path MTU that changes."""
    sender = Sender(cwnd=10, sack=sack, timestamps=True)
    at = 0.0
    for step in steps:
        at += 7
        if step[0] == "send":
            sender.send(step[1], at)
        elif step[0] == "ack":
            acked = min(sender.acked + step[1] / 2, sender.next)
            sender.ack(acked, *(step[2] if sack else ()), at=at, echo=max(at - 50, 0), ece=step[3])
        elif step[0] == "mss":
            sender.recovery.mss_changed(step[1], round(at * MS))
            sender.resend(at)
        elif sender.recovery.outstanding:
            at = max(at, sender.deadline)
            action = sender.timer(at)
            if action is TimerAction.PROBE:
                sender.recovery.retransmitted(sender.recovery.probe_segment(), round(at * MS))
            else:
                sender.resend(at)
        check_accounts(sender.recovery)
    sender.ack(sender.next, at=at + 1)
    assert sender.recovery.in_flight == 0
    assert sender.recovery.deadline_ns == NEVER


# -- plain traffic


def test_a_clean_transfer_in_slow_start_doubles_the_window_every_round_trip() -> None:
    sender = Sender(cwnd=10)
    for number in range(4):
        assert sender.fill(100 * number) == 10 * 2**number
        for _ in range(10 * 2**number):
            sender.ack(sender.acked + 1, at=100 * (number + 1))
    assert sender.cwnd == 160


def test_a_sender_that_does_not_use_its_window_does_not_get_a_larger_one() -> None:
    sender = Sender(cwnd=10, ssthresh=5)
    for number in range(50):
        sender.send(2, 100 * number)
        sender.ack(sender.next, at=100 * number + 100)
    assert sender.cwnd <= 10


def test_a_window_that_is_not_used_shrinks_towards_what_is_used() -> None:
    """RFC 2861, once per timeout: half way down to the larger of what was used and the initial window."""
    sender = Sender(cwnd=10, ssthresh=5)
    sender.congestion.cwnd = 100 * MSS
    for number in range(30):
        sender.send(20, 100 * number)
        sender.ack(sender.next, at=100 * number + 100)
    assert 20 <= sender.cwnd < 40
    assert sender.ssthresh >= 75


def test_after_an_idle_time_the_window_halves_for_every_timeout() -> None:
    """RFC 5681, 4.1 and Linux: down to the initial window; three quarters stay as threshold."""
    sender = Sender(cwnd=10)
    sender.congestion.cwnd = 160 * MSS
    sender.send(1, 0)
    sender.ack(1, at=100)
    window = sender.cwnd
    rto = sender.recovery.rto_ns / MS
    assert sender.recovery.room(round(0.9 * rto * MS)) == window * MSS
    assert sender.recovery.room(round(2.5 * rto * MS)) == pytest.approx(window * MSS / 4, rel=0.05)
    assert sender.recovery.room(round(100 * rto * MS)) == 10 * MSS
    assert sender.ssthresh > 10**6 or sender.ssthresh >= 0.75 * window


# -- fast retransmit


def test_without_sack_three_duplicate_acks_send_the_first_segment_again() -> None:
    sender = Sender(sack=False)
    sender.fill(0)
    assert [sender.ack(0, at=100), sender.ack(0, at=101), sender.ack(0, at=102)] == [[], [], [0]]
    assert sender.recovery.state_name == "Recovery"


def test_limited_transmit_sends_a_new_segment_for_each_of_the_first_two_duplicates() -> None:
    """RFC 3042: with and without SACK."""
    for sack in (True, False):
        sender = Sender(sack=sack)
        assert sender.fill(0) == 10
        for count in (1, 2):
            sender.ack(0, *(((1, 1 + count),) if sack else ()), at=100 + count)
            assert sender.fill(100 + count) == 1


def test_newreno_repairs_one_hole_per_round_trip() -> None:
    """RFC 6582: a partial ACK means that the next segment is lost too."""
    sender = Sender(sack=False)
    sender.fill(0)
    resent = [sender.ack(0, at=100 + arrived) for arrived in (1, 2, 3, 5, 6, 7, 8, 9)]
    assert functools.reduce(operator.iadd, resent, []) == [0]
    assert sender.ack(4, at=202) == [4]
    assert sender.recovery.state_name == "Recovery"
    sender.ack(10, at=302)
    sender.send(1, 302)
    sender.ack(11, at=402)
    assert sender.recovery.state_name == "Open"
    assert sender.recovery.counters.fast_retransmits == 2


def test_newreno_does_not_start_again_for_its_own_duplicates() -> None:
    """RFC 6582, 'Avoiding multiple fast retransmits': the state is held until more than the recovery point is acked."""
    sender = Sender(sack=False)
    sender.fill(0)
    for at in (100, 101, 102):
        sender.ack(0, at=at)
    sender.send(3, 150)
    sender.ack(10, at=202)
    for at in (203, 204, 205, 206):
        assert sender.ack(10, at=at) == []
    assert sender.recovery.counters.recoveries == 1


def test_several_holes_are_filled_as_the_window_allows() -> None:
    sender = Sender(cwnd=20)
    sender.fill(0)
    lost = {0, 3, 6, 9}
    resent: list[int] = []
    blocks: list[tuple[int, int]] = []
    for index in range(20):
        if index in lost:
            continue
        if blocks and blocks[0][1] == index:
            blocks[0] = (blocks[0][0], index + 1)
        else:
            blocks.insert(0, (index, index + 1))
        resent += sender.ack(0, *blocks[:3], at=100 + index / 10)
    assert resent == [0, 3, 6, 9]
    assert sender.in_flight == 4


def test_a_recovery_ends_at_the_threshold() -> None:
    sender = Sender(cwnd=20)
    sender.fill(0)
    for last in range(2, 21):
        sender.ack(0, (1, last), at=100 + last / 10)
        sender.fill(100 + last / 10)
    sender.ack(22, at=202)
    assert (sender.cwnd, sender.recovery.state_name) == (10, "Open"), (
        "two left before the recovery, by limited transmit"
    )
    assert sender.in_flight + sender.fill(202) == 10


def test_an_ack_during_recovery_that_shows_another_loss_adds_it() -> None:
    sender = Sender(cwnd=20)
    sender.fill(0)
    assert sender.ack(0, (1, 4), at=100) == [0]
    sender.ack(0, (1, 4), (5, 12), at=101)
    assert [segment.lost for segment in sender.recovery.queued()[:5]] == [True, False, False, False, True]
    assert sender.recovery.counters.recoveries == 1


# -- timeouts


def test_the_timeout_doubles_up_to_two_minutes() -> None:
    sender = Sender(rtt=100, tail_loss_probe=False)
    sender.send(1, 0)
    at, gaps = 0.0, []
    for _ in range(12):
        gaps.append(sender.deadline - at)
        at = sender.deadline
        assert sender.timer(at) is TimerAction.RETRANSMIT
        assert sender.resend(at) == [0]
    assert gaps[:9] == [300 * 2**n for n in range(9)]
    assert gaps[9:] == [120_000] * 3


def test_a_silent_peer_is_given_up_after_the_time_of_fifteen_timeouts() -> None:
    """Linux tcp_retries2: 924.6 s after the first retransmission, whatever the timeout of this path."""
    sender = Sender(rtt=100, tail_loss_probe=False)
    sender.send(1, 0)
    first = None
    while (action := sender.timer(at := sender.deadline)) is not TimerAction.GIVE_UP:
        assert action is TimerAction.RETRANSMIT
        sender.resend(at)
        first = at if first is None else first
        last = at
    assert first is not None
    assert last - first < 924_600 <= at - first


def test_a_user_timeout_gives_up_earlier() -> None:
    sender = Sender(rtt=100, tail_loss_probe=False)
    sender.recovery.user_timeout_ns = 5000 * MS
    sender.send(1, 0)
    while sender.timer(at := sender.deadline) is not TimerAction.GIVE_UP:
        sender.resend(at)
    assert 5000 <= at < 12_000


def test_the_backoff_ends_with_the_first_measurement() -> None:
    """Karn: an ACK for a retransmission measures nothing without timestamps; the next one for new data does."""
    sender = Sender(rtt=100, tail_loss_probe=False, frto=False)
    sender.send(1, 0)
    for _ in range(3):
        at = sender.deadline
        sender.timer(at)
        sender.resend(at)
    sender.ack(1, at=at + 100)
    assert sender.recovery.rto_ns == 2400 * MS
    sender.send(1, at + 100)
    sender.ack(2, at=at + 200)
    assert sender.recovery.rto_ns <= 300 * MS


def test_a_timestamp_measures_a_retransmission_too() -> None:
    sender = Sender(rtt=100, tail_loss_probe=False, frto=False, timestamps=True)
    sender.send(1, 0)
    sender.timer(300)
    sender.resend(300)
    sender.ack(1, at=400, echo=300)
    assert sender.recovery.rto_ns <= 300 * MS


def test_after_a_timeout_slow_start_sends_everything_again() -> None:
    sender = Sender(cwnd=16, tail_loss_probe=False, frto=False)
    sender.fill(0)
    sender.timer(300)
    resent = [sender.resend(300)]
    for number in range(1, 4):
        resent.append(sender.ack(sum(map(len, resent)), at=300 + 100 * number))
    assert [len(each) for each in resent] == [1, 2, 4, 8]
    assert sender.recovery.state_name == "Loss"


def test_a_peer_that_forgets_what_it_sacked_gets_it_again() -> None:
    """RFC 2018, section 8: at a timeout SACKs that contradict the acknowledgement are not believed any more."""
    sender = Sender(cwnd=10, tail_loss_probe=False)
    sender.fill(0)
    sender.ack(0, (1, 3), at=100)
    sender.ack(1, at=150)
    assert [segment.sacked for segment in sender.recovery.queued()[:2]] == [True, True]
    at = sender.deadline
    while sender.timer(at) is TimerAction.NOTHING or sender.recovery.state_name != "Loss":
        at = sender.deadline
    assert not any(segment.sacked for segment in sender.recovery.queued())
    assert sender.resend(at) == [1]


# -- ECN and MTU


def test_a_congestion_echo_halves_the_window_once_per_round_trip() -> None:
    sender = Sender(cwnd=20)
    sender.fill(0)
    for index in range(1, 21):
        sender.ack(index, at=100 + index / 10, ece=True)
        sender.fill(100 + index / 10)
    assert sender.recovery.counters.congestion_echoes == 1
    assert sender.recovery.state_name == "CWR"
    assert sender.recovery.cwr_pending
    assert sender.in_flight == 10
    sender.ack(21, at=200)
    assert (sender.cwnd, sender.recovery.state_name) == (10, "Open")
    sender.fill(200)
    sender.ack(22, at=201, ece=True)
    assert sender.recovery.counters.congestion_echoes == 2


def test_a_smaller_path_mtu_cuts_what_is_too_long_and_sends_it_again() -> None:
    sender = Sender(cwnd=10)
    sender.send(3, 0)
    sender.recovery.mss_changed(400, 50 * MS)
    sizes = []
    while (segment := sender.recovery.next_retransmission(50 * MS)) is not None:
        sender.recovery.retransmitted(segment, 50 * MS)
        sizes.append(len(segment.payload))
    assert sizes == [400, 400, 200] * 3
    assert sender.recovery.cwnd == 10 * 400
    assert b"".join(segment.payload for segment in sender.recovery.queued()) == bytes(3 * MSS)


def test_a_fin_counts_as_one_and_is_kept_by_the_last_piece() -> None:
    sender = Sender()
    sender.recovery.sent(sender.seq(0), bytes(MSS), True, 0)
    assert sender.recovery.in_flight == MSS + 1
    sender.recovery.mss_changed(600, MS)
    assert [(len(each.payload), each.is_fin, each.length) for each in sender.recovery.queued()] == [
        (600, False, 600),
        (400, True, 401),
    ]


# -- cost


@pytest.mark.slow
def test_ten_thousand_segments_with_one_percent_lost_cost_no_more_per_ack_than_one_thousand() -> None:
    def cost(window: int) -> float:
        sender = Sender(cwnd=window)
        sender.fill(0)
        lost = set(range(50, window, 100))
        blocks: list[tuple[int, int]] = []
        began = time.process_time()
        for index in range(50, window):
            if index not in lost:
                if blocks and blocks[0][1] == index:
                    blocks[0] = (blocks[0][0], index + 1)
                else:
                    blocks.insert(0, (index, index + 1))
                sender.ack(50, *blocks[:3], at=100 + index / 1000)
        spent = time.process_time() - began
        check_accounts(sender.recovery)
        return spent / window

    small = min(cost(1000) for _ in range(3))
    assert cost(10_000) < 3 * small
