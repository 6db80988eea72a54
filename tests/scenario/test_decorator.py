"""`@emu.scenario` says with which defaults a topology is run."""

from __future__ import annotations

from pathlib import Path

import pytest

import emu
from emu.kernel.errors import InvalidValue
from emu.scenario.decorator import ScenarioDefaults, defaults_of
from emu.scenario.loader import Topology
from emu.scenario.runner import RunOptions, build_topology


def test_the_function_stays_the_function() -> None:
    def topology(net: emu.Emulation) -> None: ...

    assert emu.scenario(seed=1)(topology) is topology
    assert emu.scenario(topology) is topology


def test_without_decorator_there_are_no_defaults() -> None:
    def topology(net: emu.Emulation) -> None: ...

    assert defaults_of(topology) == ScenarioDefaults()
    assert defaults_of(emu.scenario(topology)) == ScenarioDefaults()


@emu.scenario(engine="28", seed=7, cost="none", until="5s", name="other")
def decorated(net: emu.Emulation) -> None:
    pass


def test_the_emulation_is_made_with_the_defaults() -> None:
    net = build_topology(Topology.from_function(decorated, Path("demo.py")))
    assert (net.name, net.engine, net.seed, net.cost, net.until_ns) == ("other", "28", 7, "none", 5_000_000_000)


def test_options_of_the_command_win() -> None:
    options = RunOptions(engine="20.10", seed=0, until="1s")
    net = build_topology(Topology.from_function(decorated, Path("demo.py")), options)
    assert (net.engine, net.seed, net.until_ns) == ("20.10", 0, 1_000_000_000)


def test_a_bad_default_is_named_when_the_emulation_is_made() -> None:
    @emu.scenario(cost="free")
    def topology(net: emu.Emulation) -> None: ...

    with pytest.raises(InvalidValue, match="invalid cost 'free'"):
        build_topology(Topology.from_function(topology, Path("demo.py")))
