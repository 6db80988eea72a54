"""What an overlay network costs: the same traffic over the underlay, a bridge, an overlay and an encrypted overlay.

`emu bench overlay` shows what this package measures; everything can be called from Python:

    from emu.scenario.overlay_bench import QUICK, run_benchmark
    benchmark = run_benchmark(QUICK, workers=1)
    print(benchmark.results[0].goodput_bps)
"""

from emu.scenario.overlay_bench.cases import CASES, Case
from emu.scenario.overlay_bench.point import Latency, Point, PointResult, run_point
from emu.scenario.overlay_bench.sweep import DEFAULT, QUICK, Benchmark, Sweep, run_benchmark
from emu.scenario.overlay_bench.tcp import TcpPoint, TcpResult, run_tcp_point
from emu.scenario.overlay_bench.trace import PARTS

__all__ = [
    "CASES",
    "DEFAULT",
    "PARTS",
    "QUICK",
    "Benchmark",
    "Case",
    "Latency",
    "Point",
    "PointResult",
    "Sweep",
    "TcpPoint",
    "TcpResult",
    "run_benchmark",
    "run_point",
    "run_tcp_point",
]
