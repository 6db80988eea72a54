"""The errors that tell a user what is wrong with the input, in one line.

Everything a user can cause raises an `EmuError`. A broken invariant inside emu is an assertion instead: a bug must
never look like a mistake of the user, nor the other way round.
"""

from __future__ import annotations


class EmuError(Exception):
    """Something in the user's input is wrong; the message is one line that says what and how to fix it.

    ends_run: whether a task that fails with it ends the run, if nobody waits for the task.
    """

    ends_run = True


class InvalidValue(EmuError, ValueError):
    """A value has the wrong form, unit or range."""


class NotFound(EmuError, LookupError):
    """The named thing does not exist."""


class Conflict(EmuError):
    """The thing exists already, is in use, or overlaps with another one."""


class NotSupported(EmuError):
    """The request is understood, but this behaviour is not built (yet), so it is refused rather than ignored."""


class LeaseTimeout(EmuError):
    """No address was leased in time: something that happened on the network, so the run goes on."""

    ends_run = False


class TaskNotFinished(EmuError):
    """The result of a task was asked for before the task had ended."""


class SimulationStuck(EmuError):
    """A million steps were made without time passing: frames are going round in a loop."""
