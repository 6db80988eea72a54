"""The TCP socket: what a program holds. Whatever may block returns a SimPy event."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from simpy.events import Event

from emu.kernel.errors import InvalidValue
from emu.stack.output import meant_by, os_error
from emu.stack.tcp.info import TcpInfo, info_of
from emu.stack.tcp.state import State
from emu.stack.tcp_listener import TcpListener
from emu.stack.tcp_options import TcpOptions
from emu.stack.tcp_stream import OPENING, TcpStream, fail
from emu.stack.waiter import Waiter
from emu.wire.address import ipv4_to_bytes, ipv4_to_text

if TYPE_CHECKING:
    from emu.stack.namespace import Namespace
    from emu.stack.tcp_link import TcpLink

ANY = b"\0\0\0\0"
SHUTDOWNS = ("read", "write", "both")


class TcpSocket(TcpStream):
    """A TCP socket of a namespace: fresh, listening, or one end of a connection.

    bound_address: 4 bytes, 0.0.0.0 for any.

    Limits: no urgent data, no TCP Fast Open, no out-of-band errors (IP_RECVERR). An event that fails and that nobody
    waits for is not an error of the program; the next call reports it as Linux would.
    """

    __slots__ = ("_listener", "_port", "bound_address")

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self._listener: TcpListener | None = None
        self.bound_address = ANY
        self._port = 0

    # -- addresses and state ------------------------------------------------------------------------------------------

    @property
    def local_address(self) -> tuple[str, int]:
        """(address, port) of this end."""
        link = self._link
        if link is not None:
            return ipv4_to_text(link.local), link.local_port
        return ipv4_to_text(self.bound_address), self._port

    @property
    def remote_address(self) -> tuple[str, int] | None:
        """(address, port) of the other end, or None."""
        link = self._link
        return None if link is None else (ipv4_to_text(link.remote), link.remote_port)

    @property
    def state(self) -> str:
        """The connection's state in RFC 9293's words: "ESTABLISHED", "FIN_WAIT_1", …, "LISTEN", "CLOSED"."""
        if self._listener is not None:
            return State.LISTEN.name
        return State.CLOSED.name if self._link is None else self._link.connection.state.name

    def info(self) -> TcpInfo:
        """What `ss -ti` shows; raises OSError ENOTCONN without a connection."""
        if self._link is None:
            raise os_error(errno.ENOTCONN)
        return info_of(self._link.connection)

    # -- opening ------------------------------------------------------------------------------------------------------

    def bind(self, address: str = "0.0.0.0", port: int = 0) -> None:
        """Take a local address and port (0: any free one); raises OSError EINVAL, EADDRINUSE, EADDRNOTAVAIL."""
        self._check_open()
        value = ipv4_to_bytes(address)
        check_port(port, 0)
        if self._port or self._link is not None:
            raise os_error(errno.EINVAL)
        if value != ANY and not self._namespace.is_local_address(value):
            raise os_error(errno.EADDRNOTAVAIL)
        self._port = self._namespace.tcp.bind(self, value, port)
        self.bound_address = value

    def listen(self, backlog: int = 128) -> None:
        """Take connections from now on; backlog: how many may wait to be accepted (at most net.core.somaxconn)."""
        self._check_open()
        if not self._is_unconnected:
            raise os_error(errno.EINVAL)
        if type(backlog) is not int or backlog < 0:
            raise InvalidValue(f"backlog {backlog!r}: expected a whole number of at least 0")
        backlog = min(backlog, self._namespace.sysctl["net.core.somaxconn"])
        if self._listener is not None:
            self._listener.backlog = backlog
            return
        if not self._port:
            self._port = self._namespace.tcp.bind(self, ANY, 0)
        self._listener = TcpListener(self, self.bound_address, self._port, backlog)
        self._namespace.tcp.listen(self._listener)

    def accept(self) -> Event:
        """Return an event whose value is the next connection, a TcpSocket; fails with EINVAL if not listening."""
        event = Waiter(self._kernel, f"a connection on TCP port {self._port}", self._accept)
        if self._is_closed:
            return fail(event, errno.EBADF)
        if self._listener is None:
            return fail(event, errno.EINVAL)
        self._accept(event)
        return event

    def _accept(self, event: Waiter) -> None:
        """Let a program wait for a connection, or give it one that is ready."""
        self._readers.append(event)
        if self._is_closed:
            fail(event, errno.EBADF)
        else:
            self._serve_accepts(None)

    def connection_waits(self) -> None:
        """A connection is ready to be accepted (the listener calls it)."""
        if self._readers:
            self._wake(self._serve_accepts)

    def _serve_accepts(self, _: object) -> None:
        self._wake_pending = False
        listener = self._listener
        while listener is not None and listener.ready and self._reader_waits():
            link = listener.ready.popleft()
            self._readers.popleft().succeed(TcpSocket._of(link, self))

    @classmethod
    def _of(cls, link: TcpLink, parent: TcpSocket) -> TcpSocket:
        """Make the socket of a connection that a listener accepted."""
        socket = cls(parent._namespace)
        for name in TcpOptions.__slots__:
            if name not in ("_link", "_namespace"):
                setattr(socket, name, getattr(parent, name))
        socket._link = link
        socket.bound_address = link.local
        link.socket = socket
        socket._opening_is_over = True
        socket._connected.succeed()
        socket.connection_changed()
        return socket

    def connect(self, address: str, port: int) -> Event:
        """Open a connection; the event (also `connected`) fails with OSError as Linux's connect() does.

        ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL, EISCONN, …
        """
        check_port(port, 1)
        destination = ipv4_to_bytes(address)
        if self._is_closed:
            return fail(self._event("nothing"), errno.EBADF)
        if self._listener is not None:
            return fail(self._event("nothing"), errno.EISCONN)
        link = self._link
        if link is not None and not self._is_unconnected:
            return fail(self._event("nothing"), errno.EISCONN if link.connection.was_established else errno.EALREADY)
        self._closed = None
        if self._connected.triggered:  # an attempt that failed; else somebody may wait for this one already
            self._connected = self._event("")
            self._opening_is_over = False
        event = self._connected
        event.description = f"a TCP connection to {address} port {port}"  # type: ignore[attr-defined]
        number = self._open(destination, port)
        return fail(event, number) if number else event

    @property
    def connected(self) -> Event:
        """The event of the connection being open: triggers when `connect` is done, or fails with it."""
        return self._connected

    def _open(self, destination: bytes, port: int) -> int:
        """Send the SYN; return an errno value when that is not possible."""
        namespace = self._namespace
        bound = None if self.bound_address == ANY else self.bound_address
        remote = meant_by(destination, bound)
        path = namespace.output.path(remote, bound)
        if isinstance(path, int):
            return path
        if path.is_broadcast or path.mac is not None:
            return errno.ENETUNREACH
        local = path.source
        if not self._port:
            try:
                local_port = namespace.tcp.port_towards(local, (remote, port))
            except OSError:
                return errno.EADDRNOTAVAIL
        else:
            local_port = self._port
            if namespace.tcp.is_connected((local, local_port), (remote, port)):
                return errno.EADDRNOTAVAIL
        link = namespace.tcp.make_link(
            (local, local_port),
            (remote, port),
            self.settings(),
            path,
            congestion=self.congestion,
            maximum_segment=self.maximum_segment,
        )
        self._link = link
        link.socket = self
        link.ttl, link.tos = self._ttl, self._tos
        self.apply_options(link.connection)
        self._run(self._connect_charged)
        return 0

    def _connect_charged(self, _: object) -> None:
        link = self._link
        if link is not None and link.connection.state is State.CLOSED and not self._is_closed:
            self._charge(self._namespace.cost_system_call_ns)
            link.connection.open(self._kernel.now)
            link.settle()

    # -- closing ------------------------------------------------------------------------------------------------------

    def shutdown(self, how: str = "write") -> None:
        """End one direction or both: "write" sends a FIN after the data, "read" makes `recv` return b"" at once.

        As in Linux, what arrives after "read" is still taken and `recv` returns it; after "both" a reset answers it. A
        connection that is being opened is given up (ECONNRESET), and a listener stops listening unless it is "write".

        Raises OSError ENOTCONN without a connection, InvalidValue for another word.
        """
        if how not in SHUTDOWNS:
            raise InvalidValue(f'shutdown: {how!r}: expected "read", "write" or "both"')
        self._check_open()
        if self._listener is not None:
            if how != "write":
                self._stop_listening()
                self._fail_readers(errno.EINVAL)
            return
        link = self._link
        if link is None or link.connection.state.ended:
            raise os_error(errno.ENOTCONN)
        if how != "write":
            link.connection.read_shut = True
        if how != "read" or link.connection.state is State.SYN_SENT:
            self._run(self._shutdown_charged)
        else:
            link.settle()

    def _shutdown_charged(self, _: object) -> None:
        link = self._link
        if link is not None:
            if link.connection.state is not State.SYN_SENT:
                self._flush_writers(link)
            link.connection.shutdown_write(self._kernel.now)
            link.settle()

    def close(self) -> None:
        """Close the socket: what was sent still arrives, then a FIN; with unread data a RST instead (FACT 44)."""
        if self._is_closed:
            return
        self._give_up()
        if self._link is not None:
            self._run(self._close_charged)

    def _close_charged(self, _: object) -> None:
        link = self._link
        if link is None:
            return
        now_ns = self._kernel.now
        if link.connection.was_established or link.connection.state in OPENING:
            self._flush_writers(link)
        if self.linger_ns == 0:
            link.connection.abort(now_ns)
        else:
            link.connection.close(now_ns)
        link.settle()

    def abort(self) -> None:
        """Close at once with a RST; what was not acknowledged is lost."""
        if self._is_closed:
            return
        self._give_up()
        link = self._link
        if link is not None:
            link.connection.abort(self._kernel.now)
            link.settle()
            self._fail_writers()

    def _give_up(self) -> None:
        """Nobody holds the socket any more: who still waits for it fails, and its port is free."""
        self._is_closed = True
        self._fail_readers(errno.EBADF)
        if self._link is not None and not self._connected.triggered:
            fail(self._connected, errno.EBADF)
        self._release_port()

    def _stop_listening(self) -> None:
        listener = self._listener
        if listener is not None:
            self._namespace.tcp.stop_listening(listener)
            self._listener = None
            listener.close(self._kernel.now)

    def _release_port(self) -> None:
        self._stop_listening()
        if self._port:
            self._namespace.tcp.unbind(self, self._port)
            self._port = 0

    @property
    def closed(self) -> Event:
        """An event that triggers when both FINs are acknowledged, or the connection was reset or given up."""
        if self._closed is None:
            self._closed = self._event("the end of a TCP connection")
            link = self._link
            if link is not None and link.connection.state.ended and self._opening_is_over:
                self._closed.succeed()
        return self._closed

    def __repr__(self) -> str:
        return f"<TcpSocket {self._namespace.name} {self.local_address} -> {self.remote_address} {self.state}>"


def check_port(port: int, minimum: int) -> None:
    """Raise InvalidValue for what is no port."""
    if type(port) is not int or not minimum <= port <= 65535:
        raise InvalidValue(f"TCP port {port!r}: expected {minimum} to 65535")
