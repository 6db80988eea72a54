"""Reno: slow start and additive increase, halving on loss (RFC 5681)."""

from __future__ import annotations

from emu.stack.tcp.congestion.base import CongestionControl


class Reno(CongestionControl):
    """TCP Reno's window.

    Slow start adds what is acknowledged (Linux: no limit per ACK); congestion avoidance adds one segment for every
    window acknowledged (RFC 3465, appropriate byte counting); a loss halves the window, rounded down to whole segments,
    at least two.
    """

    __slots__ = ("_credit",)
    name = "reno"

    def __init__(self, mss: int, initial_window: int) -> None:
        super().__init__(mss, initial_window)
        self._credit = 0

    def acked(self, delivered: int, rtt_ns: int, una: int, nxt: int, now_ns: int) -> None:
        """Grows the window by `delivered` bytes in slow start, by one segment per window after it."""
        cwnd = self.cwnd
        if cwnd < self.ssthresh:
            self.cwnd = min(cwnd + delivered, self.ssthresh)
            delivered -= self.cwnd - cwnd
            if not delivered:
                return
            cwnd = self.cwnd
        credit = self._credit + delivered
        while credit >= cwnd:
            credit -= cwnd
            cwnd += self.mss
        self._credit = credit
        self.cwnd = cwnd

    def reduce(self, now_ns: int) -> int:
        """Half the window."""
        self._credit = 0
        return self.whole_segments(self.cwnd // 2)
