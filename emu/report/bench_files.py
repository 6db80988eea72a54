"""The result of `emu bench overlay` as files: JSON with everything, CSV with one row per point, and one for TCP.

Nothing in them depends on the machine, the clock or the number of workers.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emu.kernel.errors import InvalidValue
from emu.scenario.overlay_bench.cases import CASES
from emu.scenario.overlay_bench.point import PointResult
from emu.scenario.overlay_bench.sweep import Benchmark
from emu.scenario.overlay_bench.tcp import TcpResult
from emu.version import __version__

JSON_FILE, CSV_FILE, TCP_CSV_FILE = "overlay.json", "overlay.csv", "overlay_tcp.csv"
PLOT_FILES = ("overlay.png", "overlay.svg", "overlay_tcp.png", "overlay_tcp.svg")


def write_files(benchmark: Benchmark, folder: Path) -> list[Path]:
    """Write overlay.json, overlay.csv and, if TCP was measured, overlay_tcp.csv; return their paths."""
    texts = {JSON_FILE: json_text(benchmark), CSV_FILE: csv_text([row_of(result) for result in benchmark.results])}
    if benchmark.tcp_results:
        texts[TCP_CSV_FILE] = csv_text([tcp_row_of(result) for result in benchmark.tcp_results])
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def make_folder(folder: Path) -> Path:
    """Make the folder for results and remove older ones from it. Raises InvalidValue when it can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / JSON_FILE).write_text("")
        for name in (JSON_FILE, CSV_FILE, TCP_CSV_FILE, *PLOT_FILES):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InvalidValue(
            f"{folder}: the results can't be written there: {error.strerror}; choose another --out"
        ) from None
    return folder


def json_text(benchmark: Benchmark) -> str:
    """The sweep, the cases and the results."""
    document: dict[str, Any] = {
        "emu": __version__,
        "sweep": asdict(benchmark.sweep),
        "cases": {name: CASES[name].title for name in benchmark.cases},
        "left_out": benchmark.left_out,
        "results": [asdict(result) for result in benchmark.results],
        "tcp_results": [asdict(result) for result in benchmark.tcp_results],
    }
    return json.dumps(document, indent=1) + "\n"


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """One line per row, under a line with the names of the columns."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def row_of(result: PointResult) -> dict[str, Any]:
    """A result as one flat row; the parts of latency are columns of their own."""
    row = asdict(result)
    point, latency = row.pop("point"), row.pop("latency")
    parts = latency.pop("parts_ns")
    return {
        **point,
        **row,
        **{f"latency_{name}": value for name, value in latency.items()},
        **{f"latency_{name}_ns": value for name, value in parts.items()},
    }


def tcp_row_of(result: TcpResult) -> dict[str, Any]:
    """A result of TCP as one flat row."""
    row = asdict(result)
    return {**row.pop("point"), **row}
