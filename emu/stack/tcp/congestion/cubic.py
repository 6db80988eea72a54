"""CUBIC: a window that follows a cubic of the time since the last loss (RFC 9438), with HyStart++ (RFC 9406)."""

from __future__ import annotations

from emu.stack.tcp.congestion.base import CongestionControl
from emu.stack.tcp.congestion.hystart import HyStart

NS_CUBED = 10**27
UPDATE_NS = 1_000_000_000 // 32


def cube_root(value: int) -> int:
    """The largest integer whose cube is not greater than `value` (>= 0); exact on every machine."""
    root: int = round(value ** (1 / 3))
    while root**3 > value:
        root -= 1
    while (root + 1) ** 3 <= value:
        root += 1
    return root


class Cubic(CongestionControl):
    """CUBIC's window.

    After a loss the window is 0.7 of what it was (beta), then W(t) = C (t - K)^3 + W_max with C = 0.4 segments/s^3 and
    K the time at which W reaches W_max, the window at the loss; never below what Reno would have reached (the
    Reno-friendly region: 9/17 of a segment per round trip up to the window before the loss, then one segment). Fast
    convergence: a loss below the last W_max lets go of 15 % more. It grows at most by half per round trip.
    W(t) is worked out anew when a window changes or after 1/32 s, as in Linux. Integers throughout; what was
    acknowledged at a slower pace counts for at most one segment at a faster one.
    """

    __slots__ = (
        "_before",
        "_credit",
        "_epoch_ns",
        "_est",
        "_est_credit",
        "_hystart",
        "_k_ns",
        "_last_cwnd",
        "_last_ns",
        "_origin",
        "_pace",
        "_prior",
        "_w_max",
    )
    name = "cubic"

    def __init__(self, mss: int, initial_window: int) -> None:
        super().__init__(mss, initial_window)
        self._hystart: HyStart | None = HyStart()
        self._w_max = self._prior = 0
        self._epoch_ns = -1
        self._k_ns = self._origin = self._est = self._est_credit = self._credit = 0
        self._last_cwnd = self._last_ns = -1
        self._pace = 0
        self._before = (0, 0, -1, 0, 0, 0)

    def acked(self, delivered: int, rtt_ns: int, una: int, nxt: int, now_ns: int) -> None:
        """Grows the window: by what is acknowledged in slow start, along the cubic after it."""
        cwnd = self.cwnd
        if cwnd < self.ssthresh:
            hystart = self._hystart
            if hystart is not None:
                self.cwnd = cwnd + hystart.growth(delivered, rtt_ns, una, nxt, self.mss)
                if hystart.done:
                    self._hystart = None
                    self.ssthresh = self.cwnd
                return
            self.cwnd = min(cwnd + delivered, self.ssthresh)
            delivered -= self.cwnd - cwnd
            if not delivered:
                return
            cwnd = self.cwnd
        if cwnd != self._last_cwnd or now_ns - self._last_ns > UPDATE_NS:
            self._follow(cwnd, max(rtt_ns, 0), now_ns)
        self._est_credit += delivered * (9 if self._est < self._prior else 17)
        if self._est_credit >= 17 * cwnd:
            self._est_credit -= 17 * cwnd
            self._est += self.mss
            self._last_cwnd = -1
        pace = self._pace
        credit = self._credit
        if credit >= pace:
            credit = 0
            cwnd += self.mss
        credit += delivered
        if credit >= pace:
            cwnd += credit // pace * self.mss
            credit %= pace
        self._credit = credit
        self.cwnd = cwnd

    def _follow(self, cwnd: int, rtt_ns: int, now_ns: int) -> None:
        """Works out how many bytes must be acknowledged for one more segment of window."""
        self._last_cwnd = cwnd
        self._last_ns = now_ns
        if self._epoch_ns < 0:
            self._begin_epoch(cwnd, now_ns)
        target = self.window_at(now_ns - self._epoch_ns + rtt_ns)
        if target < self._est:
            target = self._est
        target = min(target, cwnd + (cwnd >> 1))
        if target > cwnd:
            self._pace = max(cwnd * self.mss // (target - cwnd), 1)
        else:
            self._pace = 100 * cwnd

    def _begin_epoch(self, cwnd: int, now_ns: int) -> None:
        """Congestion avoidance begins: the cubic starts from the present window."""
        self._epoch_ns = now_ns
        self._est = cwnd
        self._est_credit = self._credit = 0
        if cwnd < self._w_max:
            self._k_ns = cube_root((self._w_max - cwnd) * 10 * NS_CUBED // (4 * self.mss))
            self._origin = self._w_max
        else:
            self._k_ns = 0
            self._origin = cwnd

    def window_at(self, elapsed_ns: int) -> int:
        """W(t) in bytes, `elapsed_ns` after congestion avoidance began."""
        return self._origin + 4 * self.mss * (elapsed_ns - self._k_ns) ** 3 // (10 * NS_CUBED)

    def reduce(self, now_ns: int) -> int:
        """Seven tenths of the window; remembers where the loss was."""
        cwnd = self.cwnd
        self._before = (self._w_max, self._prior, self._epoch_ns, self._k_ns, self._origin, self._est)
        self._w_max = cwnd * 17 // 20 if cwnd < self._w_max else cwnd
        self._prior = cwnd
        self._epoch_ns = self._last_cwnd = -1
        self._hystart = None
        return self.whole_segments(cwnd * 7 // 10)

    def timed_out(self) -> None:
        """The next congestion avoidance starts its cubic where it begins (RFC 9438, section 4.8)."""
        self._w_max = 0

    def idle(self, idle_ns: int) -> None:
        """Time without data does not count for the cubic."""
        if self._epoch_ns >= 0:
            self._epoch_ns += idle_ns

    def undo(self, prior_cwnd: int) -> None:
        """Takes back a reduction, with all that it changed (RFC 9438, section 4.9)."""
        super().undo(prior_cwnd)
        self._w_max, self._prior, self._epoch_ns, self._k_ns, self._origin, self._est = self._before
        self._last_cwnd = -1

    def mss_changed(self, mss: int) -> None:
        """The window keeps its number of segments; the cubic starts anew."""
        old = self.mss
        super().mss_changed(mss)
        self._w_max = self._w_max // old * mss
        self._prior = self._prior // old * mss
        self._epoch_ns = self._last_cwnd = -1
