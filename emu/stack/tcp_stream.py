"""The data of a TCP socket: what programs want to send and read, and how they are woken."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from emu.kernel.errors import InvalidValue
from emu.stack.output import os_error
from emu.stack.tcp.state import State
from emu.stack.tcp_options import TcpOptions
from emu.stack.waiter import Waiter

if TYPE_CHECKING:
    from emu.stack.namespace import Namespace
    from emu.stack.tcp_link import TcpLink

NEVER_NS = -(1 << 62)
OPENING = (State.SYN_SENT, State.SYN_RECEIVED)


class Writer:
    """One `send` that is not yet in the send buffer as a whole; offset: what of it is."""

    __slots__ = ("data", "event", "offset")

    def __init__(self, event: Event, data: bytes) -> None:
        self.event = event
        self.data = data
        self.offset = 0


class TcpStream(TcpOptions):
    """The part of a TCP socket that sends and receives."""

    __slots__ = (
        "_closed",
        "_connected",
        "_error",
        "_is_closed",
        "_kernel",
        "_opening_is_over",
        "_readers",
        "_wake_pending",
        "_woken_ns",
        "_writers",
    )

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self._kernel = namespace.kernel
        self._link: TcpLink | None = None
        self._is_closed = False
        self._error = 0
        self._connected = Event(self._kernel)
        self._opening_is_over = False
        self._closed: Event | None = None
        self._readers: deque[Waiter] = deque()
        self._writers: deque[Writer] = deque()
        self._wake_pending = False
        self._woken_ns = NEVER_NS

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
            return fail(event, errno.EBADF)
        if link is None:
            return fail(event, errno.EPIPE)
        number = self._write_error(link)
        if number:
            return fail(event, number)
        self._writers.append(Writer(event, bytes(data)))
        if len(self._writers) == 1:
            self._run(self._send_charged)
        return event

    def _write_error(self, link: TcpLink) -> int:
        connection = link.connection
        if self._error:
            number, self._error = self._error, 0
            return number
        is_opening = connection.state is State.CLOSED and not self._opening_is_over
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
            data, offset = writer.data, writer.offset
            left = len(data) - offset
            count = connection.send_room(left)
            if count < left and not count:
                return
            piece = data if count == len(data) else data[offset : offset + count]
            if self._namespace.cpu is not None:
                self._charge(self._namespace.cpu.costs.copy_ns(count))
            if count == left:
                writers.popleft()
                writer.event.succeed(len(data))
            else:
                writer.offset = offset + count
            connection.write(piece, now_ns, push=count == left)

    # -- receiving ----------------------------------------------------------------------------------------------------

    def recv(self, size: int = 65536) -> Event:
        """Return an event whose value is 1 to `size` bytes as soon as there are any, b"" at the end of the stream.

        Fails with OSError ECONNRESET, ETIMEDOUT, …, once; ENOTCONN without a connection.
        """
        if type(size) is not int or size < 1:
            raise InvalidValue(f"recv: size {size!r}: expected a number of bytes of at least 1")
        event = Waiter(self._kernel, "data on a TCP connection", self._read, size)
        if self._is_closed:
            return fail(event, errno.EBADF)
        if self._is_unconnected:
            return fail(event, errno.ENOTCONN)
        self._read(event)
        return event

    def _read(self, event: Waiter) -> None:
        """Let a program wait for data, or give it what there is."""
        self._readers.append(event)
        if self._link is None or self._is_closed:
            fail(event, errno.EBADF)
        elif (
            not self._wake_pending
            and self._reader_waits()
            and self._readers[0] is event
            and self._is_readable(self._link)
        ):
            cpu = self._namespace.cpu
            if cpu is not None:
                cpu.queue(self._charge, self._namespace.cost_socket_receive_ns)
            self._serve_readers_and_settle(None)

    def _is_readable(self, link: TcpLink) -> bool:
        connection = link.connection
        receiver = connection.receiver
        return bool(
            receiver.unread
            or receiver.fin_taken
            or self._error
            or connection.read_shut
            or (connection.state.ended and self._opening_is_over)
        )

    def _reader_waits(self) -> bool:
        """Return whether somebody waits in `recv` or `accept`; waiters that gave up are forgotten."""
        readers = self._readers
        while readers and not readers[0].is_waited_for:
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
            event = self._readers.popleft()
            connection = link.connection
            if connection.receiver.unread:
                event.succeed(connection.read(event.size, self._kernel.now))
            elif self._error and not connection.receiver.fin_taken:  # after a FIN only sending tells of a reset
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
        if not self._opening_is_over and state not in OPENING:
            self._end_opening(connection.was_established, state)
        if self._writers:
            if state.may_send:
                self._serve_writers()
            elif state is not State.CLOSED or self._opening_is_over:
                self._fail_writers()
        if self._readers and not self._wake_pending and (connection.receiver.unread or self._is_readable(link)):
            if self._namespace.cpu is None:
                self._serve_readers(link)
            else:
                self._wake(self._serve_readers_and_settle)
        if state.ended and self._closed is not None and not self._closed.triggered and self._opening_is_over:
            self._closed.succeed()

    def _end_opening(self, is_established: bool, state: State) -> None:
        """The connection is open, or will not be: wake the program that waits in connect(), as for data."""
        number = 0
        if not is_established:
            if state is not State.CLOSED or not self._error:
                return
            number, self._error = self._error, 0
        self._opening_is_over = True
        cpu = self._namespace.cpu
        if cpu is None:
            self._tell_connected(number)
        else:
            self._woken_ns = wake_ns = cpu.wakes_at_ns(self._woken_ns)
            self._kernel.call_at(wake_ns, self._tell_connected, number)
        if number:
            self._fail_writers()

    def _tell_connected(self, number: int) -> None:
        if self._connected.triggered:  # closed meanwhile
            return
        if number:
            fail(self._connected, number)
        else:
            self._connected.succeed()

    def _fail_writers(self) -> None:
        number = self._error or errno.EPIPE
        if self._writers:
            self._error = 0
        while self._writers:
            fail(self._writers.popleft().event, number)
            number = errno.EPIPE

    def _flush_writers(self, link: TcpLink) -> None:
        """Let what is still waiting in `send` go before the FIN."""
        now_ns = self._kernel.now
        while self._writers:
            writer = self._writers.popleft()
            link.connection.write(writer.data[writer.offset :], now_ns)
            writer.event.succeed(len(writer.data))

    def _fail_readers(self, number: int) -> None:
        while self._readers:
            event = self._readers.popleft()
            if not event.triggered:
                fail(event, number)

    @property
    def _is_unconnected(self) -> bool:
        """Whether there is no connection: none was asked for, or the attempt failed (it may be tried again)."""
        link = self._link
        if link is None:
            return True
        connection = link.connection
        return self._connected.triggered and connection.state is State.CLOSED and not connection.was_established

    # -- helpers ------------------------------------------------------------------------------------------------------

    def _event(self, description: str) -> Event:
        event = Event(self._kernel)
        event.description = description  # type: ignore[attr-defined]
        return event

    def _check_open(self) -> None:
        if self._is_closed:
            raise os_error(errno.EBADF)

    def _run(self, fn: Callable[[Any], None]) -> None:
        """Do a program's system call: at once, or when the CPU gets to it."""
        cpu = self._namespace.cpu
        if cpu is None:
            fn(None)
        else:
            cpu.queue(fn)

    def _charge(self, cost_ns: int) -> None:
        cpu = self._namespace.cpu
        if cpu is not None:
            cpu.busy_until_ns += cost_ns

    def _wake(self, serve: Callable[[Any], None]) -> None:
        """Wake the program that waits: at once, or when the CPU and the program are ready for it."""
        cpu = self._namespace.cpu
        if cpu is None:
            serve(None)
        elif not self._wake_pending:
            self._wake_pending = True
            cpu.busy_until_ns += self._namespace.cost_socket_receive_ns
            self._woken_ns = wake_ns = max(cpu.wakes_at_ns(self._woken_ns), self._woken_ns)
            self._kernel.call_at(wake_ns, serve)


def fail(event: Event, number: int) -> Event:
    """Let an event fail; nobody has to wait for it."""
    event.fail(os_error(number))
    event.defused = True
    return event
