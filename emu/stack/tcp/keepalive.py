"""Keepalive: asking a silent peer whether it is still there (RFC 9293, section 3.8.4; tcp(7))."""

from __future__ import annotations

from emu.stack.tcp.timers import NEVER, expiry_ns


class Keepalive:
    """When to probe an idle connection, and when to give it up.

    idle_ns, interval_ns, count: TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT. deadline_ns: when to look next.
    """

    __slots__ = (
        "_granularity_ns",
        "_probes",
        "count",
        "deadline_ns",
        "enabled",
        "idle_ns",
        "interval_ns",
        "last_heard_ns",
    )

    def __init__(self, idle_ns: int, interval_ns: int, count: int, granularity_ns: int) -> None:
        self._granularity_ns = granularity_ns
        self.idle_ns = idle_ns
        self.interval_ns = interval_ns
        self.count = count
        self.enabled = False
        self.deadline_ns = NEVER
        self.last_heard_ns = 0
        self._probes = 0

    def start(self, now_ns: int) -> None:
        """Begin, or begin anew with other settings."""
        self.enabled = True
        self._probes = 0
        self._wait(now_ns, max(0, self.last_heard_ns + self.idle_ns - now_ns))

    def stop(self) -> None:
        """Stop asking."""
        self.enabled = False
        self.deadline_ns = NEVER

    def due(self, now_ns: int, busy: bool, user_timeout_ns: int) -> str:
        """Decide when the deadline has come: "wait", "probe" or "give up"; the next deadline is set.

        busy: data is on its way, whose retransmission shows whether the peer lives.
        """
        idle_until_ns = self.last_heard_ns + self.idle_ns
        if busy or now_ns < idle_until_ns:
            self._probes = 0
            self._wait(now_ns, self.idle_ns if busy else idle_until_ns - now_ns)
            return "wait"
        silent_ns = now_ns - self.last_heard_ns
        if (user_timeout_ns and self._probes and silent_ns >= user_timeout_ns) or (
            not user_timeout_ns and self._probes >= self.count
        ):
            return "give up"
        self._probes += 1
        self._wait(now_ns, self.interval_ns)
        return "probe"

    def _wait(self, now_ns: int, delay_ns: int) -> None:
        self.deadline_ns = expiry_ns(now_ns, delay_ns, self._granularity_ns)
