"""RACK: what was sent long enough before something that arrived is lost (RFC 8985, section 6)."""

from __future__ import annotations

from emu.stack.tcp.rtt import UNKNOWN_NS, RttEstimator
from emu.stack.tcp.scoreboard import STATE, Scoreboard
from emu.stack.tcp.sent_segment import EVER_RETRANSMITTED, LOST, SACKED, SentSegment

STEPS_MAX = 255
PERSIST_RECOVERIES = 16


class Rack:
    """Loss detection by time, and the reordering window it allows for.

    reordering_seen: segments have arrived out of order on this path. Until then the window is 0 in recovery and once
    `reordering` segments (three) are SACKed, so three duplicate ACKs start a recovery as ever.
    Otherwise it is a quarter of the shortest round-trip time, one more quarter after every round trip with a D-SACK (a
    retransmission was not needed), at most the smoothed round-trip time; 16 recoveries without one reset it.
    Source: RFC 8985, sections 6.2 and 7.2; Linux tcp_rack_reo_wnd() and tcp_rack_detect_loss().
    Limits: the timer is set for the first segment that waits, Linux sets it for the last: with timers of several
    milliseconds both fire once for a burst.
    """

    __slots__ = ("_cursor", "_round_end", "persist", "reordering_seen", "steps")

    def __init__(self) -> None:
        self.reordering_seen = False
        self.steps = 1
        self.persist = 0
        self._round_end = 0
        self._cursor = 0

    def window_ns(self, board: Scoreboard, rtt: RttEstimator, recovering: bool, reordering: int) -> int:
        """How much later than its time a segment may arrive before it is believed to be lost."""
        if not self.reordering_seen and (recovering or board.sacked_segments >= reordering):
            return 0
        shortest = rtt.min_rtt_ns
        if shortest == UNKNOWN_NS:
            return 0
        return min((shortest >> 2) * self.steps, rtt.srtt_ns)

    def duplicate_reported(self, board: Scoreboard) -> None:
        """A D-SACK came: the window grows, once a round trip."""
        if board.una >= self._round_end:
            self._round_end = board.nxt
            self.steps = min(STEPS_MAX, self.steps + 1)
            self.persist = PERSIST_RECOVERIES

    def recovered(self) -> None:
        """A recovery ended without a D-SACK."""
        if self.persist:
            self.persist -= 1
        if not self.persist:
            self.steps = 1

    def start_over(self, board: Scoreboard) -> None:
        """Looks at everything again: marks were taken off."""
        self._cursor = board.una

    def detect(self, board: Scoreboard, window_ns: int, now_ns: int) -> int:
        """Marks what is lost now; returns in how many ns the next segment will be, or 0 if none waits."""
        if board.newest_ns < 0:
            return 0
        patience_ns = board.newest_rtt_ns + window_ns
        first = self._scan_first(board, patience_ns, now_ns)
        again = self._scan_resent(board, patience_ns, now_ns)
        return min(first, again) if first and again else first or again

    def _scan_first(self, board: Scoreboard, patience_ns: int, now_ns: int) -> int:
        """Looks at the first transmissions, whose order in the stream is their order in time."""
        queue = board.queue
        index = board.index_after(max(self._cursor, board.una))
        while index < len(queue):
            segment = queue[index]
            marks = segment.marks
            if marks & SACKED:
                index = board.index_after(board.end_of_sacked_run(segment.end - 1))
                continue
            if not marks & (LOST | EVER_RETRANSMITTED):
                if not self._overtaken(board, segment):
                    break
                remaining = segment.sent_ns + patience_ns - now_ns
                if remaining > 0:
                    self._cursor = segment.end - segment.length
                    return remaining
                board.mark_lost(segment)
            index += 1
        self._cursor = queue[index - 1].end if index > board.head else board.una
        return 0

    def _scan_resent(self, board: Scoreboard, patience_ns: int, now_ns: int) -> int:
        """Looks at the retransmissions, in the order of time."""
        resent = board.resent
        while resent:
            sent_ns, segment = resent[0]
            if segment.end > board.una and segment.sent_ns == sent_ns and segment.marks & STATE not in (LOST, SACKED):
                if not self._overtaken(board, segment):
                    return 0
                remaining = sent_ns + patience_ns - now_ns
                if remaining > 0:
                    return remaining
                board.mark_lost(segment)
            resent.popleft()
        return 0

    @staticmethod
    def _overtaken(board: Scoreboard, segment: SentSegment) -> bool:
        """Something sent after the segment has arrived."""
        sent_ns = segment.sent_ns
        return sent_ns < board.newest_ns or (sent_ns == board.newest_ns and segment.end < board.newest_end)
