"""A Docker host: its namespace, networks and containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from emu.cnm.controller import Controller
from emu.containers import HostContainers
from emu.device.cost import HostCpu
from emu.dhcp import ServerOptions, serve_on_host, services_at
from emu.interface import Interface
from emu.kernel.errors import InvalidValue, NotSupported
from emu.networks import HostNetworks
from emu.stack.namespace import Namespace

if TYPE_CHECKING:
    from emu.cnm.ipam.dhcp_service import DhcpService
    from emu.device.ethernet import EthernetPort
    from emu.emulation import Emulation
    from emu.network import Network

HOST_SYSCTLS = {"net.ipv4.ip_forward": 1, "net.bridge.bridge-nf-call-iptables": 1}
"""What the engine sets when it starts (FACT 8)."""


class Host:
    """A machine with a Docker engine. Made by `net.add_host`, or by the first use of `net.host`.

    name: part of the names of its interfaces. networks, containers: what `docker network` and `docker` manage.
    namespace: its root network namespace.
    """

    def __init__(self, net: Emulation, name: str, cpus: int = 1) -> None:
        if type(cpus) is not int or cpus < 1:
            raise InvalidValue(f"cpus={cpus!r}: expected 1 or more")
        if cpus != 1:
            raise NotSupported(f"cpus={cpus}: a host has one CPU so far; leave it out")
        self.net = net
        self.name = name
        self.cpus = cpus
        self.cpu = None if net.cost_model is None else HostCpu(net.kernel, name, net.cost_model)
        self.namespace = Namespace(
            net.kernel, name, cpu=self.cpu, on_device_added=net.interfaces.add,
            sysctls=HOST_SYSCTLS,
        )  # fmt: skip
        self.namespace.set_up_loopback()
        self.controller = Controller(
            net.kernel,
            self.namespace,
            profile=net.profile,
            host_name=name,
            on_device_added=net.interfaces.add,
            cpu=self.cpu,
            addresses_changed=net.names_have_changed,
        )
        self.crashed = False
        self._ports: list[EthernetPort] = []
        self.dhcp_services: list[DhcpService] = []
        self._stopped_services: list[DhcpService] = []
        self.networks = HostNetworks(self)
        self.containers = HostContainers(self)

    @property
    def addresses(self) -> list[str]:
        """Its addresses on the underlay, with prefix."""
        self.net.underlay.settle()
        return self.net.underlay.prefixed_addresses_of(self)

    def namespaces(self) -> list[Namespace]:
        """Its own namespace and those of its running containers."""
        running = (container.namespace for container in self.containers.list() if container.running)
        return list(dict.fromkeys([self.namespace, *running]))  # containers may share one

    def crash(self) -> None:
        """Let the machine fail: its links lose their carrier, its containers end, and nobody is told.

        `boot` brings it back; containers stay stopped until they are started. Nothing if it has crashed already.
        """
        if self.crashed:
            return
        self.crashed = True
        self._ports = [port for port in self.net.underlay.ports_of(self) if port.is_up]
        for port in self._ports:
            port.set_down()
        for container in self.containers.list():
            container.end(f"{self.name} crashed", keeps_leases=True)
        services = services_at(self)
        self._stopped_services = [service for service in services if service.running]
        for service in services:
            service.hold(f"{self.name} has crashed; boot() it first")

    def boot(self) -> None:
        """Bring a crashed machine back. Nothing if it has not crashed."""
        if not self.crashed:
            return
        self.crashed = False
        for port in self._ports:
            port.set_up()
        for service in services_at(self):
            service.hold("")
        for service in self._stopped_services:
            service.start()
        self.net.underlay.set_routes()

    def serve_dhcp(self, network: Network, **options: Unpack[ServerOptions]) -> DhcpService:
        """Serve DHCP on the bridge of one of this host's networks, with the gateway's address.

        Options and errors are those of `Container.serve_dhcp`.
        """
        return serve_on_host(self, network, options)

    def interface(self, name: str) -> Interface:
        """An interface of the host's own namespace: "eth0", "docker0". Raises NotFound listing what there is."""
        self.net.underlay.settle()
        return Interface.find(self.namespace, name, self.name)

    def __repr__(self) -> str:
        return f"<Host {self.name}>"
