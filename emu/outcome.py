"""How tasks and expectations turn into results."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from emu.arguments import refuse_unstarted
from emu.kernel.errors import EmuError, InvalidValue
from emu.result import ExpectationResult, TaskResult
from emu.task import Task
from emu.wire.scapy_bridge import is_packet, layer_names


@dataclass(frozen=True, slots=True)
class Expectation:
    """Something that shall be so after the run, and the script's line that says it."""

    text: str
    condition: Callable[[], object]
    place: tuple[str, int] | None

    def check(self) -> ExpectationResult:
        """Ask. A result that is not there is a failed expectation; any other error is the script's."""
        try:
            answer = self.condition()
        except EmuError as error:
            return ExpectationResult(self.text, False, str(error))
        self._refuse_what_is_no_answer(answer)
        return ExpectationResult(self.text, bool(answer))

    def _refuse_what_is_no_answer(self, answer: object) -> None:
        """A function or process counts as true, so an expectation that gives one would always be met."""
        name = f"expect {self.text!r}"
        try:
            refuse_unstarted(name, answer)
            if inspect.isroutine(answer):
                raise InvalidValue(f"{name}: the condition gives a function; call it: {answer.__name__}()")
        except InvalidValue as error:
            error.place = self.place  # type: ignore[attr-defined]
            raise


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
        line = "" if value is None or hasattr(value, "text") else _words(value)
    return "; ".join(part for part in (line, task.stopped_because or "") if part)


def _words(value: object) -> str:
    """A value as text; Scapy's own text for a packet asks the machine it runs on for names of ports."""
    if is_packet(value):
        return layer_names(value)
    if isinstance(value, list) and value and all(is_packet(entry) for entry in value):
        return f"{len(value)} {'packet' if len(value) == 1 else 'packets'}"
    return str(value)
