"""The swarm's manager: it makes overlay networks, gives them VNIs and subnets, and endpoints their addresses.

Source: libnetwork cnmallocator, FACTS 59, 70, 71. Limits: one manager, the host that was added first; there is no raft.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from emu.cnm import allocation
from emu.cnm.drivers.overlay_options import ENCRYPTED, VXLAN_ID_LIST, read_options
from emu.cnm.ipam.config import IpamConfig, IpamSettings, parse_address
from emu.cnm.ipam.default import DefaultIpam
from emu.cnm.ipam.dhcp import DHCP, DhcpIpam
from emu.cnm.ipam.driver import (
    GATEWAY,
    GLOBAL_ADDRESS_SPACE,
    REQUEST_ADDRESS_TYPE,
    SERIAL,
    IpamDriver,
    PoolRequest,
)
from emu.cnm.network import PREDEFINED, NetworkPool
from emu.cnm.swarm.definition import FLOOD_AND_LEARN, OVERLAY, OverlayDefinition
from emu.cnm.swarm.ids import SwarmIds
from emu.cnm.swarm.keys import KeyManager
from emu.cnm.swarm.vni import VniAllocator
from emu.kernel.errors import Conflict, EmuError, InvalidValue, NotFound, NotSupported
from emu.wire.esp import require_cryptography

if TYPE_CHECKING:
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.profile import Profile
    from emu.cnm.swarm.control_plane import ControlPlane
    from emu.cnm.swarm.node import SwarmNode
    from emu.cnm.swarm.options import SwarmOptions
    from emu.kernel import Kernel

INGRESS = "ingress"
DEADLINE = (
    "attaching to network failed, make sure your network options are correct and check manager logs: "
    "context deadline exceeded"
)
"""What Docker says after 20 s when the manager can't do what it was asked (FACT 71). Here it is said at once: a script
can't go on in between anyway, and nothing happens on the wire meanwhile."""
_SERIAL = {SERIAL: "true"}


class SwarmManager:
    """What a swarm knows of its networks and nodes.

    control_plane: distributes endpoint records. reachable: whether a node can reach the manager at this moment.
    settle_addresses: called before a node needs its address on the underlay.
    nodes: by name, in the order in which they joined. keys: for encrypted networks.
    """

    def __init__(
        self,
        kernel: Kernel,
        profile: Profile,
        options: SwarmOptions,
        control_plane: ControlPlane,
        reachable: Callable[[str], bool],
        settle_addresses: Callable[[], None],
    ) -> None:
        self.kernel = kernel
        self.profile = profile
        self.options = options
        self.control_plane = control_plane
        self.ids = SwarmIds(kernel)
        self.ipam = DefaultIpam(profile, global_pools=options.pools)
        self._dhcp = DhcpIpam(profile, self.ipam)
        self.nodes: dict[str, SwarmNode] = {}
        self.keys = KeyManager(kernel, self.nodes, reachable)
        self._reachable = reachable
        self._settle_addresses = settle_addresses
        self._vnis = VniAllocator()
        self._networks: dict[str, OverlayDefinition] = {}
        self._create_ingress()

    def _create_ingress(self) -> None:
        settings = IpamSettings("default", {}, [])
        self.ingress = self._create(INGRESS, settings, attachable=False, internal=False, ingress=True)

    # -- networks -----------------------------------------------------------------------------------------------------

    def create_network(
        self,
        name: str,
        ipam: IpamSettings,
        *,
        driver: str = OVERLAY,
        internal: bool = False,
        attachable: bool = False,
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> OverlayDefinition:
        """Make an overlay network, or with the driver "vxlan" one that floods and learns.

        A subnet that overlaps another network of the swarm is accepted, but such a network gets no driver and nobody
        can use it, as in Docker (FACT 71). The driver "vxlan" is not Docker's: there it is an error, and containers can
        always be attached.

        Raises Conflict for a name that is taken, InvalidValue for bad options, EmuError for an encrypted network
        without the package it needs.
        """
        if not name:
            raise InvalidValue(self.profile.text("empty_name"))
        if name in PREDEFINED:
            raise Conflict(f"operation is not permitted on predefined {name} network")
        if any(network.name == name for network in self._networks.values()):
            raise Conflict(f"network with name {name} already exists")
        self._check_ipam_driver(driver, ipam.driver)
        if driver == FLOOD_AND_LEARN:
            attachable = True
            for key in options or {}:
                if key in ENCRYPTED:
                    raise InvalidValue(
                        f'option {key}: networks of the driver "{driver}" can\'t be encrypted; leave it out'
                    )
        return self._create(
            name,
            ipam,
            driver=driver,
            internal=internal,
            attachable=attachable,
            options=options or {},
            labels=labels or {},
        )

    def _check_ipam_driver(self, driver: str, ipam_driver: str) -> None:
        if ipam_driver == DHCP and driver != FLOOD_AND_LEARN:
            raise NotSupported(
                f'ipam driver "{DHCP}" can\'t manage the addresses of an {driver} network: no broadcast, and so no '
                f'DISCOVER, crosses hosts there, only what has a known destination; use driver="{FLOOD_AND_LEARN}"'
            )
        if ipam_driver not in ("", "default", DHCP):
            raise NotSupported(f"ipam driver \"{ipam_driver}\" can't manage a swarm's addresses yet; leave it out")

    def ipam_driver(self, name: str) -> IpamDriver:
        """Return the address manager of a network, by the name of `_check_ipam_driver`."""
        return self._dhcp if name == DHCP else self.ipam

    def _create(
        self,
        name: str,
        ipam: IpamSettings,
        *,
        driver: str = OVERLAY,
        internal: bool,
        attachable: bool,
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        ingress: bool = False,
    ) -> OverlayDefinition:
        driver_options = read_options(options or {})
        if driver_options.encrypted:
            require_cryptography()
            self.keys.begin()
        network = OverlayDefinition(
            id=self.ids.object_id(),
            name=name,
            ipam=ipam,
            internal=internal,
            attachable=attachable,
            options=dict(options or {}),
            labels=dict(labels or {}),
            created_ns=int(self.kernel.now),
            mtu=driver_options.mtu,
            encrypted=driver_options.encrypted,
            driver=driver,
            ingress=ingress,
        )
        with ExitStack() as undo:
            try:
                self._allocate_pools(network, undo)
                self._allocate_vnis(network, driver_options.vnis, undo)
                network.allocated = True
                undo.pop_all()
            except Conflict:
                if network.floods:
                    raise
                network.pools.clear()
                network.vnis.clear()
        self._networks[network.id] = network
        if ipam.driver == DHCP:
            self._begin_leasing(network)
        return network

    def _begin_leasing(self, network: OverlayDefinition) -> None:
        """Start a network's server beside its gateway, which only the manager has; on an error there is no network."""
        local = next(iter(self.nodes.values())).network(network.id)
        assert local is not None, network
        try:
            self._dhcp.check_network(local)
            self._dhcp.network_created(local)
        except BaseException:
            self._forget(network)
            raise

    def _allocate_pools(self, network: OverlayDefinition, undo: ExitStack) -> None:
        """Reserve subnets and gateways; from then on they count as if the user had asked for them."""
        ipam, settings = self.ipam_driver(network.ipam.driver), network.ipam
        options = _SERIAL if ipam is self.ipam else settings.options
        for config in settings.configs or [IpamConfig()]:
            granted = ipam.request_pool(PoolRequest(GLOBAL_ADDRESS_SPACE, config.subnet, config.ip_range, options))
            assert granted.subnet is not None, granted
            undo.callback(ipam.release_pool, granted.pool_id)
            pool = NetworkPool(granted.pool_id, granted.subnet, config)
            preferred = parse_address(config.gateway, "gateway") if config.gateway else None
            gateway = ipam.request_address(granted.pool_id, preferred, {**_SERIAL, REQUEST_ADDRESS_TYPE: GATEWAY})
            assert isinstance(gateway, ipaddress.IPv4Interface), gateway
            pool.gateway = gateway
            for key, text in config.aux_addresses.items():
                pool.aux_addresses[key] = parse_address(text, "auxiliary address")
                ipam.request_address(granted.pool_id, pool.aux_addresses[key], _SERIAL)
            pool.config = IpamConfig(
                str(granted.subnet), config.ip_range, str(pool.gateway.ip), dict(config.aux_addresses)
            )
            network.pools.append(pool)
        configs = [pool.config for pool in network.pools]
        leases = ipam is not self.ipam
        network.ipam = IpamSettings(DHCP, settings.options, configs) if leases else IpamSettings("default", {}, configs)

    def _allocate_vnis(self, network: OverlayDefinition, chosen: tuple[int, ...], undo: ExitStack) -> None:
        for index, pool in enumerate(network.pools):
            if index < len(chosen):
                vni = self._vnis.take(chosen[index], pool.subnet)
            else:
                vni = self._vnis.take_next(pool.subnet)
            undo.callback(self._vnis.give_back, vni)
            network.vnis.append(vni)
        listed = ",".join(str(vni) for vni in network.vnis)
        network.options = dict(sorted({**network.options, VXLAN_ID_LIST: listed}.items()))

    def network(self, name_or_id: str) -> OverlayDefinition | None:
        """Return a network by id, name or unique beginning of an id; None when there is none."""
        found = self._networks.get(name_or_id)
        if found is not None:
            return found
        for network in self._networks.values():
            if network.name == name_or_id:
                return network
        matches = [network for key, network in self._networks.items() if name_or_id and key.startswith(name_or_id)]
        return matches[0] if len(matches) == 1 else None

    def networks(self) -> list[OverlayDefinition]:
        """Return all networks of the swarm in creation order, the ingress network first."""
        return list(self._networks.values())

    def remove_network(self, network: OverlayDefinition) -> None:
        """Remove a network; its VNIs are not used again soon, its subnets are.

        Raises Conflict while a container uses it. Raises NotSupported for the ingress network.
        """
        if network.ingress:
            raise NotSupported("the ingress network can't be removed: there would be no way to make it again yet")
        if network.id not in self._networks:
            raise NotFound(f"network {network.id} not found")
        for task in network.tasks.values():
            raise Conflict(f"rpc error: code = FailedPrecondition desc = network {network.id} is in use by task {task}")
        if network.ipam.driver == DHCP:
            local = next(iter(self.nodes.values())).network(network.id)
            assert local is not None, network
            self._dhcp.network_removed(local)
        self._forget(network)

    def _forget(self, network: OverlayDefinition) -> None:
        del self._networks[network.id]
        for vni in network.vnis:
            self._vnis.give_back(vni)
        for pool in reversed(network.pools):
            self.ipam_driver(network.ipam.driver).release_pool(pool.pool_id)
        for node in self.nodes.values():
            node.network_removed(network)

    def reachability_changed(self) -> None:
        """Take note that hosts may have been cut off or joined again."""
        self.keys.hand_out()
        self.control_plane.reachability_changed()

    # -- endpoints ----------------------------------------------------------------------------------------------------

    def check_attachable(self, network: OverlayDefinition) -> None:
        """Raise Conflict when containers may not be attached by hand."""
        if not network.attachable:
            raise Conflict(
                f"Could not attach to network {network.name}: rpc error: code = PermissionDenied desc = network "
                f"{network.name} not manually attachable"
            )

    def allocate_address(self, network: OverlayDefinition, node: str, endpoint: Endpoint, undo: ExitStack) -> None:
        """Reserve an endpoint's address: the one after the last, not the lowest free one (FACT 70).

        Raises Conflict `… context deadline exceeded` when there is none, the one asked for is taken or not in the
        network, the network overlaps another one, or the node is cut off from the manager.
        """
        self._settle_addresses()
        if not network.allocated or not self._reachable(node):
            raise Conflict(DEADLINE)
        try:
            allocation.allocate_address(endpoint, undo)
        except EmuError:
            raise Conflict(DEADLINE) from None

    def task_started(self, network: OverlayDefinition, endpoint_id: str) -> None:
        """Note that a container uses a network."""
        network.tasks[endpoint_id] = self.ids.object_id()

    def task_ended(self, network: OverlayDefinition, endpoint_id: str) -> None:
        """Note that it does no longer."""
        network.tasks.pop(endpoint_id, None)
