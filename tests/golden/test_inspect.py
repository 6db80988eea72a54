"""`docker inspect`, `docker network inspect` and `ip` of the recorded engines' default bridge, by emu's own API."""

from __future__ import annotations

import json
from typing import Any

import pytest

import emu
from emu.stack import show
from tests.cnm.replay import assert_same_json
from tests.golden.recording import FOLDER

HOSTS = [("20.10", "dk1"), ("28", "dk4"), ("29", "dn1")]
engines = pytest.mark.parametrize(("engine", "host"), HOSTS, ids=[engine for engine, _ in HOSTS])


def recorded(engine: str, name: str) -> Any:
    return json.loads((FOLDER / engine / "a-default-bridge" / f"{name}.json").read_text())


def by_name(networks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Containers are listed by their ids, which are random; list them by name."""
    (network,) = networks
    listed = sorted(network["Containers"].items(), key=lambda entry: entry[1]["Name"])
    return [network | {"Containers": dict(listed)}]


@engines
def test_containers_and_their_network_before_running_and_after_a_restart(engine: str, host: str) -> None:
    docker = emu.Emulation(engine=engine, seed=1).host
    bridge = docker.networks.get("bridge")
    assert_same_json([bridge.attrs], recorded(engine, f"network-{host}-bridge-before"))
    c1, c2 = docker.containers.run("c1"), docker.containers.run("c2")
    for moment in ("", "-restarted"):
        assert_same_json(c1.attrs["NetworkSettings"], recorded(engine, f"inspect-{host}-c1"))
        assert_same_json(c2.attrs["NetworkSettings"], recorded(engine, f"inspect-{host}-c2{moment}"))
        network = recorded(engine, f"network-{host}-bridge{moment or '-running'}")
        assert_same_json(by_name([bridge.attrs]), by_name(network))
        c2.stop()
        c2.start()


@engines
def test_ip_as_in_the_recorded_state_of_a_container(engine: str, host: str) -> None:
    """state-*-c1.txt; there the numbers of the interfaces are larger, because the machine had other ones before."""
    c1 = emu.Emulation(engine=engine, seed=1).host.containers.run("c1")
    assert show.all_routes(c1.namespace).splitlines() == [
        "default via 172.17.0.1 dev eth0 ",
        "172.17.0.0/16 dev eth0 proto kernel scope link src 172.17.0.2 ",
        "local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1 ",
        "local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1 ",
        "broadcast 127.255.255.255 dev lo table local proto kernel scope link src 127.0.0.1 ",
        "local 172.17.0.2 dev eth0 table local proto kernel scope host src 172.17.0.2 ",
        "broadcast 172.17.255.255 dev eth0 table local proto kernel scope link src 172.17.0.2 ",
    ]
    lines = c1.namespace.show_addresses().splitlines()
    assert lines[4] == ("2: eth0@if3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default ")
    assert lines[6] == "    inet 172.17.0.2/16 brd 172.17.255.255 scope global eth0"


@engines
def test_ip_as_in_the_recorded_state_of_the_host_before_and_with_a_container(engine: str, host: str) -> None:
    """state-*-before.txt and state-*-running.txt, docker0 only."""
    docker = emu.Emulation(engine=engine, seed=1).host
    before = docker.namespace.show_addresses()
    assert "docker0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue state DOWN group default \n" in before
    assert docker.namespace.routes.text() == (
        "172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 linkdown \n"
    )
    docker.containers.run("c1")
    running = docker.namespace.show_addresses()
    assert "docker0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default \n" in running
    assert "@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master docker0 state UP group d" in running
    assert docker.namespace.routes.text() == ("172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 \n")
