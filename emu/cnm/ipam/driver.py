"""What an address manager must offer, so that third parties can write one.

The calls and the option names are those of Docker's IPAM plugin protocol. A driver is registered on a
controller (`controller.register_ipam_driver("lease", driver)`) or by an installed package under the entry
point group `emu.ipam_drivers`: the entry point is called with the controller and returns the driver.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from emu.kernel.errors import Conflict

if TYPE_CHECKING:
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.network import Network

#: Entry point group of installed IPAM drivers.
ENTRY_POINT_GROUP = "emu.ipam_drivers"

#: Options that `IpamDriver.request_address` receives.
REQUEST_ADDRESS_TYPE = "RequestAddressType"
GATEWAY = "com.docker.network.gateway"
ENDPOINT_NAME = "com.docker.network.endpoint.name"
ENDPOINT_MAC = "com.docker.network.endpoint.macaddress"
SERIAL = "com.docker.network.ipam.serial"

LOCAL_ADDRESS_SPACE = "LocalDefault"
GLOBAL_ADDRESS_SPACE = "GlobalDefault"


class AddressesExhausted(Conflict):
    """The pool has no free address; the network's next pool is tried."""


@dataclass(frozen=True, slots=True)
class IpamCapabilities:
    """What a driver needs from the caller.

    requires_mac_address: the endpoint's MAC address is chosen before the address is requested and
        passed as the option `com.docker.network.endpoint.macaddress`.
    """

    requires_mac_address: bool = False


@dataclass(frozen=True, slots=True)
class PoolRequest:
    """What `IpamDriver.request_pool` is asked for.

    address_space: one of the names of `IpamDriver.get_default_address_spaces`.
    pool: the subnet as text ("10.0.0.0/24"), or "" for any default pool.
    sub_pool: the part of the pool to hand addresses out from, or "".
    options: the user's IPAM driver options.
    exclude: networks a default pool must not overlap (the host's routes and resolvers).
    """

    address_space: str
    pool: str = ""
    sub_pool: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    exclude: Sequence[ipaddress.IPv4Network] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """A granted pool.

    pool_id: what later calls name the pool by.
    subnet: the subnet; None when the driver gives no addresses at all (host, none).
    meta: extra answers; `com.docker.network.gateway` names a gateway ("10.0.0.1/24").
    """

    pool_id: str
    subnet: ipaddress.IPv4Network | None
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pending:
    """The answer of a driver that leases: the address comes later, by `endpoint.bind(address)`.

    reason: what is being waited for, for people.
    """

    reason: str = "waiting for a lease"


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """How full a pool is, as `docker network inspect` of engine 29 shows it."""

    in_use: int
    available: int


@runtime_checkable
class IpamDriver(Protocol):
    """An address manager. Every method raises `emu.kernel.errors.EmuError` with a clear line."""

    def capabilities(self) -> IpamCapabilities:
        """Return what the driver needs from the caller."""
        ...

    def get_default_address_spaces(self) -> tuple[str, str]:
        """Return the names of the local and the global address space."""
        ...

    def request_pool(self, request: PoolRequest) -> Pool:
        """Reserve a pool for a network."""
        ...

    def release_pool(self, pool_id: str) -> None:
        """Give a pool back."""
        ...

    def request_address(
        self, pool_id: str, preferred: ipaddress.IPv4Address | None, options: Mapping[str, str]
    ) -> ipaddress.IPv4Interface | Pending | None:
        """Reserve an address of a pool.

        preferred: the address asked for, or None for any.
        Returns the address with its prefix; `Pending` when it comes later; None when the driver
            gives no addresses.
        """
        ...

    def release_address(self, pool_id: str, address: ipaddress.IPv4Address) -> None:
        """Give an address back."""
        ...


@runtime_checkable
class ReportsUsage(Protocol):
    """An address manager that can say how full a pool is (optional)."""

    def usage(self, pool_id: str) -> PoolUsage | None:
        """Return how full a pool is, or None when it can't be told."""
        ...


@runtime_checkable
class LeasesOnTheWire(Protocol):
    """An address manager whose addresses come by packets, after the endpoint has joined (optional)."""

    def check_network(self, network: Network) -> None:
        """Raise EmuError for a network this can't work on; its pools are reserved, the driver has made nothing yet."""
        ...

    def network_created(self, network: Network) -> None:
        """Begin to serve a network that its driver has made."""
        ...

    def network_removed(self, network: Network) -> None:
        """End that; the driver's devices are still there."""
        ...

    def mac_for(self, network: Network, container_id: str) -> bytes | None:
        """Return the MAC address a container had on a network before, None for one it has never been on."""
        ...

    def endpoint_joined(self, endpoint: Endpoint) -> None:
        """Begin to ask for the address of an endpoint whose device is in its sandbox; `endpoint.bind` follows."""
        ...

    def endpoint_leaving(self, endpoint: Endpoint) -> None:
        """End that, and release the address unless `endpoint.sandbox.keeps_leases`; the device is still there."""
        ...

    def lease_counts(self, network: Network) -> tuple[int, int]:
        """Return how many leases of a network are used, and how many addresses are free."""
        ...
