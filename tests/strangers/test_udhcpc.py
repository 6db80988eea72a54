"""A real client, BusyBox's udhcpc, leases from emu's server; a real Linux stack uses the address."""

from __future__ import annotations

import signal

import pytest

from emu.wire import dhcp
from emu.wire.address import ipv4_to_bytes
from emu.wire.dhcp import TYPE_NAMES
from tests.stack.world import SECOND, Pinger
from tests.strangers.namespaces import STRANGER, Segment, skip_without
from tests.strangers.pump import PacedLan, conversation_at
from tests.traffic.dhcp_lan import Client, DhcpLan

pytestmark = pytest.mark.root

SERVER, ANY, ALL = "10.0.0.1", "0.0.0.0", "255.255.255.255"
LEASE = ["DISCOVER", "OFFER", "REQUEST", "ACK"]
TOLD = ("ip", "mask", "router", "dns", "domain", "mtu", "lease", "serverid", "staticroutes", "message")
SCRIPT = """#!/bin/sh
# What udhcpc calls with an event's name; it sets the address and then writes down what it was told.
line="event=$1"
for name in {told}; do
    eval "line=\\"\\$line;$name=\\$$name\\""
done
case "$1" in
    deconfig) ip -4 address flush dev "$interface" ;;
    bound | renew) ip address replace "$ip/$mask" dev "$interface" ;;
esac
echo "$line" >> {file}
"""


class Udhcpc:
    """udhcpc in the stranger's namespace; `events` lists what it told its script."""

    def __init__(self, segment: Segment, *options: str) -> None:
        self._told = segment.folder / "told"
        script = segment.folder / "script"
        script.write_text(SCRIPT.format(told=" ".join(TOLD), file=self._told))
        script.chmod(0o755)
        self.segment = segment
        self.program = segment.start("busybox", "udhcpc", "-f", "-i", STRANGER, "-s", str(script), *options)

    @property
    def events(self) -> list[dict[str, str]]:
        if not self._told.exists():
            return []
        lines = self._told.read_text().splitlines()
        return [dict(part.split("=", 1) for part in line.split(";")) for line in lines]

    def has_been(self, event: str, times: int = 1) -> bool:
        return [told["event"] for told in self.events].count(event) >= times


@pytest.fixture
def segment(tmp_path):
    skip_without("busybox")
    with Segment(tmp_path) as made:
        yield made


def test_udhcpc_leases_renews_and_releases(segment, record_property):
    dns = ipv4_to_bytes("10.0.0.53")
    lan = PacedLan(segment, dns=(dns,), domain="lan.example", mtu=1400)
    client = Udhcpc(segment, "-x", "hostname:stranger", "-O", "mtu")
    lan.run_until(lambda: client.has_been("bound"))
    assert lan.messages() == LEASE
    told = {name: value for name, value in client.events[-1].items() if value}
    assert told == {
        "event": "bound",
        "ip": "10.0.0.10",
        "mask": "24",
        "router": SERVER,
        "dns": "10.0.0.53",
        "domain": "lan.example",
        "mtu": "1400",
        "lease": "600",
        "serverid": SERVER,
    }
    assert segment.addresses == ["10.0.0.10/24"]
    lease = lan.daemon.leases.of_address(ipv4_to_bytes("10.0.0.10"))
    assert (lease.state, lease.mac, lease.host_name) == ("bound", segment.mac, "stranger")

    pinger = Pinger(lan.world, lan.host)
    pinger.ping("10.0.0.10")  # the kernel behind the veth answers, so frames and checksums are good both ways
    lan.run_until(lambda: pinger.replies)
    assert pinger.replies[0][1] == ipv4_to_bytes("10.0.0.10")

    first_end_ns = lease.expires_ns
    client.program.send_signal(signal.SIGUSR1)
    lan.run_until(lambda: client.has_been("renew"))
    assert lan.messages() == [*LEASE, "REQUEST", "ACK"]
    _, source, destination, renewal = lan.said("REQUEST")[-1]
    assert (source, destination, renewal.client_address) == ("10.0.0.10", SERVER, ipv4_to_bytes("10.0.0.10"))
    assert (renewal.option(dhcp.OPTION_REQUESTED_ADDRESS), renewal.option(dhcp.OPTION_SERVER_ID)) == (None, None)
    assert lan.daemon.leases.of_address(ipv4_to_bytes("10.0.0.10")).expires_ns > first_end_ns

    client.program.send_signal(signal.SIGUSR2)
    lan.run_until(lambda: "RELEASE" in lan.messages() and not segment.addresses)
    assert lan.conversation()[-1][1:3] == ("10.0.0.10", SERVER)
    lan.run_for(0.01)
    assert lan.daemon.leases.count_in_use(lan.world.kernel.now) == 0
    assert lan.daemon.server.refusals == {}
    record_property("lateness", str(lan.lateness))


def test_udhcpc_that_wants_broadcasts_and_classless_routes_gets_them(segment):
    route = (ipv4_to_bytes("10.5.0.0"), 16, ipv4_to_bytes("10.0.0.9"))
    lan = PacedLan(segment, routes=(route,))
    client = Udhcpc(segment, "-B", "-O", "staticroutes")
    lan.run_until(lambda: client.has_been("bound"))
    assert client.events[-1]["staticroutes"] == "10.5.0.0/16 10.0.0.9"
    assert {destination for _, _, destination, _ in lan.conversation()} == {ALL}


def test_udhcpc_declines_an_address_in_use_and_gets_another_one(segment):
    lan = PacedLan(segment)
    lan.squat("10.0.0.10")
    client = Udhcpc(segment, "-a500", "-A", "1")
    lan.run_until(lambda: client.has_been("bound"))
    assert lan.messages() == [*LEASE, "DECLINE", *LEASE]
    assert segment.addresses == ["10.0.0.11/24"]
    assert lan.daemon.leases.of_address(ipv4_to_bytes("10.0.0.10")).state == "declined"


def test_a_server_that_probes_finds_the_address_of_a_real_host_in_use(segment):
    lan = PacedLan(segment, probe_wait_ns=SECOND // 2)
    segment.use_address("10.0.0.10")
    client = Udhcpc(segment, "-t", "5")
    lan.run_until(lambda: client.has_been("bound"))
    assert client.events[-1]["ip"] == "10.0.0.11"


def test_udhcpc_is_refused_its_address_and_gets_another_one_after_three_seconds(segment):
    lan = PacedLan(segment)
    client = Udhcpc(segment)
    lan.run_until(lambda: client.has_been("bound"))
    lan.daemon.stop()
    lan.serve(first=ipv4_to_bytes("10.0.0.15"))
    client.program.send_signal(signal.SIGUSR1)
    lan.run_until(lambda: client.has_been("bound", 2))
    assert lan.messages() == [*LEASE, "REQUEST", "NAK", *LEASE]
    (refused,) = [told for told in client.events if told["event"] == "nak"]
    assert refused["message"] == "address not available"
    nak, again = lan.said("NAK")[-1], lan.said("DISCOVER")[-1]
    assert (again[0] - nak[0]) / SECOND > 1.5  # it sleeps for 3 s; a busy machine sees frames later than they come
    assert again[3].option(dhcp.OPTION_REQUESTED_ADDRESS) is None
    assert segment.addresses == ["10.0.0.15/24"]


def test_udhcpc_asks_on_when_another_server_than_its_own_says_no(segment):
    lan = PacedLan(segment)
    client = Udhcpc(segment, "-T", "1")
    lan.run_until(lambda: client.has_been("bound"))
    lan.daemon.stop()
    lan.host.add_address(lan.bridge, "10.9.0.1/24")
    new = {"server_address": "10.9.0.1", "first": "10.9.0.10", "last": "10.9.0.19", "router": "10.9.0.1"}
    lan.serve(**{name: ipv4_to_bytes(text) for name, text in new.items()})
    client.program.send_signal(signal.SIGUSR1)
    lan.run_until(lambda: client.has_been("bound", 2))
    assert lan.messages()[4:] == ["REQUEST", "NAK", *LEASE]  # four times the same question, or more on a busy machine
    refused = [message for *_, message in lan.conversation() if message.message_type == dhcp.NAK]
    assert len(refused) >= 4
    assert segment.addresses == ["10.9.0.10/24"]


def questions(conversation):
    """What a client sent, without what names this client and this exchange, and without the seconds of the clock."""
    found = []
    for _, source, destination, message in conversation:
        if message.operation == dhcp.OPERATION_REQUEST:
            options = [(code, value.replace(message.client_mac, b"<mac>")) for code, value in message.options]
            flags, own = message.flags, message.client_address
            found.append((TYPE_NAMES[message.message_type], source, destination, flags, own, options))
    return found


def test_our_profile_of_udhcpc_says_what_udhcpc_says(segment):
    lan = PacedLan(segment)
    lan.squat("10.0.0.10")
    client = Udhcpc(segment, "-a200", "-A1", "-x", "hostname:web", "-O", "mtu", "-O", "staticroutes")
    lan.run_until(lambda: client.has_been("bound"))
    client.program.send_signal(signal.SIGUSR1)
    lan.run_until(lambda: client.has_been("renew"))
    client.program.send_signal(signal.SIGUSR2)
    lan.run_until(lambda: "RELEASE" in lan.messages())

    ours = DhcpLan()
    ours.squat("10.0.0.10")
    twin = Client(ours, "web", host_name="web")
    ours.world.at(400 * SECOND, twin.program.stop)
    ours.run(410)
    assert questions(lan.conversation()) == questions(conversation_at(ours, twin.device.label))


@pytest.mark.slow
def test_udhcpc_renews_and_rebinds_when_our_profile_of_it_does(segment):
    lan = PacedLan(segment, lease_s=120)
    client = Udhcpc(segment)
    lan.run_until(lambda: client.has_been("bound"))
    lan.daemon.stop()
    lan.run_until(lambda: len(lan.conversation()) >= 10, within_s=110)
    assert segment.addresses == []

    ours = DhcpLan(lease_s=120)
    twin = Client(ours, "web")
    ours.run(5)
    ours.daemon.stop()
    ours.run(110)
    story = [(now_ns / SECOND, TYPE_NAMES[message.message_type]) for now_ns, _, _, message in lan.conversation()]
    expected = [(at, kind) for at, kind, *_ in ours.story(twin)][: len(story)]
    assert [kind for _, kind in story] == [kind for _, kind in expected]
    for (at_s, kind), (expected_s, _) in zip(story, expected, strict=True):
        assert at_s == pytest.approx(expected_s, abs=4), kind  # udhcpc counts in whole seconds, rounded down
