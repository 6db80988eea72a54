"""How often ICMP errors may be sent: Linux's token buckets, one per destination and one for all."""

from __future__ import annotations

BURST_FACTOR = 6
"""A destination that was quiet may get this many errors at once (FACT 36)."""
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
ICMP_DESTINATION_UNREACHABLE = 3
CODE_FRAGMENTATION_NEEDED = 4


class IcmpLimiter:
    """Decides whether an ICMP message may be sent now.

    ratelimit_ms: time per error and destination (`net.ipv4.icmp_ratelimit`; 0 turns the per-destination limit off).
    ratemask: bit set of the limited types (`net.ipv4.icmp_ratemask`).
    per_second, burst: the limit over all destinations (`icmp_msgs_per_sec`, `icmp_msgs_burst`).
    Limits: Linux takes 0 to 2 units of the common bucket at random, one on average; here it is always one.
    """

    __slots__ = ("_common_credit_ns", "_common_since_ns", "_tokens", "burst", "per_second", "ratelimit_ms", "ratemask")

    def __init__(self, ratelimit_ms: int = 1000, ratemask: int = 6168, per_second: int = 1000, burst: int = 50) -> None:
        self.ratelimit_ms = ratelimit_ms
        self.ratemask = ratemask
        self.per_second = per_second
        self.burst = burst
        self._tokens: dict[bytes, tuple[int, int]] = {}  # destination -> (credit in ns, since when)
        self._common_credit_ns = 0
        self._common_since_ns = -60 * NS_PER_S  # so that the bucket starts full

    def allows(self, now_ns: int, destination: bytes, icmp_type: int, code: int, loopback: bool = False) -> bool:
        """Return whether the message may go out at `now_ns`, and count it if so.

        loopback: True for a message that stays on this host; those are never limited.
        "Fragmentation needed" and the types outside the mask (echo replies among them) are not limited either.
        """
        if loopback or icmp_type > 31 or not self.ratemask >> icmp_type & 1:
            return True
        if icmp_type == ICMP_DESTINATION_UNREACHABLE and code == CODE_FRAGMENTATION_NEEDED:
            return True
        if not self._common_has_credit(now_ns):
            return False
        if not self._take_destination_token(now_ns, destination):
            return False
        self._common_credit_ns -= NS_PER_S // self.per_second
        return True

    def _common_has_credit(self, now_ns: int) -> bool:
        if not self.per_second or not self.burst:
            return False
        cost_ns = NS_PER_S // self.per_second
        credit = self._common_credit_ns + now_ns - self._common_since_ns
        self._common_credit_ns = min(credit, self.burst * cost_ns)
        self._common_since_ns = now_ns
        return self._common_credit_ns >= cost_ns

    def _take_destination_token(self, now_ns: int, destination: bytes) -> bool:
        cost_ns = self.ratelimit_ms * NS_PER_MS
        if not cost_ns:
            return True
        full_ns = BURST_FACTOR * cost_ns
        credit, since_ns = self._tokens.get(destination, (full_ns, now_ns))
        credit = min(credit + now_ns - since_ns, full_ns)
        allowed = credit >= cost_ns
        self._tokens[destination] = (credit - cost_ns if allowed else credit, now_ns)
        return allowed
