"""Each kind of DHCP message as it is on the wire: lengths, ports, flags, addresses, and its options in order."""

from __future__ import annotations

from typing import Any

import pytest

from emu.traffic.dhcp_frames import build_frame, read_frame
from emu.wire.address import BROADCAST_MAC, ipv4_to_bytes
from emu.wire.dhcp import DhcpMessage
from emu.wire.frame import Frame
from tests.stack.world import SECOND
from tests.traffic.dhcp_lan import Client, DhcpLan

ANY, ALL, SERVER, GIVEN = "0.0.0.0", "255.255.255.255", "10.0.0.1", "10.0.0.10"
ZERO, FF = bytes(4), b"\xff\xff\xff\xff"
server, given = ipv4_to_bytes(SERVER), ipv4_to_bytes(GIVEN)
ASKED = ((57, b"\x02\x40"), (55, bytes((1, 3, 6, 12, 15, 26, 28, 42, 121))), (60, b"udhcp 1.35.0"))
TIMES = ((51, (600).to_bytes(4, "big")), (58, (300).to_bytes(4, "big")), (59, (525).to_bytes(4, "big")))
TOLD = ((1, b"\xff\xff\xff\0"), (3, server), (28, ipv4_to_bytes("10.0.0.255")))


def identity(client: Client) -> tuple[int, bytes]:
    return 61, b"\x01" + client.device.mac


def message_at(lan: DhcpLan, client: Client, number: int) -> DhcpMessage:
    received = read_frame(lan.dhcp(client)[number].data)
    assert not hasattr(received, "name")
    return received.message  # type: ignore[union-attr]


def check(lan: DhcpLan, client: Client, number: int, kind: str, way: tuple[str, str], **fields: Any) -> DhcpMessage:
    """Check the frame with a number (negative ones count from the end) and return its message."""
    seen = lan.dhcp(client)[number]
    data = seen.data
    assert (seen.kind, (seen.source, seen.destination)) == (kind, way)
    assert len(data) == 342  # 14 Ethernet, 20 IP, 8 UDP, 300 BOOTP (RFC 1542 section 2.1)
    ports = int.from_bytes(data[34:36], "big"), int.from_bytes(data[36:38], "big")
    from_client = kind in ("DISCOVER", "REQUEST", "DECLINE", "RELEASE", "INFORM")
    assert ports == ((68, 67) if from_client else (67, 68))
    assert (data[:6] == BROADCAST_MAC) == (way[1] == ALL)
    message = message_at(lan, client, number)
    assert message.operation == (1 if from_client else 2)
    expected = {"flags": 0, "hops": 0, "seconds": 0, "client_address": ZERO, "your_address": ZERO, "next_server": ZERO}
    expected |= {"relay_address": ZERO, "server_name": b"", "boot_file": b"", "client_mac": client.device.mac} | fields
    assert {name: getattr(message, name) for name in expected} == expected
    return message


def test_discover_offer_request_ack() -> None:
    lan = DhcpLan()
    client = Client(lan, "web")
    lan.run(5)
    discover = check(lan, client, 0, "DISCOVER", (ANY, ALL))
    assert discover.options == ((53, b"\x01"), *ASKED, identity(client))
    offer = check(lan, client, 1, "OFFER", (SERVER, GIVEN), your_address=given)
    assert offer.options == ((53, b"\x02"), (54, server), *TIMES, *TOLD)
    request = check(lan, client, 2, "REQUEST", (ANY, ALL))
    assert request.options == ((53, b"\x03"), (50, given), (54, server), *ASKED, identity(client))
    ack = check(lan, client, 3, "ACK", (SERVER, GIVEN), your_address=given)
    assert ack.options == ((53, b"\x05"), (54, server), *TIMES, *TOLD)


def test_a_repeated_discover_has_the_same_transaction_and_counts_the_seconds() -> None:
    lan = DhcpLan(serves=False)
    client = Client(lan, "web")
    lan.run(7)
    messages = [check(lan, client, number, "DISCOVER", (ANY, ALL), seconds=3 * number) for number in range(3)]
    assert len({message.transaction_id for message in messages}) == 1


def test_renewing_names_the_address_in_ciaddr_and_neither_option_50_nor_54() -> None:
    lan = DhcpLan()
    client = Client(lan, "web")
    lan.run(301)
    request = check(lan, client, 4, "REQUEST", (GIVEN, SERVER), client_address=given)
    assert request.options == ((53, b"\x03"), *ASKED, identity(client))
    ack = check(lan, client, 5, "ACK", (SERVER, GIVEN), client_address=given, your_address=given)
    assert ack.options == ((53, b"\x05"), (54, server), *TIMES, *TOLD)
    assert request.transaction_id == ack.transaction_id != message_at(lan, client, 0).transaction_id


def test_rebinding_says_the_same_to_everybody() -> None:
    lan = DhcpLan()
    client = Client(lan, "web", "rfc2131")
    lan.run(15)
    assert lan.daemon is not None
    lan.daemon.stop()
    lease = client.program.client.lease
    assert lease is not None
    lan.world.run(lease.acquired_ns + 526 * SECOND)
    lan.serve(lan.daemon.leases)
    lan.world.run(lease.acquired_ns + 586 * SECOND)
    request = check(lan, client, -2, "REQUEST", (GIVEN, ALL), client_address=given, seconds=285)
    assert [code for code, _ in request.options] == [53, 61, 57, 55]
    check(lan, client, -1, "ACK", (SERVER, GIVEN), client_address=given, your_address=given)
    renewed = client.program.client.lease
    assert renewed is not None
    assert renewed.acquired_ns == lease.acquired_ns + 585 * SECOND


def test_init_reboot_asks_everybody_for_an_address_and_names_no_server() -> None:
    lan = DhcpLan()
    client = Client(lan, "web", requested=GIVEN, reboot=True)
    lan.run(5)
    request = check(lan, client, 0, "REQUEST", (ANY, ALL))
    assert request.options == ((53, b"\x03"), (50, given), *ASKED, identity(client))
    check(lan, client, 1, "ACK", (SERVER, GIVEN), your_address=given)


def test_a_nak_is_for_everybody_and_tells_server_and_reason() -> None:
    lan = DhcpLan()
    client = Client(lan, "web", requested="192.168.7.7", reboot=True)
    lan.run(1)
    nak = check(lan, client, 1, "NAK", (SERVER, ALL))
    assert nak.options == ((53, b"\x06"), (54, server), (56, b"wrong network"))


def test_decline_is_for_everybody_and_names_address_and_server() -> None:
    lan = DhcpLan()
    lan.squat(GIVEN)
    client = Client(lan, "web")
    lan.run(1)
    decline = check(lan, client, 4, "DECLINE", (ANY, ALL))
    assert decline.options == ((53, b"\x04"), (50, given), (54, server), identity(client))


def test_release_is_for_the_server_and_has_the_address_in_ciaddr() -> None:
    lan = DhcpLan()
    client = Client(lan, "web")
    lan.run(5)
    client.program.stop()
    release = check(lan, client, 4, "RELEASE", (GIVEN, SERVER), client_address=given)
    assert release.options == ((53, b"\x07"), (54, server), identity(client))


def test_inform_is_answered_by_unicast_with_parameters_and_without_a_lease() -> None:
    lan = DhcpLan()
    client = Client(lan, "web")
    lan.run(5)
    inform = DhcpMessage(1, 77, client.device.mac, ((53, b"\x08"), (55, bytes((1, 3, 6)))), client_address=given)
    macs, addresses = (client.device.mac, BROADCAST_MAC), (given, FF)
    client.device.transmit(Frame(build_frame(inform, macs, addresses, (68, 67)), 99))
    lan.run(6)
    check(lan, client, 4, "INFORM", (GIVEN, ALL), client_address=given)
    ack = check(lan, client, 5, "ACK", (SERVER, GIVEN), client_address=given)
    assert (ack.transaction_id, ack.options) == (77, ((53, b"\x05"), (54, server), *TOLD[:2]))


@pytest.mark.parametrize("flags", [0, 0x8000])
def test_the_broadcast_flag_decides_how_a_client_without_an_address_is_answered(flags: int) -> None:
    lan = DhcpLan()
    client = Client(lan, "web")
    discover = DhcpMessage(1, 5, client.device.mac, ((53, b"\x01"),), flags=flags)
    macs = (client.device.mac, BROADCAST_MAC)
    client.device.transmit(Frame(build_frame(discover, macs, (ZERO, FF), (68, 67)), 99))
    lan.run(1)
    (offer,) = [number for number, seen in enumerate(lan.dhcp(client)) if seen.kind == "OFFER"][:1]
    check(lan, client, offer, "OFFER", (SERVER, ALL if flags else GIVEN), your_address=given, flags=flags)
