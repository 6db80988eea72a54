"""What a DHCP client was given: read from an ACK, with the times that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

from emu.traffic.dhcp_profile import SECOND, DhcpProfile
from emu.wire import dhcp
from emu.wire.dhcp import DhcpMessage, decode_classless_routes


@dataclass(frozen=True, slots=True)
class ClientLease:
    """What a client was given.

    address, server: 4 bytes. prefix_length: 0 to 32. router, dns, domain, mtu, routes: None or empty if not told.
    acquired_ns: when the REQUEST for it was sent, from which all its times count (RFC 2131 section 4.4.5).
    renew_at_ns, rebind_at_ns, expires_ns: T1, T2 and the end; None for a lease without end.
    """

    address: bytes
    prefix_length: int
    server: bytes
    router: bytes | None
    dns: tuple[bytes, ...]
    domain: str | None
    mtu: int | None
    routes: tuple[tuple[bytes, int, bytes], ...]
    acquired_ns: int
    renew_at_ns: int | None
    rebind_at_ns: int | None
    expires_ns: int | None

    @property
    def parameters(self) -> tuple[object, ...]:
        """All that is put into effect with the address; a renewal may change it."""
        return self.prefix_length, self.router, self.dns, self.domain, self.mtu, self.routes

    @property
    def default_router(self) -> bytes | None:
        """Where packets for elsewhere go: the router, or the gateway of a classless default route."""
        for _, prefix_length, gateway in self.routes:
            if not prefix_length:
                return gateway
        return self.router


def lease_of(reply: DhcpMessage, profile: DhcpProfile, start_ns: int) -> ClientLease:
    """Read an ACK that is acceptable. start_ns: when the REQUEST was sent that it answers."""
    seconds = reply.number_option(dhcp.OPTION_LEASE_TIME)
    seconds = max(profile.default_lease_s if seconds is None else seconds, profile.minimum_lease_s, 1)
    t1, t2 = max(seconds // 2, 1), max(seconds * 7 // 8, 1)
    if profile.honours_t1_t2:
        told_t1, told_t2 = reply.number_option(dhcp.OPTION_T1), reply.number_option(dhcp.OPTION_T2)
        t2 = told_t2 if told_t2 is not None and 0 < told_t2 <= seconds else t2
        t1 = told_t1 if told_t1 is not None and 0 < told_t1 <= t2 else min(t1, t2)
    ends = seconds != dhcp.INFINITE_LEASE_S
    mask = reply.option(dhcp.OPTION_SUBNET_MASK)
    prefix_length = None if mask is None else prefix_length_of(mask)
    server = reply.address_option(dhcp.OPTION_SERVER_ID)
    assert server is not None, "replies without server are not acceptable"
    mtu = reply.number_option(dhcp.OPTION_MTU, 2)
    domain = reply.option(dhcp.OPTION_DOMAIN_NAME)
    routes = decode_classless_routes(reply.option(dhcp.OPTION_CLASSLESS_ROUTES) or b"") or []
    routers = _addresses(reply.option(dhcp.OPTION_ROUTER))
    return ClientLease(
        address=reply.your_address,
        prefix_length=_class_prefix_length(reply.your_address) if prefix_length is None else prefix_length,
        server=server,
        router=routers[0] if routers and not routes else None,  # RFC 3442: routes replace the router
        dns=_addresses(reply.option(dhcp.OPTION_DNS)),
        domain=None if domain is None else domain.decode("ascii", "replace").rstrip("\0"),
        mtu=mtu if mtu is not None and mtu >= 68 else None,
        routes=tuple(routes),
        acquired_ns=start_ns,
        renew_at_ns=start_ns + t1 * SECOND if ends else None,
        rebind_at_ns=start_ns + t2 * SECOND if ends else None,
        expires_ns=start_ns + seconds * SECOND if ends else None,
    )


def prefix_length_of(mask: bytes) -> int | None:
    """Return the length of a netmask; None when its ones are not contiguous or it is not 4 bytes long."""
    if len(mask) != 4:
        return None
    inverted = int.from_bytes(mask, "big") ^ 0xFFFFFFFF
    return None if inverted & (inverted + 1) else 32 - inverted.bit_length()


def _class_prefix_length(address: bytes) -> int:
    """Return the prefix length of an address's class, for servers that tell no mask."""
    if address[0] < 128:
        return 8
    return 16 if address[0] < 192 else 24


def _addresses(value: bytes | None) -> tuple[bytes, ...]:
    """Split an option that holds addresses; a rest that is no address is not counted."""
    if value is None:
        return ()
    return tuple(value[start : start + 4] for start in range(0, len(value) - 3, 4))
