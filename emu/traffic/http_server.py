"""A web server: HTTP/1.1 with keep-alive on TCP; h11 reads and writes the messages."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, cast

import h11
from simpy.events import Event

from emu.kernel.errors import InvalidValue
from emu.traffic.http_log import LogEntry, http_date
from emu.traffic.http_messages import (
    Headers,
    HttpRequest,
    HttpResponse,
    Page,
    decoded,
    error_page,
    header_value,
    read_page,
    reason,
)
from emu.traffic.listening import accept_all

if TYPE_CHECKING:
    from emu.stack import Namespace
    from emu.stack.tcp_socket import TcpSocket

Handler = Callable[[HttpRequest], Any]
RECEIVE_BYTES = 65_536


class HttpServer:
    """A web server in a namespace; it serves until `close`, and does not keep a run alive.

    namespace, port, address: where it listens. pages: path -> text, bytes, a number of bytes, or an HttpResponse.
    handler: instead of pages: is given an HttpRequest and returns one of these; or it is a generator function that
        may wait (`yield net.timeout("10ms")`) before it returns.
    requests: how many were answered. log: one LogEntry per response. log_text: the access log.
    malformed: connections that ended with something that is not HTTP.
    Requests of one connection are answered one after the other, those of several connections at the same time.
    Raises OSError (EADDRINUSE) when the port is taken, InvalidValue for pages that can't be any.
    Limits: no TLS, no ranges, no conditional requests, no compression, no idle timeout.
    """

    def __init__(
        self,
        namespace: Namespace,
        port: int,
        *,
        address: str = "0.0.0.0",
        pages: Mapping[str, Page] | None = None,
        handler: Handler | None = None,
        backlog: int = 128,
    ) -> None:
        if pages is not None and handler is not None:
            raise InvalidValue("serve_http: give pages or a handler, not both")
        if handler is not None and not callable(handler):
            raise InvalidValue(f"serve_http: the handler is a function of a request, not {handler!r}")
        if pages is not None and not isinstance(pages, Mapping):
            raise InvalidValue(f'serve_http: pages is a dict such as {{"/": "hello"}}, not {pages!r}')
        pages = {"/": "<html><body><h1>It works!</h1></body></html>\n"} if pages is None else pages
        self._pages = {path: read_page(path, page) for path, page in pages.items()}
        self._handler = handler
        self._kernel = namespace.kernel
        self._connections: list[TcpSocket] = []
        self.log: list[LogEntry] = []
        self.malformed = 0
        self._listener: TcpSocket = namespace.tcp_socket()
        self._listener.bind(address, port)
        self._listener.listen(backlog)
        self.port = self._listener.local_address[1]
        self._kernel.spawn(accept_all(self._listener, self._take))

    @property
    def requests(self) -> int:
        """How many requests were answered."""
        return len(self.log)

    @property
    def log_text(self) -> str:
        """The access log in the common log format."""
        return "".join(f"{entry.text}\n" for entry in self.log)

    def close(self) -> None:
        """Stop listening, and reset what is open; the log stays."""
        self._listener.close()
        for socket in list(self._connections):
            socket.abort()

    def _take(self, socket: TcpSocket) -> None:
        self._connections.append(socket)
        self._kernel.spawn(self._serve(socket))

    # -- one connection -----------------------------------------------------------------------------------------------

    def _serve(self, socket: TcpSocket) -> Generator[Event, Any, None]:
        """Answer requests until the client is done."""
        connection = h11.Connection(h11.SERVER)
        client = socket.remote_address
        assert client is not None, "accepted sockets are connected"
        try:
            while True:
                request = yield from self._read_request(connection, socket, client)
                if request is None:
                    break
                response = yield from self._answer(request)
                yield from self._send(connection, socket, response, request)
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    break
                connection.start_next_cycle()
        except h11.RemoteProtocolError as error:
            yield from self._refuse(connection, socket, client, error)
        except OSError:
            pass  # the client is gone
        finally:
            self._connections.remove(socket)
            socket.close()

    def _read_request(
        self, connection: h11.Connection, socket: TcpSocket, client: tuple[str, int]
    ) -> Generator[Event, Any, HttpRequest | None]:
        """Return the next request with its body, or None at the end of the connection."""
        request: h11.Request | None = None
        body = bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if connection.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                    yield socket.send(connection.send(go_on) or b"")
                connection.receive_data((yield socket.recv(RECEIVE_BYTES)))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None, "a message ends after it has begun"
                method, target, version = (
                    part.decode("latin-1") for part in (request.method, request.target, request.http_version)
                )
                return HttpRequest(method, target, version, decoded(request), bytes(body), client)
            else:
                return None

    def _answer(self, request: HttpRequest) -> Generator[Event, Any, HttpResponse]:
        """Return the page, or what the handler says."""
        if self._handler is not None:
            answer = self._handler(request)
            if isinstance(answer, Generator):
                answer = yield from answer
            return read_page(request.path if request.path.startswith("/") else "/", answer)
        page = self._pages.get(request.path)
        if page is None:
            return error_page(404, f"The requested URL {request.path} was not found on this server.")
        if request.method not in ("GET", "HEAD"):
            refused = error_page(405)
            return HttpResponse(refused.body, 405, (("Allow", "GET, HEAD"),))
        return page

    def _send(
        self, connection: h11.Connection, socket: TcpSocket, response: HttpResponse, request: HttpRequest
    ) -> Generator[Event, Any, None]:
        """Send a response: head and body in one piece, or chunk by chunk."""
        head = h11.Response(
            status_code=response.status,
            headers=[(name.encode(), value.encode()) for name, value in self._headers(response, request)],
            reason=reason(response.status).encode(),
        )
        data = connection.send(head) or b""
        if request.method == "HEAD" or response.status in (204, 304):
            size = 0
            yield socket.send(data + (connection.send(h11.EndOfMessage()) or b""))
        elif response.is_chunked:
            size = len(response.content)
            for piece in response.pieces:
                yield socket.send(data + (connection.send(h11.Data(data=piece)) or b""))
                data = b""
            yield socket.send(data + (connection.send(h11.EndOfMessage()) or b""))
        else:
            content = response.content
            size = len(content)
            data += (connection.send(h11.Data(data=content)) or b"") + (connection.send(h11.EndOfMessage()) or b"")
            yield socket.send(data)
        line = f"{request.method} {request.target} HTTP/{request.version}"
        self.log.append(LogEntry(self._kernel.now, request.client[0], line, response.status, size))

    def _headers(self, response: HttpResponse, request: HttpRequest) -> Headers:
        """Return the headers of a response: the server's own unless the response has them itself."""
        own = [
            ("Server", "emu"),
            ("Date", http_date(self._kernel.now)),
            ("Content-Type", response.content_type or "text/html"),
        ]
        if response.status not in (204, 304):
            if not response.is_chunked:
                own.append(("Content-Length", str(len(response.content))))
            elif request.version == "1.1":
                own.append(("Transfer-Encoding", "chunked"))
        theirs = cast(Headers, response.headers)
        return (*(entry for entry in own if header_value(theirs, entry[0]) is None), *theirs)

    def _refuse(
        self, connection: h11.Connection, socket: TcpSocket, client: tuple[str, int], error: h11.RemoteProtocolError
    ) -> Generator[Event, Any, None]:
        """Tell a client that speaks something else so, and note it; what is still open is closed by the caller."""
        self.malformed += 1
        if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        response = error_page(error.error_status_hint, str(error))
        content = response.content
        headers = [
            (b"Server", b"emu"), (b"Date", http_date(self._kernel.now).encode()), (b"Content-Type", b"text/html"),
            (b"Content-Length", str(len(content)).encode()), (b"Connection", b"close"),
        ]  # fmt: skip
        head = h11.Response(status_code=response.status, headers=headers, reason=reason(response.status).encode())
        self.log.append(LogEntry(self._kernel.now, client[0], None, response.status, len(content)))
        try:
            yield socket.send(
                b"".join(connection.send(part) or b"" for part in (head, h11.Data(data=content), h11.EndOfMessage()))
            )
        except OSError:
            return


__all__ = ["HttpServer"]
