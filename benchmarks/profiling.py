"""Where the time of a run goes, function by function."""

from __future__ import annotations

import cProfile
import io
import pstats
from pathlib import Path

from benchmarks.harness import REPOSITORY, capture_folder, describe
from benchmarks.settings import Setting
from benchmarks.workloads import WORKLOADS


def profile_text(setting: Setting, lines: int) -> str:
    """Run one workload under cProfile and return its table, sorted by the time inside each function.

    The profiler slows small functions down most: shares are a guide, absolute times are not.
    """
    profiler = cProfile.Profile()
    with capture_folder() as folder:
        prepared = WORKLOADS[setting.workload](setting, folder)
        profiler.enable()
        prepared.run()
        profiler.disable()
    text = io.StringIO()
    statistics = pstats.Stats(profiler, stream=text)
    statistics.sort_stats("tottime").print_stats(lines)
    return f"{describe(setting)}, {setting.count:,} datagrams\n{without_paths(text.getvalue())}"


def without_paths(text: str) -> str:
    """Shorten the file names of this repository and of the library to what says something."""
    text = text.replace(f"{REPOSITORY}{'/'}", "")
    return text.replace(f"{Path(io.__file__).parent}/", "")
