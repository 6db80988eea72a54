"""The lines that iperf3 prints; no clock, no socket. Source: iperf 3.12, run between its own client and server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from emu.traffic.iperf_rows import rate

if TYPE_CHECKING:
    from emu.traffic.iperf_result import IperfResult
    from emu.traffic.iperf_rows import IperfInterval, IperfStream

SECOND = 1_000_000_000
SEPARATOR = "- - - - - - - - - - - - - - - - - - - - - - - - -"
_HEAD = "[ ID] Interval           Transfer     Bitrate"
_PREFIXES = ("", "K", "M", "G", "T")


def amount(value: float, unit: str) -> str:
    """Return a number in four places with its prefix: "2.94 GBytes" (steps of 1024), " 895 Kbits" (steps of 1000)."""
    step = 1024 if unit == "Bytes" else 1000
    index = 0
    while value >= step and index < len(_PREFIXES) - 1:
        value /= step
        index += 1
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:4.{digits}f} {_PREFIXES[index]}{unit}"


def report(result: IperfResult) -> str:
    """Return everything that the client of a test prints."""
    options = result.options
    lines = [f"Connecting to host {result.host}, port {options.port}"] if result.streams or not result.error else []
    if options.reverse and lines:
        lines.append(f"Reverse mode, remote host {result.host} is sending")
    for stream in result.streams:
        local, remote = stream.local, stream.remote
        ends = f"local {local[0]} port {local[1]} connected to {remote[0]} port {remote[1]}"
        lines.append(f"[{stream.stream:3d}] {ends}")
    if result.streams:
        lines.append(_interval_head(result))
    for index, interval in enumerate(result.intervals):
        if index and len(interval) > 1:
            lines.append(SEPARATOR)
        lines += [interval_row(row) for row in interval]
        if len(interval) > 1:
            lines.append(_interval_sum(interval))
    if result.finished:
        lines += [SEPARATOR, *summary(result), "", "iperf Done."]
    if result.error is not None:
        lines.append(result.error)
    return "".join(f"{line}\n" for line in lines)


def _interval_head(result: IperfResult) -> str:
    if not result.options.is_udp:
        return f"{_HEAD}         Retr  Cwnd"
    return f"{_HEAD}         {'Jitter    Lost/Total Datagrams' if result.options.reverse else 'Total Datagrams'}"


def _begin(label: str, start_ns: int, end_ns: int, size_bytes: int) -> str:
    """Return what all rows begin with: who, when, how much, how fast."""
    start, end = start_ns / SECOND, end_ns / SECOND
    bits = rate(size_bytes, end_ns - start_ns)
    return f"[{label}] {start:6.2f}-{end:<6.2f} sec  {amount(size_bytes, 'Bytes')}  {amount(bits, 'bits')}/sec"


def interval_row(row: IperfInterval) -> str:
    """Return the row of one stream in one interval."""
    begin = _begin(f"{row.stream:3d}", row.start_ns, row.end_ns, row.bytes)
    if row.jitter_ns is not None:
        return f"{begin}  {_losses(row.jitter_ns, row.lost or 0, row.packets or 0)}  "
    if row.packets is not None:
        return f"{begin}  {row.packets}  "
    if row.retransmits is not None:
        return f"{begin}  {row.retransmits:3d}   {amount(row.cwnd_bytes or 0, 'Bytes')}       "
    return f"{begin}                  "


def _interval_sum(rows: Sequence[IperfInterval]) -> str:
    begin = _begin("SUM", rows[0].start_ns, rows[0].end_ns, sum(row.bytes for row in rows))
    first = rows[0]
    packets = sum(row.packets or 0 for row in rows)
    if first.jitter_ns is not None:
        jitter_ns = sum(row.jitter_ns or 0 for row in rows) // len(rows)
        return f"{begin}  {_losses(jitter_ns, sum(row.lost or 0 for row in rows), packets)}  "
    if first.packets is not None:
        return f"{begin}  {packets}  "
    if first.retransmits is not None:
        return f"{begin}  {sum(row.retransmits or 0 for row in rows):3d}             "
    return f"{begin}                  "


def summary(result: IperfResult) -> list[str]:
    """Return the rows at the end: sender and receiver of each stream, and their sums."""
    streams = result.streams
    if result.options.is_udp:
        lines = [f"{_HEAD}         Jitter    Lost/Total Datagrams"]
        for stream in streams:
            lines += _udp_summary(f"{stream.stream:3d}", [stream])
        return lines + (_udp_summary("SUM", streams) if len(streams) > 1 else [])
    lines = [f"{_HEAD}         Retr"]
    for stream in streams:
        lines += _tcp_summary(f"{stream.stream:3d}", [stream])
    return lines + (_tcp_summary("SUM", streams) if len(streams) > 1 else [])


def _tcp_summary(label: str, streams: Sequence[IperfStream]) -> list[str]:
    sent = _begin(label, 0, streams[0].sent_ns, sum(stream.sent_bytes for stream in streams))
    received = _begin(label, 0, streams[0].received_ns, sum(stream.received_bytes for stream in streams))
    retransmits = sum(stream.retransmits or 0 for stream in streams)
    return [f"{sent}  {retransmits:3d}             sender", f"{received}                  receiver"]


def _udp_summary(label: str, streams: Sequence[IperfStream]) -> list[str]:
    sent = _begin(label, 0, streams[0].sent_ns, sum(stream.sent_bytes for stream in streams))
    received = _begin(label, 0, streams[0].received_ns, sum(stream.received_bytes for stream in streams))
    jitter_ns = sum(stream.jitter_ns for stream in streams) // len(streams)
    lost = sum(stream.lost for stream in streams)
    return [
        f"{sent}  {_losses(0, 0, sum(stream.sent_packets for stream in streams))}  sender",
        f"{received}  {_losses(jitter_ns, lost, sum(stream.received_packets for stream in streams) + lost)}  receiver",
    ]


def _losses(jitter_ns: int, lost: int, total: int) -> str:
    percent = 100 * lost / total if total else 0
    return f"{jitter_ns / 1_000_000:5.3f} ms  {lost}/{total} ({percent:.2g}%)"
