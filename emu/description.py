"""What an emulation consists of, as plain values: for `emu show`, reports and pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emu.network import bridge_name

if TYPE_CHECKING:
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.network import Network as CnmNetwork
    from emu.container import Container
    from emu.device.netdevice import NetDevice
    from emu.emulation import Emulation
    from emu.host import Host
    from emu.network import Network


@dataclass(frozen=True, slots=True)
class NetworkDescription:
    """A network: its driver, subnets and gateways; the VNIs of an overlay network, one for each subnet.

    leases: the addresses of its containers are leased by DHCP.
    """

    name: str
    driver: str
    scope: str
    subnets: list[str]
    gateways: list[str]
    bridge: str | None
    internal: bool
    vnis: list[int] = field(default_factory=list)
    leases: bool = False


@dataclass(frozen=True, slots=True)
class InterfaceDescription:
    """An interface of a container: name, network, address with prefix (or what it waits for), MAC address."""

    name: str
    network: str
    address: str
    mac: str


@dataclass(frozen=True, slots=True)
class ContainerDescription:
    """A container and its interfaces; mode for containers without networks of their own ("none", "host")."""

    name: str
    state: str
    interfaces: list[InterfaceDescription]
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class HostDescription:
    """A host: its underlay addresses, networks and containers."""

    name: str
    addresses: list[str]
    networks: list[NetworkDescription] = field(default_factory=list)
    containers: list[ContainerDescription] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LinkDescription:
    """A cable of the underlay: its two ends and what it does to frames, in words."""

    ends: tuple[str, str]
    properties: str
    subnet: str | None


@dataclass(frozen=True, slots=True)
class EmulationDescription:
    """All of an emulation."""

    name: str
    engine: str
    seed: int
    cost: str
    hosts: list[HostDescription]
    switches: list[str]
    links: list[LinkDescription]
    tasks: list[str]


def describe(net: Emulation) -> EmulationDescription:
    """Describe an emulation as it is now; hosts get their underlay addresses if they have none yet."""
    net.underlay.settle()
    return EmulationDescription(
        name=net.name,
        engine=net.engine,
        seed=net.seed,
        cost=net.cost,
        hosts=[_host(host) for host in net.hosts.values()],
        switches=list(net.switches),
        links=[
            LinkDescription(
                ends=(link.ends[0].device.label, link.ends[1].device.label),
                properties=link.text,
                subnet=net.underlay.subnet_of(link),
            )
            for link in net.underlay.links
        ],
        tasks=[task.name for task in net.tasks],
    )


def interface_words(net: Emulation, device: NetDevice | None = None) -> dict[NetDevice, str]:
    """What each interface is, in words: "container web, network shop".

    device: look only on this one's host, because with a thousand containers it takes a while to look everywhere.
    """
    words: dict[NetDevice, str] = {}
    for host in _hosts_of(net, device):
        for network in host.controller.networks():
            bridge = host.namespace.devices.get(bridge_name(network) or "")
            if bridge is not None:
                words[bridge] = f"{host.name}, bridge of network {network.name}"
            if network.overlay is not None:
                words |= _overlay_words(host, network)
            for endpoint in network.endpoints.values():
                if endpoint.device is not None and endpoint.sandbox is not None:
                    who = f"container {endpoint.sandbox.container_name}"
                    if is_load_balancer(endpoint):
                        who = f"{host.name}, load balancer"
                    words[endpoint.device] = f"{who}, network {network.name}"
                    peer = getattr(endpoint.device, "peer", None)
                    if peer is not None:
                        towards = "load balancer" if is_load_balancer(endpoint) else who
                        words[peer] = f"{host.name}, towards {towards}, network {network.name}"
    for link in net.underlay.links:
        for port, other in (link.ends, link.ends[::-1]):
            words[port.device] = f"{port.owner.name}, cable to {other.owner.name}"
    return words


def _hosts_of(net: Emulation, device: NetDevice | None) -> list[Host]:
    """The host that a device is on, as its label says; all hosts when it doesn't."""
    owner = "" if device is None else device.label.partition(":")[0].partition("/")[0]
    if owner in net.containers:
        return [net.containers[owner].host]
    return [net.hosts[owner]] if owner in net.hosts else list(net.hosts.values())


def _overlay_words(host: Host, network: CnmNetwork) -> dict[NetDevice, str]:
    """What the devices in an overlay network's own namespace are."""
    entry = host.controller.swarm_node.driver.networks.get(network.id)
    words: dict[NetDevice, str] = {}
    for segment in () if entry is None else entry.sandbox.segments.values():
        words[segment.bridge] = f"{host.name}, bridge of network {network.name}"
        words[segment.vxlan] = f"{host.name}, tunnels of network {network.name}"
    return words


def is_load_balancer(endpoint: Endpoint) -> bool:
    """Say whether an endpoint is that of an overlay network's load balancer."""
    return endpoint.network.overlay is not None and not endpoint.dns_names


def _host(host: Host) -> HostDescription:
    used = [network for network in host.networks.list() if _is_worth_showing(network)]
    return HostDescription(
        name=host.name,
        addresses=host.addresses,
        networks=[_network(network) for network in used],
        containers=[_container(container) for container in host.containers.list()],
    )


def _is_worth_showing(network: Network) -> bool:
    """Networks a script made on this host, and any other bridge or overlay network that somebody here is on."""
    if network.driver not in ("bridge", "overlay", "vxlan"):
        return False
    automatic = network.name == "bridge" or network.cnm.is_gateway_bridge or network.cnm.overlay is not None
    return not automatic or bool(network.cnm.endpoints)


def _network(network: Network) -> NetworkDescription:
    return NetworkDescription(
        name=network.name,
        driver=network.driver,
        scope=network.cnm.scope,
        subnets=[str(pool.subnet) for pool in network.cnm.pools if pool.subnet is not None],
        gateways=[str(pool.gateway.ip) for pool in network.cnm.pools if pool.gateway is not None],
        bridge=network.bridge,
        internal=network.cnm.internal,
        vnis=[] if network.cnm.overlay is None else list(network.cnm.overlay.vnis),
        leases=network.cnm.leases_addresses,
    )


def _container(container: Container) -> ContainerDescription:
    return ContainerDescription(
        name=container.name,
        state=container.state,
        interfaces=[
            InterfaceDescription(
                interface.name, network, ", ".join(interface.addresses) or container.waits_for(network), interface.mac
            )
            for network, interface in container.interfaces_by_network()
        ],
        mode=container.attachment.text,
    )
