"""DHCP as scripts use it: servers in containers and on hosts, and programs that wait for their container's lease."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from emu.cnm.drivers.driver import HasGatewayDevice
from emu.cnm.ipam import dhcp_options
from emu.cnm.ipam.config import ipam_options_as_text
from emu.cnm.ipam.dhcp import DhcpIpam
from emu.cnm.ipam.dhcp_endpoint import EndpointLease
from emu.cnm.ipam.dhcp_service import DhcpService
from emu.kernel.errors import Conflict, EmuError, InvalidValue, LeaseTimeout

if TYPE_CHECKING:
    from simpy.events import Event

    from emu.cnm.endpoint import Endpoint
    from emu.cnm.network import Network as CnmNetwork
    from emu.container import Container
    from emu.device.netdevice import NetDevice
    from emu.emulation import Emulation
    from emu.host import Host
    from emu.network import Network
    from emu.programs.runner import ProgramRunner
    from emu.stack.namespace import Namespace
    from emu.stack.tcp_socket import TcpSocket


class ServerOptions(TypedDict, total=False):
    """What `serve_dhcp` takes; as text, a list is "a,b" and a dict "a=1,b=2".

    range, exclusions: addresses, "10.0.0.10-10.0.0.99". reservations: addresses by MAC address or client identifier.
    gateway, dns, domain, mtu, routes: what clients are told; routes: gateways by network.
    lease_time, t1, t2: "10min". authoritative: refuse what is wrong. probe: how long an ICMP echo waits for an answer
    before an address is offered, or "off". quarantine: how long an address that was declined is given to nobody.
    """

    range: str
    exclusions: str | Sequence[str]
    reservations: str | Mapping[str, str]
    gateway: str
    dns: str | Sequence[str]
    domain: str
    mtu: int
    routes: str | Mapping[str, str]
    lease_time: str
    t1: str
    t2: str
    authoritative: bool
    probe: str
    quarantine: str


Waiting = Generator["Event", Any, None]


# -- servers ----------------------------------------------------------------------------------------------------------


def serve_in_container(container: Container, interface: str, options: ServerOptions) -> DhcpService:
    """Start a server on an interface of a container; see `Container.serve_dhcp`."""
    device = container.interface(interface).device
    addresses = container.namespace.addresses(device)
    if not addresses:
        raise InvalidValue(
            f"serve_dhcp: {device.label} has no address yet; give the container a fixed one that the network's DHCP "
            'option "static" names'
        )
    found = [endpoint for endpoint in container.sandbox.endpoints if endpoint.device is device]
    if not found:
        raise InvalidValue(f"serve_dhcp: {device.label} is on no network: expected an interface such as eth0")

    def place() -> tuple[Namespace, NetDevice]:
        return container.namespace, container.interface(interface).device

    service = _serve(container.net, found[0].network, ipaddress.IPv4Interface(addresses[0]), place, options)
    container.dhcp_services.append(service)
    return service


def serve_on_host(host: Host, network: Network, options: ServerOptions) -> DhcpService:
    """Start a server beside the gateway of a network; see `Host.serve_dhcp`."""
    cnm = getattr(network, "cnm", None)
    if cnm is None:
        raise InvalidValue(f"serve_dhcp: expected a network such as the one networks.create returns, not {network!r}")
    driver = cnm.driver
    if not isinstance(driver, HasGatewayDevice) or cnm.gateway is None or cnm.overlay is not None:
        raise InvalidValue(f"serve_dhcp: network {network.name} has no bridge with an address on {host.name}")
    if network.host is not host:
        raise Conflict(f"network {network.name} belongs to {network.host.name}, not to {host.name}")
    service = _serve(host.net, cnm, cnm.gateway, lambda: driver.gateway_device(cnm), options)
    host.dhcp_services.append(service)
    return service


def _serve(
    net: Emulation,
    network: CnmNetwork,
    server: ipaddress.IPv4Interface,
    place: Callable[[], tuple[Namespace, NetDevice]],
    options: ServerOptions,
) -> DhcpService:
    """Read the options of a server, start it, and let its network know of it."""
    text = ipam_options_as_text(options)
    dhcp_options.check_names(text, dhcp_options.SERVER_OPTIONS)
    driver = network.driver
    router = driver.container_gateway(network) if isinstance(driver, HasGatewayDevice) else None
    ipam = network.ipam_driver
    if isinstance(ipam, DhcpIpam):
        segment = ipam.segment(network, server, router)
    else:
        if "range" not in text:
            raise InvalidValue(
                f"serve_dhcp: network {network.name} gives its addresses out itself; say which ones are for DHCP, "
                'such as range="10.0.0.100-10.0.0.199"'
            )
        segment = dhcp_options.Segment(server, router)
    reservations: dict[bytes, bytes] = {}
    settings = dhcp_options.server_settings(text, segment, reservations)
    _, device = place()
    if any(service.running and service.label == device.label for service in all_services(net)):
        raise Conflict(f"serve_dhcp: {device.label} serves DHCP already")
    service = DhcpService(net.kernel, place, settings, reservations)
    service.start()
    net.dhcp_services.append(service)
    if isinstance(ipam, DhcpIpam):
        ipam.services(network).append(service)
    return service


def all_services(net: Emulation) -> list[DhcpService]:
    """Return every DHCP server of an emulation: those beside gateways, host by host, then those that scripts made."""
    beside_gateways: dict[str, DhcpService] = {}
    for host in net.hosts.values():
        for network in host.controller.networks():
            service = gateway_service(network)
            if service is not None:
                beside_gateways.setdefault(network.id, service)
    return [*beside_gateways.values(), *net.dhcp_services]


def services_at(host: Host) -> list[DhcpService]:
    """Return the servers that run on a host itself, not in a container."""
    own = [gateway_service(network) for network in host.controller.networks() if _is_gateway_host(host, network)]
    return [*(service for service in own if service is not None), *host.dhcp_services]


def _is_gateway_host(host: Host, network: CnmNetwork) -> bool:
    return network.overlay is None or host.controller.swarm_node.is_manager


def gateway_service(network: CnmNetwork) -> DhcpService | None:
    """Return the server beside a network's gateway, None when there is none."""
    ipam = network.ipam_driver
    return ipam.gateway_service(network) if isinstance(ipam, DhcpIpam) else None


# -- programs that wait -----------------------------------------------------------------------------------------------


def needs_waiting(programs: ProgramRunner, target: ProgramRunner | str) -> bool:
    """Tell whether a container or the target of its program is still being leased an address."""
    endpoints = [*programs.sandbox.endpoints, *_pending_endpoints(programs, target)]
    return any(endpoint.pending is not None and _client(endpoint) is not None for endpoint in endpoints)


def wait_for_own_leases(programs: ProgramRunner, what: str) -> Waiting:
    """Wait until a container has its leased addresses; a program does not start before.

    Raises LeaseTimeout when the attempt to get one has failed.
    """
    for endpoint in programs.sandbox.endpoints:
        yield from _wait_for(endpoint, f"{programs.name}: {what}")


def wait_for_target(programs: ProgramRunner, target: ProgramRunner | str, what: str) -> Waiting:
    """Wait until a target that is being leased an address has it; for any other target go on at once.

    Raises LeaseTimeout when the attempt to get one has failed.
    """
    for endpoint in _pending_endpoints(programs, target):
        yield from _wait_for(endpoint, f"{programs.name}: {what}: container {endpoint.name}")


def connect_when_leased(programs: ProgramRunner, socket: TcpSocket, target: ProgramRunner | str, port: int) -> Waiting:
    """Connect a TCP socket when its container and its target have their leases; else `connected` fails with why."""
    what = f"tcp to {target if isinstance(target, str) else target.name}:{port}"
    try:
        yield from wait_for_own_leases(programs, what)
        yield from wait_for_target(programs, target, what)
        socket.connect(programs.find_address(target, "tcp"), port)
    except EmuError as error:
        if not socket.connected.triggered:
            socket.connected.fail(error)
            socket.connected.defused = True


def _wait_for(endpoint: Endpoint, who: str) -> Waiting:
    while endpoint.pending is not None:
        client = _client(endpoint)
        if client is None:
            return
        if client.failure is not None:
            raise LeaseTimeout(f"{who}: {client.failure}")
        yield client.outcome()


def _client(endpoint: Endpoint) -> EndpointLease | None:
    ipam = endpoint.network.ipam_driver
    return ipam.client(endpoint) if isinstance(ipam, DhcpIpam) and endpoint.sandbox is not None else None


def _pending_endpoints(programs: ProgramRunner, target: ProgramRunner | str) -> Iterator[Endpoint]:
    """Give the endpoints that a target will be found by, as far as they have no address yet."""
    mine = {endpoint.network.id for endpoint in programs.sandbox.endpoints if endpoint.network.leases_addresses}
    if not mine or (isinstance(target, str) and programs.resolve(target)):
        return
    for container in list(programs.net.containers.values()):
        if not container.running or (not isinstance(target, str) and target is not container):
            continue
        for endpoint in container.sandbox.endpoints:
            if endpoint.network.id in mine and (not isinstance(target, str) or _is_named(endpoint, target)):
                yield endpoint


def _is_named(endpoint: Endpoint, name: str) -> bool:
    wanted = name.rstrip(".").lower().removesuffix(f".{endpoint.network.name.lower()}")
    return endpoint.network.resolves_names and wanted in [known.lower() for known in endpoint.dns_names]
