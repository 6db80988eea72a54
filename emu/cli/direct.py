"""`emu.main(topology)`: a topology script that is run directly, `python topologies/first_ping.py --seed 7`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from emu.cli import options
from emu.cli.run import Request, execute

if TYPE_CHECKING:
    from emu.scenario.loader import Topology


def main(topology: Callable[..., Any]) -> NoReturn:
    """Run a topology function with the options of `emu run` from the command line, then exit.

    topology: a function that takes an `Emulation` first, then typed keyword parameters (`--set key=value`).
    """
    path = Path(inspect.getsourcefile(topology) or sys.argv[0])
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command(help=f"Run {path.name}: captures and summary.json go to out/{path.stem}/.")(_command(topology, path))
    app(prog_name=path.name)
    raise SystemExit  # not reached: the app exits


def _command(topology: Callable[..., Any], path: Path) -> Callable[..., None]:
    def load() -> AbstractContextManager[Topology]:
        from emu.scenario.loader import Topology

        return nullcontext(Topology.from_function(topology, path))

    def command(
        out: options.Out = None,
        seed: options.Seed = None,
        until: options.Until = None,
        engine: options.Engine = None,
        settings: options.Settings = None,
        interfaces: options.Interfaces = None,
        file_format: options.Format = "pcapng",
        split: options.Split = False,
        snaplen: options.Snaplen = None,
        no_capture: options.NoCapture = False,
        print_frames: options.PrintFrames = False,
        quiet: options.Quiet = False,
        traceback: options.Traceback = False,
    ) -> None:
        request = Request(
            out, seed, until, engine, settings, interfaces, file_format, split, snaplen, no_capture,
            print_frames, quiet, traceback,
        )  # fmt: skip
        raise typer.Exit(execute(load, request))

    return command
