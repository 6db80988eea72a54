"""TCP in the overlay benchmark: what goes over the cable stays below its ceiling, and fills its segments."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emu.kernel import InvalidValue
from emu.scenario.overlay_bench import CASES, Sweep, TcpPoint, TcpResult, run_benchmark, run_tcp_point

BUILT = [name for name, case in CASES.items() if case.obstacle() is None]
SIZE = 1_000_000


def measure(case: str, mtu: int = 1500, **options: object) -> TcpResult:
    return run_tcp_point(TcpPoint(case, mtu, SIZE, 20, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("case", "segment", "share"),
    [("underlay", 1448, 0.9415), ("bridge", 1448, 0.9415), ("overlay", 1398, 0.9090), ("encrypted", 1372, 0.8921)],
)
def test_segments_are_full_and_take_what_theory_says(case: str, segment: int, share: float) -> None:
    if case not in BUILT:
        pytest.skip(f"{case} cannot be built here")
    result = measure(case)
    assert result.maximum_segment == segment
    assert result.theory_efficiency == pytest.approx(share, abs=0.0001)
    assert result.efficiency == pytest.approx(result.theory_efficiency, abs=0.001)


@pytest.mark.parametrize("case", [case for case in BUILT if case != "bridge"])
@pytest.mark.parametrize("mtu", [1500, 9000])
def test_goodput_reaches_almost_its_ceiling_and_never_more(case: str, mtu: int) -> None:
    result = measure(case, mtu)
    assert result.ceiling_bps is not None
    assert 0.95 * result.ceiling_bps < result.goodput_bps < result.ceiling_bps


def test_a_bridge_has_no_ceiling_and_is_bound_by_the_cpu() -> None:
    result = measure("bridge")
    assert result.ceiling_bps is None
    assert result.goodput_bps > 1e9


def test_connecting_takes_a_round_trip_of_the_cable_and_the_hosts_work() -> None:
    result = measure("underlay", delay="1ms")
    assert 2_055_000 < result.connect_ns < 2_085_000  # waking the program included
    assert result.connect_ns < result.request_ns < 2_130_000  # both programs were asleep
    assert result.requests_per_second == pytest.approx(1e9 / result.request_ns, rel=0.05)


def test_a_tunnel_costs_time_and_cpu() -> None:
    underlay, overlay = measure("underlay"), measure("overlay")
    assert overlay.connect_ns > underlay.connect_ns
    assert overlay.request_ns > underlay.request_ns
    assert overlay.cpu_ns_per_kib > 1.5 * underlay.cpu_ns_per_kib


def test_the_path_mtu_is_found_where_the_underlay_is_smaller_than_docker_thinks() -> None:
    assert measure("overlay", 1450).maximum_segment == 1348


def test_a_benchmark_without_tcp_has_no_results_of_it() -> None:
    sweep = Sweep(
        payloads=(64,), underlay_mtus=(1500,), cases=("bridge",), stream_count=5, request_count=5, tcp_bytes=0
    )
    assert run_benchmark(sweep, workers=1).tcp_results == ()
    with pytest.raises(InvalidValue, match="1000 bytes or more"):
        replace(sweep, tcp_bytes=10).check()
