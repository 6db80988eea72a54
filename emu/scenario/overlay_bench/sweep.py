"""The sweep: all points, on all cores, in an order that does not depend on how many there are."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_rate_bps, parse_time_ns
from emu.scenario.overlay_bench.cases import CASES
from emu.scenario.overlay_bench.point import Point, PointResult, run_point
from emu.scenario.overlay_bench.tcp import TcpPoint, TcpResult, run_tcp_point
from emu.scenario.overlay_bench.traffic import NUMBER_BYTES, TRAFFIC

PAYLOAD_MAX = 65_507
TCP_BYTES_MIN = 1000
Progress = Callable[[int, int], object]
"""Called with how many points are done, and how many there are."""
Job = tuple[Callable[[Any], Any], Any]
"""What measures, and what it is given."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What to measure: every combination of these.

    payloads, underlay_mtus: in bytes. stream_count, request_count: datagrams and requests per point.
    window: datagrams on the way at once in a stream. rate, delay: of the cable between the hosts.
    tcp_bytes: length of TCP streams, 0 for none; tcp_requests: requests over TCP. TCP has no payload sizes: it fills
    its segments.
    """

    payloads: tuple[int, ...] = (64, 128, 256, 512, 1024, 1396, 1422, 1472, 2048, 4096, 8192, 8972)
    underlay_mtus: tuple[int, ...] = (1450, 1500, 9000)
    cases: tuple[str, ...] = tuple(CASES)
    traffics: tuple[str, ...] = tuple(TRAFFIC)
    stream_count: int = 4000
    request_count: int = 500
    window: int = 64
    rate: str = "1Gbit"
    delay: str = "50us"
    seed: int = 0
    tcp_bytes: int = 20_000_000
    tcp_requests: int = 200

    def check(self) -> None:
        """Raise InvalidValue for what cannot be measured."""
        for payload in self.payloads:
            if not NUMBER_BYTES <= payload <= PAYLOAD_MAX:
                raise InvalidValue(f"payload of {payload} bytes: expected {NUMBER_BYTES} to {PAYLOAD_MAX}")
        for mtu in self.underlay_mtus:
            if not 600 <= mtu <= 65535:
                raise InvalidValue(f"underlay MTU of {mtu} bytes: expected 600 to 65535")
        for what, names, table in (("case", self.cases, CASES), ("traffic", self.traffics, TRAFFIC)):
            for name in names:
                if name not in table:
                    raise InvalidValue(f'no {what} "{name}"; there are: {", ".join(table)}')
        if min(self.stream_count, self.request_count, self.window) < 1:
            raise InvalidValue("counts and window of a benchmark are 1 or more")
        if self.tcp_bytes and (self.tcp_bytes < TCP_BYTES_MIN or self.tcp_requests < 1):
            raise InvalidValue(f"a TCP stream of a benchmark has {TCP_BYTES_MIN} bytes or more, and 1 request or more")
        if not all((self.payloads, self.underlay_mtus, self.cases, self.traffics)):
            raise InvalidValue("nothing to measure: a list of the sweep is empty")
        parse_rate_bps(self.rate)
        parse_time_ns(self.delay, "delay")

    def points(self, cases: tuple[str, ...]) -> Iterator[Point]:
        """All points of some cases, in the order of results."""
        for traffic in self.traffics:
            count = self.request_count if traffic == "udp-request-response" else self.stream_count
            for mtu in self.underlay_mtus:
                for payload in self.payloads:
                    for case in cases:
                        yield Point(
                            case, traffic, mtu, payload, count, self.window, self.rate, self.delay, self.seed
                        )  # fmt: skip

    def tcp_points(self, cases: tuple[str, ...]) -> Iterator[TcpPoint]:
        """All points of TCP of some cases, in the order of results."""
        for mtu in self.underlay_mtus if self.tcp_bytes else ():
            for case in cases:
                yield TcpPoint(case, mtu, self.tcp_bytes, self.tcp_requests, self.rate, self.delay, seed=self.seed)


DEFAULT = Sweep()
QUICK = Sweep(
    payloads=(64, 512, 1396, 8192), underlay_mtus=(1500, 9000), stream_count=600, request_count=60,
    tcp_bytes=4_000_000, tcp_requests=60,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The results, in the order of `Sweep.points`; those of TCP in that of `Sweep.tcp_points`.

    left_out: name of a case that could not be measured -> why: "not built", or which package is missing.
    """

    sweep: Sweep
    results: tuple[PointResult, ...]
    left_out: dict[str, str]
    tcp_results: tuple[TcpResult, ...] = ()

    def find_tcp(self, case: str, underlay_mtu: int) -> TcpResult | None:
        """The result of TCP over one case, or None when it was not measured."""
        for result in self.tcp_results:
            if (result.point.case, result.point.underlay_mtu) == (case, underlay_mtu):
                return result
        return None

    def find(self, case: str, traffic: str, underlay_mtu: int, payload_bytes: int) -> PointResult | None:
        """The result of one point, or None when it was not measured."""
        wanted = (case, traffic, underlay_mtu, payload_bytes)
        for result in self.results:
            point = result.point
            if (point.case, point.traffic, point.underlay_mtu, point.payload_bytes) == wanted:
                return result
        return None

    @property
    def cases(self) -> tuple[str, ...]:
        """The names of the cases that were measured."""
        return tuple(name for name in self.sweep.cases if name not in self.left_out)


def run_benchmark(sweep: Sweep = DEFAULT, *, workers: int | None = None, progress: Progress | None = None) -> Benchmark:
    """Measure all points of a sweep.

    workers: processes that measure at the same time; None takes one per core, 1 measures in this process. The results
    are the same, bit for bit. progress: is told after each point.
    Raises InvalidValue for a sweep that cannot be measured.
    """
    sweep.check()
    if workers is not None and workers < 1:
        raise InvalidValue(f"workers must be 1 or more, not {workers}")
    obstacles = {name: CASES[name].obstacle() for name in sweep.cases}
    left_out = {name: obstacle for name, obstacle in obstacles.items() if obstacle is not None}
    cases = tuple(name for name in sweep.cases if name not in left_out)
    jobs: list[Job] = [(run_point, point) for point in sweep.points(cases)]
    datagrams = len(jobs)
    jobs += [(run_tcp_point, point) for point in sweep.tcp_points(cases)]
    tell = progress or (lambda done, total: None)
    tell(0, len(jobs))
    count = min(workers or os.cpu_count() or 1, len(jobs))
    results = _measure_here(jobs, tell) if count <= 1 else _measure_in_pool(jobs, count, tell)
    return Benchmark(sweep, tuple(results[:datagrams]), left_out, tuple(results[datagrams:]))


def _measure_here(jobs: list[Job], tell: Progress) -> list[Any]:
    results = []
    for run, point in jobs:
        results.append(run(point))
        tell(len(results), len(jobs))
    return results


def _measure_in_pool(jobs: list[Job], workers: int, tell: Progress) -> list[Any]:
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_interrupts) as pool:
        try:
            futures = [pool.submit(run, point) for run, point in jobs]
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                tell(done, len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _leave_interrupts() -> None:
    """Let Ctrl-C end the process that shows the results; its workers end with it, without a word."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
