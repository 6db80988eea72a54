"""What an ACK means: the order of questions that Linux asks about it (tcp_fastretrans_alert and what it calls)."""

from __future__ import annotations

from emu.stack.tcp.duplicate_threshold import mark_below_duplicates
from emu.stack.tcp.frto import Verdict
from emu.stack.tcp.recovery_core import (
    CWR,
    DISORDER,
    LOSS,
    NEVER,
    OPEN,
    RECOVERY,
    REORDERING_MAX,
    RecoveryCore,
)
from emu.stack.tcp.scoreboard import AckFacts
from emu.stack.tcp.sent_segment import EVER_RETRANSMITTED, LOST, RETRANSMITTED
from emu.stack.tcp.undo import TIMESTAMP_TICK_NS

SackBlocks = tuple[tuple[int, int], ...]


class AckJudge(RecoveryCore):
    """Takes in what ACKs report and moves between the states accordingly."""

    __slots__ = ()

    # -- what the ACK reports

    def _take_blocks(self, blocks: SackBlocks, una: int, min_rtt_ns: int, now_ns: int) -> None:
        """Takes the SACK blocks; the first is a D-SACK if it is acknowledged already or lies within the second."""
        board, facts = self._board, self._facts
        pairs = [(board.offset(start), board.offset(end)) for start, end in blocks]
        start, end = pairs[0]
        if start < end <= board.nxt and (
            start < una or (len(pairs) > 1 and pairs[1][0] <= start and end <= pairs[1][1])
        ):
            facts.duplicate_block = True
            self.counters.dsacks_received += 1
            self._undo.duplicate_reported(end, max(1, (end - start) // self.mss))
            if not (self._probe.retransmission and end == self._probe.end):
                self._rack.duplicate_reported(board)
            del pairs[0]
        pairs.sort()
        for start, end in pairs:
            board.sack(start, end, facts, min_rtt_ns, now_ns)

    def _sample(self, facts: AckFacts, age_ns: int | None, now_ns: int) -> int:
        """Measures the round trip; returns the one for congestion control, -1 if the ACK allows none (Karn)."""
        rtt = self._rtt
        if facts.oldest_ns >= 0 and not facts.retransmission_acked:
            measured, newest = now_ns - facts.oldest_ns, now_ns - facts.newest_ns
        elif facts.sacked_oldest_ns >= 0:
            measured = newest = now_ns - facts.sacked_oldest_ns
        elif facts.advanced and age_ns is not None:
            measured = newest = max(age_ns, TIMESTAMP_TICK_NS)
        else:
            return -1
        rtt.shortest(newest, now_ns)
        rtt.sample(measured, self._board.una, self._board.nxt)
        self._backoff = 0
        return newest

    def _saw_reordering(self, low: int) -> None:
        """Something at offset `low`, sent once, arrived after later data: allow for that distance from now on."""
        distance = self._board.highest_sacked - low
        if distance > 0:
            segments = min(-(-distance // self.mss), REORDERING_MAX)
            self._reordering = max(self._reordering, segments)
            self._rack.reordering_seen = True
            self.counters.reorderings += 1

    def _count_duplicates(self, facts: AckFacts, is_duplicate: bool) -> None:
        """Without SACK, every duplicate ACK stands for a segment that arrived (RFC 6582)."""
        if self._sack:
            return
        if facts.advanced:
            arrived = self._reno_sacked
            segments = -(-facts.advanced // self.mss)
            facts.delivered = max(facts.advanced - arrived * self.mss, self.mss)
            self._reno_sacked = max(0, arrived - (segments - 1)) if self.state >= RECOVERY else 0
        elif is_duplicate:
            room = len(self._board) - self._board.lost_segments - 1
            if self._reno_sacked < room:
                self._reno_sacked += 1
            facts.delivered = self.mss

    # -- what it means

    def _judge(self, flight: int, una_before: int, age_ns: int | None, ece: bool, duplicate: bool, now_ns: int) -> None:
        """Decides whether something is lost, was lost needlessly, or is repaired, and changes the state."""
        board, undo = self._board, self._undo
        if ece:
            undo.prior_ssthresh = 0
        if self.state == OPEN:
            undo.first_ns = -1
        elif board.una >= board.recovery_end and self._finish(age_ns, now_ns):
            return
        if self.state == RECOVERY:
            if not self._go_on_recovering(una_before, age_ns, ece, flight, now_ns):
                return
        elif self.state == LOSS:
            copies = board.retransmitted_segments
            rexmit = self._after_timeout(age_ns, duplicate, now_ns)
            self._detect(now_ns)
            if rexmit or not (self.state == OPEN or board.retransmitted_segments < copies):
                return
        if self.state != RECOVERY:
            self._look_for_loss(flight, ece, now_ns)

    def _look_for_loss(self, flight: int, ece: bool, now_ns: int) -> None:
        """Starts a recovery if something is lost."""
        if self.state <= DISORDER and self._undo.all_reported:
            self._undo_reported()
        self._detect(now_ns)
        if self._board.lost_segments:
            self._enter_recovery(flight, ece, now_ns)
        else:
            self._try_to_open(flight, ece, now_ns)

    def _finish(self, age_ns: int | None, now_ns: int) -> bool:
        """Everything sent before the recovery is acknowledged; says whether the state must be held a little longer."""
        board = self._board
        if self.state == CWR:
            if board.una > board.recovery_end:
                self._end_reduction()
                self._set_state(OPEN)
        elif self.state == RECOVERY:
            if not self._sack:
                self._reno_sacked = 0
            if self._recovered(age_ns, now_ns):
                return True
        return False

    def _recovered(self, age_ns: int | None, now_ns: int) -> bool:
        """Ends a recovery, undone if it was needless. True: without SACK it is held until more is acknowledged."""
        undo, board = self._undo, self._board
        if self._may_undo(age_ns, now_ns):
            self.counters.undone += 1
            self._undo_reduction(forgive=False)
        else:
            self._rack.recovered()
        if not self._sack and board.una == board.recovery_end:
            if not self._copies_out():
                undo.first_ns = -1
            return True
        self._end_reduction()
        self._set_state(OPEN)
        return False

    def _may_undo(self, age_ns: int | None, now_ns: int) -> bool:
        undo = self._undo
        return undo.marker >= 0 and (undo.retransmissions == 0 or undo.original_echoed(age_ns, now_ns))

    def _go_on_recovering(self, una_before: int, age_ns: int | None, ece: bool, flight: int, now_ns: int) -> bool:
        """One more ACK in fast recovery; says whether a new recovery may have to begin."""
        board, undo = self._board, self._undo
        if self._facts.advanced and undo.marker >= 0 and undo.original_echoed(age_ns, now_ns):
            self._saw_reordering(una_before)
            if board.retransmitted_segments:
                return False
            if not self._copies_out():
                undo.first_ns = -1
            self.counters.undone += 1
            self._undo_reduction(forgive=True)
            self._keep_open()
        if undo.all_reported:
            self._undo_reported()
            self._try_to_open(flight, ece, now_ns)
        self._detect(now_ns)
        return self.state != RECOVERY

    def _after_timeout(self, age_ns: int | None, duplicate: bool, now_ns: int) -> bool:
        """One more ACK after a timeout; says whether retransmissions wait for new data (F-RTO)."""
        board, facts = self._board, self._facts
        recovered = board.una >= board.recovery_end
        if facts.advanced and self._may_undo(age_ns, now_ns):
            self.counters.undone += 1
            self._undo_timeout()
            return False
        new_was_sent = board.nxt > board.recovery_end
        verdict = self._frto.acked(facts, duplicate, new_was_sent, recovered, self.unsent)
        if verdict is Verdict.SPURIOUS:
            self.counters.spurious_timeouts += 1
            self._undo_timeout()
            return False
        if verdict is Verdict.SEND_NEW:
            board.recovery_end = board.nxt
            return True
        if recovered:
            self._recovered(age_ns, now_ns)
        return False

    def _undo_timeout(self) -> None:
        self._undo_reduction(forgive=True)
        self._retransmits = 0
        self._frto.active = False
        if self._sack:
            self._set_state(OPEN)

    def _undo_reported(self) -> None:
        """The peer reported every retransmission as unnecessary."""
        rack = self._rack
        rack.persist = min(16, rack.persist + 1)
        self.counters.undone += 1
        self._undo_reduction(forgive=False)

    def _try_to_open(self, flight: int, ece: bool, now_ns: int) -> None:
        if not self._copies_out():
            self._undo.first_ns = -1
        if ece:
            self._enter_cwr(flight, now_ns)
        if self.state != CWR:
            self._keep_open()

    def _keep_open(self) -> None:
        """Open, or Disorder while something arrived out of order or may have been sent twice."""
        board = self._board
        unusual = board.sacked_segments or board.lost_segments or self._reno_sacked or self._copies_out()
        state = DISORDER if unusual else OPEN
        if state != self.state:
            board.recovery_end = board.nxt
            self._set_state(state)

    def _copies_out(self) -> bool:
        """A retransmission is in the network, or the first segment was sent twice."""
        board = self._board
        if board.retransmitted_segments:
            return True
        return board.head < len(board.queue) and board.queue[board.head].marks & EVER_RETRANSMITTED != 0

    # -- loss detection

    def _detect(self, now_ns: int) -> None:
        """Marks what is lost by now, and sets the reordering timer for what may be soon."""
        board = self._board
        self._reorder_deadline_ns = NEVER
        if not self._sack:
            self._detect_without_sack()
        elif self._settings.rack:
            window_ns = self._rack.window_ns(board, self._rtt, self.state >= RECOVERY, self._reordering)
            wait_ns = self._rack.detect(board, window_ns, now_ns)
            if wait_ns:
                self._reorder_deadline_ns = now_ns + wait_ns + 2 * self._granularity_ns
        elif board.sacked_segments >= self._reordering or self.state == RECOVERY:
            mark_below_duplicates(board, self._reordering)

    def _detect_without_sack(self) -> None:
        """NewReno: three duplicate ACKs, or a partial ACK in recovery, mean that the first segment is lost."""
        board = self._board
        if board.head == len(board.queue):
            return
        partial = self.state == RECOVERY and self._facts.advanced > 0
        if partial or (self.state < RECOVERY and self._reno_sacked >= self._reordering):
            first = board.queue[board.head]
            if not first.marks & (LOST | RETRANSMITTED):
                board.mark_lost(first)
