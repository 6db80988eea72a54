"""A DHCP server that serves a network: where it runs, its leases, and its stops and starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emu.kernel.errors import Conflict
from emu.traffic.dhcp_daemon import DhcpDaemon
from emu.traffic.dhcp_leases import BOUND, NEVER_NS, Lease, LeaseTable
from emu.traffic.dhcp_server import DhcpServer
from emu.traffic.dhcp_server_settings import DhcpServerSettings
from emu.wire.address import ipv4_to_text, mac_to_text

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.kernel import Kernel
    from emu.stack.namespace import Namespace

Place = Callable[[], "tuple[Namespace, NetDevice]"]
"""Finds the namespace and device a server runs at; raises EmuError while there is none."""

EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class LeaseEntry:
    """One line of a lease table.

    server: the server's interface. address, mac: as text. client: the name it gives itself, else its identifier in hex,
    "" for an address in quarantine. state: offered, bound, expired, released or declined.
    expires_ns: virtual time, None for a lease without end.
    """

    server: str
    address: str
    mac: str
    client: str
    state: str
    expires_ns: int | None

    def summary(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


class DhcpService:
    """A DHCP server on an interface. Made by a network with `ipam={"driver": "dhcp"}`, or by `serve_dhcp`.

    settings: what it serves. reservations: addresses kept for clients, by client identifier or MAC address.
    """

    def __init__(
        self, kernel: Kernel, place: Place, settings: DhcpServerSettings, reservations: dict[bytes, bytes]
    ) -> None:
        self._kernel = kernel
        self._place = place
        self.settings = settings
        self.reservations = reservations
        self.table = LeaseTable()
        self.label = ""
        self._daemon: DhcpDaemon | None = None
        self._held_back = ""

    @property
    def running(self) -> bool:
        """Whether it serves; not any more when its interface has been deleted."""
        return self._daemon is not None and not self._daemon.device.is_deleted

    @property
    def leases(self) -> list[LeaseEntry]:
        """What it knows of addresses, in their order."""
        return [self._entry(lease) for lease in self.table]

    @property
    def used(self) -> int:
        """How many addresses nobody else may get now: offered, leased, or in quarantine."""
        return self.table.count_in_use(self._kernel.now)

    @property
    def free(self) -> int:
        """How many addresses of its range a new client could get now."""
        return self._server().count_free(self._kernel.now)

    @property
    def refusals(self) -> dict[str, int]:
        """Why requests went unanswered or were refused, counted by reason, since it was started."""
        return {} if self._daemon is None else dict(self._daemon.server.refusals)

    def start(self) -> None:
        """Serve (again) with the leases there are. Nothing if it does.

        Raises EmuError when the interface is not there or does not have the server's address, Conflict when the host
        has crashed or the network has been removed.
        """
        if self.running:
            return
        self.stop()
        if self._held_back:
            raise Conflict(f"DHCP server {self.label}: {self._held_back}")
        namespace, device = self._place()
        self._daemon = DhcpDaemon(namespace, device, self.settings, self.table)
        self.label = device.label

    def stop(self) -> None:
        """Stop serving; the leases are remembered. Nothing if it does not serve."""
        if self._daemon is not None:
            self._daemon.stop()
            self._daemon = None

    def hold(self, reason: str) -> None:
        """Stop, and do not start again while there is a reason, which `start` then says; "" lifts that."""
        self._held_back = reason
        if reason:
            self.stop()

    def restart(self, keep_leases: bool = True) -> None:
        """Stop and start.

        keep_leases: read the leases from the lease file, as dnsmasq does; False: the file is lost.
        Raises as `start`.
        """
        self.stop()
        self.table = LeaseTable.from_text(self.table.to_text()) if keep_leases else LeaseTable()
        self.start()

    def holder(self, address: bytes) -> Lease | None:
        """Return the lease that keeps an address from others now, or None."""
        lease = self.table.of_address(address)
        return lease if lease is not None and lease.keeps_others_away(self._kernel.now) else None

    def reserve(self, mac: bytes, client_id: bytes | None, address: bytes) -> bool:
        """Keep an address for a client; False when the options reserve it for this client already.

        Raises Conflict when it is kept for another client, or another address for this one.
        """
        for known_by in (client_id, mac):
            kept = None if known_by is None else self.reservations.get(known_by)
            if kept == address:
                return False
            if kept is not None:
                raise Conflict(
                    f"ipv4_address {ipv4_to_text(address)}: the DHCP option reservations keeps {ipv4_to_text(kept)} "
                    "for this client; ask for that, or for none"
                )
        if address in self.reservations.values():
            raise Conflict("Address already in use")
        self.reservations[mac] = address
        return True

    def _server(self) -> DhcpServer:
        return DhcpServer(self.settings, self.table) if self._daemon is None else self._daemon.server

    def _entry(self, lease: Lease) -> LeaseEntry:
        state = lease.state
        if state == BOUND and not lease.keeps_others_away(self._kernel.now):
            state = EXPIRED
        return LeaseEntry(
            server=self.label,
            address=ipv4_to_text(lease.address),
            mac=mac_to_text(lease.mac),
            client=lease.host_name or lease.key.hex(),
            state=state,
            expires_ns=None if lease.expires_ns == NEVER_NS else lease.expires_ns,
        )

    def __repr__(self) -> str:
        return f"<DhcpService {self.label} {'running' if self.running else 'stopped'}, {self.used} leases used>"
