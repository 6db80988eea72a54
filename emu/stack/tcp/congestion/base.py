"""What every congestion control has: the window, the slow start threshold, and the events that change them."""

from __future__ import annotations

INFINITE_SSTHRESH = 1 << 40


class CongestionControl:
    """The congestion window of one connection, in bytes.

    cwnd: how much may be in the network. ssthresh: below it the window grows by what is acknowledged (slow start).
    mss: bytes of payload in a full segment. initial_window: bytes that may be sent at first.
    Recovery algorithms set `cwnd` themselves while they are at work (PRR, timeouts); this decides how the window grows
    and what is left of it after a loss.
    Limits: Linux counts whole packets, so a connection of many small segments has less in the network there.
    """

    __slots__ = ("cwnd", "initial_window", "mss", "ssthresh")
    name = ""

    def __init__(self, mss: int, initial_window: int) -> None:
        self.mss = mss
        self.cwnd = self.initial_window = initial_window * mss
        self.ssthresh = INFINITE_SSTHRESH

    def acked(self, delivered: int, rtt_ns: int, una: int, nxt: int, now_ns: int) -> None:
        """Grows the window for acknowledged data; called only while the window is what limits the sender.

        delivered: bytes newly acknowledged. rtt_ns: their round-trip time, -1 if unknown. una, nxt: the offsets of the
        oldest unacknowledged and the next new byte.
        """
        raise NotImplementedError

    def reduce(self, now_ns: int) -> int:
        """Notes a congestion event (loss or ECN) and returns the new slow start threshold in bytes."""
        raise NotImplementedError

    def timed_out(self) -> None:
        """Forgets what was learned about the path: everything in flight was lost."""

    def idle(self, idle_ns: int) -> None:
        """Notes that nothing was sent for a while before the segment that leaves now."""

    def undo(self, prior_cwnd: int) -> None:
        """Takes back a reduction that was not deserved; `prior_cwnd`: the window before it."""
        self.cwnd = max(self.cwnd, prior_cwnd)

    def mss_changed(self, mss: int) -> None:
        """The path carries segments of another size from now on: the window keeps its number of segments."""
        self.cwnd = max(self.cwnd // self.mss, 1) * mss
        if self.ssthresh < INFINITE_SSTHRESH:
            self.ssthresh = max(self.ssthresh // self.mss, 2) * mss
        self.initial_window = self.initial_window // self.mss * mss
        self.mss = mss

    def whole_segments(self, window: int) -> int:
        """A window rounded down to whole segments, at least two."""
        return max(window // self.mss, 2) * self.mss
