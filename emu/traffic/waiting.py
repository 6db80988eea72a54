"""Waiting for a socket with a deadline, without leaving anything behind that would keep a run alive."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

if TYPE_CHECKING:
    from emu.kernel import Kernel


class DeadlinePassed(Exception):
    """What was waited for did not happen in time."""


def wait_until(kernel: Kernel, event: Event, deadline_ns: int | None) -> Generator[Event, Any, Any]:
    """Wait for an event and return its value, or raise DeadlinePassed when the deadline (absolute, ns) comes first.

    None waits without end. What the event fails with is raised. An event that is given up may fail later unheard.
    """
    if deadline_ns is None:
        return (yield event)
    if not event.triggered:
        alarm = Event(kernel)
        timer = kernel.timer(lambda _: alarm.succeed())
        timer.start_at(max(deadline_ns, kernel.now))
        try:
            either = event | alarm
            either.description = getattr(event, "description", "an answer")  # type: ignore[attr-defined]
            yield either
        finally:
            timer.stop()
            event.defused = True
        if not event.triggered:
            raise DeadlinePassed
    return (yield event)
