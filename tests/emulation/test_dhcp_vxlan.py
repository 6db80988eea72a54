"""Leases across hosts: on flood-and-learn VXLAN a DISCOVER reaches everybody, on an overlay it can't."""

from __future__ import annotations

from typing import Any

import pytest

import emu


def swarm(*, cost: str = "none", **options: Any) -> tuple[emu.Emulation, list[emu.Host], Any]:
    """Three hosts on a switch, and a network whose server and gateway are on the first."""
    net = emu.Emulation(seed=1, cost=cost)
    hosts = [net.add_host(f"host{number}") for number in (1, 2, 3)]
    tor = net.add_switch("tor")
    for host in hosts:
        net.add_link(host, tor, rate="1Gbit", delay="5us")
    ipam = {"driver": "dhcp", "options": {"probe": "off", "lease_time": "2min"} | options}
    return net, hosts, net.networks.create("lan", driver="vxlan", subnet="10.0.9.0/24", ipam=ipam)


def test_on_an_overlay_network_it_is_refused_with_the_reason() -> None:
    net = emu.Emulation()
    net.add_host("host1")
    with pytest.raises(emu.NotSupported) as caught:
        net.networks.create("shop", driver="overlay", ipam={"driver": "dhcp"})
    assert str(caught.value) == (
        'ipam driver "dhcp" can\'t manage the addresses of an overlay network: no broadcast, and so no DISCOVER, '
        'crosses hosts there, only what has a known destination; use driver="vxlan"'
    )
    assert [network.name for network in net.networks.list() if network.name == "shop"] == []
    net.networks.create("shop", driver="overlay")


@pytest.mark.parametrize("cost", ["none", "linux"])
def test_containers_on_other_hosts_lease_from_the_gateway_s_host_and_reach_each_other(cost: str) -> None:
    net, (_, h2, h3), lan = swarm(cost=cost)
    web, db = h2.containers.run("web", network=lan), h3.containers.run("db", network=lan)
    ping = web.ping("db", count=2)
    to_gateway = db.ping("10.0.9.1", count=1)
    net.run()
    assert (web.addresses["lan"], db.addresses["lan"]) == ("10.0.9.2", "10.0.9.3")
    assert (ping.result.received, to_gateway.result.received) == (2, 1)
    assert (db.resolve("web"), web.resolve("db")) == (["10.0.9.2"], ["10.0.9.3"])
    assert [lease.server for lease in net.result().leases] == ["host1/lan:br0"] * 2
    assert lan.attrs["IPAM"]["Options"] == {"probe": "off", "lease_time": "2min"}
    shown = lan.on(h2).attrs
    assert shown["Containers"][web.id]["IPv4Address"] == "10.0.9.2/24"
    assert shown["Status"]["DHCP"] == {"LeasesUsed": 2, "LeasesFree": 251}


def test_renewals_and_the_release_cross_hosts_by_unicast() -> None:
    net, (_, h2, _), lan = swarm()
    web = h2.containers.run("web", network=lan)
    net.run()
    ends = lan.dhcp.leases[0].expires_ns
    net.run(until="70s")
    assert (lan.dhcp.leases[0].expires_ns - ends) // 10**9 == 60
    web.stop()
    net.run()
    assert [lease.state for lease in lan.dhcp.leases] == ["released"]


def test_a_lost_lease_is_unknown_to_the_other_hosts() -> None:
    net, (_, h2, h3), lan = swarm()
    web, db = h2.containers.run("web", network=lan), h3.containers.run("db", network=lan)
    net.run()
    lan.dhcp.stop()
    net.run(until="125s")
    assert (web.addresses.get("lan"), db.resolve("web")) == (None, [])
    lan.dhcp.start()
    net.run(until="170s")
    assert db.resolve("web") == ["10.0.9.2"]


def test_only_the_gateway_s_host_keeps_the_namespace_and_the_network_takes_it_along() -> None:
    net, (h1, h2, h3), lan = swarm()
    web = h2.containers.run("web", network=lan)
    net.run()
    assert [bool(host.controller.swarm_node.driver.networks) for host in (h1, h2, h3)] == [True, True, False]
    assert lan.on(h1).namespace.addresses(lan.on(h1).interface("br0").device) == ["10.0.9.1/24"]
    assert lan.on(h2).namespace.addresses(lan.on(h2).interface("br0").device) == []
    web.remove(force=True)
    net.run()
    assert [bool(host.controller.swarm_node.driver.networks) for host in (h1, h2, h3)] == [True, False, False]
    lan.remove()
    assert not h1.controller.swarm_node.driver.networks
    net.networks.create("again", driver="vxlan", subnet="10.0.9.0/24")


def test_a_wrong_option_leaves_no_network_behind() -> None:
    net, _, _ = swarm()
    for options in ({"lease_time": "1s"}, {"nonsense": "1"}, {"range": "10.9.0.1-10.9.0.2"}):
        with pytest.raises(emu.EmuError):
            net.networks.create(
                "more", driver="vxlan", subnet="10.0.8.0/24", ipam={"driver": "dhcp", "options": options}
            )
    with pytest.raises(emu.InvalidValue, match="serves one subnet"):
        net.networks.create("more", driver="vxlan", subnet=["10.0.8.0/24", "10.0.7.0/24"], ipam="dhcp")
    net.networks.create("more", driver="vxlan", subnet=["10.0.8.0/24", "10.0.7.0/24"])


def test_a_container_on_another_host_serves() -> None:
    net, (_, h2, h3), lan = swarm()
    other = net.networks.create(
        "other",
        driver="vxlan",
        subnet="10.0.8.0/24",
        ipam={"driver": "dhcp", "options": {"server": "none", "static": "10.0.8.2"}},
    )
    dhcpd = h2.containers.run("dhcpd", network=other, ipv4_address="10.0.8.2")
    dhcpd.serve_dhcp(range="10.0.8.50-10.0.8.59", probe="off")
    web = h3.containers.run("web", network=[other, lan])
    net.run()
    assert (web.addresses["other"], web.addresses["lan"]) == ("10.0.8.50", "10.0.9.2")
