"""`emu run`: run a topology script and show what came out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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

    request = Request(
        out, seed, until, engine, settings, interfaces, file_format, split, snaplen, no_capture,
        print_frames, quiet, traceback,
    )  # fmt: skip
    raise typer.Exit(execute(load, request))


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for on the command line."""

    out: Path | None
    seed: int | None
    until: str | None
    engine: str | None
    settings: list[str] | None
    interfaces: list[str] | None
    file_format: Literal["pcapng", "pcap"]
    split: bool
    snaplen: int | None
    no_capture: bool
    print_frames: bool
    quiet: bool
    traceback: bool

    def run_options(self) -> RunOptions:
        """The same in the words of the scenario room. Raises InvalidValue for a malformed `--set`."""
        from emu.scenario.parameters import parse_settings
        from emu.scenario.runner import RunOptions

        return RunOptions(
            folder=self.out,
            seed=self.seed,
            until=self.until,
            engine=self.engine,
            format=self.file_format,
            interfaces=tuple(self.interfaces or ()),
            split=self.split,
            capture=not self.no_capture,
            snaplen=self.snaplen,
            settings=parse_settings(self.settings or ()),
            print_line=print if self.print_frames else None,
        )


def execute(load: TopologySource, request: Request) -> int:
    """Run what `load` gives, print the result, and return the exit code."""
    folder = request.out
    try:
        from emu.scenario.runner import default_folder, run_topology

        run_options = request.run_options()
        with load() as topology:
            folder = request.out or default_folder(topology)
            outcome = run_topology(topology, run_options, watch=_watch(request))
    except KeyboardInterrupt:
        _say(f"interrupted; what was captured so far is in {folder}/" if folder else "interrupted")
        return 130
    except BrokenPipeError:
        return _nobody_reads()
    except SystemExit as error:
        _say(f"the script called sys.exit({error.code!r}); let topology return instead")
        return 2
    except Exception as error:
        return report_failure(error, folder, request.traceback)
    try:
        if not request.quiet:
            _show(outcome)
        else:
            _say_what_is_not_as_expected(outcome)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # rich turns a broken pipe into SystemExit(1)
        return _nobody_reads()
    return 0 if outcome.result.ok else 1


def report_failure(error: Exception, folder: Path | None, show_traceback: bool) -> int:
    """Tell the user what went wrong, in one line unless a traceback was asked for; return the exit code.

    folder: where crash.txt goes when it is a bug in emu; None shows the traceback instead.
    """
    from emu.scenario.failure import EXIT_BUG, explain, write_crash

    failure = explain(error)
    line = failure.line
    if failure.exit_code == EXIT_BUG:
        file = write_crash(failure, folder)
        show_traceback = show_traceback or file is None
        line += f"; please report it with {file}" if file is not None else "; please report it"
    if show_traceback:
        print(failure.traceback_text, end="", file=sys.stderr)
    _say(line)
    return failure.exit_code


def _nobody_reads() -> int:
    """The reader of our output went away (`| head`): stop quietly, as other programs do; return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its own end
    return 141


def _say(line: str) -> None:
    print(f"emu: {line}", file=sys.stderr)


def _show(outcome: RunOutcome) -> None:
    from emu.report.hints import print_hints
    from emu.report.table import make_console, print_result

    console = make_console()
    print_result(outcome.result, console)
    if not outcome.result.ok:
        console.print(f"the same again: {outcome.command}", markup=False, soft_wrap=True)
    print_hints(outcome.folder, outcome.captures, console, outcome.esp_sa, had_tcp=outcome.had_tcp)


def _say_what_is_not_as_expected(outcome: RunOutcome) -> None:
    for expectation in outcome.result.expectations:
        if not expectation.met:
            problem = f" ({expectation.problem})" if expectation.problem else ""
            _say(f"NOT as expected: {expectation.text}{problem}")


def _watch(request: Request) -> Callable[..., AbstractContextManager[object]] | None:
    """A progress bar on a terminal, unless frames are printed there or nothing shall be."""
    if request.quiet or request.print_frames or not sys.stderr.isatty():
        return None
    from emu.report.progress import ProgressBar

    return ProgressBar
