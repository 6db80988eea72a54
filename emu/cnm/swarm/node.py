"""One host's side of the swarm: the overlay networks it can see, and what it tells and is told about endpoints."""

from __future__ import annotations

import ipaddress
from contextlib import ExitStack
from typing import TYPE_CHECKING

from emu.cnm.drivers.encryption import Encryption
from emu.cnm.drivers.overlay import OverlayDriver
from emu.cnm.ipam.config import IpamSettings
from emu.cnm.ipam.driver import SERIAL
from emu.cnm.network import Network
from emu.cnm.swarm.records import PeerRecord
from emu.kernel.errors import Conflict

if TYPE_CHECKING:
    from emu.cnm.controller import Controller
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.swarm.control_plane import ControlPlane
    from emu.cnm.swarm.definition import OverlayDefinition
    from emu.cnm.swarm.manager import SwarmManager

NOT_A_MANAGER = (
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this "
    "command on a manager node or promote the current node to a manager."
)


class SwarmNode:
    """A host that is part of the swarm.

    name: the host's. id: 25 digits, new whenever it joins. peer_name: what `Peers` calls it.
    address: where other nodes send VXLAN to; None while the host has no address on the underlay.
    """

    def __init__(self, manager: SwarmManager, controller: Controller, *, is_manager: bool) -> None:
        self.manager = manager
        self.controller = controller
        self.name = controller.host_name
        self.is_manager = is_manager
        self.id = manager.ids.object_id()
        self.peer_name = manager.ids.peer_name()
        self.address: ipaddress.IPv4Address | None = None
        self.encryption = Encryption(self)
        self.encryption.set_keys(manager.keys.keys)
        self.driver = OverlayDriver(self)
        self._networks: dict[str, Network] = {}
        self._published: dict[str, PeerRecord] = {}

    @property
    def control_plane(self) -> ControlPlane:
        """What distributes endpoint records."""
        return self.manager.control_plane

    # -- networks -----------------------------------------------------------------------------------------------------

    def network(self, name_or_id: str) -> Network | None:
        """Return a network of the swarm as this host has or would have it; None when there is none."""
        definition = self.manager.network(name_or_id)
        return None if definition is None else self._local(definition)

    def visible(self) -> list[Network]:
        """Return what `docker network ls` lists of the swarm here.

        The manager lists all; a worker the ingress network and those that a container here uses (FACT 72).
        """
        return [network for network in map(self._local, self.manager.networks()) if self.sees(network)]

    def sees(self, network: Network) -> bool:
        """Say whether `docker network ls` lists a network of the swarm here."""
        return self.is_manager or network.is_ingress or bool(network.endpoints)

    def _local(self, definition: OverlayDefinition) -> Network:
        known = self._networks.get(definition.id)
        if known is None:
            known = Network(
                self.controller,
                definition.id,
                definition.name,
                definition.driver if definition.allocated else "",
                self.driver,
                ipam=self._ipam_settings(definition),
                ipam_driver=self.manager.ipam_driver(definition.ipam.driver),
                internal=definition.internal,
                attachable=definition.attachable,
                options=definition.options if definition.allocated else {},
                labels=definition.labels,
            )
            known.scope = "swarm"
            known.overlay = definition
            known.pools = definition.pools
            known.created_ns = definition.created_ns
            self._networks[definition.id] = known
        return known

    def _ipam_settings(self, definition: OverlayDefinition) -> IpamSettings:
        settings = definition.ipam
        if settings.driver != "default":
            return settings
        return IpamSettings("default" if definition.allocated else "", {SERIAL: "true"}, settings.configs)

    def remove_network(self, definition: OverlayDefinition) -> None:
        """Remove a network from the swarm. Raises Conflict while it is used, and on a host that is no manager."""
        if not self.is_manager:
            raise Conflict(NOT_A_MANAGER)
        self.manager.remove_network(definition)

    def network_removed(self, definition: OverlayDefinition) -> None:
        """Forget a network that the manager has removed."""
        network = self._networks.pop(definition.id, None)
        if network is not None:
            self.driver.end_gateway(network)

    def peers_of(self, network: Network) -> list[dict[str, str]]:
        """Return the `Peers` of `docker network inspect`: the nodes that have the network, as seen from here."""
        members = list(self.manager.nodes) if network.is_ingress else self.control_plane.members(network.id)
        nodes = [self.manager.nodes[name] for name in members if name in self.manager.nodes]
        return [{"Name": node.peer_name, "IP": str(node.address or "0.0.0.0")} for node in nodes]

    # -- endpoints ----------------------------------------------------------------------------------------------------

    def check_attachable(self, network: Network) -> None:
        """Raise Conflict when containers may not be attached to a network by hand."""
        assert network.overlay is not None, network
        self.manager.check_attachable(network.overlay)

    def allocate_address(self, endpoint: Endpoint, undo: ExitStack) -> None:
        """Let the manager reserve an address; raises Conflict when it doesn't."""
        definition = endpoint.network.overlay
        assert definition is not None, endpoint
        self.manager.allocate_address(definition, self.name, endpoint, undo)

    def publish(self, endpoint: Endpoint) -> None:
        """Tell the other nodes about an endpoint of this host that is new or has got or lost its address."""
        assert endpoint.mac is not None, endpoint
        record = PeerRecord(
            endpoint.id,
            endpoint.network.id,
            self.name,
            endpoint.address,
            endpoint.mac,
            self.address,
            tuple(endpoint.dns_names),
        )
        self._published[endpoint.id] = record
        self.control_plane.publish(record)

    def publish_gateway(self, network: Network, mac: bytes) -> None:
        """Tell the other nodes that this host has the only gateway of a network, so that they flood to it."""
        key = f"gateway-{network.id}"
        record = PeerRecord(key, network.id, self.name, network.gateway, mac, self.address)
        self._published[key] = record
        self.control_plane.publish(record)

    def withdraw_gateway(self, network: Network) -> None:
        """Tell them that it is gone."""
        self.control_plane.withdraw(self._published.pop(f"gateway-{network.id}"))

    def withdraw(self, endpoint: Endpoint) -> None:
        """Tell the other nodes that an endpoint is gone."""
        self.control_plane.withdraw(self._published.pop(endpoint.id))

    def set_address(self, address: ipaddress.IPv4Address | None) -> None:
        """Take note of the host's address on the underlay, and tell it to the other nodes."""
        if address == self.address:
            return
        self.address = address
        self.encryption.address_changed()
        for key, old in list(self._published.items()):
            record = PeerRecord(old.endpoint_id, old.network_id, old.node, old.address, old.mac, address, old.names)
            self._published[key] = record
            self.control_plane.publish(record)

    def leave(self) -> None:
        """Leave the swarm. Raises Conflict while containers use its networks."""
        used = [network.name for network in self._networks.values() if network.endpoints]
        if used:
            raise Conflict(f"{self.name} can't leave the swarm: containers use its networks {', '.join(used)}")
