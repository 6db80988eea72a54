"""A topology that is stopped before its work is done says what did not come true; it does not fall over."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.scenario.loader import load_topology
from emu.scenario.runner import RunOptions, run_topology
from tests.scenarios.runs import NAMES, TOPOLOGIES


@pytest.mark.parametrize("name", NAMES)
def test_a_run_cut_short_has_unmet_expectations_and_no_error(name: str, tmp_path: Path) -> None:
    with load_topology(TOPOLOGIES / f"{name}.py") as topology:
        result = run_topology(topology, RunOptions(folder=tmp_path, until=1)).result
    assert not result.ok
    assert not [expectation.problem for expectation in result.expectations if expectation.problem]
