"""An endpoint: one container's place on one network."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emu.cnm.drivers.driver import JoinInfo
from emu.cnm.ids import format_mac
from emu.cnm.ipam.driver import Pending
from emu.kernel.errors import Conflict, EmuError, InvalidValue

if TYPE_CHECKING:
    from emu.cnm.network import Network, NetworkPool
    from emu.cnm.sandbox import Sandbox
    from emu.device.netdevice import NetDevice


@dataclass(slots=True)
class EndpointSettings:
    """What a user asked for when connecting a container (kept over restarts by the container).

    ipv4_address: a fixed address, or None.
    mac_address: a fixed MAC address, or None.
    aliases: further names on this network.
    gw_priority: the highest value owns the default route; equal values: the first network name.
    driver_opts: options for the driver, by name.
    """

    ipv4_address: str | None = None
    mac_address: str | None = None
    aliases: Sequence[str] = ()
    gw_priority: int = 0
    driver_opts: Mapping[str, str] = field(default_factory=dict)


class Endpoint:
    """One container's place on one network.

    Made by `emu.cnm.controller.Controller.connect`. `address` is None on networks without addresses,
    and as long as `pending` says that a lease is being waited for.
    """

    __slots__ = (
        "address",
        "device",
        "dns_names",
        "gateway",
        "id",
        "join_info",
        "mac",
        "name",
        "network",
        "pending",
        "pool",
        "sandbox",
        "settings",
    )

    def __init__(self, network: Network, endpoint_id: str, name: str, settings: EndpointSettings) -> None:
        self.network = network
        self.id = endpoint_id
        self.name = name
        self.settings = settings
        self.mac: bytes | None = None
        self.address: ipaddress.IPv4Interface | None = None
        self.pending: Pending | None = None
        self.pool: NetworkPool | None = None
        self.sandbox: Sandbox | None = None
        self.device: NetDevice | None = None
        self.join_info = JoinInfo()
        #: the gateway this endpoint can offer to its sandbox
        self.gateway: ipaddress.IPv4Address | None = None
        #: the names it is found by on its network, the container's name first
        self.dns_names: list[str] = []

    def bind(
        self, address: str | ipaddress.IPv4Interface, gateway: str | None = None, announce_count: int | None = None
    ) -> None:
        """Give a pending endpoint the address it has been leased.

        Address, connected route, gratuitous ARP, name and default route follow, in this order, as when the
        address had been there at connect.

        address: address and prefix, "10.0.0.5/24".
        gateway: the gateway learned with the lease; None keeps the network's.
        announce_count: gratuitous ARP requests to send; None: as many as for an address that is there at connect.
        Raises InvalidValue for something that isn't an address with a prefix, for an address outside the network's
        subnet and for a gateway outside the address's network.
        Raises Conflict when the endpoint has an address already or has been removed, or when the address conflicts
        with another network of the container. After an error the endpoint waits for an address as before.
        """
        if self.pending is None:
            raise Conflict(f"endpoint {self.name} of network {self.network.name} is not waiting for an address")
        try:
            interface = ipaddress.IPv4Interface(address)
            learned = None if gateway is None else ipaddress.IPv4Address(gateway)
        except ValueError as error:
            raise InvalidValue(f"bind: {error}; expected an address such as 10.0.0.5/24") from None
        self._check_lease(interface, learned)
        before = self.pending, self.gateway
        self.address = interface
        self.pending = None
        if learned is not None:
            self.gateway = learned
        if self.sandbox is None:
            return
        try:
            self.sandbox.address_bound(self, announce_count)
        except EmuError:
            self.address = None
            self.pending, self.gateway = before
            self.sandbox.address_refused()
            raise

    def unbind(self, pending: Pending) -> None:
        """Take a leased address away, which has expired or was refused; the endpoint waits for one again.

        Names, default route, connected route and address go, in this order.

        pending: what is waited for now.
        Raises Conflict when the endpoint has no address.
        """
        if self.address is None:
            raise Conflict(f"endpoint {self.name} of network {self.network.name} has no address")
        if self.sandbox is not None:
            self.sandbox.address_unbound(self)
        self.address = None
        self.pending = pending

    def _check_lease(self, interface: ipaddress.IPv4Interface, gateway: ipaddress.IPv4Address | None) -> None:
        subnet = None if self.pool is None else self.pool.subnet
        if subnet is not None and (interface.ip not in subnet or not interface.network.subnet_of(subnet)):
            raise InvalidValue(
                f"bind: {interface} is not of network {self.network.name}: expected an address of {subnet}"
            )
        if gateway is not None and gateway not in interface.network:
            raise InvalidValue(f"bind: gateway {gateway} can't be reached: expected an address of {interface.network}")

    def __repr__(self) -> str:
        address = f"pending: {self.pending.reason}" if self.pending is not None else self.address
        return f"<Endpoint {self.name} on {self.network.name} {address} {format_mac(self.mac)}>"
