"""TCP without a network: sockets whose bytes arrive after a fixed delay, for testing programs alone."""

from __future__ import annotations

import errno
from collections import deque
from types import SimpleNamespace
from typing import Any

from simpy.events import Event

from emu.kernel import Kernel
from emu.stack.output import ERROR_TEXTS
from emu.stack.sysctl import Sysctls

TEXTS = {**ERROR_TEXTS, errno.ECONNRESET: "Connection reset by peer", errno.EPIPE: "Broken pipe",
         errno.ETIMEDOUT: "Connection timed out"}  # fmt: skip
DELAY_NS = 1_000_000
CLIENT, SERVER = "10.0.0.2", "10.0.0.3"


def failure(number: int) -> OSError:
    return OSError(number, TEXTS[number])


class FakeTcpNamespace:
    """Two ends that know each other; both share this object: whoever listens on a port is found by it.

    unreachable: connects that never get an answer.
    """

    name = "fake"
    cpu = None

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.listeners: dict[int, FakeTcpSocket] = {}
        self.sockets: list[FakeTcpSocket] = []
        self.unreachable = False
        self.tcp = SimpleNamespace(congestion="cubic")
        self.sysctl = Sysctls(None, lambda name: None)

    def tcp_socket(self) -> FakeTcpSocket:
        socket = FakeTcpSocket(self)
        self.sockets.append(socket)
        return socket

    def wake(self, fn: Any, arg: Any) -> None:
        self.kernel.soon(fn, arg)


class FakeTcpSocket:
    """One end. Bytes, end of stream (None) and resets arrive at the peer after the delay, in order."""

    def __init__(self, namespace: FakeTcpNamespace) -> None:
        self.namespace = namespace
        self.kernel = namespace.kernel
        self.peer: FakeTcpSocket | None = None
        self.local_address = (CLIENT, 40_000 + len(namespace.sockets))
        self.remote_address = (SERVER, 0)
        self._inbox: deque[bytes] = deque()
        self._ended = False
        self._error: int | None = None
        self._readers: deque[Event] = deque()
        self._acceptors: deque[Event] = deque()
        self._waiting: deque[FakeTcpSocket] = deque()
        self._sent_end = False
        self.is_closed = False
        self.aborted = False
        self.no_delay = False
        self.congestion = "cubic"
        self.sent = 0

    def event(self, description: str) -> Event:
        event = Event(self.kernel)
        event.description = description
        return event

    # -- opening ------------------------------------------------------------------------------------------------------

    def bind(self, address: str = "0.0.0.0", port: int = 0) -> None:
        if port in self.namespace.listeners:
            raise failure(errno.EADDRINUSE)
        self.local_address = (SERVER, port)

    def listen(self, backlog: int = 128) -> None:
        self.namespace.listeners[self.local_address[1]] = self

    def accept(self) -> Event:
        event = self.event("a connection")
        self._acceptors.append(event)
        self._match()
        return event

    def _match(self) -> None:
        while self._acceptors and self._waiting:
            self._acceptors.popleft().succeed(self._waiting.popleft())

    def connect(self, address: str, port: int) -> Event:
        event = self.event(f"a connection to {address}:{port}")
        self.remote_address = (address, port)
        if not self.namespace.unreachable:
            self.kernel.call_later(2 * DELAY_NS, self._connected, event)
        return event

    def _connected(self, event: Event) -> None:
        listener = self.namespace.listeners.get(self.remote_address[1])
        if listener is None:
            event.fail(failure(errno.ECONNREFUSED))
            return
        other = self.namespace.tcp_socket()
        other.peer, self.peer = self, other
        other.local_address, other.remote_address = self.remote_address, self.local_address
        listener._waiting.append(other)
        listener._match()
        event.succeed()

    # -- data ---------------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> Event:
        event = self.event("room to send")
        if self._error is not None or self.is_closed or self._sent_end:
            event.fail(failure(self._error or errno.EPIPE))
            return event
        self.sent += len(data)
        assert self.peer is not None
        self.kernel.call_later(DELAY_NS, self.peer._arrive, bytes(data))
        event.succeed(len(data))
        return event

    def recv(self, size: int = 65536) -> Event:
        event = self.event("data")
        event.size = size
        self._readers.append(event)
        self._serve_readers()
        return event

    def _arrive(self, data: bytes | None) -> None:
        if self.is_closed:
            if data:
                assert self.peer is not None
                self.kernel.call_later(DELAY_NS, self.peer._reset, None)
            return
        if data is None:
            self._ended = True
        else:
            self._inbox.append(data)
        self._serve_readers()

    def _reset(self, _: None) -> None:
        self._error = errno.ECONNRESET
        self._serve_readers()

    def _serve_readers(self) -> None:
        while self._readers and (self._inbox or self._ended or self._error is not None):
            event = self._readers.popleft()
            if self._inbox:
                data = b"".join(self._inbox)
                self._inbox.clear()
                if data[event.size :]:
                    self._inbox.append(data[event.size :])
                event.succeed(data[: event.size])
            elif self._error is not None:
                event.fail(failure(self._error))
            else:
                event.succeed(b"")

    # -- closing ------------------------------------------------------------------------------------------------------

    def shutdown(self, how: str) -> None:
        assert how == "write"
        self._end()

    def _end(self) -> None:
        if not self._sent_end and self.peer is not None:
            self._sent_end = True
            self.kernel.call_later(DELAY_NS, self.peer._arrive, None)

    def close(self) -> None:
        if self.is_closed:
            return
        listeners = self.namespace.listeners
        if listeners.get(self.local_address[1]) is self:
            del listeners[self.local_address[1]]
            for event in self._acceptors:
                event.fail(failure(errno.EBADF))
                event.defused = True
        if self._inbox and self.peer is not None:
            self.kernel.call_later(DELAY_NS, self.peer._reset, None)
        else:
            self._end()
        self.is_closed = True

    def abort(self) -> None:
        if not self.is_closed and self.peer is not None:
            self.aborted = True
            self.kernel.call_later(DELAY_NS, self.peer._reset, None)
        self.is_closed = True

    def info(self) -> Any:
        return SimpleNamespace(
            srtt_ns=2 * DELAY_NS, rttvar_ns=DELAY_NS, rto_ns=200_000_000, cwnd_bytes=14480, ssthresh_bytes=1 << 30,
            mss=1448, congestion="cubic", bytes_sent=self.sent, bytes_acked=self.sent, bytes_received=0,
            retransmissions=0, send_window=65_535,
        )  # fmt: skip


def run(namespace: FakeTcpNamespace, program: Any) -> Any:
    """Run a program to its end, and everything after it, and return its result."""
    process = namespace.kernel.spawn(program)
    result = namespace.kernel.run(until=process)
    namespace.kernel.run()
    return result


def serve(namespace: FakeTcpNamespace, port: int, script: Any) -> None:
    """Listen and run `script(socket)`, a generator function, on each connection."""
    listener = namespace.tcp_socket()
    listener.bind(port=port)
    listener.listen()

    def accept() -> Any:
        while True:
            try:
                socket = yield listener.accept()
            except OSError:
                return
            namespace.kernel.spawn(script(socket))

    namespace.kernel.spawn(accept())
