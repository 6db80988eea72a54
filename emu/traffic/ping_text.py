"""The lines that `ping` prints, word for word, for iputils and for BusyBox; no clock, no socket.

Sources: iputils 20221126 (ping_common.c, ping.c); BusyBox 1.35; the transcripts of recorded engines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isqrt

_UNREACHABLE = (
    "Destination Net Unreachable",
    "Destination Host Unreachable",
    "Destination Protocol Unreachable",
    "Destination Port Unreachable",
    "Frag needed and DF set (mtu = {info})",
    "Source Route Failed",
    "Destination Net Unknown",
    "Destination Host Unknown",
    "Source Host Isolated",
    "Destination Net Prohibited",
    "Destination Host Prohibited",
    "Destination Net Unreachable for Type of Service",
    "Destination Host Unreachable for Type of Service",
    "Packet filtered",
    "Precedence Violation",
    "Precedence Cutoff",
)
_TIME_EXCEEDED = ("Time to live exceeded", "Frag reassembly time exceeded")
_REDIRECT = (
    "Redirect Network",
    "Redirect Host",
    "Redirect Type of Service and Network",
    "Redirect Type of Service and Host",
)


def icmp_error_text(icmp_type: int, code: int, info: int = 0) -> str:
    """Return iputils' words for an ICMP error; `info` is the MTU of "fragmentation needed" (3/4)."""
    if icmp_type == 3:
        if code < len(_UNREACHABLE):
            return _UNREACHABLE[code].format(info=info)
        return f"Dest Unreachable, Bad Code: {code}"
    if icmp_type == 11:
        return _TIME_EXCEEDED[code] if code < 2 else f"Time exceeded, Bad Code: {code}"
    if icmp_type == 5:
        return _REDIRECT[code] if code < 4 else f"Redirect, Bad Code: {code}"
    if icmp_type == 4:
        return "Source Quench"
    if icmp_type == 12:
        return f"Parameter problem: pointer = {info}"
    return f"Bad ICMP type: {icmp_type}"


def round_trip_text(triptime_us: int) -> str:
    """Return a round trip time in microseconds as iputils shows it on a reply line: `0.123`, `1.23`, `12.3`, `123`."""
    if triptime_us >= 100_000 - 50:
        return str((triptime_us + 500) // 1000)
    if triptime_us >= 10_000 - 5:
        return f"{(triptime_us + 50) // 1000}.{(triptime_us + 50) % 1000 // 100}"
    if triptime_us >= 1000:
        return f"{(triptime_us + 5) // 1000}.{(triptime_us + 5) % 1000 // 10:02}"
    return f"0.{triptime_us:03}"


def milliseconds_text(time_us: int) -> str:
    """Return microseconds as milliseconds with three decimals, as on the `rtt` line."""
    return f"{time_us // 1000}.{time_us % 1000:03}"


@dataclass(slots=True)
class PingStatistics:
    """What ping counts while it runs. Times are whole microseconds, as in the programs."""

    transmitted: int = 0
    received: int = 0
    duplicates: int = 0
    errors: int = 0
    pipe: int = 0
    triptimes_us: list[int] = field(default_factory=list)

    @property
    def loss_percent(self) -> float:
        """Return the share of requests without an answer, 0 to 100; 0 when nothing was sent."""
        if not self.transmitted:
            return 0.0
        return (self.transmitted - self.received) * 100 / self.transmitted


class IputilsText:
    """iputils' lines."""

    first_sequence = 1

    @staticmethod
    def header(name: str, address: str, size: int) -> str:
        """Return the first line; the number in brackets counts the ICMP and IP headers."""
        return f"PING {name} ({address}) {size}({size + 28}) bytes of data."

    @staticmethod
    def reply(size: int, source: str, sequence: int, ttl: int, triptime_us: int | None, duplicate: bool) -> str:
        """Return the line of one answer; `size` counts the 8 bytes of the ICMP header."""
        line = f"{size} bytes from {source}: icmp_seq={sequence} ttl={ttl}"
        if triptime_us is not None:
            line += f" time={round_trip_text(triptime_us)} ms"
        return line + " (DUP!)" if duplicate else line

    @staticmethod
    def error(source: str, sequence: int, icmp_type: int, code: int, info: int) -> str | None:
        """Return the line of an ICMP error that quotes one of our requests."""
        return f"From {source} icmp_seq={sequence} {icmp_error_text(icmp_type, code, info)}"

    @staticmethod
    def too_long(mtu: int) -> str:
        """Return the line for a request that may not be fragmented and is longer than the MTU."""
        return f"ping: local error: message too long, mtu={mtu}"

    @staticmethod
    def send_failed(reason: str) -> str:
        """Return the line for a request that the socket refused."""
        return f"ping: sendmsg: {reason}"

    @staticmethod
    def no_route(reason: str) -> str:
        """Return the line when the destination cannot even be looked up in the routing table."""
        if reason == "Permission denied":
            return "ping: Do you want to ping broadcast? Then -b. If not, check your local firewall rules"
        return f"ping: connect: {reason}"

    @staticmethod
    def summary(name: str, counts: PingStatistics, elapsed_ns: int) -> list[str]:
        """Return the statistics block, without the empty line before it."""
        line = f"{counts.transmitted} packets transmitted, {counts.received} received"
        if counts.duplicates:
            line += f", +{counts.duplicates} duplicates"
        if counts.errors:
            line += f", +{counts.errors} errors"
        if counts.transmitted:
            line += f", {counts.loss_percent:g}% packet loss, time {(elapsed_ns + 500_000) // 1_000_000}ms"
        return [f"--- {name} ping statistics ---", line, _round_trip_summary(counts)]


def _round_trip_summary(counts: PingStatistics) -> str:
    """Return the `rtt` line; it is empty when nothing came back, as iputils prints it."""
    parts = []
    times = counts.triptimes_us
    if counts.received and times:
        average = sum(times) // len(times)
        variance = sum(time * time for time in times) * len(times) - sum(times) ** 2
        deviation = isqrt(variance // len(times) ** 2)
        shown = "/".join(milliseconds_text(time) for time in (min(times), average, max(times), deviation))
        parts.append(f"rtt min/avg/max/mdev = {shown} ms")
    if counts.pipe > 1:
        parts.append(f"pipe {counts.pipe}")
    return ", ".join(parts)


class BusyBoxText:
    """BusyBox ping's lines; it says nothing about ICMP errors."""

    first_sequence = 0

    @staticmethod
    def header(name: str, address: str, size: int) -> str:
        """Return the first line."""
        return f"PING {name} ({address}): {size} data bytes"

    @staticmethod
    def reply(size: int, source: str, sequence: int, ttl: int, triptime_us: int | None, duplicate: bool) -> str:
        """Return the line of one answer."""
        line = f"{size} bytes from {source}: seq={sequence} ttl={ttl}"
        if triptime_us is not None:
            line += f" time={milliseconds_text(triptime_us)} ms"
        return line + " (DUP!)" if duplicate else line

    @staticmethod
    def error(source: str, sequence: int, icmp_type: int, code: int, info: int) -> str | None:
        """Return None: BusyBox prints nothing."""
        return None

    @staticmethod
    def too_long(mtu: int) -> str:
        """Return the line for a request longer than the MTU."""
        return "ping: sendto: Message too large"

    @staticmethod
    def send_failed(reason: str) -> str:
        """Return the line for a request that the socket refused."""
        return f"ping: sendto: {reason}"

    @staticmethod
    def no_route(reason: str) -> str:
        """Return the line when there is no route."""
        return f"ping: sendto: {reason}"

    @staticmethod
    def summary(name: str, counts: PingStatistics, elapsed_ns: int) -> list[str]:
        """Return the statistics block, without the empty line before it."""
        line = f"{counts.transmitted} packets transmitted, {counts.received} packets received, "
        if counts.duplicates:
            line += f"{counts.duplicates} duplicates, "
        line += f"{int(counts.loss_percent)}% packet loss"
        lines = [f"--- {name} ping statistics ---", line]
        times = counts.triptimes_us
        if times:
            shown = "/".join(milliseconds_text(time) for time in (min(times), sum(times) // len(times), max(times)))
            lines.append(f"round-trip min/avg/max = {shown} ms")
        return lines


PingText = IputilsText | BusyBoxText
FLAVOURS: dict[str, type[IputilsText] | type[BusyBoxText]] = {"iputils": IputilsText, "busybox": BusyBoxText}
"""Which ping's words and first sequence number are used."""
