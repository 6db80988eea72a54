"""Overlay networks of many hosts and containers: how long a start takes, and how much memory (`make test-slow`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scale import HOSTS, measure, measure_apart
from tests.scenarios.runs import run_again


@pytest.mark.slow
def test_fifty_hosts_with_twenty_containers_each_start_in_ten_seconds_and_500_mib() -> None:
    start = measure_apart("overlay", 50, 1000, traffic=False)
    assert start.build_s < 10
    assert start.peak_mib < 500


@pytest.mark.slow
def test_a_thousand_containers_lose_nothing_and_need_less_than_flood_and_learn() -> None:
    small, large = (measure_apart("overlay", HOSTS, containers) for containers in (100, 1000))
    assert (small.delivered, large.delivered) == (5000, 50_000)
    assert large.transmissions < 5_410_692, "what the same traffic takes where every question floods to every host"
    assert large.peak_mib < 500
    per_transmission = [case.run_s / case.transmissions for case in (small, large)]
    assert per_transmission[1] < 4 * per_transmission[0], "the work for one frame does not grow with the network"


@pytest.mark.slow
def test_the_topology_of_many_works_with_fifty_hosts_and_twenty_containers_each(tmp_path: Path) -> None:
    outcome = run_again("overlay_many", tmp_path, hosts="50", containers="20", pairs="random", count="1")
    assert outcome.result.ok
    assert len(outcome.result.tasks) == 1000


def test_the_growth_benchmark_delivers_every_datagram_with_either_driver() -> None:
    overlay, flooding = (measure(driver, 4, 8) for driver in ("overlay", "vxlan"))
    assert overlay.delivered == flooding.delivered == 8 * 5 * 10
    assert overlay.transmissions < flooding.transmissions
