"""A topology's parameters: the typed keywords of its function, set by `--set key=value`."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Union

from emu.kernel.errors import InvalidValue

TRUE_WORDS = ("true", "yes", "on", "1")
FALSE_WORDS = ("false", "no", "off", "0")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One keyword of a topology function: its name, type and default."""

    name: str
    kind: Any
    default: Any
    required: bool

    def describe(self) -> str:
        """One line for people: `count: int = 4`."""
        text = f"{self.name}: {kind_text(self.kind)}"
        return text if self.required else f"{text} = {value_text(self.default)}"


def parameters_of(function: Callable[..., Any]) -> list[Parameter]:
    """The parameters of a topology function: everything after the emulation.

    Raises InvalidValue when the function does not take the emulation, or a parameter's type can't be given as text.
    """
    signature = list(inspect.signature(function).parameters.values())
    if not signature or signature[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise InvalidValue(f"{function.__name__}() must take the emulation as its first argument: net")
    try:
        hints = typing.get_type_hints(function)
    except NameError as error:
        raise InvalidValue(f"the type of a parameter of {function.__name__}() is unknown: {error}") from error
    return [_parameter(entry, hints) for entry in signature[1:]]


def _parameter(entry: inspect.Parameter, hints: Mapping[str, Any]) -> Parameter:
    if entry.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise InvalidValue(f"the topology's parameters must be named one by one, not *{entry.name}")
    required = entry.default is inspect.Parameter.empty
    kind = hints.get(entry.name)
    if kind is None:
        kind = str if required or entry.default is None else type(entry.default)
    if not _is_supported(kind):
        raise InvalidValue(
            f"parameter {entry.name!r} has the type {kind_text(kind)}; "
            "a parameter is an int, float, bool, str, Enum or Literal"
        )
    return Parameter(entry.name, kind, None if required else entry.default, required)


def parse_settings(settings: Sequence[str]) -> dict[str, str]:
    """Split `key=value` texts. Raises InvalidValue for a text without `=` and for a key given twice."""
    result: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise InvalidValue(f"--set {setting}: expected key=value, for example --set count=8")
        if key in result:
            raise InvalidValue(f"--set {key}: given twice")
        result[key] = value
    return result


def convert_settings(parameters: Sequence[Parameter], settings: Mapping[str, str]) -> dict[str, Any]:
    """Turn texts into the values a topology function is called with.

    Raises InvalidValue for an unknown key (the message lists the parameters), a bad value, or a missing one.
    """
    known = {parameter.name: parameter for parameter in parameters}
    for key in settings:
        if key not in known:
            raise InvalidValue(f"--set {key}: the topology has no such parameter; {_list(parameters)}")
    for parameter in parameters:
        if parameter.required and parameter.name not in settings:
            raise InvalidValue(f"the topology needs --set {parameter.name}=VALUE; {_list(parameters)}")
    return {key: convert(known[key].kind, value, key) for key, value in settings.items()}


def convert(kind: Any, text: str, name: str) -> Any:
    """The value of `kind` that a text means. Raises InvalidValue naming the parameter and what was expected."""
    choices = _choices(kind)
    if choices is not None:
        return _choose(choices, text, name)
    members = _optional_members(kind)
    if members is not None:
        return None if text.lower() == "none" else convert(members, text, name)
    if kind is bool:
        return _boolean(text, name)
    if kind is str:
        return text
    try:
        value = kind(text)
    except ValueError:
        raise InvalidValue(f"--set {name}={text}: expected {_article(kind)}") from None
    if kind is float and not math.isfinite(value):
        raise InvalidValue(f"--set {name}={text}: expected a finite number")
    return value


def kind_text(kind: Any) -> str:
    """How a type is shown to people: `int`, `'a' | 'b'`."""
    choices = _choices(kind)
    if choices is not None:
        return " | ".join(choices)
    members = _optional_members(kind)
    if members is not None:
        return f"{kind_text(members)} | none"
    return getattr(kind, "__name__", str(kind))


def value_text(value: Any) -> str:
    """How a value is shown, in the form `--set` takes it."""
    if isinstance(value, Enum):
        return value.name
    return "none" if value is None else str(value)


def _choices(kind: Any) -> dict[str, Any] | None:
    """Text -> value for an Enum or a Literal."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {member.name: member for member in kind}
    if typing.get_origin(kind) is Literal:
        return {value_text(value): value for value in typing.get_args(kind)}
    return None


def _choose(choices: Mapping[str, Any], text: str, name: str) -> Any:
    if text in choices:
        return choices[text]
    for value in choices.values():
        if isinstance(value, Enum) and str(value.value) == text:
            return value
    raise InvalidValue(f"--set {name}={text}: expected one of {', '.join(choices)}")


def _optional_members(kind: Any) -> Any | None:
    """X for `X | None`."""
    if typing.get_origin(kind) not in (Union, types.UnionType):
        return None
    members = [member for member in typing.get_args(kind) if member is not type(None)]
    return members[0] if len(members) == 1 and len(members) < len(typing.get_args(kind)) else None


def _is_supported(kind: Any) -> bool:
    if _choices(kind) is not None or kind in (int, float, bool, str):
        return True
    members = _optional_members(kind)
    return members is not None and _is_supported(members)


def _boolean(text: str, name: str) -> bool:
    word = text.lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise InvalidValue(f"--set {name}={text}: expected true or false")


def _article(kind: Any) -> str:
    return {"int": "a whole number", "float": "a number"}.get(kind_text(kind), kind_text(kind))


def _list(parameters: Sequence[Parameter]) -> str:
    if not parameters:
        return "it has none"
    return "parameters: " + ", ".join(parameter.describe() for parameter in parameters)
