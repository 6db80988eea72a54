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
    pause_ns: from giving up to the next round. decline_pause_ns, nak_pause_ns: from a DECLINE or NAK to the next round.
    heeds_any_nak: whether a NAK of a server that did not give the lease ends it.
    honours_t1_t2: whether options 58 and 59 count; else renewing begins at half the lease.
    renew_wait_ns: None: wait half of the remaining time to T2 (to the end), at least 60 s. Else how long to wait for
        the answer to a renewal; then it is put off by half of the remaining lease, and with `rebind_below_ns` or less
        left rebinding begins, with `rebind_waits_ns`.
    minimum_lease_s: shorter leases are taken for so long. default_lease_s: when the server names none.
    broadcast_flag: ask servers to broadcast their replies.
    parameters: what is asked for (option 55). vendor_class: option 60; "" sends none.
    option_order: the codes of all options that are sent, in their order on the wire.
    """

    name: str
    discover_waits_ns: tuple[int, ...]
    request_waits_ns: tuple[int, ...]
    jitter_ns: int
    start_delay_ns: tuple[int, int]
    pause_ns: int
    decline_pause_ns: int
    nak_pause_ns: int
    heeds_any_nak: bool
    honours_t1_t2: bool
    renew_wait_ns: int | None
    rebind_below_ns: int
    rebind_waits_ns: tuple[int, ...]
    minimum_lease_s: int
    default_lease_s: int
    broadcast_flag: bool
    parameters: tuple[int, ...]
    vendor_class: str
    option_order: tuple[int, ...]

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
    nak_pause_ns=3 * SECOND,
    heeds_any_nak=False,
    honours_t1_t2=False,
    renew_wait_ns=3 * SECOND,
    rebind_below_ns=30 * SECOND,
    rebind_waits_ns=(3 * SECOND,) * 3,
    minimum_lease_s=30,
    default_lease_s=3600,
    broadcast_flag=False,
    parameters=(1, 3, 6, 12, 15, 26, 28, 42, 121),
    vendor_class="udhcp 1.35.0",
    option_order=(53, 50, 54, 57, 55, 12, 60, 61),
)
"""BusyBox's udhcpc 1.35.0 (Debian 12) called with `-a -O mtu -O staticroutes`; tests/strangers compares them.

Limits: a new transaction id for each renewal, where udhcpc goes on with that of its DISCOVER; `secs` of a further
round of DISCOVERs begins at 0 again.
"""

RFC2131 = DhcpProfile(
    name="rfc2131",
    discover_waits_ns=tuple(seconds * SECOND for seconds in (4, 8, 16, 32, 64)),
    request_waits_ns=tuple(seconds * SECOND for seconds in (4, 8, 16, 32, 64)),
    jitter_ns=SECOND,
    start_delay_ns=(SECOND, 10 * SECOND),
    pause_ns=0,
    decline_pause_ns=10 * SECOND,
    nak_pause_ns=SECOND,
    heeds_any_nak=True,
    honours_t1_t2=True,
    renew_wait_ns=None,
    rebind_below_ns=0,
    rebind_waits_ns=(),
    minimum_lease_s=0,
    default_lease_s=3600,
    broadcast_flag=False,
    parameters=(1, 121, 3, 6, 15, 26, 28),
    vendor_class="",
    option_order=(53, 61, 50, 54, 12, 57, 55),
)
"""RFC 2131 sections 4.1 (backoff), 4.4.1 (random start, 10 s after a DECLINE) and 4.4.5 (renewals)."""

PROFILES = {profile.name: profile for profile in (UDHCPC, RFC2131)}


def profile_named(name: str) -> DhcpProfile:
    """Return a profile; raises InvalidValue that lists them."""
    profile = PROFILES.get(name)
    if profile is None:
        raise InvalidValue(f'DHCP client profile "{name}": expected one of {", ".join(PROFILES)}')
    return profile
