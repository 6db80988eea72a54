"""What `iperf3 -J` prints, with its keys. Source: iperf 3.12, `-J` of TCP and UDP tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from emu.traffic.http_log import http_date
from emu.traffic.iperf_rows import rate
from emu.traffic.ping_payload import EPOCH_S
from emu.version import __version__

if TYPE_CHECKING:
    from emu.traffic.iperf_result import IperfResult
    from emu.traffic.iperf_rows import IperfInterval, IperfStream

SECOND = 1_000_000_000


def report(result: IperfResult) -> dict[str, Any]:
    """Return the whole document.

    Limits: the CPU's time is not split into user and system.
    """
    document: dict[str, Any] = {"start": _start(result), "intervals": [], "end": {}}
    for interval in result.intervals:
        streams = [_interval(row) for row in interval]
        document["intervals"].append({"streams": streams, "sum": _interval_sum(interval)})
    if result.finished:
        document["end"] = _end(result)
    if result.error is not None:
        document["error"] = result.error.removeprefix("iperf3: ")
    return document


def _start(result: IperfResult) -> dict[str, Any]:
    options = result.options
    start: dict[str, Any] = {
        "connected": [
            {
                "socket": stream.stream,
                "local_host": stream.local[0],
                "local_port": stream.local[1],
                "remote_host": stream.remote[0],
                "remote_port": stream.remote[1],
            }
            for stream in result.streams
        ],
        "version": "iperf 3.12",
        "system_info": f"emu {__version__}",
        "timestamp": {
            "time": http_date(result.started_ns),
            "timesecs": EPOCH_S + result.started_ns // SECOND,
        },
        "connecting_to": {"host": result.host, "port": options.port},
        "cookie": result.cookie,
    }
    if not options.is_udp:
        start["tcp_mss_default"] = result.mss
    start |= {"target_bitrate": options.rate_bps, "sock_bufsize": options.window}
    start["test_start"] = {
        "protocol": options.protocol.upper(),
        "num_streams": options.parallel,
        "blksize": options.length,
        "omit": 0,
        "duration": _seconds(options.time_ns),
        "bytes": options.size_bytes,
        "blocks": 0,
        "reverse": int(options.reverse),
        "tos": options.tos,
        "target_bitrate": options.rate_bps,
    }
    return start


def _seconds(time_ns: int) -> float | int:
    """Return seconds, whole ones as an int, as cJSON prints them."""
    return time_ns // SECOND if time_ns % SECOND == 0 else time_ns / SECOND


def _span(start_ns: int, end_ns: int, size_bytes: int) -> dict[str, Any]:
    return {
        "start": _seconds(start_ns),
        "end": _seconds(end_ns),
        "seconds": _seconds(end_ns - start_ns),
        "bytes": size_bytes,
        "bits_per_second": rate(size_bytes, end_ns - start_ns),
    }


def _losses(jitter_ns: int, lost: int, packets: int) -> dict[str, Any]:
    return {
        "jitter_ms": jitter_ns / 1_000_000,
        "lost_packets": lost,
        "packets": packets,
        "lost_percent": 100 * lost / packets if packets else 0,
    }


def _interval(row: IperfInterval) -> dict[str, Any]:
    entry = {"socket": row.stream, **_span(row.start_ns, row.end_ns, row.bytes)}
    if row.retransmits is not None:
        entry |= {"retransmits": row.retransmits, "snd_cwnd": row.cwnd_bytes, "snd_wnd": row.send_window}
        entry |= {"rtt": (row.rtt_ns or 0) // 1000, "rttvar": (row.rttvar_ns or 0) // 1000, "pmtu": row.pmtu}
    if row.jitter_ns is not None:
        entry |= _losses(row.jitter_ns, row.lost or 0, row.packets or 0)
    elif row.packets is not None:
        entry["packets"] = row.packets
    return {**entry, "omitted": False, "sender": row.is_sender}


def _interval_sum(rows: Sequence[IperfInterval]) -> dict[str, Any]:
    entry = _span(rows[0].start_ns, rows[0].end_ns, sum(row.bytes for row in rows))
    packets = sum(row.packets or 0 for row in rows)
    if rows[0].retransmits is not None:
        entry["retransmits"] = sum(row.retransmits or 0 for row in rows)
    if rows[0].jitter_ns is not None:
        jitter_ns = sum(row.jitter_ns or 0 for row in rows) // len(rows)
        entry |= _losses(jitter_ns, sum(row.lost or 0 for row in rows), packets)
    elif rows[0].packets is not None:
        entry["packets"] = packets
    return {**entry, "omitted": False, "sender": rows[0].is_sender}


def _end(result: IperfResult) -> dict[str, Any]:
    is_udp = result.options.is_udp
    end: dict[str, Any] = {"streams": []}
    for index, stream in enumerate(result.streams):
        end["streams"].append(
            _udp_stream(stream, not result.options.reverse) if is_udp else _tcp_stream(stream, index, result)
        )
    if is_udp:
        end["sum"] = _udp_received(result.streams, is_sender=not result.options.reverse)
    end["sum_sent"] = _udp_sent(result.streams) if is_udp else _tcp_sum(result, sent=True)
    end["sum_received"] = _udp_received(result.streams, False) if is_udp else _tcp_sum(result, sent=False)
    end["cpu_utilization_percent"] = {
        "host_total": result.local_cpu,
        "host_user": 0,
        "host_system": result.local_cpu,
        "remote_total": result.remote_cpu,
        "remote_user": 0,
        "remote_system": result.remote_cpu,
    }
    if not is_udp:
        end["sender_tcp_congestion"] = result.sender_congestion
        end["receiver_tcp_congestion"] = result.receiver_congestion
    return end


def _tcp_stream(stream: IperfStream, index: int, result: IperfResult) -> dict[str, Any]:
    is_sender = not result.options.reverse
    sender = {"socket": stream.stream, **_span(0, stream.sent_ns, stream.sent_bytes)}
    sender["retransmits"] = stream.retransmits or 0
    rows = [interval[index] for interval in result.intervals]
    rtts_us = [(row.rtt_ns or 0) // 1000 for row in rows] or [0]
    sender["max_snd_cwnd"] = max((row.cwnd_bytes or 0 for row in rows), default=0)
    sender["max_snd_wnd"] = max((row.send_window or 0 for row in rows), default=0)
    sender |= {"max_rtt": max(rtts_us), "min_rtt": min(rtts_us), "mean_rtt": sum(rtts_us) // len(rtts_us)}
    receiver = {"socket": stream.stream, **_span(0, stream.received_ns, stream.received_bytes)}
    return {"sender": {**sender, "sender": is_sender}, "receiver": {**receiver, "sender": is_sender}}


def _tcp_sum(result: IperfResult, *, sent: bool) -> dict[str, Any]:
    streams = result.streams
    if not sent:
        entry = _span(0, streams[0].received_ns, result.received_bytes)
    else:
        entry = {**_span(0, streams[0].sent_ns, result.sent_bytes), "retransmits": result.retransmits}
    return {**entry, "sender": not result.options.reverse}


def _udp_stream(stream: IperfStream, is_sender: bool) -> dict[str, Any]:
    entry = {"socket": stream.stream, **_span(0, stream.sent_ns, stream.sent_bytes)}
    entry |= _losses(stream.jitter_ns, stream.lost, stream.sent_packets)
    return {"udp": {**entry, "out_of_order": stream.out_of_order, "sender": is_sender}}


def _udp_sent(streams: Sequence[IperfStream]) -> dict[str, Any]:
    entry = _span(0, streams[0].sent_ns, sum(stream.sent_bytes for stream in streams))
    return {**entry, **_losses(0, 0, sum(stream.sent_packets for stream in streams)), "sender": True}


def _udp_received(streams: Sequence[IperfStream], is_sender: bool) -> dict[str, Any]:
    lost = sum(stream.lost for stream in streams)
    packets = sum(stream.received_packets for stream in streams) + lost
    entry = _span(0, streams[0].received_ns, sum(stream.received_bytes for stream in streams))
    jitter_ns = sum(stream.jitter_ns for stream in streams) // len(streams)
    return {**entry, **_losses(jitter_ns, lost, packets), "sender": is_sender}
