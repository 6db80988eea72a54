"""Loading a topology script from a file: afresh every time, and without leaving traces in the process."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from emu.kernel.errors import InvalidValue, NotFound
from emu.scenario.decorator import ScenarioDefaults, defaults_of
from emu.scenario.parameters import Parameter, parameters_of

FUNCTION_NAME = "topology"
MODULE_PREFIX = "emu_topology_"


@dataclass(frozen=True, slots=True)
class Topology:
    """A topology function, ready to be built: where it is from, its parameters and defaults.

    description: the function's docstring. explanation: the script's.
    """

    path: Path
    name: str
    function: Callable[..., Any]
    parameters: list[Parameter]
    defaults: ScenarioDefaults
    description: str
    explanation: str = ""

    @classmethod
    def from_function(cls, function: Callable[..., Any], path: Path) -> Topology:
        """Describe a topology function that lives in the file `path`."""
        defaults = defaults_of(function)
        module_text = inspect.cleandoc(str(function.__globals__.get("__doc__") or ""))
        text = inspect.getdoc(function) or module_text
        return cls(path, defaults.name or path.stem, function, parameters_of(function), defaults, text, module_text)


@contextmanager
def load_topology(path: str | Path) -> Iterator[Topology]:
    """Load a topology script; while the context lasts, modules beside the script can be imported by it.

    Nothing stays behind: running A, then B, then A again gives the same A.
    Raises NotFound when there is no such file, InvalidValue when it has no `topology` function; what the script
    itself raises while loading is passed on.
    """
    file = Path(path)
    source = _read(file)
    module = ModuleType(MODULE_PREFIX + file.stem)
    module.__file__ = str(file)
    with _import_scope(file, module):
        exec(_compile(source, file), module.__dict__)
        yield Topology.from_function(_function(module, file), file)


def _read(file: Path) -> bytes:
    if file.is_dir():
        raise InvalidValue(f"{file}: is a folder; expected a topology script such as topologies/first_ping.py")
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"{file}: no such file") from None
    except OSError as error:
        raise InvalidValue(f"{file}: can't be read: {error.strerror}") from None


def _compile(source: bytes, file: Path) -> CodeType:
    try:
        return compile(source, str(file), "exec")
    except (SyntaxError, ValueError) as error:
        if isinstance(error, SyntaxError) and error.filename:  # it names the line; null bytes have none
            raise
        raise InvalidValue(f"{file}: is not a Python script: {error}") from None


def _function(module: ModuleType, file: Path) -> Callable[..., Any]:
    function = getattr(module, FUNCTION_NAME, None)
    if function is None:
        raise InvalidValue(f"{file}: has no topology; define one: def {FUNCTION_NAME}(net: emu.Emulation) -> None: ...")
    if not inspect.isfunction(function):
        raise InvalidValue(f"{file}: {FUNCTION_NAME} is not a function")
    return function


@contextmanager
def _import_scope(file: Path, module: ModuleType) -> Iterator[None]:
    """Let the script import its neighbours, and forget all of them afterwards."""
    folder = str(file.parent.resolve())
    modules_before = set(sys.modules)
    sys.modules[module.__name__] = module
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name in sorted(set(sys.modules) - modules_before | {module.__name__}):
            if name == module.__name__ or _belongs_to_script(name, folder):
                sys.modules.pop(name, None)


def _belongs_to_script(name: str, folder: str) -> bool:
    """Whether a module was imported from beside the script (emu and installed packages may live below it)."""
    if name.partition(".")[0] == "emu":
        return False
    origin: str | None = getattr(sys.modules.get(name), "__file__", None)
    return origin is not None and "site-packages" not in origin and Path(origin).resolve().is_relative_to(folder)
