"""How tasks and expectations turn into results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emu.kernel.errors import EmuError
from emu.result import ExpectationResult, TaskResult
from emu.task import Task


@dataclass(frozen=True, slots=True)
class Expectation:
    """Something that shall be so after the run, and the script's line that says it."""

    text: str
    condition: Callable[[], object]
    place: tuple[str, int] | None

    def check(self) -> ExpectationResult:
        """Ask. A result that is not there is a failed expectation; any other error is the script's."""
        try:
            return ExpectationResult(self.text, bool(self.condition()))
        except EmuError as error:
            return ExpectationResult(self.text, False, str(error))


def task_result(task: Task) -> TaskResult:
    """What a task came to, as plain values."""
    value = task.result if task.state in ("finished", "stopped", "unfinished") else None
    text = getattr(value, "text", None)
    return TaskResult(
        name=task.name,
        state=task.state,
        outcome=outcome_line(task, value),
        started_ns=task.started_ns,
        finished_ns=task.finished_ns,
        waiting_for=task.waiting_for,
        output=text if isinstance(text, str) else None,
    )


def outcome_line(task: Task, value: object) -> str:
    """One line about a result: what the result says itself, or the value."""
    if task.state == "failed":
        return str(task.value)
    line = getattr(value, "outcome", None)
    if not isinstance(line, str):
        line = "" if value is None or hasattr(value, "text") else str(value)
    return "; ".join(part for part in (line, task.stopped_because or "") if part)
