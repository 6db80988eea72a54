"""A bridge with br_netfilter on a Docker host: reassembly in the middle, FORWARD rules, MTU rules (FACTS 29, 31)."""

from __future__ import annotations

import pytest

from emu.device.bridge import Bridge
from emu.stack.forward_chain import ForwardRule
from emu.stack.fragment import fragment_packet
from emu.stack.namespace import Namespace
from emu.stack.output import build_packet
from emu.stack.rule_chain import ACCEPT, DROP
from emu.wire.frame import Frame
from tests.stack.world import SECOND, Pinger, World

HOST = {"net.ipv4.ip_forward": 1, "net.bridge.bridge-nf-call-iptables": 1}


def docker_host(netfilter: bool = True) -> tuple[World, Namespace, Bridge, Namespace, Namespace]:
    world = World()
    host = world.namespace("host", sysctls=HOST if netfilter else None)
    bridge = world.bridge(host, "docker0", "172.17.0.1/16")
    c1, c2 = world.namespace("c1"), world.namespace("c2")
    for number, container in enumerate((c1, c2), start=2):
        world.plug(host, bridge, container, f"172.17.0.{number}/16")
        container.routes.add("default", via="172.17.0.1")
    return world, host, bridge, c1, c2


def ip_lengths(world: World, label: str, direction: int | None = None) -> list[int]:
    return [len(data) - 14 for _, _, _, data in world.icmp(label, direction)]


def test_docker0_shows_one_packet_where_both_veths_show_fragments() -> None:
    """v20.10 a7-mtu: docker0 4028 bytes, the veths 1500 + 1500 + 1068, the same identification and passport."""
    world, _, _, c1, _ = docker_host()
    pinger = Pinger(world, c1)
    pinger.ping("172.17.0.3", size=4000)
    world.run()
    assert len(pinger.replies) == 1
    for label in ("host:veth-c1", "host:veth-c2"):
        assert ip_lengths(world, label) == [1500, 1500, 1068] * 2
    assert ip_lengths(world, "host:docker0") == [4028, 4028]
    request_ids = {data[18:20] for _, _, _, data in world.icmp("host:veth-c2", 2)[:3]}
    assert request_ids == {world.icmp("host:docker0")[0][3][18:20]}
    passports = {f.packet_id for _, way, f in world.seen["c1:eth0"] if way == 2 and f.data[12:14] == b"\x08\0"}
    behind = {f.packet_id for _, way, f in world.seen["c2:eth0"] if way == 1 and f.data[12:14] == b"\x08\0"}
    assert passports == behind
    assert len(passports) == 1


def test_without_br_netfilter_docker0_shows_the_fragments() -> None:
    world, _, _, c1, _ = docker_host(netfilter=False)
    Pinger(world, c1).ping("172.17.0.3", size=4000)
    world.run()
    assert ip_lengths(world, "host:docker0") == [1500, 1500, 1068] * 2


def test_fragments_keep_the_size_they_came_with() -> None:
    world, _, _, c1, c2 = docker_host()
    Pinger(world, c1).ping("172.17.0.3")
    world.run()
    before = len(world.arrived("c2:eth0"))
    packet = build_packet(bytes((172, 17, 0, 2)), bytes((172, 17, 0, 3)), 17, bytes(1400), identification=9, ttl=64)
    header = c2.device("eth0").mac + c1.device("eth0").mac + b"\x08\0"
    for piece in fragment_packet(packet, 700):
        c1.device("eth0").transmit(Frame(header + piece, 77))
    world.run()
    assert [len(data) - 14 for data in world.arrived("c2:eth0")[before:]] == [700, 700, 60]


def test_the_host_itself_gets_the_whole_packet() -> None:
    world, _, _, c1, _ = docker_host()
    pinger = Pinger(world, c1)
    pinger.ping("172.17.0.1", size=4000)
    world.run()
    assert len(pinger.replies) == 1
    assert ip_lengths(world, "host:docker0", 1) == [4028]


def test_a_fragment_whose_datagram_stays_incomplete_is_dropped_silently_after_30_seconds() -> None:
    world, _, _, c1, c2 = docker_host()
    Pinger(world, c1).ping("172.17.0.3")
    world.run()
    start = world.kernel.now
    packet = build_packet(bytes((172, 17, 0, 2)), bytes((172, 17, 0, 3)), 17, bytes(3000), identification=9, ttl=64)
    header = c2.device("eth0").mac + c1.device("eth0").mac + b"\x08\0"
    c1.device("eth0").transmit(Frame(header + fragment_packet(packet, 1500)[0], 77))
    seen = len(world.seen["c1:eth0"])
    world.run()
    assert [(t - start, why) for t, why, _ in world.drops] == [(30 * SECOND, "REASSEMBLY_TIMEOUT")]
    assert len(world.seen["c1:eth0"]) == seen, "nobody is told"


@pytest.mark.parametrize(
    ("length", "dont_fragment", "netfilter", "passes"),
    [
        (1004, False, False, True),
        (1004, True, False, True),
        (1005, False, False, False),
        (1000, True, True, True),
        (1004, True, True, False),
        (1004, False, True, True),
        (1005, False, True, False),
    ],
)
def test_a_port_with_a_lower_mtu_drops_silently_as_recorded(
    length: int, dont_fragment: bool, netfilter: bool, passes: bool
) -> None:
    """FACT 29: MTU 1000 behind a bridge of MTU 1500."""
    world, host, bridge, c1, c2 = docker_host(netfilter)
    bridge.set_mtu(1500)
    pinger = Pinger(world, c1)
    pinger.ping("172.17.0.3")
    world.run()
    for device in (host.device("veth-c2"), c2.device("eth0")):
        device.set_mtu(1000)
    before = len(world.arrived("c2:eth0"))
    pinger.ping("172.17.0.3", size=length - 28, dont_fragment="do" if dont_fragment else "dont")
    world.run(world.kernel.now + SECOND)
    arrived = [len(data) - 14 for data in world.arrived("c2:eth0")[before:] if data[12:14] == b"\x08\0"]
    assert arrived == ([length] if passes else [])
    assert pinger.errors == []


def test_icc_off_stops_ip_but_not_arp_also_on_the_bridges_fast_path() -> None:
    world, host, bridge, c1, _ = docker_host()
    pinger = Pinger(world, c1)
    pinger.ping("172.17.0.3")
    pinger.ping("172.17.0.3")
    world.run(SECOND)
    assert len(pinger.replies) == 2
    host.filter.append(ForwardRule(DROP, in_device="docker0", out_device="docker0"))
    pinger.ping("172.17.0.3")
    pinger.ping("172.17.0.1")
    world.run(2 * SECOND)
    assert len(pinger.replies) == 3, "only the gateway answers"
    assert [(why, where) for _, why, where in world.drops] == [("FIREWALL", "host:veth-c1")]
    c1.neighbours.flush()
    pinger.ping("172.17.0.3")
    world.run(3 * SECOND)
    assert c1.neighbours.state("eth0", "172.17.0.3") == "REACHABLE", "ARP passes"
    assert len(pinger.replies) == 3
    host.filter.remove(host.filter.rules[0])
    pinger.ping("172.17.0.3")
    world.run(4 * SECOND)
    assert len(pinger.replies) == 4
    assert isinstance(bridge, Bridge)


def test_isolation_between_two_bridges() -> None:
    world, host, _, c1, _ = docker_host()
    other = world.bridge(host, "br-1", "172.18.0.1/16")
    c3 = world.namespace("c3")
    world.plug(host, other, c3, "172.18.0.2/16")
    c3.routes.add("default", via="172.18.0.1")
    pinger = Pinger(world, c1)
    pinger.ping("172.18.0.2")
    world.run(SECOND)
    assert [ttl for _, _, _, ttl in pinger.replies] == [63]
    host.filter.replace(
        [
            ForwardRule(DROP, in_device="!docker0", out_device="docker0", comment="DOCKER"),
            ForwardRule(DROP, in_device="!br-1", out_device="br-1"),
        ],
        ACCEPT,
    )
    pinger.ping("172.18.0.2")
    pinger.ping("172.18.0.1")
    pinger.ping("172.17.0.3")
    world.run(2 * SECOND)
    assert len(pinger.replies) == 3, "the other gateway and the own network answer, the other network does not"
    assert host.filter.text().splitlines()[1:] == [
        '-A FORWARD ! -i docker0 -o docker0 -m comment --comment "DOCKER" -j DROP',
        "-A FORWARD ! -i br-1 -o br-1 -j DROP",
    ]
    assert host.filter.counters == [0, 1]


def test_switching_the_sysctl_off_and_on_takes_effect_at_once() -> None:
    world, host, bridge, c1, _ = docker_host()
    host.filter.policy = DROP
    pinger = Pinger(world, c1)
    pinger.ping("172.17.0.3")
    world.run(SECOND)
    assert pinger.replies == []
    host.sysctl["net.bridge.bridge-nf-call-iptables"] = 0
    assert bridge.netfilter is None
    pinger.ping("172.17.0.3")
    world.run(2 * SECOND)
    assert len(pinger.replies) == 1
    host.sysctl["net.bridge.bridge-nf-call-iptables"] = 1
    pinger.ping("172.17.0.3")
    world.run(3 * SECOND)
    assert len(pinger.replies) == 1
