"""A container: its life, its networks, and the programs that run in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

from emu import inspection
from emu.attachment import Attachment, Connection, Mode, read_attachment
from emu.cnm.naming import start_order
from emu.cnm.settings import check_settings, setting_up
from emu.dhcp import ServerOptions, serve_in_container
from emu.interface import Interface
from emu.kernel.errors import Conflict, InvalidValue, NotFound
from emu.network import Network
from emu.programs import Programs

if TYPE_CHECKING:
    from emu.cnm.ipam.dhcp_service import DhcpService
    from emu.cnm.sandbox import Sandbox
    from emu.host import Host
    from emu.stack.namespace import Namespace


class AddressBook(dict[str, str]):
    """Addresses by network name; what is not there is an error that says what it waits for, such as a lease."""

    def __init__(self, name: str, waits_for: Callable[[str], str]) -> None:
        super().__init__()
        self._name = name
        self._waits_for = waits_for

    def __missing__(self, network: str) -> NoReturn:
        reason = self._waits_for(network)
        raise NotFound(
            f"container {self._name} has no address on network {network}" + (f": {reason}" if reason else "")
        )


class Container(Programs):
    """A container. Made by `host.containers.run`.

    name: unique in the emulation. id: 64 hex digits. host: where it runs. offload: whether it leaves
    checksums and cutting TCP segments to the hardware.
    """

    def __init__(
        self,
        host: Host,
        name: str,
        *,
        image: str,
        command: str | Sequence[str] | None,
        hostname: str | None,
        labels: dict[str, str],
        sysctls: dict[str, Any],
        network: Sequence[Network | str],
        ipv4_address: str | None,
        mac_address: str | None,
        aliases: tuple[str, ...],
        offload: bool,
    ) -> None:
        self.host = host
        self.net = host.net
        self.name = name
        self.image = image
        self.command = command
        self.labels = labels
        self.sysctls = sysctls
        self.attachment: Attachment = read_attachment(host, network, ipv4_address, mac_address, aliases)
        if offload and self.attachment.mode is not Mode.OWN:
            raise InvalidValue(
                f'offload=True: container "{name}" has no network namespace of its own; set it where the namespace '
                "comes from"
            )
        self.offload = offload
        self.id = host.controller.ids.object_id()
        self.hostname = hostname
        self.created_ns = self.net.now
        self.started_ns: int | None = None
        self.removed = False
        self._sandbox: Sandbox | None = None
        self._tasks = []
        self._servers = []
        self.dhcp_services: list[DhcpService] = []

    # -- life ---------------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it is started."""
        return self._sandbox is not None

    @property
    def state(self) -> str:
        """As `docker ps` says: created, running, exited, removed."""
        if self.removed:
            return "removed"
        if self.running:
            return "running"
        return "created" if self.started_ns is None else "exited"

    def start(self) -> None:
        """Start it: interfaces appear, with new addresses unless they were asked for. Nothing if it runs."""
        self.check_exists()
        if self.running:
            return
        if self.host.crashed:
            raise Conflict(f"Cannot connect to the Docker daemon on {self.host.name}: it has crashed; boot() it first")
        self._sandbox = self._make_sandbox()
        self.started_ns = self.net.now
        self.net.names_have_changed()

    def stop(self) -> None:
        """Stop it: its programs end, its addresses are free at once. Nothing if it is stopped.

        Nothing is sent, but for the RELEASE of an address that was leased by DHCP.
        """
        self.check_exists()
        self.end("the container was stopped")

    def restart(self) -> None:
        """Stop it and start it again, as `docker restart`; a leased address stays leased, and is asked for again."""
        self.check_exists()
        self.end("the container was restarted", keeps_leases=True)
        self.start()

    def end(self, reason: str, keeps_leases: bool = False) -> None:
        """Let it end, for a reason that its tasks say; scripts use `stop`. keeps_leases: nothing is released."""
        sandbox = self._sandbox
        if sandbox is None:
            return
        if self.attachment.mode is Mode.OWN:
            sandbox.keeps_leases = keeps_leases
        for task in self._tasks:
            task.stop(reason)
        self._tasks.clear()
        for server in self._servers:
            server.close()
        self._servers.clear()
        for service in self.dhcp_services:
            service.stop()
        self._sandbox = None
        if self.attachment.mode is not Mode.CONTAINER:
            sandbox.delete()

    def remove(self, force: bool = False) -> None:
        """Remove it; its name is free again.

        Raises Conflict while it runs, unless force stops it first.
        """
        self.check_exists()
        if self.running and not force:
            raise Conflict(
                f'cannot remove container "/{self.name}": container is running: stop the container before removing '
                "or force remove"
            )
        self.stop()
        self.removed = True
        del self.net.containers[self.name]

    def _make_sandbox(self) -> Sandbox:
        attachment = self.attachment
        if attachment.mode is Mode.CONTAINER:
            assert attachment.other is not None
            return self.host.containers.get(attachment.other)._sandbox_to_share()
        controller = self.host.controller
        for connection in attachment.connections:
            # a network that was removed while the container was stopped is an error now
            with setting_up(self.net.profile):
                network = controller.network_to_attach(connection.network.id)
            if attachment.mode is Mode.OWN:
                check_settings(self.net.profile, network, connection.settings, at_start=True)
        sandbox = controller.create_sandbox(
            self.name, self.id, hostname=self.hostname, sysctls=self.sysctls, share_host=attachment.mode is Mode.HOST
        )
        if self.offload:
            sandbox.namespace.offload = True
            self.net.underlay.finish_offloads()
        try:
            with setting_up(self.net.profile):
                for connection in self._start_order():
                    controller.connect(connection.network.cnm, sandbox, at_start=True, **connection.keywords())
        except BaseException:
            sandbox.delete()
            raise
        return sandbox

    def _start_order(self) -> list[Connection]:
        connections = {connection.network.id: connection for connection in self.attachment.connections}
        networks = [(connection.network.cnm, connection.gw_priority) for connection in connections.values()]
        return [connections[network.id] for network in start_order(self.net.profile, networks)]

    def _sandbox_to_share(self) -> Sandbox:
        if self._sandbox is None:
            raise Conflict(f"cannot join network of a non running container: {self.id}")
        return self._sandbox

    def check_exists(self) -> None:
        """Raise NotFound after `remove`."""
        if self.removed:
            raise NotFound(f"No such container: {self.name}")

    # -- networks -----------------------------------------------------------------------------------------------------

    @property
    def sandbox(self) -> Sandbox:
        """Its sandbox. Raises Conflict while it is not running."""
        self.check_exists()
        if self._sandbox is None:
            raise Conflict(f"container {self.name} is not running")
        return self._sandbox

    @property
    def namespace(self) -> Namespace:
        """Its network namespace: devices, routes, neighbours, sockets. Raises Conflict while it is not running."""
        return self.sandbox.namespace

    @property
    def attrs(self) -> dict[str, Any]:
        """What `docker inspect` prints, as far as networks are concerned, as the engine's version words it."""
        return inspection.container_attrs(self, self._sandbox)

    @property
    def addresses(self) -> dict[str, str]:
        """Its IPv4 addresses by network name; asked for another one with `[]`, it raises NotFound that says why."""
        found = AddressBook(self.name, self.waits_for)
        if self._sandbox is not None and self.attachment.mode is Mode.OWN:
            for endpoint in self._sandbox.endpoints:
                if endpoint.address is not None:
                    found[endpoint.network.name] = str(endpoint.address.ip)
        return found

    def namespace_addresses(self) -> list[str]:
        """The addresses of the namespace it shares with the host or another container, the underlay's first."""
        if self.attachment.mode is Mode.HOST:
            return self.net.underlay.addresses_of(self.host)
        namespace = self.namespace
        devices = [device for device in namespace.devices.values() if device.kind != "loopback"]
        return [address.partition("/")[0] for device in devices for address in namespace.addresses(device)]

    def interface(self, name: str = "eth0") -> Interface:
        """One of its interfaces. Raises NotFound listing what there is."""
        return Interface.find(self.namespace, name, self.name)

    def waits_for(self, network: str) -> str:
        """What its interface on a network waits for, such as a DHCP lease; "" when it has what it needs."""
        for endpoint in () if self._sandbox is None else self._sandbox.endpoints:
            if endpoint.network.name == network and endpoint.pending is not None:
                return endpoint.pending.reason
        return ""

    def interfaces_by_network(self) -> list[tuple[str, Interface]]:
        """Its interfaces with the names of their networks, in the order eth0, eth1 and so on."""
        if self._sandbox is None or self.attachment.mode is not Mode.OWN:
            return []
        found = [
            (endpoint.network.name, Interface(self._sandbox.namespace, endpoint.device))
            for endpoint in self._sandbox.endpoints
            if endpoint.device is not None
        ]
        return sorted(found, key=lambda entry: entry[1].device.ifindex)

    def connect(self, network: Network, **settings: Any) -> None:
        """Connect it to a network; scripts use `network.connect(container, ...)`."""
        self.check_exists()
        connection = Connection(network, **settings)
        if self.attachment.mode is not Mode.OWN:
            raise Conflict(
                "container sharing network namespace with another container or host cannot be connected to any "
                "other network"
            )
        if self._sandbox is None:
            check_settings(self.net.profile, network.cnm, connection.settings, at_start=False)
            if self._connection(network) is not None:
                raise Conflict(f"endpoint with name {self.name} already exists in network {network.name}")
        else:
            self.host.controller.connect(network.cnm, self._sandbox, **connection.keywords())
        self.attachment.connections.append(connection)
        self.net.names_have_changed()

    def disconnect(self, network: Network, force: bool = False) -> None:
        """Disconnect it from a network; scripts use `network.disconnect(container)`."""
        self.check_exists()
        if self._sandbox is not None:
            self.host.controller.disconnect(network.cnm, self._sandbox, force=force)
        elif self._connection(network) is None:
            text = self.net.profile.text("not_connected_stopped", container=self.id, network=network.name)
            raise Conflict(text)
        connection = self._connection(network)
        if connection is not None:
            self.attachment.connections.remove(connection)

    def _connection(self, network: Network) -> Connection | None:
        for connection in self.attachment.connections:
            if connection.network.id == network.id:
                return connection
        return None

    def address_names(self) -> dict[str, list[str]]:
        """Its addresses with the names Wireshark shall show for them: `web.shop`, `web`."""
        return {address: [f"{self.name}.{network}", self.name] for network, address in self.addresses.items()}

    def serve_dhcp(self, interface: str = "eth0", **options: Unpack[ServerOptions]) -> DhcpService:
        """Serve DHCP on an interface that has an address, from now on until the container stops.

        options: `ServerOptions`; range="10.0.0.100-10.0.0.199" is the network's whole range unless given, gateway is
        the network's unless given, "none" tells of no gateway.
        Returns the server: `.leases`, `.stop()`, `.start()`, `.restart(keep_leases=True)`.
        Raises InvalidValue naming the option; Conflict when the interface serves DHCP already.
        """
        return serve_in_container(self, interface, options)

    def resolve(self, name: str) -> list[str]:
        """The IPv4 addresses a name has for its programs, as Docker would answer; none when it is unknown.

        Limits: answered from the controller's records, without packets.
        """
        if not isinstance(name, str):
            raise InvalidValue(f"resolve: expected a name, not {name!r}")
        return self.host.controller.resolve(self.sandbox, name)

    def __repr__(self) -> str:
        return f"<Container {self.name} {self.state} on {self.host.name}>"
