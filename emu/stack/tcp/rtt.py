"""The round-trip time estimator and the retransmission timeout it gives (RFC 6298 as Linux does it)."""

from __future__ import annotations

SECOND = 1_000_000_000
UNKNOWN_NS = 1 << 62
MIN_RTT_WINDOW_NS = 300 * SECOND


class RttEstimator:
    """Smoothed round-trip time, its variation, the shortest one seen, and the timeout that follows from them.

    rto_min_ns: 200 ms on Linux. It bounds the variation term, not the sum, so the timeout is never below
        srtt + 200 ms (FACT 43: 204 to 208 ms on a path of 50 us).
    rto_max_ns: 120 s. rto_initial_ns: the timeout before the first sample, 1 s.
    Source: RFC 6298; Linux tcp_rtt_estimator(): the variation falls at most once a round trip and by a quarter, and
    a sample far *below* the mean raises it by an eighth of what a sample above it does.
    Limits: the shortest time of the last 300 s is one value with an expiry, where Linux keeps the best three.
    """

    __slots__ = (
        "_mdev4",
        "_mdev_max4",
        "_round_end",
        "_rto_max_ns",
        "_rto_min_ns",
        "_srtt8",
        "_var4",
        "min_rtt_expires_ns",
        "min_rtt_ns",
        "rto_ns",
    )

    def __init__(
        self,
        rto_min_ns: int = SECOND // 5,
        rto_max_ns: int = 120 * SECOND,
        rto_initial_ns: int = SECOND,
    ) -> None:
        self._rto_min_ns = rto_min_ns
        self._rto_max_ns = rto_max_ns
        self._srtt8 = 0
        self._mdev4 = 0
        self._mdev_max4 = 0
        self._var4 = 0
        self._round_end = 0
        self.min_rtt_expires_ns = 0
        self.min_rtt_ns = UNKNOWN_NS
        self.rto_ns = rto_initial_ns

    @property
    def srtt_ns(self) -> int:
        """The smoothed round-trip time; 0 before the first sample."""
        return self._srtt8 >> 3

    @property
    def rttvar_ns(self) -> int:
        """The variation: a quarter of what is added to the smoothed time for the timeout."""
        return self._var4 >> 2

    @property
    def known(self) -> bool:
        """There has been a sample."""
        return self._srtt8 > 0

    def sample(self, rtt_ns: int, una: int = 0, nxt: int = 0) -> None:
        """Takes one measured round-trip time.

        una, nxt: what was the oldest unacknowledged and the next offset of the stream when it was measured: a round
            trip ends when `una` passes what `nxt` was at its start. Not needed for the sample of the handshake.
        """
        error = rtt_ns - (self._srtt8 >> 3)
        if self._srtt8:
            self._srtt8 += error
            if error < 0:
                error = -error - (self._mdev4 >> 2)
                if error > 0:
                    error >>= 3
            else:
                error -= self._mdev4 >> 2
            self._mdev4 = mdev4 = self._mdev4 + error
            if mdev4 > self._mdev_max4:
                self._mdev_max4 = mdev4
                if mdev4 > self._var4:
                    self._var4 = mdev4
            if una > self._round_end:
                if self._mdev_max4 < self._var4:
                    self._var4 -= (self._var4 - self._mdev_max4) >> 2
                self._round_end = nxt
                self._mdev_max4 = self._rto_min_ns
        else:
            self._srtt8 = max(rtt_ns, 1) << 3
            self._mdev4 = rtt_ns << 1
            self._var4 = self._mdev_max4 = max(self._mdev4, self._rto_min_ns)
            self._round_end = nxt
        rto = (self._srtt8 >> 3) + self._var4
        self.rto_ns = rto if rto < self._rto_max_ns else self._rto_max_ns

    def shortest(self, rtt_ns: int, now_ns: int) -> None:
        """Takes a measured time for the shortest one of the last 300 s."""
        if rtt_ns <= self.min_rtt_ns or now_ns > self.min_rtt_expires_ns:
            self.min_rtt_ns = rtt_ns
            self.min_rtt_expires_ns = now_ns + MIN_RTT_WINDOW_NS
