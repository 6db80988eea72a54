"""A web client in the manner of curl: requests on one connection, with times, and curl's words for what goes wrong."""

from __future__ import annotations

import errno
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h11
from simpy.events import Event

from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_time_ns
from emu.traffic.data import bytes_of
from emu.traffic.http_messages import Headers, checked_headers, decoded, header_value
from emu.traffic.http_result import HttpAnswer, HttpResult
from emu.traffic.waiting import DeadlinePassed, wait_until

if TYPE_CHECKING:
    from emu.stack import Namespace
    from emu.stack.tcp_socket import TcpSocket

RECEIVE_BYTES = 65_536
MS = 1_000_000


@dataclass(frozen=True, slots=True)
class HttpRequestOptions:
    """What to ask for: `paths` one after the other on one connection, each with the same method, headers and body."""

    paths: tuple[str, ...] = ("/",)
    method: str = "GET"
    headers: Headers = ()
    body: bytes = b""
    timeout_ns: int | None = None


class CurlError(Exception):
    """What ends a run of curl: its number and its words."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(words)
        self.number = number
        self.words = words


@dataclass(slots=True)
class _Exchange:
    """What is known so far of one response."""

    started_ns: int
    first_byte_ns: int | None = None
    head: h11.Response | None = None
    body: bytearray = field(default_factory=bytearray)
    received: int = 0


class HttpClient:
    """One run of the client. `yield from HttpClient(...).run()` in a process gives its HttpResult.

    namespace: where it runs. address, port: of the server. options: see HttpRequestOptions.
    host: how the server is called in the URL, in Host and in messages.
    A server that closes after a response is connected to again for the next path, as curl does.
    Errors are results, in the words of curl 7.74, the last that says why a connection failed.
    Limits: no TLS, no redirects, no cookies, no compression, no pipelining.
    """

    def __init__(
        self, namespace: Namespace, address: str, port: int, options: HttpRequestOptions, *, host: str | None = None
    ) -> None:
        self._namespace = namespace
        self._kernel = namespace.kernel
        self._address = address
        self._port = port
        self._options = options
        self._host = host or address
        self._authority = self._host if port == 80 else f"{self._host}:{port}"
        self._answers: list[HttpAnswer] = []
        self._lines: list[str] = []
        self._error: str | None = None
        self._started_ns = self._finished_ns = self._kernel.now
        self._connect_ns: int | None = None
        self._connections = 0
        self._socket: TcpSocket | None = None
        self._connection = h11.Connection(h11.CLIENT)

    @property
    def result(self) -> HttpResult:
        """The result so far."""
        text = "".join(f"{line}\n" for line in self._lines)
        url = f"http://{self._authority}{self._options.paths[0]}"
        total_ns = self._finished_ns - self._started_ns
        return HttpResult(url, tuple(self._answers), self._error, self._connect_ns, total_ns, text)

    def run(self) -> Generator[Event, Any, HttpResult]:
        """Ask for everything (a process); the connection is closed at the end, also when the process is stopped."""
        self._started_ns = self._kernel.now
        try:
            for path in self._options.paths:
                yield from self._ask(path)
        except CurlError as error:
            self._lines.append(f"* {error.words}")
            self._lines.append(f"* Closing connection {max(self._connections - 1, 0)}")
            self._error = f"curl: ({error.number}) {error.words}"
            self._lines.append(self._error)
            if self._socket is not None:
                self._socket.abort()
        finally:
            self._finished_ns = self._kernel.now
            if self._socket is not None:
                self._socket.close()
        return self.result

    def _ask(self, path: str) -> Generator[Event, Any, None]:
        """Make one request and read its response."""
        if self._socket is None:
            yield from self._connect()
        else:
            number = self._connections - 1
            self._lines.append(f"* Re-using existing connection #{number} with host {self._host}")
        exchange = _Exchange(self._kernel.now)
        deadline_ns = self._deadline_ns()
        try:
            yield from wait_until(self._kernel, self._open().send(self._request(path)), deadline_ns)
            yield from self._read(exchange, deadline_ns)
        except DeadlinePassed:
            elapsed_ms = (self._kernel.now - self._started_ns) // MS
            raise CurlError(
                28, f"Operation timed out after {elapsed_ms} milliseconds with {exchange.received} bytes received"
            ) from None
        except OSError as error:
            number, doing = (55, "Send") if error.errno == errno.EPIPE else (56, "Recv")
            raise CurlError(number, f"{doing} failure: {error.strerror}") from None
        self._finish(exchange)

    def _open(self) -> TcpSocket:
        assert self._socket is not None, "connected before"
        return self._socket

    def _deadline_ns(self) -> int | None:
        timeout_ns = self._options.timeout_ns
        return None if timeout_ns is None else self._started_ns + timeout_ns

    def _connect(self) -> Generator[Event, Any, None]:
        self._lines.append(f"*   Trying {self._address}:{self._port}...")
        self._connection = h11.Connection(h11.CLIENT)
        socket: TcpSocket = self._namespace.tcp_socket()
        self._socket = socket
        try:
            yield from wait_until(self._kernel, socket.connect(self._address, self._port), self._deadline_ns())
        except (DeadlinePassed, OSError) as error:
            timed_out = isinstance(error, DeadlinePassed) or error.errno == errno.ETIMEDOUT
            why = "Connection timed out" if timed_out else str(getattr(error, "strerror", error))
            self._lines.append(f"* connect to {self._address} port {self._port} failed: {why}")
            words = f"Failed to connect to {self._host} port {self._port}: {why}"
            raise CurlError(28 if timed_out else 7, words) from None
        self._lines.append(f"* Connected to {self._host} ({self._address}) port {self._port} (#{self._connections})")
        self._connections += 1
        if self._connect_ns is None:
            self._connect_ns = self._kernel.now - self._started_ns

    def _request(self, path: str) -> bytes:
        """Return the bytes of a request, and note its lines."""
        options = self._options
        request = _request_head(options, path, self._authority)
        data = self._connection.send(request) or b""
        self._lines += [f"> {line}" for line in data.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")]
        self._lines.append("> ")
        if options.body:
            data += self._connection.send(h11.Data(data=options.body)) or b""
            self._lines.append(f"}} [{len(options.body)} bytes data]")
        return data + (self._connection.send(h11.EndOfMessage()) or b"")

    def _read(self, exchange: _Exchange, deadline_ns: int | None) -> Generator[Event, Any, None]:
        """Read until the response is complete."""
        while True:
            try:
                event = self._connection.next_event()
            except h11.RemoteProtocolError as error:
                raise self._protocol_error(exchange, error) from None
            if event is h11.NEED_DATA:
                data = yield from wait_until(self._kernel, self._open().recv(RECEIVE_BYTES), deadline_ns)
                if exchange.first_byte_ns is None and data:
                    exchange.first_byte_ns = self._kernel.now - exchange.started_ns
                elif not data and exchange.first_byte_ns is None:
                    raise CurlError(52, "Empty reply from server")
                exchange.received += len(data)
                self._connection.receive_data(data)
            elif isinstance(event, h11.Response):
                exchange.head = event
                self._note_head(event)
            elif isinstance(event, h11.Data):
                exchange.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return

    def _note_head(self, head: h11.Response) -> None:
        reason = bytes(head.reason).decode("latin-1")
        self._lines.append(f"< HTTP/{bytes(head.http_version).decode()} {head.status_code} {reason}".rstrip())
        self._lines += [f"< {name}: {value}" for name, value in decoded(head)]
        self._lines.append("< ")

    def _protocol_error(self, exchange: _Exchange, error: h11.RemoteProtocolError) -> CurlError:
        """Return what curl says about an answer that breaks off or is not HTTP."""
        words = str(error)
        if exchange.body:
            self._lines.append(f"{{ [{len(exchange.body)} bytes data]")
        if "without sending complete message body" in words and exchange.head is not None:
            length = header_value(decoded(exchange.head), "Content-Length")
            if length is None:
                return CurlError(18, "transfer closed with outstanding read data remaining")
            remaining = int(length) - len(exchange.body)
            return CurlError(18, f"transfer closed with {remaining} bytes remaining to read")
        if words.startswith("illegal status line"):
            return CurlError(1, "Received HTTP/0.9 when not allowed")
        if words.startswith("illegal chunk header"):
            return CurlError(56, "Illegal or missing hexadecimal sequence in chunked-encoding")
        if words == "bad Content-Length":
            return CurlError(8, "Invalid Content-Length: value")
        return CurlError(8, f"Weird server reply: {words}")

    def _finish(self, exchange: _Exchange) -> None:
        """Keep the answer, and the connection if both sides do."""
        head = exchange.head
        assert head is not None, "a response ends after it has begun"
        assert exchange.first_byte_ns is not None, "a response has a first byte"
        if exchange.body:
            self._lines.append(f"{{ [{len(exchange.body)} bytes data]")
        reason = bytes(head.reason).decode("latin-1")
        total_ns = self._kernel.now - exchange.started_ns
        self._answers.append(
            HttpAnswer(head.status_code, reason, decoded(head), bytes(exchange.body), exchange.first_byte_ns, total_ns)
        )
        number = self._connections - 1
        if self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE:
            self._connection.start_next_cycle()
            self._lines.append(f"* Connection #{number} to host {self._host} left intact")
        else:
            self._lines.append(f"* Closing connection {number}")
            self._open().close()
            self._socket = None


def request_options(
    *,
    path: str | Sequence[str] = "/",
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    data: str | bytes = b"",
    timeout: str | int | None = None,
) -> HttpRequestOptions:
    """Return checked options; raises InvalidValue naming what is wrong."""
    if not isinstance(path, (str, list, tuple)):
        raise InvalidValue(f'http_get: path is a text such as "/index.html", or several, not {path!r}')
    paths = (path,) if isinstance(path, str) else tuple(path)
    if not paths:
        raise InvalidValue("http_get: there is no path to ask for")
    options = HttpRequestOptions(
        paths=paths,
        method=method,
        headers=checked_headers({} if headers is None else headers),
        body=bytes_of(data, "http_get"),
        timeout_ns=None if timeout is None else parse_time_ns(timeout, "timeout"),
    )
    for one in paths:
        if not isinstance(one, str) or not one.startswith("/"):
            raise InvalidValue(f'http_get: a path begins with a slash, such as "/index.html", not {one!r}')
        try:
            _request_head(options, one, "host")
        except (h11.LocalProtocolError, AttributeError, UnicodeEncodeError) as error:
            raise InvalidValue(f"http_get: {method!r} {one!r} with {headers!r} is not a request: {error}") from None
    return options


def _request_head(options: HttpRequestOptions, path: str, authority: str) -> h11.Request:
    """Return the request line and headers: curl's own headers unless they were given."""
    own = [("Host", authority), ("User-Agent", "emu"), ("Accept", "*/*")]
    if options.body or options.method in ("POST", "PUT", "PATCH"):
        own.append(("Content-Length", str(len(options.body))))
        if options.method == "POST":
            own.append(("Content-Type", "application/x-www-form-urlencoded"))
    headers = [entry for entry in own if header_value(options.headers, entry[0]) is None] + list(options.headers)
    return h11.Request(
        method=options.method.encode(),
        target=path.encode(),
        headers=[(name.encode(), value.encode()) for name, value in headers],
    )


__all__ = ["HttpClient", "HttpRequestOptions", "request_options"]
