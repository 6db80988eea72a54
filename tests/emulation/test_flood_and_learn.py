"""Networks of the driver `vxlan`: no control plane knows the containers; hosts flood and learn (FACT 69, linux/g25)."""

from __future__ import annotations

from typing import Any

import pytest

import emu
from emu.kernel.errors import Conflict, InvalidValue, NotFound
from emu.wire.frame import Frame

S = 1_000_000_000
ARP, IPV4 = b"\x08\x06", b"\x08\x00"
ZERO_MAC = "00:00:00:00:00:00"
Seen = list[tuple[int, bytes]]


def lab(hosts: int = 3, engine: str = "20.10", **settings: Any) -> emu.Emulation:
    """Hosts on a switch, and a network `lab`. The engine is one that announces nothing, so that nothing is learnt."""
    net = emu.Emulation(engine=engine, cost="none")
    tor = net.add_switch("tor")
    for number in range(hosts):
        net.add_link(net.add_host(f"host{number + 1}"), tor, delay="50us")
    net.networks.create("lab", driver="vxlan", **settings)
    return net


def run(net: emu.Emulation, host: str, name: str, **settings: Any) -> emu.Container:
    """Run a container on a host."""
    return net.hosts[host].containers.run(name, network="lab", **settings)


def fdb(net: emu.Emulation, host: str) -> list[str]:
    """The own entries of a host's vxlan0, sorted."""
    device: Any = net.networks.get("lab").on(net.hosts[host]).interface("vxlan0").device
    return sorted(device.fdb.text().splitlines())


def watch(net: emu.Emulation, name: str) -> Seen:
    """Collect (time, frame) of an interface."""
    seen: Seen = []

    def tap(now_ns: int, frame: Frame, direction: int) -> None:
        seen.append((now_ns, frame.data))

    net.interfaces.watch(lambda info: tap if info.name == name else None)
    return seen


def tunnelled(seen: Seen, ethertype: bytes) -> list[str]:
    """Where the VXLAN frames with an inner EtherType go, in order."""
    return [
        ".".join(map(str, data[30:34]))
        for _, data in seen
        if data[12:14] == IPV4 and data[36:38] == b"\x12\xb5" and data[62:64] == ethertype
    ]


def test_containers_reach_each_other_across_hosts() -> None:
    net = lab()
    web, db = run(net, "host1", "web"), run(net, "host2", "db")
    ping = web.ping("db", count=3)
    net.run()
    assert ping.result.received == 3
    assert (web.addresses["lab"], db.addresses["lab"]) == ("10.0.1.2", "10.0.1.3")


def test_the_device_learns_and_has_no_proxy() -> None:
    net = lab()
    run(net, "host1", "web")
    device: Any = net.networks.get("lab").on(net.hosts["host1"]).interface("vxlan0").device
    assert device.link_text() == (
        "vxlan id 4097 srcport 0 0 dstport 4789 ttl auto ageing 300 udpcsum noudp6zerocsumtx noudp6zerocsumrx "
    )


def test_the_flood_list_is_the_other_hosts_that_have_the_network() -> None:
    net = lab()
    run(net, "host1", "web")
    assert fdb(net, "host1") == []
    db = run(net, "host2", "db")
    second = run(net, "host2", "second")
    run(net, "host3", "app")
    flood = [f"{ZERO_MAC} dev vxlan0 dst 198.18.0.{number} link-netnsid 0 self permanent" for number in (2, 3)]
    net.run()
    assert fdb(net, "host1") == flood
    db.stop()
    assert fdb(net, "host1") == flood, "host2 still has a container on it"
    second.stop()
    assert fdb(net, "host1") == flood[1:]


def test_a_question_goes_to_every_listed_host_and_the_answer_to_one() -> None:
    net = lab()
    web, db = run(net, "host1", "web"), run(net, "host2", "db")
    run(net, "host3", "app")
    seen, elsewhere = watch(net, "host1:eth0"), watch(net, "app:eth0")
    web.ping(db.addresses["lab"], count=2, at="1s")
    net.run(until="4s")
    assert sorted(tunnelled(seen, ARP)) == ["198.18.0.1", "198.18.0.2", "198.18.0.3"]
    assert tunnelled(seen, IPV4) == ["198.18.0.2", "198.18.0.1"] * 2
    assert [data[12:14] for time, data in elsewhere if time > S] == [ARP], "app hears the question, no more"


def test_sources_are_learnt_with_the_host_they_are_behind() -> None:
    net = lab()
    web, db = run(net, "host1", "web"), run(net, "host2", "db")
    run(net, "host3", "app")
    web.ping(db.addresses["lab"], count=1)
    net.run(until="4s")
    assert f"{db.interface('eth0').mac} dev vxlan0 dst 198.18.0.2 link-netnsid 0 self " in fdb(net, "host1")
    assert f"{web.interface('eth0').mac} dev vxlan0 dst 198.18.0.1 link-netnsid 0 self " in fdb(net, "host3")
    assert not any(db.interface("eth0").mac in line for line in fdb(net, "host3")), "the answer did not come here"


def test_what_was_learnt_is_forgotten_after_300_s_of_silence() -> None:
    net = lab()
    web, db = run(net, "host1", "web"), run(net, "host2", "db")
    web.ping(db.addresses["lab"], count=1)
    net.run(until="299s")
    assert any(db.interface("eth0").mac in line for line in fdb(net, "host1"))
    net.run(until="320s")
    assert not any(db.interface("eth0").mac in line for line in fdb(net, "host1"))


@pytest.mark.parametrize("destination", ["ff:ff:ff:ff:ff:ff", "01:00:5e:01:02:03", "02:42:0a:00:01:63"])
def test_broadcast_multicast_and_unknown_unicast_are_sent_to_every_host(destination: str) -> None:
    net = lab()
    web = run(net, "host1", "web")
    db, app = run(net, "host2", "db"), run(net, "host3", "app")
    frame = (
        bytes.fromhex(destination.replace(":", "") + web.interface("eth0").mac.replace(":", "") + "88b5") + b"x" * 46
    )
    arrived = [watch(net, f"{box.name}:eth0") for box in (db, app)]
    net.at("1s", web.send, frame)
    net.run()
    assert [[data for _, data in seen if data[12:14] == b"\x88\xb5"] for seen in arrived] == [[frame], [frame]]


def test_an_announcement_reaches_all_hosts_and_teaches_them_where_it_came_from() -> None:
    net = lab(engine="29")
    web = run(net, "host1", "web")
    run(net, "host2", "db")
    run(net, "host3", "app")
    net.run()
    for host in ("host2", "host3"):
        assert any(line.startswith(f"{web.interface('eth0').mac} dev vxlan0 dst 198.18.0.1") for line in fdb(net, host))


def test_a_container_that_moves_is_found_again_as_soon_as_it_speaks() -> None:
    net = lab(engine="29")
    web = run(net, "host1", "web")
    db = run(net, "host2", "db", ipv4_address="10.0.1.100", mac_address="02:42:0a:00:01:64")
    run(net, "host2", "stays")
    run(net, "host3", "other")
    first = web.ping("10.0.1.100", count=1)
    net.run(until="5s")
    db.remove(force=True)
    run(net, "host3", "db", ipv4_address="10.0.1.100", mac_address="02:42:0a:00:01:64")
    again = web.ping("10.0.1.100", count=2, at="10s")
    net.run()
    assert (first.result.received, again.result.received) == (1, 2)
    assert "02:42:0a:00:01:64 dev vxlan0 dst 198.18.0.3 link-netnsid 0 self " in fdb(net, "host1")


def test_there_is_no_load_balancer_and_the_namespace_goes_with_the_last_container() -> None:
    net = lab()
    view = net.networks.get("lab").on(net.hosts["host1"])
    web = run(net, "host1", "web")
    assert list(view.namespace.devices) == ["lo", "br0", "vxlan0", "veth0"]
    web.stop()
    with pytest.raises(NotFound, match="not used on host1"):
        _ = view.namespace
    web.start()
    assert list(view.namespace.devices) == ["lo", "br0", "vxlan0", "veth0"]


def test_several_subnets_have_a_flood_list_each() -> None:
    net = lab(subnet=["10.94.0.0/29", "10.95.0.0/24"])
    boxes = [run(net, "host1", f"c{number}") for number in range(6)]
    other = run(net, "host2", "other")
    assert other.addresses["lab"].startswith("10.95.")
    view = net.networks.get("lab").on(net.hosts["host1"])
    lists: list[Any] = [view.interface(name).device for name in ("vxlan0", "vxlan1")]
    assert [ZERO_MAC in device.fdb.text() for device in lists] == [False, True], "other is in the second subnet"
    ping = other.ping(boxes[5].addresses["lab"], count=1)
    net.run()
    assert ping.result.received == 1


def test_it_is_a_network_of_the_swarm_to_which_containers_can_always_be_attached() -> None:
    net = lab()
    attrs = net.networks.get("lab").attrs
    assert (attrs["Driver"], attrs["Scope"], attrs["Attachable"]) == ("vxlan", "swarm", True)
    assert [network.name for network in net.networks.list()] == ["ingress", "lab"]


def test_what_cannot_be_is_refused_and_leaves_nothing() -> None:
    net = lab(subnet="10.5.0.0/24")
    with pytest.raises(InvalidValue, match='"vxlan" can\'t be encrypted'):
        net.networks.create("secret", driver="vxlan", options={"encrypted": ""})
    with pytest.raises(Conflict):
        net.networks.create("same", driver="vxlan", subnet="10.5.0.0/24")
    with pytest.raises(Conflict, match="not a swarm manager"):
        net.hosts["host2"].networks.create("worker", driver="vxlan")
    assert [network.name for network in net.networks.list()] == ["ingress", "lab"]
    assert net.networks.create("next", driver="vxlan").cnm.overlay.vnis == [4098]  # type: ignore[union-attr]


def test_a_host_that_is_cut_off_leaves_the_flood_lists_and_comes_back() -> None:
    net = emu.Emulation(cost="none")
    tor = net.add_switch("tor")
    hosts = [net.add_host(f"host{number}") for number in (1, 2)]
    links = [net.add_link(host, tor) for host in hosts]
    net.swarm.init(control_plane="delayed")
    net.networks.create("lab", driver="vxlan")
    run(net, "host1", "web")
    run(net, "host2", "db")
    net.at("5s", links[1].down)
    net.at("30s", links[1].up)

    def listed() -> bool:
        return any(line.startswith(ZERO_MAC) for line in fdb(net, "host1"))

    states = []
    for second in (4, 9, 16, 29, 36):
        net.run(until=f"{second}s")
        states.append(listed())
    assert states == [True, True, False, False, True]
