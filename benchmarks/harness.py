"""The harness: every run in its own fresh process, ours and the peer's by turns, then medians.

A run that follows another one in the same process inherits its caches, its heap and its luck; two systems measured one
after the other are measured under different loads of the machine. So neither is done here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peer_ns3 import Ns3
from benchmarks.settings import BenchmarkError, Measurement, Setting

REPOSITORY = Path(__file__).resolve().parent.parent
MEMORY_FOLDER = Path("/dev/shm")  # captures go to memory, so that no disk is measured

Progress = Callable[[str], None]


@contextmanager
def capture_folder() -> Iterator[Path]:
    """Give a fresh folder for captures, in memory where there is such a place, and remove it afterwards."""
    place = MEMORY_FOLDER if os.access(MEMORY_FOLDER, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="emu-benchmark-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure_in_fresh_process(setting: Setting, variant: str | None = None) -> Measurement:
    """Run one workload once in a new interpreter.

    variant: the name of an ablation (see `benchmarks.ablations`), or None for emu as it is.
    Raises `BenchmarkError` when the run fails.
    """
    with capture_folder() as folder:
        command = [sys.executable, "-m", "benchmarks", "measure", setting.workload]
        command += ["--capture", setting.capture, "--count", str(setting.count), "--folder", str(folder)]
        command += ["--checksums"] * setting.checksums
        command += ["--variant", variant] if variant else []
        process = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        raise BenchmarkError(f"{setting.workload} failed:\n{process.stderr.strip()}")
    return Measurement(**json.loads(process.stdout.splitlines()[-1]))


def compare(setting: Setting, rounds: int, peer: Ns3 | None, progress: Progress) -> dict[str, Any]:
    """Measure one setting `rounds` times, alternating with the peer run by run; return one entry of `results`."""
    ours: list[Measurement] = []
    theirs: list[Measurement] = []
    for number in range(1, rounds + 1):
        progress(f"{describe(setting)}: round {number} of {rounds}")
        ours.append(measure_in_fresh_process(setting))
        if peer is not None:
            with capture_folder() as folder:
                theirs.append(peer.measure(setting, folder))
    return result_entry(setting, ours, theirs, peer)


def result_entry(
    setting: Setting, ours: list[Measurement], theirs: list[Measurement], peer: Ns3 | None
) -> dict[str, Any]:
    """Summarise the runs of one setting; what a missing peer would have given is None."""
    our_us = median(us_per_datagram(run) for run in ours)
    peer_us = median(us_per_datagram(run) for run in theirs) if theirs else None
    our_cpu_us = median(cpu_us_per_datagram(run) for run in ours)
    peer_cpu_us = median(cpu_us_per_datagram(run) for run in theirs) if theirs else None
    return {
        "workload": setting.workload,
        "capture": setting.capture,
        "checksums": setting.checksums,
        "frame_hops_per_s": round(median(run.frame_hops / run.run_s for run in ours)),
        "us_per_datagram": round(our_us, 3),
        "peak_rss_mib": round(max(run.peak_rss_mib for run in ours), 1),
        "peer": peer.name if peer else None,
        "peer_build": peer.build if peer else None,
        "peer_us_per_datagram": round(peer_us, 3) if peer_us is not None else None,
        "ratio": round(peer_us / our_us, 3) if peer_us is not None else None,
        "cpu_us_per_datagram": round(our_cpu_us, 3),
        "peer_cpu_us_per_datagram": round(peer_cpu_us, 3) if peer_cpu_us is not None else None,
        "cpu_ratio": round(peer_cpu_us / our_cpu_us, 3) if peer_cpu_us is not None else None,
        "capture_mib": round(median(run.capture_mib for run in ours), 1),
        "datagrams": ours[0].datagrams,
        "rounds_us_per_datagram": [round(us_per_datagram(run), 3) for run in ours],
        "peer_rounds_us_per_datagram": [round(us_per_datagram(run), 3) for run in theirs],
    }


def us_per_datagram(run: Measurement) -> float:
    """Return the wall clock time of the run loop per delivered datagram in microseconds."""
    return run.run_s / run.datagrams * 1e6


def cpu_us_per_datagram(run: Measurement) -> float:
    """Return the processor time of the run loop per delivered datagram in microseconds."""
    return run.cpu_s / run.datagrams * 1e6


def describe(setting: Setting) -> str:
    """Name a setting in a few words."""
    checksums = "checksums" if setting.checksums else "no checksums"
    return f"{setting.workload}, capture {setting.capture}, {checksums}"
