"""Containers and networks of a host, with Docker's words and Docker's errors; after an error nothing has changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.l2 import ARP, Ether

import emu
from emu.container import Container
from emu.kernel.errors import Conflict, EmuError, InvalidValue, NotFound, NotSupported


def state_of(host: emu.Host) -> object:
    """Everything a failed command must leave as it was."""
    return (
        [container.name for container in host.containers.list()],
        [(network.name, network.attrs["Containers"]) for network in host.networks.list()],
        list(host.namespace.devices),
        [device.label for device in host.net.interfaces.devices],
    )


@pytest.fixture
def host() -> emu.Host:
    return emu.Emulation().host


# -- running ----------------------------------------------------------------------------------------------------------


def test_without_a_network_a_container_is_on_the_default_bridge(host: emu.Host) -> None:
    web = host.containers.run("web")
    assert web.addresses == {"bridge": "172.17.0.2"}
    assert web.attrs["HostConfig"]["NetworkMode"] == "default"


def test_a_network_is_given_as_object_name_or_list(host: emu.Host) -> None:
    shop, office = host.networks.create("shop"), host.networks.create("office")
    assert list(host.containers.run("one", network=shop).addresses) == ["shop"]
    assert list(host.containers.run("two", network="office").addresses) == ["office"]
    assert sorted(host.containers.run("three", network=[shop, "office"]).addresses) == ["office", "shop"]
    assert [container.name for container in shop.containers] == ["one", "three"]
    assert office.attrs["Name"] == "office"


def test_an_address_asked_for_is_kept_over_a_restart(host: emu.Host) -> None:
    shop = host.networks.create("shop", subnet="10.5.0.0/24")
    web = host.containers.run("web", network=shop, ipv4_address="10.5.0.77", mac_address="02:00:00:00:00:77")
    web.stop()
    web.start()
    assert web.addresses == {"shop": "10.5.0.77"}
    assert web.interface("eth0").mac == "02:00:00:00:00:77"


def test_a_stopped_container_loses_its_address_to_the_next_one(host: emu.Host) -> None:
    web = host.containers.run("web")
    web.stop()
    assert (web.state, web.addresses) == ("exited", {})
    assert host.containers.run("db").addresses == {"bridge": "172.17.0.2"}
    web.start()
    assert web.addresses == {"bridge": "172.17.0.3"}


def test_none_is_loopback_only_and_host_is_the_hosts_namespace(host: emu.Host) -> None:
    assert list(host.containers.run("alone", network="none").namespace.devices) == ["lo"]
    assert host.containers.run("guest", network="host").namespace is host.namespace


def test_a_container_can_share_anothers_namespace(host: emu.Host) -> None:
    web = host.containers.run("web")
    sidecar = host.containers.run("sidecar", network="container:web")
    assert sidecar.namespace is web.namespace
    web.stop()
    assert list(sidecar.namespace.devices) == ["lo"], "when the owner stops, an empty namespace stays (FACT 89)"
    with pytest.raises(Conflict, match="cannot join network of a non running container"):
        host.containers.run("late", network="container:web")


def test_image_command_and_labels_are_recorded(host: emu.Host) -> None:
    web = host.containers.run("web", image="nginx:1", command="serve", labels={"a": "b"}, hostname="w")
    config = web.attrs["Config"]
    assert (config["Image"], config["Cmd"], config["Labels"], config["Hostname"]) == (
        "nginx:1",
        ["serve"],
        {"a": "b"},
        "w",
    )


def test_sysctls_are_those_of_its_namespace(host: emu.Host) -> None:
    web = host.containers.run("web", sysctls={"net.ipv4.ip_default_ttl": 33})
    assert web.namespace.sysctl["net.ipv4.ip_default_ttl"] == 33


def test_a_container_is_found_by_name_id_and_beginning_of_the_id(host: emu.Host) -> None:
    web = host.containers.run("web")
    assert host.containers.get("web") is web
    assert host.containers.get(web.id) is web
    assert host.containers.get(web.id[:12]) is web


def test_a_removed_container_is_gone_and_its_name_free(host: emu.Host) -> None:
    web = host.containers.run("web")
    with pytest.raises(Conflict, match='cannot remove container "/web": container is running'):
        web.remove()
    web.remove(force=True)
    assert (web.state, list(host.containers.list())) == ("removed", [])
    with pytest.raises(NotFound, match="No such container: web"):
        web.start()
    host.containers.run("web")


def test_a_program_ends_when_its_container_stops() -> None:
    net = emu.Emulation()
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    ping = web.ping(db, count=10)
    net.at("2500ms", web.stop)
    net.run()
    assert (ping.state, ping.result.received) == ("stopped", 3)


# -- errors -----------------------------------------------------------------------------------------------------------

Command = Callable[[emu.Host, Container], object]

FAILING: dict[str, tuple[Command, str]] = {
    "a name that is taken": (
        lambda host, web: host.containers.run("web"),
        r'Conflict. The container name "/web" is already in use by container "[0-9a-f]{64}"',
    ),
    "a name Docker does not take": (
        lambda host, web: host.containers.run("bad name"),
        r"Invalid container name \(bad name\), only \[a-zA-Z0-9\]\[a-zA-Z0-9_.-\] are allowed",
    ),
    "an unknown network": (
        lambda host, web: host.containers.run("db", network="nope"),
        "network nope not found",
    ),
    "an unknown second network": (
        lambda host, web: host.containers.run("db", network=["shop", "nope"]),
        "network nope not found",
    ),
    "a full network": (
        lambda host, web: host.containers.run("db", network=["shop", "tiny"]),
        "failed to set up container networking: no available IPv4 addresses on this network's address pools: tiny",
    ),
    "a network given twice": (
        lambda host, web: host.containers.run("db", network=["shop", "shop"]),
        "network shop is given twice",
    ),
    "no network in the list": (
        lambda host, web: host.containers.run("db", network=[]),
        "expected at least one network",
    ),
    "the host's namespace and a network": (
        lambda host, web: host.containers.run("db", network=["host", "shop"]),
        "container sharing network namespace with another container or host cannot be connected",
    ),
    "an address in use": (
        lambda host, web: host.containers.run("db", network="shop", ipv4_address="10.5.0.2"),
        "Address already in use",
    ),
    "an address outside the subnet": (
        lambda host, web: host.containers.run("db", network="shop", ipv4_address="10.6.0.2"),
        "invalid config for network shop: invalid endpoint settings:",
    ),
    "a bad MAC address": (
        lambda host, web: host.containers.run("db", network="shop", mac_address="zz"),
        "zz is not a valid mac address",
    ),
    "connecting twice": (
        lambda host, web: host.networks.get("shop").connect(web),
        "endpoint with name web already exists in network shop",
    ),
    "connecting an unknown container": (
        lambda host, web: host.networks.get("shop").connect("db"),
        "No such container: db",
    ),
    "disconnecting what is not connected": (
        lambda host, web: host.networks.get("bridge").disconnect("web"),
        r"container [0-9a-f]{64} is not connected to network bridge",
    ),
    "removing a used network": (
        lambda host, web: host.networks.get("shop").remove(),
        'error while removing network: network shop has active endpoints \\(name:"web"',
    ),
    "removing a predefined network": (
        lambda host, web: host.networks.get("bridge").remove(),
        "bridge is a pre-defined network and cannot be removed",
    ),
    "a network name that is taken": (
        lambda host, web: host.networks.create("shop"),
        "network with name shop already exists",
    ),
    "an overlapping subnet": (
        lambda host, web: host.networks.create("other", subnet="10.5.0.0/25"),
        "Pool overlaps with other one on this address space",
    ),
    "a bad subnet": (lambda host, web: host.networks.create("other", subnet="10.5.0.0"), "netip.ParsePrefix"),
    "a driver that is not there": (
        lambda host, web: host.networks.create("other", driver="macvlan"),
        'plugin "macvlan" not found',
    ),
    "published ports": (lambda host, web: host.containers.run("db", publish=["80:80"]), "not built yet"),
    "name servers": (lambda host, web: host.containers.run("db", dns=["1.1.1.1"]), "not built yet"),
    "IPv6": (lambda host, web: host.networks.create("other", ipv6=True), "not built yet"),
}


@pytest.mark.parametrize("what", FAILING)
def test_a_failed_command_says_why_and_leaves_nothing_behind(what: str, host: emu.Host) -> None:
    shop = host.networks.create("shop", subnet="10.5.0.0/24")
    host.networks.create("tiny", subnet="10.7.0.0/32")
    web = host.containers.run("web", network=shop)
    before = state_of(host)
    command, message = FAILING[what]
    with pytest.raises(EmuError, match=message):
        command(host, web)
    assert state_of(host) == before


def test_a_network_removed_while_a_container_was_stopped_fails_its_start(host: emu.Host) -> None:
    shop = host.networks.create("shop")
    web = host.containers.run("web", network=shop)
    web.stop()
    shop.remove()
    with pytest.raises(NotFound, match=f"network {shop.id} not found"):
        web.start()
    assert web.state == "exited"


def test_a_network_of_another_host_is_refused() -> None:
    net = emu.Emulation()
    one, two = net.add_host("host1"), net.add_host("host2")
    shop = one.networks.create("shop")
    with pytest.raises(Conflict, match="network shop belongs to host1, not to host2"):
        two.containers.run("web", network=shop)
    web = two.containers.run("web")
    with pytest.raises(Conflict, match="network shop belongs to host1, but container web is on host2"):
        shop.connect(web)


# -- connecting -------------------------------------------------------------------------------------------------------


def test_connect_and_disconnect_while_running(host: emu.Host) -> None:
    shop = host.networks.create("shop")
    web = host.containers.run("web")
    shop.connect(web, aliases=["front"])
    assert list(web.namespace.devices) == ["lo", "eth0", "eth1"]
    assert host.containers.run("db", network=shop).resolve("front") == [web.addresses["shop"]]
    shop.disconnect("web")
    assert list(web.namespace.devices) == ["lo", "eth0"]


def test_a_stopped_container_gets_its_new_network_at_the_start(host: emu.Host) -> None:
    shop = host.networks.create("shop")
    web = host.containers.run("web")
    web.stop()
    shop.connect(web)
    with pytest.raises(Conflict, match="endpoint with name web already exists in network shop"):
        shop.connect(web)
    web.start()
    assert sorted(web.addresses) == ["bridge", "shop"]
    web.stop()
    shop.disconnect(web)
    with pytest.raises(Conflict, match="is not connected to the network shop"):
        shop.disconnect(web)
    web.start()
    assert sorted(web.addresses) == ["bridge"]


def test_prune_removes_unused_networks_only(host: emu.Host) -> None:
    used = host.networks.create("used")
    host.networks.create("unused")
    host.containers.run("web", network=used)
    assert host.networks.prune() == ["unused"]
    assert [network.name for network in host.networks.list()] == ["none", "host", "bridge", "used"]


# -- names and programs -----------------------------------------------------------------------------------------------


def test_names_resolve_on_networks_of_ones_own_and_not_on_the_default_bridge(host: emu.Host) -> None:
    shop = host.networks.create("shop")
    web, db = host.containers.run("web", network=shop), host.containers.run("db", network=shop)
    assert web.resolve("db") == [db.addresses["shop"]]
    one = host.containers.run("one")
    host.containers.run("two")
    assert one.resolve("two") == []


def test_a_name_that_does_not_resolve_ends_the_run_with_a_hint() -> None:
    net = emu.Emulation()
    web = net.host.containers.run("web")
    net.host.containers.run("db")
    web.ping("db")
    with pytest.raises(NotFound, match=r"web: ping: db: Name or service not known \(names do not resolve"):
        net.run()


def test_a_container_as_target_means_its_address_on_a_common_network() -> None:
    net = emu.Emulation()
    front, back = net.networks.create("front"), net.networks.create("back")
    web = net.host.containers.run("web", network=back)
    db = net.host.containers.run("db", network=[front, back])
    ping = web.ping(db, count=1)
    net.run()
    assert (ping.result.target, ping.result.received) == (db.addresses["back"], 1)


def test_a_container_in_another_namespace_is_reached_there() -> None:
    net = emu.Emulation()
    one, two = net.add_host("host1"), net.add_host("host2")
    net.add_link(one, two)
    guests = [host.containers.run(f"guest-of-{host.name}", network="host") for host in (one, two)]
    over_the_cable = guests[0].ping(guests[1], count=1)
    web, db = one.containers.run("web"), one.containers.run("db")
    to_the_sidecar = web.ping(one.containers.run("sidecar", network="container:db"), count=1)
    net.run()
    assert (over_the_cable.result.target, over_the_cable.result.received) == ("198.18.0.2", 1)
    assert (to_the_sidecar.result.target, to_the_sidecar.result.received) == (db.addresses["bridge"], 1)


def test_a_ping_is_named_with_what_is_special_about_it() -> None:
    web = emu.Emulation().host.containers.run("web")
    assert web.ping("172.17.0.1", count=1).name == "web: ping 172.17.0.1"
    assert web.ping("172.17.0.1", size=1473, ttl=1, dont_fragment=True).name == (
        "web: ping -s 1473 -t 1 -M do 172.17.0.1"
    )


def test_udp_sockets_are_for_processes() -> None:
    net = emu.Emulation()
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    server, client = db.udp(53), web.udp()

    def serve():  # type: ignore[no-untyped-def]
        payload, source = yield server.recv()
        server.sendto(payload.upper(), source)

    def ask():  # type: ignore[no-untyped-def]
        client.sendto(b"who", (db.addresses["bridge"], 53))
        payload, _ = yield client.recv()
        return payload

    db.spawn(serve())
    answer = web.spawn(ask())
    net.run()
    assert answer.result == b"WHO"


def test_a_udp_flow_arrives_at_its_sink() -> None:
    net = emu.Emulation()
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    sink = db.udp_sink(9, numbered=True)
    flow = web.udp_flow(db, 9, rate="1Mbit", count=20, numbered=True)
    net.run()
    assert (flow.result.sent, sink.received, sink.result.lost) == (20, 20, 0)


def test_bad_options_of_a_program_are_an_error_where_they_are_written(host: emu.Host) -> None:
    web = host.containers.run("web")
    with pytest.raises(InvalidValue, match="ping: count must be 1 or more"):
        web.ping("172.17.0.1", count=0)
    with pytest.raises(InvalidValue, match="udp: say either rate"):
        web.udp_flow("172.17.0.1", 9)
    with pytest.raises(InvalidValue, match="sniff: count must be 1 or more"):
        web.sniff(count=0)
    assert host.net.tasks == []


def test_scapy_packets_go_out_and_come_back() -> None:
    net = emu.Emulation(cost="none")
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    sniffed = web.sniff(count=1, lfilter=lambda packet: ARP in packet and packet[ARP].op == 2)
    mac = web.interface().mac
    request = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
        op=1, hwsrc=mac, psrc="172.17.0.2", hwdst="00:00:00:00:00:00", pdst="172.17.0.3"
    )
    net.at("5s", web.send, request)
    net.run()
    (reply,) = sniffed.result
    assert (reply[ARP].psrc, reply[ARP].hwsrc, reply.time) == ("172.17.0.3", db.interface().mac, 5.0)


def test_a_packet_without_ethernet_header_is_refused(host: emu.Host) -> None:
    web = host.containers.run("web")
    packet = ARP(op=1, hwsrc="02:00:00:00:00:01", psrc="1.2.3.4", hwdst="00:00:00:00:00:00", pdst="1.2.3.5")
    with pytest.raises(InvalidValue, match="send: the packet begins with ARP; begin it with Ether"):
        web.send(packet)
    with pytest.raises(InvalidValue, match="less than an Ethernet header"):
        web.send(b"123")


def test_an_unknown_interface_lists_those_that_are_there(host: emu.Host) -> None:
    with pytest.raises(NotFound, match='web has no interface "eth7"; it has lo, eth0'):
        host.containers.run("web").interface("eth7")


def test_an_interface_shows_and_takes_settings(host: emu.Host) -> None:
    eth0 = host.containers.run("web").interface("eth0")
    assert (eth0.label, eth0.addresses, eth0.mtu) == ("web:eth0", ["172.17.0.2/16"], 1500)
    eth0.set(rate="1Mbit", delay="1ms")
    eth0.set(delay=None)
    assert eth0.device.describe()["speed_bps"] == 1_000_000
    with pytest.raises(InvalidValue, match="invalid loss for web:eth0"):
        eth0.set(loss=2)
    assert eth0.peer is not None
    assert eth0.peer.label.startswith("host1:veth")


def test_a_bridge_has_no_line_to_set(host: emu.Host) -> None:
    with pytest.raises(NotSupported, match="host1:docker0"):
        host.interface("docker0").set(rate="1Mbit")


def test_counters_show_what_passed_and_what_was_dropped() -> None:
    net = emu.Emulation()
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    db.interface().set(loss=1)
    web.ping(db, count=1)
    net.run()
    counters = db.interface().counters
    assert counters.rx_packets > 0
    assert list(counters.drops) == ["lost on the link (configured loss)"]
