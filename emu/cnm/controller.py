"""The controller of one host: it makes networks, sandboxes and endpoints, and undoes what fails half-way."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from emu.cnm import allocation, default_gateway, names
from emu.cnm.drivers.bridge_options import DEFAULT_BRIDGE_OPTIONS
from emu.cnm.drivers.driver import Driver
from emu.cnm.endpoint import Endpoint, EndpointSettings
from emu.cnm.ids import IdSource, parse_mac
from emu.cnm.ipam.config import IpamSettings, from_flags
from emu.cnm.ipam.driver import IpamDriver, LeasesOnTheWire
from emu.cnm.network import PREDEFINED, Network, options_as_text
from emu.cnm.plugins import Plugins
from emu.cnm.profile import Profile
from emu.cnm.sandbox import Sandbox, refuse_deleted
from emu.cnm.settings import check_modes, check_settings, ignores_address
from emu.kernel.errors import Conflict, InvalidValue, NotFound, NotSupported
from emu.stack.namespace import Namespace

if TYPE_CHECKING:
    from emu.cnm.swarm.node import SwarmNode
    from emu.device.netdevice import NetDevice
    from emu.kernel import Kernel


class Controller:
    """The Container Network Model of one host, as libnetwork keeps it.

    The networks `none`, `host` and `bridge` (device docker0) are there from the start.

    kernel: the emulation's kernel.
    namespace: the host's own namespace.
    profile: the engine's switches.
    host_name: names the random streams.
    on_device_added: passed to the namespaces of sandboxes, for captures.
    cpu: the host's CPU, passed to the namespaces of sandboxes.
    nameservers: the host's resolvers; default pools avoid them.
    addresses_changed: called when an endpoint has been given an address after it had joined.
    """

    def __init__(
        self,
        kernel: Kernel,
        namespace: Namespace,
        *,
        profile: Profile,
        host_name: str,
        on_device_added: Callable[[NetDevice], None] | None = None,
        cpu: Any = None,
        nameservers: Sequence[str] = (),
        addresses_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.kernel = kernel
        self.namespace = namespace
        self.profile = profile
        self.host_name = host_name
        self.cpu = cpu
        self.on_device_added = on_device_added
        self.addresses_changed = addresses_changed
        self.nameservers = [ipaddress.IPv4Network(text) for text in nameservers]
        self.ids = IdSource(kernel, host_name)
        #: the host's side of the swarm, None when it isn't part of one
        self.swarm: SwarmNode | None = None
        self._shuffle = kernel.random(f"cnm dns {host_name}")
        self._networks: dict[str, Network] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self.plugins = Plugins(self)
        self._create("none", "null", IpamSettings("null"))
        self._create("host", "host", IpamSettings("null"))
        self._create("bridge", "bridge", IpamSettings(), options=DEFAULT_BRIDGE_OPTIONS)

    # Drivers

    def register_driver(self, name: str, driver: Driver) -> None:
        """Add a network driver under a name.

        Raises Conflict when the name is taken.
        """
        self.plugins.drivers.register(name, driver)

    def register_ipam_driver(self, name: str, driver: IpamDriver) -> None:
        """Add an address manager under a name.

        Raises Conflict when the name is taken.
        """
        self.plugins.ipam_drivers.register(name, driver)

    # Networks

    def create_network(
        self,
        name: str,
        driver: str = "bridge",
        *,
        subnet: str | Sequence[str] | None = None,
        ip_range: str | Sequence[str] | None = None,
        gateway: str | Sequence[str] | None = None,
        aux_addresses: Mapping[str, str] | None = None,
        ipam: str | Mapping[str, Any] | IpamDriver | None = None,
        internal: bool = False,
        attachable: bool = False,
        ipv6: bool = False,
        options: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Network:
        """Create a network, as `docker network create` does.

        subnet: "10.0.0.0/24"; None takes the next default pool.
        ip_range: the part of the subnet that containers get addresses from.
        gateway: the bridge's address; None takes the first free one.
        aux_addresses: addresses nobody gets, by name.
        ipam: the name of an address manager, the engine API's IPAM object, or an address manager.
        internal: nothing leaves the network.
        attachable: stored; it means something for swarm networks only.
        options: driver options (`-o`).
        Raises Conflict when the name exists, pools overlap or are used up.
        Raises InvalidValue for wrong addresses or options.
        Raises NotFound for an unknown driver: `plugin "overlay" not found`.
        Raises NotSupported for `ipv6=True`.
        """
        if ipv6:
            raise NotSupported("ipv6=True: IPv6 networks are not built yet; leave it out")
        flags = from_flags(self.profile, subnet, ip_range, gateway, aux_addresses)
        self.check_name(name)
        settings = self.plugins.ipam_settings(ipam, flags)
        return self._create(
            name,
            driver,
            settings,
            internal=internal,
            attachable=attachable,
            options=options_as_text(options),
            labels=labels or {},
        )

    def check_name(self, name: str) -> None:
        """Raise when a network may not have this name: it is empty, predefined or taken."""
        if not name:
            raise InvalidValue(self.profile.text("empty_name"))
        if name in PREDEFINED:
            raise Conflict(f"operation is not permitted on predefined {name} network")
        if any(network.name == name for network in self.networks()):
            raise Conflict(f"network with name {name} already exists")

    def _create(
        self,
        name: str,
        driver_name: str,
        ipam: IpamSettings,
        *,
        internal: bool = False,
        attachable: bool = False,
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Network:
        driver = self.plugins.drivers.get(driver_name)
        capabilities = driver.capabilities()
        if capabilities.single_network and any(n.driver is driver for n in self._networks.values()):
            raise Conflict(f'only one instance of "{driver_name}" network is allowed')
        ipam.driver = ipam.driver or capabilities.ipam_driver
        network = Network(
            self,
            self.ids.object_id(),
            name,
            driver_name,
            driver,
            ipam=ipam,
            ipam_driver=self.plugins.ipam_drivers.get(ipam.driver),
            internal=internal,
            attachable=attachable,
            options=options or {},
            labels=labels or {},
        )
        with ExitStack() as undo:
            allocation.allocate_pools(network, self._reserved(), undo)
            leases = network.ipam_driver
            if isinstance(leases, LeasesOnTheWire):
                leases.check_network(network)
            driver.create_network(network)
            undo.callback(driver.delete_network, network)
            if isinstance(leases, LeasesOnTheWire):
                leases.network_created(network)
            self._networks[network.id] = network
            undo.pop_all()
        return network

    def _reserved(self) -> list[ipaddress.IPv4Network]:
        """Return what default pools must not overlap: routes of the host, and its resolvers."""
        return [*allocation.routed_networks(self.profile, self.namespace), *self.nameservers]

    def network(self, name_or_id: str) -> Network:
        """Return a network by full id, name, or unique beginning of an id.

        Raises NotFound when there is none: `network x not found`.
        Raises Conflict when several ids begin like this.
        """
        found = self._networks.get(name_or_id)
        if found is not None:
            return found
        for network in self._networks.values():
            if network.name == name_or_id:
                return network
        matches = [network for key, network in self._networks.items() if name_or_id and key.startswith(name_or_id)]
        if len(matches) > 1:
            raise Conflict(f"network {name_or_id} is ambiguous ({len(matches)} matches found based on ID prefix)")
        if not matches:
            found = None if self.swarm is None else self.swarm.network(name_or_id)
            if found is None or not self.swarm_node.sees(found):
                raise NotFound(f"network {name_or_id} not found")
            return found
        return matches[0]

    def networks(self) -> list[Network]:
        """Return all networks of this host in creation order, then those of the swarm that are visible here."""
        return [*self._networks.values(), *(() if self.swarm is None else self.swarm.visible())]

    def remove_network(self, network: Network | str) -> None:
        """Remove a network and give its pool back.

        Raises NotFound when it isn't there.
        Raises Conflict when it is predefined or has endpoints.
        """
        found = self._own(network)
        if found.name in PREDEFINED:
            raise Conflict(f"{found.name} is a pre-defined network and cannot be removed")
        if found.overlay is not None:
            self.swarm_node.remove_network(found.overlay)
            return
        if found.endpoints or self._serves_ingress(found):
            listed = ", ".join(f'name:"{e.name}" id:"{e.id[:12]}"' for e in found.endpoints.values())
            detail = self.profile.text("active_endpoints", name=found.name, id=found.id, endpoints=listed)
            raise Conflict(f"error while removing network: {detail}")
        if isinstance(found.ipam_driver, LeasesOnTheWire):
            found.ipam_driver.network_removed(found)
        found.driver.delete_network(found)
        del self._networks[found.id]
        allocation.release_pools(found)

    def prune_networks(self) -> list[str]:
        """Remove every network without endpoints, the predefined ones excepted; return their names."""
        unused = [
            network
            for network in self._networks.values()
            if not network.endpoints and network.name not in PREDEFINED and not self._serves_ingress(network)
        ]
        for network in unused:
            self.remove_network(network)
        return [network.name for network in unused]

    def _serves_ingress(self, network: Network) -> bool:
        """Say whether a network is kept by the ingress network's sandbox, which is not among its endpoints."""
        return network.is_gateway_bridge and self.swarm is not None

    # Sandboxes and endpoints

    def create_sandbox(
        self,
        container_name: str,
        container_id: str,
        *,
        hostname: str | None = None,
        sysctls: Mapping[str, Any] | None = None,
        share_host: bool = False,
    ) -> Sandbox:
        """Create the sandbox of a container that starts.

        hostname: None is the first 12 digits of the container's id.
        sysctls: settings of the namespace, by Linux name.
        share_host: use the host's own namespace (network mode "host").
        Raises Conflict when the container has a sandbox already.
        """
        for other in self._sandboxes.values():
            if other.container_id == container_id:
                raise Conflict(f"container {container_id} is already present in sandbox {other.id}")
        if share_host:
            if sysctls:
                raise InvalidValue("sysctls can't be set with the host's network namespace")
            namespace = self.namespace
        else:
            namespace = Namespace(
                self.kernel,
                container_name,
                cpu=self.cpu,
                on_device_added=self.on_device_added,
                sysctls=sysctls,
            )
            namespace.set_up_loopback()
        sandbox = Sandbox(
            self,
            self.ids.object_id(),
            namespace,
            container_name=container_name,
            container_id=container_id,
            hostname=hostname or container_id[:12],
            shares_host=share_host,
        )
        self._sandboxes[sandbox.id] = sandbox
        return sandbox

    def delete_sandbox(self, sandbox: Sandbox) -> None:
        """Remove a sandbox with all its endpoints.

        Raises Conflict when it is deleted already.
        """
        if sandbox.deleted:
            raise Conflict("another sandbox delete in progress")
        sandbox.deleted = True
        for endpoint in list(reversed(sandbox.endpoints)):
            sandbox.leave(endpoint)
            self._delete_endpoint(endpoint)
        if not sandbox.shares_host:
            sandbox.namespace.tcp.vanish()
            for device in sandbox.namespace.devices.values():
                device.set_down()
        del self._sandboxes[sandbox.id]

    def connect(
        self,
        network: Network | str,
        sandbox: Sandbox,
        *,
        name: str | None = None,
        aliases: Sequence[str] = (),
        ipv4_address: str | None = None,
        mac_address: str | None = None,
        gw_priority: int = 0,
        driver_opts: Mapping[str, str] | None = None,
        at_start: bool = False,
    ) -> Endpoint:
        """Connect a sandbox to a network: reserve an address, make the endpoint, join.

        name: the endpoint's name; None is the container's name.
        at_start: the container starts (else `docker network connect`); some engines word errors
            differently, and 20.10 ignores a fixed address on the default bridge then.
        Raises Conflict when connected already, the address is taken, the network is full, or the modes
            host and none forbid it.
        Raises InvalidValue for settings that don't fit the network.
        """
        found = self._own(network)
        refuse_deleted(sandbox)
        settings = EndpointSettings(ipv4_address, mac_address, tuple(aliases), gw_priority, dict(driver_opts or {}))
        check_modes(self.profile, found, sandbox)
        endpoint_name = name or sandbox.container_name
        check_settings(self.profile, found, settings, at_start=at_start)
        if ignores_address(self.profile, found, at_start=at_start):
            settings.ipv4_address = None
        if found.endpoint(endpoint_name) is not None or sandbox.endpoint_on(found.id) is not None:
            raise Conflict(f"endpoint with name {endpoint_name} already exists in network {found.name}")
        if found.overlay is not None:
            self.swarm_node.check_attachable(found)
        known_by = names.names_of(endpoint_name, list(settings.aliases), sandbox.container_id, sandbox.hostname)
        endpoint = self.attach(found, sandbox, endpoint_name, settings, known_by)
        try:
            default_gateway.update(self, sandbox)
        except BaseException:
            self.detach(endpoint)
            raise
        return endpoint

    def attach(
        self, network: Network, sandbox: Sandbox, name: str, settings: EndpointSettings, dns_names: Sequence[str]
    ) -> Endpoint:
        """Make an endpoint and put it into a sandbox, without the checks of what a user may ask for.

        Raises EmuError when the network is full or its driver refuses, and then nothing has changed.
        """
        with ExitStack() as undo:
            endpoint = self._create_endpoint(network, sandbox.container_id, name, settings, undo)
            endpoint.dns_names = list(dns_names)
            sandbox.join(endpoint)
            undo.pop_all()
        return endpoint

    def detach(self, endpoint: Endpoint) -> None:
        """Take an endpoint out of its sandbox and give its address back."""
        assert endpoint.sandbox is not None, endpoint
        endpoint.sandbox.leave(endpoint)
        self._delete_endpoint(endpoint)

    def _create_endpoint(
        self, network: Network, container_id: str, name: str, settings: EndpointSettings, undo: ExitStack
    ) -> Endpoint:
        endpoint = Endpoint(network, self.ids.object_id(), name, settings)
        if settings.mac_address is not None:
            endpoint.mac = parse_mac(settings.mac_address)
        elif network.ipam_driver.capabilities().requires_mac_address:
            leases = network.ipam_driver
            known = leases.mac_for(network, container_id) if isinstance(leases, LeasesOnTheWire) else None
            endpoint.mac = known or self.ids.random_mac()
        if network.overlay is None:
            allocation.allocate_address(endpoint, undo)
        else:
            self.swarm_node.allocate_address(endpoint, undo)
        network.driver.create_endpoint(endpoint)
        undo.callback(network.driver.delete_endpoint, endpoint)
        network.endpoints[endpoint.id] = endpoint
        undo.callback(network.endpoints.pop, endpoint.id)
        return endpoint

    def _delete_endpoint(self, endpoint: Endpoint) -> None:
        endpoint.network.endpoints.pop(endpoint.id)
        endpoint.network.driver.delete_endpoint(endpoint)
        allocation.release_address(endpoint)

    def disconnect(self, network: Network | str, sandbox: Sandbox, *, force: bool = False) -> None:
        """Disconnect a sandbox from a network; its address is free at once.

        force: accepted as in Docker; it makes no difference for a container on this host.
        Raises Conflict when it isn't connected, or for the network `host`.
        """
        found = self._own(network)
        if found.driver_name == "host" and sandbox.shares_host:
            raise Conflict(self.profile.text("host_disconnect"))
        endpoint = sandbox.endpoint_on(found.id)
        if endpoint is None:
            raise Conflict(f"container {sandbox.container_id} is not connected to network {found.name}")
        self.detach(endpoint)
        default_gateway.update(self, sandbox)

    def resolve(self, sandbox: Sandbox, name: str) -> list[str]:
        """Return the addresses a name has for programs in this sandbox; none when it is unknown.

        Several answers come in random order (seeded), as from Docker's DNS server.
        """
        return names.resolve(sandbox, name, self._shuffle)

    @property
    def swarm_node(self) -> SwarmNode:
        """The host's side of the swarm; only asked for when there is one."""
        assert self.swarm is not None, f"{self.host_name} is not part of a swarm"
        return self.swarm

    def network_to_attach(self, name_or_id: str) -> Network:
        """Return a network that a container here can be connected to: also one of the swarm that isn't used here yet.

        Raises as `network` does.
        """
        try:
            return self.network(name_or_id)
        except NotFound:
            found = None if self.swarm is None else self.swarm.network(name_or_id)
            if found is None:
                raise
            return found

    def _own(self, network: Network | str) -> Network:
        return self.network_to_attach(network if isinstance(network, str) else network.id)
