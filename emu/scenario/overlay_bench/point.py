"""One point of the sweep: one case, one kind of traffic, one payload size, one underlay MTU."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from emu.scenario.overlay_bench.cases import CASES
from emu.scenario.overlay_bench.theory import datagram_efficiency
from emu.scenario.overlay_bench.trace import PARTS
from emu.scenario.overlay_bench.traffic import TRAFFIC, Measured

NS_PER_S = 10**9


@dataclass(frozen=True, slots=True)
class Point:
    """What is measured.

    case: a name of `CASES`. traffic: a name of `TRAFFIC`. underlay_mtu, payload_bytes: sizes.
    count: datagrams, or requests. window: datagrams on the way at once in a stream. rate, delay: of the cable.
    seed: of the whole benchmark; the point's own comes from it and from everything else here.
    cost: "linux" or a `CostModel` of one's own.
    """

    case: str
    traffic: str
    underlay_mtu: int
    payload_bytes: int
    count: int
    window: int = 64
    rate: str = "1Gbit"
    delay: str = "50us"
    seed: int = 0
    cost: Any = field(default="linux")

    def own_seed(self) -> int:
        """The seed of this point's emulation."""
        text = repr(sorted(asdict(self).items()))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency in ns over all datagrams (one way) or requests (round trip); percentiles are the nearest rank.

    parts_ns: the mean of each part, see `PARTS`; together they are the mean.
    """

    minimum_ns: int
    mean_ns: float
    p50_ns: int
    p99_ns: int
    maximum_ns: int
    parts_ns: dict[str, float]


@dataclass(frozen=True, slots=True)
class PointResult:
    """What came out.

    received, lost: datagrams, or requests. per_second: datagrams per second at the receiver, or requests answered.
    goodput_bps: payload bits per second, in one direction.
    frames: per datagram, more than one when it is fragmented. wire_bytes: of those, with preamble, FCS and gap.
    header_bytes: what its frames hold besides the payload, as captured: without preamble, FCS, gap and padding.
    efficiency: payload divided by wire_bytes, as measured; theory_efficiency: as computed.
    cpu_ns: CPU time per datagram (or request with its response) of all hosts; cpu_busiest_ns: of the busier host.
    """

    point: Point
    received: int
    lost: int
    per_second: float
    goodput_bps: float
    frames: float
    header_bytes: float
    wire_bytes: float
    efficiency: float
    theory_efficiency: float
    cpu_ns: float
    cpu_busiest_ns: float
    latency: Latency


def run_point(point: Point) -> PointResult:
    """Measure one point. Raises NotSupported for a case that is not built."""
    pair = CASES[point.case].build(
        point.own_seed(), underlay_mtu=point.underlay_mtu, rate=point.rate, delay=point.delay, cost=point.cost
    )
    measured = TRAFFIC[point.traffic].run(pair, point.payload_bytes, point.count, point.window)
    return _result(point, measured)


def _result(point: Point, measured: Measured) -> PointResult:
    received = len(measured.totals_ns)
    assert received, f"{point}: nothing arrived"
    exchanged = received * measured.datagrams_each
    wire_bytes = measured.wire_bytes / exchanged
    per_second = measured.rated * NS_PER_S / measured.rated_ns if measured.rated_ns else 0.0
    return PointResult(
        point=point,
        received=received,
        lost=measured.lost,
        per_second=round(per_second, 3),
        goodput_bps=round(per_second * point.payload_bytes * 8, 3),
        frames=round(measured.frames / exchanged, 3),
        header_bytes=round(measured.frame_bytes / exchanged - point.payload_bytes, 3),
        wire_bytes=round(wire_bytes, 3),
        efficiency=round(point.payload_bytes / wire_bytes, 6),
        theory_efficiency=round(float(datagram_efficiency(point.case, point.underlay_mtu, point.payload_bytes)), 6),
        cpu_ns=round(sum(measured.cpu_ns) / received, 3),
        cpu_busiest_ns=round(max(measured.cpu_ns) / received, 3),
        latency=_latency(measured),
    )


def _latency(measured: Measured) -> Latency:
    totals = sorted(measured.totals_ns)
    count = len(totals)
    assert sum(measured.parts_ns) == sum(totals), f"{measured.parts_ns} is not {sum(totals)} altogether"
    rank: Callable[[int], int] = lambda percent: totals[-(-count * percent // 100) - 1]  # noqa: E731
    return Latency(
        minimum_ns=totals[0],
        mean_ns=round(sum(totals) / count, 3),
        p50_ns=rank(50),
        p99_ns=rank(99),
        maximum_ns=totals[-1],
        parts_ns={name: round(part / count, 3) for name, part in zip(PARTS, measured.parts_ns, strict=True)},
    )
