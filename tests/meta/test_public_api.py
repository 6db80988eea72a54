"""The names and parameters that scripts rely on: what is here may only grow."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import emu
from emu.containers import HostContainers
from emu.interface import Interface
from emu.networks import HostNetworks, SwarmNetworks

IMPAIRMENTS = "rate delay jitter loss reorder duplicate corrupt queue"

SIGNATURES: dict[str, tuple[Callable[..., Any], str]] = {
    "emu.scenario": (emu.scenario, "engine seed"),
    "emu.main": (emu.main, "topology"),
    "Emulation": (emu.Emulation, "name seed=0 engine='29' cost='linux' until=None"),
    "Emulation.add_host": (emu.Emulation.add_host, "name cpus=1"),
    "Emulation.add_switch": (emu.Emulation.add_switch, "name"),
    "Emulation.add_link": (emu.Emulation.add_link, f"a b {IMPAIRMENTS} mtu subnet addresses burst distribution"),
    "Emulation.capture": (emu.Emulation.capture, "path interfaces=None"),
    "Emulation.spawn": (emu.Emulation.spawn, "generator"),
    "Emulation.at": (emu.Emulation.at, "time function args kwargs"),
    "Emulation.expect": (emu.Emulation.expect, "text condition"),
    "Emulation.run": (emu.Emulation.run, "until=None"),
    "Emulation.random": (emu.Emulation.random, "stream"),
    "Link.set": (emu.Link.set, f"{IMPAIRMENTS} burst distribution toward"),
    "Link.up": (emu.Link.up, ""),
    "Link.down": (emu.Link.down, ""),
    "Host.interface": (emu.Host.interface, "name"),
    "Interface.set": (Interface.set, f"{IMPAIRMENTS} burst distribution"),
    "GilbertElliott": (emu.GilbertElliott, "p r bad_loss good_loss"),
    "CoDel": (emu.CoDel, "limit=1000 target='5ms' interval='100ms' ecn=False"),
    "Red": (emu.Red, "minimum maximum probability limit weight average_packet ecn=False harddrop=False"),
    "Interface.up": (Interface.up, ""),
    "Interface.down": (Interface.down, ""),
    "networks.create": (
        HostNetworks.create,
        "name driver='bridge' subnet ip_range gateway aux_addresses ipam internal attachable ipv6 options labels",
    ),
    "networks.get": (HostNetworks.get, "name_or_id"),
    "networks.list": (HostNetworks.list, ""),
    "networks.prune": (HostNetworks.prune, ""),
    "Network.connect": (
        emu.Network.connect,
        "container aliases ipv4_address ipv6_address mac_address gw_priority driver_opts",
    ),
    "Network.disconnect": (emu.Network.disconnect, "container force=False"),
    "Network.remove": (emu.Network.remove, ""),
    "containers.run": (
        HostContainers.run,
        (
            "name image='emu' command=None network=None ipv4_address mac_address publish aliases dns hostname labels "
            "sysctls"
        ),
    ),
    "containers.get": (HostContainers.get, "name"),
    "containers.list": (HostContainers.list, ""),
    "Container.ping": (emu.Container.ping, "target count interval size ttl dont_fragment at"),
    "Container.traceroute": (emu.Container.traceroute, "target protocol='udp'"),
    "Container.resolve": (emu.Container.resolve, "name"),
    "Container.iperf": (emu.Container.iperf, "target protocol='tcp' time bytes bitrate length"),
    "Container.http_get": (emu.Container.http_get, "target path='/' port=80"),
    "Container.serve_http": (emu.Container.serve_http, "port=80 pages handler"),
    "Container.netcat": (emu.Container.netcat, "target port data=b''"),
    "Container.load": (emu.Container.load, "target port workers rate"),
    "Container.sr1": (emu.Container.sr1, "packet timeout retry=0"),
    "Container.srp": (emu.Container.srp, "packets interface='eth0' timeout retry=0"),
    "Container.udp": (emu.Container.udp, "port"),
    "Container.tcp_listen": (emu.Container.tcp_listen, "port"),
    "Container.tcp_connect": (emu.Container.tcp_connect, "target port"),
    "Container.send": (emu.Container.send, "packet"),
    "Container.sniff": (emu.Container.sniff, ""),
    "Container.spawn": (emu.Container.spawn, "generator"),
    "Container.stop": (emu.Container.stop, ""),
    "Container.start": (emu.Container.start, ""),
    "Container.remove": (emu.Container.remove, ""),
    "Container.restart": (emu.Container.restart, ""),
    "Container.serve_dhcp": (emu.Container.serve_dhcp, "interface='eth0' options"),
    "Host.serve_dhcp": (emu.Host.serve_dhcp, "network options"),
    "Container.interface": (emu.Container.interface, "name"),
}

PROPERTIES = {
    emu.Emulation: "networks now host",
    emu.Network: "name id attrs dhcp",
    emu.Container: "attrs namespace",
    emu.Task: "result unfinished waiting_for",
    Interface: "mac addresses counters statistics statistics_history",
    emu.Link: "statistics text",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_parameters_of(name: str) -> None:
    function, expected = SIGNATURES[name]
    parameters = inspect.signature(function).parameters
    for word in expected.split():
        parameter, _, default = word.partition("=")
        assert parameter in parameters, f"{name} has no parameter {parameter}"
        if default:
            assert repr(parameters[parameter].default) == default


def test_the_first_parameters_come_in_the_contracts_order() -> None:
    for name in ("Emulation", "Emulation.add_link", "networks.create", "Network.connect", "Container.ping"):
        function, expected = SIGNATURES[name]
        wanted = [word.partition("=")[0] for word in expected.split()]
        given = [parameter for parameter in inspect.signature(function).parameters if parameter != "self"]
        assert given[: len(wanted)] == wanted


def test_a_container_takes_its_name_first_and_everything_else_by_keyword() -> None:
    name, *others = list(inspect.signature(HostContainers.run).parameters.values())[1:]
    assert name.name == "name"
    assert {parameter.kind for parameter in others} == {inspect.Parameter.KEYWORD_ONLY}


def test_networks_of_the_swarm_are_made_like_those_of_a_host() -> None:
    for method in ("create", "get", "list", "prune"):
        of_host = inspect.signature(getattr(HostNetworks, method)).parameters
        of_swarm = inspect.signature(getattr(SwarmNetworks, method)).parameters
        assert list(of_host) == list(of_swarm)
        assert [entry.default for entry in of_host.values()] == [entry.default for entry in of_swarm.values()]


def test_a_host_and_what_it_holds_have_the_contracts_names() -> None:
    net = emu.Emulation()
    host, switch = net.add_host("host1"), net.add_switch("tor")
    link = net.add_link(host, switch)
    assert isinstance(link, emu.Link)
    assert isinstance(host.networks, HostNetworks)
    assert isinstance(host.containers, HostContainers)
    web = host.containers.run("web")
    assert web.namespace.device("eth0").label == "web:eth0"
    assert {name: host.interface(name).label for name in ("eth0", "docker0")} == {
        "eth0": "host1:eth0",
        "docker0": "host1:docker0",
    }


def test_activities_give_tasks_and_sockets_are_none() -> None:
    web = emu.Emulation().host.containers.run("web")
    assert isinstance(web.ping(web), emu.Task)
    assert isinstance(web.sniff(), emu.Task)
    assert not isinstance(web.udp(5000), emu.Task)


@pytest.mark.parametrize("owner", PROPERTIES, ids=lambda owner: owner.__name__)
def test_the_properties_of(owner: type) -> None:
    for name in PROPERTIES[owner].split():
        assert isinstance(inspect.getattr_static(owner, name), property), name


def test_everything_that_is_exported_exists() -> None:
    for name in emu.__all__:
        assert getattr(emu, name) is not None
    assert dir(emu) == sorted(emu.__all__)


def test_everything_public_says_what_it_is_in_a_sentence() -> None:
    silent = []
    for owner in (emu.Emulation, emu.Host, emu.Network, emu.Container, emu.Link, emu.Switch, emu.Task, emu.Result,
                  Interface, HostNetworks, HostContainers):  # fmt: skip
        for name, member in inspect.getmembers(owner):
            if not name.startswith("_") and callable(member) and member.__module__.startswith("emu"):  # type: ignore[attr-defined]
                text = inspect.getdoc(member) or ""
                if not text.split("\n\n")[0].strip():
                    silent.append(f"{owner.__name__}.{name}")
    assert silent == []
