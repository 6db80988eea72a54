"""What a window reduction changed, and the evidence that it was not deserved (RFC 3522 Eifel, RFC 3708 D-SACK)."""

from __future__ import annotations

TIMESTAMP_TICK_NS = 1_000_000


class Undo:
    """The state before a reduction and what was retransmitted since.

    marker: offset of the oldest unacknowledged byte when the recovery began; -1 when there is nothing to undo.
    retransmissions: how many are not yet reported as unnecessary; -1 before the first. prior_cwnd, prior_ssthresh: the
    window and threshold before; prior_ssthresh 0 if they must not come back (ECN). first_ns: when the first
    retransmission of this episode left; -1 for none.
    """

    __slots__ = ("first_ns", "marker", "prior_cwnd", "prior_ssthresh", "retransmissions")

    def __init__(self) -> None:
        self.marker = self.retransmissions = self.first_ns = -1
        self.prior_cwnd = self.prior_ssthresh = 0

    def begin(self, una: int) -> None:
        """A recovery begins; nothing of it has been retransmitted yet."""
        self.marker = una
        self.retransmissions = -1

    def retransmitted(self, now_ns: int) -> None:
        """A segment was retransmitted."""
        if self.first_ns < 0:
            self.first_ns = now_ns
        self.retransmissions = max(self.retransmissions, 0) + 1

    def duplicate_reported(self, end: int, segments: int) -> None:
        """The peer got `segments` segments that end at offset `end` twice."""
        if self.marker >= 0 and self.retransmissions > 0 and end > self.marker:
            self.retransmissions = max(0, self.retransmissions - segments)

    def original_echoed(self, ts_ecr_age_ns: int | None, now_ns: int) -> bool:
        """The timestamp that the ACK echoes is older than the first retransmission: the original arrived (Eifel).

        Clock ticks of 1 ms are compared, as on the wire.
        """
        if ts_ecr_age_ns is None or self.first_ns < 0:
            return False
        tick = TIMESTAMP_TICK_NS
        return now_ns // tick - ts_ecr_age_ns // tick < self.first_ns // tick

    @property
    def all_reported(self) -> bool:
        """Every retransmission of the recovery was reported as unnecessary."""
        return self.marker >= 0 and self.retransmissions == 0
