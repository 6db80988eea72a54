"""Networks, endpoints and sandboxes come and go, and after an error nothing half-made is left."""

from __future__ import annotations

from typing import Any

import pytest

from emu.cnm.endpoint import EndpointSettings
from emu.cnm.ids import format_mac
from emu.kernel.errors import Conflict, EmuError, InvalidValue, NotFound, NotSupported
from tests.cnm.lab import Lab

ENGINES = ("20.10", "28", "29")


def everything(lab: Lab) -> Any:
    """Return all state an error could leave something in."""
    controller = lab.controller
    return (
        [(n.name, n.id, sorted(n.endpoints)) for n in controller.networks()],
        [n.attrs.get("Status") for n in controller.networks()],
        sorted(lab.namespace.devices),
        lab.namespace.routes.text(),
        lab.namespace.filter.text().splitlines()[1:],
        sorted(controller._sandboxes),
    )


def test_a_controller_starts_with_the_three_predefined_networks() -> None:
    lab = Lab()
    assert [(n.name, n.driver_name) for n in lab.controller.networks()] == [
        ("none", "null"),
        ("host", "host"),
        ("bridge", "bridge"),
    ]
    assert lab.namespace.addresses(lab.namespace.device("docker0")) == ["172.17.0.1/16"]
    assert lab.namespace.sysctl["net.ipv4.ip_forward"] == 1


def test_a_container_gets_a_veth_pair_an_address_and_a_default_route() -> None:
    lab = Lab()
    sandbox = lab.container("web", "bridge").sandbox
    assert sandbox is not None
    device = sandbox.namespace.device("eth0")
    assert device.label == "web:eth0"
    assert sandbox.namespace.addresses(device) == ["172.17.0.2/16"]
    assert sandbox.namespace.routes.text().startswith("default via 172.17.0.1 dev eth0")
    host_ends = [name for name in lab.namespace.devices if name.startswith("veth")]
    assert len(host_ends) == 1
    assert len(host_ends[0]) == 11
    assert lab.namespace.device(host_ends[0]).master is lab.namespace.device("docker0")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stopped_container_leaves_nothing_behind(engine: str) -> None:
    lab = Lab(engine)
    lab.controller.create_network("net1", subnet="10.1.0.0/24")
    before = everything(lab)
    container = lab.container("web", "bridge", "net1")
    assert everything(lab) != before
    container.stop()
    assert everything(lab) == before


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "arguments",
    [
        {"subnet": "10.2.0.0/24", "gateway": "10.2.0.0"},
        {"subnet": "10.2.0.0/24", "gateway": "10.2.0.1", "aux_addresses": {"x": "10.2.0.9", "y": "10.2.0.1"}},
        {"subnet": ["10.2.0.0/24", "10.3.0.0/24"]},
        {"subnet": "10.1.0.0/25"},
        {"subnet": "10.1.0.0/24", "ip_range": "10.1.0.0/28"},
        {"subnet": "10.2.0.0/24", "options": {"com.docker.network.bridge.name": "docker0"}},
        {"subnet": "10.2.0.0/24", "options": {"com.docker.network.bridge.name": "eth0"}},
        {"options": {"com.docker.network.driver.mtu": "many"}},
        {"options": {"com.docker.network.bridge.gateway_mode_ipv4": "routed"}},
        {"options": {"com.docker.network.bridge.enable_ic": "false"}},
        {"driver": "overlay"},
        {"ipv6": True},
        {"ipam": "etcd"},
        {"ipam": {"driver": "dhcp", "options": {"lease_time": "1s"}}},
        {"ipam": {"driver": "dhcp", "options": {"static": "10.9.0.5"}}},
        {"ipam": "dhcp", "internal": True, "options": {"com.docker.network.bridge.inhibit_ipv4": "true"}},
        {"aux_addresses": {"DefaultGatewayIPv4": "10.9.0.1"}, "subnet": "10.2.0.0/24"},
    ],
)
def test_a_network_that_cannot_be_created_leaves_nothing_behind(engine: str, arguments: dict[str, Any]) -> None:
    lab = Lab(engine)
    lab.controller.create_network("net1", subnet="10.1.0.0/24")
    before = everything(lab)
    with pytest.raises(EmuError):
        lab.controller.create_network("net2", **arguments)
    assert everything(lab) == before
    lab.controller.create_network("net2", subnet="10.2.0.0/24")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "settings",
    [
        EndpointSettings(ipv4_address="10.1.0.1"),
        EndpointSettings(ipv4_address="10.9.0.1"),
        EndpointSettings(mac_address="01:00:5e:00:00:01"),
        EndpointSettings(mac_address="zz"),
        EndpointSettings(driver_opts={"unknown": "x"}),
        EndpointSettings(driver_opts={"com.docker.network.endpoint.ifname": "lo"}),
        EndpointSettings(driver_opts={"com.docker.network.endpoint.sysctls": "x=1"}),
    ],
    ids=str,
)
def test_a_connection_that_fails_leaves_nothing_behind(engine: str, settings: EndpointSettings) -> None:
    lab = Lab(engine)
    lab.controller.create_network("net1", subnet="10.1.0.0/24")
    container = lab.container("web", "bridge")
    assert container.sandbox is not None
    before = everything(lab), container.network_settings(), container.sandbox.namespace.routes.text()
    with pytest.raises(EmuError):
        container.connect("net1", settings)
    assert (everything(lab), container.network_settings(), container.sandbox.namespace.routes.text()) == before


@pytest.mark.parametrize("engine", ENGINES)
def test_a_container_whose_second_network_fails_does_not_start_and_keeps_nothing(engine: str) -> None:
    lab = Lab(engine)
    lab.controller.create_network("tiny", subnet="10.1.0.0/30")
    lab.container("first", "tiny")
    before = everything(lab)
    with pytest.raises(Conflict, match="no available IPv4 addresses on this network's address pools: tiny"):
        lab.container("second", "bridge", "tiny")
    assert everything(lab) == before


def test_the_default_route_stays_when_a_connection_that_would_own_it_fails() -> None:
    lab = Lab()
    lab.controller.create_network("aaa", subnet="10.1.0.0/24")
    container = lab.container("web", "bridge")
    with pytest.raises(InvalidValue):
        container.connect("aaa", EndpointSettings(mac_address="01:00:5e:00:00:01"))
    assert container.sandbox is not None
    assert "default via 172.17.0.1 dev eth0" in container.sandbox.namespace.routes.text()


def test_an_unknown_driver_is_named_in_docker_s_words() -> None:
    with pytest.raises(NotFound) as caught:
        Lab().controller.create_network("x", driver="overlay")
    assert str(caught.value) == 'plugin "overlay" not found'


def test_ipv6_is_refused_because_it_is_not_built() -> None:
    with pytest.raises(NotSupported, match="ipv6=True: IPv6 networks are not built yet"):
        Lab().controller.create_network("x", ipv6=True)
    with pytest.raises(NotSupported, match="subnet fd00::/64: IPv6 networks are not built yet"):
        Lab().controller.create_network("x", subnet="fd00::/64")


def test_networks_are_found_by_name_id_and_unique_beginning_of_an_id() -> None:
    lab = Lab()
    network = lab.controller.create_network("net1")
    assert lab.controller.network("net1") is network
    assert lab.controller.network(network.id) is network
    assert lab.controller.network(network.id[:10]) is network
    with pytest.raises(NotFound, match="network nothing not found"):
        lab.controller.network("nothing")


def test_a_beginning_of_several_ids_is_ambiguous() -> None:
    lab = Lab()
    first = {network.id[0] for network in lab.controller.networks()}
    for number in range(20):
        first.add(lab.controller.create_network(f"n{number}").id[0])
    ids = [network.id for network in lab.controller.networks()]
    prefix = next(d for d in sorted(first) if sum(i.startswith(d) for i in ids) > 1)
    with pytest.raises(Conflict, match=rf"network {prefix} is ambiguous \(\d+ matches found based on ID prefix\)"):
        lab.controller.network(prefix)


def test_prune_removes_unused_networks_only() -> None:
    lab = Lab()
    lab.controller.create_network("used", subnet="10.1.0.0/24")
    lab.controller.create_network("unused", subnet="10.2.0.0/24")
    lab.container("web", "used")
    assert lab.controller.prune_networks() == ["unused"]
    assert [network.name for network in lab.controller.networks()] == ["none", "host", "bridge", "used"]


def test_a_sandbox_can_be_deleted_once_and_its_container_can_have_one_only() -> None:
    lab = Lab()
    sandbox = lab.controller.create_sandbox("web", "a" * 64)
    with pytest.raises(Conflict, match=f"container {'a' * 64} is already present in sandbox {sandbox.id}"):
        lab.controller.create_sandbox("web", "a" * 64)
    sandbox.delete()
    with pytest.raises(Conflict, match="another sandbox delete in progress"):
        sandbox.delete()
    with pytest.raises(EmuError, match="the sandbox of container web has been deleted"):
        lab.controller.connect("bridge", sandbox)


def test_a_container_on_the_host_network_uses_the_host_s_namespace() -> None:
    lab = Lab()
    container = lab.container("web", "host")
    assert container.sandbox is not None
    assert container.sandbox.namespace is lab.namespace
    lab.controller.create_network("net1")
    with pytest.raises(Conflict, match="container sharing network namespace with another container or host"):
        container.connect("net1")
    with pytest.raises(Conflict, match="cannot disconnect container from host network"):
        container.disconnect("host")
    container.stop()
    assert "docker0" in lab.namespace.devices


def test_a_container_on_none_has_only_its_loopback_interface() -> None:
    container = Lab().container("web", "none")
    assert container.sandbox is not None
    assert list(container.sandbox.namespace.devices) == ["lo"]


def test_a_script_that_set_the_interface_down_can_still_stop_the_container() -> None:
    lab = Lab()
    container = lab.container("web", "bridge")
    assert container.sandbox is not None
    container.sandbox.namespace.device("eth0").set_down()
    container.stop()
    assert not [name for name in lab.namespace.devices if name.startswith("veth")]


def test_mac_addresses_follow_the_engine() -> None:
    old = Lab("20.10").container("web", "bridge")
    assert old.network_settings()["MacAddress"] == "02:42:ac:11:00:02"
    lab = Lab("29")
    container = lab.container("web", "bridge")
    seen = set()
    for _ in range(3):
        assert container.sandbox is not None
        mac = container.sandbox.endpoints[0].mac
        assert mac is not None
        assert mac[0] & 3 == 2
        seen.add(format_mac(mac))
        container.stop()
        container.start()
    assert len(seen) == 3


def test_bridge_mac_addresses_follow_the_engine() -> None:
    assert Lab("20.10").namespace.device("docker0").mac[:2] == b"\x02\x42"
    for engine in ("28", "29"):
        assert Lab(engine).namespace.device("docker0").mac[0] & 3 == 2


def test_the_same_seed_gives_the_same_ids_and_another_seed_others() -> None:
    def ids(seed: int) -> list[str]:
        lab = Lab(seed=seed)
        lab.container("web", "bridge")
        return [n.id for n in lab.controller.networks()] + sorted(lab.namespace.devices)

    assert ids(1) == ids(1)
    assert not set(ids(1)) & set(ids(2)) - {"lo", "eth0", "docker0"}


def test_the_bridge_s_mtu_follows_the_engine() -> None:
    for engine, before in (("20.10", 1500), ("28", 1400), ("29", 1400)):
        lab = Lab(engine)
        network = lab.controller.create_network("m", options={"com.docker.network.driver.mtu": 1400})
        bridge = lab.namespace.device(f"br-{network.id[:12]}")
        assert bridge.mtu == before, engine
        container = lab.container("web", "m")
        assert container.sandbox is not None
        assert container.sandbox.namespace.device("eth0").mtu == 1400
        assert bridge.mtu == 1400


def test_options_name_the_bridge_and_the_interfaces() -> None:
    lab = Lab()
    lab.controller.create_network(
        "lan",
        options={"com.docker.network.bridge.name": "lan0", "com.docker.network.container_iface_prefix": "net"},
    )
    container = lab.container("web", "lan")
    assert container.sandbox is not None
    assert "lan0" in lab.namespace.devices
    assert "net0" in container.sandbox.namespace.devices
    container.disconnect("lan")
    container.connect("lan", EndpointSettings(driver_opts={"com.docker.network.endpoint.ifname": "up7"}))
    assert "up7" in container.sandbox.namespace.devices


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"com.docker.network.advertise_addr_nmsgs": 4},
         "com.docker.network.advertise_addr_nmsgs must be in the range 0 to 3"),
        ({"com.docker.network.advertise_addr_ms": 99},
         "com.docker.network.advertise_addr_ms must be in the range 100 to 2000"),
        ({"com.docker.network.driver.mtu": -1}, "invalid MTU number: -1"),
        ({"com.docker.network.bridge.name": "a-very-long-bridge"}, "numerical result out of range"),
        ({"com.docker.network.bridge.enable_icc": "maybe"}, "failed to parse .*enable_icc value: maybe"),
    ],
)  # fmt: skip
def test_wrong_option_values_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValue, match=text):
        Lab().controller.create_network("x", options=options)


def test_inhibit_ipv4_leaves_the_bridge_without_an_address() -> None:
    lab = Lab()
    network = lab.controller.create_network(
        "inh", subnet="10.66.0.0/24", options={"com.docker.network.bridge.inhibit_ipv4": True}
    )
    assert lab.namespace.addresses(lab.namespace.device(f"br-{network.id[:12]}")) == []
    assert str(network.gateway) == "10.66.0.1/24"


def test_the_auxiliary_address_defaultgatewayipv4_is_the_containers_gateway() -> None:
    lab = Lab()
    network = lab.controller.create_network(
        "gw", subnet="10.66.0.0/24", aux_addresses={"DefaultGatewayIPv4": "10.66.0.254"}
    )
    container = lab.container("web", "gw")
    assert container.sandbox is not None
    assert "default via 10.66.0.254" in container.sandbox.namespace.routes.text()
    assert lab.namespace.addresses(lab.namespace.device(f"br-{network.id[:12]}")) == ["10.66.0.1/24"]


def test_the_engine_api_s_ipam_object_is_checked_as_the_daemon_checks_it() -> None:
    controller = Lab("29").controller
    entry = {"Subnet": "10.67.0.0/24"}
    parent = "parent subnet 10.67.0.0/24 doesn't contain"
    for extra, text in (
        ({"Gateway": "10.68.0.1"}, f"invalid gateway 10.68.0.1: {parent} this address"),
        ({"IPRange": "10.68.0.0/28"}, f"invalid ip-range 10.68.0.0/28: {parent} ip-range"),
        (
            {"IPRange": "10.0.0.0/8"},
            "invalid ip-range 10.0.0.0/8: CIDR block is bigger than its parent subnet 10.67.0.0/24",
        ),
    ):
        with pytest.raises(InvalidValue) as caught:
            controller.create_network("rg", ipam={"Config": [entry | extra]})
        assert str(caught.value) == f"invalid network config:\n{text}"
    with pytest.raises(InvalidValue, match='ipam: unknown key "configs"; known keys are Config, Driver, Options'):
        controller.create_network("rg", ipam={"configs": []})
    with pytest.raises(InvalidValue, match='ipam: the key "Config" is given twice'):
        controller.create_network("rg", ipam={"config": [], "Config": []})
    network = controller.create_network(
        "ok", ipam={"Driver": "default", "Options": {"com.docker.network.ipam.serial": "true"}, "Config": [entry]}
    )
    assert network.attrs["IPAM"]["Options"] == {"com.docker.network.ipam.serial": "true"}


def test_the_small_keys_of_compose_files_mean_the_same() -> None:
    small = {
        "subnet": "10.67.0.0/24",
        "ip_range": "10.67.0.64/26",
        "gateway": "10.67.0.9",
        "aux_addresses": {"a": "10.67.0.70"},
    }
    network = Lab("29").controller.create_network(
        "ok", ipam={"driver": "default", "options": {"com.docker.network.ipam.serial": True}, "config": [small]}
    )
    assert network.attrs["IPAM"] == {
        "Driver": "default",
        "Options": {"com.docker.network.ipam.serial": "true"},
        "Config": [
            {
                "Subnet": "10.67.0.0/24",
                "IPRange": "10.67.0.64/26",
                "Gateway": "10.67.0.9",
                "AuxiliaryAddresses": {"a": "10.67.0.70"},
            }
        ],
    }


def test_default_pools_avoid_the_host_s_routes_with_a_next_hop_in_20_10_only() -> None:
    for engine, expected in (("20.10", "172.20.0.0/16"), ("28", "172.18.0.0/16"), ("29", "172.18.0.0/16")):
        lab = Lab(engine)
        lab.namespace.routes.add("172.18.0.0/15", via="203.0.113.1")
        assert str(lab.controller.create_network("n").subnet) == expected, engine


def test_default_pools_avoid_what_is_on_link_in_every_engine() -> None:
    for engine in ENGINES:
        lab = Lab(engine)
        lab.namespace.add_address(lab.namespace.device("eth0"), "172.18.5.1/24")
        assert str(lab.controller.create_network("n").subnet) == "172.19.0.0/16", engine


def test_an_unknown_option_of_the_address_manager_is_refused() -> None:
    with pytest.raises(InvalidValue, match='ipam driver "default" has no option "seriel"'):
        Lab().controller.create_network("n", ipam={"Options": {"seriel": "true"}})


def test_serial_allocation_can_be_asked_for_by_an_option() -> None:
    lab = Lab()
    lab.controller.create_network(
        "n", ipam={"Options": {"com.docker.network.ipam.serial": "true"}, "Config": [{"Subnet": "10.1.0.0/24"}]}
    )
    lab.container("first", "n").stop()
    second = lab.container("second", "n")
    assert second.network_settings()["Networks"]["n"]["IPAddress"] == "10.1.0.3"
