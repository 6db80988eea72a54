"""Proportional rate reduction: how the window shrinks to its new size during a recovery (RFC 6937bis, RFC 9937)."""

from __future__ import annotations


class ProportionalRateReduction:
    """Sends in proportion to what arrives, so that a recovery ends with the window at the slow start threshold.

    active: a recovery (or the answer to ECN) is under way. recover_fs: bytes in flight when it began. delivered: bytes
    that arrived since. out: bytes sent since.
    """

    __slots__ = ("active", "delivered", "out", "recover_fs")

    def __init__(self) -> None:
        self.active = False
        self.delivered = self.out = 0
        self.recover_fs = 1

    def begin(self, in_flight: int) -> None:
        """Starts with `in_flight` bytes in the network."""
        self.active = True
        self.delivered = self.out = 0
        self.recover_fs = max(in_flight, 1)

    def window(self, in_flight: int, ssthresh: int, delivered: int, safe: bool, mss: int) -> int:
        """The congestion window after an ACK that delivered something.

        safe: the ACK advanced and showed no further loss, so a little slow start is allowed below the threshold.
        """
        self.delivered += delivered
        if in_flight > ssthresh:
            allowed = -(-self.delivered * ssthresh // self.recover_fs) - self.out
        else:
            allowed = max(self.delivered - self.out, delivered)
            if safe:
                allowed += mss
            allowed = min(ssthresh - in_flight, allowed)
        if not self.out:
            allowed = max(allowed, mss)
        return in_flight + max(allowed, 0)
