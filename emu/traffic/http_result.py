"""What a web client found out: responses, times, and curl's words."""

from __future__ import annotations

from dataclasses import dataclass

from emu.traffic.http_messages import Headers, header_value


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One response, and when things happened, in ns since the request was begun.

    first_byte_ns: until its first byte. total_ns: until its last.
    """

    status: int
    reason: str
    headers: Headers
    body: bytes
    first_byte_ns: int
    total_ns: int

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any spelling, or None."""
        return header_value(self.headers, name)


@dataclass(frozen=True, slots=True)
class HttpResult:
    """What came of a run of the client.

    url: what was asked for first. answers: one HttpAnswer per path that was answered. error: curl's last line, such as
    "curl: (7) Failed to connect to db port 80: Connection refused"; None when all went well.
    connect_ns: until the first connection stood, None when it never did. total_ns: all of it.
    text: what `curl -sv -o /dev/null` prints.
    """

    url: str
    answers: tuple[HttpAnswer, ...]
    error: str | None
    connect_ns: int | None
    total_ns: int
    text: str

    @property
    def ok(self) -> bool:
        """Whether everything was answered, with a status below 400."""
        return self.error is None and all(answer.status < 400 for answer in self.answers)

    @property
    def exit_code(self) -> int:
        """curl's exit status: 0, or the number of the error."""
        return 0 if self.error is None else int(self.error.partition("(")[2].partition(")")[0])

    @property
    def status(self) -> int | None:
        """The status of the last answer; None when there is none."""
        return self.answers[-1].status if self.answers else None

    @property
    def headers(self) -> Headers:
        """The headers of the last answer."""
        return self.answers[-1].headers if self.answers else ()

    @property
    def body(self) -> bytes:
        """The body of the last answer."""
        return self.answers[-1].body if self.answers else b""

    @property
    def first_byte_ns(self) -> int | None:
        """From the start of the run to the first byte of the first answer: name, connection and request included."""
        return self.answers[0].first_byte_ns + (self.connect_ns or 0) if self.answers else None

    @property
    def outcome(self) -> str:
        """One line for result tables."""
        if self.error is not None:
            return self.error
        return ", ".join(f"{answer.status} ({len(answer.body)} bytes)" for answer in self.answers)

    def __str__(self) -> str:
        return self.text
