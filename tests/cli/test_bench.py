"""`emu bench overlay`: its tables and files, and what it says without matplotlib."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from emu.cli.app import app
from emu.report.bench_progress import SweepProgress
from emu.report.bench_table import headlines, print_benchmark, shown_payloads
from emu.scenario import overlay_bench
from emu.scenario.overlay_bench import DEFAULT, QUICK, run_benchmark

TINY = replace(
    QUICK, payloads=(64, 1396), underlay_mtus=(1500,), stream_count=50, request_count=10,
    tcp_bytes=100_000, tcp_requests=5,
)  # fmt: skip


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay_bench, "QUICK", TINY)


def bench(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["bench", "overlay", "--quick", "--workers", "1", *arguments])
    return done.exit_code, done.output


@pytest.mark.usefixtures("tiny")
def test_tables_and_files_are_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    code, output = bench("--out", str(tmp_path / "results"))
    assert code == 0, output
    assert "UDP stream" in output
    assert "UDP request and response" in output
    names = {file.name for file in (tmp_path / "results").iterdir()}
    plots = {"overlay.png", "overlay.svg", "overlay_tcp.png", "overlay_tcp.svg"}
    assert names == {"overlay.json", "overlay.csv", "overlay_tcp.csv"} | plots
    document = json.loads((tmp_path / "results" / "overlay.json").read_text())
    assert document["sweep"]["payloads"] == [64, 1396]
    rows = list(csv.DictReader((tmp_path / "results" / "overlay.csv").read_text().splitlines()))
    assert len(rows) == len(document["results"]) == 2 * 2 * len(document["cases"])
    assert rows[0]["case"] == document["results"][0]["point"]["case"] == "underlay"
    assert float(rows[0]["latency_propagation_ns"]) == 50_000
    tcp_rows = list(csv.DictReader((tmp_path / "results" / "overlay_tcp.csv").read_text().splitlines()))
    assert [row["case"] for row in tcp_rows] == list(document["cases"])
    assert float(tcp_rows[0]["goodput_bps"]) == document["tcp_results"][0]["goodput_bps"]
    assert "TCP, one connection, streams of 0.1 MB" in output


@pytest.mark.usefixtures("tiny")
def test_the_same_results_give_the_same_files(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("one", "two"):
        assert bench("--out", str(tmp_path / name))[0] == 0
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


@pytest.mark.usefixtures("tiny")
def test_without_matplotlib_it_says_what_to_install_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, output = bench("--out", str(tmp_path))
    assert code == 2
    assert output == "emu: the plot needs matplotlib: pip install matplotlib, or leave it out with --no-plot\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("tiny")
def test_without_a_plot_it_does_not_need_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert bench("--no-plot", "--out", str(tmp_path))[0] == 0
    assert {file.name for file in tmp_path.iterdir()} == {"overlay.json", "overlay.csv", "overlay_tcp.csv"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--rate", "fast"), "invalid rate 'fast'"),
        (("--workers", "0"), "workers must be 1 or more, not 0"),
        (("--out", "/dev/null/x"), "the results can't be written there"),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_a_mistake_is_one_line(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "overlay", "--quick", "--no-plot", "--out", str(tmp_path), *arguments])
    assert done.exit_code == 2
    assert words in done.output
    assert done.output.count("\n") == 1


def test_cases_that_are_not_built_are_named() -> None:
    benchmark = replace(run_benchmark(replace(TINY, cases=("bridge",)), workers=1), left_out={"encrypted": "not built"})
    console = Console(record=True, width=200, file=io.StringIO())
    print_benchmark(benchmark, console)
    assert "not built: encrypted overlay" in console.export_text()


def test_a_long_sweep_shows_some_payloads_and_says_where_the_others_are() -> None:
    benchmark = run_benchmark(replace(TINY, cases=("bridge",), payloads=DEFAULT.payloads), workers=1)
    assert shown_payloads(benchmark) == (64, 512, 1396, 1472, 8972)
    console = Console(record=True, width=200, file=io.StringIO())
    print_benchmark(benchmark, console)
    text = console.export_text()
    assert "7 more payload sizes are in overlay.csv and overlay.json" in text
    assert " 1,472 " in text
    assert " 2,048 " not in text


def test_the_answer_is_given_in_words() -> None:
    line, tcp_line = headlines(run_benchmark(replace(TINY, cases=("underlay", "overlay")), workers=1))
    assert line.startswith("overlay against the underlay, 1,396 B at MTU 1500: goodput -3.")
    assert line.endswith("headers +50 B")
    assert tcp_line.startswith("TCP over overlay against the underlay at MTU 1500: goodput -")


def test_progress_is_shown_on_a_terminal() -> None:
    console = Console(record=True, force_terminal=True, width=80, file=io.StringIO())
    with SweepProgress(console) as progress:
        progress(3, 8)
        progress._progress.refresh()
        assert "3/8" in console.export_text()
