"""What scripts do to containers, networks and servers in the middle of a lease, and what they are told then."""

from __future__ import annotations

from typing import Any

import pytest

import emu
from tests.emulation.test_dhcp_network import S, Wire, endpoint, leasing, served_elsewhere


def client_state(container: emu.Container) -> str:
    return endpoint(container).network.ipam_driver.client(endpoint(container)).state


def test_a_renewal_brings_new_parameters_into_effect() -> None:
    net, lan = leasing(lease_time="2min", dns="10.0.0.53", mtu=1400)
    web, db = (net.host.containers.run(name, network=lan) for name in ("web", "db"))
    net.run()
    lan.dhcp.stop()
    net.host.serve_dhcp(lan, dns="10.0.0.54", mtu=1300, gateway="10.0.0.9", routes={"192.168.5.0/24": "10.0.0.8"})
    wire = Wire(web.interface("eth0").device)
    net.run(until="61s")
    assert wire.kinds == ["REQUEST", "ACK"]
    assert web.namespace.resolver.text() == "nameserver 10.0.0.54\n"
    assert web.interface("eth0").device.mtu == 1300
    assert web.namespace.routes.text().splitlines()[0] == "default via 10.0.0.9 dev eth0 "
    assert "192.168.5.0/24 via 10.0.0.8" in web.namespace.routes.text()
    assert web.attrs["NetworkSettings"]["Networks"]["lan"]["Gateway"] == "10.0.0.9"
    assert (web.addresses["lan"], db.resolve("web")) == ("10.0.0.10", ["10.0.0.10"])


def test_a_renewal_brings_back_what_an_interface_lost_that_was_down() -> None:
    net, lan = leasing(lease_time="2min")
    web = net.host.containers.run("web", network=lan)
    net.at("10s", web.interface("eth0").down)
    net.at("11s", web.interface("eth0").up)
    net.run(until="12s")
    assert "default" not in web.namespace.routes.text()
    net.run(until="61s")
    assert "default via 10.0.0.1 dev eth0" in web.namespace.routes.text()
    web.namespace.remove_address(web.interface("eth0").device, "10.0.0.10/24")
    net.run(until="181s")
    assert web.namespace.addresses(web.interface("eth0").device) == ["10.0.0.10/24"]


def test_a_renewal_without_news_touches_nothing() -> None:
    net, lan = leasing(lease_time="2min")
    web = net.host.containers.run("web", network=lan)
    net.run()
    web.namespace.routes.add("192.168.7.0/24", device=web.interface("eth0").device, via="10.0.0.9")
    net.run(until="61s")
    assert "192.168.7.0/24 via 10.0.0.9" in web.namespace.routes.text()


@pytest.mark.parametrize("state", ["INIT", "SELECTING", "CHECKING", "BOUND", "RENEWING", "REBINDING"])
def test_a_container_may_stop_in_any_state_of_its_client_and_start_again(state: str) -> None:
    net, lan = leasing(lease_time="2min", probe="3s")
    web = net.host.containers.run("web", network=lan)
    if state == "INIT":
        lan.dhcp.stop()
        net.at("30s", lan.dhcp.start)
    elif state in ("RENEWING", "REBINDING"):
        net.at("20s", lan.dhcp.stop)

    def watch() -> Any:
        while client_state(web) != state:
            yield net.timeout("100ms")
        web.stop()

    net.spawn(watch())
    net.run(until="250s")
    assert web.state == "exited"
    assert web.addresses == {}
    lan.dhcp.start()
    web.start()
    net.run(until="300s")
    assert web.addresses == {"lan": "10.0.0.10"}
    assert [lease.state for lease in lan.dhcp.leases] == ["bound"]


def test_a_container_that_is_disconnected_in_mid_exchange_and_connected_again_gets_the_same_address() -> None:
    net, lan = leasing(probe="3s")
    web = net.host.containers.run("web", network=lan)
    net.run(until="1s")
    lan.disconnect(web)
    assert web.addresses == {}
    lan.connect(web)
    net.run()
    assert web.addresses == {"lan": "10.0.0.10"}
    assert lan.dhcp.used == 1


def test_an_address_that_is_not_there_yet_is_a_failed_expectation_that_says_why() -> None:
    net, lan = leasing()
    web = net.host.containers.run("web", network=lan)
    net.expect("web has an address", lambda: web.addresses["lan"] == "10.0.0.10")
    (early,) = net.run(until="1s").expectations
    assert (early.met, early.problem) == (
        False, "container web has no address on network lan: waiting for a DHCP lease"
    )  # fmt: skip
    (late,) = net.run().expectations
    assert late.met
    with pytest.raises(emu.NotFound, match=r"container web has no address on network wan$"):
        _ = web.addresses["wan"]


def test_a_server_of_a_removed_network_or_a_crashed_host_does_not_start() -> None:
    net, lan = leasing()
    server = lan.dhcp
    net.host.crash()
    with pytest.raises(emu.Conflict, match=r"host1 has crashed; boot\(\) it first"):
        server.start()
    assert not server.running
    net.host.boot()
    assert server.running
    lan.remove()
    with pytest.raises(emu.Conflict, match="network lan has been removed"):
        server.start()
    assert not server.running


def test_a_server_stopped_before_its_host_crashes_is_not_started_by_the_boot() -> None:
    net, lan = leasing()
    lan.dhcp.stop()
    net.host.crash()
    net.host.boot()
    assert not lan.dhcp.running
    lan.dhcp.start()
    assert lan.dhcp.running


def test_a_container_that_comes_back_after_the_end_of_its_lease_asks_for_its_address_anew() -> None:
    net, lan = leasing(lease_time="2min")
    web = net.host.containers.run("web", network=lan)
    net.run()
    net.host.crash()
    net.run(until="130s")
    assert [lease.state for lease in lan.dhcp.leases] == ["expired"]
    net.host.boot()
    wire = Wire(net.host.interface(str(lan.bridge)).device)
    web.start()
    net.run()
    assert wire.kinds == ["DISCOVER", "OFFER", "REQUEST", "ACK"]
    assert web.addresses == {"lan": "10.0.0.10"}


def test_a_server_on_a_network_with_docker_s_addresses_ends_with_the_network() -> None:
    net = emu.Emulation(seed=1, cost="none")
    lan = net.networks.create("lan", subnet="10.0.0.0/24")
    server = net.host.serve_dhcp(lan, range="10.0.0.100-10.0.0.199")
    assert server.running
    lan.remove()
    assert not server.running
    with pytest.raises(emu.NotFound, match="network lan not found"):
        server.start()


def test_a_fixed_address_other_than_the_one_reserved_for_the_client_is_refused() -> None:
    net, lan = leasing(reservations={"02:42:00:00:00:05": "10.0.0.12"})
    keywords = {"network": lan, "mac_address": "02:42:00:00:00:05"}
    with pytest.raises(emu.Conflict, match=r"ipv4_address 10\.0\.0\.13: .* reservations keeps 10\.0\.0\.12 for"):
        net.host.containers.run("web", ipv4_address="10.0.0.13", **keywords)
    assert "web" not in net.containers
    web = net.host.containers.run("web", ipv4_address="10.0.0.12", **keywords)
    net.run()
    assert web.addresses == {"lan": "10.0.0.12"}
    web.remove(force=True)
    net.run()
    other = net.host.containers.run("other", **keywords)  # the reservation is the option's, and stays
    net.run()
    assert other.addresses == {"lan": "10.0.0.12"}


def test_a_tcp_connection_waits_for_both_leases() -> None:
    net, lan = leasing()
    web, db = (net.host.containers.run(name, network=lan) for name in ("web", "db"))
    got: list[bytes] = []
    listener = db.tcp_listen(80)

    def server() -> Any:
        connection = yield listener.accept()
        got.append((yield connection.recv()))

    def client(socket: Any) -> Any:
        yield socket.connected
        yield socket.send(b"hello")
        return net.now

    db.spawn(server())
    task = net.spawn(client(web.tcp_connect("db", 80)))
    net.run()
    assert (got, task.result) == ([b"hello"], 2 * S)


def test_a_tcp_connection_to_a_container_that_gets_no_lease_fails_with_the_reason() -> None:
    net, lan, dhcpd = served_elsewhere()
    net.host.containers.run("web", network=lan)
    socket = dhcpd.tcp_connect("web", 80)

    def client() -> Any:
        try:
            yield socket.connected
        except emu.LeaseTimeout as error:
            return str(error)

    task = net.spawn(client())
    net.run()
    assert task.result == (
        "dhcpd: tcp to web:80: container web: no DHCP lease on network lan: gave up in state SELECTING "
        "(no DHCP server runs on the network)"
    )


def test_a_lease_shorter_than_the_run_survives_a_cable_that_loses_most_frames_for_a_while() -> None:
    net, lan = leasing(lease_time="2min")
    containers = [net.host.containers.run(f"c{number}", network=lan) for number in range(4)]
    for container in containers:
        net.at("10s", container.interface("eth0").set, loss="70%")
        net.at("600s", container.interface("eth0").set, loss="0%")
    net.run(until="900s")
    assert sorted(container.addresses["lan"] for container in containers) == [f"10.0.0.{n}" for n in range(10, 14)]
    assert lan.dhcp.used == 4


def test_the_longest_names_find_room_in_messages_or_are_refused() -> None:
    net, lan = leasing(client_id="name", probe="3s")
    longest = net.host.containers.run("w" * 128, network=lan)
    with pytest.raises(emu.InvalidValue, match=r"expected container names of at most 128 characters, not one of 129"):
        net.host.containers.run("w" * 129, network=lan)
    net.run()
    assert longest.addresses == {"lan": "10.0.0.10"}
    assert [lease.client for lease in lan.dhcp.leases] == ["w" * 64]
    assert lan.cnm.endpoints.keys() == {endpoint(longest).id}


def test_docker_s_own_keys_describe_a_leasing_network() -> None:
    net = emu.Emulation(seed=1, cost="none")
    config = {"Subnet": "10.0.0.0/24", "IPRange": "10.0.0.64/26", "Gateway": "10.0.0.254",
              "AuxiliaryAddresses": {"printer": "10.0.0.65"}}  # fmt: skip
    lan = net.networks.create("lan", ipam={"Driver": "dhcp", "Config": [config], "Options": {"probe": "off"}})
    web, db = (net.host.containers.run(name, network=lan) for name in ("web", "db"))
    net.run()
    assert (web.addresses["lan"], db.addresses["lan"]) == ("10.0.0.64", "10.0.0.66")
    assert lan.attrs["IPAM"] == {"Driver": "dhcp", "Options": {"probe": "off"}, "Config": [config]}
    assert "default via 10.0.0.254 dev eth0" in web.namespace.routes.text()
