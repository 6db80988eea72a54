"""The cost model's defaults are the calibration's results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.calibrate.measure import derive
from emu.device import CostModel

RESULTS = sorted((Path(__file__).parents[2] / "benchmarks" / "calibrate" / "results").glob("*.json"))
COSTS = CostModel()


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_single_steps_follow_from_the_figures_in_the_file(file: Path) -> None:
    results = json.loads(file.read_text())
    medians = {name: figure["median"] for name, figure in results["figures"].items()}
    assert derive(medians) == results["derived_ns"]
    assert results["environment"]["kernel"]


@pytest.mark.parametrize(
    ("step", "cost_ns"),
    [
        ("socket_send + ip_output", COSTS.socket_send + COSTS.ip_output),
        ("veth", COSTS.veth),
        ("bridge", COSTS.bridge),
        ("ip_input", COSTS.ip_input),
        ("vxlan_encapsulate + ip_output of the outer packet", COSTS.vxlan_encapsulate + COSTS.ip_output),
        ("vxlan_decapsulate + ip_input of the outer packet", COSTS.vxlan_decapsulate + COSTS.ip_input),
    ],
)
def test_the_default_costs_are_those_measured(step: str, cost_ns: int) -> None:
    measured_ns = [json.loads(file.read_text())["derived_ns"][step] for file in RESULTS]
    assert min(measured_ns) * 0.9 < cost_ns < max(measured_ns) * 1.1


def test_receiving_costs_more_than_the_bare_call_because_programs_are_woken_and_switched() -> None:
    bare_ns = json.loads(RESULTS[0].read_text())["derived_ns"]["socket_receive"]
    assert bare_ns + 900 < COSTS.socket_receive < bare_ns + 1200
