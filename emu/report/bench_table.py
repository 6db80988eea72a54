"""The result of `emu bench overlay` as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from emu.scenario.overlay_bench.cases import CASES, NOT_BUILT
from emu.scenario.overlay_bench.point import PointResult
from emu.scenario.overlay_bench.sweep import Benchmark
from emu.scenario.overlay_bench.tcp import TcpResult
from emu.scenario.overlay_bench.trace import PARTS
from emu.scenario.overlay_bench.traffic import TRAFFIC

STREAM, REQUEST_RESPONSE = "udp-stream", "udp-request-response"
SHOWN_PAYLOADS = (64, 512, 1396, 1472, 8972)
"""The payloads of a long sweep that the tables show; the files have all."""
PART_HEADS = {
    "serialization": "serial.",
    "queueing": "queue",
    "propagation": "propag.",
    "processing": "process",
    "encapsulation": "encaps.",
    "wakeup": "wake-up",
}
HEADLINE_MTU, HEADLINE_PAYLOAD = 1500, 1396
"""What the answer in words is for: the longest datagram that every case sends in one piece."""


def print_benchmark(benchmark: Benchmark, console: Console) -> None:
    """Print the tables, what was not built, and the answer in a few lines."""
    shown = shown_payloads(benchmark)
    sweep = benchmark.sweep
    for traffic in sweep.traffics:
        make = stream_table if traffic == STREAM else latency_table
        results = [
            entry
            for entry in benchmark.results
            if entry.point.traffic == traffic and entry.point.payload_bytes in shown
        ]
        console.print(
            f"\n[bold]{TRAFFIC[traffic].title}[/bold], cable of {sweep.rate}/s and {sweep.delay}, times in us"
        )
        console.print(make(results))
    if benchmark.tcp_results:
        size = f"{sweep.tcp_bytes / 1e6:g} MB"
        console.print(f"\n[bold]TCP[/bold], one connection, streams of {size}, requests of 64 B, times in us")
        console.print(tcp_table(benchmark.tcp_results))
    left_out = len(sweep.payloads) - len(shown)
    if left_out:
        console.print(f"[dim]{left_out} more payload sizes are in overlay.csv and overlay.json[/dim]")
    for name, why in benchmark.left_out.items():
        words = (why, CASES[name].title) if why == NOT_BUILT else (CASES[name].title, why)
        console.print(f"[yellow]{escape(words[0])}[/yellow]: {escape(words[1])}", soft_wrap=True)
    for line in headlines(benchmark):
        console.print(escape(line), soft_wrap=True)


def shown_payloads(benchmark: Benchmark) -> tuple[int, ...]:
    """The payload sizes that the tables show: all of a short sweep, the telling ones of a long one."""
    payloads = benchmark.sweep.payloads
    if len(payloads) <= len(SHOWN_PAYLOADS):
        return payloads
    return tuple(size for size in payloads if size in SHOWN_PAYLOADS) or payloads


def stream_table(results: Iterable[PointResult]) -> Table:
    """Bytes, rates and CPU time per point."""
    table = _table(
        "headers B",
        "frames",
        "on the wire B",
        "efficiency",
        "goodput Mbit/s",
        "datagrams/s",
        "lost",
        "CPU",
        "latency p50",
    )
    for result, mtu, payload in _grouped(results, table):
        table.add_row(
            mtu,
            payload,
            result.point.case,
            _number(result.header_bytes),
            _number(result.frames),
            _number(result.wire_bytes),
            f"{result.efficiency:.1%}",
            f"{result.goodput_bps / 1e6:,.1f}",
            f"{result.per_second:,.0f}",
            f"[red]{result.lost:,}[/red]" if result.lost else "0",
            us(result.cpu_ns),
            us(result.latency.p50_ns),
        )
    return table


def latency_table(results: Iterable[PointResult]) -> Table:
    """Round-trip times in us, and the mean of their parts."""
    table = _table("per s", "min", "mean", "p50", "p99", "max", *(PART_HEADS[part] for part in PARTS))
    for result, mtu, payload in _grouped(results, table):
        latency = result.latency
        table.add_row(
            mtu,
            payload,
            result.point.case,
            f"{result.per_second:,.0f}",
            us(latency.minimum_ns),
            us(latency.mean_ns),
            us(latency.p50_ns),
            us(latency.p99_ns),
            us(latency.maximum_ns),
            *(us(latency.parts_ns[part]) for part in PARTS),
        )
    return table


def tcp_table(results: Iterable[TcpResult]) -> Table:
    """Throughput against the ceiling that headers set, the time to connect, and requests per second."""
    columns = (
        "segment B", "efficiency", "theory", "Mbit/s", "at most", "retrans.", "CPU/KiB", "connect",
        "request", "requests/s",
    )  # fmt: skip
    table = _table(*columns, sizes=False)
    shown_mtu = -1
    for result in results:
        point = result.point
        if shown_mtu not in (-1, point.underlay_mtu):
            table.add_section()
        table.add_row(
            str(point.underlay_mtu) if point.underlay_mtu != shown_mtu else "",
            point.case,
            f"{result.maximum_segment:,}",
            f"{result.efficiency:.2%}",
            f"{result.theory_efficiency:.2%}",
            f"{result.goodput_bps / 1e6:,.1f}",
            "-" if result.ceiling_bps is None else f"{result.ceiling_bps / 1e6:,.1f}",
            f"{result.retransmissions:,}",
            us(result.cpu_ns_per_kib),
            us(result.connect_ns),
            us(result.request_ns),
            f"{result.requests_per_second:,.0f}",
        )
        shown_mtu = point.underlay_mtu
    return table


def headlines(benchmark: Benchmark) -> Sequence[str]:
    """What the tunnels cost against the underlay, at one payload and MTU, in words."""
    sweep = benchmark.sweep
    mtu = HEADLINE_MTU if HEADLINE_MTU in sweep.underlay_mtus else sweep.underlay_mtus[0]
    payload = HEADLINE_PAYLOAD if HEADLINE_PAYLOAD in sweep.payloads else sweep.payloads[0]
    lines = []
    for case in ("overlay", "encrypted"):
        stream, plain_stream = (benchmark.find(name, STREAM, mtu, payload) for name in (case, "underlay"))
        trip, plain_trip = (benchmark.find(name, REQUEST_RESPONSE, mtu, payload) for name in (case, "underlay"))
        if stream is None or plain_stream is None or trip is None or plain_trip is None:
            continue
        more_bytes = stream.header_bytes - plain_stream.header_bytes
        lines.append(
            f"{CASES[case].title} against the underlay, {payload:,} B at MTU {mtu}: "
            f"goodput {stream.goodput_bps / plain_stream.goodput_bps - 1:+.1%}, "
            f"CPU {stream.cpu_ns / plain_stream.cpu_ns - 1:+.0%}, "
            f"round trip {us(trip.latency.p50_ns - plain_trip.latency.p50_ns, '+')} us, "
            f"headers {more_bytes:+.0f} B"
        )
    return lines + _tcp_headlines(benchmark, mtu)


def _tcp_headlines(benchmark: Benchmark, mtu: int) -> list[str]:
    """What the tunnels cost TCP."""
    lines = []
    plain = benchmark.find_tcp("underlay", mtu)
    for case in ("overlay", "encrypted"):
        result = benchmark.find_tcp(case, mtu)
        if result is None or plain is None:
            continue
        lines.append(
            f"TCP over {CASES[case].title} against the underlay at MTU {mtu}: "
            f"goodput {result.goodput_bps / plain.goodput_bps - 1:+.1%}, "
            f"connect {us(result.connect_ns - plain.connect_ns, '+')} us, "
            f"request {us(result.request_ns - plain.request_ns, '+')} us"
        )
    return lines


def us(value_ns: float, sign: str = "") -> str:
    """Nanoseconds as microseconds with one decimal."""
    return f"{value_ns / 1000:{sign},.1f}"


def _grouped(results: Iterable[PointResult], table: Table) -> Iterable[tuple[PointResult, str, str]]:
    """The results with what to write for MTU and payload: once per group, with a line between groups."""
    mtu, payload = -1, -1
    for result in results:
        point = result.point
        new_mtu, new_payload = point.underlay_mtu != mtu, point.payload_bytes != payload
        if mtu >= 0 and (new_mtu or new_payload):
            table.add_section()
        mtu, payload = point.underlay_mtu, point.payload_bytes
        yield result, str(mtu) if new_mtu else "", f"{payload:,}" if new_mtu or new_payload else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _table(*numbers: str, sizes: bool = True) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("MTU", justify="right", no_wrap=True)
    if sizes:
        table.add_column("payload B", justify="right", no_wrap=True)
    table.add_column("case", no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right")
    return table
