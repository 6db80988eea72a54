"""A segment on which frames get lost, doubled and late and machines crash, and what must hold on it all the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations
from random import Random

from emu.device.netdevice import NetDevice
from emu.device.wired import WiredDevice
from emu.stack.namespace import Namespace
from emu.traffic.dhcp_client_lease import ClientLease
from emu.traffic.dhcp_frames import Received, is_udp_to, read_frame
from emu.traffic.dhcp_leases import BOUND, LeaseTable, client_key
from emu.wire import dhcp
from emu.wire.address import ipv4_to_bytes, ipv4_to_text
from emu.wire.arp import parse_arp
from emu.wire.frame import Frame
from tests.stack.world import SECOND
from tests.traffic.dhcp_lan import Client, DhcpLan

LATE_MAX_NS = 8 * SECOND
PROBE_NS = 2 * SECOND
"""From a client's ARP probe to its use of the address."""


class ChancyClient(Client):
    """A client that can crash and come back; the rules are checked whenever it begins to use an address."""

    lan: ChancyLan
    last_address: str | None = None
    bound_ns = 0
    is_running = True

    @property
    def key(self) -> bytes:
        return client_key(None, self.device.mac)

    def _bound(self, lease: ClientLease) -> None:
        super()._bound(lease)
        self.last_address, self.bound_ns = ipv4_to_text(lease.address), self.lan.world.kernel.now
        self.lan.check()

    def stop(self) -> None:
        """Stop in good order, with a RELEASE."""
        self.is_running = False
        self.program.stop()

    def crash(self) -> None:
        """Stop without a word; the addresses are gone with the machine."""
        self.is_running = False
        self.program.abandon()
        if self.addresses:
            lease = self.program.client.lease
            assert lease is not None
            self.installer.remove(lease)

    def boot(self, *, remembers: bool) -> None:
        """Begin afresh, or with the address that was used last."""
        self.is_running = True
        self.events.append((self.lan.world.kernel.now, "boots"))
        if remembers and self.last_address is not None:
            self.start(requested=self.last_address, reboot=True)
        else:
            self.start()


class ChancyLan(DhcpLan):
    """A `DhcpLan` whose clients' cables lose, double and delay frames, in both directions.

    loss, double, late: probabilities for each frame; a late one is overtaken by all of the next seconds.
    loses_arp: no ARP frame arrives.
    forgotten: MACs of clients of whose lease the server may know nothing, although they hold it: it lost its lease
        file, or a RELEASE or DECLINE of theirs came in late, when they had leased the address again.
    unheard: ARP frames that were lost or late, as (when, MAC of the client on that cable, address it was about).
    conflicts: how many checks found an address used twice.
    """

    def __init__(self, seed: int = 1, **settings: object) -> None:
        super().__init__(serves=False, seed=seed)
        self.given = settings
        self.serve(**settings)
        self.clients: list[ChancyClient] = []
        self.chance = Random(seed)
        self.loss = self.double = self.late = 0.0
        self.loses_arp = False
        self.forgotten: set[bytes] = set()
        self.unheard: list[tuple[int, bytes, str]] = []
        self.conflicts = 0

    def add_client(self, profile: str) -> ChancyClient:
        client = ChancyClient(self, f"c{len(self.clients)}", profile)
        client.events.append((self.world.kernel.now, "boots"))
        self.clients.append(client)
        return client

    # -- chance -------------------------------------------------------------------------------------------------------

    def plug(self, namespace: Namespace) -> NetDevice:
        inner = super().plug(namespace)
        assert isinstance(inner, WiredDevice)
        assert inner.peer is not None
        for end in (inner, inner.peer):
            assert end.direction is not None
            end.direction.deliver = partial(self._carry, inner.mac, end.direction.deliver)
        return inner

    def _carry(self, mac: bytes, deliver: Callable[[Frame], object], frame: Frame) -> None:
        chance = self.chance
        for _ in range(2 if chance.random() < self.double else 1):
            is_arp = frame.data[12:14] == b"\x08\x06"
            is_lost, is_late = chance.random() < self.loss, chance.random() < self.late
            is_lost |= is_arp and self.loses_arp
            arp = parse_arp(frame.data) if is_arp and (is_lost or is_late) else None
            if arp is not None:
                about = arp.target_address if arp.is_probe else arp.sender_address
                self.unheard.append((self.world.kernel.now, mac, ipv4_to_text(about)))
            if is_lost:
                continue
            if is_late:
                late_ns = chance.randrange(1, LATE_MAX_NS)
                self.world.kernel.call_later(late_ns, partial(self._deliver_late, deliver), frame)
            else:
                deliver(frame)

    def _deliver_late(self, deliver: Callable[[Frame], object], frame: Frame) -> None:
        if is_udp_to(frame.data, 67):
            received = read_frame(frame.data)
            assert isinstance(received, Received)
            if received.message.message_type in (dhcp.RELEASE, dhcp.DECLINE):
                self.forgotten.add(received.message.client_mac)
        deliver(frame)

    # -- the server ---------------------------------------------------------------------------------------------------

    def stop_server(self) -> None:
        assert self.daemon is not None
        self.daemon.stop()

    def start_server(self, *, keeps: bool, **settings: object) -> None:
        """Let a server come up with what the lease file keeps, or without it."""
        assert self.daemon is not None
        leases = LeaseTable.from_text(self.daemon.leases.to_text()) if keeps else None
        if not keeps:
            self.forgotten.update(client.device.mac for client in self.clients)
        self.serve(leases, **(self.given | settings))

    # -- what must hold -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Check that whoever uses an address has it at the server, and that nobody else uses it.

        The exceptions are what DHCP cannot help, and no others. A server that lost its lease file, or was told of a
        RELEASE or DECLINE when it was out of date, may give an address away that is in use; then the new client's ARP
        probe protects the old one, unless the probe or the answer to it is lost or late.
        """
        live = [client for client in self.clients if client.addresses]
        for client in live:
            if self._is_recorded(client):
                self.forgotten.discard(client.device.mac)
            else:
                assert client.device.mac in self.forgotten, f"{client.addresses} unknown to the server: {client.events}"
        for one, other in combinations(live, 2):
            if one.addresses == other.addresses:
                self.conflicts += 1
                assert self._was_unheard(one, other), f"{one.addresses} is used twice: {one.events} {other.events}"

    def _was_unheard(self, one: ChancyClient, other: ChancyClient) -> bool:
        """Tell whether the later one's ARP probe, or the earlier one's answer, was lost or late on their cables."""
        last_ns = max(one.bound_ns, other.bound_ns)
        address = one.addresses[0].removesuffix("/24")
        return any(
            last_ns - PROBE_NS <= at_ns <= last_ns and about == address and mac in (one.device.mac, other.device.mac)
            for at_ns, mac, about in self.unheard
        )

    def _is_recorded(self, client: ChancyClient) -> bool:
        (address,) = client.addresses
        assert self.daemon is not None
        lease = self.daemon.leases.of_address(ipv4_to_bytes(address.removesuffix("/24")))
        now_ns = self.world.kernel.now
        return lease is not None and lease.key == client.key and lease.state == BOUND and now_ns <= lease.expires_ns

    def used_twice(self) -> bool:
        used = [address for client in self.clients for address in client.addresses]
        return len(used) > len(set(used))
