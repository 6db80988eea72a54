"""What is measured, in which arrangement of namespaces, and what follows for single steps.

A path's cost is split by comparing paths: a datagram that is dropped by the stack at the far end of a veth (because
its MAC address is nobody's) costs what one that arrives costs, less the IP and UDP input; a bridge in between adds a
bridge and a veth crossing; and so on. Each figure is the median over rounds of medians over bursts; the spread over
the rounds is kept beside it.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.calibrate.namespaces import (
    ADDRESS_B,
    Namespaces,
    arrange_bridge,
    arrange_nowhere,
    arrange_overlay,
    arrange_veth,
    divert,
    run,
)

SIZES = (64, 1000, 1400)
BATCH = 64
BURSTS = 800
STREAM_SIZE = 1000
STREAM_COUNT = 60_000
STREAM_REPEATS = 3
RR_ROUNDS = {"without a pause": (0, 5000), "1 ms apart": (1000, 1000), "50 ms apart": (50_000, 40)}
"""Name -> (pause between round trips in us, how many)."""
PING_COUNT = 40
PROBE_LIMIT_S = 60
PORT = 5001
Say = Callable[[str], None]
Record = dict[str, Any]


def measure_all(folder: Path, rounds: int, say: Say) -> Record:
    """Measure every arrangement `rounds` times by turns; return results, derived costs, and where this was."""
    probe = folder / "probe"
    run("gcc", "-O2", "-o", str(probe), str(Path(__file__).with_name("probe.c")), limit_s=PROBE_LIMIT_S)
    collected: list[dict[str, float]] = []
    environment: Record = {"kernel": platform.release(), "machine": platform.machine(), "cpu": _cpu_name()}
    with Namespaces() as net:
        for number in range(1, rounds + 1):
            figures: dict[str, float] = {}
            for arrangement in (_nowhere, _veth, _bridge, _overlay):
                say(f"round {number} of {rounds}: {arrangement.__name__[1:]}")
                arrangement(Bench(net, str(probe), figures, environment))
                net.remove_all()
            collected.append(figures)
    figures = {name: _summary([entry[name] for entry in collected]) for name in collected[0]}
    medians = {name: entry["median"] for name, entry in figures.items()}
    return {"environment": environment, "rounds": rounds, "figures": figures, "derived_ns": derive(medians)}


class Bench:
    """Runs the probe in one arrangement and notes figures by name."""

    def __init__(self, net: Namespaces, probe: str, figures: dict[str, float], environment: Record) -> None:
        self.net = net
        self.probe = probe
        self.figures = figures
        self.environment = environment

    def burst(self, name: str, receiver: str | None) -> None:
        """Note the time of sending, and of receiving if anybody does, per datagram of each size."""
        for size in SIZES:
            target = "-" if receiver is None else self.net.name(receiver)
            result = self._probe("burst", self.net.name("a"), target, ADDRESS_B, PORT, size, BATCH, BURSTS)
            self.figures[f"{name} send {size} B, ns"] = result["send_ns"]["median"]
            if receiver is not None:
                assert result["lost"] < BATCH * BURSTS // 100, f"{name}: {result['lost']} datagrams did not arrive"
                self.figures[f"{name} receive {size} B, ns"] = result["receive_ns"]["median"]

    def stream(self, name: str, sender_cpu: int, receiver_cpu: int) -> None:
        """Note the datagrams per second of a flow-controlled stream between two processes."""
        words = ("stream", self.net.name("a"), self.net.name("b"), ADDRESS_B, PORT, STREAM_SIZE, STREAM_COUNT)
        rates = [self._probe(*words, sender_cpu, receiver_cpu)["datagrams_per_s"] for _ in range(STREAM_REPEATS)]
        self.figures[f"{name} stream {STREAM_SIZE} B, datagrams/s"] = median(rates)

    def round_trips(self, name: str) -> None:
        """Note the round-trip times of UDP request and response, and of ping."""
        for pause, (gap_us, count) in RR_ROUNDS.items():
            result = self._probe("rr", self.net.name("a"), self.net.name("b"), ADDRESS_B, PORT, 64, count, gap_us)
            self.figures[f"{name} request/response 64 B {pause}, ns"] = result["rtt_ns"]["median"]
        text = self.net.shell("a", f"LC_ALL=C ping -n -c {PING_COUNT} -i 0.05 -W 1 {ADDRESS_B}")
        times_ms = [float(value) for value in re.findall(r"time=([0-9.]+) ms", text)]
        self.figures[f"{name} ping, ns"] = median(times_ms) * 1e6

    def _probe(self, *arguments: object) -> Record:
        return json.loads(run(self.probe, *map(str, arguments), limit_s=PROBE_LIMIT_S))  # type: ignore[no-any-return]


def _nowhere(bench: Bench) -> None:
    arrange_nowhere(bench.net)
    bench.burst("nowhere", None)


def _veth(bench: Bench) -> None:
    arrange_veth(bench.net)
    bench.burst("veth", "b")
    bench.stream("veth, one CPU", 0, 0)
    bench.stream("veth, two CPUs", 0, 1)
    bench.round_trips("veth")
    divert(bench.net, "a", "e0", ADDRESS_B)
    bench.burst("veth, dropped at the end", None)


def _bridge(bench: Bench) -> None:
    arrange_bridge(bench.net)
    path = "/proc/sys/net/bridge/bridge-nf-call-iptables"
    bench.environment["bridge-nf-call-iptables"] = bench.net.shell(
        "host", f"cat {path} 2>/dev/null || echo none"
    ).strip()
    bench.burst("bridge", "b")
    bench.stream("bridge, one CPU", 0, 0)
    bench.stream("bridge, two CPUs", 0, 1)
    bench.round_trips("bridge")
    divert(bench.net, "a", "e0", ADDRESS_B)
    bench.burst("bridge, dropped at the end", None)


def _overlay(bench: Bench) -> None:
    arrange_overlay(bench.net)
    bench.burst("overlay", "b")
    bench.stream("overlay, one CPU", 0, 0)
    bench.stream("overlay, two CPUs", 0, 1)
    bench.round_trips("overlay")
    # CPU 1 does what the second host would do: it takes what comes over the underlay, and runs the receiver.
    bench.net.shell("host2", "echo 2 > /sys/class/net/eth0/queues/rx-0/rps_cpus")
    bench.stream("overlay, a CPU per host", 0, 1)
    bench.net.shell("host2", "echo 0 > /sys/class/net/eth0/queues/rx-0/rps_cpus")
    divert(bench.net, "host1", "eth0", "198.18.0.2")
    bench.burst("overlay, dropped at the second host", None)


def derive(figures: dict[str, float]) -> dict[str, int]:
    """Split the measured paths into steps, in ns: the median over the sizes, and from the sizes the cost of copying."""

    def send(name: str, size: int) -> float:
        return figures[f"{name} send {size} B, ns"]

    def steps(size: int) -> dict[str, float]:
        base = send("nowhere", size)
        veth = send("veth, dropped at the end", size) - base
        bridge = send("bridge, dropped at the end", size) - base - 2 * veth
        after_veth = send("veth", size) - send("veth, dropped at the end", size)
        after_bridge = send("bridge", size) - send("bridge, dropped at the end", size)
        ip_input = (after_veth + after_bridge) / 2
        sender_half = send("overlay, dropped at the second host", size)
        receiver_half = send("overlay", size) - sender_half
        return {
            "socket_send + ip_output": base,
            "veth": veth,
            "bridge": bridge,
            "ip_input": ip_input,
            "socket_receive": (figures[f"veth receive {size} B, ns"] + figures[f"bridge receive {size} B, ns"]) / 2,
            "vxlan_encapsulate + ip_output of the outer packet": sender_half - base - 2 * veth - bridge,
            "vxlan_decapsulate + ip_input of the outer packet": receiver_half - veth - bridge - ip_input,
        }

    by_size = {size: steps(size) for size in SIZES}
    derived = {name: median(by_size[size][name] for size in SIZES) for name in by_size[SIZES[0]]}
    small, large = SIZES[0], SIZES[-1]
    grown = (
        send("nowhere", large) - send("nowhere", small)
        + figures[f"veth receive {large} B, ns"] - figures[f"veth receive {small} B, ns"]
    )  # fmt: skip
    derived["copy_per_kib"] = grown / 2 * 1024 / (large - small)
    return {name: round(value) for name, value in derived.items()}


def _summary(values: list[float]) -> dict[str, float]:
    return {"median": round(median(values)), "minimum": round(min(values)), "maximum": round(max(values))}


def _cpu_name() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return found.group(1) if found else "unknown"
