"""A task is a SimPy event with a result at its end, and says what it waits for when the run ends before it does."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from simpy.events import Event

from emu.kernel import InvalidValue, Kernel, TaskNotFinished
from emu.outcome import task_result
from emu.task import Task

Steps = Generator[Event, Any, Any]


def sleeper(kernel: Kernel, delay_ns: int, value: object = None) -> Steps:
    yield kernel.timeout(delay_ns)
    return value


def test_a_task_starts_now_and_its_result_is_what_the_program_returns() -> None:
    kernel = Kernel()
    task = Task(kernel, "web: nap", lambda: sleeper(kernel, 5, "rested"))
    kernel.run()
    assert (task.result, task.state, task.started_ns, task.finished_ns) == ("rested", "finished", 0, 5)


def test_a_task_can_be_waited_for() -> None:
    kernel = Kernel()
    task = Task(kernel, "web: nap", lambda: sleeper(kernel, 5, "rested"))

    def wait() -> Steps:
        value = yield task
        return kernel.now, value

    process = kernel.spawn(wait())
    kernel.run()
    assert process.value == (5, "rested")


def test_tasks_start_in_the_order_in_which_they_were_made() -> None:
    kernel = Kernel()
    order: list[str] = []

    def note(name: str) -> Steps:
        order.append(name)
        yield kernel.timeout(0)

    for name in ("a", "b", "c"):
        Task(kernel, name, lambda name=name: note(name))  # type: ignore[misc]
    kernel.run()
    assert order == ["a", "b", "c"]


def test_a_task_can_start_later() -> None:
    kernel = Kernel()
    task = Task(kernel, "web: nap", lambda: sleeper(kernel, 5), start_ns=100)
    assert task.state == "planned"
    kernel.run()
    assert (task.started_ns, task.finished_ns) == (100, 105)


def test_the_result_is_not_there_before_the_end() -> None:
    kernel = Kernel()
    task = Task(kernel, "web: nap", lambda: sleeper(kernel, 5))
    with pytest.raises(TaskNotFinished, match="web: nap: has no result yet at t=0ns"):
        _ = task.result


def test_an_unfinished_task_has_the_result_so_far_and_says_what_it_waits_for() -> None:
    kernel = Kernel()
    task = Task(kernel, "web: nap", lambda: sleeper(kernel, 1_000_000_000), partial=lambda: "half")
    kernel.run(until=10)
    task.run_has_ended()
    assert (task.unfinished, task.state, task.result, task.waiting_for) == (
        True,
        "unfinished",
        "half",
        "a timeout of 1s",
    )
    assert task_result(task).outcome == "half"


def test_an_unfinished_task_continues_with_the_next_run() -> None:
    kernel = Kernel()
    task = Task(kernel, "web: nap", lambda: sleeper(kernel, 50, "rested"))
    kernel.run(until=10)
    task.run_has_ended()
    task.run_continues()
    kernel.run()
    assert (task.state, task.result) == ("finished", "rested")


def test_waiting_is_described_for_each_kind_of_event() -> None:
    kernel = Kernel()
    inner = Task(kernel, "db: wait", lambda: sleeper(kernel, 10**9))

    def never(event: Event) -> Steps:
        yield event

    described = kernel.event()
    described.description = "a datagram at 10.0.0.2:53"  # type: ignore[attr-defined]
    waits = {
        "task 'db: wait'": inner,
        "an event that nothing has triggered": kernel.event(),
        "a datagram at 10.0.0.2:53": described,
        "task 'db: wait' and a timeout of 2s": inner & kernel.timeout(2 * 10**9),
    }
    tasks = {text: Task(kernel, "t", lambda event=event: never(event)) for text, event in waits.items()}  # type: ignore[misc]
    kernel.run(until=5)
    assert {text: task.waiting_for for text, task in tasks.items()} == {text: text for text in waits}


def test_a_task_that_waits_for_what_never_happens_does_not_keep_the_run_alive() -> None:
    kernel = Kernel()

    def forever() -> Steps:
        yield kernel.event()

    task = Task(kernel, "web: forever", forever)
    kernel.run()
    task.run_has_ended()
    assert (task.unfinished, task.result) == (True, None)


def test_a_stopped_task_has_the_result_so_far_and_its_program_is_closed() -> None:
    kernel = Kernel()
    closed: list[bool] = []

    def program() -> Steps:
        try:
            yield kernel.timeout(100)
        finally:
            closed.append(True)

    task = Task(kernel, "web: nap", program, partial=lambda: "half")
    kernel.run(until=10)
    task.stop("the container was stopped")
    kernel.run()
    assert closed == [True]
    assert (task.state, task.result, task.finished_ns) == ("stopped", "half", 10)
    assert task_result(task).outcome == "half; the container was stopped"


def test_a_task_can_be_stopped_before_it_starts() -> None:
    kernel = Kernel()
    started: list[bool] = []

    def program() -> Steps:
        started.append(True)
        yield kernel.timeout(1)

    task = Task(kernel, "web: nap", program, start_ns=50)
    task.stop("the container was removed")
    kernel.run()
    assert (started, task.state) == ([], "stopped")


def test_an_error_of_the_program_ends_the_run_and_names_the_line_that_made_the_task() -> None:
    kernel = Kernel()

    def program() -> Steps:
        yield kernel.timeout(1)
        raise InvalidValue("no such thing")

    task = Task(kernel, "web: fail", program)
    with pytest.raises(InvalidValue) as caught:
        kernel.run()
    assert getattr(caught.value, "place", ("", 0))[0] == __file__
    assert task.state == "failed"
    with pytest.raises(InvalidValue):
        _ = task.result


def test_who_waits_for_a_task_can_handle_its_error() -> None:
    kernel = Kernel()

    def program() -> Steps:
        yield kernel.timeout(1)
        raise InvalidValue("no such thing")

    def handle() -> Steps:
        try:
            yield Task(kernel, "web: fail", program)
        except InvalidValue as error:
            return str(error)

    process = kernel.spawn(handle())
    kernel.run()
    assert process.value == "no such thing"
