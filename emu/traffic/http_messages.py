"""HTTP messages as scripts see them: requests that a server got, responses that it gives (RFC 9110)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from emu.kernel.errors import InvalidValue

if TYPE_CHECKING:
    import h11

Headers = tuple[tuple[str, str], ...]
CONTENT_TYPES = {
    "css": "text/css", "csv": "text/csv", "gif": "image/gif", "htm": "text/html", "html": "text/html",
    "ico": "image/x-icon", "jpg": "image/jpeg", "js": "text/javascript", "json": "application/json",
    "png": "image/png", "svg": "image/svg+xml", "txt": "text/plain", "xml": "text/xml",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request that a server received.

    method: "GET". target: as it was asked for, "/search?q=x". version: "1.1". headers: names in the sender's spelling.
    body: whole. client: its (address, port).
    """

    method: str
    target: str
    version: str
    headers: Headers
    body: bytes
    client: tuple[str, int]

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the question mark; empty without one."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any spelling, or None."""
        return header_value(self.headers, name)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What a handler answers.

    body: bytes or text (UTF-8), sent with its length; or several pieces, which are sent as chunks, one at a time.
    status: 200 to 599. headers: besides Server, Date, Content-Type and the length; a name given here replaces these.
    content_type: None for "text/html".
    Raises InvalidValue for anything else.
    """

    body: bytes | str | Sequence[bytes] = b""
    status: int = 200
    headers: Headers = field(default=())
    content_type: str | None = None

    def __post_init__(self) -> None:
        if type(self.status) is not int or not 200 <= self.status <= 599:
            raise InvalidValue(f"http: a status is a number from 200 to 599, not {self.status!r}")
        if not isinstance(self.body, (bytes, str)) and not (
            isinstance(self.body, Sequence) and all(isinstance(piece, bytes) for piece in self.body)
        ):
            raise InvalidValue(f"http: a body is bytes, text or a list of bytes, not {self.body!r}")

    @property
    def is_chunked(self) -> bool:
        """Whether it is sent in chunks."""
        return not isinstance(self.body, (bytes, str))

    @property
    def content(self) -> bytes:
        """The whole body."""
        if isinstance(self.body, str):
            return self.body.encode()
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)

    @property
    def pieces(self) -> tuple[bytes, ...]:
        """The chunks; an empty one would end the body, so those are left out."""
        return tuple(piece for piece in self.body if isinstance(piece, bytes) and piece) if self.is_chunked else ()


Page = str | bytes | int | HttpResponse
"""A page of a server: its body, or how many bytes it has, or a whole response."""


def read_page(path: str, page: Page) -> HttpResponse:
    """Return the response for a page. Raises InvalidValue naming the path when it can't be one."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidValue(f'http: pages are named by their path, such as "/index.html", not {path!r}')
    content_type = CONTENT_TYPES.get(path.rpartition(".")[2].lower(), "text/html")
    if isinstance(page, HttpResponse):
        return page
    if isinstance(page, bool) or not isinstance(page, (str, bytes, int)) or (isinstance(page, int) and page < 0):
        raise InvalidValue(f"http: the page {path} is text, bytes, a number of bytes, or an HttpResponse, not {page!r}")
    if isinstance(page, int):
        return HttpResponse(bytes(0x20 + index % 95 for index in range(page)), content_type="text/plain")
    return HttpResponse(page, content_type=content_type)


def error_page(status: int, text: str = "") -> HttpResponse:
    """Return a page that says what is wrong."""
    title = f"{status} {reason(status)}"
    more = f"<p>{text}</p>" if text else ""
    return HttpResponse(
        f"<html><head><title>{title}</title></head><body><h1>{title}</h1>{more}</body></html>\n", status
    )


def reason(status: int) -> str:
    """Return the words for a status; empty for an unknown one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def header_value(headers: Headers, name: str) -> str | None:
    """Return the first header of that name, in any spelling, or None."""
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


def decoded(message: h11.Request | h11.Response) -> Headers:
    """Return a message's headers as text, names as they were spelled on the wire."""
    pairs = message.headers.raw_items()
    return tuple((bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in pairs)
