"""Containers with the habits of older and newer kernels."""

from __future__ import annotations

import pytest

import emu
from emu.kernel.errors import InvalidValue
from emu.stack.input_chain import InputRule
from emu.stack.sysctl import Sysctls


def syn_times_s(sysctls: dict[str, int]) -> list[float]:
    """When a container with these settings repeats the SYN that nobody answers, in seconds after the first."""
    net = emu.Emulation(seed=1, cost="none", until="200s")
    web, db = (net.host.containers.run(name, sysctls=sysctls) for name in ("web", "db"))
    seen = web.sniff(lfilter=lambda packet: packet.haslayer("TCP"))

    db.namespace.input_chain.append(InputRule("DROP", protocol="tcp"))

    def connect():
        with pytest.raises(TimeoutError):
            yield web.tcp_connect(db, 80).connected

    web.spawn(connect())
    net.run()
    times = [float(packet.time) for packet in seen.result]
    return [time - times[0] for time in times[1:]]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("5.15", [1, 3, 7, 15, 31, 63]), ("6.18", [1, 2, 3, 4, 5, 7, 11, 19, 35, 67])],
)
def test_a_syn_is_repeated_as_that_kernel_does(version: str, expected: list[int]) -> None:
    assert syn_times_s(emu.kernel_sysctls(version)) == pytest.approx(expected, rel=0.05)


def test_the_recorded_kernel_is_the_default() -> None:
    defaults = Sysctls(None, lambda name: None)
    assert all(defaults[name] == value for name, value in emu.kernel_sysctls("6.18").items())
    assert emu.kernel_sysctls("6.4.12") != emu.kernel_sysctls("6.5")


@pytest.mark.parametrize("version", ["", "6", "six", "6.x", None, 6.5, "6.5-rc1", "v6.5"])
def test_what_is_no_version_is_refused(version: object) -> None:
    with pytest.raises(InvalidValue, match="kernel version"):
        emu.kernel_sysctls(version)  # type: ignore[arg-type]
