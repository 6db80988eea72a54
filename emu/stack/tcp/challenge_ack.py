"""How often a connection answers segments that cannot be true (RFC 5961; Linux's tcp_invalid_ratelimit)."""

from __future__ import annotations


class ChallengeAcks:
    """Lets one answer through per interval.

    interval_ns: half a second on Linux.
    """

    __slots__ = ("_interval_ns", "_last_ns")

    def __init__(self, interval_ns: int) -> None:
        self._interval_ns = interval_ns
        self._last_ns = -interval_ns

    def allows(self, now_ns: int) -> bool:
        """Tell whether an answer may be sent now, and take note of it."""
        if now_ns - self._last_ns < self._interval_ns:
            return False
        self._last_ns = now_ns
        return True
