"""HTTP messages as scripts see them: requests that a server got, responses that it gives (RFC 9110)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import h11

from emu.kernel.errors import InvalidValue

Headers = tuple[tuple[str, str], ...]
CONTENT_TYPES = {
    "css": "text/css", "csv": "text/csv", "gif": "image/gif", "htm": "text/html", "html": "text/html",
    "ico": "image/x-icon", "jpg": "image/jpeg", "js": "text/javascript", "json": "application/json",
    "png": "image/png", "svg": "image/svg+xml", "txt": "text/plain", "xml": "text/xml",
}  # fmt: skip
PAGE_BYTES_MAX = 1 << 30
FRAMING_HEADERS = ("content-length", "transfer-encoding")


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
    status: 200 to 599. headers: a dict or pairs, besides Server, Date and Content-Type; a name given here replaces
        these. The length is found out.
    content_type: None for "text/html".
    Raises InvalidValue for anything else.
    """

    body: bytes | str | Sequence[bytes] = b""
    status: int = 200
    headers: Headers | Mapping[str, str] = field(default=())
    content_type: str | None = None

    def __post_init__(self) -> None:
        if type(self.status) is not int or not 200 <= self.status <= 599:
            raise InvalidValue(f"http: a status is a number from 200 to 599, not {self.status!r}")
        if not isinstance(self.body, (bytes, str)) and not (
            isinstance(self.body, Sequence) and all(isinstance(piece, bytes) for piece in self.body)
        ):
            raise InvalidValue(f"http: a body is bytes, text or a list of bytes, not {self.body!r}")
        if self.content_type is not None:
            checked_headers({"Content-Type": self.content_type})
        object.__setattr__(self, "headers", checked_headers(self.headers))

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
        if page > PAGE_BYTES_MAX:
            raise InvalidValue(f"http: the page {path} has {page} bytes; at most {PAGE_BYTES_MAX} are possible")
        letters = bytes(range(0x20, 0x7F))
        return HttpResponse((letters * (page // len(letters) + 1))[:page], content_type="text/plain")
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


def checked_headers(headers: Any) -> Headers:
    """Return headers as pairs. Raises InvalidValue for what can't be any, and for those that follow from the body."""
    if not isinstance(headers, (Mapping, Sequence)):
        raise InvalidValue(f'http: headers are texts such as {{"Cache-Control": "no-store"}}, not {headers!r}')
    pairs = tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers)
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise InvalidValue(f'http: headers are texts such as {{"Cache-Control": "no-store"}}, not {headers!r}')
        name, value = pair
        if name.lower() in FRAMING_HEADERS:
            raise InvalidValue(f"http: the header {name} follows from the body; leave it out")
        try:
            h11.Response(status_code=200, headers=[(name.encode("ascii"), value.encode("ascii"))])
        except (h11.LocalProtocolError, UnicodeEncodeError) as error:
            raise InvalidValue(f"http: {name!r}: {value!r} is not a header: {error}") from None
    return tuple((name, value) for name, value in pairs)


def decoded(message: h11.Request | h11.Response) -> Headers:
    """Return a message's headers as text, names as they were spelled on the wire."""
    pairs = message.headers.raw_items()
    return tuple((bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in pairs)
