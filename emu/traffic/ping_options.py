"""What `ping` can be asked to do, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emu.kernel.errors import InvalidValue
from emu.kernel.units import format_time_ns, parse_time_ns
from emu.traffic.ping_text import FLAVOURS

MILLISECOND = 1_000_000
SECOND = 1_000_000_000

LINGER_NS = 10 * SECOND
"""How long iputils waits for a first answer after the last request (`-W`)."""
SIZE_MAX = 65_507
DONT_FRAGMENT = ("want", "do", "dont")


@dataclass(frozen=True, slots=True)
class PingOptions:
    """What `ping` was asked to do; the option letters are iputils'.

    count: how many requests (`-c`, 1 or more); None goes on until `deadline_ns` or the end of the run.
    interval_ns: from one request to the next (`-i`), a multiple of 1 ms.
    size: bytes of data after the 8 bytes of the ICMP header (`-s`, 0..65507).
    ttl: IP time to live (`-t`, 1..255); None takes the namespace's default.
    dont_fragment: `-M`: "want" sets DF on what fits the path MTU, "do" never fragments, "dont" never sets DF.
    deadline_ns: `-w`: stop after so long, or at the first error, whatever was received.
    timeout_ns: `-W`: how long to wait for the first answer after the last request.
    pattern: `-p`: up to 16 bytes that fill the data.
    tos: IP type of service (`-Q`, 0..255).
    flavour: "iputils" or "busybox".
    """

    count: int | None = 4
    interval_ns: int = SECOND
    size: int = 56
    ttl: int | None = None
    dont_fragment: str = "want"
    deadline_ns: int | None = None
    timeout_ns: int = LINGER_NS
    pattern: bytes = b""
    tos: int = 0
    flavour: str = "iputils"

    def __post_init__(self) -> None:
        _check(self.count is None or _is_count(self.count, 1, 2**31), "count", self.count, "1 or more")
        _check(_is_count(self.size, 0, SIZE_MAX), "size", self.size, f"0 to {SIZE_MAX} bytes")
        _check(self.ttl is None or _is_count(self.ttl, 1, 255), "ttl", self.ttl, "1 to 255")
        _check(_is_count(self.tos, 0, 255), "tos", self.tos, "0 to 255")
        _check(
            self.interval_ns >= MILLISECOND and self.interval_ns % MILLISECOND == 0,
            "interval",
            format_time_ns(self.interval_ns),
            "a multiple of 1 ms, as ping counts in milliseconds",
        )
        _check(
            self.dont_fragment in tuple(DONT_FRAGMENT), "dont_fragment", self.dont_fragment, '"want", "do" or "dont"'
        )
        _check(isinstance(self.pattern, bytes) and len(self.pattern) <= 16, "pattern", self.pattern, "at most 16 bytes")
        _check(self.flavour in tuple(FLAVOURS), "flavour", self.flavour, '"iputils" or "busybox"')
        _check(self.timeout_ns > 0, "timeout", self.timeout_ns, "longer than 0")
        _check(self.deadline_ns is None or self.deadline_ns > 0, "deadline", self.deadline_ns, "longer than 0")


def ping_options(
    *,
    count: int | None = 4,
    interval: str | int = SECOND,
    size: int = 56,
    ttl: int | None = None,
    dont_fragment: str | bool = "want",
    deadline: str | int | None = None,
    timeout: str | int = LINGER_NS,
    pattern: str | bytes = b"",
    tos: int = 0,
    flavour: str = "iputils",
) -> PingOptions:
    """Return checked options from what people write: times as "200ms" or ns, the pattern as hex digits.

    `dont_fragment` may also be True ("do") or False ("dont"). Raises InvalidValue naming what is wrong.
    """
    if isinstance(dont_fragment, bool):
        dont_fragment = "do" if dont_fragment else "dont"
    if isinstance(pattern, str):
        try:
            pattern = bytes.fromhex(pattern)
        except ValueError:
            raise InvalidValue(f"ping: pattern must be specified as hex digits: {pattern!r}") from None
    return PingOptions(
        count=count,
        interval_ns=parse_time_ns(interval),
        size=size,
        ttl=ttl,
        dont_fragment=dont_fragment,
        deadline_ns=None if deadline is None else parse_time_ns(deadline),
        timeout_ns=parse_time_ns(timeout),
        pattern=pattern,
        tos=tos,
        flavour=flavour,
    )


def _is_count(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _check(good: bool, name: str, value: Any, expected: str) -> None:
    if not good:
        raise InvalidValue(f"ping: {name} must be {expected}, not {value!r}")
