"""What a network driver must offer, so that third parties can write one.

A driver is registered on a controller (`controller.register_driver("mesh", driver)`) or by an installed
package under the entry point group `emu.network_drivers`: the entry point is called with the controller
and returns the driver. A driver only configures devices, as libnetwork configures the kernel.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.network import Network
    from emu.cnm.sandbox import Sandbox
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace

#: Entry point group of installed network drivers.
ENTRY_POINT_GROUP = "emu.network_drivers"


@dataclass(frozen=True, slots=True)
class DriverCapabilities:
    """What the controller has to know about a driver.

    ipam_driver: the address manager its networks use when the user names none.
    single_network: only one network of this driver may exist (host, null).
    resolves_names: containers on its networks find each other by name.
    gives_gateway: one of its networks may own the default route.
    uses_gateway_bridge: a container that has no gateway otherwise gets one on docker_gwbridge.
    """

    ipam_driver: str = "default"
    single_network: bool = False
    resolves_names: bool = True
    gives_gateway: bool = True
    uses_gateway_bridge: bool = False


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A route the sandbox gets with an endpoint; `via` None means directly connected."""

    destination: ipaddress.IPv4Network
    via: ipaddress.IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class JoinInfo:
    """What a driver says when an endpoint joins a sandbox.

    device: the device to put into the sandbox; None for drivers without one (host, null).
    name_prefix: the device is named by this and the lowest free number.
    name: an exact name instead.
    gateway: the gateway the sandbox may use for its default route.
    static_routes: further routes.
    announce_count: gratuitous ARP requests sent when the interface is up.
    announce_interval_ns: time between them.
    """

    device: NetDevice | None = None
    name_prefix: str = "eth"
    name: str | None = None
    gateway: ipaddress.IPv4Address | None = None
    static_routes: Sequence[StaticRoute] = ()
    announce_count: int = 0
    announce_interval_ns: int = 1_000_000_000


@runtime_checkable
class Driver(Protocol):
    """A network driver. Every method raises `emu.kernel.errors.EmuError` with a clear line, and then
    leaves nothing behind of what it had begun."""

    def capabilities(self) -> DriverCapabilities:
        """Return what the controller has to know."""
        ...

    def create_network(self, network: Network) -> None:
        """Prepare a network whose addresses are reserved already (`network.pools`)."""
        ...

    def delete_network(self, network: Network) -> None:
        """Remove what `create_network` made; the network has no endpoints any more."""
        ...

    def create_endpoint(self, endpoint: Endpoint) -> None:
        """Prepare an endpoint; choose `endpoint.mac` when it is None."""
        ...

    def delete_endpoint(self, endpoint: Endpoint) -> None:
        """Remove what `create_endpoint` made."""
        ...

    def join(self, endpoint: Endpoint, sandbox: Sandbox) -> JoinInfo:
        """Say what the sandbox gets for this endpoint."""
        ...

    def leave(self, endpoint: Endpoint) -> None:
        """Take note that the endpoint's device is out of its sandbox again."""
        ...


@runtime_checkable
class SkipsGateway(Protocol):
    """A driver whose networks may do without a gateway address (optional; libnetwork's GwAllocChecker)."""

    def skips_gateway(self, network: Network) -> bool:
        """Say whether no gateway address is to be reserved for this network."""
        ...


@runtime_checkable
class FollowsAddresses(Protocol):
    """A driver that has to know when a leased address arrives after the endpoint has joined (optional)."""

    def address_bound(self, endpoint: Endpoint) -> None:
        """Take note of `endpoint.address`."""
        ...

    def address_unbound(self, endpoint: Endpoint) -> None:
        """Take note that `endpoint.address`, which is still set, is about to go."""
        ...


@runtime_checkable
class HasGatewayDevice(Protocol):
    """A driver whose networks are one Ethernet segment with a gateway, where a DHCP server can be (optional)."""

    def gateway_device(self, network: Network) -> tuple[Namespace, NetDevice]:
        """Return the device that has the network's gateway address, and its namespace."""
        ...

    def container_gateway(self, network: Network) -> ipaddress.IPv4Address | None:
        """Return where containers of the network send packets for elsewhere to, or None."""
        ...
