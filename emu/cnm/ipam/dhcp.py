"""The address manager `dhcp`: addresses are leased on the wire, by real DHCP packets.

It reserves a pool as the default address manager does, puts a server beside the network's gateway (unless another one
serves), and gives every endpoint a client. Not Docker's; the nearest thing there is a network driver that runs udhcpc.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING

from emu.cnm.drivers.driver import HasGatewayDevice
from emu.cnm.ipam import dhcp_options
from emu.cnm.ipam.dhcp_endpoint import WAITING, EndpointLease, Memory
from emu.cnm.ipam.dhcp_options import Segment
from emu.cnm.ipam.dhcp_service import DhcpService
from emu.cnm.ipam.driver import (
    ENDPOINT_NAME,
    IpamCapabilities,
    Pending,
    Pool,
    PoolRequest,
    PoolUsage,
)
from emu.kernel.errors import Conflict, InvalidValue
from emu.traffic.dhcp_profile import PROFILES, profile_named

if TYPE_CHECKING:
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.ipam.default import DefaultIpam
    from emu.cnm.network import Network
    from emu.cnm.profile import Profile
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace

DHCP = "dhcp"
"""The name it is registered by."""
GATEWAY_SERVER = "gateway"
CLIENT_NAME_MAX = 128
"""A longer client identifier might not find room in a message beside the rest."""


class _Served:
    """What is kept of one network: its servers, its clients by endpoint, what containers remember, by container."""

    __slots__ = ("clients", "gateway_service", "memories", "network", "reserved", "services")

    def __init__(self, network: Network, gateway_service: DhcpService | None) -> None:
        self.network = network
        self.gateway_service = gateway_service
        self.services = [] if gateway_service is None else [gateway_service]
        self.clients: dict[str, EndpointLease] = {}
        self.memories: dict[str, Memory] = {}
        #: MAC addresses for which a fixed address is reserved as long as their endpoint is there
        self.reserved: set[bytes] = set()


class DhcpIpam:
    """Leases addresses on bridge networks and on flood-and-learn `vxlan` networks.

    profile: the engine's switches and texts. pools: reserves subnets, gateways and addresses that are given by hand.
    """

    def __init__(self, profile: Profile, pools: DefaultIpam) -> None:
        self._profile = profile
        self._pools = pools
        self._networks: dict[str, _Served] = {}
        self._by_pool: dict[str, _Served] = {}
        self._static: dict[str, list[ipaddress.IPv4Address]] = {}
        self._by_hand: dict[str, set[ipaddress.IPv4Address]] = {}

    # -- the address manager's protocol -------------------------------------------------------------------------------

    def capabilities(self) -> IpamCapabilities:
        """Return what the driver needs: the MAC address, which is what clients are known by."""
        return IpamCapabilities(requires_mac_address=True)

    def get_default_address_spaces(self) -> tuple[str, str]:
        """Return the names of the local and the global address space: those of the default address manager."""
        return self._pools.get_default_address_spaces()

    def request_pool(self, request: PoolRequest) -> Pool:
        """Reserve a subnet; raises InvalidValue for an option that does not exist or can't be read."""
        options = request.options
        dhcp_options.check_names(options, dhcp_options.NETWORK_OPTIONS)
        dhcp_options.choice(options, "server", (GATEWAY_SERVER, "none"))
        dhcp_options.choice(options, "client", tuple(PROFILES))
        dhcp_options.choice(options, "client_id", ("mac", "name"))
        static = dhcp_options.static_addresses(options)
        pool = self._pools.request_pool(
            PoolRequest(request.address_space, request.pool, request.sub_pool, {}, request.exclude)
        )
        for address in static:
            if pool.subnet is not None and not dhcp_options.is_host_address(address, pool.subnet):
                self._pools.release_pool(pool.pool_id)
                raise InvalidValue(
                    f'DHCP option static "{address}": expected addresses of {pool.subnet} that hosts can have'
                )
        self._static[pool.pool_id] = static
        self._by_hand[pool.pool_id] = set()
        return pool

    def release_pool(self, pool_id: str) -> None:
        """Give a pool back."""
        self._pools.release_pool(pool_id)
        del self._static[pool_id], self._by_hand[pool_id]
        served = self._by_pool.pop(pool_id, None)
        if served is not None:
            self._networks.pop(served.network.id, None)  # still there when the network's making has failed

    def request_address(
        self, pool_id: str, preferred: ipaddress.IPv4Address | None, options: Mapping[str, str]
    ) -> ipaddress.IPv4Interface | Pending:
        """Reserve a gateway or auxiliary address, or one given by hand; any other has to be leased.

        Raises Conflict in Docker's words when the preferred address is taken, also by somebody's lease.
        """
        if ENDPOINT_NAME not in options or preferred in self._static.get(pool_id, ()):
            address = self._pools.request_address(pool_id, preferred, {})
            self._by_hand[pool_id].add(address.ip)
            return address
        if preferred is not None:
            self._pools.request_address(pool_id, preferred, {})
            self._pools.release_address(pool_id, preferred)  # taken when the endpoint has joined
            served = self._by_pool.get(pool_id)
            own = None if served is None else served.gateway_service
            if own is not None and own.holder(preferred.packed) is not None:
                raise Conflict(self._profile.text("address_in_use"))
        return WAITING

    def release_address(self, pool_id: str, address: ipaddress.IPv4Address) -> None:
        """Give back an address that was reserved here; leases end by packets."""
        if address in self._by_hand[pool_id]:
            self._by_hand[pool_id].discard(address)
            self._pools.release_address(pool_id, address)

    def usage(self, pool_id: str) -> PoolUsage:
        """Return how full a pool is; leases count as in use, and what the range has left as available."""
        fixed = self._pools.usage(pool_id)
        served = self._by_pool.get(pool_id)
        if served is None:
            return fixed
        used, free = self.lease_counts(served.network)
        return PoolUsage(fixed.in_use + used, free)

    # -- networks -----------------------------------------------------------------------------------------------------

    def check_network(self, network: Network) -> None:
        """Raise InvalidValue for a network without a segment for broadcasts, and for options that don't fit it."""
        if not isinstance(network.driver, HasGatewayDevice):
            raise InvalidValue(
                f'ipam driver "dhcp" needs an Ethernet segment with a gateway: use the driver "bridge" or "vxlan", '
                f'not "{network.driver_name}"'
            )
        if len(network.pools) != 1:
            raise InvalidValue('ipam driver "dhcp" serves one subnet; give one')
        served = _Served(network, self._gateway_service(network))
        self._networks[network.id] = self._by_pool[network.pools[0].pool_id] = served

    def _gateway_service(self, network: Network) -> DhcpService | None:
        driver, options = network.driver, network.ipam.options
        assert isinstance(driver, HasGatewayDevice), driver
        if dhcp_options.choice(options, "server", (GATEWAY_SERVER, "none")) != GATEWAY_SERVER:
            unused = [name for name in options if name in dhcp_options.SERVER_OPTIONS]
            if unused:
                raise InvalidValue(f'DHCP option {unused[0]}: with server "none" it belongs to serve_dhcp(...)')
            return None
        if network.gateway is None:
            raise InvalidValue('network without a gateway: there is no place for a DHCP server; use server "none"')
        reservations: dict[bytes, bytes] = {}
        segment = self.segment(network, network.gateway, driver.container_gateway(network))
        settings = dhcp_options.server_settings(options, segment, reservations)

        def place() -> tuple[Namespace, NetDevice]:
            return driver.gateway_device(network)

        return DhcpService(network.controller.kernel, place, settings, reservations)

    def segment(
        self, network: Network, server: ipaddress.IPv4Interface, router: ipaddress.IPv4Address | None
    ) -> Segment:
        """Return what a server on a network is told by the network."""
        pool = network.pools[0]
        taken = [] if pool.gateway is None else [pool.gateway.ip]
        taken += [*pool.aux_addresses.values(), *self._static.get(pool.pool_id, ())]
        ip_range = ipaddress.IPv4Network(pool.config.ip_range, strict=False) if pool.config.ip_range else None
        return Segment(server, router, ip_range, taken)

    def network_created(self, network: Network) -> None:
        """Start the server beside the gateway. Raises InvalidValue when the gateway has no address there."""
        service = self._networks[network.id].gateway_service
        if service is not None:
            service.start()

    def network_removed(self, network: Network) -> None:
        """Stop the servers of a network."""
        for service in self._networks.pop(network.id).services:
            service.hold(f"network {network.name} has been removed")

    def services(self, network: Network) -> list[DhcpService]:
        """Return the servers of a network, the one beside the gateway first; others serve until they are stopped."""
        return self._networks[network.id].services

    def gateway_service(self, network: Network) -> DhcpService | None:
        """Return the server beside the gateway; None when others serve."""
        return self._networks[network.id].gateway_service

    def lease_counts(self, network: Network) -> tuple[int, int]:
        """Return how many leases of a network's servers are used, and how many addresses are free."""
        services = self._networks[network.id].services
        return sum(service.used for service in services), sum(service.free for service in services)

    # -- endpoints ----------------------------------------------------------------------------------------------------

    def mac_for(self, network: Network, container_id: str) -> bytes | None:
        """Return the MAC address a container had on a network, so that a restart looks like one to the server."""
        memory = self._networks[network.id].memories.get(container_id)
        return None if memory is None else memory.mac

    def endpoint_joined(self, endpoint: Endpoint) -> None:
        """Start the client of an endpoint; a fixed address is reserved at the server, and asked for."""
        served = self._networks[endpoint.network.id]
        assert endpoint.sandbox is not None, endpoint
        assert endpoint.pool is not None, endpoint
        assert endpoint.mac is not None, endpoint
        typed = endpoint.settings.ipv4_address
        requested = None if typed is None else ipaddress.IPv4Address(typed)
        options = endpoint.network.ipam.options
        by_name = dhcp_options.choice(options, "client_id", ("mac", "name")) == "name"
        name = endpoint.sandbox.container_name
        if by_name and len(name) > CLIENT_NAME_MAX:
            raise InvalidValue(
                f'DHCP option client_id "name": expected container names of at most {CLIENT_NAME_MAX} characters, '
                f"not one of {len(name)}"
            )
        client_id = dhcp_options.client_id_of(name) if by_name else None
        if requested is not None:
            service = served.gateway_service
            if service is not None and service.reserve(endpoint.mac, client_id, requested.packed):
                served.reserved.add(endpoint.mac)
            self._pools.request_address(endpoint.pool.pool_id, requested, {})
        served.clients[endpoint.id] = EndpointLease(
            endpoint,
            profile_named(dhcp_options.choice(options, "client", tuple(PROFILES))),
            served.memories.get(endpoint.sandbox.container_id) or Memory(endpoint.mac),
            requested=requested,
            client_id=client_id,
            explain=lambda: self._explain(served),
        )

    def endpoint_leaving(self, endpoint: Endpoint) -> None:
        """End the client of an endpoint."""
        served = self._networks[endpoint.network.id]
        client = served.clients.pop(endpoint.id, None)
        if client is None:
            return  # its address was given by hand
        assert endpoint.sandbox is not None, endpoint
        assert endpoint.pool is not None, endpoint
        assert endpoint.mac is not None, endpoint
        sandbox = endpoint.sandbox
        served.memories[sandbox.container_id] = client.end(sandbox.keeps_leases)
        typed = endpoint.settings.ipv4_address
        if typed is not None:
            self._pools.release_address(endpoint.pool.pool_id, ipaddress.IPv4Address(typed))
            if served.gateway_service is not None and endpoint.mac in served.reserved:
                served.reserved.discard(endpoint.mac)
                del served.gateway_service.reservations[endpoint.mac]

    def client(self, endpoint: Endpoint) -> EndpointLease | None:
        """Return the client of an endpoint, None for one whose address was given by hand."""
        return self._networks[endpoint.network.id].clients.get(endpoint.id)

    def _explain(self, served: _Served) -> str:
        """Say why nobody answers a client, as far as that can be known here."""
        running = [service for service in served.services if service.running]
        if not running:
            return "no DHCP server runs on the network"
        if any(service.free for service in running):
            return ""
        network = served.network
        return self._profile.text("network_full", name=network.name, id=network.id)
