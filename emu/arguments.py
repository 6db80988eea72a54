"""Arguments of scripts, checked for their kind: a mistake is one line about the argument, not a crash further in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from typing import Any

from emu.kernel.errors import InvalidValue


def text(name: str, value: str | None) -> str | None:
    """A text or None. Raises InvalidValue for anything else."""
    if value is not None and not isinstance(value, str):
        raise InvalidValue(f"{name}={value!r}: expected text")
    return value


def texts(name: str, value: Sequence[str]) -> tuple[str, ...]:
    """Several texts. Raises InvalidValue for a single one, which Python would take for a list of its letters."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        example = f"; write [{value!r}]" if isinstance(value, str) else ""
        raise InvalidValue(f"{name}={value!r}: expected a list of texts{example}")
    return tuple(value)


def text_or_texts(name: str, value: str | Sequence[str] | None) -> None:
    """Raise InvalidValue for what is neither a text nor several nor None."""
    if value is None or isinstance(value, str):
        return
    if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        raise InvalidValue(f"{name}={value!r}: expected text, or a list of texts")


def mapping(name: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of a dict with texts as keys; None is an empty one. Raises InvalidValue for anything else."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidValue(f'{name}={value!r}: expected a dict such as {{"key": "value"}}')
    return dict(value)


def flag(name: str, value: bool) -> bool:
    """True or False. Raises InvalidValue for anything else: the text "false" would count as true."""
    if not isinstance(value, bool):
        raise InvalidValue(f"{name}={value!r}: expected True or False")
    return value


def whole_number(name: str, value: int) -> int:
    """An int. Raises InvalidValue for anything else, also for True and False."""
    if type(value) is not int:
        raise InvalidValue(f"{name}={value!r}: expected a whole number")
    return value


def callable_with(name: str, function: Callable[..., object], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise InvalidValue when a function can't be called with these arguments."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some builtins don't tell what they take
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        called = getattr(function, "__qualname__", repr(function))
        raise InvalidValue(f"{name}: {called} can't be called like that: {error}") from None


def refuse_unstarted(name: str, returned: object) -> None:
    """Raise InvalidValue when a call has only made a process that nobody runs: it did nothing."""
    if isinstance(returned, (Generator, Coroutine)):
        returned.close()
        raise InvalidValue(f"{name}: the function has a yield or await of its own; run it with net.spawn(...)")
