"""A container: its life, its networks, and the programs that run in it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from emu import inspection
from emu.attachment import Attachment, Connection, Mode, read_attachment
from emu.cnm.naming import start_order
from emu.cnm.settings import check_settings, start_error
from emu.interface import Interface
from emu.kernel.errors import Conflict, EmuError, InvalidValue, NotFound, NotSupported
from emu.network import Network
from emu.task import Program, Task
from emu.traffic.ping import Ping, ping_options
from emu.traffic.udp_flow import UdpSender, UdpSink

if TYPE_CHECKING:
    from simpy.events import Event

    from emu.cnm.sandbox import Sandbox
    from emu.host import Host
    from emu.stack.namespace import Namespace
    from emu.stack.udp_socket import UdpSocket


class Container:
    """A container. Made by `host.containers.run`.

    name: unique in the emulation. id: 64 hex digits. host: where it runs.
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
    ) -> None:
        self.host = host
        self.net = host.net
        self.name = name
        self.image = image
        self.command = command
        self.labels = labels
        self.sysctls = sysctls
        self.attachment: Attachment = read_attachment(host, network, ipv4_address, mac_address, aliases)
        self.id = host.controller.ids.object_id()
        self.hostname = hostname
        self.created_ns = self.net.now
        self.started_ns: int | None = None
        self.removed = False
        self._sandbox: Sandbox | None = None
        self._tasks: list[Task] = []

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
        self._check_exists()
        if self.running:
            return
        self._sandbox = self._make_sandbox()
        self.started_ns = self.net.now
        self.net.names_have_changed()

    def stop(self) -> None:
        """Stop it: its programs end, its addresses are free at once, nothing is sent. Nothing if it is stopped."""
        self._check_exists()
        sandbox = self._sandbox
        if sandbox is None:
            return
        for task in self._tasks:
            task.stop("the container was stopped")
        self._tasks.clear()
        self._sandbox = None
        if self.attachment.mode is not Mode.CONTAINER:
            sandbox.delete()

    def remove(self, force: bool = False) -> None:
        """Remove it; its name is free again.

        Raises Conflict while it runs, unless force stops it first.
        """
        self._check_exists()
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
            network = controller.network(connection.network.id)
            if attachment.mode is Mode.OWN:
                check_settings(self.net.profile, network, connection.settings, at_start=True)
        sandbox = controller.create_sandbox(
            self.name, self.id, hostname=self.hostname, sysctls=self.sysctls, share_host=attachment.mode is Mode.HOST
        )
        try:
            for connection in self._start_order():
                controller.connect(connection.network.cnm, sandbox, at_start=True, **connection.keywords())
        except EmuError as error:
            sandbox.delete()
            raise start_error(self.net.profile, error) from None
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

    def _check_exists(self) -> None:
        if self.removed:
            raise NotFound(f"No such container: {self.name}")

    # -- networks -----------------------------------------------------------------------------------------------------

    @property
    def sandbox(self) -> Sandbox:
        """Its sandbox. Raises Conflict while it is not running."""
        self._check_exists()
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
        """Its IPv4 addresses by network name."""
        if self._sandbox is None or self.attachment.mode is not Mode.OWN:
            return {}
        return {
            endpoint.network.name: str(endpoint.address.ip)
            for endpoint in self._sandbox.endpoints
            if endpoint.address is not None
        }

    def interface(self, name: str = "eth0") -> Interface:
        """One of its interfaces. Raises NotFound listing what there is."""
        return Interface.find(self.namespace, name, self.name)

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
        self._check_exists()
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
        self._check_exists()
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
            if connection.network is network:
                return connection
        return None

    def address_names(self) -> dict[str, list[str]]:
        """Its addresses with the names Wireshark shall show for them: `web.shop`, `web`."""
        return {address: [f"{self.name}.{network}", self.name] for network, address in self.addresses.items()}

    def resolve(self, name: str) -> list[str]:
        """The IPv4 addresses a name has for its programs, as Docker would answer; none when it is unknown.

        Limits: answered from the controller's records, without packets, until there is a DNS server.
        """
        return self.host.controller.resolve(self.sandbox, name)

    def find_address(self, target: Container | str, program: str) -> str:
        """The address a program uses for a target. Raises NotFound when the name does not resolve."""
        if isinstance(target, Container):
            return self._address_of(target)
        try:
            return str(ipaddress.IPv4Address(target))
        except ValueError:
            pass
        found = self.resolve(target)
        if found:
            return found[0]
        hint = ""
        if target in self.net.containers and not any(e.network.resolves_names for e in self.sandbox.endpoints):
            hint = " (names do not resolve on the default bridge; use a network of your own or an address)"
        raise NotFound(f"{self.name}: {program}: {target}: Name or service not known{hint}")

    def _address_of(self, target: Container) -> str:
        theirs = target.addresses
        shared = [theirs[network] for network in self.addresses if network in theirs]
        found = shared or list(theirs.values())
        if not found:
            raise NotFound(f"container {target.name} has no address")
        return found[0]

    # -- programs -----------------------------------------------------------------------------------------------------

    def ping(
        self,
        target: Container | str,
        count: int | None = 4,
        interval: str | int = "1s",
        size: int = 56,
        ttl: int | None = None,
        dont_fragment: str | bool = "want",
        at: str | int | None = None,
        *,
        deadline: str | int | None = None,
        timeout: str | int = "10s",
        pattern: str | bytes = b"",
        tos: int = 0,
        flavour: str = "iputils",
    ) -> Task:
        """Ping a name, an address or a container; the task's result is a PingResult with `.received` and `.text`.

        count: requests; None goes on until the deadline or the end of the run. interval: between requests.
        size: data bytes, 56 as usual. ttl: time to live. at: absolute start time; None is now.
        dont_fragment: "want", "do" or "dont" as `ping -M`; True is "do", False is "dont".
        deadline, timeout, pattern, tos: `-w`, `-W`, `-p`, `-Q`. flavour: "iputils" or "busybox".
        """
        options = ping_options(
            count=count, interval=interval, size=size, ttl=ttl, dont_fragment=dont_fragment, deadline=deadline,
            timeout=timeout, pattern=pattern, tos=tos, flavour=flavour,
        )  # fmt: skip
        shown = target.name if isinstance(target, Container) else target
        program: Ping | None = None

        def run() -> Program:
            nonlocal program
            address = self.find_address(target, "ping")
            program = Ping(self.namespace, address, options, name=shown)
            return (yield from program.run())

        return self._start_program(f"ping {shown}", run, lambda: None if program is None else program.result, at)

    def udp(self, port: int = 0, address: str = "0.0.0.0") -> UdpSocket:
        """A UDP socket for a process: `payload, source = yield socket.recv()`, `socket.sendto(payload, (ip, port))`.

        port: 0 takes a free one. Raises OSError as Linux does, such as "Address already in use".
        """
        socket: UdpSocket = self.namespace.udp_socket()
        socket.bind(address, port)
        return socket

    def udp_flow(
        self,
        target: Container | str,
        port: int,
        *,
        size: int | str = 1000,
        rate: int | str | None = None,
        interval: int | str | None = None,
        count: int | None = None,
        duration: int | str | None = None,
        source_port: int = 0,
        numbered: bool = False,
        at: str | int | None = None,
    ) -> Task:
        """Send UDP datagrams at a steady pace; the task's result has `.sent`, `.bytes` and `.refused`.

        size: payload bytes. rate: payload bits per second ("10Mbit"), or interval: time between datagrams.
        count or duration: how many, or how long; one of them at least. source_port: 0 takes a free one.
        numbered: datagrams carry a number and time, from which a sink tells losses. at: absolute start time.
        """
        shown = target.name if isinstance(target, Container) else target
        keywords: dict[str, Any] = {
            "size": size, "rate": rate, "interval": interval, "count": count, "duration": duration,
            "source_port": source_port, "numbered": numbered,
        }  # fmt: skip
        UdpSender(self.namespace, "0.0.0.0", port, **keywords)  # bad values are an error where they are given
        sender: UdpSender | None = None

        def run() -> Program:
            nonlocal sender
            sender = UdpSender(self.namespace, self.find_address(target, "udp"), port, **keywords)
            return (yield from sender.run())

        partial = lambda: None if sender is None else sender.result  # noqa: E731
        return self._start_program(f"udp to {shown}:{port}", run, partial, at)

    def udp_sink(self, port: int, *, numbered: bool = False) -> UdpSink:
        """Count the datagrams that arrive at a port: `.received`, `.bytes`, `.result`; it does not keep a run alive.

        numbered: read the numbers that `udp_flow(numbered=True)` writes. Raises OSError when the port is taken.
        """
        return UdpSink(self.namespace, port, numbered=numbered)

    def spawn(self, generator: Generator[Event, Any, Any], *, name: str | None = None) -> Task:
        """Run a script's own SimPy process as a program of this container: it ends when the container stops."""
        if not isinstance(generator, Generator):
            raise InvalidValue(f"spawn takes a generator, such as server(web), not {generator!r}")
        self.sandbox  # noqa: B018  (must be running)
        return self._start_program(
            name or str(getattr(generator, "__name__", "process")), lambda: generator, None, None
        )

    def _start_program(
        self,
        what: str,
        program: Callable[[], Program],
        partial: Callable[[], Any] | None,
        at: str | int | None,
    ) -> Task:
        self._check_exists()
        task = self.net.start_task(f"{self.name}: {what}", program, partial=partial, at=at)
        self._tasks.append(task)
        return task

    # -- not built yet: refused, each with its reason -----------------------------------------------------------------

    def traceroute(self, *_: Any, **__: Any) -> NoReturn:
        """Not built yet."""
        self._refuse("traceroute")

    def iperf(self, *_: Any, **__: Any) -> NoReturn:
        """Not built yet."""
        self._refuse("iperf")

    def http_get(self, *_: Any, **__: Any) -> NoReturn:
        """Not built yet."""
        self._refuse("http_get")

    def serve_http(self, *_: Any, **__: Any) -> NoReturn:
        """Not built yet."""
        self._refuse("serve_http")

    def tcp_listen(self, *_: Any, **__: Any) -> NoReturn:
        """Not built yet."""
        self._refuse("tcp_listen")

    def tcp_connect(self, *_: Any, **__: Any) -> NoReturn:
        """Not built yet."""
        self._refuse("tcp_connect")

    def _refuse(self, what: str) -> NoReturn:
        raise NotSupported(f"{what} is not built yet; use ping, udp or spawn")

    def __repr__(self) -> str:
        return f"<Container {self.name} {self.state} on {self.host.name}>"
