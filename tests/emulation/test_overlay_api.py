"""Overlay networks as scripts use them: on several hosts, with hosts that fail and containers that move."""

from __future__ import annotations

from typing import Any

import pytest

import emu
from emu.device.vxlan import VxlanDevice
from emu.kernel.errors import Conflict, EmuError, InvalidValue, NotFound, NotSupported

S = 1_000_000_000


def two_hosts(engine: str = "29", **swarm: Any) -> emu.Emulation:
    """Two hosts with a cable, and a network `shop` for containers on both."""
    net = emu.Emulation(engine=engine, cost="none")
    h1, h2 = net.add_host("host1"), net.add_host("host2")
    net.add_link(h1, h2, delay="50us")
    if swarm:
        net.swarm.init(**swarm)
    net.networks.create("shop", driver="overlay", attachable=True)
    return net


def run(net: emu.Emulation, host: str, name: str, network: str = "shop", **settings: Any) -> emu.Container:
    """Run a container on a host."""
    return net.hosts[host].containers.run(name, network=network, **settings)


def known_at(net: emu.Emulation, host: str, network: str = "shop") -> dict[str, str]:
    """What a host has programmed for a network: addresses of remote endpoints, and where their MACs are."""
    view = net.networks.get(network).on(net.hosts[host])
    vxlan = view.interface("vxlan0").device
    assert isinstance(vxlan, VxlanDevice)
    forwarding = dict(line.split(" dev vxlan0 dst ") for line in vxlan.fdb.text().splitlines())
    macs = {
        line.split()[0]: line.split()[4]
        for line in view.namespace.neighbours.text().splitlines()
        if line.split()[2] == "vxlan0"
    }
    assert set(macs.values()) == set(forwarding), "every neighbour has its forwarding entry and the other way round"
    return {address: forwarding[mac].split()[0] for address, mac in macs.items()}


# -- networks ---------------------------------------------------------------------------------------------------------


def test_an_overlay_network_joins_containers_of_two_hosts() -> None:
    net = two_hosts()
    web, db = run(net, "host1", "web"), run(net, "host2", "db")
    ping = web.ping("db", count=2)
    net.run()
    assert ping.result.received == 2
    assert (web.addresses["shop"], db.addresses["shop"]) == ("10.0.1.2", "10.0.1.4")


def test_the_network_is_listed_by_the_manager_and_where_it_is_used() -> None:
    net = two_hosts()
    shop = net.networks.get("shop")
    assert [network.name for network in net.networks.list()] == ["ingress", "shop"]
    assert shop in net.hosts["host1"].networks.list()
    names = [network.name for network in net.hosts["host2"].networks.list()]
    assert names == ["none", "host", "bridge", "docker_gwbridge", "ingress"]
    db = run(net, "host2", "db")
    assert net.hosts["host2"].networks.list()[-1].name == "shop"
    db.stop()
    assert "shop" not in [network.name for network in net.hosts["host2"].networks.list()]
    with pytest.raises(NotFound, match="network shop not found"):
        net.hosts["host2"].networks.get("shop")


def test_ids_are_those_of_a_swarm() -> None:
    shop = two_hosts().networks.get("shop")
    assert len(shop.id) == 25
    assert set(shop.id) <= set("0123456789abcdefghijklmnopqrstuvwxyz")


def test_a_network_is_found_by_name_id_and_beginning_of_its_id() -> None:
    net = two_hosts()
    shop = net.networks.get("shop")
    assert net.networks.get(shop.id) is shop
    assert net.networks.get(shop.id[:10]) is shop
    with pytest.raises(NotFound, match="network nothing not found"):
        net.networks.get("nothing")


def test_the_namespace_of_a_network_comes_with_the_first_container_and_goes_with_the_last() -> None:
    net = two_hosts()
    shop = net.networks.get("shop")
    here = shop.on(net.hosts["host1"])
    with pytest.raises(NotFound, match="network shop is not used on host1"):
        _ = here.namespace
    web, app = run(net, "host1", "web"), run(net, "host1", "app")
    assert list(here.namespace.devices) == ["lo", "br0", "vxlan0", "veth0", "veth1", "veth2"]
    assert here.interface("br0").addresses == ["10.0.1.1/24"]
    assert here.interface("br0").mac == min(here.interface(f"veth{n}").mac for n in range(3)) or (
        here.interface("br0").mac == here.interface("vxlan0").mac
    )
    web.stop()
    assert "veth1" not in here.namespace.devices
    app.stop()
    with pytest.raises(NotFound, match="not used on host1"):
        _ = here.namespace


def test_everything_is_given_back_when_the_last_container_stops() -> None:
    net = two_hosts()
    before = ports_and_sandboxes(net)
    containers = [run(net, host, f"c{number}") for number, host in enumerate(("host1", "host2", "host1"))]
    for container in containers:
        container.remove(force=True)
    assert ports_and_sandboxes(net) == before
    net.networks.get("shop").remove()
    assert [network.name for network in net.networks.list()] == ["ingress"]


def ports_and_sandboxes(net: emu.Emulation) -> list[Any]:
    """What could be left behind."""
    usage: list[Any] = []
    for host in net.hosts.values():
        usage += [list(host.namespace.devices), dict(host.namespace.tunnels.receivers)]
        usage += [len(network.cnm.endpoints) for network in host.networks.list()]
    pool = net.swarm.manager.networks()[1].pools[0]
    return [*usage, net.swarm.manager.ipam.usage(pool.pool_id)]


def test_a_single_host_is_a_swarm_of_its_own() -> None:
    net = emu.Emulation(cost="none")
    shop = net.networks.create("shop", driver="overlay", attachable=True)
    web, db = (net.host.containers.run(name, network=shop) for name in ("web", "db"))
    ping = web.ping("db", count=1)
    net.run()
    assert ping.result.received == 1
    assert (web.addresses["shop"], db.addresses["shop"]) == ("10.0.1.2", "10.0.1.4")
    assert [network.name for network in net.networks.list()][-3:] == ["docker_gwbridge", "ingress", "shop"]
    assert net.networks.get("shop") is shop


def test_a_host_that_is_added_later_is_part_of_the_swarm() -> None:
    net = emu.Emulation(cost="none")
    switch = net.add_switch("tor")
    net.add_link(net.add_host("host1"), switch)
    net.networks.create("shop", driver="overlay", attachable=True)
    run(net, "host1", "web")
    net.add_link(net.add_host("host2"), switch)
    db = run(net, "host2", "db")
    ping = db.ping("web", count=1)
    net.run()
    assert ping.result.received == 1
    assert net.swarm.nodes == ["host1", "host2"]


def test_links_may_come_after_the_containers() -> None:
    net = emu.Emulation(cost="none")
    h1, h2 = net.add_host("host1"), net.add_host("host2")
    shop = net.networks.create("shop", driver="overlay", attachable=True)
    web = h1.containers.run("web", network=shop)
    h2.containers.run("db", network=shop)
    net.add_link(h1, h2)
    ping = web.ping("db", count=1)
    net.run()
    assert ping.result.received == 1


def test_a_network_can_be_internal() -> None:
    net = two_hosts()
    net.networks.create("hidden", driver="overlay", attachable=True, internal=True)
    web = run(net, "host1", "web", "hidden")
    assert list(web.namespace.devices) == ["lo", "eth0"]
    assert "default" not in web.namespace.routes.text()


def test_the_default_route_is_docker_gwbridge_until_another_network_has_a_gateway() -> None:
    net = two_hosts()
    web = run(net, "host1", "web")
    assert "default via 172.18.0.1 dev eth1 " in web.namespace.routes.text()
    front = net.hosts["host1"].networks.create("front")
    front.connect(web)
    assert list(web.addresses) == ["front", "shop"]
    assert "default via 172.19.0.1 dev " in web.namespace.routes.text()
    front.disconnect(web)
    assert "default via 172.18.0.1 dev " in web.namespace.routes.text()
    assert set(web.addresses) == {"shop", "docker_gwbridge"}


def test_containers_do_not_reach_each_other_over_docker_gwbridge() -> None:
    net = two_hosts()
    web, app = run(net, "host1", "web"), run(net, "host1", "app")
    ping = web.ping(app.addresses["docker_gwbridge"], count=1, timeout="1s")
    gateway = web.ping("172.18.0.1", count=1)
    net.run()
    assert ping.result.received == 0
    assert gateway.result.received == 1


def test_a_container_can_be_on_several_overlay_networks_with_one_gateway_bridge() -> None:
    net = two_hosts()
    other = net.networks.create("other", driver="overlay", attachable=True)
    web = run(net, "host1", "web")
    other.connect(web)
    assert sorted(web.addresses) == ["docker_gwbridge", "other", "shop"]
    assert list(web.namespace.devices) == ["lo", "eth0", "eth1", "eth2"]
    db = run(net, "host2", "db", "other")
    ping = db.ping("web", count=1)
    net.run()
    assert ping.result.received == 1
    net.networks.get("shop").disconnect("web")
    assert sorted(web.addresses) == ["docker_gwbridge", "other"]


def test_containers_in_two_subnets_of_a_network_reach_each_other_through_its_gateways() -> None:
    net = two_hosts()
    subnets = ["10.94.0.0/29", "10.95.0.0/24"]
    net.networks.create("two", driver="overlay", attachable=True, subnet=subnets)
    first = [run(net, "host1", f"c{number}", "two") for number in range(4)]
    other = run(net, "host2", "other", "two")
    assert first[0].addresses["two"] == "10.94.0.2"
    assert other.addresses["two"].startswith("10.95.0.")
    ping = other.ping(first[0].addresses["two"], count=1)
    net.run()
    assert ping.result.received == 1
    assert {"br0", "br1", "vxlan0", "vxlan1"} <= set(net.networks.get("two").on(net.hosts["host1"]).namespace.devices)


def test_the_data_path_port_and_the_pools_of_the_swarm_can_be_chosen() -> None:
    net = two_hosts(data_path_port=7789, default_addr_pool="10.20.0.0/16", default_addr_pool_mask_length=26)
    web, db = run(net, "host1", "web"), run(net, "host2", "db")
    assert web.addresses["shop"] == "10.20.0.66"  # 10.20.0.0/26 is the ingress network's
    ports = set()
    net.interfaces.watch(lambda info: None if info.name != "host1:eth0" else (
        lambda now, frame, direction: ports.add(int.from_bytes(frame.data[36:38], "big"))
    ))  # fmt: skip
    ping = db.ping("web", count=1)
    net.run()
    assert ping.result.received == 1
    assert 7789 in ports
    assert 4789 not in ports


def test_the_packet_keeps_its_number_through_the_tunnel() -> None:
    net = two_hosts()
    web, db = run(net, "host1", "web"), run(net, "host2", "db")
    seen: dict[int, list[str]] = {}
    net.interfaces.watch(
        lambda info: lambda now, frame, direction: seen.setdefault(frame.packet_id, []).append(info.name)
    )
    web.ping(db, count=1, at="5s")
    net.run()
    way = [
        "web:eth0", "host1/shop:veth1", "host1/shop:br0", "host1/shop:vxlan0", "host1:eth0",
        "host2:eth0", "host2/shop:vxlan0", "host2/shop:br0", "host2/shop:veth1", "db:eth0",
    ]  # fmt: skip
    assert any(points == way for points in seen.values())
    assert any(points == way[::-1] for points in (swapped(points) for points in seen.values()))


def swapped(points: list[str]) -> list[str]:
    """The way of an answer under the names of the way there, in reverse order."""
    names = {"web:eth0": "db:eth0", "host1:eth0": "host2:eth0"}
    table = {**names, **{value: key for key, value in names.items()}}
    return [
        table.get(point) or point.replace("host1", "host9").replace("host2", "host1").replace("host9", "host2")
        for point in points
    ][::-1]


# -- names ------------------------------------------------------------------------------------------------------------


def test_names_are_known_across_hosts() -> None:
    net = two_hosts()
    web = run(net, "host1", "web")
    db = run(net, "host2", "db", aliases=["store"], hostname="vault")
    address = [db.addresses["shop"]]
    for name in ("db", "DB", "store", "vault", "db.shop", db.id[:12], "db."):
        assert web.resolve(name) == address, name
    assert db.resolve("web") == [web.addresses["shop"]]
    assert web.resolve("shop-endpoint") == []
    db.stop()
    assert web.resolve("db") == []


def test_an_alias_on_both_hosts_has_all_addresses() -> None:
    net = two_hosts()
    first, second = run(net, "host1", "a1", aliases=["app"]), run(net, "host2", "a2", aliases=["app"])
    asking = run(net, "host1", "web")
    assert sorted(asking.resolve("app")) == sorted([first.addresses["shop"], second.addresses["shop"]])


def test_overlay_networks_are_asked_for_a_name_before_local_ones() -> None:
    net = two_hosts()
    h1 = net.hosts["host1"]
    first = h1.networks.create("aaa")
    web = h1.containers.run("web", network=[first, "shop"])
    h1.containers.run("twin", network=first, aliases=["db"])
    db = run(net, "host2", "db")
    assert web.resolve("db") == [db.addresses["shop"]]


# -- errors -----------------------------------------------------------------------------------------------------------


def test_a_network_must_be_attachable() -> None:
    net = two_hosts()
    net.networks.create("services", driver="overlay")
    text = "Could not attach to network services: rpc error: code = PermissionDenied desc = network services not "
    with pytest.raises(Conflict) as caught:
        run(net, "host2", "web", "services")
    assert str(caught.value) == f"failed to set up container networking: {text}manually attachable"
    assert "web" not in net.containers


def test_a_network_in_use_on_another_host_cannot_be_removed() -> None:
    net = two_hosts()
    run(net, "host2", "db")
    with pytest.raises(Conflict, match=r"code = FailedPrecondition desc = network .* is in use by task "):
        net.networks.get("shop").remove()
    assert net.networks.prune() == []
    net.container("db").stop()
    assert net.networks.prune() == ["shop"]


def test_a_container_whose_network_was_removed_does_not_start() -> None:
    net = two_hosts()
    db = run(net, "host2", "db")
    db.stop()
    shop = net.networks.get("shop")
    shop.remove()
    with pytest.raises(NotFound, match=f"network {shop.id} not found"):
        db.start()


def test_only_the_manager_makes_and_removes_networks() -> None:
    net = two_hosts()
    h1, h2 = net.hosts.values()
    h1.networks.create("more", driver="overlay", attachable=True)
    with pytest.raises(Conflict, match=r"This node is not a swarm manager\. Worker nodes can't be used"):
        h2.networks.create("other", driver="overlay")
    run(net, "host2", "db")
    with pytest.raises(Conflict, match="This node is not a swarm manager"):
        h2.networks.get("shop").remove()


def test_names_of_networks_are_unique() -> None:
    net = two_hosts()
    with pytest.raises(Conflict, match="network with name shop already exists"):
        net.networks.create("shop", driver="overlay")
    with pytest.raises(Conflict, match="network with name shop already exists"):
        net.hosts["host1"].networks.create("shop")
    net.hosts["host1"].networks.create("local")
    with pytest.raises(Conflict, match="network with name local already exists"):
        net.networks.create("local", driver="overlay")


@pytest.mark.parametrize(
    ("settings", "kind", "text"),
    [
        ({"options": {"dsr": ""}}, NotSupported, "load balancing is not built yet"),
        ({"options": {"colour": "red"}}, InvalidValue, "unknown option colour of the overlay driver"),
        ({"options": {"com.docker.network.driver.mtu": "big"}}, InvalidValue, "failed to parse big"),
        ({"options": {"com.docker.network.driver.mtu": 100}}, InvalidValue, "invalid MTU value: 100"),
        ({"options": {"com.docker.network.driver.overlay.vxlanid_list": "x"}}, InvalidValue, "invalid vxlan id"),
        ({"ipv6": True}, NotSupported, "IPv6 networks are not built yet"),
        ({"ipam": "lease"}, NotSupported, 'ipam driver "lease"'),
        ({"subnet": "10.0.0.1/24"}, InvalidValue, "10.0.0.1/24"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(
    settings: dict[str, Any], kind: type[EmuError], text: str
) -> None:
    net = two_hosts()
    with pytest.raises(kind, match=text):
        net.networks.create("other", driver="overlay", **settings)
    assert [network.name for network in net.networks.list()] == ["ingress", "shop"]
    assert net.networks.create("next", driver="overlay").subnet == "10.0.2.0/24"


def test_the_ingress_network_stays() -> None:
    net = two_hosts()
    with pytest.raises(NotSupported, match="ingress network can't be removed"):
        net.networks.get("ingress").remove()
    with pytest.raises(Conflict, match="ingress not manually attachable"):
        run(net, "host1", "web", "ingress")


def test_a_chosen_vni_that_is_taken_makes_a_network_that_cannot_be_used() -> None:
    net = two_hosts()
    options = {"com.docker.network.driver.overlay.vxlanid_list": "4097"}
    other = net.networks.create("other", driver="overlay", attachable=True, options=options)
    assert other.subnet is None
    with pytest.raises(Conflict, match="context deadline exceeded"):
        run(net, "host1", "web", "other")
    assert net.networks.create("next", driver="overlay").subnet == "10.0.2.0/24"


def test_no_address_for_the_load_balancer_leaves_nothing_behind() -> None:
    net = two_hosts()
    net.networks.create("tiny", driver="overlay", attachable=True, subnet="10.93.0.0/30")
    for _ in range(2):
        with pytest.raises(Conflict, match="context deadline exceeded"):
            run(net, "host1", "web", "tiny")
    assert "web" not in net.containers
    assert net.networks.get("tiny").cnm.endpoints == {}
    with pytest.raises(NotFound, match="not used on host1"):
        _ = net.networks.get("tiny").on(net.hosts["host1"]).namespace


def test_a_swarm_may_begin_before_there_are_hosts() -> None:
    net = emu.Emulation(cost="none")
    net.swarm.init(control_plane="delayed", propagation=("1ms", "2ms"), propagation_to={"host2": ("1s", "1s")})
    assert net.swarm.nodes == []
    net.add_link(net.add_host("host1"), net.add_host("host2"))
    net.networks.create("shop", driver="overlay", attachable=True)
    run(net, "host1", "web")
    run(net, "host2", "db")
    net.run(until="990ms")
    assert len(known_at(net, "host1")) == 2
    assert known_at(net, "host2") == {}
    net.run(until="1010ms")
    assert len(known_at(net, "host2")) == 2


def test_a_swarm_begins_once() -> None:
    net = two_hosts()
    with pytest.raises(Conflict, match="This node is already part of a swarm"):
        net.swarm.init()
    with pytest.raises(Conflict, match="host2: this node is already part of a swarm"):
        net.swarm.join("host2")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"control_plane": "gossip"}, 'expected "instant" or "delayed"'),
        ({"propagation": ("1ms", "2ms")}, 'need control_plane="delayed"'),
        ({"data_path_port": 80}, "invalid data path port 80"),
    ],
)
def test_wrong_options_of_a_swarm_are_refused(options: dict[str, Any], text: str) -> None:
    net = emu.Emulation()
    with pytest.raises(InvalidValue, match=text):
        net.swarm.init(**options)
    assert not net.swarm.active


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_every_host_knows_the_endpoints_of_the_others() -> None:
    net = two_hosts()
    web, db = run(net, "host1", "web"), run(net, "host2", "db")
    assert known_at(net, "host1") == {"10.0.1.4": "198.18.0.2", "10.0.1.5": "198.18.0.2"}
    assert known_at(net, "host2") == {"10.0.1.2": "198.18.0.1", "10.0.1.3": "198.18.0.1"}
    db.stop()
    assert known_at(net, "host1") == {}
    db.start()
    assert set(known_at(net, "host1")) == {"10.0.1.6", "10.0.1.7"}
    assert web.resolve("db") == ["10.0.1.6"]


def test_a_container_that_moves_is_found_on_its_new_host() -> None:
    net = two_hosts()
    web, db = run(net, "host1", "web"), run(net, "host2", "db")
    before = web.ping(db, count=1)
    net.run(until="1s")
    db.remove(force=True)
    moved = run(net, "host1", "db", ipv4_address="10.0.1.4")
    after = web.ping("10.0.1.4", count=1)
    net.run()
    assert (before.result.received, after.result.received) == (1, 1)
    assert moved.interface("eth0").mac == "02:42:0a:00:01:04"
    assert known_at(net, "host1") == {}


def test_a_host_whose_link_is_down_is_given_up_5_to_10_s_later_and_back_within_5_s() -> None:
    net = two_hosts(control_plane="delayed")
    run(net, "host1", "web")
    run(net, "host2", "db")
    link = net.underlay.links[0]
    net.at("20s", link.down)
    net.at("60s", link.up)
    net.run(until="24900ms")
    assert len(known_at(net, "host1")) == 2
    net.run(until="30s")
    assert known_at(net, "host1") == known_at(net, "host2") == {}
    net.run(until="65s")
    assert len(known_at(net, "host1")) == len(known_at(net, "host2")) == 2


def test_with_the_instant_control_plane_a_cut_shows_at_once() -> None:
    net = two_hosts()
    run(net, "host1", "web")
    run(net, "host2", "db")
    net.swarm.cut_off("host2")
    assert known_at(net, "host1") == {}
    net.swarm.repair("host2")
    assert len(known_at(net, "host1")) == 2


def test_a_host_that_is_cut_off_from_the_manager_cannot_attach_containers() -> None:
    net = two_hosts()
    net.swarm.cut_off("host2")
    with pytest.raises(Conflict, match="context deadline exceeded"):
        run(net, "host2", "db")
    run(net, "host1", "web")


def test_a_host_that_crashes_takes_its_containers_with_it_and_comes_back_empty() -> None:
    net = two_hosts(control_plane="delayed")
    web, db = run(net, "host1", "web"), run(net, "host2", "db")
    serving = db.ping(web, count=100)
    net.run(until="3s")
    net.hosts["host2"].crash()
    net.hosts["host2"].crash()
    assert db.state == "exited"
    assert serving.state != "running"
    assert len(known_at(net, "host1")) == 2
    net.run(until="14s")
    assert known_at(net, "host1") == {}
    net.hosts["host2"].boot()
    with pytest.raises(NotFound, match="not used on host2"):
        known_at(net, "host2")
    db.start()
    ping = web.ping("db", count=1, at="25s")
    net.run(until="30s")
    assert ping.result.received == 1


def test_a_dropped_delete_leaves_a_stale_entry() -> None:
    net = two_hosts()
    run(net, "host1", "web")
    db = run(net, "host2", "db")
    net.swarm.drop_next("host1", "delete")
    db.stop()
    assert known_at(net, "host1") == {"10.0.1.4": "198.18.0.2"}


def test_a_worker_can_leave_and_join_again() -> None:
    net = two_hosts()
    run(net, "host1", "web")
    db = run(net, "host2", "db")
    with pytest.raises(Conflict, match="host2 can't leave the swarm: containers use its networks shop"):
        net.swarm.leave("host2")
    db.remove(force=True)
    first_id = net.swarm.manager.nodes["host2"].id
    net.swarm.leave("host2")
    with pytest.raises(NotFound, match="network shop not found"):
        run(net, "host2", "db")
    net.swarm.join("host2")
    assert net.swarm.manager.nodes["host2"].id != first_id
    run(net, "host2", "db")
    assert len(known_at(net, "host1")) == 2
    with pytest.raises(Conflict, match="participating as a manager"):
        net.swarm.leave("host1")


def test_the_control_plane_does_not_keep_a_run_alive() -> None:
    net = two_hosts(engine="20.10", control_plane="delayed")
    run(net, "host1", "web")
    net.swarm.cut_off("host2")
    assert net.run().now_ns == 0


def test_interfaces_have_words_for_captures() -> None:
    net = two_hosts()
    run(net, "host1", "web")
    words: dict[str, str] = {}
    net.interfaces.watch(lambda info: words.__setitem__(info.name, info.description))
    assert words["host1/shop:br0"].startswith("host1, bridge of network shop: ")
    assert words["host1/shop:vxlan0"].startswith("host1, tunnels of network shop: vxlan ")
    assert words["host1/shop:veth1"].startswith("host1, towards container web, network shop: ")
    assert words["host1/lb-shop:eth0"].startswith("host1, load balancer, network shop: ")
    assert words["web:eth1"].startswith("container web, network docker_gwbridge: ")


def test_the_gateway_bridge_is_not_pruned_or_removed() -> None:
    net = two_hosts()
    h1 = net.hosts["host1"]
    assert h1.networks.prune() == []
    with pytest.raises(Conflict, match="docker_gwbridge has active endpoints"):
        h1.networks.get("docker_gwbridge").remove()


def test_a_network_of_another_host_is_still_refused() -> None:
    net = two_hosts()
    local = net.hosts["host1"].networks.create("local")
    with pytest.raises(Conflict, match="network local belongs to host1, not to host2"):
        net.hosts["host2"].containers.run("web", network=local)


def test_containers_of_a_network_are_listed_over_all_hosts() -> None:
    net = two_hosts()
    db, web = run(net, "host2", "db"), run(net, "host1", "web")
    shop = net.networks.get("shop")
    assert shop.containers == [db, web]
    assert shop.on(net.hosts["host1"]).containers == [web]
