"""The `nc` program: a stream to a port or from one, with what it says on the terminal (OpenBSD's netcat)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from emu.traffic.waiting import DeadlinePassed, wait_until

if TYPE_CHECKING:
    from emu.stack import Namespace
    from emu.stack.tcp_socket import TcpSocket

RECEIVE_BYTES = 16_384
PIECE_BYTES = 16_384
"""nc reads and writes so much at a time."""


@dataclass(frozen=True, slots=True)
class NetcatResult:
    """What came of a run of nc.

    received: everything that arrived. sent: bytes that were handed to the socket. peer: the other end, None when no
    connection was made. connected_ns, finished_ns: virtual times, None when it did not come to that.
    error: nc's words when something went wrong. text: what `nc -v` says on the terminal, without the data.
    """

    received: bytes
    sent: int
    peer: tuple[str, int] | None
    connected_ns: int | None
    finished_ns: int | None
    error: str | None
    text: str

    @property
    def ok(self) -> bool:
        """Whether the stream came to its end."""
        return self.error is None and self.finished_ns is not None

    @property
    def outcome(self) -> str:
        """One line for result tables."""
        return self.error or f"{self.sent} bytes sent, {len(self.received)} received"

    def __str__(self) -> str:
        return self.text


class Netcat:
    """One run of nc. `yield from Netcat(...).run()` in a process gives its NetcatResult.

    namespace: where it runs. data: what to send; then the sending side is closed (`-N`), and the run ends with the end
    of what comes from the other side.
    address, port: of the target. host: what the user called it. timeout_ns: for connecting (`-w`), None for as long as
    TCP tries. listens: instead wait for one connection to the port.
    Limits: TCP only; the texts are OpenBSD netcat 1.219's for addresses (`-n`).
    """

    def __init__(
        self,
        namespace: Namespace,
        address: str,
        port: int,
        data: bytes = b"",
        *,
        host: str | None = None,
        timeout_ns: int | None = None,
        listens: bool = False,
    ) -> None:
        self._namespace = namespace
        self._kernel = namespace.kernel
        self._address = address
        self._port = port
        self._data = data
        self._host = host or address
        self._timeout_ns = timeout_ns
        self._listens = listens
        self._received = bytearray()
        self._sent = 0
        self._peer: tuple[str, int] | None = None
        self._connected_ns: int | None = None
        self._finished_ns: int | None = None
        self._error: str | None = None
        self._lines: list[str] = []
        self._socket: TcpSocket = namespace.tcp_socket()
        if listens:
            self._socket.bind(address, port)
            self._socket.listen(1)
            self._lines.append(f"Listening on {address} {port}")

    @property
    def result(self) -> NetcatResult:
        """The result so far."""
        text = "".join(f"{line}\n" for line in self._lines)
        return NetcatResult(
            bytes(self._received), self._sent, self._peer, self._connected_ns, self._finished_ns, self._error, text
        )

    def run(self) -> Generator[Event, Any, NetcatResult]:
        """Run to the end of both directions (a process); the socket is closed also when the process is stopped."""
        try:
            if self._listens:
                yield from self._wait_for_a_connection()
            elif not (yield from self._connect()):
                return self.result
            self._connected_ns = self._kernel.now
            self._peer = self._socket.remote_address
            sending = self._kernel.spawn(self._send())
            yield from self._receive()
            if self._error is None:
                yield sending
        finally:
            self._finished_ns = self._kernel.now
            self._socket.close()
        return self.result

    def _wait_for_a_connection(self) -> Generator[Event, Any, None]:
        listener = self._socket
        try:
            self._socket = yield listener.accept()
        finally:
            listener.close()
        address, port = self._socket.remote_address or ("", 0)
        self._lines.append(f"Connection received on {address} {port}")

    def _connect(self) -> Generator[Event, Any, bool]:
        kernel = self._kernel
        deadline_ns = None if self._timeout_ns is None else kernel.now + self._timeout_ns
        try:
            yield from wait_until(kernel, self._socket.connect(self._address, self._port), deadline_ns)
        except DeadlinePassed:
            why = "Connection timed out"
        except OSError as error:
            why = str(error.strerror)
        else:
            self._lines.append(f"Connection to {self._host} {self._port} port [tcp/*] succeeded!")
            return True
        self._fail(f"nc: connect to {self._host} port {self._port} (tcp) failed: {why}")
        return False

    def _send(self) -> Generator[Event, Any, None]:
        data = memoryview(self._data)
        try:
            for start in range(0, len(data), PIECE_BYTES):
                piece = bytes(data[start : start + PIECE_BYTES])
                yield self._socket.send(piece)
                self._sent += len(piece)
            self._socket.shutdown("write")
        except OSError as error:
            self._fail(f"nc: write failed: {error.strerror}")

    def _receive(self) -> Generator[Event, Any, None]:
        try:
            while data := (yield self._socket.recv(RECEIVE_BYTES)):
                self._received += data
        except OSError as error:
            self._fail(f"nc: read failed: {error.strerror}")

    def _fail(self, words: str) -> None:
        if self._error is None:
            self._error = words
            self._lines.append(words)


__all__ = ["Netcat", "NetcatResult"]
