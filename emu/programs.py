"""What can run in a container: ping, UDP, raw frames, and a script's own processes."""

from __future__ import annotations

import ipaddress
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from emu.cnm.names import reverse
from emu.dhcp import connect_when_leased, needs_waiting, wait_for_own_leases, wait_for_target
from emu.interface import Interface
from emu.kernel.errors import InvalidValue, NotFound, NotSupported
from emu.raw import Sniffer, send_frame
from emu.stack.tcp_options import OPTION_NAMES as TCP_OPTIONS
from emu.stack.tcp_socket import check_port
from emu.task import Program, Task, checked_script
from emu.traffic.ping import Ping, PingResult
from emu.traffic.ping_options import PingOptions, ping_options
from emu.traffic.udp_flow import UdpSender, UdpSendResult, UdpSink

if TYPE_CHECKING:
    from simpy.events import Event

    from emu.cnm.sandbox import Sandbox
    from emu.emulation import Emulation
    from emu.stack.namespace import Namespace
    from emu.stack.tcp_socket import TcpSocket
    from emu.stack.udp_socket import UdpSocket


class Programs(ABC):
    """The part of a container that runs programs."""

    net: Emulation
    name: str
    _tasks: list[Task]

    @property
    @abstractmethod
    def sandbox(self) -> Sandbox: ...

    @property
    @abstractmethod
    def namespace(self) -> Namespace: ...

    @property
    @abstractmethod
    def addresses(self) -> dict[str, str]: ...

    @abstractmethod
    def namespace_addresses(self) -> list[str]: ...

    @abstractmethod
    def interface(self, name: str = "eth0") -> Interface: ...

    @abstractmethod
    def resolve(self, name: str) -> list[str]: ...

    @abstractmethod
    def check_exists(self) -> None: ...

    # -- targets ------------------------------------------------------------------------------------------------------

    def find_address(self, target: Programs | str, program: str) -> str:
        """The address a program uses for a target. Raises NotFound when the name does not resolve."""
        if isinstance(target, Programs):
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

    def _shown(self, target: Programs | str, program: str) -> str:
        """How a target is named in results. Raises InvalidValue for what can't be one."""
        if isinstance(target, Programs):
            if target.net is not self.net:
                raise InvalidValue(f"{program}: container {target.name} is part of another emulation")
            return target.name
        if not isinstance(target, str):
            raise InvalidValue(f"{program}: expected a container, a name or an address, not {target!r}")
        return target

    def _address_of(self, target: Programs) -> str:
        theirs = target.addresses
        shared = [theirs[network] for network in self.addresses if network in theirs]
        found = shared or list(theirs.values()) or target.namespace_addresses()
        if not found:
            raise NotFound(f"container {target.name} has no address")
        return found[0]

    # -- programs -----------------------------------------------------------------------------------------------------

    def ping(
        self,
        target: Programs | str,
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
        shown = self._shown(target, "ping")
        program: Ping | None = None

        def run() -> Program:
            nonlocal program
            yield from wait_for_target(self, target, f"ping {shown}")
            address = self.find_address(target, "ping")
            name_of = None if shown == address else partial(reverse, self.sandbox)
            program = Ping(self.namespace, address, options, name=shown, name_of=name_of)
            return (yield from program.run())

        nothing = PingResult(shown, 0, 0, 0, 0, (), "")  # what a ping has that never started
        what = f"ping {_ping_flags(options)}{shown}"
        return self._start_program(what, run, lambda: nothing if program is None else program.result, at)

    def udp(self, port: int = 0, address: str = "0.0.0.0") -> UdpSocket:
        """A UDP socket for a process: `payload, source = yield socket.recv()`, `socket.sendto(payload, (ip, port))`.

        port: 0 takes a free one. Raises OSError as Linux does, such as "Address already in use".
        """
        socket: UdpSocket = self.namespace.udp_socket()
        socket.bind(address, port)
        return socket

    def tcp_listen(self, port: int = 0, address: str = "0.0.0.0", backlog: int = 128) -> TcpSocket:
        """A listening TCP socket for a process: `connection = yield socket.accept()`.

        port: 0 takes a free one. backlog: how many connections may wait to be accepted.
        Raises OSError as Linux does, such as "Address already in use".
        """
        socket: TcpSocket = self.namespace.tcp_socket()
        socket.bind(address, port)
        socket.listen(backlog)
        return socket

    def tcp_connect(self, target: Programs | str, port: int, *, source_port: int = 0, **options: Any) -> TcpSocket:
        """A TCP socket that connects at once: `yield socket.connected`, `yield socket.send(data)`, `socket.recv()`.

        source_port: 0 takes a free one. options: of the socket, set before it connects, such as `no_delay=True`,
        `congestion="reno"`, `receive_buffer=1 << 20`.
        While this container or the target is still being leased an address, it connects when both have theirs.
        Raises NotFound for a name that does not resolve. What goes wrong later fails the events, as Linux words it.
        """
        self._shown(target, "tcp_connect")
        socket: TcpSocket = self.namespace.tcp_socket()
        for name, value in options.items():
            if name not in TCP_OPTIONS:
                raise InvalidValue(f'tcp_connect: unknown option "{name}": expected {", ".join(TCP_OPTIONS)}')
            setattr(socket, name, value)
        if source_port:
            socket.bind(port=source_port)
        if needs_waiting(self, target):
            self.net.kernel.process(connect_when_leased(self, socket, target, check_port(port, 1)))
        else:
            socket.connect(self.find_address(target, "tcp"), port)
        return socket

    def udp_flow(
        self,
        target: Programs | str,
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
        shown = self._shown(target, "udp_flow")
        keywords: dict[str, Any] = {
            "size": size, "rate": rate, "interval": interval, "count": count, "duration": duration,
            "source_port": source_port, "numbered": numbered,
        }  # fmt: skip
        UdpSender(self.namespace, "0.0.0.0", port, **keywords)  # bad values are an error where they are given
        sender: UdpSender | None = None

        def run() -> Program:
            nonlocal sender
            yield from wait_for_target(self, target, f"udp to {shown}")
            sender = UdpSender(self.namespace, self.find_address(target, "udp"), port, **keywords)
            return (yield from sender.run())

        nothing = UdpSendResult(0, 0, {}, 0, 0)  # what a flow has that never started
        return self._start_program(
            f"udp to {shown}:{port}", run, lambda: nothing if sender is None else sender.result, at
        )

    def udp_sink(self, port: int, *, numbered: bool = False) -> UdpSink:
        """Count the datagrams that arrive at a port: `.received`, `.bytes`, `.result`; it does not keep a run alive.

        numbered: read the numbers that `udp_flow(numbered=True)` writes. Raises OSError when the port is taken.
        """
        return UdpSink(self.namespace, port, numbered=numbered)

    def send(self, packet: Any, interface: str = "eth0") -> int:
        """Send a Scapy packet (or bytes) that begins with its Ethernet header, as it is; return its packet id.

        Raises InvalidValue for a packet that Scapy would complete from the machine it runs on.
        """
        return send_frame(self.namespace, self.interface(interface).device, packet)

    def sniff(
        self,
        count: int | None = None,
        timeout: str | int | None = None,
        interface: str = "eth0",
        lfilter: Callable[[Any], object] | None = None,
        at: str | int | None = None,
    ) -> Task:
        """Watch an interface; the task's result is a list of Scapy packets, `.time` is the virtual time in s.

        count: ends after so many. timeout: ends after so long. Without both it collects to the end of the run.
        lfilter: is given a packet and says whether to keep it. at: absolute start time.
        """
        sniffer = Sniffer(self.net.kernel, lambda: self.interface(interface).device, count, timeout, lfilter)
        return self._start_program(f"sniff {interface}", sniffer.run, lambda: sniffer.packets, at, needs_address=False)

    def spawn(self, generator: Generator[Event, Any, Any], *, name: str | None = None) -> Task:
        """Run a script's own SimPy process as a program of this container: it ends when the container stops.

        On a network that leases addresses it begins when the container has them, as all programs but `sniff` do.
        """
        if not isinstance(generator, Generator):
            raise InvalidValue(f"spawn takes a generator, such as server(web), not {generator!r}")
        self.sandbox  # noqa: B018  (must be running)
        return self._start_program(
            name or str(getattr(generator, "__name__", "process")), lambda: checked_script(generator), None, None
        )

    def _start_program(
        self,
        what: str,
        program: Callable[[], Program],
        partial: Callable[[], Any] | None,
        at: str | int | None,
        *,
        needs_address: bool = True,
    ) -> Task:
        def run() -> Program:
            if needs_address:
                yield from wait_for_own_leases(self, what)
            return (yield from program())

        self.check_exists()
        task = self.net.start_task(f"{self.name}: {what}", run, partial=partial, at=at)
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

    def _refuse(self, what: str) -> NoReturn:
        raise NotSupported(f"{what} is not built yet; use ping, udp, tcp_listen, tcp_connect or spawn")


def _ping_flags(options: PingOptions) -> str:
    """What is special about a ping, as its command line would say it: `-s 1473 -M do `."""
    usual = PingOptions()
    flags = {
        "-s": options.size if options.size != usual.size else None,
        "-t": options.ttl,
        "-M": options.dont_fragment if options.dont_fragment != usual.dont_fragment else None,
        "-Q": options.tos or None,
    }
    return "".join(f"{flag} {value} " for flag, value in flags.items() if value is not None)
