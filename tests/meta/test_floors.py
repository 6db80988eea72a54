"""The floors of the house: imports go downwards only."""

from __future__ import annotations

import tomllib
from pathlib import Path

from importlinter import cli

ROOT = Path(__file__).parents[2]


def test_imports_go_downwards_only(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(ROOT)
    assert cli.lint_imports(no_cache=True) == cli.EXIT_STATUS_SUCCESS


def test_every_module_of_the_package_has_a_floor() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = configuration["tool"]["importlinter"]["contracts"]
    placed = {name.strip() for layer in contract["layers"] for name in layer.replace("|", ":").split(":")}
    modules = {f"emu.{entry.stem}" for entry in (ROOT / "emu").iterdir() if entry.suffix == ".py"}
    rooms = {f"emu.{entry.parent.name}" for entry in (ROOT / "emu").glob("*/__init__.py")}
    assert (modules | rooms) - placed == {"emu.__init__"}
    assert placed - (modules | rooms) == set(), "a floor for a module that does not exist"
