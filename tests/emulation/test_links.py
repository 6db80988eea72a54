"""The underlay: cables, switches, and addresses that are given out by segment in host order."""

from __future__ import annotations

from typing import Any

import pytest

import emu
from emu.kernel.errors import Conflict, EmuError, InvalidValue


def hosts(net: emu.Emulation, count: int) -> list[emu.Host]:
    return [net.add_host(f"host{number}") for number in range(1, count + 1)]


def test_two_hosts_on_a_cable_reach_each_other() -> None:
    net = emu.Emulation(cost="none")
    one, two = hosts(net, 2)
    net.add_link(one, two, delay="50us")
    ping = one.containers.run("pinger", network="host").ping("198.18.0.2", count=2)
    net.run()
    assert ping.result.rtts_ns == (200_000, 100_000), "the first one waits for ARP"


def test_each_segment_has_a_subnet_and_its_hosts_are_numbered_in_their_order() -> None:
    net = emu.Emulation()
    one, two, three = hosts(net, 3)
    tor = net.add_switch("tor")
    net.add_link(three, tor)
    net.add_link(one, tor)
    net.add_link(two, three)
    assert one.addresses == ["198.18.0.1/24"]
    assert three.addresses == ["198.18.0.2/24", "198.18.1.2/24"]
    assert two.addresses == ["198.18.1.1/24"]


def test_switches_may_be_joined_after_their_hosts() -> None:
    net = emu.Emulation()
    one, two = hosts(net, 2)
    left, right = net.add_switch("left"), net.add_switch("right")
    net.add_link(one, left)
    net.add_link(two, right)
    net.add_link(left, right)
    assert (one.addresses, two.addresses) == (["198.18.0.1/24"], ["198.18.0.2/24"])
    ping = one.containers.run("pinger", network="host").ping("198.18.0.2", count=1)
    net.run()
    assert ping.result.received == 1


def test_a_subnet_and_addresses_can_be_asked_for() -> None:
    net = emu.Emulation()
    one, two, three = hosts(net, 3)
    tor = net.add_switch("tor")
    net.add_link(one, tor, subnet="203.0.113.0/24", addresses=["203.0.113.11"])
    net.add_link(two, tor)
    net.add_link(two, three, addresses=["10.1.0.1/30", "10.1.0.2/30"])
    assert one.addresses == ["203.0.113.11/24"]
    assert two.addresses == ["203.0.113.1/24", "10.1.0.1/30"]
    assert three.addresses == ["10.1.0.2/30"]


def test_ports_are_numbered_and_their_mac_addresses_differ() -> None:
    net = emu.Emulation()
    one, two = hosts(net, 2)
    link = net.add_link(one, two)
    net.add_link(one, two)
    assert [port.device.label for port in link.ends] == ["host1:eth0", "host2:eth0"]
    macs = [host.interface(name).mac for host in (one, two) for name in ("eth0", "eth1")]
    assert sorted(macs) == [f"52:54:00:00:00:0{number}" for number in range(1, 5)]


def test_a_link_can_be_changed_while_running() -> None:
    net = emu.Emulation(cost="none")
    one, two = hosts(net, 2)
    link = net.add_link(one, two, delay="1ms")
    ping = one.containers.run("pinger", network="host").ping("198.18.0.2", count=4)
    net.at("500ms", link.set, delay="2ms")
    net.at("1500ms", link.down)
    net.at("2500ms", link.up)
    net.run()
    with_arp, slower, over_the_gap, last = ping.result.rtts_ns
    assert (with_arp, slower) == (4_000_000, 4_000_000)
    assert last < 10_000_000
    assert over_the_gap > 1_000_000_000, "sent while the cable was out: it waited for the neighbour to answer again"
    assert link.text == "delay 2ms"


def test_the_mtu_is_that_of_both_ends() -> None:
    net = emu.Emulation()
    one, two = hosts(net, 2)
    net.add_link(one, two, mtu=9000)
    assert (one.interface("eth0").mtu, two.interface("eth0").mtu) == (9000, 9000)


def test_losses_are_reported_with_their_reason() -> None:
    net = emu.Emulation()
    one, two = hosts(net, 2)
    net.add_link(one, two, loss="100%")
    one.containers.run("pinger", network="host").ping("198.18.0.2", count=1)
    assert net.run().drops == {
        "lost on the link (configured loss)": 3,
        "the neighbour did not answer ARP": 1,
    }


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a rate without unit": ({"rate": "1000"}, "invalid rate for host1:eth0 '1000'"),
    "a loss above one": ({"loss": 1.5}, "invalid loss for host1:eth0 1.5"),
    "jitter without delay": ({"jitter": "1ms"}, "jitter 1ms is larger than delay"),
    "a bad subnet": ({"subnet": "198.18.0.1/24"}, "invalid subnet '198.18.0.1/24': 198.18.0.1/24 has host bits set"),
    "too few addresses": ({"addresses": ["10.0.0.1"]}, "one address for each of: host1 and host2"),
    "an address outside the subnet": (
        {"subnet": "10.0.0.0/24", "addresses": ["10.0.0.1", "10.0.1.2"]},
        "address 10.0.1.2 is not in the subnet 10.0.0.0/24",
    ),
    "something that is no address": ({"addresses": ["10.0.0.1", "ten"]}, "invalid address 'ten'"),
    "a tiny MTU": ({"mtu": 20}, "invalid MTU 20"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_link_is_refused_and_nothing_is_joined(what: str) -> None:
    net = emu.Emulation()
    one, two = hosts(net, 2)
    settings, message = BAD[what]
    with pytest.raises(EmuError, match=message):
        net.add_link(one, two, **settings)
    assert "eth0" not in one.namespace.devices
    assert net.underlay.links == []
    net.add_link(one, two)
    assert one.addresses == ["198.18.0.1/24"]


def test_only_hosts_and_switches_can_be_joined_and_not_to_themselves() -> None:
    net = emu.Emulation()
    (one,) = hosts(net, 1)
    with pytest.raises(InvalidValue, match="host1 can't be joined to itself"):
        net.add_link(one, one)
    with pytest.raises(InvalidValue, match="expected hosts or switches"):
        net.add_link(one, "host2")  # type: ignore[arg-type]


def test_one_segment_cannot_have_two_subnets() -> None:
    net = emu.Emulation()
    one, two = hosts(net, 2)
    tor = net.add_switch("tor")
    net.add_link(one, tor, subnet="10.0.0.0/24")
    net.add_link(two, tor, subnet="10.0.1.0/24")
    with pytest.raises(Conflict, match=r"one Ethernet segment with two subnets, 10\.0\.0\.0/24 and 10\.0\.1\.0/24"):
        net.run()


def test_an_address_is_given_once_per_segment() -> None:
    net = emu.Emulation()
    one, two = hosts(net, 2)
    net.add_link(one, two, addresses=["10.0.0.1/24", "10.0.0.1/24"])
    with pytest.raises(Conflict, match=r"host2:eth0: address 10\.0\.0\.1 is already in use on its segment"):
        net.run()


def test_a_full_segment_says_so() -> None:
    net = emu.Emulation()
    tor = net.add_switch("tor")
    for host in hosts(net, 3):
        net.add_link(host, tor, subnet="10.0.0.0/30")
    with pytest.raises(Conflict, match=r"host3:eth0: no address is left in 10\.0\.0\.0/30"):
        net.run()
