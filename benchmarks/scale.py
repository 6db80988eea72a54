"""How building and running grow with the number of containers on one network over many hosts.

    python -m benchmarks.scale                       # the start of 50 x 20, then 10, 100 and 1000 containers
    python -m benchmarks.scale --driver vxlan 100    # flood and learn instead of Docker's overlay

Workload `many`: N containers round-robin on 20 hosts on one switch (cables of 50 us). Each sends 10 UDP datagrams of
100 bytes, 20 ms apart, to each of 5 random other containers, beginning at a random moment of 5 s. `cost="none"`, no
captures, engine 20.10 (no announcements), as its counterparts for ns-3 and the prototypes had it. Each case runs in a
process of its own, so that its memory can be told.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import emu

HOSTS = 20
PEERS, DATAGRAMS, PAYLOAD = 5, 10, bytes(100)
INTERVAL_NS, SPREAD_NS = 20_000_000, 5_000_000_000
PORT = 9
SIZES = (10, 100, 1000)
WIRED = ("veth", "ethernet")


@dataclass(frozen=True, slots=True)
class Growth:
    """What one case took: seconds of processor time, transmissions over veths and cables, MiB at the peak."""

    driver: str
    hosts: int
    containers: int
    build_s: float
    run_s: float
    delivered: int
    transmissions: int
    peak_mib: float


def build(driver: str, hosts: int, containers: int) -> emu.Emulation:
    """Make hosts on a switch and containers on one network, round-robin."""
    net = emu.Emulation(seed=1, engine="20.10", cost="none")
    tor = net.add_switch("tor")
    machines = [net.add_host(f"host{number + 1}") for number in range(hosts)]
    for machine in machines:
        net.add_link(machine, tor, delay="50us")
    crowd = net.networks.create("crowd", driver=driver, subnet="10.64.0.0/16", attachable=True)
    for number in range(containers):
        machines[number % hosts].containers.run(f"c{number + 1}", network=crowd)
    return net


def send_many(net: emu.Emulation) -> list[int]:
    """Plan the traffic; returns a list whose only item counts the datagrams that arrive."""
    delivered = [0]
    boxes = list(net.containers.values())
    random = net.random("many")

    def on_datagram(payload: bytes, source: Any, frame: Any) -> None:
        delivered[0] += 1

    for box in boxes:
        sink = box.namespace.udp_socket()
        sink.bind("0.0.0.0", PORT)
        sink.on_datagram = on_datagram
        sender = box.namespace.udp_socket()
        others = [other for other in random.sample(boxes, min(PEERS + 1, len(boxes))) if other is not box][:PEERS]
        start_ns = random.randrange(SPREAD_NS)
        for number in range(DATAGRAMS):
            for other in others:
                destination = (other.addresses["crowd"], PORT)
                net.kernel.call_at(start_ns + number * INTERVAL_NS, lambda arg: arg[0].sendto(*arg[1:]),
                                   (sender, PAYLOAD, destination))  # fmt: skip
    return delivered


def measure(driver: str, hosts: int, containers: int, *, traffic: bool = True) -> Growth:
    """Measure one case in this process."""
    started = time.process_time()
    net = build(driver, hosts, containers)
    if not traffic:
        net.run(until=1)  # addresses of the underlay and all entries are there
    build_s = time.process_time() - started
    delivered = send_many(net) if traffic else [0]
    started = time.process_time()
    if traffic:
        net.run()
    run_s = time.process_time() - started
    transmissions = sum(device.tx_packets for device in net.interfaces.devices if device.kind in WIRED)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Growth(driver, hosts, containers, build_s, run_s, delivered[0], transmissions, peak_mib)


def measure_apart(driver: str, hosts: int, containers: int, *, traffic: bool = True) -> Growth:
    """Measure one case in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", "--one", driver, str(hosts), str(containers)]
    done = subprocess.run(
        command if traffic else [*command, "--start-only"], stdout=subprocess.PIPE, text=True, check=True
    )
    return Growth(**json.loads(done.stdout))


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description="growth with containers")
    parser.add_argument("containers", nargs="*", type=int, default=SIZES, help="numbers of containers on 20 hosts")
    parser.add_argument("--driver", choices=("overlay", "vxlan"), default="overlay")
    parser.add_argument("--one", nargs=3, metavar=("DRIVER", "HOSTS", "CONTAINERS"), help=argparse.SUPPRESS)
    parser.add_argument("--start-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        driver, hosts, containers = options.one
        growth = measure(driver, int(hosts), int(containers), traffic=not options.start_only)
        print(json.dumps(asdict(growth)))
        return
    cases = [measure_apart("overlay", 50, 1000, traffic=False)]
    print("| driver | hosts | containers | start s | run s | delivered | transmissions | us each | MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    cases += [measure_apart(options.driver, HOSTS, containers) for containers in options.containers]
    for case in cases:
        each = f"{case.run_s * 1e6 / case.transmissions:.2f}" if case.delivered else "-"
        print(
            f"| {case.driver} | {case.hosts} | {case.containers:,} | {case.build_s:.2f} | {case.run_s:.3f} | "
            f"{case.delivered:,} | {case.transmissions:,} | {each} | {case.peak_mib:.0f} |"
        )


if __name__ == "__main__":
    main()
