"""What `emu bench overlay` found out about TCP as one picture, made for a slide (matplotlib, the extra `plot`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emu.report.bench_plot import CASE_COLOURS, save
from emu.report.bench_table import HEADLINE_MTU
from emu.scenario.overlay_bench.cases import CASES
from emu.version import __version__

if TYPE_CHECKING:
    from emu.scenario.overlay_bench.sweep import Benchmark
    from emu.scenario.overlay_bench.tcp import TcpResult

PNG_FILE, SVG_FILE = "overlay_tcp.png", "overlay_tcp.svg"


def write_tcp_plot(benchmark: Benchmark, folder: Path) -> list[Path]:
    """Write overlay_tcp.png and overlay_tcp.svg, if TCP was measured, and return their paths.

    Raises EmuError when matplotlib is missing.
    """
    if not benchmark.tcp_results:
        return []
    return save(draw, benchmark, folder / PNG_FILE, folder / SVG_FILE)


def draw(benchmark: Benchmark) -> Any:
    """The figure: goodput against its ceiling, bytes on the wire, CPU time, and what connections and requests take."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    sweep = benchmark.sweep
    mtu = HEADLINE_MTU if HEADLINE_MTU in sweep.underlay_mtus else sweep.underlay_mtus[0]
    results = [result for result in benchmark.tcp_results if result.point.underlay_mtu == mtu]
    layout = ConstrainedLayoutEngine(w_pad=0.2, h_pad=0.15, rect=(0, 0.035, 1, 0.845))
    figure = Figure(figsize=(13.333, 7.5), layout=layout)
    ((goodput, efficiency), (times, cpu)) = figure.subplots(2, 2)
    _draw_goodput(goodput, results)
    _draw_bars(efficiency, results, lambda result: result.efficiency * 100, "{:.2f} %")
    _draw_theory(efficiency, results, lambda result: result.theory_efficiency * 100)
    efficiency.set(
        title="Payload as part of the bytes on the wire", xlabel="%  (axis from 80 on; marks: theory)", xlim=(80, 100)
    )
    _draw_times(times, results)
    _draw_bars(cpu, results, lambda result: result.cpu_ns_per_kib / 1e3, "{:.1f} µs")
    cpu.set(title="CPU time per KiB of payload, all hosts together", xlabel="µs")
    cpu.margins(x=0.15)
    _draw_texts(figure, benchmark, results, mtu)
    return figure


def _names(results: list[TcpResult]) -> list[str]:
    return [CASES[result.point.case].title.partition(" (")[0] for result in results]


def _draw_bars(axes: Any, results: list[TcpResult], value: Callable[[TcpResult], float], label: str) -> None:
    values = [value(result) for result in results]
    bars = axes.barh(
        _names(results), values, color=[CASE_COLOURS[result.point.case] for result in results], height=0.62
    )
    axes.bar_label(bars, [label.format(entry) for entry in values], padding=6)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def _draw_theory(axes: Any, results: list[TcpResult], value: Callable[[TcpResult], float | None]) -> None:
    """A mark at what theory says, across each bar."""
    for row, result in enumerate(results):
        theory = value(result)
        if theory is not None:
            axes.vlines(theory, row - 0.38, row + 0.38, color="black", linewidth=1.6)


def _draw_goodput(axes: Any, results: list[TcpResult]) -> None:
    """Only what goes over the cable has a ceiling."""
    _draw_bars(axes, results, lambda result: result.goodput_bps / 1e6, "{:,.0f}")
    _draw_theory(axes, results, lambda result: None if result.ceiling_bps is None else result.ceiling_bps / 1e6)
    axes.margins(x=0.15)
    axes.set(title="Goodput of one connection", xlabel="Mbit/s  (marks: ceiling of full segments on the cable)")


def _draw_times(axes: Any, results: list[TcpResult]) -> None:
    rows = range(len(results))
    for offset, colour, label, times_ns in (
        (-0.2, "#56B4E9", "connect()", [result.connect_ns for result in results]),
        (0.2, "#0072B2", "request of 64 bytes and its response", [result.request_ns for result in results]),
    ):
        values = [time_ns / 1e3 for time_ns in times_ns]
        bars = axes.barh([row + offset for row in rows], values, height=0.36, color=colour, label=label)
        axes.bar_label(bars, [f"{value:.1f} µs" for value in values], padding=6, fontsize=10)
    axes.set_yticks(rows, _names(results))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.18)
    axes.set(title="Time to connect, and of a request", xlabel="µs (median, one after the other)")
    axes.legend(ncols=2, frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.2))


def _draw_texts(figure: Any, benchmark: Benchmark, results: list[TcpResult], mtu: int) -> None:
    sweep = benchmark.sweep
    figure.text(0.015, 0.955, _finding(benchmark, mtu), fontsize=17, weight="bold", va="center")
    congestion = results[0].point.congestion.upper()
    figure.text(
        0.015,
        0.905,
        f"One TCP connection ({congestion}) between two hosts, {sweep.tcp_bytes / 1e6:g} MB; cable of {sweep.rate}/s "
        f"and {sweep.delay}, underlay MTU {mtu}",
        fontsize=11,
        color="#555555",
        va="center",
    )
    note = (
        f"emu {__version__}; CPU costs as measured on Linux, no offloads. The bridge's containers are on one host, "
        "without a cable."
    )
    figure.text(0.015, 0.018, note, fontsize=9, color="#777777", va="center")


def _finding(benchmark: Benchmark, mtu: int) -> str:
    """The picture's message in one line."""
    plain, overlay = benchmark.find_tcp("underlay", mtu), benchmark.find_tcp("overlay", mtu)
    if plain is None or overlay is None:
        return "What container networks cost TCP"
    lost = 1 - overlay.goodput_bps / plain.goodput_bps
    more_us = (overlay.connect_ns - plain.connect_ns) / 1e3
    cpu = overlay.cpu_ns_per_kib / plain.cpu_ns_per_kib
    return (
        f"An overlay costs TCP {lost * 100:.1f} % of the goodput, {more_us:.1f} µs per connection "
        f"and {cpu:.1f} times the CPU time"
    )
