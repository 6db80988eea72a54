"""Loss recovery of one connection: what to send again and when, and how much new data the network takes.

The states and their order are Linux's (tcp_ack, tcp_fastretrans_alert, tcp_process_loss); the algorithms are RACK-TLP
(RFC 8985), SACK (RFC 2018, 6675) or NewReno without it (RFC 6582), limited transmit (RFC 3042: what arrives out of
order makes room for new data), PRR (RFC 6937bis), F-RTO (RFC 5682), and undo by D-SACK and timestamps (RFC 3708, 3522).
"""

from __future__ import annotations

from emu.kernel.jiffies import JIFFY_NS, wheel_expiry_ns
from emu.stack.tcp.ack_judge import AckJudge, SackBlocks
from emu.stack.tcp.recovery_core import CWR, LOSS, NEVER, RECOVERY, RecoveryCounters, TimerAction
from emu.stack.tcp.sent_segment import EVER_RETRANSMITTED, SentSegment

_TIMEOUT, _REORDER, _PROBE = range(3)


class LossRecovery(AckJudge):
    """What a connection tells about sent and acknowledged data, and asks about what it may send.

    iss: initial sequence number; the first byte of data is one after it. mss: payload bytes of a full segment.
    sack, timestamps: whether the handshake agreed on them. rtt: the estimator, with the sample of the handshake.
    deadline_ns: when `timer` is to be called (NEVER if nothing is outstanding). cwr_pending: the next new segment
    carries CWR (only of interest with ECN). unsent: a function that says whether there is new data that the peer's
    window allows. user_timeout_ns: replaces the time after which the connection is given up; 0 for none.
    """

    __slots__ = ()

    # -- reports

    def sent(self, seq: int, payload: bytes, is_fin: bool, now_ns: int) -> SentSegment:
        """Notes that new data left; it is in the queue until it is acknowledged."""
        board = self._board
        length = len(payload) + is_fin
        nxt = board.nxt + length
        segment = SentSegment(seq, payload, is_fin, length, nxt, now_ns)
        queue = board.queue
        queue.append(segment)
        board.nxt = nxt
        board.in_flight += length
        count = len(queue) - board.head
        if count == 1:
            self._rto_deadline_ns = now_ns + self.rto_ns
        self._armed_ns = now_ns
        if self._watching:
            self._sent_watched(segment, now_ns)
        deadline_ns = self._rto_deadline_ns
        if self._may_probe:
            probe_ns = now_ns + self._probe_timeout_ns(count)
            if probe_ns < deadline_ns:
                deadline_ns = probe_ns
        if self._reorder_deadline_ns < deadline_ns:
            deadline_ns = self._reorder_deadline_ns
        self.deadline_ns = deadline_ns
        return segment

    def _sent_watched(self, segment: SentSegment, now_ns: int) -> None:
        """Counts what leaves during a reduction, and the probe."""
        self._prr.out += segment.length
        if self._probing:
            self._probe_left(segment, now_ns)

    def retransmitted(self, segment: SentSegment, now_ns: int) -> None:
        """Notes that a segment left again."""
        board = self._board
        board.retransmitted(segment, now_ns)
        self.counters.retransmissions += 1
        if self._probing:
            self._probe_left(segment, now_ns)
            return
        self._undo.retransmitted(now_ns)
        self._prr.out += segment.length
        if self.state == RECOVERY:
            self.counters.fast_retransmits += 1
        if segment is board.queue[board.head]:
            self._rto_deadline_ns = now_ns + self.rto_ns
        self._arm(now_ns)

    def _probe_left(self, segment: SentSegment, now_ns: int) -> None:
        """The segment that just left was the loss probe: the timeout starts anew."""
        self._probing = False
        self._probe.sent(self._board.nxt, segment.marks & EVER_RETRANSMITTED != 0)
        self.counters.tail_loss_probes += 1
        self._rto_deadline_ns = now_ns + self.rto_ns
        self._settle()
        self._arm(now_ns)

    def app_limited(self) -> None:
        """Nothing more to send although the window allows: retransmissions need not wait for it."""
        self._frto.sending_new = False

    def mss_changed(self, mss: int, now_ns: int) -> None:
        """The path takes smaller segments: what is too long is cut and sent again, the window stays."""
        board = self._board
        self._congestion.mss_changed(mss)
        self.mss = mss
        found = False
        index = board.head
        while index < len(board.queue):
            segment = board.queue[index]
            if segment.length > mss and not segment.sacked:
                board.mark_lost(segment)
                if segment.length - segment.is_fin > mss:
                    board.split(index, mss)
                found = True
            index += 1
        if found and self.state != LOSS:
            board.recovery_end = board.nxt
            self._congestion.ssthresh = self._current_ssthresh()
            self._undo.marker = -1
            self._undo.prior_ssthresh = 0
            self._prr.active = False
            self._set_state(LOSS)
        self._settle()

    def mss_grew(self, mss: int) -> None:
        """Full segments are larger from now on; what is on its way stays as it is."""
        self._congestion.mss_changed(mss)
        self.mss = mss

    # -- questions

    def room(self, now_ns: int) -> int:
        """How many bytes of new data may leave now, as far as the network is concerned."""
        board = self._board
        if board.head == len(board.queue) and self._last_sent_ns >= 0:
            self._after_idle(now_ns)
        room = self._congestion.cwnd - board.in_flight + self._reno_sacked * self.mss
        return room if room > 0 else 0

    def next_retransmission(self, now_ns: int) -> SentSegment | None:
        """The next lost segment that the window lets out now."""
        board = self._board
        if not board.lost_segments or self._frto.sending_new:
            return None
        segment = board.next_lost()
        in_flight = self.in_flight
        if segment is None or (in_flight and in_flight + segment.length > self._congestion.cwnd):
            return None
        return segment

    def probe_segment(self) -> SentSegment:
        """What a loss probe repeats when there is no new data: the last segment."""
        return self._board.queue[-1]

    def queued(self) -> list[SentSegment]:
        """What is sent and not acknowledged, in stream order."""
        return self._board.unacknowledged()

    def _after_idle(self, now_ns: int) -> None:
        """Nothing was in flight for a while: the window shrinks by half per timeout (RFC 2861, 5681 section 4.1)."""
        idle_ns = now_ns - self._last_sent_ns
        rto_ns = self.rto_ns
        congestion = self._congestion
        if idle_ns <= rto_ns or not self._settings.slow_start_after_idle:
            return
        self._last_sent_ns = now_ns
        congestion.ssthresh = self._current_ssthresh()
        least = min(congestion.initial_window, congestion.cwnd)
        cwnd = congestion.cwnd
        idle = idle_ns - rto_ns
        while idle > 0 and cwnd > least:
            cwnd >>= 1
            idle -= rto_ns
        congestion.cwnd = max(cwnd // self.mss * self.mss, least)
        congestion.idle(idle_ns)
        self._used = 0
        self._used_since_ns = now_ns

    # -- acknowledgements

    def ack(
        self,
        snd_una_new: int,
        sack_blocks: SackBlocks,
        ts_ecr_age_ns: int | None,
        ece: bool,
        is_duplicate: bool,
        now_ns: int,
    ) -> None:
        """Takes an acceptable ACK, new or duplicate.

        snd_una_new: its acknowledgement number. sack_blocks: pairs of sequence numbers, as on the wire.
        ts_ecr_age_ns: how long ago the timestamp it echoes was sent. ece: the peer echoes congestion.
        is_duplicate: RFC 5681's definition: no data, same window, same number, data outstanding.
        """
        board = self._board
        advance = (snd_una_new - board.una_seq) & 0xFFFFFFFF
        if sack_blocks or ece or not self._plain:
            self._ack_with_care(advance, sack_blocks, ts_ecr_age_ns, ece, is_duplicate, now_ns)
            return
        if not advance:
            if is_duplicate:
                self._ack_with_care(0, (), ts_ecr_age_ns, False, True, now_ns)
            return
        queue = board.queue
        index = board.head
        count = len(queue)
        assert index < count, "an acknowledgement of what was not sent"
        una = board.una + advance
        oldest_ns = newest_ns = queue[index].sent_ns
        end = -1
        while index < count:
            segment = queue[index]
            if segment.end > una:
                break
            end = segment.end
            newest_ns = segment.sent_ns
            index += 1
        if end != una:
            self._ack_with_care(advance, (), ts_ecr_age_ns, False, False, now_ns)
            return
        self._retransmits = self._backoff = 0
        flight = board.in_flight
        board.in_flight = flight - advance
        board.una = una
        board.una_seq = snd_una_new
        board.newest_ns = newest_ns
        board.newest_end = una
        board.newest_rtt_ns = rtt_ns = now_ns - newest_ns
        board.head = index
        rtt = self._rtt
        rtt.sample(now_ns - oldest_ns, una, board.nxt)
        if rtt_ns < rtt.min_rtt_ns or now_ns > rtt.min_rtt_expires_ns:
            rtt.shortest(rtt_ns, now_ns)
        congestion = self._congestion
        if flight + self.mss > congestion.cwnd:
            self._limited_until = board.nxt
            self._used_since_ns = now_ns
            congestion.acked(advance, rtt_ns, una, board.nxt, now_ns)
        else:
            self._grow(flight, advance, rtt_ns, una - advance, now_ns)
        if index > 64 or index == count:
            board.forget_acknowledged()
        self._armed_ns = now_ns
        if index == count:
            self._last_sent_ns = newest_ns
            self.deadline_ns = self._rto_deadline_ns = NEVER
            return
        self._rto_deadline_ns = deadline_ns = now_ns + rtt.rto_ns
        if self._may_probe:
            probe_ns = now_ns + self._probe_timeout_ns(count - index)
            if probe_ns < deadline_ns:
                deadline_ns = probe_ns
        self.deadline_ns = deadline_ns

    def _grow(self, flight: int, delivered: int, rtt_ns: int, una_before: int, now_ns: int) -> None:
        """Grows the window if it is what limits the sender; shrinks it slowly while it is not (RFC 2861)."""
        congestion = self._congestion
        cwnd = congestion.cwnd
        board = self._board
        if flight + self.mss > cwnd:
            self._limited_until = board.nxt
            self._used_since_ns = now_ns
        elif una_before >= self._limited_until and not (cwnd < congestion.ssthresh and cwnd < 2 * flight):
            self._used = max(self._used, flight)
            if now_ns - self._used_since_ns >= self.rto_ns and self._settings.slow_start_after_idle:
                used = max(self._used, congestion.initial_window)
                if used < cwnd:
                    congestion.ssthresh = self._current_ssthresh()
                    congestion.cwnd = (cwnd + used) >> 1
                self._used = 0
                self._used_since_ns = now_ns
            return
        congestion.acked(delivered, rtt_ns, board.una, board.nxt, now_ns)

    def _ack_with_care(
        self, advance: int, sack_blocks: SackBlocks, age_ns: int | None, ece: bool, is_duplicate: bool, now_ns: int
    ) -> None:
        """Takes an ACK when something is, or may be, out of the ordinary."""
        board, facts = self._board, self._facts
        facts.clear()
        flight, una_before, losses = self.in_flight, board.una, board.losses
        una = una_before + advance
        assert una <= board.nxt, "an acknowledgement of what was not sent"
        nothing = board.head == len(board.queue)
        if advance:
            self._retransmits = 0
            self._last_sent_ns = max(self._last_sent_ns, board.queue[-1].sent_ns)
        min_rtt_ns = self._rtt.min_rtt_ns
        if sack_blocks:
            self._take_blocks(sack_blocks, una, min_rtt_ns, now_ns)
        if advance:
            board.acknowledge(una, facts, min_rtt_ns, now_ns)
        if nothing and not facts.duplicate_block:
            return
        rtt_ns = self._sample(facts, age_ns, now_ns)
        if facts.hole_filled >= 0:
            self._saw_reordering(facts.hole_filled)
        if self._probe.end >= 0 and self._probe.acked(una, facts, is_duplicate):
            self._probe_repaired(now_ns)
        self._count_duplicates(facts, is_duplicate)
        self._judge(flight, una_before, age_ns, ece, is_duplicate and not facts.sacked, now_ns)
        if advance or (board.head < len(board.queue) and 0 <= facts.sacked_oldest_ns < board.queue[board.head].sent_ns):
            self._rto_deadline_ns = now_ns + self.rto_ns
        if self._prr.active:
            if facts.delivered and self._settings.prr:
                safe = facts.advanced > 0 and board.losses == losses
                self._congestion.cwnd = self._prr.window(
                    self.in_flight, self._congestion.ssthresh, facts.delivered, safe, self.mss
                )
        elif advance:
            self._grow(flight, facts.delivered, rtt_ns, una_before, now_ns)
        self._settle()
        if advance or facts.sacked or self._reorder_deadline_ns < NEVER:
            self._arm(now_ns)

    def _probe_repaired(self, now_ns: int) -> None:
        """A loss probe filled a hole: the loss still counts as congestion (RFC 8985, 7.4)."""
        self.counters.probes_repaired += 1
        self._begin_reduction(self.in_flight, now_ns)
        self.state = CWR
        self._end_reduction()
        self._keep_open()

    # -- timers

    def timer(self, now_ns: int) -> TimerAction:
        """What is to be done now that `deadline_ns` has come.

        While a probe may be sent, it takes the place of the timeout, which starts anew after it (FACT 43: 205 ms, then
        208 ms). With the kernel's clock (4 ms) the deadline is first rounded up as Linux's timer wheel would, then
        `deadline_ns` is later and there is nothing to do yet.
        """
        deadline_ns = self.deadline_ns
        if now_ns < deadline_ns:
            return TimerAction.NOTHING
        if deadline_ns == self._rounded_ns:
            kind = self._wait_kind
        else:
            if self._reorder_deadline_ns <= deadline_ns:
                kind = _REORDER
            else:
                kind = _PROBE if self._may_probe else _TIMEOUT
            if self._granularity_ns == JIFFY_NS:
                exact_ns = wheel_expiry_ns(self._armed_ns, max(deadline_ns - self._armed_ns, 0))
                if exact_ns > now_ns:
                    self.deadline_ns = self._rounded_ns = exact_ns
                    self._wait_kind = kind
                    return TimerAction.NOTHING
        self._rounded_ns = -1
        if kind == _TIMEOUT:
            return self._timed_out(now_ns)
        if kind == _REORDER:
            return self._reordering_waited(now_ns)
        self._probing = self._watching = True
        self._may_probe = self._plain = False
        self._arm(now_ns)
        return TimerAction.PROBE

    def _timed_out(self, now_ns: int) -> TimerAction:
        """The retransmission timeout: everything is lost, the first segment goes out again, the timeout doubles."""
        if self._retransmits and now_ns - self._undo.first_ns >= self._patience_ns():
            return TimerAction.GIVE_UP
        self._enter_loss(now_ns)
        self.counters.timeouts += 1
        self._retransmits += 1
        if self.rto_ns < self._settings.rto_max_ns:
            self._backoff += 1
        self._rto_deadline_ns = now_ns + self.rto_ns
        self._reorder_deadline_ns = NEVER
        self._arm(now_ns)
        return TimerAction.RETRANSMIT

    def _patience_ns(self) -> int:
        """How long after the first retransmission a silent peer is given up (Linux tcp_retransmits_timed_out())."""
        if self.user_timeout_ns:
            return self.user_timeout_ns
        settings = self._settings
        base_ns, most_ns, retries = settings.rto_min_ns, settings.rto_max_ns, settings.retries2
        doublings = (most_ns // base_ns).bit_length() - 1
        if retries <= doublings:
            return ((2 << retries) - 1) * base_ns
        return ((2 << doublings) - 1) * base_ns + (retries - doublings) * most_ns

    def _reordering_waited(self, now_ns: int) -> TimerAction:
        """The reordering window of a segment is over: it is lost."""
        flight = self.in_flight
        losses = self._board.losses
        self._detect(now_ns)
        lost = self._board.losses > losses
        if lost and self.state != RECOVERY:
            self._enter_recovery(flight, False, now_ns)
            self._congestion.cwnd = self._prr.window(self.in_flight, self.ssthresh, self.mss, False, self.mss)
        self._settle()
        self._arm(now_ns)
        return TimerAction.RETRANSMIT if lost else TimerAction.NOTHING


__all__ = ["NEVER", "LossRecovery", "RecoveryCounters", "TimerAction"]
