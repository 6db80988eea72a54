"""What each design choice is worth: the same workload with one of them undone at a time.

Each variant replaces parts of emu in its own process, so nothing of this is in emu itself.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.harness import cpu_us_per_datagram, measure_in_fresh_process, us_per_datagram
from benchmarks.settings import BenchmarkError, Setting

VARIANTS: dict[str, tuple[str, str, Callable[[], None]]] = {}
"""Name -> (what is undone, capture setting in which it shows, function that undoes it)."""


def apply_variant(name: str) -> None:
    """Undo one design choice in this process, before anything is built."""
    if name not in VARIANTS:
        raise BenchmarkError(f"no variant {name!r}: there is {', '.join(VARIANTS)}")
    VARIANTS[name][2]()


def ablate(workload: str, rounds: int, count: int, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Measure every variant against emu as it is, by turns; return one row each."""
    results = []
    for name, (text, capture, _) in VARIANTS.items():
        setting = Setting(workload, capture, False, count)
        plain, undone = [], []
        for number in range(1, rounds + 1):
            progress(f"{name}: round {number} of {rounds}")
            plain.append(measure_in_fresh_process(setting))
            undone.append(measure_in_fresh_process(setting, name))
        plain_us, undone_us = median(map(us_per_datagram, plain)), median(map(us_per_datagram, undone))
        cpu_factor = median(map(cpu_us_per_datagram, undone)) / median(map(cpu_us_per_datagram, plain))
        results.append(
            {
                "undone": text,
                "capture": capture,
                "us as it is": round(plain_us, 3),
                "us undone": round(undone_us, 3),
                "worth": round(undone_us / plain_us, 3),
                "worth (CPU)": round(cpu_factor, 3),
            }
        )
    return results
