"""Running topologies for tests: each one once, and again where a test is about running again."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from emu.result import Result, TaskResult
from emu.scenario.loader import load_topology
from emu.scenario.runner import RunOptions, run_topology
from tests.capture.pcapng_reader import CaptureFile, Packet, read_pcapng

REPOSITORY = Path(__file__).resolve().parents[2]
TOPOLOGIES = REPOSITORY / "topologies"
NAMES = tuple(sorted(path.stem for path in TOPOLOGIES.glob("*.py")))
EVERYTHING = Path(__file__).with_name("everything.py")

_scratch = TemporaryDirectory(prefix="emu-scenarios-")  # removed when the test session ends


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind."""

    folder: Path
    result: Result

    @property
    def capture_path(self) -> Path:
        """The all-in-one capture."""
        return self.folder / "capture.pcapng"

    @property
    def capture(self) -> CaptureFile:
        """The capture, read by the strict reader."""
        return _read(self.capture_path)

    def tasks(self) -> dict[str, TaskResult]:
        """The tasks by name; of several with one name the last."""
        return {task.name: task for task in self.result.tasks}

    def at(self, *interfaces: str) -> list[Packet]:
        """The packets of some interfaces, in the order of the file."""
        return [packet for packet in self.capture.packets if packet.name in interfaces]


@lru_cache(maxsize=64)
def _read(path: Path) -> CaptureFile:
    return read_pcapng(path)


def script(name: str) -> Path:
    """Return the file of a topology, or of the tests' own one that does everything."""
    return EVERYTHING if name == EVERYTHING.stem else TOPOLOGIES / f"{name}.py"


def run_again(name: str, folder: Path | None = None, seed: int | None = None, **settings: str) -> Outcome:
    """Run a topology in this process, into a folder of its own."""
    folder = folder or Path(mkdtemp(prefix=f"{name}-", dir=_scratch.name))
    with load_topology(script(name)) as topology:
        outcome = run_topology(topology, RunOptions(folder=folder, settings=settings, seed=seed))
    return Outcome(folder, outcome.result)


@lru_cache(maxsize=64)
def run_once(name: str, **settings: str) -> Outcome:
    """Run a topology, or return what it left behind when it was run before."""
    return run_again(name, None, **settings)


def run_command(name: str, folder: Path, hash_seed: str) -> None:
    """Run a topology with the `emu` command in a process of its own, with a given PYTHONHASHSEED."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(
        [sys.executable, "-m", "emu", "run", str(script(name)), "--out", str(folder), "--quiet"],
        env=environment,
        cwd=folder.parent,
        check=True,
        timeout=60,
    )
