"""Hosts that are joined by separate cables reach each other, and so do the containers of an overlay over them."""

from __future__ import annotations

import itertools

import pytest

import emu

TRIANGLE = ((1, 2), (2, 3), (1, 3))
CHAIN = ((1, 2), (2, 3))
STAR_FROM_THE_END = ((4, 1), (4, 2), (4, 3))
RING = ((1, 2), (2, 3), (3, 4), (4, 1))
TWICE = ((1, 2), (1, 2))
SHAPES = {"triangle": TRIANGLE, "chain": CHAIN, "star": STAR_FROM_THE_END, "ring": RING, "two cables": TWICE}


def joined(links: tuple[tuple[int, int], ...]) -> tuple[emu.Emulation, list[emu.Host]]:
    net = emu.Emulation(cost="none")
    hosts = [net.add_host(f"host{number}") for number in range(1, max(map(max, links)) + 1)]
    for one, other in links:
        net.add_link(hosts[one - 1], hosts[other - 1])
    return net, hosts


@pytest.mark.parametrize("shape", SHAPES)
def test_every_address_of_every_host_answers(shape: str) -> None:
    net, hosts = joined(SHAPES[shape])
    programs = [host.containers.run(f"on-{host.name}", network="host") for host in hosts]
    pings = [
        program.ping(address.partition("/")[0], count=1, at="1s")
        for program in programs
        for host in hosts
        if host is not program.host
        for address in host.addresses
    ]
    net.run()
    assert [ping.result.received for ping in pings] == [1] * len(pings)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_containers_of_an_overlay_reach_each_other_over_separate_cables(shape: str) -> None:
    net, hosts = joined(SHAPES[shape])
    shop = net.networks.create("shop", driver="overlay", attachable=True)
    containers = [host.containers.run(f"on-{host.name}", network=shop) for host in hosts]
    pairs = list(itertools.permutations(containers, 2))
    pings = [one.ping(other.name, count=1, at="1s") for one, other in pairs]
    net.run()
    assert [ping.result.received for ping in pings] == [1] * len(pairs)


def test_hosts_with_a_cable_of_their_own_use_it_and_their_first_addresses() -> None:
    _, (one, two, three) = joined(TRIANGLE)
    assert [host.addresses[0] for host in (one, two, three)] == ["198.18.0.1/24", "198.18.0.2/24", "198.18.1.2/24"]
    assert "198.18.1.2 via 198.18.2.2 dev eth1 proto static src 198.18.0.1" in one.namespace.routes.text()
    assert "198.18.1.2 dev eth1 proto static scope link src 198.18.0.2" in two.namespace.routes.text()
    assert "198.18.0.1 via 198.18.2.1 dev eth1 proto static src 198.18.1.2" in three.namespace.routes.text()


def test_on_a_single_segment_there_are_connected_routes_only() -> None:
    net = emu.Emulation()
    tor = net.add_switch("tor")
    for number in range(3):
        net.add_link(net.add_host(f"host{number}"), tor)
    assert net.hosts["host0"].addresses
    assert all("static" not in host.namespace.routes.text() for host in net.hosts.values())


def test_links_that_are_added_later_make_ways_shorter() -> None:
    net, (one, _, three) = joined(CHAIN)
    assert one.addresses
    assert "198.18.1.2 via 198.18.0.2 dev eth0" in one.namespace.routes.text()
    net.add_link(one, three)
    assert one.addresses
    assert "198.18.1.2 via 198.18.2.2 dev eth1" in one.namespace.routes.text()
    assert "198.18.1.2 via 198.18.0.2" not in one.namespace.routes.text()


def test_a_route_of_ones_own_stays() -> None:
    net, (one, _, three) = joined(CHAIN)
    assert one.addresses
    routes = one.namespace.routes
    routes.remove("198.18.1.2/32")
    routes.add("198.18.1.2/32", kind="blackhole")
    net.add_link(one, three)
    assert one.addresses
    assert "blackhole 198.18.1.2" in routes.text()


def test_a_host_that_boots_has_its_routes_again() -> None:
    _, (one, *_) = joined(TRIANGLE)
    assert one.addresses
    before = one.namespace.routes.text()
    one.crash()
    assert "static" not in one.namespace.routes.text()
    one.boot()
    assert one.namespace.routes.text() == before
