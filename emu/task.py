"""A task: a program that runs in a sandbox, or a script's own process, with a result at its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from simpy.events import Condition, Event, Process, Timeout

from emu.kernel.errors import EmuError, InvalidValue, TaskNotFinished
from emu.kernel.units import format_time_ns

if TYPE_CHECKING:
    from emu.kernel import Kernel

Program = Generator[Event, Any, Any]

_PACKAGE_FOLDER = str(Path(__file__).resolve().parent) + os.sep


class Task(Event):
    """Something that takes virtual time; a SimPy event, so `result = yield task` waits for its end.

    name: what runs where, "web: ping db".
    started_ns, finished_ns: virtual times in ns, None as long as it has not happened.
    """

    def __init__(
        self,
        kernel: Kernel,
        name: str,
        program: Callable[[], Program],
        *,
        partial: Callable[[], Any] | None = None,
        start_ns: int | None = None,
    ) -> None:
        """Plan a task.

        program: makes the generator that is run when the task starts.
        partial: gives the result so far when the run ends before the task does.
        start_ns: absolute start time in ns; None starts it now.
        """
        super().__init__(kernel)
        self.name = name
        self.place = call_site()
        self.started_ns: int | None = None
        self.finished_ns: int | None = None
        self.stopped_because: str | None = None
        self._failure: BaseException | None = None
        self._kernel = kernel
        self._program = program
        self._partial = partial
        self._process: Process | None = None
        self._run_has_ended = False
        kernel.call_at(kernel.now if start_ns is None else start_ns, self._start)

    # -- what scripts use -------------------------------------------------------------------------------------------

    @property
    def result(self) -> Any:
        """What the program returned; after the run, what it had so far if it did not finish.

        Raises TaskNotFinished before the end of the task, and what the program raised if it failed.
        """
        if self.triggered:
            if isinstance(self._failure, BaseException):
                raise self._failure
            return self.value
        if self._run_has_ended:
            return self._partial() if self._partial is not None else None
        raise TaskNotFinished(f"{self.name}: has no result yet at t={format_time_ns(self._kernel.now)}; "
                              "`yield` it in a process, or read it after the run")  # fmt: skip

    @property
    def finished(self) -> bool:
        """Whether the task has come to its end."""
        return self.triggered

    @property
    def unfinished(self) -> bool:
        """Whether the run ended before the task did."""
        return self._run_has_ended and not self.triggered

    @property
    def waiting_for(self) -> str | None:
        """What an unfinished task waits for, in words; None for a finished one."""
        if self.triggered:
            return None
        if self._process is None:
            return "its start"
        return describe_event(self._process.target)

    @property
    def state(self) -> str:
        """One word: planned, running, finished, stopped, failed or unfinished."""
        if self.triggered:
            return "failed" if not self.ok else "stopped" if self.stopped_because else "finished"
        if self._run_has_ended:
            return "unfinished"
        return "planned" if self._process is None else "running"

    def __repr__(self) -> str:
        return f"<Task {self.name!r} {self.state}>"

    # -- what the emulation uses ------------------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """End the task now, as when its container is stopped; its result is what it had so far."""
        if self.triggered:
            return
        if self._process is not None:
            process = self._process
            target = process.target
            if target is not None and target.callbacks is not None:
                target.callbacks.remove(process._resume)
                target.defused = (
                    True  # nobody is left to hear that it fails, such as with the socket that is closed now
                )
            process._generator.close()
        self.stopped_because = reason
        self.finished_ns = self._kernel.now
        self.succeed(self._partial() if self._partial is not None else None)

    def run_has_ended(self) -> None:
        """From now on an unfinished task gives the result it has."""
        self._run_has_ended = True

    def run_continues(self) -> None:
        """A new run has begun: an unfinished task is running again."""
        self._run_has_ended = False

    def _start(self, _: None) -> None:
        if self.triggered:  # stopped before its start
            return
        self.started_ns = self._kernel.now
        self._process = self._kernel.spawn(self._run())

    def _run(self) -> Program:
        try:
            value = yield from self._program()
        except Exception as error:
            if isinstance(error, (EmuError, OSError)) and not hasattr(error, "place"):
                error.place = self.place  # type: ignore[union-attr]  # the line that asked for it
            self.finished_ns = self._kernel.now
            self._failure = error
            self.fail(error)
            if isinstance(error, EmuError) and not error.ends_run:
                self.defused = True
            return
        self.finished_ns = self._kernel.now
        self.succeed(value)


def checked_script(generator: Program) -> Program:
    """Run a script's generator; what it yields must be an event. Raises InvalidValue naming the line if it is not."""
    send: Callable[[Any], Any] = generator.send
    value: Any = None
    while True:
        try:
            event = send(value)
        except StopIteration as end:
            return end.value
        if not isinstance(event, Event):
            frame: FrameType | None = getattr(generator, "gi_frame", None)
            problem = InvalidValue(
                f'a process yielded {event!r}: yield a task, an event, or for a pause net.timeout("1s")'
            )
            if frame is not None:
                problem.place = (frame.f_code.co_filename, frame.f_lineno)  # type: ignore[attr-defined]
            generator.close()
            raise problem
        try:
            value, send = (yield event), generator.send
        except GeneratorExit:
            generator.close()
            raise
        except Exception as error:
            value, send = error, generator.throw


def describe_event(event: Event | None) -> str:
    """Say in words what an event stands for: `task 'web: ping db'`, `a datagram at 10.0.0.2:53`."""
    if isinstance(event, Task):
        return f"task '{event.name}'"
    description = getattr(event, "description", None)
    if isinstance(description, str):
        return description
    if isinstance(event, Timeout):
        return f"a timeout of {format_time_ns(int(event._delay))}"
    if isinstance(event, Condition):
        word = " and " if event._evaluate is Condition.all_events else " or "
        return word.join(describe_event(part) for part in event._events if not part.processed)
    if isinstance(event, Process):
        return f"the process {event.name}"
    return "an event that nothing has triggered" if event is not None else "its turn"


def call_site() -> tuple[str, int] | None:
    """File and line of the script's statement that called into emu; None when there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE_FOLDER):
        frame = frame.f_back
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno)
