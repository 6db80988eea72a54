"""A progress bar for a terminal: virtual time and frames per second."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from emu.kernel.units import format_time_ns

REFRESH_S = 0.1


class Watched(Protocol):
    """What is read of a running emulation: two numbers, and where it ends."""

    @property
    def now(self) -> int: ...
    @property
    def until_ns(self) -> int | None: ...
    def frame_count(self) -> int: ...


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        frames, seconds = task.fields["frames"], task.elapsed or 0.0
        return Text(f"{frames:,} frames, {frames / seconds:,.0f}/s" if seconds > 0.2 else f"{frames:,} frames")


class ProgressBar:
    """Shows how far an emulation is, on standard error, while the context lasts; a thread reads two numbers."""

    def __init__(self, net: Watched) -> None:
        self._net = net
        self._done = threading.Event()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[virtual]}"),
            *([BarColumn()] if net.until_ns is not None else []),
            _Rate(),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,
        )
        self._task = self._progress.add_task("run", total=net.until_ns, virtual="", frames=0)
        self._thread = threading.Thread(target=self._refresh, daemon=True)

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()
        self._progress.stop()

    def _refresh(self) -> None:
        while not self._done.wait(REFRESH_S):
            now_ns = self._net.now
            self._progress.update(
                self._task,
                completed=now_ns,
                virtual=format_time_ns(now_ns - now_ns % 1_000_000),
                frames=self._net.frame_count(),
                refresh=True,
            )
            time.sleep(0)  # let the run have the interpreter
