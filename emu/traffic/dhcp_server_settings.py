"""What a DHCP server serves: its range, what it tells clients, its times; checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emu.kernel.errors import InvalidValue
from emu.traffic.dhcp_profile import SECOND
from emu.wire import dhcp
from emu.wire.address import ipv4_to_text
from emu.wire.dhcp import encode_classless_routes

LEASE_MIN_S = 120
"""dnsmasq's shortest lease."""


@dataclass(frozen=True, slots=True)
class DhcpServerSettings:
    """What a server serves.

    server_address: its own address, 4 bytes; its identifier. prefix_length: of the network it is on, 1 to 30.
    first, last: the range it gives addresses from, both included, 4 bytes each.
    exclusions: addresses in the range that it never gives. reservations: client key or MAC -> address.
    router, dns, domain, mtu, routes: options 3, 6, 15, 26 and 121; None or empty ones are not sent.
    lease_s: 120 or more, or dhcp.INFINITE_LEASE_S. t1_s, t2_s: None for 1/2 and 7/8 of the lease.
    authoritative: refuse what is wrong with a NAK, and take over leases of clients that are not known (any longer).
    probe_wait_ns: how long to wait for an answer to an ICMP echo before an OFFER; 0 probes nothing.
    quarantine_ns: how long a declined or answering address is given to nobody (dnsmasq: 10 minutes).
    Raises InvalidValue for values that contradict each other, and for parameters that find no room in a message.
    """

    server_address: bytes
    prefix_length: int
    first: bytes
    last: bytes
    exclusions: frozenset[bytes] = frozenset()
    reservations: Mapping[bytes, bytes] = field(default_factory=dict)
    router: bytes | None = None
    dns: Sequence[bytes] = ()
    domain: str | None = None
    mtu: int | None = None
    routes: Sequence[tuple[bytes, int, bytes]] = ()
    lease_s: int = 3600
    t1_s: int | None = None
    t2_s: int | None = None
    authoritative: bool = True
    probe_wait_ns: int = 3 * SECOND
    quarantine_ns: int = 600 * SECOND

    def __post_init__(self) -> None:
        """Refuse values that contradict each other."""
        if not 1 <= self.prefix_length <= 30:
            raise InvalidValue(f"DHCP server: prefix length {self.prefix_length}: expected 1 to 30")
        outside = [address for address in (self.first, self.last) if not self.is_on_network(address)]
        if outside or self.first > self.last:
            raise InvalidValue(
                f"DHCP range {ipv4_to_text(self.first)} to {ipv4_to_text(self.last)}: expected addresses of the "
                f"server's network {ipv4_to_text(self.server_address)}/{self.prefix_length}, the lower one first"
            )
        for address in self.reservations.values():
            if not self.is_on_network(address) or address == self.server_address:
                raise InvalidValue(
                    f"DHCP reservation of {ipv4_to_text(address)}: expected another address of the server's network"
                )
        if not LEASE_MIN_S <= self.lease_s <= dhcp.INFINITE_LEASE_S:
            raise InvalidValue(
                f"DHCP lease time {self.lease_s} s: expected at least {LEASE_MIN_S} s and at most "
                f"{dhcp.INFINITE_LEASE_S - 1} s, or no end"
            )
        if not 0 < self.t1 <= self.t2 <= self.lease_s:
            raise InvalidValue(f"DHCP times: expected T1 {self.t1} s <= T2 {self.t2} s <= lease {self.lease_s} s")
        if self.mtu is not None and not 68 <= self.mtu <= 65535:
            raise InvalidValue(f"DHCP option MTU {self.mtu}: expected 68 to 65535")
        self._check_room()

    @property
    def t1(self) -> int:
        """When clients renew, in seconds."""
        return self.lease_s // 2 if self.t1_s is None else self.t1_s

    @property
    def t2(self) -> int:
        """When clients rebind, in seconds."""
        return self.lease_s * 7 // 8 if self.t2_s is None else self.t2_s

    @property
    def mask(self) -> int:
        """The netmask as a number."""
        return 0xFFFFFFFF << (32 - self.prefix_length) & 0xFFFFFFFF

    def is_on_network(self, address: bytes) -> bool:
        """Tell whether an address is a host's on the server's network: neither the first nor the last one of it."""
        value, own = int.from_bytes(address, "big"), int.from_bytes(self.server_address, "big")
        return value & self.mask == own & self.mask and value & ~self.mask not in (0, ~self.mask & 0xFFFFFFFF)

    def is_in_range(self, address: bytes) -> bool:
        """Tell whether the server may give this address to anybody."""
        return self.first <= address <= self.last and address not in self.exclusions and address != self.server_address

    def parameters(self) -> dict[int, bytes]:
        """Return the options that a server can tell, in the order in which it does so when nobody asks for any."""
        mask = self.mask
        broadcast = int.from_bytes(self.server_address, "big") | ~mask & 0xFFFFFFFF
        found = {dhcp.OPTION_SUBNET_MASK: mask.to_bytes(4, "big"), dhcp.OPTION_BROADCAST: broadcast.to_bytes(4, "big")}
        if self.router is not None:
            found[dhcp.OPTION_ROUTER] = self.router
        if self.dns:
            found[dhcp.OPTION_DNS] = b"".join(self.dns)
        if self.domain:
            found[dhcp.OPTION_DOMAIN_NAME] = self.domain.encode()
        if self.mtu is not None:
            found[dhcp.OPTION_MTU] = self.mtu.to_bytes(2, "big")
        if self.routes:
            found[dhcp.OPTION_CLASSLESS_ROUTES] = encode_classless_routes(self.routes)
        return found

    def _check_room(self) -> None:
        """Refuse parameters of which an ACK that tells them all would be too long."""
        number = bytes(4)
        options = {dhcp.OPTION_MESSAGE_TYPE: b"\0", dhcp.OPTION_SERVER_ID: number, dhcp.OPTION_LEASE_TIME: number}
        options |= {dhcp.OPTION_T1: number, dhcp.OPTION_T2: number} | self.parameters()
        if not dhcp.find_room(options.items()):
            raise InvalidValue(
                "DHCP options: what clients are told (routes, dns, domain) finds no room in a message of "
                f"{dhcp.DEFAULT_MAXIMUM_LENGTH} bytes; tell them less"
            )
