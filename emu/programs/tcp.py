"""TCP for scripts: sockets for processes, and netcat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emu.dhcp import connect_when_leased, needs_waiting
from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_time_ns
from emu.programs.runner import ProgramRunner
from emu.stack.tcp_options import OPTION_NAMES as TCP_OPTIONS
from emu.stack.tcp_socket import check_port
from emu.task import Program, Task
from emu.traffic.data import bytes_of
from emu.traffic.netcat import Netcat, NetcatResult

if TYPE_CHECKING:
    from emu.stack.tcp_socket import TcpSocket


class TcpPrograms(ProgramRunner):
    """The part of a container that opens TCP connections."""

    def tcp_listen(self, port: int = 0, address: str = "0.0.0.0", backlog: int = 128) -> TcpSocket:
        """A listening TCP socket for a process: `connection = yield socket.accept()`.

        port: 0 takes a free one. backlog: how many connections may wait to be accepted.
        Raises OSError as Linux does, such as "Address already in use".
        """
        socket: TcpSocket = self.namespace.tcp_socket()
        socket.bind(address, port)
        try:
            socket.listen(backlog)
        except BaseException:
            socket.close()
            raise
        return socket

    def tcp_connect(self, target: ProgramRunner | str, port: int, *, source_port: int = 0, **options: Any) -> TcpSocket:
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
        check_port(port, 1)
        address = None if needs_waiting(self, target) else self.find_address(target, "tcp")
        if source_port:
            socket.bind(port=source_port)
        if address is None:
            self.net.kernel.process(connect_when_leased(self, socket, target, port))
        else:
            socket.connect(address, port)
        return socket

    def netcat(
        self,
        target: ProgramRunner | str,
        port: int,
        data: str | bytes = b"",
        *,
        timeout: str | int | None = None,
        at: str | int | None = None,
    ) -> Task:
        """Send data to a TCP port and take what comes back to its end (`nc -N`); the result is a NetcatResult.

        data: text or bytes; after it the own direction is closed. timeout: for connecting (`-w`).
        The result has `.received`, `.error` in nc's words, and `.text`. at: absolute start time.
        """
        self._check_port(port, "netcat")
        payload = bytes_of(data, "netcat")
        timeout_ns = None if timeout is None else parse_time_ns(timeout, "timeout")
        shown = self._shown(target, "netcat")
        program: Netcat | None = None

        def run() -> Program:
            nonlocal program
            address = yield from self._reach(target, "netcat")
            program = Netcat(self.namespace, address, port, payload, host=shown, timeout_ns=timeout_ns)
            return (yield from program.run())

        return self._start_program(f"nc {shown} {port}", run, lambda: _result_of(program), at)

    def netcat_listen(self, port: int, data: str | bytes = b"", *, at: str | int | None = None) -> Task:
        """Take one connection to a TCP port (`nc -l`), send data, and take what comes to its end.

        Without `at=` it listens from now on. The result is a NetcatResult. Raises OSError when the port is taken.
        """
        self._check_port(port, "netcat_listen")
        payload = bytes_of(data, "netcat_listen")
        program: Netcat | None = None
        if at is None:
            program = Netcat(self.namespace, "0.0.0.0", port, payload, listens=True)

        def run() -> Program:
            nonlocal program
            if program is None:
                program = Netcat(self.namespace, "0.0.0.0", port, payload, listens=True)
            return (yield from program.run())

        return self._start_program(f"nc -l {port}", run, lambda: _result_of(program), at)


def _result_of(program: Netcat | None) -> NetcatResult:
    """Return what a run has so far; of one that has not begun, nothing."""
    return NetcatResult(b"", 0, None, None, None, None, "") if program is None else program.result
