"""`emu bench`: measure what a way of networking costs."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

bench = typer.Typer(no_args_is_help=True, help="Measure what a way of networking costs.")

DEFAULT_FOLDER = Path("out/bench_overlay")

Quick = Annotated[bool, typer.Option("--quick", help="A small sweep, in a few seconds.")]
Out = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", help="The folder for the files: JSON, CSV and plots."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Seed of all randomness.")]
Rate = Annotated[str, typer.Option("--rate", metavar="RATE", help="Rate of the cable between the hosts.")]
Delay = Annotated[str, typer.Option("--delay", metavar="TIME", help="Delay of the cable between the hosts.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", help="Processes that measure at the same time; the results are the same. "
                 "(default: one per core)", show_default=False),
]  # fmt: skip
NoPlot = Annotated[bool, typer.Option("--no-plot", help="Draw nothing; works without matplotlib.")]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show the Python traceback of an error.")]


@bench.callback()
def _verbs() -> None:
    """Make `overlay` a verb of its own, although it is the only one so far."""


@bench.command()
def overlay(
    quick: Quick = False,
    out: Out = DEFAULT_FOLDER,
    seed: Seed = 0,
    rate: Rate = "1Gbit",
    delay: Delay = "50us",
    workers: Workers = None,
    no_plot: NoPlot = False,
    traceback: Traceback = False,
) -> None:
    """What an overlay network costs: the same traffic over the underlay, a bridge, an overlay and an encrypted one.

    Prints tables, and writes overlay.json, overlay.csv, overlay_tcp.csv and plots (overlay.png, overlay_tcp.png, and
    both as svg).
    """
    from emu.cli.run import report_failure
    from emu.report.bench_files import make_folder, write_files
    from emu.report.bench_plot import require_matplotlib, write_plot
    from emu.report.bench_progress import SweepProgress
    from emu.report.bench_table import print_benchmark
    from emu.report.bench_tcp_plot import write_tcp_plot
    from emu.report.table import make_console
    from emu.scenario.overlay_bench import DEFAULT, QUICK, run_benchmark

    try:
        if not no_plot:
            require_matplotlib()
        sweep = dataclasses.replace(QUICK if quick else DEFAULT, seed=seed, rate=rate, delay=delay)
        sweep.check()
        folder = make_folder(out)
        with SweepProgress() if sys.stderr.isatty() else nullcontext() as progress:
            benchmark = run_benchmark(sweep, workers=workers, progress=progress)
        files = write_files(benchmark, folder)
        if not no_plot:
            files += write_plot(benchmark, folder) + write_tcp_plot(benchmark, folder)
        console = make_console()
        print_benchmark(benchmark, console)
        console.print(f"results: {', '.join(map(str, files))}", markup=False, soft_wrap=True)
    except KeyboardInterrupt:
        typer.echo("emu: interrupted", err=True)
        raise typer.Exit(130) from None
    except Exception as error:
        raise typer.Exit(report_failure(error, None, traceback)) from None
