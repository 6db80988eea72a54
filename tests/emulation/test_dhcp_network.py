"""Networks that lease their addresses, as scripts see them: leases come, are renewed, lost, released and refused."""

from __future__ import annotations

from typing import Any

import pytest

import emu
from emu.cnm.ipam.driver import Pending
from emu.traffic.dhcp_frames import is_udp_to, read_frame
from emu.wire.dhcp import TYPE_NAMES

S = 1_000_000_000


class Wire:
    """Every DHCP message that passes an interface: (time in s, kind, destination address)."""

    def __init__(self, device: Any) -> None:
        self.messages: list[tuple[float, str, str]] = []
        device.add_tap(self._seen)

    def _seen(self, now_ns: int, frame: Any, direction: int) -> None:
        data = frame.data
        if is_udp_to(data, 67) or is_udp_to(data, 68):
            kind = TYPE_NAMES[read_frame(data).message.message_type]  # type: ignore[union-attr,index]
            self.messages.append((round(now_ns / S, 3), kind, ".".join(map(str, data[30:34]))))

    @property
    def kinds(self) -> list[str]:
        return [kind for _, kind, _ in self.messages]


def leasing(engine: str = "29", cost: str = "none", **options: Any) -> tuple[emu.Emulation, Any]:
    """An emulation with a network that leases 10.0.0.10 to .19 for ten minutes and probes nothing."""
    net = emu.Emulation(seed=1, engine=engine, cost=cost)
    usual = {"range": "10.0.0.10-10.0.0.19", "lease_time": "10min", "probe": "off"}
    ipam = {"driver": "dhcp", "options": usual | options}
    return net, net.networks.create("lan", subnet="10.0.0.0/24", ipam=ipam)


def served_elsewhere(**options: Any) -> tuple[emu.Emulation, Any, Any]:
    """The same without a server beside the gateway, and a container with the address 10.0.0.2 that may serve."""
    net = emu.Emulation(seed=1, cost="none")
    ipam = {"driver": "dhcp", "options": {"server": "none", "static": "10.0.0.2"} | options}
    lan = net.networks.create("lan", subnet="10.0.0.0/24", ipam=ipam)
    return net, lan, net.host.containers.run("dhcpd", network=lan, ipv4_address="10.0.0.2")


def endpoint(container: emu.Container) -> Any:
    return container.sandbox.endpoints[0]


@pytest.mark.parametrize("engine", ["20.10", "28", "29"])
def test_an_endpoint_is_pending_and_then_everything_follows_the_lease(engine: str) -> None:
    net, lan = leasing(engine, dns=["10.0.0.53", "10.0.0.54"], domain="lan.example", mtu=1400)
    web, asker = (net.host.containers.run(name, network=lan) for name in ("web", "asker"))
    assert endpoint(web).pending == Pending("waiting for a DHCP lease")
    assert "pending: waiting for a DHCP lease" in repr(endpoint(web))
    assert web.attrs["NetworkSettings"]["Networks"]["lan"]["IPAddress"] == ""
    assert (web.addresses, asker.resolve("web"), web.namespace.routes.text()) == ({}, [], "")
    net.run()
    assert (net.now, endpoint(web).pending) == (2 * S, None)
    shown = web.attrs["NetworkSettings"]["Networks"]["lan"]
    assert (shown["IPAddress"], shown["IPPrefixLen"], shown["Gateway"]) == ("10.0.0.10", 24, "10.0.0.1")
    assert lan.attrs["Containers"][web.id]["IPv4Address"] == "10.0.0.10/24"
    assert lan.attrs["Status"]["DHCP"] == {"LeasesUsed": 2, "LeasesFree": 8}
    assert lan.attrs["Status"]["IPAM"]["Subnets"]["10.0.0.0/24"] == {"IPsInUse": 5, "DynamicIPsAvailable": 8}
    assert asker.resolve("web") == ["10.0.0.10"]
    assert "default via 10.0.0.1 dev eth0" in web.namespace.routes.text()
    assert web.interface("eth0").device.mtu == 1400
    assert web.namespace.resolver.text() == "search lan.example\nnameserver 10.0.0.53\nnameserver 10.0.0.54\n"


def test_one_gratuitous_arp_announces_the_lease_whatever_the_engine() -> None:
    for engine in ("20.10", "29"):
        net, lan = leasing(engine)
        web = net.host.containers.run("web", network=lan)
        sent: list[tuple[int, bytes, bytes]] = []
        web.interface("eth0").device.add_tap(
            lambda now_ns, frame, _, sent=sent: sent.append((now_ns, frame.data[28:32], frame.data[38:42]))
        )
        net.run()
        assert [now_ns for now_ns, sender, target in sent if sender == target] == [2 * S]


def test_programs_start_when_their_container_and_their_target_have_addresses() -> None:
    net, lan = leasing()
    web, db = (net.host.containers.run(name, network=lan) for name in ("web", "db"))
    late = net.host.containers.run("late", network="none")
    net.at("1s", late.remove, force=True)
    net.at("1s", net.host.containers.run, "cache", network=lan)
    by_name, by_object = web.ping("db", count=1), web.ping(db, count=1)
    slow = web.ping("cache", count=1, at="1500ms")
    started: list[int] = []

    def program() -> Any:
        started.append(net.now)
        yield net.timeout("1s")

    task = web.spawn(program())
    watcher = web.sniff(count=1)
    net.run()
    assert [ping.result.received for ping in (by_name, by_object, slow)] == [1, 1, 1]
    assert (started, task.state) == ([2 * S], "finished")
    assert watcher.finished_ns == 1 * S  # sniff waits for nothing: it shows the DISCOVER of cache
    assert slow.started_ns == 1_500_000_000
    assert slow.finished_ns is not None
    assert slow.finished_ns >= 3 * S


def test_a_program_that_waits_says_for_what() -> None:
    net, lan, _ = served_elsewhere()
    web = net.host.containers.run("web", network=lan)
    ping = web.ping("10.0.0.1", count=1)
    net.run(until="1s")
    assert ping.waiting_for == "a DHCP lease on network lan, in state SELECTING"


def test_a_time_out_is_a_failed_task_that_names_the_last_state_and_the_run_goes_on() -> None:
    net, lan, dhcpd = served_elsewhere()
    web = net.host.containers.run("web", network=lan)
    own = web.ping("10.0.0.2", count=1)
    to_web = dhcpd.ping("web", count=1)
    later = web.ping("10.0.0.2", count=1, at="10s")
    net.run()
    why = "no DHCP lease on network lan: gave up in state SELECTING (no DHCP server runs on the network)"
    ends = [("failed", 9 * S), ("failed", 9 * S), ("failed", 10 * S)]
    assert [(task.state, task.finished_ns) for task in (own, to_web, later)] == ends
    with pytest.raises(emu.LeaseTimeout) as caught:
        _ = own.result
    assert str(caught.value) == f"web: ping 10.0.0.2: {why}"
    assert endpoint(web).pending == Pending(why)


def test_with_another_container_s_lease_late_a_ping_to_it_fails_as_its_own_would() -> None:
    net, lan = leasing(range="10.0.0.10-10.0.0.10")
    web, db = (net.host.containers.run(name, network=lan) for name in ("web", "db"))
    ping = web.ping("db", count=1)
    net.run()
    words = f"no available IPv4 addresses on this network's address pools: lan ({lan.id})"
    assert str(ping.value) == (
        f"web: ping db: container db: no DHCP lease on network lan: gave up in state SELECTING ({words})"
    )
    assert db.addresses == {}


def test_whoever_waits_for_a_container_that_leaves_goes_on() -> None:
    net, lan, dhcpd = served_elsewhere()
    web = net.host.containers.run("web", network=lan)
    own, to_web = web.ping("10.0.0.2", count=1), dhcpd.ping(web, count=1)
    net.at("4s", web.stop)
    with pytest.raises(emu.Conflict, match="container web is not running"):
        net.run()
    assert (net.now, own.state, to_web.state) == (4 * S, "stopped", "failed")


def test_endless_conflicts_are_a_failure_and_do_not_keep_the_run_alive() -> None:
    net, lan = leasing(range="10.0.0.10-10.0.0.10", quarantine="off", static="10.0.0.5")
    squatter = net.host.containers.run("squatter", network=lan, ipv4_address="10.0.0.5")
    squatter.namespace.add_address(squatter.interface("eth0").device, "10.0.0.10/24")
    web = net.host.containers.run("web", network=lan)
    wire = Wire(web.interface("eth0").device)
    ping = web.ping("10.0.0.1", count=1)
    net.run()
    why = "no DHCP lease on network lan: gave up in state CHECKING (what is offered is in use)"
    assert str(ping.value) == f"web: ping 10.0.0.1: {why}"
    assert wire.kinds == ["DISCOVER", "OFFER", "REQUEST", "ACK", "DECLINE"] * 3


def test_restart_keeps_the_lease_and_asks_for_it_again_with_two_messages() -> None:
    net, lan = leasing()
    web, db = (net.host.containers.run(name, network=lan) for name in ("web", "db"))
    net.run()
    mac, ends = web.interface("eth0").mac, lan.dhcp.leases[0].expires_ns
    wire = Wire(lan_bridge(net, lan))
    web.restart()
    assert (web.addresses, web.interface("eth0").mac) == ({}, mac)
    assert lan.dhcp.leases[0].state == "bound"
    net.run()
    assert wire.kinds == ["REQUEST", "ACK"]
    assert web.addresses == {"lan": "10.0.0.10"}
    assert lan.dhcp.leases[0].expires_ns == ends + 2 * S
    assert db.addresses == {"lan": "10.0.0.11"}


def lan_bridge(net: emu.Emulation, network: emu.Network) -> Any:
    return net.host.interface(str(network.bridge)).device


def test_stop_releases_the_lease_and_a_start_asks_for_the_same_address_anew() -> None:
    net, lan = leasing()
    web = net.host.containers.run("web", network=lan)
    net.run()
    wire = Wire(lan_bridge(net, lan))
    web.stop()
    assert wire.messages == [(2.0, "RELEASE", "10.0.0.1")]
    net.run()
    assert [lease.state for lease in lan.dhcp.leases] == ["released"]
    assert lan.attrs["Status"]["DHCP"] == {"LeasesUsed": 0, "LeasesFree": 10}
    web.start()
    net.run()
    assert wire.kinds[1:] == ["DISCOVER", "OFFER", "REQUEST", "ACK"]
    assert web.addresses == {"lan": "10.0.0.10"}


@pytest.mark.parametrize("cost", ["none", "linux"])
def test_the_release_arrives_although_the_interface_is_gone_in_the_same_instant(cost: str) -> None:
    net, lan = leasing(cost=cost)
    containers = [net.host.containers.run(f"c{number}", network=lan) for number in range(4)]
    net.run()
    for container in containers:
        container.remove(force=True)
    net.run()
    assert {lease.state for lease in lan.dhcp.leases} == {"released"}


def test_disconnect_releases_too_and_the_network_can_be_removed_then() -> None:
    net, lan = leasing()
    web = net.host.containers.run("web", network=["bridge", lan])
    net.run()
    with pytest.raises(emu.Conflict, match="has active endpoints"):
        lan.remove()
    lan.disconnect(web)
    net.run()
    assert [lease.state for lease in lan.dhcp.leases] == ["released"]
    lan.remove()
    net.networks.create("lan", subnet="10.0.0.0/24")


def test_a_host_that_crashes_releases_nothing_and_its_server_goes_on_with_its_leases() -> None:
    net, lan = leasing()
    web = net.host.containers.run("web", network=lan)
    net.run()
    wire = Wire(lan_bridge(net, lan))
    net.host.crash()
    assert (wire.messages, lan.dhcp.running) == ([], False)
    net.host.boot()
    web.start()
    net.run()
    assert wire.kinds == ["REQUEST", "ACK"]
    assert web.addresses == {"lan": "10.0.0.10"}


def test_a_lease_that_expires_takes_everything_with_it_and_a_new_one_brings_it_back() -> None:
    net, lan = leasing(lease_time="2min", dns="10.0.0.53", mtu=1400, routes={"192.168.5.0/24": "10.0.0.9"})
    web, db = (net.host.containers.run(name, network=lan) for name in ("web", "db"))
    net.run()
    assert "192.168.5.0/24 via 10.0.0.9" in web.namespace.routes.text()
    assert "default via 10.0.0.1" in web.namespace.routes.text()  # told among the classless routes
    lan.dhcp.stop()
    net.run(until="125s")
    why = "no DHCP lease on network lan: gave up in state SELECTING (no DHCP server runs on the network)"
    assert (web.addresses, endpoint(web).pending) == ({}, Pending(why))
    assert web.namespace.addresses(web.interface("eth0").device) == []
    assert (web.namespace.routes.text(), web.namespace.resolver.text()) == ("", "")
    assert web.interface("eth0").device.mtu == 1500
    assert db.resolve("web") == []
    assert not net.host.namespace.raw.drops("eth9", bytes((10, 0, 0, 10)))
    lan.dhcp.start()
    net.run(until="170s")
    assert web.addresses == {"lan": "10.0.0.10"}
    assert "192.168.5.0/24 via 10.0.0.9" in web.namespace.routes.text()
    assert web.namespace.resolver.text() == "nameserver 10.0.0.53\n"


def test_a_nak_takes_the_address_away_at_once() -> None:
    net, lan = leasing(lease_time="2min")
    web, other = (net.host.containers.run(name, network=lan) for name in ("web", "other"))
    net.run()
    wire = Wire(web.interface("eth0").device)
    table = lan.dhcp.table
    lease = table.of_address(bytes((10, 0, 0, 10)))
    assert lease is not None
    lease.key, lease.mac = b"\1somebody", b"\2\0\0\0\0\1"  # the server's administrator gives it to somebody else
    net.run(until="70s")
    assert wire.kinds == ["REQUEST", "NAK", "DISCOVER", "OFFER", "REQUEST", "ACK"]
    assert web.addresses == {"lan": "10.0.0.12"}
    assert other.addresses == {"lan": "10.0.0.11"}


def test_a_server_restarts_with_its_leases() -> None:
    net, lan = leasing(lease_time="2min")
    web = net.host.containers.run("web", network=lan)
    net.run()
    lan.dhcp.restart()
    assert [(lease.client, lease.address) for lease in lan.dhcp.leases] == [("web", "10.0.0.10")]
    db = net.host.containers.run("db", network=lan)
    net.run(until="70s")
    assert (web.addresses["lan"], db.addresses["lan"]) == ("10.0.0.10", "10.0.0.11")


def test_a_server_that_has_lost_its_leases_offers_used_addresses_and_clients_notice() -> None:
    net, lan = leasing(lease_time="2min")
    web = net.host.containers.run("web", network=lan)
    net.run()
    lan.dhcp.restart(keep_leases=False)
    assert lan.dhcp.leases == []
    db = net.host.containers.run("db", network=lan)
    wire = Wire(db.interface("eth0").device)
    net.run(until="55s")
    assert wire.kinds == ["DISCOVER", "OFFER", "REQUEST", "ACK", "DECLINE", "DISCOVER", "OFFER", "REQUEST", "ACK"]
    assert (web.addresses["lan"], db.addresses["lan"]) == ("10.0.0.10", "10.0.0.11")
    net.run(until="70s")  # web renews an address that is in quarantine by now
    assert (web.addresses["lan"], db.addresses["lan"]) == ("10.0.0.12", "10.0.0.11")


def test_a_fixed_address_is_asked_for_and_reserved_also_outside_the_range() -> None:
    net, lan = leasing()
    fixed = net.host.containers.run("fixed", network=lan, ipv4_address="10.0.0.11")
    outside = net.host.containers.run("outside", network=lan, ipv4_address="10.0.0.200")
    others = [net.host.containers.run(f"c{number}", network=lan) for number in range(2)]
    net.run()
    assert (fixed.addresses["lan"], outside.addresses["lan"]) == ("10.0.0.11", "10.0.0.200")
    assert [container.addresses["lan"] for container in others] == ["10.0.0.10", "10.0.0.12"]
    shown = fixed.attrs["NetworkSettings"]["Networks"]["lan"]["IPAMConfig"]
    assert shown == {"IPv4Address": "10.0.0.11"}
    fixed.stop()
    assert fixed.interface is not None
    net.run()
    newcomer = net.host.containers.run("newcomer", network=lan, ipv4_address="10.0.0.11")
    net.run()
    assert newcomer.addresses["lan"] == "10.0.0.11"


def test_a_fixed_address_that_is_taken_is_refused_in_docker_s_words() -> None:
    net, lan = leasing()
    net.host.containers.run("web", network=lan)
    net.host.containers.run("fixed", network=lan, ipv4_address="10.0.0.50")
    net.run()
    for address in ("10.0.0.10", "10.0.0.50", "10.0.0.1"):  # leased, fixed, the gateway's
        with pytest.raises(emu.Conflict, match="Address already in use"):
            net.host.containers.run("other", network=lan, ipv4_address=address)
    with pytest.raises(emu.InvalidValue, match="no configured subnet"):
        net.host.containers.run("other", network=lan, ipv4_address="10.9.9.9")
    assert "other" not in net.containers


def test_reservations_are_by_mac_address_or_by_name() -> None:
    reservations = {"02:42:00:00:00:05": "10.0.0.15", "web": "10.0.0.16"}
    net, lan = leasing(reservations=reservations, client_id="name", exclusions="10.0.0.10,10.0.0.12-10.0.0.14")
    web = net.host.containers.run("web", network=lan)
    by_mac = net.host.containers.run("mac", network=lan, mac_address="02:42:00:00:00:05")
    others = [net.host.containers.run(f"c{number}", network=lan) for number in range(2)]
    net.run()
    assert (web.addresses["lan"], by_mac.addresses["lan"]) == ("10.0.0.16", "10.0.0.15")
    assert [container.addresses["lan"] for container in others] == ["10.0.0.11", "10.0.0.17"]


def test_a_lease_that_conflicts_with_another_network_is_given_back_and_says_why() -> None:
    net, lan = leasing()
    web = net.host.containers.run("web", network=lan)
    web.namespace.add_address(web.interface("eth0").device, "10.0.0.10/25")
    ping = web.ping("10.0.0.1", count=1)
    net.run()
    assert "the lease can't be used: " in str(ping.value)
    assert "already: file exists" in str(ping.value)
    assert [lease.state for lease in lan.dhcp.leases] == ["released"]


def test_internal_networks_tell_of_no_gateway() -> None:
    net = emu.Emulation(cost="none")
    ipam = {"driver": "dhcp", "options": {"probe": "off"}}
    lan = net.networks.create("lan", subnet="10.0.0.0/24", ip_range="10.0.0.64/26", internal=True, ipam=ipam)
    web = net.host.containers.run("web", network=lan)
    net.run()
    assert web.addresses == {"lan": "10.0.0.65"}
    assert "default" not in web.namespace.routes.text()


def test_a_container_serves_and_stops_serving_when_it_stops() -> None:
    net, lan, dhcpd = served_elsewhere()
    service = dhcpd.serve_dhcp(range="10.0.0.100-10.0.0.109", gateway="none", probe="off")
    with pytest.raises(emu.Conflict, match="dhcpd:eth0 serves DHCP already"):
        dhcpd.serve_dhcp()
    web = net.host.containers.run("web", network=lan)
    net.run()
    assert web.addresses == {"lan": "10.0.0.100"}
    assert "default" not in web.namespace.routes.text()
    assert (service.used, service.free, lan.attrs["Status"]["DHCP"]["LeasesUsed"]) == (1, 9, 1)
    dhcpd.stop()
    assert not service.running
    with pytest.raises(emu.Conflict, match="container dhcpd is not running"):
        service.start()
    dhcpd.start()
    service.start()
    web.restart()
    net.run()
    assert web.addresses == {"lan": "10.0.0.100"}
    assert [lease.server for lease in net.result().leases] == ["dhcpd:eth0"]


def test_a_host_serves_a_network_that_has_no_server_of_its_own() -> None:
    net, lan, _ = served_elsewhere()
    service = net.host.serve_dhcp(lan, range="10.0.0.20-10.0.0.29", probe="off")
    web = net.host.containers.run("web", network=lan)
    net.run()
    assert web.addresses == {"lan": "10.0.0.20"}
    assert service.leases[0].client == "web"
    with pytest.raises(emu.NotFound, match="network lan has no DHCP server beside its gateway"):
        _ = lan.dhcp


def test_what_cannot_serve_says_why() -> None:
    net, lan = leasing()
    web = net.host.containers.run("web", network=lan)
    plain = net.networks.create("plain", subnet="10.1.0.0/24")
    app = net.host.containers.run("app", network=plain)
    for call, problem in (
        (lambda: web.serve_dhcp(), "web:eth0 has no address yet; give the container a fixed one"),
        (lambda: app.serve_dhcp(), "network plain gives its addresses out itself; say which ones are for DHCP"),
        (lambda: app.serve_dhcp("lo"), "app:lo is on no network"),
        (lambda: app.serve_dhcp(rang="10.1.0.9"), 'DHCP has no option "rang"; it knows range, exclusions'),
        (lambda: net.host.serve_dhcp(lan), "serves DHCP already"),
        (lambda: net.host.serve_dhcp(net.networks.get("host")), "network host has no bridge with an address on host1"),
        (lambda: net.host.serve_dhcp("lan"), "serve_dhcp: expected a network such as the one networks.create returns"),
        (lambda: app.serve_dhcp(range="10.1.0.9-10.1.0.8"), "DHCP range 10.1.0.9 to 10.1.0.8: expected addresses"),
    ):
        with pytest.raises(emu.EmuError, match=problem):
            call()
    assert net.dhcp_services == []


def test_clients_of_rfc_2131_wait_a_random_while_before_they_begin() -> None:
    net, lan = leasing(client="rfc2131")
    web = net.host.containers.run("web", network=lan)
    wire = Wire(web.interface("eth0").device)
    net.run()
    assert wire.kinds == ["DISCOVER", "OFFER", "REQUEST", "ACK"]
    assert 1 <= wire.messages[0][0] <= 10
    assert web.addresses == {"lan": "10.0.0.10"}


def test_a_container_on_two_leasing_networks_has_both_leases_and_the_first_name_s_default_route() -> None:
    net, lan = leasing()
    other = net.networks.create("aaa", subnet="10.2.0.0/24", ipam={"driver": "dhcp", "options": {"probe": "off"}})
    web = net.host.containers.run("web", network=[lan, other])
    ping = web.ping("10.2.0.1", count=1)
    net.run()
    assert (web.addresses, ping.result.received) == ({"aaa": "10.2.0.2", "lan": "10.0.0.10"}, 1)
    assert "default via 10.2.0.1 dev eth1" in web.namespace.routes.text()


def test_a_container_with_an_address_given_by_hand_is_told_the_parameters_when_it_informs() -> None:
    from scapy.layers.dhcp import BOOTP, DHCP
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    net, lan = leasing(static="10.0.0.5", dns="10.0.0.53")
    web = net.host.containers.run("web", network=lan, ipv4_address="10.0.0.5")
    mac = web.interface("eth0").mac
    asked = BOOTP(op=1, xid=7, ciaddr="10.0.0.5", chaddr=bytes.fromhex(mac.replace(":", "")))
    told = web.sniff(count=1, lfilter=lambda packet: DHCP in packet and packet[BOOTP].op == 2)
    inform = DHCP(options=[("message-type", "inform"), ("param_req_list", [6]), "end"])
    way = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="10.0.0.5", dst="255.255.255.255", id=1)
    net.at("10ms", web.send, way / UDP(sport=68, dport=67) / asked / inform)
    net.run()
    (answer,) = told.result
    assert (answer[IP].dst, answer[BOOTP].yiaddr) == ("10.0.0.5", "0.0.0.0")
    assert ("name_server", "10.0.0.53") in answer[DHCP].options
    assert lan.dhcp.leases == []
