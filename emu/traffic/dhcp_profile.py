"""How DHCP clients differ: when they ask again, when they give up, and what they check."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from emu.kernel.errors import InvalidValue

SECOND = 1_000_000_000
MINIMUM_RENEWAL_NS = 60 * SECOND
"""How far apart RFC 2131 section 4.4.5 wants attempts to renew at least."""


@dataclass(frozen=True, slots=True)
class DhcpProfile:
    """The timing and habits of a client.

    discover_waits_ns, request_waits_ns: how long to wait for an answer after each attempt; as many as attempts.
    jitter_ns: how much each of these waits is at random shorter or longer at most.
    start_delay_ns: from and to of the random wait before the first DISCOVER.
    pause_ns: from giving up to the next round. decline_pause_ns: from a DECLINE (or NAK) to the next round.
    honours_t1_t2: whether options 58 and 59 count; else renewing begins at half the lease.
    renew_waits_ns: None: half of the remaining time to T2 (to the end), at least 60 s; else waits per attempt, after
        which rebinding begins at once, with the same waits.
    minimum_lease_s: shorter leases are taken for so long. default_lease_s: when the server names none.
    broadcast_flag: ask servers to broadcast their replies.
    parameters: what is asked for (option 55).
    """

    name: str
    discover_waits_ns: tuple[int, ...]
    request_waits_ns: tuple[int, ...]
    jitter_ns: int
    start_delay_ns: tuple[int, int]
    pause_ns: int
    decline_pause_ns: int
    honours_t1_t2: bool
    renew_waits_ns: tuple[int, ...] | None
    minimum_lease_s: int
    default_lease_s: int
    broadcast_flag: bool
    parameters: tuple[int, ...]

    def wait_ns(self, waits_ns: tuple[int, ...], attempt: int, stream: Random) -> int:
        """Return how long to wait after an attempt (from 0)."""
        wait_ns = waits_ns[attempt]
        return wait_ns + stream.randint(-self.jitter_ns, self.jitter_ns) if self.jitter_ns else wait_ns


UDHCPC = DhcpProfile(
    name="udhcpc",
    discover_waits_ns=(3 * SECOND,) * 3,
    request_waits_ns=(3 * SECOND,) * 3,
    jitter_ns=0,
    start_delay_ns=(0, 0),
    pause_ns=20 * SECOND,
    decline_pause_ns=20 * SECOND,
    honours_t1_t2=False,
    renew_waits_ns=(3 * SECOND,) * 3,
    minimum_lease_s=30,
    default_lease_s=3600,
    broadcast_flag=False,
    parameters=(1, 3, 6, 12, 15, 26, 28, 42, 121),
)
"""BusyBox's udhcpc with its default options and `-a`."""

RFC2131 = DhcpProfile(
    name="rfc2131",
    discover_waits_ns=tuple(seconds * SECOND for seconds in (4, 8, 16, 32, 64)),
    request_waits_ns=tuple(seconds * SECOND for seconds in (4, 8, 16, 32, 64)),
    jitter_ns=SECOND,
    start_delay_ns=(SECOND, 10 * SECOND),
    pause_ns=0,
    decline_pause_ns=10 * SECOND,
    honours_t1_t2=True,
    renew_waits_ns=None,
    minimum_lease_s=0,
    default_lease_s=3600,
    broadcast_flag=False,
    parameters=(1, 121, 3, 6, 15, 26, 28),
)
"""RFC 2131 sections 4.1 (backoff), 4.4.1 (random start, 10 s after a DECLINE) and 4.4.5 (renewals)."""

PROFILES = {profile.name: profile for profile in (UDHCPC, RFC2131)}


def profile_named(name: str) -> DhcpProfile:
    """Return a profile; raises InvalidValue that lists them."""
    profile = PROFILES.get(name)
    if profile is None:
        raise InvalidValue(f'DHCP client profile "{name}": expected one of {", ".join(PROFILES)}')
    return profile
