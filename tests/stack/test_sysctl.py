"""Kernel settings: their ranges, and that each of TCP's has an effect."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from emu.kernel.errors import InvalidValue
from emu.stack.sysctl import LIMITS, Sysctls
from emu.stack.tcp import settings
from emu.stack.tcp.settings import SYSCTLS, TcpSettings

ELSEWHERE = ("net.ipv4.tcp_abort_on_overflow",)
"""Asked for when it is needed, because it belongs to the listener."""


def sysctls() -> Sysctls:
    return Sysctls(None, lambda name: None)


@pytest.mark.parametrize("name", LIMITS)
def test_a_value_out_of_range_is_refused_and_changes_nothing(name: str) -> None:
    sysctl = sysctls()
    least, most = LIMITS[name]
    assert least <= sysctl[name] <= most
    for value in (least, most):
        sysctl[name] = value
    for value in {least - 1, most + 1} - {-1}:
        with pytest.raises(InvalidValue, match=f'sysctl "{name}": expected {least} to {most}, got {value}'):
            sysctl[name] = value
        assert sysctl[name] == most


@pytest.mark.parametrize("name", [name for name in SYSCTLS if name not in ELSEWHERE])
def test_every_setting_of_tcp_changes_what_a_connection_starts_with(name: str) -> None:
    sysctl = sysctls()
    default = TcpSettings.from_sysctls(sysctl)
    least, most = LIMITS.get(name, (0, 1000))
    sysctl[name] = least if sysctl[name] != least else most
    assert TcpSettings.from_sysctls(sysctl) != default


@pytest.mark.parametrize("field", [field.name for field in fields(TcpSettings)])
def test_every_field_of_the_settings_is_read_by_the_machine(field: str) -> None:
    folder = Path(settings.__file__).parent
    texts = [path.read_text() for path in sorted(folder.rglob("*.py"))]
    assert any(f"settings.{field}" in text or f"self.{field}" in text for text in texts), f"{field} is ignored"


def test_the_defaults_of_the_settings_are_those_of_the_sysctls() -> None:
    assert TcpSettings.from_sysctls(sysctls()) == TcpSettings()


@pytest.mark.parametrize("name", SYSCTLS)
def test_every_setting_of_tcp_is_in_the_manual(name: str) -> None:
    manual = Path(__file__).parents[2] / "docs" / "tcp.md"
    rows = [line for line in manual.read_text().splitlines() if line.startswith("| `tcp_")]
    (row,) = [row for row in rows if f"`{name.removeprefix('net.ipv4.')}`" in row.split("|")[1]]
    default = SYSCTLS[name]
    assert str(default) in row.split("|")[2] or f"{default >> 20} MiB" in row.split("|")[2]
