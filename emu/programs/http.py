"""The web in a container: a server with pages or a handler, and a client."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from emu import arguments
from emu.kernel.errors import InvalidValue, NotSupported
from emu.programs.runner import ProgramRunner
from emu.task import Program, Task, checked_script
from emu.traffic.http_client import HttpClient, request_options
from emu.traffic.http_messages import HttpRequest, Page
from emu.traffic.http_result import HttpResult
from emu.traffic.http_server import HttpServer


class HttpPrograms(ProgramRunner):
    """The part of a container that runs web servers and clients."""

    def serve_http(
        self,
        port: int = 80,
        *,
        pages: Mapping[str, Page] | None = None,
        handler: Callable[[HttpRequest], Any] | None = None,
        address: str = "0.0.0.0",
    ) -> HttpServer:
        """Serve HTTP/1.1 until the container stops; it does not keep a run alive.

        pages: path -> text, bytes, a number of bytes, or an `HttpResponse`. handler: instead, a function of an
        `HttpRequest` that returns one of these, or a generator function that may wait first.
        The server has `.requests`, `.log_text` (common log format) and `.close()`. Raises OSError for a taken port.
        """
        if callable(handler):
            arguments.callable_with("serve_http: handler", handler, ("an HttpRequest",), {})
            handler = _checked(handler)
        server = HttpServer(self.namespace, port, address=address, pages=pages, handler=handler)
        self._keep_server(server)
        return server

    def http_get(
        self,
        target: ProgramRunner | str,
        path: str | Sequence[str] = "/",
        port: int = 80,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        data: str | bytes = b"",
        timeout: str | int | None = None,
        at: str | int | None = None,
    ) -> Task:
        """Ask a web server; the task's result is an HttpResult with `.status`, `.body`, times in ns and `.text`.

        target: a container, a name, an address, or a URL "http://db:8080/page". path: one, or several that are asked
        for on one connection. method, headers, data: as curl's `-X`, `-H`, `-d`. timeout: for everything (`-m`).
        What goes wrong on the way is in the result's `.error`, in curl's words. at: absolute start time.
        """
        if isinstance(target, str) and "://" in target:
            target, port, path = _split_url(target, path)
        options = request_options(path=path, method=method, headers=headers, data=data, timeout=timeout)
        self._check_port(port, "http_get")
        shown = self._shown(target, "http_get")
        program: HttpClient | None = None

        def run() -> Program:
            nonlocal program
            address = yield from self._reach(target, "http_get")
            program = HttpClient(self.namespace, address, port, options, host=shown)
            return (yield from program.run())

        nothing = HttpResult(f"http://{shown}{options.paths[0]}", (), None, None, 0, "")  # it never started
        url = f"{shown}{'' if port == 80 else f':{port}'}{options.paths[0]}"
        return self._start_program(f"http {method} {url}", run, lambda: program.result if program else nothing, at)


def _checked(handler: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """A handler whose generator may only yield events; another value is an error of the script's line."""

    def answer(request: HttpRequest) -> Any:
        found = handler(request)
        return checked_script(found) if isinstance(found, Generator) else found

    return answer


def _split_url(url: str, path: str | Sequence[str]) -> tuple[str, int, str]:
    """Return host, port and path of a URL. Raises InvalidValue or NotSupported for one that can't be fetched."""
    scheme, _, rest = url.partition("://")
    if scheme == "https":
        raise NotSupported(f"http_get: {url}: there is no TLS; use http://")
    if scheme != "http":
        raise InvalidValue(f'http_get: {url}: expected a URL such as "http://db:8080/page"')
    if path != "/":
        raise InvalidValue(f"http_get: {url} has its path itself; leave path={path!r} out")
    authority, slash, rest = rest.partition("/")
    host, colon, port_text = authority.partition(":")
    if not host or (colon and not (port_text.isascii() and port_text.isdigit())):
        raise InvalidValue(f'http_get: {url}: expected a URL such as "http://db:8080/page"')
    return host, int(port_text) if colon else 80, slash + rest or "/"
