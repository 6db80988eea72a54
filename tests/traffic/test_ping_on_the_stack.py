"""ping over the emulated stack: what people see when something is wrong on the way."""

from __future__ import annotations

import pytest

import emu
from emu.traffic.ping_result import PingResult


def ping(net: emu.Emulation, container: emu.Container, target: str, **options: object) -> PingResult:
    task = container.ping(target, **options)  # type: ignore[arg-type]
    net.run()
    result: PingResult = task.result
    return result


def routed(mtu: int | None = None) -> tuple[emu.Emulation, emu.Container]:
    """Return a container whose host is linked to a second host, 198.18.0.2."""
    net = emu.Emulation(seed=1, engine="20.10")
    h1, h2 = net.add_host("h1"), net.add_host("h2")
    net.add_link(h1, h2, mtu=mtu)
    h2.interface("eth0")
    h2.namespace.routes.add("172.17.0.2/32", via="198.18.0.1", device=h2.namespace.device("eth0"))
    return net, h1.containers.run("c1")


def test_a_router_with_a_smaller_mtu_says_so_once_and_then_the_own_host_knows() -> None:
    net, c1 = routed(mtu=1400)
    result = ping(net, c1, "198.18.0.2", count=3, size=1472, dont_fragment="do")
    assert result.text.splitlines()[1:4] == [
        "From 172.17.0.1 icmp_seq=1 Frag needed and DF set (mtu = 1400)",
        "ping: local error: message too long, mtu=1400",
        "ping: local error: message too long, mtu=1400",
    ]
    assert (result.transmitted, result.received, result.errors) == (3, 0, 3)


def test_what_is_not_for_the_path_mtu_is_fragmented_after_the_error() -> None:
    net, c1 = routed(mtu=1400)
    result = ping(net, c1, "198.18.0.2", count=3, size=1472)
    assert "From 172.17.0.1 icmp_seq=1 Frag needed and DF set (mtu = 1400)" in result.text
    assert (result.received, result.errors) == (2, 1)


def test_ttl_1_ends_at_the_gateway_and_ttl_2_arrives_with_63_on_the_way_back() -> None:
    net, c1 = routed()
    result = ping(net, c1, "198.18.0.2", count=1, ttl=1)
    assert "From 172.17.0.1 icmp_seq=1 Time to live exceeded" in result.text
    result = ping(net, c1, "198.18.0.2", count=1, ttl=2)
    assert "64 bytes from 198.18.0.2: icmp_seq=1 ttl=63 time=" in result.text


def test_a_route_that_says_unreachable_is_reported_by_the_router() -> None:
    net, c1 = routed()
    c1.host.namespace.routes.add("10.9.0.0/16", kind="prohibit")
    c1.host.namespace.routes.add("10.8.0.0/16", kind="blackhole")
    assert "From 172.17.0.1 icmp_seq=1 Packet filtered" in ping(net, c1, "10.9.0.1", count=1).text
    silent = ping(net, c1, "10.8.0.1", count=1, timeout="1s")
    assert (silent.received, silent.errors) == (0, 0)


def test_a_network_without_a_default_route_is_unreachable_at_once() -> None:
    net = emu.Emulation(seed=1, engine="29")
    closed = net.networks.create("closed", internal=True)
    c1 = net.host.containers.run("c1", network=closed)
    result = ping(net, c1, "8.8.8.8", count=3)
    assert result.text.startswith("ping: connect: Network is unreachable\n")
    assert result.transmitted == 0


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("unreachable", "ping: connect: No route to host\n"),
        ("blackhole", "ping: connect: Invalid argument\n"),
        ("prohibit", "ping: Do you want to ping broadcast? Then -b. If not, check your local firewall rules\n"),
    ],
)
def test_a_route_of_its_own_that_leads_nowhere_ends_ping_before_it_begins(kind: str, text: str) -> None:
    net = emu.Emulation(seed=1, engine="29")
    c1 = net.host.containers.run("c1")
    c1.namespace.routes.add("10.9.0.0/16", kind=kind)
    assert ping(net, c1, "10.9.0.1", count=3).text == text


def test_a_broadcast_address_is_not_pinged() -> None:
    net = emu.Emulation(seed=1, engine="29")
    c1 = net.host.containers.run("c1")
    result = ping(net, c1, "172.17.255.255", count=3)
    assert result.text.startswith("ping: Do you want to ping broadcast? ")
    assert result.transmitted == 0


def test_0_0_0_0_is_oneself() -> None:
    net = emu.Emulation(seed=1, engine="29")
    c1 = net.host.containers.run("c1")
    result = ping(net, c1, "0.0.0.0", count=1)
    assert result.text.startswith("PING 0.0.0.0 (127.0.0.1) 56(84) bytes of data.\n64 bytes from 127.0.0.1: ")


def test_pinging_oneself_takes_the_loopback_and_is_seen_there_only() -> None:
    net = emu.Emulation(seed=1, engine="20.10")
    c1 = net.host.containers.run("c1")
    assert ping(net, c1, "172.17.0.2", count=2).received == 2
    assert ping(net, c1, "127.0.0.1", count=2).received == 2
    assert c1.interface("lo").counters.rx_packets == 8
    assert c1.interface("eth0").counters.tx_packets == 0


def test_a_stopped_container_takes_its_ping_with_it_and_keeps_what_was_counted() -> None:
    net = emu.Emulation(seed=1, engine="20.10")
    c1, c2 = net.host.containers.run("c1"), net.host.containers.run("c2")
    task = c1.ping(c2, count=None)
    net.at("3500ms", c1.stop)
    net.run()
    assert task.state == "stopped"
    assert (task.result.transmitted, task.result.received) == (4, 4)
    assert c1.state == "exited"


def test_an_endless_ping_is_unfinished_at_the_end_of_the_run_with_what_it_had() -> None:
    net = emu.Emulation(seed=1, engine="20.10", until="2500ms")
    c1, c2 = net.host.containers.run("c1"), net.host.containers.run("c2")
    task = c1.ping(c2, count=None)
    net.run()
    assert task.state == "unfinished"
    assert task.waiting_for == "answers from 172.17.0.3"
    assert task.result.received == 3


def test_a_name_is_looked_up_backwards_for_the_reply_lines_and_an_address_is_not() -> None:
    net = emu.Emulation(seed=1, engine="20.10")
    shop = net.networks.create("shop", subnet="10.0.9.0/24")
    web, db = (net.host.containers.run(name, network=shop, aliases=["x"]) for name in ("web", "db"))
    by_name = ping(net, web, "x", count=1).text.splitlines()
    assert by_name[0] in ("PING x (10.0.9.2) 56(84) bytes of data.", "PING x (10.0.9.3) 56(84) bytes of data.")
    lines = ping(net, web, "db", count=1).text.splitlines()
    assert lines[0] == "PING db (10.0.9.3) 56(84) bytes of data."
    assert lines[1].startswith("64 bytes from db.shop (10.0.9.3): icmp_seq=1 ttl=64 time=")
    assert lines[3] == "--- db ping statistics ---"
    assert ping(net, web, "10.0.9.3", count=1).text.splitlines()[1].startswith("64 bytes from 10.0.9.3: ")
    assert "64 bytes from db.shop (10.0.9.3)" in ping(net, web, db.name, count=1).text
    db.stop()
    unreachable = ping(net, db.host.containers.get("web"), "10.0.9.9", count=1).text
    assert "From 10.0.9.2 icmp_seq=1 Destination Host Unreachable" in unreachable


def test_the_default_bridge_has_no_names_for_the_reply_lines() -> None:
    net = emu.Emulation(seed=1, engine="20.10")
    c1, c2 = net.host.containers.run("c1"), net.host.containers.run("c2")
    task = c1.ping(c2, count=1)
    net.run()
    assert task.result.text.splitlines()[1].startswith("64 bytes from 172.17.0.3: icmp_seq=1")
