"""Running a topology into a folder of results: captures, summary.json and timing.json."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from emu.capture.esp_sa import ESP_SA_FILE
from emu.emulation import Emulation
from emu.kernel.errors import InvalidValue
from emu.result import Result
from emu.scenario.failure import CRASH_FILE
from emu.scenario.loader import Topology
from emu.scenario.parameters import convert_settings, value_text

SUMMARY_FILE = "summary.json"
TIMING_FILE = "timing.json"
CAPTURE_STEM = "capture"
SPLIT_FOLDER = "by-interface"

Watch = Callable[[Emulation], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run a topology; None means as the script, or else `Emulation`, has it.

    folder: where results go, None for out/<file stem>.
    until: virtual end time, "10s" or an int of nanoseconds.
    format: "pcapng" (one file for all interfaces) or "pcap" (one file per interface).
    interfaces: globs of the interfaces to capture; empty for all.
    split: also write one file per interface.
    capture: False writes no capture at all.
    snaplen: bytes kept of each frame.
    settings: the topology's parameters as texts.
    print_line: receives one line per frame, as tcpdump prints it.
    """

    folder: Path | None = None
    seed: int | None = None
    until: str | int | None = None
    engine: str | None = None
    format: Literal["pcapng", "pcap"] = "pcapng"
    interfaces: Sequence[str] = ()
    split: bool = False
    capture: bool = True
    snaplen: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    print_line: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a run left behind.

    result: what came out. folder, captures: where the files are. command: what repeats it.
    esp_sa: the files with the keys of encrypted tunnels, beside the captures. had_tcp: whether TCP was used.
    """

    result: Result
    folder: Path
    captures: list[Path]
    command: str
    esp_sa: list[Path] = field(default_factory=list)
    had_tcp: bool = False


def run_topology(topology: Topology, options: RunOptions | None = None, *, watch: Watch | None = None) -> RunOutcome:
    """Build a topology, run it, and write what came out into the folder.

    watch: a context manager around the run, such as a progress bar.
    Raises EmuError for a user's mistake, and what the script raises; captures written so far are valid files then.
    """
    options = options or RunOptions()
    values = convert_settings(topology.parameters, options.settings)
    check_options(options)
    net = make_emulation(topology, options, values)
    folder = prepare_folder(options.folder or default_folder(topology))
    net.folder = folder
    net.captures_enabled = options.capture
    net.before_first_run.append(lambda: _observe(net, options))
    started_s = time.perf_counter()
    with net:
        build(topology, net, values)
        built_s = time.perf_counter()
        with watch(net) if watch is not None else nullcontext():
            result = net.run()
        for capture in net.captures:
            capture.check_patterns()
        for printer in net.printers:
            printer.check_patterns()
    ended_s = time.perf_counter()
    (folder / SUMMARY_FILE).write_text(json.dumps(result.summary(), indent=2) + "\n", encoding="utf-8")
    _write_timing(folder, net, built_s - started_s, ended_s - built_s)
    return RunOutcome(result, folder, net.capture_files(), net.command, net.esp_sa_files, net.had_tcp)


def default_folder(topology: Topology) -> Path:
    """Where results go unless told otherwise: out/<file stem>."""
    return Path("out") / topology.path.stem


def build_topology(topology: Topology, options: RunOptions | None = None) -> Emulation:
    """Build a topology without running it, to look at it."""
    options = options or RunOptions()
    values = convert_settings(topology.parameters, options.settings)
    net = make_emulation(topology, options, values)
    net.captures_enabled = False
    build(topology, net, values)
    return net


def build(topology: Topology, net: Emulation, values: Mapping[str, Any]) -> None:
    """Call the topology function. Raises InvalidValue for one that would do nothing when called."""
    returned = topology.function(net, **values)
    if isinstance(returned, (Generator, Coroutine)):
        returned.close()
        raise InvalidValue(
            f"{topology.path}: topology() has a yield or await of its own: "
            "put that into another function and net.spawn(...) it"
        )


def make_emulation(topology: Topology, options: RunOptions, values: Mapping[str, Any]) -> Emulation:
    """An empty emulation with the seed, engine and end that the options, else the script, ask for."""
    defaults = topology.defaults
    chosen: dict[str, Any] = {
        "engine": defaults.engine if options.engine is None else options.engine,
        "seed": defaults.seed if options.seed is None else options.seed,
        "until": defaults.until if options.until is None else options.until,
        "cost": defaults.cost,
    }
    net = Emulation(name=topology.name, **{key: value for key, value in chosen.items() if value is not None})
    net.command = command_line(topology, options, net, values)
    return net


def command_line(topology: Topology, options: RunOptions, net: Emulation, values: Mapping[str, Any]) -> str:
    """The command that reproduces the run, without anything that depends on this machine."""
    words = ["emu", "run", topology.path.name, "--seed", str(net.seed)]
    if options.engine is not None:
        words += ["--engine", options.engine]
    if options.until is not None:
        words += ["--until", str(options.until)]
    for key in options.settings:
        words += ["--set", f"{key}={value_text(values[key])}"]
    return " ".join(words)


def check_options(options: RunOptions) -> None:
    """Refuse options that contradict each other: none is ever ignored."""
    if options.format not in ("pcapng", "pcap"):
        raise InvalidValue(f"--format {options.format}: expected pcapng or pcap")
    if not options.capture and _capture_options(options):
        raise InvalidValue(f"--no-capture and {_capture_options(options)[0]} contradict each other")
    if options.split and options.format == "pcap":
        raise InvalidValue("--split is for pcapng: --format pcap writes one file per interface anyway")


def prepare_folder(folder: Path) -> Path:
    """Make the folder for results and remove the results of an earlier run from it.

    Raises InvalidValue when it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (SUMMARY_FILE, TIMING_FILE, CRASH_FILE, f"{CAPTURE_STEM}.pcapng", ESP_SA_FILE):
            (folder / name).unlink(missing_ok=True)
        for file in sorted((folder / SPLIT_FOLDER).glob("*.pcap*")):
            file.unlink()
        (folder / SUMMARY_FILE).write_text("")
        (folder / SUMMARY_FILE).unlink()
    except OSError as error:
        raise InvalidValue(
            f"{folder}: the results can't be written there: {error.strerror}; choose another --out"
        ) from None
    return folder


def _observe(net: Emulation, options: RunOptions) -> None:
    """Capture everything unless the script said itself what to capture; print frames if wanted."""
    if options.print_line is not None:
        net.print_frames(options.print_line, options.interfaces or None)
    if not options.capture:
        return
    if net.captures:
        refused = _capture_options(options)
        if refused:
            raise InvalidValue(f"{refused[0]}: the script says itself what to capture (net.capture)")
        return
    net.capture(
        SPLIT_FOLDER if options.format == "pcap" else f"{CAPTURE_STEM}.pcapng",
        options.interfaces or None,
        format=options.format,
        split=options.split,
        snaplen=options.snaplen,
    )


def _capture_options(options: RunOptions) -> list[str]:
    """The options given that only mean something for the default capture; `--interfaces` also chooses what to print."""
    given = {
        "--interfaces": bool(options.interfaces) and options.print_line is None,
        "--split": options.split,
        "--format": options.format != "pcapng",
        "--snaplen": options.snaplen is not None,
    }
    return [name for name, is_given in given.items() if is_given]


def _write_timing(folder: Path, net: Emulation, build_s: float, run_s: float) -> None:
    frames = net.frame_count()
    timing = {
        "build_s": round(build_s, 6),
        "run_s": round(run_s, 6),
        "virtual_time_s": net.now / 1e9,
        "frames": frames,
        "frames_per_s": round(frames / run_s) if run_s > 0 else None,
        "peak_rss_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    (folder / TIMING_FILE).write_text(json.dumps(timing, indent=2) + "\n", encoding="utf-8")
