"""HyStart++: leaving slow start when the round-trip time grows, before the queue overflows (RFC 9406)."""

from __future__ import annotations

MIN_RTT_THRESH_NS = 4_000_000
MAX_RTT_THRESH_NS = 16_000_000
MIN_RTT_DIVISOR = 8
SAMPLES = 8
GROWTH_DIVISOR = 4
ROUNDS = 5
LIMIT_SEGMENTS = 8
UNKNOWN_NS = 1 << 62


class HyStart:
    """The watch over one slow start.

    conservative: the round-trip time has grown; the window grows at a quarter of the pace (Conservative Slow Start)
    for five round trips. done: slow start is over. The constants are the RFC's: a growth of an eighth, at least 4 ms
    and at most 16 ms, seen in 8 samples of a round; at most 8 segments of growth per ACK.
    """

    __slots__ = ("_baseline_ns", "_current_ns", "_last_ns", "_round_end", "_rounds", "_samples", "conservative", "done")

    def __init__(self) -> None:
        self._round_end = 0
        self._last_ns = self._current_ns = self._baseline_ns = UNKNOWN_NS
        self._samples = 0
        self._rounds = 0
        self.conservative = False
        self.done = False

    def growth(self, delivered: int, rtt_ns: int, una: int, nxt: int, mss: int) -> int:
        """How many bytes the window grows for an ACK; sets `done` when slow start ends with it.

        delivered: bytes acknowledged. rtt_ns: the round-trip time it measured, -1 if none. una, nxt: offsets of the
        oldest unacknowledged and the next new byte: a round ends when what was next at its start is acknowledged.
        """
        if una >= self._round_end:
            self._begin_round(nxt)
        if rtt_ns >= 0:
            self._samples += 1
            if rtt_ns < self._current_ns:
                self._current_ns = rtt_ns
            if self._samples >= SAMPLES:
                self._judge()
        growth = min(delivered, LIMIT_SEGMENTS * mss)
        return growth // GROWTH_DIVISOR if self.conservative else growth

    def _begin_round(self, nxt: int) -> None:
        self._round_end = nxt
        self._last_ns = self._current_ns
        self._current_ns = UNKNOWN_NS
        self._samples = 0
        if self.conservative:
            self._rounds += 1
            self.done = self._rounds >= ROUNDS

    def _judge(self) -> None:
        """Compares this round's shortest time with the last one's, or with what began the conservative phase."""
        if self.conservative:
            if self._current_ns < self._baseline_ns:
                self._baseline_ns = UNKNOWN_NS
                self.conservative = False
        elif self._last_ns < UNKNOWN_NS:
            threshold = max(MIN_RTT_THRESH_NS, min(self._last_ns // MIN_RTT_DIVISOR, MAX_RTT_THRESH_NS))
            if self._current_ns >= self._last_ns + threshold:
                self._baseline_ns = self._current_ns
                self.conservative = True
                self._rounds = 0
