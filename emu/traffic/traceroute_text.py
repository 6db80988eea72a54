"""The lines that Linux's `traceroute` prints; no clock, no socket.

Source: traceroute 2.1.2 on Linux 6.18, run against three routers (all three methods, rejected and silent targets).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_UNREACHABLE_MARKS = {
    0: "!N", 1: "!H", 2: "!P", 3: "", 5: "!S", 6: "!N", 7: "!H", 8: "!N", 9: "!X", 10: "!X", 11: "!N", 12: "!H",
    13: "!X", 14: "!V", 15: "!C",
}  # fmt: skip
"""Code of a "destination unreachable" -> what is printed behind the time."""


@dataclass(frozen=True, slots=True)
class TraceProbe:
    """One probe: who answered (None: nobody in time), after how long, and what the answer said besides ("!H", …)."""

    address: str | None
    rtt_ns: int | None
    mark: str = ""


@dataclass(frozen=True, slots=True)
class TraceHop:
    """The probes of one TTL, in the order in which they were sent."""

    ttl: int
    probes: tuple[TraceProbe, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Who answered, each once, in order."""
        return tuple(dict.fromkeys(probe.address for probe in self.probes if probe.address is not None))


def error_mark(icmp_type: int, code: int, information: int) -> str | None:
    """Return what is printed for an ICMP error; None for "time to live exceeded", after which the trace goes on."""
    if icmp_type == 11 and code == 0:
        return None
    if icmp_type != 3:
        return f"!<{icmp_type}-{code}>"
    if code == 4:
        return f"!F-{information}"
    return _UNREACHABLE_MARKS.get(code, f"!<{code}>")


def header(name: str, address: str, max_ttl: int, packet_bytes: int) -> str:
    """Return the first line."""
    return f"traceroute to {name} ({address}), {max_ttl} hops max, {packet_bytes} byte packets"


def hop_line(hop: TraceHop, name_of: Callable[[str], str | None]) -> str:
    """Return the line of one hop; an address is said again only where it changes."""
    line = f"{hop.ttl:2d} "
    shown: str | None = None
    for probe in hop.probes:
        if probe.address is None:
            line += " *"
            continue
        if probe.address != shown:
            shown = probe.address
            line += f" {name_of(shown) or shown} ({shown})"
        assert probe.rtt_ns is not None, "an answer has a time"
        line += f"  {milliseconds_text(probe.rtt_ns)} ms"
        if probe.mark:
            line += f" {probe.mark}"
    return line


def milliseconds_text(time_ns: int) -> str:
    """Return nanoseconds as milliseconds with three decimals; traceroute's clock counts whole microseconds."""
    time_us = time_ns // 1000
    return f"{time_us // 1000}.{time_us % 1000:03}"
