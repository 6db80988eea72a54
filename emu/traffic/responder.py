"""A server that answers each request with as many bytes as it asks for: the other end of the load generator."""

from __future__ import annotations

from collections.abc import Generator
from struct import Struct
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from emu.kernel.units import parse_time_ns
from emu.traffic.listening import accept_all, bind_tcp_and_udp
from emu.traffic.load_options import DATAGRAM_MAX, HEADER_BYTES, REQUEST_MAX

if TYPE_CHECKING:
    from emu.stack import Namespace
    from emu.stack.tcp_socket import TcpSocket
    from emu.wire.frame import Frame

HEADER = Struct("!III")
"""Bytes of the request (this header included), bytes of the response, number of the request."""
RECEIVE_BYTES = 65_536


def request_bytes(size: int, response_size: int, number: int) -> bytes:
    """Return a request."""
    return HEADER.pack(size, response_size, number & 0xFFFFFFFF) + bytes(size - HEADER_BYTES)


class Responder:
    """Answers requests on a TCP and a UDP port until `close`; it does not keep a run alive.

    service: how long an answer takes ("1ms" or ns), one request of a connection after the other.
    answered: requests so far. malformed: connections and datagrams that did not begin with a request.
    Raises OSError (EADDRINUSE) when the port is taken.
    """

    def __init__(self, namespace: Namespace, port: int, *, address: str = "0.0.0.0", service: str | int = 0) -> None:
        self.port = port
        self.answered = 0
        self.malformed = 0
        self._kernel = namespace.kernel
        self._service_ns = parse_time_ns(service, "service")
        self._connections: list[TcpSocket] = []
        self._listener, self._udp = bind_tcp_and_udp(namespace, address, port)
        self._udp.on_datagram = self._on_datagram
        self._listener.listen()
        self._kernel.spawn(accept_all(self._listener, self._take))

    def stop_listening(self) -> None:
        """Take no new connections; those that are open go on to their end."""
        self._listener.close()
        self._udp.close()

    def close(self) -> None:
        """Stop listening, and reset what is open."""
        self.stop_listening()
        for socket in list(self._connections):
            socket.abort()

    def _take(self, socket: TcpSocket) -> None:
        self._connections.append(socket)
        self._kernel.spawn(self._serve(socket))

    def _serve(self, socket: TcpSocket) -> Generator[Event, Any, None]:
        """Answer the requests of a connection in order."""
        data = bytearray()
        try:
            while piece := (yield socket.recv(RECEIVE_BYTES)):
                data += piece
                while len(data) >= HEADER_BYTES:
                    size, response_size, _ = HEADER.unpack_from(data)
                    if not (HEADER_BYTES <= size <= REQUEST_MAX and HEADER_BYTES <= response_size <= REQUEST_MAX):
                        self.malformed += 1
                        return
                    if len(data) < size:
                        break
                    head = bytes(data[:HEADER_BYTES])
                    del data[:size]
                    if self._service_ns:
                        yield self._kernel.timeout(self._service_ns)
                    yield socket.send(head + bytes(response_size - HEADER_BYTES))
                    self.answered += 1
        except OSError:
            pass  # the client is gone
        finally:
            self._connections.remove(socket)
            socket.close()

    def _on_datagram(self, payload: bytes, source: tuple[str, int], frame: Frame) -> None:
        if len(payload) < HEADER_BYTES:
            self.malformed += 1
            return
        size, response_size, _ = HEADER.unpack_from(payload)
        if size != len(payload) or not HEADER_BYTES <= response_size <= DATAGRAM_MAX:
            self.malformed += 1
            return
        answer = (payload[:HEADER_BYTES] + bytes(response_size - HEADER_BYTES), source)
        if self._service_ns:
            self._kernel.call_later(self._service_ns, self._answer, answer)
        else:
            self._answer(answer)

    def _answer(self, answer: tuple[bytes, tuple[str, int]]) -> None:
        try:
            self._udp.sendto(*answer)
            self.answered += 1
        except OSError:
            pass  # the client is gone, or this side was closed meanwhile
