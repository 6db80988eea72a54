"""`@emu.scenario(...)`: the defaults a topology script asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

Function = TypeVar("Function", bound=Callable[..., Any])

ATTRIBUTE = "__emu_scenario__"


@dataclass(frozen=True, slots=True)
class ScenarioDefaults:
    """What the decorator was given; None means "as `Emulation` does it"."""

    engine: str | None = None
    seed: int | None = None
    cost: str | None = None
    until: str | int | None = None
    name: str | None = None


@overload
def scenario(function: Function, /) -> Function: ...


@overload
def scenario(
    *,
    engine: str | None = None,
    seed: int | None = None,
    cost: str | None = None,
    until: str | int | None = None,
    name: str | None = None,
) -> Callable[[Function], Function]: ...


def scenario(
    function: Function | None = None,
    /,
    *,
    engine: str | None = None,
    seed: int | None = None,
    cost: str | None = None,
    until: str | int | None = None,
    name: str | None = None,
) -> Function | Callable[[Function], Function]:
    """Say with which defaults a topology function is run; options of `emu run` win over them.

    engine: Docker engine whose behaviour is emulated ("20.10", "28" or "29").
    seed: of all randomness, an int.
    cost: what work on a host costs: "linux" or "none".
    until: virtual time at which the run ends ("10s", or an int of nanoseconds); None: when nothing is left to do.
    name: of the emulation; None: the file's name.
    """
    defaults = ScenarioDefaults(engine, seed, cost, until, name)

    def decorate(function: Function) -> Function:
        setattr(function, ATTRIBUTE, defaults)
        return function

    return decorate if function is None else decorate(function)


def defaults_of(function: Callable[..., Any]) -> ScenarioDefaults:
    """The defaults a function was decorated with; all None when it was not decorated."""
    defaults = getattr(function, ATTRIBUTE, None)
    return defaults if isinstance(defaults, ScenarioDefaults) else ScenarioDefaults()
