"""The options of the address manager dhcp: each is read, checked, and refused with one line that names it."""

from __future__ import annotations

from typing import Any

import pytest

from emu.cnm.ipam.dhcp import DhcpIpam
from emu.kernel.errors import EmuError, InvalidValue
from emu.wire.address import ipv4_to_bytes
from emu.wire.dhcp import INFINITE_LEASE_S
from tests.cnm.lab import Lab


def settings_of(**options: Any) -> Any:
    network = Lab("29").controller.create_network(
        "lan", subnet="10.0.0.0/24", ipam={"driver": "dhcp", "options": options}
    )
    assert isinstance(network.ipam_driver, DhcpIpam)
    service = network.ipam_driver.gateway_service(network)
    assert service is not None
    return service.settings


def addresses(*texts: str) -> list[bytes]:
    return [ipv4_to_bytes(text) for text in texts]


def test_without_options_a_network_serves_its_whole_subnet_for_an_hour_and_probes_as_dnsmasq_does() -> None:
    settings = settings_of()
    assert [settings.first, settings.last] == addresses("10.0.0.1", "10.0.0.254")
    assert not settings.is_in_range(*addresses("10.0.0.1"))  # the gateway's own
    assert (settings.lease_s, settings.t1, settings.t2) == (3600, 1800, 3150)
    assert (settings.router, settings.authoritative) == (*addresses("10.0.0.1"), True)
    assert (settings.probe_wait_ns, settings.quarantine_ns) == (3_000_000_000, 600_000_000_000)


def test_every_option_reaches_the_server() -> None:
    settings = settings_of(
        range="10.0.0.10-10.0.0.99",
        exclusions=["10.0.0.20", "10.0.0.30-10.0.0.32"],
        reservations={"02:42:00:00:00:05": "10.0.0.5", "web": "10.0.0.6", "id:ff0102": "10.0.0.7"},
        gateway="10.0.0.254",
        dns="10.0.0.53, 10.0.0.54",
        domain="lan.example",
        mtu=1400,
        routes={"192.168.5.0/24": "10.0.0.9"},
        lease_time="10min",
        t1="4min",
        t2="8min",
        authoritative=False,
        probe="500ms",
        quarantine="off",
        static="10.0.0.2",
    )
    assert [settings.first, settings.last] == addresses("10.0.0.10", "10.0.0.99")
    excluded = addresses("10.0.0.20", "10.0.0.30", "10.0.0.31", "10.0.0.32", "10.0.0.2")
    assert settings.exclusions == frozenset(excluded)
    assert settings.reservations == dict(
        zip(
            (bytes.fromhex("024200000005"), b"\0web", b"\xff\x01\x02"),
            addresses("10.0.0.5", "10.0.0.6", "10.0.0.7"),
            strict=True,
        )
    )
    (gateway,) = addresses("10.0.0.254")
    assert settings.router == gateway
    assert settings.dns == addresses("10.0.0.53", "10.0.0.54")
    assert (settings.domain, settings.mtu) == ("lan.example", 1400)
    assert settings.routes == [(bytes((192, 168, 5, 0)), 24, bytes((10, 0, 0, 9))), (bytes(4), 0, gateway)]
    assert (settings.lease_s, settings.t1, settings.t2) == (600, 240, 480)
    assert (settings.authoritative, settings.probe_wait_ns, settings.quarantine_ns) == (False, 500_000_000, 0)


def test_a_lease_can_be_for_ever_and_a_default_route_is_told_once() -> None:
    settings = settings_of(lease_time="infinite", routes="0.0.0.0/0=10.0.0.8")
    assert settings.lease_s == INFINITE_LEASE_S
    assert settings.routes == [(bytes(4), 0, bytes((10, 0, 0, 8)))]
    assert settings_of(gateway="none", routes="192.168.0.0/16=10.0.0.8").router is None


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("leasetime", "1h", 'DHCP has no option "leasetime"; it knows range, exclusions, reservations'),
        ("range", "10.0.0.10", 'DHCP option range "10.0.0.10": expected a first and a last address such as'),
        ("range", "10.0.0.10-x", 'DHCP option range "10.0.0.10-x": expected IPv4 addresses such as 10.0.0.5'),
        ("range", "10.0.0.20-10.0.0.10", "DHCP range 10.0.0.20 to 10.0.0.10: expected addresses of the server's"),
        ("range", "10.1.0.20-10.1.0.30", "DHCP range 10.1.0.20 to 10.1.0.30: expected addresses of the server's"),
        ("exclusions", "many", 'DHCP option exclusions "many": expected IPv4 addresses'),
        ("reservations", "web", 'DHCP option reservations "web": expected pairs such as 02:42:00:00:00:05=10.0.0.5'),
        ("reservations", "id:xyz=10.0.0.5", "expected hex digits after id:"),
        ("reservations", "web=10.0.0.5,db=10.0.0.5", "expected one client for each address"),
        ("reservations", "web=10.9.0.5", "DHCP reservation of 10.9.0.5: expected another address of the server's"),
        ("reservations", "web=10.0.0.1", "DHCP reservation of 10.0.0.1: expected another address of the server's"),
        ("gateway", "10.9.0.1", 'DHCP option gateway "10.9.0.1": expected an address of 10.0.0.0/24, or "none"'),
        ("dns", "ns1", 'DHCP option dns "ns1": expected IPv4 addresses'),
        ("domain", "", 'DHCP option domain "": expected a domain name'),
        ("domain", "a b", 'DHCP option domain "a b": expected a domain name'),
        ("mtu", "67", 'DHCP option mtu "67": expected a number from 68 to 65535'),
        ("mtu", "many", 'DHCP option mtu "many": expected a number from 68 to 65535'),
        ("routes", "192.168.5.0/24", "expected pairs such as 192.168.5.0/24=10.0.0.9"),
        ("routes", "192.168.5.1/24=10.0.0.9", "expected networks without host bits"),
        ("lease_time", "600", 'DHCP option lease_time "600": expected a time such as "10min" or "90s", or "infinite"'),
        ("lease_time", "1500ms", "expected whole seconds, at least one"),
        ("lease_time", "60s", "DHCP lease time 60 s: expected at least 120 s"),
        ("t1", "55min", "DHCP times: expected T1 3300 s <= T2"),
        ("t1", "0s", 'DHCP option t1 "0s": expected whole seconds, at least one'),
        ("t2", "2h", "DHCP times: expected T1"),
        ("authoritative", "yes", 'DHCP option authoritative "yes": expected true or false'),
        ("probe", "soon", 'DHCP option probe "soon": expected a time'),
        ("quarantine", "-1s", 'DHCP option quarantine "-1s": expected a time'),
        ("server", "host2", 'DHCP option server "host2": expected "gateway" or "none"'),
        ("client", "dhclient", 'DHCP option client "dhclient": expected "udhcpc" or "rfc2131"'),
        ("client_id", "uuid", 'DHCP option client_id "uuid": expected "mac" or "name"'),
        ("static", "10.9.0.5", 'DHCP option static "10.9.0.5": expected addresses of 10.0.0.0/24'),
        ("static", "10.0.0.255", "expected addresses of 10.0.0.0/24 that hosts can have"),
        ("exclusions", "10.0.0.9-10.0.0.5", "expected addresses of 10.0.0.0/24, the lower one first"),
        ("exclusions", "10.9.0.5", 'exclusions "10.9.0.5-10.9.0.5": expected addresses of 10.0.0.0/24'),
        ("reservations", "=10.0.0.5", "expected a MAC address or a client identifier before the ="),
        ("reservations", "id:=10.0.0.5", "expected hex digits after id:, for two bytes at least"),
        ("gateway", "10.0.0.255", 'DHCP option gateway "10.0.0.255": expected an address of 10.0.0.0/24'),
        ("domain", "lan\n", 'DHCP option domain "lan\\n": expected a domain name'),
        ("domain", "lan..example", 'DHCP option domain "lan..example": expected a domain name'),
        ("domain", "x" * 64, "expected a domain name"),
        ("domain", "x" * 300, f'DHCP option domain "{"x" * 100}…": expected a domain name'),
        ("lease_time", "5000000000s", "expected at least 120 s and at most 4294967294 s, or no end"),
        ("dns", ["10.0.0.53"] * 200, "DHCP options: what clients are told (routes, dns, domain) finds no room"),
        ("dns", 7.5, "ipam option dns: expected text, a whole number, or a list or dict of texts, not 7.5"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_option(option: str, value: Any, expected: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        settings_of(**{option: value})
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_that_do_not_fit_together_are_refused() -> None:
    controller = Lab("29").controller
    for keywords, expected in (
        (
            {"options": {"server": "none", "lease_time": "1h"}},
            'lease_time: with server "none" it belongs to serve_dhcp',
        ),
        ({"options": {"static": "10.0.0.5", "reservations": "web=10.0.0.5"}}, "10.0.0.5 is in use by something else"),
        ({"config": [{"subnet": "10.0.0.0/31"}]}, "DHCP server: prefix length 31: expected 1 to 30"),
    ):
        subnet = None if "config" in keywords else "10.0.0.0/24"
        with pytest.raises(EmuError) as caught:
            controller.create_network("lan", subnet=subnet, ipam={"driver": "dhcp"} | keywords)
        assert expected in str(caught.value)
    for driver in ("host", "null"):
        with pytest.raises(EmuError):
            controller.create_network("lan", driver=driver, ipam="dhcp")
    controller.create_network("lan", subnet="10.0.0.0/24")


def test_default_pools_are_shared_with_the_default_address_manager() -> None:
    controller = Lab("29").controller
    first = controller.create_network("one", ipam="dhcp")
    second = controller.create_network("two")
    assert (str(first.subnet), str(second.subnet)) == ("172.18.0.0/16", "172.19.0.0/16")
    with pytest.raises(EmuError, match="Pool overlaps"):
        controller.create_network("three", subnet="172.18.5.0/24", ipam="dhcp")
    controller.remove_network("one")
    assert str(controller.create_network("four").subnet) != "172.19.0.0/16"
