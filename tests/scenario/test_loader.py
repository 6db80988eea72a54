"""Topology scripts are loaded afresh each time and leave nothing behind in the process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import emu
from emu.kernel.errors import InvalidValue, NotFound
from emu.scenario.loader import load_topology

SCRIPT = '''
"""What the script shows."""
import emu

calls = []

@emu.scenario(engine="28", seed=7)
def topology(net, count: int = 4):
    calls.append(count)
    return len(calls)
'''


def write(folder: Path, text: str, name: str = "demo.py") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_a_topology_knows_its_name_parameters_defaults_and_description(tmp_path: Path) -> None:
    with load_topology(write(tmp_path, SCRIPT)) as topology:
        assert topology.name == "demo"
        assert [parameter.name for parameter in topology.parameters] == ["count"]
        assert (topology.defaults.engine, topology.defaults.seed) == ("28", 7)
        assert topology.description == "What the script shows."


def test_a_script_is_executed_again_for_each_run(tmp_path: Path) -> None:
    script = write(tmp_path, SCRIPT)
    for _ in range(2):
        with load_topology(script) as topology:
            assert topology.function(None) == 1, "the script's own state is new each time"


def test_a_script_can_import_its_neighbours_and_they_are_forgotten(tmp_path: Path) -> None:
    write(tmp_path, "state = []", "neighbour_of_demo.py")
    script = write(
        tmp_path, "def topology(net):\n    import neighbour_of_demo as n\n    n.state.append(1)\n    return n.state"
    )
    modules, path = set(sys.modules), list(sys.path)
    for _ in range(2):
        with load_topology(script) as topology:
            assert topology.function(None) == [1]
    assert set(sys.modules) == modules
    assert sys.path == path


def test_nothing_stays_behind_when_the_script_raises(tmp_path: Path) -> None:
    script = write(tmp_path, "raise RuntimeError('at once')")
    modules, path = set(sys.modules), list(sys.path)
    with pytest.raises(RuntimeError), load_topology(script):
        pass
    assert (set(sys.modules), list(sys.path)) == (modules, path)


def test_a_dataclass_in_a_script_works(tmp_path: Path) -> None:
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Point:\n    x: int\n\ndef topology(net):\n    return Point(3).x\n"
    )
    with load_topology(write(tmp_path, text)) as topology:
        assert topology.function(None) == 3


def test_emu_itself_is_never_forgotten_even_when_the_script_lies_beside_it(tmp_path: Path) -> None:
    script = write(tmp_path, "import emu.version\ndef topology(net): ...")
    (tmp_path / "link").symlink_to(Path(emu.__file__).parent)
    with load_topology(script):
        pass
    assert "emu.version" in sys.modules


def test_a_file_without_topology_says_how_to_write_one(tmp_path: Path) -> None:
    script = write(tmp_path, "x = 1")
    with pytest.raises(InvalidValue) as caught, load_topology(script):
        pass
    assert str(caught.value) == f"{script}: has no topology; define one: def topology(net: emu.Emulation) -> None: ..."


def test_a_topology_that_is_not_a_function_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidValue, match="topology is not a function"),
        load_topology(write(tmp_path, "topology = 3")),
    ):
        pass


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nosuch\.py: no such file"), load_topology(tmp_path / "nosuch.py"):
        pass
    with pytest.raises(InvalidValue, match="is a folder"), load_topology(tmp_path):
        pass
