"""The persist timer: asking a peer that closed its window whether it is open again (RFC 9293 3.8.6.1; FACT 44)."""

from __future__ import annotations

from emu.stack.tcp.timers import NEVER, expiry_ns


class Persist:
    """When to probe.

    deadline_ns: of the next probe. unanswered: probes since anything came back. since_ns: when the window closed.
    Source: Linux tcp_probe_timer(), tcp_send_probe0(): the first probe comes after the retransmission timeout, 200 ms
    at least, and each after twice the time, 120 s at most.
    """

    __slots__ = ("_backoff", "_granularity_ns", "_max_ns", "_min_ns", "deadline_ns", "since_ns", "unanswered")

    def __init__(self, min_ns: int, max_ns: int, granularity_ns: int) -> None:
        self._min_ns = min_ns
        self._max_ns = max_ns
        self._granularity_ns = granularity_ns
        self._backoff = 0
        self.deadline_ns = NEVER
        self.unanswered = 0
        self.since_ns = 0

    @property
    def active(self) -> bool:
        """Whether a probe is to come."""
        return self.deadline_ns != NEVER

    @property
    def probing(self) -> bool:
        """Whether a probe has been sent since the window closed."""
        return self._backoff > 0

    def start(self, now_ns: int, rto_ns: int) -> None:
        """Start waiting for the window to open."""
        self.since_ns = now_ns
        self.deadline_ns = self._expiry_ns(now_ns, rto_ns)

    def probed(self, now_ns: int, rto_ns: int) -> None:
        """Note that a probe left; the next one waits twice as long."""
        self.unanswered += 1
        self._backoff += 1
        self.deadline_ns = self._expiry_ns(now_ns, rto_ns)

    def answered(self, now_ns: int, rto_ns: int) -> None:
        """Note that the peer is alive, but its window still closed."""
        self.unanswered = 0
        self.deadline_ns = self._expiry_ns(now_ns, rto_ns)

    def stop(self) -> None:
        """Stop: the window is open, or there is nothing to send."""
        self._backoff = self.unanswered = 0
        self.deadline_ns = NEVER

    def _expiry_ns(self, now_ns: int, rto_ns: int) -> int:
        base_ns = rto_ns if rto_ns > self._min_ns else self._min_ns
        return expiry_ns(now_ns, min(base_ns << min(self._backoff, 10), self._max_ns), self._granularity_ns)
