"""emu's client leases from a real server, dnsmasq, whose lease file says what it thinks of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emu.traffic import dhcp_profile
from emu.wire.address import ipv4_to_bytes, mac_to_text
from tests.stack.world import SECOND, Pinger
from tests.strangers.namespaces import STRANGER, Segment, skip_without
from tests.strangers.pump import PacedLan, conversation_at
from tests.traffic.dhcp_lan import Client

pytestmark = pytest.mark.root

SERVER, ANY, ALL = "10.0.0.2", "0.0.0.0", "255.255.255.255"
LEASE = ["DISCOVER", "OFFER", "REQUEST", "ACK"]
FASTER = 1 / 20
"""Real seconds per virtual second: the ARP probe takes 0.1 s, T1 of dnsmasq's shortest lease comes after 3 s."""


@pytest.fixture
def segment(tmp_path):
    skip_without("dnsmasq")
    with Segment(tmp_path) as made:
        made.add_address(f"{SERVER}/24")
        yield made


@pytest.fixture(params=["udhcpc", "rfc2131"])
def profile(request, monkeypatch):
    """A profile that does not wait at random before it begins."""
    at_once = replace(dhcp_profile.PROFILES[request.param], start_delay_ns=(0, 0))
    monkeypatch.setitem(dhcp_profile.PROFILES, request.param, at_once)
    return request.param


def start_dnsmasq(segment, *options, leases="10.0.0.50,10.0.0.60,2m"):
    settings = ["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--port=0"]
    settings += [f"--interface={STRANGER}", "--bind-interfaces", "--no-ping", "--log-dhcp", "--log-facility=-"]
    settings += [f"--dhcp-leasefile={segment.folder / 'leases'}", f"--dhcp-range={leases}", *options]
    segment.start("dnsmasq", *settings)
    segment.wait_for_server()


def leases_of(segment):
    """The lines of dnsmasq's lease file as (MAC, address, name, client identifier)."""
    path = segment.folder / "leases"
    lines = path.read_text().splitlines() if path.exists() else []
    return [tuple(line.split()[1:]) for line in lines]


def test_our_client_leases_renews_and_releases(segment, profile, record_property):
    routes = "--dhcp-option=option:classless-static-route,10.5.0.0/16,10.0.0.9,0.0.0.0/0,10.0.0.2"
    dns = "--dhcp-option=option:dns-server,10.0.0.53,10.0.0.54"
    start_dnsmasq(segment, routes, dns, "--dhcp-option=option:mtu,1400", "--domain=lan.example")
    lan = PacedLan(segment, FASTER, serves=False)
    client = Client(lan, "web", profile, host_name="web")
    lan.run_until(lambda: client.addresses)
    assert lan.messages() == LEASE
    lease = client.program.client.lease
    mine, mac = client.addresses[0].removesuffix("/24"), mac_to_text(client.device.mac)
    assert leases_of(segment) == [(mac, mine, "web", f"01:{mac}")]
    assert (lease.address, lease.prefix_length, lease.server) == (ipv4_to_bytes(mine), 24, ipv4_to_bytes(SERVER))
    assert lease.dns == (ipv4_to_bytes("10.0.0.53"), ipv4_to_bytes("10.0.0.54"))
    assert (lease.domain, lease.router, client.installer.skipped) == ("lan.example", None, [])
    assert client.device.mtu == 1400
    table = client.namespace.routes.text()
    assert f"default via {SERVER} dev eth0" in table
    assert "10.5.0.0/16 via 10.0.0.9 dev eth0" in table
    assert (lease.expires_ns - lease.acquired_ns) // SECOND == 120
    assert (lease.renew_at_ns - lease.acquired_ns) // SECOND == 60

    pinger = Pinger(lan.world, client.namespace)
    pinger.ping(SERVER)
    lan.run_until(lambda: pinger.replies)

    lan.run_until(lambda: len(lan.messages()) == 6)
    assert lan.messages() == [*LEASE, "REQUEST", "ACK"]
    said = conversation_at(lan, client.device.label)
    at_ns, source, destination, renewal = next(each for each in said if each[3].client_address != bytes(4))
    assert (at_ns, source, destination) == (lease.renew_at_ns, mine, SERVER)
    assert renewal.client_address == ipv4_to_bytes(mine)
    lan.run_for(1)
    assert client.program.client.lease.expires_ns > lease.expires_ns
    assert [text for _, text in client.events] == [f"bound to {mine}"]

    client.program.stop()
    lan.run_until(lambda: not leases_of(segment))
    assert lan.conversation()[-1][1:3] == (mine, SERVER)
    assert client.addresses == []
    record_property("lateness", str(lan.lateness))


def test_our_rebooting_client_gets_its_address_back_with_two_messages(segment):
    start_dnsmasq(segment)
    lan = PacedLan(segment, FASTER, serves=False)
    client = Client(lan, "web")
    lan.run_until(lambda: client.addresses)
    (mine,) = client.addresses
    client.program.abandon()
    client.installer.remove(client.program.client.lease)
    client.start(requested=mine.removesuffix("/24"), reboot=True)
    lan.run_until(lambda: client.addresses)
    assert lan.messages() == [*LEASE, "REQUEST", "ACK"]
    assert client.addresses == [mine]


def test_our_rebooting_client_is_refused_an_address_of_elsewhere_and_starts_over(segment, profile):
    start_dnsmasq(segment, "--dhcp-authoritative")
    lan = PacedLan(segment, FASTER, serves=False)
    client = Client(lan, "web", profile, requested="192.168.7.7", reboot=True)
    lan.run_until(lambda: client.addresses)
    assert lan.messages() == ["REQUEST", "NAK", *LEASE]
    assert lan.said("NAK")[0][3].option(56) == b"wrong network"


def test_our_client_declines_an_address_in_use_and_dnsmasq_gives_another_one(segment):
    start_dnsmasq(segment, leases="10.0.0.50,10.0.0.51,2m")
    lan = PacedLan(segment, FASTER, serves=False)
    client = Client(lan, "web")
    lan.squat("10.0.0.50")
    client.program.client._requested = ipv4_to_bytes("10.0.0.50")
    lan.run_until(lambda: client.addresses)
    assert lan.messages() == [*LEASE, "DECLINE", *LEASE]
    assert client.addresses == ["10.0.0.51/24"]
    assert [address for _, address, *_ in leases_of(segment)] == ["10.0.0.51"]


def test_our_client_finds_an_exhausted_pool_and_says_so(segment):
    start_dnsmasq(segment, leases="10.0.0.50,10.0.0.50,2m")
    lan = PacedLan(segment, FASTER, serves=False)
    first = Client(lan, "one")
    lan.run_until(lambda: first.addresses)
    second = Client(lan, "two")
    lan.run_until(lambda: second.events)
    assert [text for _, text in second.events] == ["failed in SELECTING"]
    first.program.stop()
    lan.run_until(lambda: second.addresses)
    assert second.addresses == ["10.0.0.50/24"]


def test_two_of_our_clients_and_a_restart_of_dnsmasq_that_loses_its_leases(segment):
    start_dnsmasq(segment, "--dhcp-authoritative", "--leasefile-ro")
    lan = PacedLan(segment, FASTER, serves=False)
    clients = [Client(lan, "one"), Client(lan, "two")]
    lan.run_until(lambda: all(client.addresses for client in clients))
    before = [client.addresses for client in clients]
    segment.kill_all()
    start_dnsmasq(segment, "--dhcp-authoritative", "--leasefile-ro")
    lan.run_until(lambda: lan.messages().count("ACK") == 4)
    lan.run_for(1)
    assert [client.addresses for client in clients] == before, "an authoritative server takes the renewals over"
    assert len({address for (address,) in before}) == 2
