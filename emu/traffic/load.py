"""A load generator: requests in a closed loop (workers) or an open one (a rate), and how long the answers take."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy.events import AllOf, Event, Process

from emu.traffic.latency import LatencyHistogram
from emu.traffic.load_options import HEADER_BYTES, LoadOptions
from emu.traffic.load_result import LoadResult
from emu.traffic.responder import HEADER, request_bytes
from emu.traffic.waiting import DeadlinePassed, wait_until

if TYPE_CHECKING:
    from emu.stack import Namespace
    from emu.stack.tcp_socket import TcpSocket
    from emu.stack.udp_socket import UdpSocket

SECOND = 1_000_000_000
RETRY_PAUSE_NS = 10_000_000
"""A worker whose connection broke or was refused tries again after so long."""


class LoadGenerator:
    """One run. `yield from LoadGenerator(...).run()` in a process gives its LoadResult.

    namespace: where it runs. address, port: of a `Responder`. options: see LoadOptions. host: what the user called it.

    In the open loop a request that finds no idle connection opens another one, up to `connections`; beyond that it
    waits, and the waiting counts in its latency. So a server that is too slow shows as what it is.
    A connection that breaks is an error of the request it carried; the next request gets a new connection, in the
    closed loop after a pause of 10 ms.
    """

    def __init__(
        self, namespace: Namespace, address: str, port: int, options: LoadOptions, *, host: str | None = None
    ) -> None:
        self._namespace = namespace
        self._kernel = namespace.kernel
        self._random = namespace.kernel.random(f"load of {namespace.name}")
        self._server = (address, port)
        self._options = options
        self._target = f"{host or address}:{port}"
        self._started_ns = self._last_ns = self._kernel.now
        self._requests = 0
        self._numbers = 0
        self._lost = 0
        self._connections = 0
        self._latencies: list[int] = []
        self._errors: dict[str, int] = {}
        self._due: deque[int] = deque()
        self._idle: deque[Event] = deque()
        self._workers: list[Process] = []
        self._no_more = False
        self._stopped = False
        self._sockets: list[TcpSocket | UdpSocket] = []

    @property
    def result(self) -> LoadResult:
        """The result so far."""
        return LoadResult(
            self._target,
            self._options,
            self._requests,
            LatencyHistogram(tuple(self._latencies)),
            self._lost,
            dict(self._errors),
            self._connections,
            self._last_ns - self._started_ns,
        )

    def run(self) -> Generator[Event, Any, LoadResult]:
        """Send all requests and wait for the answers (a process); everything is closed at the end."""
        self._started_ns = self._last_ns = self._kernel.now
        try:
            if self._options.is_open_loop:
                yield from self._arrivals()
            else:
                self._workers = [self._kernel.spawn(self._closed_loop()) for _ in range(self._options.workers)]
            for event in list(self._idle):
                event.succeed()
            self._idle.clear()
            answers = AllOf(self._kernel, self._workers)
            answers.description = f"answers from {self._target}"  # type: ignore[attr-defined]
            yield answers
        finally:
            self._stopped = True
            for socket in self._sockets:
                socket.close()
        return self.result

    # -- when requests are due ----------------------------------------------------------------------------------------

    def _may_begin(self) -> bool:
        """Whether another request may begin now."""
        options = self._options
        if self._stopped or (options.count and self._requests >= options.count):
            return False
        return not options.time_ns or self._kernel.now - self._started_ns < options.time_ns

    def _closed_loop(self) -> Generator[Event, Any, None]:
        """Be one worker: a request, its answer, a pause."""
        connection: _Connection | None = None
        while self._may_begin():
            self._requests += 1
            connection = yield from self._ask(connection, self._kernel.now)
            if connection is None and not self._latencies and sum(self._errors.values()) >= self._options.workers:
                return  # nobody is there
            pause_ns = self._options.think_ns if connection is not None else RETRY_PAUSE_NS
            if pause_ns:
                yield self._kernel.timeout(pause_ns)

    def _arrivals(self) -> Generator[Event, Any, None]:
        """Let requests become due at the rate, whatever has become of those before."""
        options = self._options
        index, offset = 0, 0.0
        while self._may_begin():
            self._requests += 1
            self._due.append(self._kernel.now)
            self._hand_out()
            index += 1
            if options.arrivals == "poisson":
                offset += -math.log(1.0 - self._random.random()) * SECOND / options.rate
            else:
                offset = index * SECOND / options.rate
            wait_ns = self._started_ns + int(offset) - self._kernel.now
            yield self._kernel.timeout(max(0, wait_ns))
        self._no_more = True

    def _hand_out(self) -> None:
        """Give the request that is due to an idle worker, or to a new one while there may be more."""
        if self._idle:
            self._idle.popleft().succeed()
        elif len(self._workers) < self._options.connections:
            self._workers.append(self._kernel.spawn(self._open_loop()))

    def _open_loop(self) -> Generator[Event, Any, None]:
        """Be one connection: take what is due, as long as there is something."""
        connection: _Connection | None = None
        while not self._stopped:
            if self._due:
                due_ns = self._due.popleft()
                connection = yield from self._ask(connection, due_ns)
            elif self._no_more:
                return
            else:
                event = Event(self._kernel)
                event.description = "a request that is due"  # type: ignore[attr-defined]
                self._idle.append(event)
                yield event

    # -- one request --------------------------------------------------------------------------------------------------

    def _ask(self, connection: _Connection | None, due_ns: int) -> Generator[Event, Any, _Connection | None]:
        """Make one request and wait for its answer; return the connection if it can be used again."""
        try:
            if connection is None:
                connection = yield from self._connect()
            self._numbers += 1
            answered = yield from connection.ask(self._numbers)
        except OSError as error:
            words = error.strerror or str(error)
            self._errors[words] = self._errors.get(words, 0) + 1
            if connection is not None:
                connection.socket.close()
            return None
        if answered:
            self._last_ns = self._kernel.now
            self._latencies.append(self._kernel.now - due_ns)
        else:
            self._lost += 1
        return connection

    def _connect(self) -> Generator[Event, Any, _Connection]:
        connection: _Connection
        if self._options.protocol == "udp":
            udp: UdpSocket = self._namespace.udp_socket()
            self._sockets.append(udp)
            udp.connect(*self._server)
            connection = _UdpConnection(self._namespace, udp, self._options)
        else:
            tcp: TcpSocket = self._namespace.tcp_socket()
            self._sockets.append(tcp)
            tcp.no_delay = True
            yield tcp.connect(*self._server)
            connection = _TcpConnection(tcp, self._options)
        self._connections += 1
        return connection


class _TcpConnection:
    """A connection with one request at a time."""

    def __init__(self, socket: TcpSocket, options: LoadOptions) -> None:
        self.socket = socket
        self._options = options

    def ask(self, number: int) -> Generator[Event, Any, bool]:
        """Send a request and read the response. Raises OSError, ConnectionResetError when it ends too early."""
        options = self._options
        yield self.socket.send(request_bytes(options.request_bytes, options.response_bytes, number))
        left = options.response_bytes
        while left:
            data = yield self.socket.recv(left)
            if not data:
                raise OSError(0, "Connection closed before the response was complete")
            left -= len(data)
        return True


class _UdpConnection:
    """A UDP socket with one request at a time; late answers to earlier ones are passed over."""

    def __init__(self, namespace: Namespace, socket: UdpSocket, options: LoadOptions) -> None:
        self.socket = socket
        self._kernel = namespace.kernel
        self._options = options
        self._arrival: Event | None = None

    def ask(self, number: int) -> Generator[Event, Any, bool]:
        """Send a request and wait for its response; return whether it came in time."""
        options = self._options
        self.socket.send(request_bytes(options.request_bytes, options.response_bytes, number))
        deadline_ns = self._kernel.now + options.timeout_ns
        while True:
            try:
                if self._arrival is None:
                    self._arrival = self.socket.recv()
                payload, _ = yield from wait_until(self._kernel, self._arrival, deadline_ns)
            except DeadlinePassed:
                return False  # the event stays: it gets the datagram that comes next
            except OSError:
                self._arrival = None
                raise
            self._arrival = None
            if len(payload) >= HEADER_BYTES and HEADER.unpack_from(payload)[2] == number & 0xFFFFFFFF:
                return True


_Connection = _TcpConnection | _UdpConnection

__all__ = ["LoadGenerator"]
