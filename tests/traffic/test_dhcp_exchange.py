"""DHCP frame by frame, in virtual time: leasing, renewing, rebinding, refusing, declining, releasing, rebooting."""

from itertools import pairwise

import pytest

from emu.capture import Capture
from emu.capture.interface import InterfaceInfo
from emu.kernel.errors import InvalidValue
from emu.traffic.dhcp_daemon import DhcpDaemon
from emu.traffic.dhcp_frames import read_frame
from emu.traffic.dhcp_leases import LeaseTable
from emu.wire.address import ipv4_to_bytes, mac_to_text
from tests.helpers_tshark import column, complaints, needs_tshark
from tests.stack.world import SECOND
from tests.traffic.dhcp_lan import Client, DhcpLan

ANY, ALL, SERVER = "0.0.0.0", "255.255.255.255", "10.0.0.1"
LEASE = [
    (0.0, "DISCOVER", ANY, ALL),
    (0.0, "OFFER", SERVER, "10.0.0.10"),
    (0.0, "REQUEST", ANY, ALL),
    (0.0, "ACK", SERVER, "10.0.0.10"),
]
PARAMETERS = bytes((1, 3, 6, 12, 15, 26, 28, 42, 121))


def messages(lan, client):
    return [read_frame(seen.data).message for seen in lan.dhcp(client)]


def test_a_client_leases_an_address_with_four_messages_and_uses_it_after_an_arp_probe():
    lan = DhcpLan()
    client = Client(lan, "web")
    lan.run(10)
    assert lan.story(client) == LEASE
    assert client.events == [(2 * SECOND, "bound to 10.0.0.10")]
    assert client.addresses == ["10.0.0.10/24"]
    assert "default via 10.0.0.1 dev eth0" in client.namespace.routes.text()
    arp = [
        (now_ns, frame.data[28:32], frame.data[38:42])
        for now_ns, _, frame in lan.world.seen["web:eth0"]
        if frame.data[12:14] == b"\x08\x06"
    ]
    mine = ipv4_to_bytes("10.0.0.10")
    assert arp == [(0, bytes(4), mine), (2 * SECOND, mine, mine)]  # the probe, then the gratuitous request
    assert lan.world.drops == []


def test_every_option_of_the_exchange_is_there_in_order():
    lan = DhcpLan(domain="lan.example", mtu=1400, dns=(ipv4_to_bytes("10.0.0.1"),))
    client = Client(lan, "web", host_name="web")
    lan.run(10)
    identity = b"\x01" + client.device.mac
    server, given = ipv4_to_bytes(SERVER), ipv4_to_bytes("10.0.0.10")
    asked = ((57, b"\x02\x40"), (55, PARAMETERS), (12, b"web"), (60, b"udhcp 1.35.0"), (61, identity))
    times = ((54, server), (51, b"\0\0\x02\x58"), (58, b"\0\0\x01\x2c"), (59, b"\0\0\x02\x0d"))
    told = ((1, b"\xff\xff\xff\0"), (3, server), (6, server), (15, b"lan.example"), (26, b"\x05\x78"))
    told += ((28, ipv4_to_bytes("10.0.0.255")),)
    assert [message.options for message in messages(lan, client)] == [
        ((53, b"\x01"), *asked),
        ((53, b"\x02"), *times, *told),
        ((53, b"\x03"), (50, given), (54, server), *asked),
        ((53, b"\x05"), *times, *told),
    ]
    assert len({message.transaction_id for message in messages(lan, client)}) == 1
    assert client.device.mtu == 1400


def test_frames_have_the_lengths_and_the_addresses_of_the_protocol():
    lan = DhcpLan()
    client = Client(lan, "web")
    lan.run(10)
    frames = [seen.data for seen in lan.dhcp(client)]
    assert [len(frame) for frame in frames] == [342] * 4  # 14 + 20 + 8 + 300
    macs = [(mac_to_text(frame[6:12]), mac_to_text(frame[:6])) for frame in frames]
    own, bridge = mac_to_text(client.device.mac), mac_to_text(lan.bridge.mac)
    assert macs == [(own, "ff:ff:ff:ff:ff:ff"), (bridge, own)] * 2


def test_a_client_that_asks_for_broadcasts_gets_them():
    lan = DhcpLan()
    assert lan.daemon is not None
    client = Client(lan, "web")
    lan.run(10)
    discover = messages(lan, client)[0]
    fields = {name: getattr(discover, name) for name in discover.__slots__} | {"flags": 0x8000}
    (offer,) = lan.daemon.server.receive(lan.world.kernel.now, type(discover)(**fields))
    assert (offer.way, offer.message.flags) == ("broadcast", 0x8000)


def test_udhcpc_renews_at_half_the_lease_by_unicast():
    lan = DhcpLan()
    client = Client(lan, "web")
    lan.run(700)
    assert lan.story(client)[4:] == [
        (300.0, "REQUEST", "10.0.0.10", SERVER),
        (300.0, "ACK", SERVER, "10.0.0.10"),
        (600.0, "REQUEST", "10.0.0.10", SERVER),
        (600.0, "ACK", SERVER, "10.0.0.10"),
    ]
    renewal = messages(lan, client)[4]
    assert (renewal.client_address, renewal.option(50), renewal.option(54)) == (ipv4_to_bytes("10.0.0.10"), None, None)
    assert client.events == [(2 * SECOND, "bound to 10.0.0.10")]


def test_udhcpc_puts_an_unanswered_renewal_off_by_half_of_the_rest_rebinds_in_the_end_and_starts_over():
    lan = DhcpLan()
    client = Client(lan, "web")
    lan.world.at(100 * SECOND, lan.daemon.stop)
    lan.run(610)
    assert lan.story(client)[4:] == [
        *((at, "REQUEST", "10.0.0.10", SERVER) for at in (300.0, 451.0, 527.0, 565.0, 584.0)),
        *((at, "REQUEST", "10.0.0.10", ALL) for at in (587.0, 590.0, 593.0)),
        *((at, "DISCOVER", ANY, ALL) for at in (596.0, 599.0, 602.0)),
    ]
    assert client.events[1:] == [(596 * SECOND, "lost 10.0.0.10"), (605 * SECOND, "failed in SELECTING")]
    assert client.addresses == []
    assert client.namespace.routes.text() == ""
    assert messages(lan, client)[-1].option(50) == ipv4_to_bytes("10.0.0.10")  # it would like it back


def test_rfc_2131_renews_at_t1_rebinds_at_t2_and_gives_the_address_up_at_the_end():
    lan = DhcpLan()
    client = Client(lan, "web", "rfc2131")
    lan.run(15)
    lan.daemon.stop()
    start = client.program.client.lease.acquired_ns
    lan.world.run(start + 620 * SECOND)
    later = [(seen.now_ns - start, seen.destination) for seen in lan.dhcp(client)[4:] if seen.kind == "REQUEST"]
    assert later == [
        (300 * SECOND, SERVER),
        (412_500_000_000, SERVER),  # half of the time left to T2
        (472_500_000_000, SERVER),  # never less than 60 s apart
        (525 * SECOND, ALL),
        (585 * SECOND, ALL),
    ]
    assert client.events[-1] == (start + 600 * SECOND, "lost 10.0.0.10")


def test_without_a_server_udhcpc_asks_three_times_and_again_after_a_pause():
    lan = DhcpLan(serves=False)
    client = Client(lan, "web")
    lan.run(33)
    assert [at for at, *_ in lan.story(client)] == [0.0, 3.0, 6.0, 29.0, 32.0]
    assert client.events == [(9 * SECOND, "failed in SELECTING")]


def test_the_backoff_of_rfc_2131_doubles_with_a_second_of_chance():
    lan = DhcpLan(serves=False)
    client = Client(lan, "web", "rfc2131")
    lan.run(140)
    times = [seen.now_ns for seen in lan.dhcp(client)][:5]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert 1 * SECOND <= times[0] <= 10 * SECOND
    for gap, base in zip(gaps, (4, 8, 16, 32), strict=True):
        assert abs(gap - base * SECOND) <= SECOND


def test_an_address_in_use_is_declined_and_the_server_gives_another_one():
    lan = DhcpLan()
    lan.squat("10.0.0.10")
    client = Client(lan, "web")
    lan.run(30)
    assert [kind for _, kind, *_ in lan.story(client)][4:] == ["DECLINE", "DISCOVER", "OFFER", "REQUEST", "ACK"]
    assert lan.story(client)[4] == (0.0, "DECLINE", ANY, ALL)
    assert lan.story(client)[5][0] == 20.0
    assert client.addresses == ["10.0.0.11/24"]
    assert lan.daemon.leases.of_address(ipv4_to_bytes("10.0.0.10")).state == "declined"


def test_a_server_that_probes_never_offers_an_address_that_answers():
    lan = DhcpLan(probe_wait_ns=3 * SECOND)
    lan.squat("10.0.0.10")
    client = Client(lan, "web")
    lan.run(30)
    offers = [seen for seen in lan.story(client) if seen[1] == "OFFER"]
    assert offers == [(3.0, "OFFER", SERVER, "10.0.0.11")]
    assert client.addresses == ["10.0.0.11/24"]


def test_a_client_that_stops_releases_its_address():
    lan = DhcpLan()
    client = Client(lan, "web")
    lan.world.at(10 * SECOND, client.program.stop)
    lan.run(20)
    assert lan.story(client)[4:] == [(10.0, "RELEASE", "10.0.0.10", SERVER)]
    assert client.addresses == []
    assert lan.daemon.leases.count_in_use(lan.world.kernel.now) == 0
    assert client.state == "STOPPED"


def test_a_rebooting_client_gets_its_address_back_with_two_messages():
    lan = DhcpLan()
    first = Client(lan, "web")
    lan.run(10)
    first.installer.remove(first.program.client.lease)
    first.program._background_timer.stop()  # it crashes: nothing is released
    first.start(requested="10.0.0.10", reboot=True)
    lan.run(20)
    assert lan.story(first)[4:] == [(10.0, "REQUEST", ANY, ALL), (10.0, "ACK", SERVER, "10.0.0.10")]
    assert first.addresses == ["10.0.0.10/24"]


def test_a_rebooting_client_on_another_network_is_refused_and_starts_over():
    lan = DhcpLan()
    client = Client(lan, "web", requested="192.168.7.7", reboot=True)
    lan.run(10)
    kinds = [(kind, destination) for _, kind, _, destination in lan.story(client)]
    assert kinds[:3] == [("REQUEST", ALL), ("NAK", ALL), ("DISCOVER", ALL)]
    assert client.addresses == ["10.0.0.10/24"]


@pytest.mark.parametrize("keeps", [True, False])
def test_a_server_that_restarts_goes_on_with_its_leases_or_takes_over_what_clients_say(keeps):
    lan = DhcpLan()
    client = Client(lan, "web")
    lan.run(10)
    file = lan.daemon.leases.to_text()
    lan.daemon.stop()
    lan.serve(LeaseTable.from_text(file) if keeps else None)
    lan.run(400)
    assert [kind for _, kind, *_ in lan.story(client)][4:] == ["REQUEST", "ACK"]
    assert client.events == [(2 * SECOND, "bound to 10.0.0.10")]


def change_the_subnet(lan):
    lan.daemon.stop()
    lan.host.add_address(lan.bridge, "10.9.0.1/24")
    new = {"server_address": "10.9.0.1", "first": "10.9.0.10", "last": "10.9.0.19", "router": "10.9.0.1"}
    lan.serve(**{name: ipv4_to_bytes(text) for name, text in new.items()})


def test_after_a_change_of_subnet_the_renewal_is_refused_and_the_client_gets_a_new_address():
    lan = DhcpLan()
    client = Client(lan, "web", "rfc2131")
    lan.run(15)
    change_the_subnet(lan)
    lan.run(400)
    kinds = [kind for _, kind, *_ in lan.story(client)][4:]
    assert kinds == ["REQUEST", "NAK", "DISCOVER", "OFFER", "REQUEST", "ACK"]
    assert client.addresses == ["10.9.0.10/24"]
    refused, asked = lan.dhcp(client)[5:7]
    assert asked.now_ns - refused.now_ns == SECOND


def test_udhcpc_heeds_no_nak_of_a_server_that_did_not_give_its_lease():
    lan = DhcpLan()
    client = Client(lan, "web")
    lan.run(10)
    change_the_subnet(lan)
    lan.run(590)
    kinds = [kind for _, kind, *_ in lan.story(client)][4:]
    assert kinds == ["REQUEST", "NAK"] * 6
    assert client.addresses == ["10.0.0.10/24"]
    lan.run(610)
    assert client.addresses == ["10.9.0.10/24"]


def test_udhcpc_waits_three_seconds_after_a_nak_and_asks_for_any_address():
    lan = DhcpLan()
    client = Client(lan, "web")
    lan.run(10)
    lan.daemon.stop()
    lan.serve(first=ipv4_to_bytes("10.0.0.15"))
    lan.run(400)
    assert [(at, kind) for at, kind, *_ in lan.story(client)[4:]] == [
        (300.0, "REQUEST"),
        (300.0, "NAK"),
        *((303.0, kind) for kind in ("DISCOVER", "OFFER", "REQUEST", "ACK")),
    ]
    assert messages(lan, client)[6].option(50) is None
    assert client.addresses == ["10.0.0.15/24"]


def test_two_servers_offer_and_the_client_takes_the_first_one():
    lan = DhcpLan()
    other = lan.squat("10.0.0.2")
    second = DhcpDaemon(
        other,
        other.device("eth0"),
        lan.settings(
            server_address=ipv4_to_bytes("10.0.0.2"),
            first=ipv4_to_bytes("10.0.0.100"),
            last=ipv4_to_bytes("10.0.0.109"),
        ),
    )
    client = Client(lan, "web")
    lan.run(10)
    assert [kind for _, kind, *_ in lan.story(client)].count("OFFER") == 2
    assert client.addresses in (["10.0.0.10/24"], ["10.0.0.100/24"])
    in_use = [daemon.leases.count_in_use(lan.world.kernel.now) for daemon in (lan.daemon, second)]
    assert sorted(in_use) == [0, 1]  # the other one has taken its offer back


def test_an_exhausted_range_stays_silent_until_an_address_comes_back():
    lan = DhcpLan(last=ipv4_to_bytes("10.0.0.10"))
    first, second = Client(lan, "one"), Client(lan, "two")
    lan.run(12)
    assert (first.addresses, second.addresses) == (["10.0.0.10/24"], [])
    assert second.events == [(9 * SECOND, "failed in SELECTING")]
    assert lan.daemon.server.refusals == {"no free address in the range": 3}
    first.program.stop()
    lan.run(40)
    assert second.addresses == ["10.0.0.10/24"]


def test_a_reservation_and_exclusions_are_kept():
    lan = DhcpLan(serves=False)
    one = Client(lan, "one")
    reserved = {one.device.mac: ipv4_to_bytes("10.0.0.50")}
    lan.serve(reservations=reserved, exclusions=frozenset((ipv4_to_bytes("10.0.0.10"),)))
    two = Client(lan, "two")
    lan.run(10)
    assert (one.addresses, two.addresses) == (["10.0.0.50/24"], ["10.0.0.11/24"])


def test_classless_routes_replace_the_router():
    route = (ipv4_to_bytes("10.5.0.0"), 16, ipv4_to_bytes("10.0.0.9"))
    lan = DhcpLan(routes=(route,))
    client = Client(lan, "web")
    lan.run(10)
    text = client.namespace.routes.text()
    assert "10.5.0.0/16 via 10.0.0.9 dev eth0" in text
    assert "default" not in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first": b"\x0a\0\0\x20"}, "DHCP range"),
        ({"last": b"\x0a\x09\0\x20"}, "DHCP range"),
        ({"lease_s": 60}, "expected at least 120 s"),
        ({"t1_s": 500, "t2_s": 400}, "expected T1"),
        ({"prefix_length": 31}, "expected 1 to 30"),
        ({"mtu": 20}, "option MTU"),
        ({"reservations": {b"x": b"\x0b\0\0\1"}}, "DHCP reservation"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(change, message):
    with pytest.raises(InvalidValue, match=message):
        DhcpLan(serves=False).settings(**change)


def test_a_device_without_the_servers_address_is_refused():
    lan = DhcpLan(serves=False)
    with pytest.raises(InvalidValue, match="does not have the address"):
        lan.serve(server_address=ipv4_to_bytes("10.0.0.2"))


def test_a_lease_file_that_emu_did_not_write_is_refused_with_its_line():
    lan = DhcpLan()
    Client(lan, "web")
    lan.run(10)
    good = lan.daemon.leases.to_text()
    assert LeaseTable.from_text(good).to_text() == good
    with pytest.raises(InvalidValue, match="line 2"):
        LeaseTable.from_text(good + "{}\n")


@pytest.mark.tshark
@needs_tshark
def test_tshark_finds_nothing_wrong_with_any_frame_of_a_lease_its_life_and_its_end(tmp_path):
    lan = DhcpLan(domain="lan.example", dns=(ipv4_to_bytes("10.0.0.1"),), mtu=1400, probe_wait_ns=3 * SECOND)
    lan.squat("10.0.0.11")
    client = Client(lan, "web", host_name="web")
    refused = Client(lan, "old", requested="192.168.7.7", reboot=True)
    with Capture(lan.world.kernel, tmp_path / "dhcp.pcapng") as capture:
        for one in (client, refused):
            tap = capture.tap_for(InterfaceInfo(one.device.label, "", one.device.mac, 1500))
            assert tap is not None
            one.device.add_tap(tap)
        lan.world.at(400 * SECOND, client.program.stop)
        lan.run(410)
    assert complaints(tmp_path / "dhcp.pcapng") == []
    shown = column(tmp_path / "dhcp.pcapng", "_ws.col.Info", **{"_ws.col.Protocol": "DHCP"})
    kinds = {info.split("-")[0].strip() for info in shown}
    assert kinds == {"DHCP Discover", "DHCP Offer", "DHCP Request", "DHCP ACK", "DHCP NAK", "DHCP Release"}
