"""The TCP socket: what a program holds. Whatever may block returns a SimPy event."""

from __future__ import annotations

import errno
from collections import deque
from typing import TYPE_CHECKING

from simpy.events import Event

from emu.kernel.errors import InvalidValue
from emu.stack.output import meant_by, os_error
from emu.stack.tcp.info import TcpInfo, info_of
from emu.stack.tcp.state import State
from emu.stack.tcp_listener import TcpListener
from emu.stack.tcp_options import TcpOptions
from emu.wire.address import ipv4_to_bytes, ipv4_to_text

if TYPE_CHECKING:
    from emu.stack.namespace import Namespace
    from emu.stack.tcp_link import TcpLink

ANY = b"\0\0\0\0"
NEVER_NS = -(1 << 62)
OPENING = (State.SYN_SENT, State.SYN_RECEIVED)
SHUTDOWNS = ("read", "write", "both")


class TcpSocket(TcpOptions):
    """A TCP socket of a namespace: fresh, listening, or one end of a connection.

    bound_address: 4 bytes, 0.0.0.0 for any.

    Limits: no urgent data, no TCP Fast Open, no out-of-band errors (IP_RECVERR). An event that fails and that nobody
    waits for is not an error of the program; the next call reports it as Linux would.
    """

    __slots__ = (
        "_closed",
        "_connected",
        "_error",
        "_is_closed",
        "_kernel",
        "_listener",
        "_port",
        "_readers",
        "_wake_pending",
        "_woken_ns",
        "_writers",
        "bound_address",
    )

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self._kernel = namespace.kernel
        self._link: TcpLink | None = None
        self._listener: TcpListener | None = None
        self.bound_address = ANY
        self._port = 0
        self._is_closed = False
        self._error = 0
        self._connected = Event(self._kernel)
        self._closed: Event | None = None
        self._readers: deque[tuple[Event, int]] = deque()
        self._writers: deque[list[object]] = deque()
        self._wake_pending = False
        self._woken_ns = NEVER_NS

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
        if self._link is not None:
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
        event = self._event(f"a connection on TCP port {self._port}")
        if self._is_closed:
            return _fail(event, errno.EBADF)
        if self._listener is None:
            return _fail(event, errno.EINVAL)
        self._readers.append((event, 0))
        self._serve_accepts(None)
        return event

    def connection_waits(self) -> None:
        """A connection is ready to be accepted (the listener calls it)."""
        if self._readers:
            self._wake(self._serve_accepts)

    def _serve_accepts(self, _: object) -> None:
        self._wake_pending = False
        listener = self._listener
        while listener is not None and listener.ready and self._reader_waits():
            link = listener.ready.popleft()
            event, _size = self._readers.popleft()
            event.succeed(TcpSocket._of(link, self))

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
            return _fail(self._event("nothing"), errno.EBADF)
        if self._link is not None or self._listener is not None:
            connected = self._link is not None and self._link.connection.was_established
            return _fail(self._event("nothing"), errno.EISCONN if connected else errno.EALREADY)
        event = self._connected = self._event(f"a TCP connection to {address} port {port}")
        number = self._open(destination, port)
        return _fail(event, number) if number else event

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

    # -- sending ------------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> Event:
        """Send data; the event's value is its length, when all of it is in the send buffer (as `sendall`).

        Fails with OSError: EPIPE after `shutdown("write")` or when the connection is gone, ECONNRESET, ETIMEDOUT, ….
        While the connection is being opened it waits for that.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise InvalidValue(f"send: the data is {type(data).__name__}; expected bytes, such as b'hello'")
        event = self._event("room in the TCP send buffer")
        link = self._link
        if self._is_closed:
            return _fail(event, errno.EBADF)
        if link is None:
            return _fail(event, errno.EPIPE if self._listener is None else errno.ENOTCONN)
        number = self._write_error(link)
        if number:
            return _fail(event, number)
        self._writers.append([event, bytes(data), 0])
        if len(self._writers) == 1:
            self._run(self._send_charged)
        return event

    def _write_error(self, link: TcpLink) -> int:
        connection = link.connection
        if self._error:
            number, self._error = self._error, 0
            return number
        is_opening = connection.state is State.CLOSED and not self._connected.triggered
        return 0 if connection.state.may_send or is_opening else errno.EPIPE

    def _send_charged(self, _: object) -> None:
        self._charge(self._namespace.cost_system_call_ns)
        self._serve_writers()
        link = self._link
        if link is not None:
            link.settle()

    def _serve_writers(self) -> None:
        """Move what programs want to send into the machine, as far as its buffer has room."""
        writers, link = self._writers, self._link
        if link is None:
            return
        connection = link.connection
        now_ns = self._kernel.now
        while writers and connection.was_established and connection.state.may_send:
            writer = writers[0]
            event, data, offset = writer
            assert isinstance(event, Event)
            assert isinstance(data, bytes)
            assert isinstance(offset, int)
            left = len(data) - offset
            count = connection.send_room(left)
            if count < left and not count:
                return
            piece = data if count == len(data) else data[offset : offset + count]
            if self._namespace.cpu is not None:
                self._charge(self._namespace.cpu.costs.copy_ns(count))
            if count == left:
                writers.popleft()
                event.succeed(len(data))
            else:
                writer[2] = offset + count
            connection.write(piece, now_ns, push=count == left)

    # -- receiving ----------------------------------------------------------------------------------------------------

    def recv(self, size: int = 65536) -> Event:
        """Return an event whose value is 1 to `size` bytes as soon as there are any, b"" at the end of the stream.

        Fails with OSError ECONNRESET, ETIMEDOUT, …, once; ENOTCONN without a connection.
        """
        event = self._event("data on a TCP connection")
        if type(size) is not int or size < 1:
            raise InvalidValue(f"recv: size {size!r}: expected a number of bytes of at least 1")
        if self._is_closed:
            return _fail(event, errno.EBADF)
        if self._link is None:
            return _fail(event, errno.ENOTCONN)
        self._readers.append((event, size))
        if len(self._readers) == 1 and not self._wake_pending and self._is_readable(self._link):
            self._run(self._serve_readers_and_settle)
        return event

    def _is_readable(self, link: TcpLink) -> bool:
        connection = link.connection
        receiver = connection.receiver
        return bool(
            receiver.unread
            or receiver.fin_taken
            or self._error
            or connection.read_shut
            or (connection.state.ended and self._connected.triggered)
        )

    def _reader_waits(self) -> bool:
        """Return whether somebody waits in `recv` or `accept`; waiters that gave up are forgotten."""
        readers = self._readers
        while readers and (readers[0][0].triggered or readers[0][0].callbacks is None):
            readers.popleft()
        return bool(readers)

    def _serve_readers_and_settle(self, _: object) -> None:
        self._wake_pending = False
        link = self._link
        if link is not None:
            self._serve_readers(link)
            link.settle()

    def _serve_readers(self, link: TcpLink) -> None:
        """Hand out what has arrived to those who wait for it."""
        while self._reader_waits() and self._is_readable(link):
            event, size = self._readers.popleft()
            connection = link.connection
            if connection.receiver.unread:
                event.succeed(connection.read(size, self._kernel.now))
            elif self._error:
                number, self._error = self._error, 0
                event.fail(os_error(number))
                event.defused = True
            else:
                event.succeed(b"")

    # -- what the connection tells ------------------------------------------------------------------------------------

    def connection_changed(self) -> None:
        """Look at the connection after something happened to it (the link calls it)."""
        link = self._link
        if link is None:
            return
        connection = link.connection
        state = connection.state
        if connection.error:
            self._error, connection.error = connection.error, 0
        if not self._connected.triggered and state not in OPENING:
            self._opening_is_over(connection.was_established, state)
        if self._writers:
            if state.may_send:
                self._serve_writers()
            elif state is not State.CLOSED or self._connected.triggered:
                self._fail_writers()
        if self._readers and not self._wake_pending and self._is_readable(link):
            if self._namespace.cpu is None:
                self._serve_readers(link)
            else:
                self._wake(self._serve_readers_and_settle)
        if state.ended and self._closed is not None and not self._closed.triggered and self._connected.triggered:
            self._closed.succeed()

    def _opening_is_over(self, is_established: bool, state: State) -> None:
        if is_established:
            self._connected.succeed()
        elif state is State.CLOSED and self._error:
            number, self._error = self._error, 0
            _fail(self._connected, number)
            self._fail_writers()

    def _fail_writers(self) -> None:
        number = self._error or errno.EPIPE
        if self._writers:
            self._error = 0
        while self._writers:
            event = self._writers.popleft()[0]
            assert isinstance(event, Event)
            _fail(event, number)
            number = errno.EPIPE

    # -- closing ------------------------------------------------------------------------------------------------------

    def shutdown(self, how: str = "write") -> None:
        """End one direction or both: "write" sends a FIN after the data, "read" makes `recv` return b"".

        Raises OSError ENOTCONN without a connection, InvalidValue for another word.
        """
        if how not in SHUTDOWNS:
            raise InvalidValue(f'shutdown: {how!r}: expected "read", "write" or "both"')
        self._check_open()
        link = self._link
        if link is None or link.connection.state.ended:
            raise os_error(errno.ENOTCONN)
        if how != "write":
            link.connection.read_shut = True
        if how != "read":
            self._run(self._shutdown_charged)
        else:
            link.settle()

    def _shutdown_charged(self, _: object) -> None:
        link = self._link
        if link is not None:
            self._flush_writers(link)
            link.connection.shutdown_write(self._kernel.now)
            link.settle()

    def _flush_writers(self, link: TcpLink) -> None:
        """Let what is still waiting in `send` go before the FIN."""
        now_ns = self._kernel.now
        while self._writers:
            event, data, offset = self._writers.popleft()
            assert isinstance(event, Event)
            assert isinstance(data, bytes)
            assert isinstance(offset, int)
            link.connection.write(data[offset:], now_ns)
            event.succeed(len(data))

    def close(self) -> None:
        """Close the socket: what was sent still arrives, then a FIN; with unread data a RST instead (FACT 44)."""
        if self._is_closed:
            return
        self._is_closed = True
        self._fail_readers()
        self._release_port()
        link = self._link
        if link is not None:
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
        self._is_closed = True
        self._fail_readers()
        self._release_port()
        link = self._link
        if link is not None:
            link.connection.abort(self._kernel.now)
            link.settle()
            self._fail_writers()

    def _release_port(self) -> None:
        listener = self._listener
        if listener is not None:
            self._namespace.tcp.stop_listening(listener)
            self._listener = None
            listener.close(self._kernel.now)
        if self._port:
            self._namespace.tcp.unbind(self, self._port)
            self._port = 0

    def _fail_readers(self) -> None:
        while self._readers:
            event, _ = self._readers.popleft()
            if not event.triggered:
                _fail(event, errno.EBADF)

    @property
    def closed(self) -> Event:
        """An event that triggers when both FINs are acknowledged, or the connection was reset or given up."""
        if self._closed is None:
            self._closed = self._event("the end of a TCP connection")
            link = self._link
            if link is not None and link.connection.state.ended and self._connected.triggered:
                self._closed.succeed()
        return self._closed

    # -- helpers ------------------------------------------------------------------------------------------------------

    def _event(self, description: str) -> Event:
        event = Event(self._kernel)
        event.description = description  # type: ignore[attr-defined]
        return event

    def _check_open(self) -> None:
        if self._is_closed:
            raise os_error(errno.EBADF)

    def _run(self, fn: object) -> None:
        """Do a program's system call: at once, or when the CPU gets to it."""
        assert callable(fn)
        cpu = self._namespace.cpu
        if cpu is None:
            fn(None)
        else:
            cpu.queue(fn)

    def _charge(self, cost_ns: int) -> None:
        cpu = self._namespace.cpu
        if cpu is not None:
            cpu.busy_until_ns += cost_ns

    def _wake(self, serve: object) -> None:
        """Wake the program that waits: at once, or when the CPU and the program are ready for it."""
        assert callable(serve)
        cpu = self._namespace.cpu
        if cpu is None:
            serve(None)
        elif not self._wake_pending:
            self._wake_pending = True
            cpu.busy_until_ns += self._namespace.cost_socket_receive_ns
            self._woken_ns = wake_ns = max(cpu.wakes_at_ns(self._woken_ns), self._woken_ns)
            self._kernel.call_at(wake_ns, serve)

    def __repr__(self) -> str:
        return f"<TcpSocket {self._namespace.name} {self.local_address} -> {self.remote_address} {self.state}>"


def _fail(event: Event, number: int) -> Event:
    """Let an event fail; nobody has to wait for it."""
    event.fail(os_error(number))
    event.defused = True
    return event


def check_port(port: int, minimum: int) -> None:
    """Raise InvalidValue for what is no port."""
    if type(port) is not int or not minimum <= port <= 65535:
        raise InvalidValue(f"TCP port {port!r}: expected {minimum} to 65535")
