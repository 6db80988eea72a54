"""The bridge driver: one Linux bridge per network, one veth pair per endpoint.

Source: libnetwork drivers/bridge, FACTS 1-9. Limits: IPv4 only; no published ports and no address translation.
"""

from __future__ import annotations

import ipaddress
from contextlib import ExitStack
from typing import TYPE_CHECKING

from emu.cnm.drivers import firewall, links
from emu.cnm.drivers.bridge_options import BridgeOptions, interface_name, read_options
from emu.cnm.drivers.driver import DriverCapabilities, JoinInfo
from emu.cnm.ids import mac_from_address
from emu.kernel.errors import Conflict, InvalidValue, NotFound, NotSupported

if TYPE_CHECKING:
    from emu.cnm.controller import Controller
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.network import Network
    from emu.cnm.sandbox import Sandbox
    from emu.device.bridge import Bridge
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace

DEFAULT_GATEWAY_KEY = "DefaultGatewayIPv4"


class BridgeNetwork:
    """What the driver keeps of one network: its options and its bridge device."""

    __slots__ = ("device", "network", "options")

    def __init__(self, network: Network, options: BridgeOptions, device: Bridge) -> None:
        self.network = network
        self.options = options
        self.device = device


class _Pair:
    """The two ends of an endpoint's veth pair."""

    __slots__ = ("container_end", "host_end")

    def __init__(self, host_end: NetDevice, container_end: NetDevice) -> None:
        self.host_end = host_end
        self.container_end = container_end


class BridgeDriver:
    """Configures bridges and veth pairs in the host's namespace.

    controller: the host's controller.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._profile = controller.profile
        #: networks by id, in creation order
        self.networks: dict[str, BridgeNetwork] = {}
        self._pairs: dict[str, _Pair] = {}
        links.prepare_host(controller.namespace)

    def capabilities(self) -> DriverCapabilities:
        """Return what the controller has to know."""
        return DriverCapabilities()

    def skips_gateway(self, network: Network) -> bool:
        """Say whether the network does without a gateway: internal and without a bridge address (28 on)."""
        if not (network.internal and self._profile.host_bits_refused):
            return False
        return read_options(self._profile, network.options, is_default=False).inhibit_ipv4

    def create_network(self, network: Network) -> None:
        """Make the bridge, give it the gateway's address, and set the firewall.

        Raises InvalidValue for wrong options; for more than one subnet.
        Raises Conflict when the device's name or the subnet belongs to another network.
        """
        if len(network.pools) > 1:
            raise InvalidValue("bridge driver doesn't support multiple subnets")
        if network.subnet is None:
            raise InvalidValue("ipv4 pool is empty")
        options = read_options(self._profile, network.options, is_default=network.is_default_bridge)
        name = options.name or f"br-{network.short_id}"
        self._check_conflicts(network, name)
        _check_default_gateway(network)
        mac = self._controller.ids.prefixed_mac if self._profile.bridge_mac_prefixed \
            else self._controller.ids.random_mac  # fmt: skip
        with ExitStack() as undo:
            device = links.make_bridge(self._controller, name, mac())
            self._controller.namespace.add_device(device, name)
            undo.callback(self._controller.namespace.remove_device, device)
            if options.mtu and not self._profile.bridge_mtu_on_first_join:
                device.set_mtu(options.mtu)
            device.set_up()
            if network.gateway is not None and not options.inhibit_ipv4:
                self._controller.namespace.add_address(device, str(network.gateway))
            self.networks[network.id] = BridgeNetwork(network, options, device)
            undo.callback(self.networks.pop, network.id)
            self._update_firewall()
            undo.pop_all()

    def _check_conflicts(self, network: Network, name: str) -> None:
        for other in self.networks.values():
            reason = ""
            if other.device.name == name:
                reason = "networks have same bridge name"
            elif network.subnet is not None and other.network.subnet is not None \
                    and other.network.subnet.overlaps(network.subnet):  # fmt: skip
                reason = "networks have overlapping IPv4"
            if reason:
                raise Conflict(
                    f"cannot create network {network.id} ({name}): conflicts with network {other.network.id} "
                    f"({other.device.name}): {reason}"
                )
        existing = self._controller.namespace.devices.get(name)
        if existing is not None:
            if existing.kind != "bridge":
                raise Conflict(f"existing interface {name} is not a bridge")
            raise NotSupported(f"interface {name} exists already: using a bridge made elsewhere is not built yet")

    def delete_network(self, network: Network) -> None:
        """Remove the bridge and its rules."""
        entry = self.networks.pop(network.id)
        self._controller.namespace.remove_device(entry.device)
        entry.device.delete()
        self._update_firewall()

    def _update_firewall(self) -> None:
        firewall.apply(self._profile, self._controller.namespace, list(self.networks.values()))

    def create_endpoint(self, endpoint: Endpoint) -> None:
        """Make the veth pair and put its host end on the bridge; choose the MAC address when none is given.

        Raises InvalidValue for unknown endpoint options.
        """
        interface_name(self._profile, endpoint.settings.driver_opts)
        entry = self.networks[endpoint.network.id]
        if endpoint.mac is None:
            endpoint.mac = self._choose_mac(endpoint)
        host_name, container_name = self._veth_name(), self._veth_name()
        host_end, container_end = links.make_veth(
            self._controller,
            host_name,
            self._controller.ids.random_mac(),
            container_name,
            self._controller.ids.random_mac(),
            entry.options.mtu or 1500,
        )
        namespace = self._controller.namespace
        namespace.add_device(host_end, host_name)
        entry.device.add_port(host_end)
        host_end.set_up()
        self._pairs[endpoint.id] = _Pair(host_end, container_end)

    def _choose_mac(self, endpoint: Endpoint) -> bytes:
        if self._profile.mac_from_address and endpoint.address is not None:
            return mac_from_address(endpoint.address.ip)
        return self._controller.ids.random_mac()

    def _veth_name(self) -> str:
        name = self._controller.ids.veth_name()
        while name in self._controller.namespace.devices:
            name = self._controller.ids.veth_name()
        return name

    def delete_endpoint(self, endpoint: Endpoint) -> None:
        """Remove the veth pair; the bridge forgets its addresses at once (FACT 13)."""
        pair = self._pairs.pop(endpoint.id)
        self._controller.namespace.remove_device(pair.host_end)
        pair.host_end.delete()

    def join(self, endpoint: Endpoint, sandbox: Sandbox) -> JoinInfo:
        """Give the sandbox the container end, and the gateway unless the network is internal (FACT 9)."""
        entry = self.networks[endpoint.network.id]
        self.address_bound(endpoint)
        return JoinInfo(
            device=self._pairs[endpoint.id].container_end,
            name_prefix=entry.options.interface_prefix,
            name=interface_name(self._profile, endpoint.settings.driver_opts),
            gateway=self.container_gateway(endpoint.network),
            announce_count=entry.options.announce_count,
            announce_interval_ns=entry.options.announce_interval_ns,
        )

    def gateway_device(self, network: Network) -> tuple[Namespace, NetDevice]:
        """Return the network's bridge and the host's namespace; raises NotFound once the network has been removed."""
        entry = self.networks.get(network.id)
        if entry is None:
            raise NotFound(f"network {network.name} not found")
        return self._controller.namespace, entry.device

    def container_gateway(self, network: Network) -> ipaddress.IPv4Address | None:
        """Return the gateway of containers: none on internal networks, unless the engine has one there (FACT 9)."""
        if network.internal and not self._profile.internal_default_route:
            return None
        other = network.pools[0].aux_addresses.get(DEFAULT_GATEWAY_KEY)
        if other is not None:
            return other
        return None if network.gateway is None else network.gateway.ip

    def address_bound(self, endpoint: Endpoint) -> None:
        """Let packets to the endpoint's address in through its own bridge only (from engine 28 on, FACT 47)."""
        network = endpoint.network
        if endpoint.address is None or network.internal or not self._profile.raw_drops:
            return
        bridge = self.networks[network.id].device.name
        self._controller.namespace.raw.protect(endpoint.address.ip.packed, bridge)

    def address_unbound(self, endpoint: Endpoint) -> None:
        """Withdraw the rule for the endpoint's address."""
        self.leave(endpoint)

    def leave(self, endpoint: Endpoint) -> None:
        """Withdraw the rule for the endpoint's address; the container end goes with the endpoint."""
        if endpoint.address is not None:
            self._controller.namespace.raw.release(endpoint.address.ip.packed)


def _check_default_gateway(network: Network) -> None:
    other = network.pools[0].aux_addresses.get(DEFAULT_GATEWAY_KEY)
    if other is not None and network.subnet is not None and other not in network.subnet:
        raise InvalidValue("default gateway ip must be part of the network")
