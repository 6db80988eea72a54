"""The swarm: hosts that share overlay networks. `net.swarm`."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emu.capture.esp_sa import EspKey
from emu.cnm.default_gateway import gateway_bridge
from emu.cnm.ipam.config import from_flags
from emu.cnm.network import options_as_text
from emu.cnm.swarm.definition import OVERLAY
from emu.cnm.swarm.manager import SwarmManager
from emu.cnm.swarm.node import NOT_A_MANAGER, SwarmNode
from emu.cnm.swarm.options import read_options
from emu.cnm.swarm.replication import INSTANT, Delays, Replication, delayed
from emu.host import Host
from emu.kernel.errors import Conflict, InvalidValue, NotSupported
from emu.swarm_network import SwarmNetwork
from emu.wire.address import ipv4_to_text

if TYPE_CHECKING:
    from emu.cnm.network import Network as CnmNetwork
    from emu.cnm.swarm.control_plane import ControlPlane
    from emu.device.netdevice import NetDevice
    from emu.emulation import Emulation

MakeControlPlane = Callable[[Any, Callable[[str, str], bool]], "ControlPlane"]
"""Makes a control plane of one's own, from the kernel and a function that tells whether two nodes reach each other."""

INSTANT_NAME, DELAYED_NAME = "instant", "delayed"


class Swarm:
    """All hosts of an emulation together, as far as overlay networks are concerned.

    It begins with the first overlay network, or with `init` for other options than Docker's. Then every host is a
    node, also those added later; the first host is the manager. A host has an address for VXLAN as soon as it has a
    link.
    """

    def __init__(self, net: Emulation) -> None:
        self._net = net
        self._manager: SwarmManager | None = None
        self._cut_off: dict[str, None] = {}
        #: who is joined by links that carry; None when that has to be found out anew
        self._groups: dict[str, int] | None = None
        self._watched: dict[NetDevice, None] = {}
        self._networks: dict[str, SwarmNetwork] = {}

    # -- the swarm itself ---------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether there is a swarm."""
        return self._manager is not None

    @property
    def manager(self) -> SwarmManager:
        """What the manager knows; the swarm begins when it is first asked for."""
        if self._manager is None:
            self.init()
        assert self._manager is not None, "init() made it"
        return self._manager

    @property
    def nodes(self) -> list[str]:
        """The names of the hosts that are part of it, the manager first."""
        return list(self.manager.nodes)

    def init(
        self,
        default_addr_pool: str | Sequence[str] | None = None,
        default_addr_pool_mask_length: int | None = None,
        data_path_port: int | None = None,
        control_plane: str | MakeControlPlane = INSTANT_NAME,
        propagation: tuple[str | int, str | int] | None = None,
        propagation_to: Mapping[str, tuple[str | int, str | int]] | None = None,
    ) -> None:
        """Begin the swarm, as `docker swarm init` on the first host and `docker swarm join` on all others.

        default_addr_pool: what subnets are cut from, "10.0.0.0/8"; several are possible.
        default_addr_pool_mask_length: prefix length of the subnets, 24. data_path_port: of VXLAN, 4789.
        control_plane: "instant": all nodes know of every endpoint at once; "delayed": as Docker's gossip: updates
            take a while, a node that is cut off is noticed 5 to 10 s later, one that is back within 5 s.
        propagation: with "delayed": lowest and highest delay of an update, ("10ms", "400ms").
        propagation_to: the same for single receiving hosts, by name.
        Raises Conflict when there is a swarm already, InvalidValue for bad values.
        """
        if self._manager is not None:
            raise Conflict(
                'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another '
                "one."
            )
        options = read_options(default_addr_pool, default_addr_pool_mask_length, data_path_port)
        plane = self._make_control_plane(control_plane, propagation, propagation_to)
        self._manager = SwarmManager(
            self._net.kernel, self._net.profile, options, plane, self._reaches_manager, self.settle_addresses
        )
        for host in self._net.hosts.values():
            if host.name not in self._manager.nodes:
                self.join(host)
        self.links_changed()

    def _make_control_plane(
        self,
        choice: str | MakeControlPlane,
        propagation: tuple[str | int, str | int] | None,
        propagation_to: Mapping[str, tuple[str | int, str | int]] | None,
    ) -> ControlPlane:
        if callable(choice):
            return choice(self._net.kernel, self._reachable)
        if choice not in (INSTANT_NAME, DELAYED_NAME):
            raise InvalidValue(f'invalid control plane {choice!r}: expected "{INSTANT_NAME}" or "{DELAYED_NAME}"')
        if choice == INSTANT_NAME and (propagation is not None or propagation_to):
            raise InvalidValue(f'propagation= and propagation_to= need control_plane="{DELAYED_NAME}"')
        delays: Delays = INSTANT if choice == INSTANT_NAME else delayed(propagation, propagation_to)
        return Replication(self._net.kernel, delays, self._reachable)

    def join(self, host: Host | str) -> None:
        """Let a host join, as `docker swarm join`. Raises Conflict when it is part of the swarm already."""
        found = self._host(host)
        manager = self.manager
        if found.controller.swarm is not None:
            raise Conflict(f"{found.name}: this node is already part of a swarm")
        node = SwarmNode(manager, found.controller, is_manager=not manager.nodes)
        manager.nodes[found.name] = node
        found.controller.swarm = node
        gateway_bridge(found.controller)
        manager.control_plane.node_joined(found.name)

    def leave(self, host: Host | str) -> None:
        """Let a worker leave, as `docker swarm leave`. Raises Conflict for the manager, and for hosts in use."""
        found = self._host(host)
        node = self._node(found)
        if node.is_manager:
            raise Conflict(
                "You are attempting to leave the swarm on a node that is participating as a manager. Removing the "
                "last manager erases all current state of the swarm. Use `--force` to ignore this message."
            )
        node.leave()
        self.manager.control_plane.node_left(found.name)
        del self.manager.nodes[found.name]
        found.controller.swarm = None

    # -- what goes wrong ----------------------------------------------------------------------------------------------

    def drop_next(self, host: Host | str, kind: str) -> None:
        """Lose the next update of endpoints that another host sends to this one.

        kind: "create" or "delete". With the control plane "delayed" a bulk sync brings it within 30 s, with "instant"
        it stays lost. Raises InvalidValue for another kind.
        """
        self.manager.control_plane.drop_next(self._host(host).name, kind)

    def cut_off(self, host: Host | str) -> None:
        """Let the control plane of a host reach nobody; its links carry data on. A link that is down does both."""
        self._cut_off[self._node(self._host(host)).name] = None
        self.manager.reachability_changed()

    def repair(self, host: Host | str) -> None:
        """Undo `cut_off`."""
        self._cut_off.pop(self._node(self._host(host)).name, None)
        self.manager.reachability_changed()

    def rotate_keys(self) -> None:
        """Make a new key for encrypted networks now, as the manager does by itself every twelve hours.

        Every host has three keys: it sends with one, receives with all, and forgets the oldest one. A host that is cut
        off gets the new key when it is back.
        """
        self.manager.keys.rotate()

    def esp_keys(self) -> list[EspKey]:
        """The keys of all encrypted tunnels there were so far, for whoever wants to decrypt a capture."""
        return [
            EspKey(ipv4_to_text(state.source), ipv4_to_text(state.destination), state.spi, state.key_and_salt)
            for host in self._net.hosts.values()
            for state in host.namespace.xfrm.history
        ]

    def links_changed(self) -> None:
        """Take note of links that are new, up or down."""
        if self._manager is None:
            return
        self._groups = None
        for link in self._net.underlay.links:
            for port in link.ends:
                if port.device not in self._watched:
                    self._watched[port.device] = None
                    port.device.change_listeners.append(self._port_changed)
        self._manager.reachability_changed()

    def _port_changed(self, device: NetDevice) -> None:
        self._groups = None
        self.manager.reachability_changed()

    def _reachable(self, one: str, other: str) -> bool:
        """Whether two hosts' control planes reach each other at this moment."""
        if one in self._cut_off or other in self._cut_off:
            return False
        if self._groups is None:
            self._groups = self._net.underlay.groups()
        return one in self._groups and self._groups[one] == self._groups.get(other)

    def _reaches_manager(self, name: str) -> bool:
        """Whether a node can ask the manager; one that has no link yet can, so that links may come last in a script."""
        manager = next(iter(self.manager.nodes))
        if name == manager or (name not in self._cut_off and not self._net.underlay.ports_of(self._net.hosts[name])):
            return True
        return self._reachable(name, manager)

    def settle_addresses(self) -> None:
        """Give nodes the addresses that their hosts have on the underlay by now."""
        if self._manager is None:
            return
        self._net.underlay.settle()
        for name, node in self._manager.nodes.items():
            addresses = self._net.underlay.addresses_of(self._net.hosts[name])
            if addresses:
                node.set_address(ipaddress.IPv4Address(addresses[0]))

    def _host(self, host: Host | str) -> Host:
        if isinstance(host, Host):
            return host
        return self._net.find_host(host)

    def _node(self, host: Host) -> SwarmNode:
        node = self.manager.nodes.get(host.name)
        if node is None:
            raise Conflict(f"{host.name}: This node is not part of a swarm")
        return node

    # -- networks -----------------------------------------------------------------------------------------------------

    def create_network(
        self,
        host: Host | None,
        name: str,
        subnet: str | Sequence[str] | None = None,
        ip_range: str | Sequence[str] | None = None,
        gateway: str | Sequence[str] | None = None,
        aux_addresses: Mapping[str, str] | None = None,
        ipam: Any = None,
        internal: bool = False,
        attachable: bool = False,
        ipv6: bool = False,
        options: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        driver: str = OVERLAY,
    ) -> SwarmNetwork:
        """Make an overlay network; scripts use `net.networks.create(name, driver="overlay")`.

        host: where the command is given; None is the manager. driver: "overlay", or "vxlan" for flood and learn.
        """
        if ipv6:
            raise NotSupported("ipv6=True: IPv6 networks are not built yet; leave it out")
        manager = self.manager
        node = next(iter(manager.nodes.values())) if host is None else self._node(host)
        if not node.is_manager:
            raise Conflict(NOT_A_MANAGER)
        flags = from_flags(self._net.profile, subnet, ip_range, gateway, aux_addresses)
        node.controller.check_name(name)
        definition = manager.create_network(
            name,
            node.controller.plugins.ipam_settings(ipam, flags),
            driver=driver,
            internal=internal,
            attachable=attachable,
            options=options_as_text(options),
            labels=labels,
        )
        return self.network(definition.id)

    def network(self, name_or_id: str) -> SwarmNetwork:
        """The one object that scripts hold for an overlay network. Raises NotFound: `network x not found`."""
        host = self._net.hosts[next(iter(self.manager.nodes))]
        network = host.controller.network(name_or_id)
        known = self._networks.get(network.id)
        if known is None:
            known = self._networks[network.id] = SwarmNetwork(host, network)
        return known

    def networks(self) -> list[SwarmNetwork]:
        """All networks of the swarm, the ingress network first; none without a swarm."""
        if self._manager is None:
            return []
        return [self.network(definition.id) for definition in self._manager.networks()]

    def wrap(self, host: Host, network: CnmNetwork) -> SwarmNetwork | None:
        """The shared object of an overlay network as the manager sees it; None for a worker's own view."""
        assert host.controller.swarm is not None, host
        return self.network(network.id) if host.controller.swarm.is_manager else None

    def __repr__(self) -> str:
        return f"<Swarm of {', '.join(self.nodes)}>" if self.active else "<Swarm, not begun>"
