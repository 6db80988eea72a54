"""`emu run`: run a topology script and show what came out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emu.cli import options

if TYPE_CHECKING:
    from emu.scenario.loader import Topology
    from emu.scenario.runner import RunOptions, RunOutcome

TopologySource = Callable[[], "AbstractContextManager[Topology]"]


def run(
    file: options.File,
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
    """Run a topology script: captures and summary.json go to out/<name of FILE>/.

    Exit codes: 0 fine, 1 an expectation was not met, 2 your input is wrong, 3 a bug in emu, 130 interrupted.
    """

    def load() -> AbstractContextManager[Topology]:
        from emu.scenario.loader import load_topology

        return load_topology(file)

    def make_options() -> RunOptions:
        from emu.scenario.parameters import parse_settings
        from emu.scenario.runner import RunOptions

        return RunOptions(
            folder=out,
            seed=seed,
            until=until,
            engine=engine,
            format=file_format,
            interfaces=tuple(interfaces or ()),
            split=split,
            capture=not no_capture,
            snaplen=snaplen,
            settings=parse_settings(settings or ()),
            print_line=print if print_frames else None,
        )

    raise typer.Exit(execute(load, make_options, quiet=quiet, show_traceback=traceback, crash_folder=out))


def execute(
    load: TopologySource,
    make_options: Callable[[], RunOptions],
    *,
    quiet: bool,
    show_traceback: bool,
    crash_folder: Path | None,
) -> int:
    """Run what `load` gives and print the result; return the exit code."""
    folder = crash_folder
    try:
        from emu.scenario.runner import run_topology

        run_options = make_options()
        with load() as topology:
            folder = crash_folder or Path("out") / topology.path.stem
            outcome = run_topology(topology, run_options, watch=None if quiet else _watch(run_options))
    except KeyboardInterrupt:
        _say("interrupted; what was captured so far is in " + str(folder) if folder else "interrupted")
        return 130
    except Exception as error:
        return report_failure(error, folder, show_traceback)
    if not quiet:
        _show(outcome)
    elif not outcome.result.ok:
        _show_failed_expectations(outcome)
    return 0 if outcome.result.ok else 1


def report_failure(error: Exception, folder: Path | None, show_traceback: bool) -> int:
    """Tell the user what went wrong, in one line unless a traceback was asked for; return the exit code."""
    from emu.scenario.failure import EXIT_BUG, explain
    from emu.scenario.runner import CRASH_FILE

    failure = explain(error)
    line = failure.line
    if failure.exit_code == EXIT_BUG and folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / CRASH_FILE).write_text(failure.traceback_text, encoding="utf-8")
            line += f" (please report it with {folder / CRASH_FILE})"
        except OSError:
            show_traceback = True
    if show_traceback:
        print(failure.traceback_text, end="", file=sys.stderr)
    _say(line)
    return failure.exit_code


def _say(line: str) -> None:
    print(f"emu: {line}", file=sys.stderr)


def _show(outcome: RunOutcome) -> None:
    from emu.report.hints import print_hints
    from emu.report.table import make_console, print_result

    console = make_console()
    print_result(outcome.result, console)
    print_hints(outcome.folder, outcome.captures, console)


def _show_failed_expectations(outcome: RunOutcome) -> None:
    for expectation in outcome.result.expectations:
        if not expectation.met:
            problem = f" ({expectation.problem})" if expectation.problem else ""
            _say(f"NOT as expected: {expectation.text}{problem}")


def _watch(run_options: RunOptions) -> Callable[..., AbstractContextManager[object]] | None:
    """A progress bar on a terminal, unless frames are printed there."""
    if run_options.print_line is not None or not sys.stderr.isatty():
        return None
    from emu.report.progress import ProgressBar

    return ProgressBar


DirectFile = Annotated[Path, typer.Argument(hidden=True)]
