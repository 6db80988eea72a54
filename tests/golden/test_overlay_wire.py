"""Frames of overlay networks are those of the recorded engines at every capture point, on both hosts and between."""

from __future__ import annotations

import re

import pytest

from tests.golden.overlay import ENGINES, MANAGER, WORKER, Swarm
from tests.golden.recording import DOCKER_EXEC_NS, PROCESS_NS

swarms = pytest.mark.parametrize(
    ("engine", "cost"), [(engine, cost) for engine in ENGINES for cost in ("linux", "none")]
)


def running(engine: str, cost: str) -> Swarm:
    """The recorded machines with their networks and containers."""
    swarm = Swarm(engine, cost)
    swarm.create_networks()
    swarm.run_containers()
    return swarm


def points(engine: str) -> list[str]:
    """The capture points of most scenarios."""
    manager, worker = MANAGER[engine], WORKER[engine]
    return [
        "o1-eth0", f"{manager}sbox-br0", f"{manager}sbox-vxlan0", "underlay", f"{worker}sbox-vxlan0",
        f"{worker}sbox-br0", "o2-eth0",
    ]  # fmt: skip


def times_masked(text: str) -> str:
    """ping's output without what was measured."""
    return re.sub(r"[0-9.]+ ms|time[= ][0-9.]+ ?ms|= [0-9./]+ ms", "...", text)


@swarms
def test_the_first_pings_across_hosts(engine: str, cost: str) -> None:
    swarm = running(engine, cost)
    o1 = swarm.net.container("o1")
    after = "f2-ping-o1-eth0.pcap"
    commands = ("docker exec o1 ping -c 3 10.0.1.4", "o1# ping -c 3 10.0.1.4")
    busybox = swarm.when(commands[0], DOCKER_EXEC_NS, after)
    iputils = swarm.when(commands[1], PROCESS_NS, after)
    tasks = [
        o1.ping("10.0.1.4", count=3, flavour="busybox", at=busybox),
        o1.ping("10.0.1.4", count=3, at=iputils),
    ]
    swarm.net.run()
    for point in points(engine):
        swarm.check("f2-ping", point)
    for command, task in zip(commands, tasks, strict=True):
        recorded = swarm.recording.output_of(command, after)
        assert times_masked(task.result.text) == times_masked(recorded), command


@swarms
def test_the_first_ping_on_one_host(engine: str, cost: str) -> None:
    swarm = running(engine, cost)
    after = "f2-ping-samehost-o1-eth0.pcap"
    at = swarm.when("docker exec o1 ping -c 3 10.0.1.6", DOCKER_EXEC_NS, after)
    swarm.net.container("o1").ping("10.0.1.6", count=3, flavour="busybox", at=at)
    swarm.net.run()
    for point in points(engine):
        swarm.check("f2-ping-samehost", point)
