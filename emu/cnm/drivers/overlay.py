"""The overlay driver: containers on several hosts on one Ethernet segment, carried in VXLAN.

For every network in use on a host there is a namespace of its own with a bridge and a VXLAN device per subnet; it
comes with the first endpoint and goes with the last. Source: libnetwork drivers/overlay, FACTS 58, 63, 70.

Limits: IPv4 only; the load balancer's endpoint has an address and answers pings, but balances nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.cnm.drivers import links
from emu.cnm.drivers.driver import DriverCapabilities, JoinInfo, StaticRoute
from emu.cnm.drivers.overlay_sandbox import OverlaySandbox
from emu.cnm.endpoint import EndpointSettings
from emu.cnm.ids import mac_from_address
from emu.kernel.errors import InvalidValue

if TYPE_CHECKING:
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.network import Network
    from emu.cnm.sandbox import Sandbox
    from emu.cnm.swarm.node import SwarmNode
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace


class _Pair:
    """The two ends of an endpoint's veth pair."""

    __slots__ = ("container_end", "host_end")

    def __init__(self, host_end: NetDevice, container_end: NetDevice) -> None:
        self.host_end = host_end
        self.container_end = container_end


class OverlayNetwork:
    """What the driver keeps of a network that is in use on this host.

    sandbox: the namespace with its bridges and VXLAN devices. floods: whether it floods and learns, which is not
    Docker's way and has no load balancer. balancer: the load balancer's sandbox. is_gateway: this host has the only
    gateway of a network that leases its addresses, and keeps the namespace without containers, too.
    """

    __slots__ = ("balancer", "floods", "is_gateway", "making_balancer", "network", "pairs", "sandbox")

    def __init__(self, network: Network, sandbox: OverlaySandbox, floods: bool) -> None:
        self.network = network
        self.sandbox = sandbox
        self.floods = floods
        self.pairs: dict[str, _Pair] = {}
        self.balancer: Sandbox | None = None
        self.making_balancer = False
        self.is_gateway = False


class OverlayDriver:
    """Configures the overlay networks of one host.

    node: the host's side of the swarm.
    """

    def __init__(self, node: SwarmNode) -> None:
        self._node = node
        self._controller = node.controller
        #: networks in use here, by id
        self.networks: dict[str, OverlayNetwork] = {}

    def capabilities(self) -> DriverCapabilities:
        """Return what the controller has to know."""
        return DriverCapabilities(uses_gateway_bridge=True)

    def create_network(self, network: Network) -> None:
        """Make nothing yet: the first endpoint does."""

    def delete_network(self, network: Network) -> None:
        """Remove nothing: the last endpoint did."""

    # -- endpoints ----------------------------------------------------------------------------------------------------

    def create_endpoint(self, endpoint: Endpoint) -> None:
        """Make the veth pair and put its host end on the network's bridge; MACs are 02:42 and the address.

        With the first endpoint on this host come the network's namespace and the load balancer's endpoint.

        Raises InvalidValue for endpoint options. Raises Conflict when there is no address for the load balancer.
        """
        for key in endpoint.settings.driver_opts:
            raise InvalidValue(f"unknown endpoint option {key} of the overlay driver; it knows none")
        entry = self.networks.get(endpoint.network.id) or self._begin(endpoint.network)
        try:
            if entry.balancer is None and not entry.making_balancer and not entry.floods:
                self._make_balancer(entry)
        except BaseException:
            self._end(entry)
            raise
        if endpoint.mac is None:
            assert endpoint.address is not None, endpoint
            endpoint.mac = mac_from_address(endpoint.address.ip)
        self._make_pair(entry, endpoint)
        if not entry.making_balancer:
            assert endpoint.network.overlay is not None, endpoint
            self._node.manager.task_started(endpoint.network.overlay, endpoint.id)

    def _begin(self, network: Network) -> OverlayNetwork:
        assert network.overlay is not None, network
        sandbox = OverlaySandbox(self._node, network, network.overlay)
        entry = self.networks[network.id] = OverlayNetwork(network, sandbox, network.overlay.floods)
        network.created_ns = int(self._controller.kernel.now)
        self._node.control_plane.join_network(self._node.name, network.id, sandbox)
        return entry

    def _end(self, entry: OverlayNetwork) -> None:
        """Remove the network's namespace; nobody on this host uses it any more."""
        assert not entry.pairs, entry.pairs
        network = entry.network
        del self.networks[network.id]
        self._node.control_plane.leave_network(self._node.name, network.id)
        network.peers.clear()
        entry.sandbox.delete()

    def _make_balancer(self, entry: OverlayNetwork) -> None:
        network = entry.network
        sandbox = self._controller.create_sandbox(
            f"{self._node.name}/lb-{network.name}", f"lb-{network.name}", hostname=f"lb-{network.name}"
        )
        entry.making_balancer = True
        try:
            self._controller.attach(network, sandbox, f"{network.name}-endpoint", EndpointSettings(), ())
        except BaseException:
            self._controller.delete_sandbox(sandbox)
            raise
        finally:
            entry.making_balancer = False
        entry.balancer = sandbox

    def _make_pair(self, entry: OverlayNetwork, endpoint: Endpoint) -> None:
        segment = entry.sandbox.segment_of(None if endpoint.address is None else endpoint.address.ip)
        ids = self._controller.ids
        host_end, container_end = links.make_veth(
            self._controller,
            entry.sandbox.next_name("veth"),
            ids.random_mac(),
            ids.veth_name(),
            ids.random_mac(),
            entry.sandbox.mtu,
        )
        entry.sandbox.namespace.add_device(host_end)
        segment.bridge.add_port(host_end)
        host_end.set_up()
        entry.pairs[endpoint.id] = _Pair(host_end, container_end)

    def delete_endpoint(self, endpoint: Endpoint) -> None:
        """Remove the veth pair; with the last container the load balancer's endpoint and the namespace go."""
        entry = self.networks[endpoint.network.id]
        pair = entry.pairs.pop(endpoint.id)
        entry.sandbox.namespace.remove_device(pair.host_end)
        pair.host_end.delete()
        assert endpoint.network.overlay is not None, endpoint
        self._node.manager.task_ended(endpoint.network.overlay, endpoint.id)
        balancer = entry.balancer
        if balancer is not None and len(entry.pairs) == 1:
            entry.balancer = None
            entry.making_balancer = True  # what is deleted now is the balancer's own endpoint
            self._controller.delete_sandbox(balancer)
            self._end(entry)
        elif entry.floods and not entry.pairs and not entry.is_gateway:
            self._end(entry)

    def gateway_device(self, network: Network) -> tuple[Namespace, NetDevice]:
        """Return the bridge of a network whose only gateway is here; its namespace stays as long as the network."""
        entry = self.networks.get(network.id) or self._begin(network)
        bridge = entry.sandbox.segment_of(None).bridge
        if not entry.is_gateway:
            entry.is_gateway = True
            if network.gateway is not None:
                entry.sandbox.namespace.add_address(bridge, str(network.gateway))
            self._node.publish_gateway(network, bridge.mac)
        return entry.sandbox.namespace, bridge

    def container_gateway(self, network: Network) -> None:
        """Return that containers have no gateway on it: their way out is docker_gwbridge."""

    def end_gateway(self, network: Network) -> None:
        """Remove the namespace that a gateway was in. Nothing on other hosts."""
        entry = self.networks.get(network.id)
        if entry is not None and entry.is_gateway:
            self._node.withdraw_gateway(network)
            self._end(entry)

    def address_bound(self, endpoint: Endpoint) -> None:
        """Tell the other nodes the address of an endpoint that was leased one."""
        self._node.publish(endpoint)

    def address_unbound(self, endpoint: Endpoint) -> None:
        """Tell the other nodes that it has none any more."""
        address, endpoint.address = endpoint.address, None
        self._node.publish(endpoint)
        endpoint.address = address

    def join(self, endpoint: Endpoint, sandbox: Sandbox) -> JoinInfo:
        """Give the sandbox the container end and routes to the network's other subnets; tell the other nodes."""
        entry = self.networks[endpoint.network.id]
        profile = self._controller.profile
        self._node.publish(endpoint)
        return JoinInfo(
            device=entry.pairs[endpoint.id].container_end,
            static_routes=_routes(endpoint),
            announce_count=profile.announce_count,
            announce_interval_ns=profile.announce_interval_ns,
        )

    def leave(self, endpoint: Endpoint) -> None:
        """Tell the other nodes that the endpoint is gone."""
        self._node.withdraw(endpoint)


def _routes(endpoint: Endpoint) -> list[StaticRoute]:
    """Return the routes to the network's other subnets: through the gateway of the endpoint's own."""
    own = endpoint.pool
    assert own is not None, endpoint
    assert own.gateway is not None, endpoint
    return [
        StaticRoute(pool.subnet, own.gateway.ip)
        for pool in endpoint.network.pools
        if pool is not own and pool.subnet is not None
    ]
