"""A network of a host, as a script holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emu import arguments
from emu.dhcp import gateway_service
from emu.interface import Interface
from emu.kernel.errors import Conflict, InvalidValue, NotFound, NotSupported
from emu.programs import Programs

if TYPE_CHECKING:
    from emu.cnm.ipam.dhcp_service import DhcpService
    from emu.cnm.network import Network as CnmNetwork
    from emu.container import Container
    from emu.host import Host
    from emu.stack.namespace import Namespace


class Network:
    """A network: containers can be connected to it and disconnected from it.

    Made by `host.networks.create`; the predefined ones (`bridge`, `host`, `none`) are there from the start.
    """

    def __init__(self, host: Host, network: CnmNetwork) -> None:
        self.host = host
        self.cnm = network

    @property
    def name(self) -> str:
        """The name it was created with."""
        return self.cnm.name

    @property
    def id(self) -> str:
        """64 hex digits; 25 base-36 digits of a swarm's network."""
        return self.cnm.id

    @property
    def short_id(self) -> str:
        """The first 12 digits of the id, as `docker network ls` shows it."""
        return self.cnm.short_id

    @property
    def driver(self) -> str:
        """The name of its driver, such as "bridge"."""
        return self.cnm.driver_name

    @property
    def subnet(self) -> str | None:
        """Its first subnet, "172.18.0.0/16"; None for networks without addresses."""
        return None if self.cnm.subnet is None else str(self.cnm.subnet)

    @property
    def gateway(self) -> str | None:
        """The address of its gateway on the host, or None."""
        return None if self.cnm.gateway is None else str(self.cnm.gateway.ip)

    @property
    def bridge(self) -> str | None:
        """The name of its bridge on the host, "docker0" or "br-" and digits; None when its driver has none."""
        return bridge_name(self.cnm)

    @property
    def namespace(self) -> Namespace:
        """Where its bridge is: the host's namespace, or for an overlay network one of its own, `host1/shop`.

        Raises NotFound for an overlay network that no container on this host uses.
        """
        if self.cnm.overlay is None:
            return self.host.namespace
        sandbox = self.host.controller.swarm_node.driver.networks.get(self.id)
        if sandbox is None:
            raise NotFound(
                f"network {self.name} is not used on {self.host.name}: no container there is connected to it"
            )
        return sandbox.sandbox.namespace

    def interface(self, name: str) -> Interface:
        """An interface of its namespace, such as "vxlan0". Raises NotFound listing what there is."""
        return Interface.find(self.namespace, name, self.name)

    @property
    def containers(self) -> list[Container]:
        """The running containers connected to it, in the order in which they were connected."""
        known = self.host.net.containers
        return [known[endpoint.name] for endpoint in self.cnm.endpoints.values() if endpoint.name in known]

    @property
    def dhcp(self) -> DhcpService:
        """The DHCP server beside its gateway: `.leases`, `.stop()`, `.start()`, `.restart(keep_leases=True)`.

        Raises NotFound for a network without one.
        """
        service = gateway_service(self.cnm)
        if service is None:
            raise NotFound(f'network {self.name} has no DHCP server beside its gateway: create it with ipam="dhcp"')
        return service

    @property
    def attrs(self) -> dict[str, Any]:
        """What `docker network inspect` prints, as the engine's version words it."""
        return self.cnm.attrs

    def connect(
        self,
        container: Container | str,
        aliases: Sequence[str] = (),
        ipv4_address: str | None = None,
        ipv6_address: str | None = None,
        mac_address: str | None = None,
        gw_priority: int = 0,
        driver_opts: Mapping[str, str] | None = None,
    ) -> None:
        """Connect a container, as `docker network connect`; a stopped one gets its interface at its start.

        aliases: further names on this network. gw_priority: the highest owns the default route.
        Raises Conflict and InvalidValue in the engine's words, and then nothing has changed.
        """
        if ipv6_address is not None:
            raise NotSupported("ipv6_address=: IPv6 networks are not built yet; leave it out")
        self._check_container(container)
        self._container(container).connect(
            self,
            aliases=arguments.texts("aliases", aliases),
            ipv4_address=arguments.text("ipv4_address", ipv4_address),
            mac_address=arguments.text("mac_address", mac_address),
            gw_priority=arguments.whole_number("gw_priority", gw_priority),
            driver_opts=arguments.mapping("driver_opts", driver_opts),
        )

    def disconnect(self, container: Container | str, force: bool = False) -> None:
        """Disconnect a container; its address is free at once. Raises Conflict when it is not connected."""
        self._check_container(container)
        self._container(container).disconnect(self, force=arguments.flag("force", force))

    def remove(self) -> None:
        """Remove the network. Raises Conflict while running containers are connected to it."""
        self.host.controller.remove_network(self.cnm)
        self.host.networks.forget(self)

    def __repr__(self) -> str:
        return f"<Network {self.name} {self.driver} {self.subnet or 'without addresses'} on {self.host.name}>"

    def _check_container(self, container: Container | str) -> None:
        if not isinstance(container, (str, Programs)):
            raise InvalidValue(f"{container!r} is no container: expected one, or its name")
        if isinstance(container, Programs) and container.net is not self.host.net:
            raise InvalidValue(f"container {container.name} is part of another emulation")

    def _container(self, container: Container | str) -> Container:
        found = self.host.net.container(container) if isinstance(container, str) else container
        if self.cnm.overlay is not None:
            return found
        if found.host is not self.host:
            raise Conflict(
                f"network {self.name} belongs to {self.host.name}, but container {found.name} is on {found.host.name}"
            )
        return found


def bridge_name(network: CnmNetwork) -> str | None:
    """The name of a network's bridge on its host (FACT 1); None when its driver has none."""
    if network.driver_name != "bridge":
        return None
    return network.options.get("com.docker.network.bridge.name") or f"br-{network.short_id}"
