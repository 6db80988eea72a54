"""The result of `emu bench overlay` as one picture, made for a slide (matplotlib, the extra `plot`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emu.kernel.errors import EmuError
from emu.report.bench_table import HEADLINE_MTU, HEADLINE_PAYLOAD, REQUEST_RESPONSE, STREAM
from emu.scenario.overlay_bench.cases import CASES
from emu.scenario.overlay_bench.theory import datagram_efficiency
from emu.scenario.overlay_bench.trace import PARTS
from emu.version import __version__

if TYPE_CHECKING:
    from emu.scenario.overlay_bench.point import PointResult
    from emu.scenario.overlay_bench.sweep import Benchmark

PNG_FILE, SVG_FILE = "overlay.png", "overlay.svg"
CASE_COLOURS = {"underlay": "#767676", "bridge": "#0072B2", "overlay": "#D55E00", "encrypted": "#8F4E9F"}
CASE_MARKERS = {"underlay": "s", "bridge": "o", "overlay": "D", "encrypted": "^"}
PART_COLOURS = {
    "serialization": "#56B4E9",
    "queueing": "#999999",
    "propagation": "#D9D9D9",
    "processing": "#0072B2",
    "encapsulation": "#D55E00",
    "wakeup": "#F0C75E",
}
SETTINGS = {
    "font.size": 11,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "axes.axisbelow": True,
    "svg.hashsalt": "emu",  # so that the same results give the same file
    "svg.fonttype": "none",
}


def require_matplotlib() -> None:
    """Raise EmuError, which says what to install, when matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise EmuError("the plot needs matplotlib: pip install matplotlib, or leave it out with --no-plot") from None


def write_plot(benchmark: Benchmark, folder: Path) -> list[Path]:
    """Write overlay.png and overlay.svg and return their paths. Raises EmuError when matplotlib is missing."""
    return save(draw, benchmark, folder / PNG_FILE, folder / SVG_FILE)


def save(drawing: Callable[[Benchmark], Any], benchmark: Benchmark, png: Path, svg: Path) -> list[Path]:
    """Draw a figure into both files and return their paths. Raises EmuError when matplotlib is missing."""
    require_matplotlib()
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        figure = drawing(benchmark)
        figure.savefig(png, dpi=150, metadata={"Software": f"emu {__version__}"})
        figure.savefig(svg, metadata={"Date": None, "Creator": f"emu {__version__}"})
    return [png, svg]


def draw(benchmark: Benchmark) -> Any:
    """The figure: goodput, efficiency, CPU time, and where a round trip's time goes."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    sweep = benchmark.sweep
    mtu = HEADLINE_MTU if HEADLINE_MTU in sweep.underlay_mtus else sweep.underlay_mtus[0]
    layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12, rect=(0, 0.035, 1, 0.845))
    figure = Figure(figsize=(13.333, 7.5), layout=layout)
    ((goodput, parts), (efficiency, cpu)) = figure.subplots(2, 2)
    _draw_lines(goodput, benchmark, mtu, lambda result: result.goodput_bps / 1e6)
    goodput.set(title="Goodput of a UDP stream", ylabel="Mbit/s")
    _goodput_axis(goodput)
    _draw_lines(cpu, benchmark, mtu, lambda result: result.cpu_ns / 1e3)
    cpu.set(title="CPU time per datagram, all hosts together", ylabel="µs")
    _draw_efficiency(efficiency, benchmark, mtu)
    for axes in (goodput, cpu, efficiency):
        _payload_axis(axes, benchmark)
    _draw_parts(parts, benchmark, mtu)
    _draw_texts(figure, benchmark, mtu)
    goodput.legend(loc="lower right", frameon=False, fontsize=10)
    return figure


def _draw_lines(axes: Any, benchmark: Benchmark, mtu: int, value: Any) -> None:
    for case in benchmark.cases:
        results = _results(benchmark, case, STREAM, mtu)
        axes.plot(
            [result.point.payload_bytes for result in results],
            [value(result) for result in results],
            color=CASE_COLOURS[case],
            marker=CASE_MARKERS[case],
            markersize=5,
            linewidth=2,
            label=CASES[case].title,
        )
    axes.set_ylim(bottom=0)


def _goodput_axis(axes: Any) -> None:
    """Logarithmic: a bridge without a cable is so much faster that little else would be seen."""
    low, high = axes.dataLim.intervaly
    ticks = [digit * 10**power for power in range(-3, 7) for digit in (1, 2, 5)]
    axes.set_yscale("log")
    axes.set_ylim(low * 0.7, high * 1.25)
    shown = [tick for tick in ticks if low * 0.7 <= tick <= high * 1.25]
    axes.set_yticks(shown, [f"{tick:,g}" for tick in shown])
    axes.minorticks_off()


def _draw_efficiency(axes: Any, benchmark: Benchmark, mtu: int) -> None:
    """Measured points on the line that theory draws; a bridge's frames are as long as the underlay's."""
    low, high = min(benchmark.sweep.payloads), max(benchmark.sweep.payloads)
    sizes = sorted({round(low * (high / low) ** (step / 600)) for step in range(601)})
    for case in benchmark.cases:
        theory = [100 * float(datagram_efficiency(case, mtu, size)) for size in sizes]
        axes.plot(sizes, theory, color=CASE_COLOURS[case], linewidth=1.5, alpha=0.6)
        results = _results(benchmark, case, STREAM, mtu)
        axes.plot(
            [result.point.payload_bytes for result in results],
            [100 * result.efficiency for result in results],
            color=CASE_COLOURS[case],
            marker=CASE_MARKERS[case],
            markersize=8 if case == "underlay" else 5,
            linestyle="none",
        )
    axes.set(title="Payload as part of the bytes on the wire", ylabel="%  (lines: theory)")
    axes.set_ylim(0, 100)


def _draw_parts(axes: Any, benchmark: Benchmark, mtu: int) -> None:
    payload = _headline_payload(benchmark)
    results = [benchmark.find(case, REQUEST_RESPONSE, mtu, payload) for case in benchmark.cases]
    found = [result for result in results if result is not None]
    left = [0.0] * len(found)
    rows = range(len(found))
    for part in PARTS:
        widths = [result.latency.parts_ns[part] / 1e3 for result in found]
        if not any(widths):
            continue
        bars = axes.barh(rows, widths, left=left, color=PART_COLOURS[part], height=0.62, label=part)
        total = max(result.latency.mean_ns for result in found) / 1e3
        shown = [f"{width:.1f}" if width > 0.045 * total else "" for width in widths]
        dark = part in ("processing", "encapsulation")
        axes.bar_label(bars, shown, label_type="center", fontsize=9, color="white" if dark else "black")
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for row, end in zip(rows, left, strict=True):
        axes.annotate(f"{end:.0f} µs", (end, row), xytext=(5, 0), textcoords="offset points", va="center")
    axes.set_yticks(rows, [CASES[result.point.case].title.partition(" (")[0] for result in found])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
    axes.set(title=f"Where a round trip of {payload:,} bytes spends its time", xlabel="µs (mean, UDP request/response)")
    axes.legend(ncols=3, frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.19))


def _draw_texts(figure: Any, benchmark: Benchmark, mtu: int) -> None:
    sweep = benchmark.sweep
    figure.text(0.015, 0.955, _finding(benchmark, mtu), fontsize=17, weight="bold", va="center")
    figure.text(
        0.015,
        0.905,
        f"Datagrams of {_headline_payload(benchmark):,} bytes between two hosts; cable of {sweep.rate}/s and "
        f"{sweep.delay}, underlay MTU {mtu}",
        fontsize=11,
        color="#555555",
        va="center",
    )
    note = (
        f"emu {__version__}; CPU costs as measured on Linux. The bridge's containers are on one host, without a cable."
    )
    if benchmark.left_out:
        note += f" Left out: {', '.join(CASES[name].title for name in benchmark.left_out)}."
    figure.text(0.015, 0.018, note, fontsize=9, color="#777777", va="center")


def _finding(benchmark: Benchmark, mtu: int) -> str:
    """The picture's message in one line."""
    payload = _headline_payload(benchmark)
    stream, plain_stream = (benchmark.find(case, STREAM, mtu, payload) for case in ("overlay", "underlay"))
    trip, plain_trip = (benchmark.find(case, REQUEST_RESPONSE, mtu, payload) for case in ("overlay", "underlay"))
    if stream is None or plain_stream is None or trip is None or plain_trip is None:
        return "What container networks cost"
    lost = 1 - stream.goodput_bps / plain_stream.goodput_bps
    more_us = (trip.latency.p50_ns - plain_trip.latency.p50_ns) / 1e3
    cpu = stream.cpu_ns / plain_stream.cpu_ns
    return (
        f"An overlay costs {lost * 100:.1f} % of the goodput, {more_us:.1f} µs per round trip "
        f"and {cpu:.1f} times the CPU time"
    )


def _payload_axis(axes: Any, benchmark: Benchmark) -> None:
    ticks = [size for size in (64, 128, 256, 512, 1024, 2048, 4096, 8192) if size <= max(benchmark.sweep.payloads)]
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(size) for size in ticks])
    axes.minorticks_off()
    axes.set_xlabel("payload, bytes")


def _headline_payload(benchmark: Benchmark) -> int:
    payloads = benchmark.sweep.payloads
    return HEADLINE_PAYLOAD if HEADLINE_PAYLOAD in payloads else payloads[0]


def _results(benchmark: Benchmark, case: str, traffic: str, mtu: int) -> list[PointResult]:
    found = (benchmark.find(case, traffic, mtu, payload) for payload in sorted(benchmark.sweep.payloads))
    return [result for result in found if result is not None]
