"""A web server's access log in the common log format, and dates as HTTP writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from emu.traffic.ping_payload import EPOCH_S

SECOND = 1_000_000_000
_DAY_NAMES = ("Sat", "Sun", "Mon", "Tue", "Wed", "Thu", "Fri")
"""2000-01-01 was a Saturday."""
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request: when its response was complete (ns), who asked for what, and what was answered.

    client: address. request_line: "GET / HTTP/1.1", None for what could not be read. size: bytes of body.
    """

    time_ns: int
    client: str
    request_line: str | None
    status: int
    size: int

    @property
    def text(self) -> str:
        """The line in the common log format."""
        year, month, day, clock = _date(self.time_ns)
        line = self.request_line if self.request_line is not None else "-"
        stamp = f"{day:02}/{_MONTH_NAMES[month - 1]}/{year}:{clock} +0000"
        return f'{self.client} - - [{stamp}] "{line}" {self.status} {self.size or "-"}'


def http_date(time_ns: int) -> str:
    """Return a virtual time as HTTP writes it: "Sat, 01 Jan 2000 00:00:00 GMT" (RFC 9110, section 5.6.7)."""
    year, month, day, clock = _date(time_ns)
    day_name = _DAY_NAMES[time_ns // (86_400 * SECOND) % 7]
    return f"{day_name}, {day:02} {_MONTH_NAMES[month - 1]} {year} {clock} GMT"


def _date(time_ns: int) -> tuple[int, int, int, str]:
    """Return year, month, day and time of day."""
    moment = datetime.fromtimestamp(EPOCH_S + time_ns // SECOND, UTC)
    return moment.year, moment.month, moment.day, f"{moment:%H:%M:%S}"
