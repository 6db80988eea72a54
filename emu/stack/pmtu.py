"""Path MTUs learnt from ICMP "fragmentation needed" (RFC 1191), kept per destination as Linux's route exceptions."""

from __future__ import annotations

DEFAULT_EXPIRES_NS = 600 * 1_000_000_000
DEFAULT_MIN_MTU = 552


class PmtuCache:
    """Remembers a smaller path MTU per destination for ten minutes.

    expires_ns: how long a value holds (`net.ipv4.route.mtu_expires`).
    min_mtu: nothing below is believed (`net.ipv4.route.min_pmtu`): a smaller announcement pins this value and the
    entry is "locked", which means that packets are sent without DF.
    """

    __slots__ = ("_entries", "expires_ns", "min_mtu")

    def __init__(self, expires_ns: int = DEFAULT_EXPIRES_NS, min_mtu: int = DEFAULT_MIN_MTU) -> None:
        self.expires_ns = expires_ns
        self.min_mtu = min_mtu
        self._entries: dict[bytes, tuple[int, int, bool]] = {}

    def learn(self, now_ns: int, destination: bytes, mtu: int, route_mtu: int) -> bool:
        """Take note of an announced MTU; return whether anything changed.

        mtu: the announced value in bytes; ignored when it is not below what is used already (`route_mtu` or the
        value in force), because a router can only lower it.
        """
        if mtu >= self.lookup(now_ns, destination, route_mtu):
            return False
        locked = mtu < self.min_mtu
        if locked:
            mtu = min(route_mtu, self.min_mtu)
        self._entries[destination] = (mtu, now_ns + self.expires_ns, locked)
        return True

    def lookup(self, now_ns: int, destination: bytes, route_mtu: int) -> int:
        """Return the MTU towards the destination: the smaller of the route's own and the learnt one."""
        entry = self._valid_entry(now_ns, destination)
        return route_mtu if entry is None else min(entry[0], route_mtu)

    def is_locked(self, now_ns: int, destination: bytes) -> bool:
        """Return whether DF must not be set towards the destination (announced MTU below the minimum)."""
        entry = self._valid_entry(now_ns, destination)
        return entry is not None and entry[2]

    def knows(self, now_ns: int, destination: bytes) -> bool:
        """Return whether a learnt value is in force towards the destination."""
        return self._valid_entry(now_ns, destination) is not None

    def clear(self) -> None:
        """Forget everything, as `ip route flush cache` does."""
        self._entries.clear()

    def _valid_entry(self, now_ns: int, destination: bytes) -> tuple[int, int, bool] | None:
        if not self._entries:
            return None
        entry = self._entries.get(destination)
        if entry is not None and now_ns >= entry[1]:
            del self._entries[destination]
            return None
        return entry
