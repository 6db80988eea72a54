"""What emu predicts for the arrangements that were measured, beside the measured values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from benchmarks.calibrate.measure import STREAM_SIZE
from benchmarks.report import aligned
from emu.device import CostModel
from emu.scenario.overlay_bench import CASES, Point, run_point

PINGS = 10
COSTS = CostModel()
SAME_MACHINE = replace(COSTS, ethernet_transmit=COSTS.veth, ethernet_receive=0)
"""The measured hosts are namespaces of one machine, and a veth pair is the cable between them."""
RATE, DELAY = "1Tbit", "0us"
Figures = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Compared:
    """One row: its name with the unit, the case, how it is predicted, and how it is read from the figures."""

    name: str
    case: str
    predict: Callable[[str], float]
    measured: Callable[[Figures, str], float]


def comparison(results: dict[str, Any]) -> str:
    """A table: what, predicted, measured (median), and the spread over the rounds."""
    rows = [["", "predicted", "measured", "from", "to", "predicted / measured"]]
    for compared in COMPARED:
        predicted = compared.predict(compared.case)
        middle, *spread = (compared.measured(results["figures"], key) for key in ("median", "minimum", "maximum"))
        numbers = (predicted, middle, min(spread), max(spread))
        rows.append([compared.name, *(f"{value:,.1f}" for value in numbers), f"{predicted / middle:.2f}"])
    return "\n".join(aligned(rows))


def stream_per_ms(case: str) -> float:
    """Datagrams per millisecond of a stream, each emulated host with a CPU of its own."""
    return run_point(_point(case, "udp-stream", STREAM_SIZE, 2000)).per_second / 1e3


def stream_per_ms_on_one_cpu(case: str) -> float:
    """The same if one CPU did the work of all hosts."""
    return 1e6 / run_point(_point(case, "udp-stream", STREAM_SIZE, 2000)).cpu_ns


def request_response_us(case: str) -> float:
    """Round-trip time of 64 bytes without pauses."""
    return run_point(_point(case, "udp-request-response", 64, 200)).latency.p50_ns / 1e3


def ping_us(case: str) -> float:
    """Round-trip time of a ping, the first one left out."""
    pair = CASES[case].build(0, underlay_mtu=1500, rate=RATE, delay=DELAY, cost=SAME_MACHINE)
    ping = pair.client.ping(pair.server_address, count=PINGS)
    pair.net.run()
    return float(median(ping.result.rtts_ns[1:])) / 1e3


def _point(case: str, traffic: str, size: int, count: int) -> Point:
    return Point(case, traffic, 1500, size, count, rate=RATE, delay=DELAY, cost=SAME_MACHINE)


def _figure(name: str) -> Callable[[Figures, str], float]:
    return lambda figures, key: figures[name][key] / 1e3


def _one_process(case: str) -> Callable[[Figures, str], float]:
    """Datagrams per millisecond of a process that sends and receives them in turns."""
    return lambda figures, key: (
        1e6 / sum(figures[f"{case} {step} {STREAM_SIZE} B, ns"][key] for step in ("send", "receive"))
    )


def _rows(case: str) -> Iterator[Compared]:
    stream = f"stream {STREAM_SIZE} B, datagrams/s"
    per_cpu = stream_per_ms_on_one_cpu
    yield Compared(f"{case}: UDP stream, one CPU, one process, 1000/s", case, per_cpu, _one_process(case))
    yield Compared(
        f"{case}: UDP stream, one CPU, two processes, 1000/s", case, per_cpu, _figure(f"{case}, one CPU {stream}")
    )
    if case == "overlay":
        figure = _figure(f"{case}, a CPU per host {stream}")
        yield Compared(f"{case}: UDP stream, a CPU per host, 1000/s", case, stream_per_ms, figure)
    yield Compared(f"{case}: ping, us", case, ping_us, _figure(f"{case} ping, ns"))
    figure = _figure(f"{case} request/response 64 B without a pause, ns")
    yield Compared(f"{case}: request/response without pauses, us", case, request_response_us, figure)


COMPARED = (*_rows("bridge"), *_rows("overlay"))
