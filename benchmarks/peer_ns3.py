"""The peer: the same workloads in ns-3 (ns3/anchor.cc), built and run by the harness where ns-3 is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.settings import SEGMENT, BenchmarkError, Measurement, Setting

SOURCE = Path(__file__).resolve().parent / "ns3"
PROGRAM = SOURCE / "anchor"
WORKLOADS = {"bridge-udp": 1, "overlay-udp": 2, "tcp-bulk": 3}
CAPTURES = {"none": "none", "receiver": "rx", "underlay": "rx", "all": "all"}
HOPS_PER_DATAGRAM = {"bridge-udp": 3, "overlay-udp": 7, "tcp-bulk": 4.5}
"""In `tcp-bulk` each segment crosses 3, and there is an acknowledgment for every second one."""
TCP_BUFFER = 262_144
"""Bytes. With the 4 MiB that are anchor.cc's default ns-3 builds long queues and takes twice as long."""


@dataclass(frozen=True, slots=True)
class Ns3:
    """An ns-3 program that runs the workloads.

    build: what the libraries are, for people to judge the ratio by.
    """

    program: Path
    build: str
    name: str = "ns-3"

    def measure(self, setting: Setting, folder: Path) -> Measurement:
        """Run one workload once; raises `BenchmarkError` when the program fails or loses datagrams."""
        if setting.workload not in WORKLOADS:
            raise BenchmarkError(f"{setting.workload} has no ns-3 counterpart: leave out --peer")
        command = [str(self.program), f"--w={WORKLOADS[setting.workload]}", f"--n={setting.count}"]
        command += [f"--cap={CAPTURES[setting.capture]}", f"--csum={int(setting.checksums)}"]
        command += [f"--out={folder / 'ns3'}"]
        if setting.workload == "tcp-bulk":
            command += [f"--bytes={setting.count * SEGMENT}", f"--buf={TCP_BUFFER}"]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode != 0:
            raise BenchmarkError(f"{self.program} failed:\n{process.stderr.strip()}")
        report = json.loads(process.stdout)
        is_tcp = setting.workload == "tcp-bulk"
        datagrams = report["rx"] // SEGMENT if is_tcp else report["rx"]  # of TCP it counts bytes
        expected = setting.count if is_tcp else setting.count + 1
        if datagrams != expected:
            raise BenchmarkError(f"ns-3 delivered {datagrams} datagrams instead of {expected}")
        return Measurement(
            run_s=report["run_s"],
            cpu_s=report["run_cpu_s"],
            datagrams=datagrams,
            frame_hops=round(datagrams * HOPS_PER_DATAGRAM[setting.workload]),
            peak_rss_mib=report["rss_mb"],
            capture_mib=sum(path.stat().st_size for path in folder.iterdir()) / 2**20,
        )


def find_ns3(program: str | None = None, build: str | None = None) -> Ns3 | None:
    """Return the ns-3 peer, building it when needed; None when ns-3 is not installed.

    program, build: a program that was built from ns3/anchor.cc against another ns-3, and what that ns-3 is.
    Raises `BenchmarkError` when the build fails, or the given program does not exist.
    """
    if program is not None:
        if shutil.which(program) is None:
            raise BenchmarkError(f"{program}: no such program; build one with benchmarks/ns3/build.sh")
        return Ns3(Path(program).resolve(), build or f"unnamed build {Path(program).name}")
    installed = debian_build()
    if installed is None or shutil.which("g++") is None:
        return None
    if not PROGRAM.exists() or PROGRAM.stat().st_mtime < (SOURCE / "anchor.cc").stat().st_mtime:
        process = subprocess.run([SOURCE / "build.sh"], capture_output=True, text=True, check=False)
        if process.returncode != 0:
            raise BenchmarkError(f"benchmarks/ns3/build.sh failed:\n{process.stderr.strip()}")
    return Ns3(PROGRAM, build or installed)


def debian_build() -> str | None:
    """Name the ns-3 that Debian's package libns3-dev installed, or None without it."""
    if shutil.which("dpkg-query") is None:
        return None
    command = ["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}${Version}", "libns3-dev"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode != 0 or not process.stdout.startswith("ii"):
        return None
    return f"Debian libns3-dev {process.stdout[3:].strip()} (release profile, logs compiled in)"
