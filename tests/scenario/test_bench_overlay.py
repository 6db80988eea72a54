"""The overlay benchmark: theory, exact latency, and the same results however many processes measure."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.device import CostModel
from emu.kernel import InvalidValue
from emu.kernel.errors import NotSupported
from emu.scenario.overlay_bench import CASES, PARTS, Case, Point, PointResult, Sweep, run_benchmark, run_point
from emu.scenario.overlay_bench.theory import (
    datagram_efficiency,
    datagram_frames,
    fragments,
    full_size_efficiency,
    on_wire_bytes,
)

BUILT = [name for name, case in CASES.items() if case.obstacle() is None]
COSTS = CostModel()
LINE_NS_PER_BYTE = 8  # 1 Gbit/s


def request_response(case: str, payload: int = 512, **settings: object) -> PointResult:
    return run_point(Point(case, "udp-request-response", 1500, payload, 20, **settings))  # type: ignore[arg-type]


def stream(case: str, payload: int = 512, mtu: int = 1500, **settings: object) -> PointResult:
    return run_point(Point(case, "udp-stream", mtu, payload, 200, **settings))  # type: ignore[arg-type]


# -- theory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "payload"), [("underlay", 1448), ("bridge", 1448), ("overlay", 1398), ("encrypted", 1372)]
)
def test_the_part_of_a_full_tcp_segment_that_is_payload(case: str, payload: int) -> None:
    assert full_size_efficiency(case) == Fraction(payload, 1538)


def test_the_part_of_a_full_datagram_that_is_payload() -> None:
    assert full_size_efficiency("overlay", transport="udp") == Fraction(1422, 1538)
    assert full_size_efficiency("underlay", 9000, "udp") == Fraction(8972, 9038)


def test_short_frames_take_the_minimum_and_every_frame_24_bytes_more() -> None:
    assert on_wire_bytes(42) == on_wire_bytes(60) == 84
    assert on_wire_bytes(1514) == 1538


def test_a_tunnel_that_does_not_know_of_a_smaller_underlay_fragments_twice() -> None:
    assert datagram_frames("overlay", 1450, 1422) == [14 + 50 + 1396, 14 + 50 + 74], "DF: the sender learns 1400"
    inner_twice = datagram_frames("overlay", 1450, 2000)
    assert inner_twice == [14 + 1444, 14 + 70, 14 + 50 + 604], "no DF: cut at 1450, and once more by the host"


@given(st.integers(28, 65535), st.integers(600, 9000))
def test_fragments_carry_everything_within_the_mtu(packet: int, mtu: int) -> None:
    pieces = fragments(packet, mtu)
    assert sum(pieces) - 20 * len(pieces) == packet - 20
    assert max(pieces) <= max(mtu, min(packet, mtu))
    assert all((piece - 20) % 8 == 0 for piece in pieces[:-1])


@pytest.mark.parametrize("case", BUILT)
@pytest.mark.parametrize("mtu", [1450, 1500, 9000])
@pytest.mark.parametrize("payload", [64, 1422, 1472, 4000])
def test_measured_bytes_are_those_of_theory(case: str, mtu: int, payload: int) -> None:
    result = run_point(Point(case, "udp-stream", mtu, payload, 20))
    frames = datagram_frames(case, mtu, payload)
    assert result.frames == len(frames)
    assert result.header_bytes == sum(frames) - payload
    assert result.wire_bytes == sum(map(on_wire_bytes, frames))
    assert result.efficiency == result.theory_efficiency == round(float(datagram_efficiency(case, mtu, payload)), 6)


# -- latency -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", BUILT)
@pytest.mark.parametrize("traffic", ["udp-stream", "udp-request-response"])
@pytest.mark.parametrize("payload", [64, 3000])
def test_the_parts_of_latency_add_up_to_it(case: str, traffic: str, payload: int) -> None:
    latency = run_point(Point(case, traffic, 1500, payload, 50)).latency
    assert list(latency.parts_ns) == list(PARTS)
    assert sum(latency.parts_ns.values()) == pytest.approx(latency.mean_ns, abs=0.01)
    assert latency.minimum_ns <= latency.p50_ns <= latency.p99_ns <= latency.maximum_ns
    assert latency.minimum_ns <= latency.mean_ns <= latency.maximum_ns


@pytest.mark.parametrize("case", BUILT)
def test_nothing_queues_when_only_one_datagram_is_on_the_way(case: str) -> None:
    """Queueing is what is left of the exact times, so this checks all the other parts."""
    assert request_response(case).latency.parts_ns["queueing"] == 0


def test_an_overlay_round_trip_is_the_sum_of_its_steps() -> None:
    parts = request_response("overlay", 512).latency.parts_ns
    steps = {
        "serialization": (512 + 92 + 24) * LINE_NS_PER_BYTE,
        "propagation": 50_000,
        "encapsulation": COSTS.vxlan_encapsulate + COSTS.ip_output + COSTS.ip_input + COSTS.vxlan_decapsulate,
        "processing": (
            COSTS.socket_send + COSTS.ip_output + COSTS.veth + COSTS.bridge + COSTS.ethernet_transmit
            + COSTS.ethernet_receive + COSTS.bridge + COSTS.veth + COSTS.ip_input + COSTS.socket_receive
            + 2 * COSTS.copy_ns(512)
        ),
    }  # fmt: skip
    assert {name: parts[name] for name in steps} == {name: 2 * value for name, value in steps.items()}


def test_a_bridge_round_trip_has_no_cable_in_it() -> None:
    parts = request_response("bridge").latency.parts_ns
    assert parts["serialization"] == parts["propagation"] == parts["encapsulation"] == 0
    assert parts["processing"] == 2 * (
        COSTS.socket_send + COSTS.ip_output + 2 * COSTS.veth + COSTS.bridge + COSTS.ip_input + COSTS.socket_receive
        + 2 * COSTS.copy_ns(512)
    )  # fmt: skip


def test_dearer_encapsulation_shows_in_encapsulation_only() -> None:
    plain = request_response("overlay").latency
    dear = request_response("overlay", cost=replace(COSTS, vxlan_encapsulate=COSTS.vxlan_encapsulate + 1000)).latency
    assert dear.p50_ns - plain.p50_ns == 2000
    changed = {part for part in PARTS if plain.parts_ns[part] != dear.parts_ns[part]}
    assert changed == {"encapsulation"}


def test_a_datagram_in_fragments_spends_the_time_of_all_of_them_on_the_cable() -> None:
    parts = request_response("underlay", 8192).latency.parts_ns
    assert parts["serialization"] == 2 * sum(map(on_wire_bytes, datagram_frames("underlay", 1500, 8192))) * 8
    assert parts["queueing"] == 0


# -- rates -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [name for name in BUILT if CASES[name].crosses_hosts])
def test_large_datagrams_fill_the_cable(case: str) -> None:
    result = stream(case, 1400)
    assert result.goodput_bps == pytest.approx(float(datagram_efficiency(case, 1500, 1400)) * 1e9, rel=1e-3)
    assert result.lost == 0


@pytest.mark.parametrize("case", BUILT)
def test_small_datagrams_keep_the_busier_cpu_busy(case: str) -> None:
    result = stream(case, 64)
    assert result.per_second == pytest.approx(1e9 / result.cpu_busiest_ns, rel=0.01)


def test_cpu_time_per_datagram_is_the_work_of_both_hosts() -> None:
    result = request_response("overlay")
    parts = result.latency.parts_ns
    assert result.cpu_ns == parts["processing"] + parts["encapsulation"]


def test_what_is_lost_is_counted_and_the_stream_goes_on() -> None:
    result = run_point(Point("underlay", "udp-stream", 1500, 9000, 300, window=500))  # more than a queue holds
    assert result.lost > 0
    assert result.received + result.lost == 300


# -- the sweep ---------------------------------------------------------------------------------------------------------

TINY = Sweep(
    payloads=(64, 2000), underlay_mtus=(1500,), stream_count=50, request_count=10, tcp_bytes=100_000, tcp_requests=5
)


def test_results_do_not_depend_on_the_number_of_workers() -> None:
    alone, together = run_benchmark(TINY, workers=1), run_benchmark(TINY, workers=2)
    assert alone == together
    assert [result.point for result in alone.results] == list(TINY.points(tuple(BUILT)))
    assert [result.point for result in alone.tcp_results] == list(TINY.tcp_points(tuple(BUILT)))


def test_every_point_has_a_seed_of_its_own_made_of_the_seed_and_the_parameters() -> None:
    points = [*TINY.points(("underlay", "bridge")), *replace(TINY, seed=1).points(("underlay", "bridge"))]
    seeds = {point.own_seed() for point in points}
    assert len(seeds) == len(points)
    assert points[0].own_seed() == replace(points[0]).own_seed()


def test_progress_is_told_of_every_point() -> None:
    told: list[tuple[int, int]] = []
    run_benchmark(TINY, workers=1, progress=lambda done, total: told.append((done, total)))
    total = len(list(TINY.points(tuple(BUILT)))) + len(list(TINY.tcp_points(tuple(BUILT))))
    assert told == [(done, total) for done in range(total + 1)]


def test_a_case_that_is_not_built_is_left_out_by_name_and_joins_when_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> object:
        raise NotSupported("not built yet")

    sweep = replace(TINY, cases=("bridge", "encrypted"), traffics=("udp-stream",), payloads=(64,))
    monkeypatch.setitem(CASES, "encrypted", Case("encrypted", "encrypted overlay", True, refuse))  # type: ignore[arg-type]
    benchmark = run_benchmark(sweep, workers=1)
    assert benchmark.left_out == {"encrypted": "not built"}
    assert [result.point.case for result in benchmark.results] == ["bridge"]
    monkeypatch.setitem(CASES, "encrypted", replace(CASES["underlay"], name="encrypted"))
    assert run_benchmark(sweep, workers=1).left_out == {}


def test_a_case_whose_package_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    benchmark = run_benchmark(replace(TINY, cases=("bridge", "encrypted")), workers=1)
    assert list(benchmark.left_out) == ["encrypted"]
    assert "pip install cryptography" in benchmark.left_out["encrypted"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"payloads": (7,)}, "payload of 7 bytes: expected 8 to 65507"),
        ({"payloads": ()}, "nothing to measure"),
        ({"underlay_mtus": (100,)}, "underlay MTU of 100 bytes"),
        ({"cases": ("macvlan",)}, 'no case "macvlan"; there are: underlay, bridge, overlay, encrypted'),
        ({"traffics": ("tcp",)}, 'no traffic "tcp"'),
        ({"window": 0}, "counts and window"),
        ({"rate": "fast"}, "invalid rate"),
        ({"delay": "soon"}, "invalid delay"),
    ],
)
def test_a_sweep_that_cannot_be_measured_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        run_benchmark(replace(TINY, **change), workers=1)  # type: ignore[arg-type]
