"""The DHCP server's rules one by one: who gets what, who is refused, and who hears nothing."""

from __future__ import annotations

import pytest

from emu.traffic.dhcp_leases import NEVER_NS, Lease, LeaseTable
from emu.traffic.dhcp_server import OFFER_HOLD_NS, DhcpServer, Probe
from emu.wire import dhcp
from emu.wire.address import ipv4_to_bytes, ipv4_to_text
from emu.wire.dhcp import DhcpMessage
from tests.stack.world import SECOND
from tests.traffic.dhcp_lan import DhcpLan

SERVER, TEN, ELEVEN = (ipv4_to_bytes(text) for text in ("10.0.0.1", "10.0.0.10", "10.0.0.11"))
WEB, DB = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"


def server(leases=None, **changes):
    return DhcpServer(DhcpLan(serves=False).settings(**changes), leases)


def ask(kind, mac=WEB, address=None, **fields):
    """A message of a client; options: type, requested address, server identifier, then `more`."""
    options = [(dhcp.OPTION_MESSAGE_TYPE, bytes((kind,)))]
    if address is not None:
        options.append((dhcp.OPTION_REQUESTED_ADDRESS, address))
    if (chosen := fields.pop("chosen", None)) is not None:
        options.append((dhcp.OPTION_SERVER_ID, chosen))
    return DhcpMessage(1, 7, mac, (*options, *fields.pop("more", ())), **fields)


def answer(one, message, at_s=0):
    """(type, address) of the only reply, or None."""
    actions = one.receive(at_s * SECOND, message)
    assert len(actions) <= 1
    return (actions[0].message.message_type, actions[0].message.your_address) if actions else None


def lease(one, mac=WEB, at_s=0):
    _, address = answer(one, ask(dhcp.DISCOVER, mac), at_s)
    return answer(one, ask(dhcp.REQUEST, mac, address, chosen=SERVER), at_s)


def test_the_wish_of_a_client_is_granted_when_it_is_free():
    one = server()
    assert answer(one, ask(dhcp.DISCOVER, address=ELEVEN)) == (dhcp.OFFER, ELEVEN)
    assert answer(one, ask(dhcp.DISCOVER, DB, address=ELEVEN)) == (dhcp.OFFER, TEN)


@pytest.mark.parametrize("text", ["10.0.0.1", "10.0.0.200", "10.0.0.0", "192.168.0.5"])
def test_a_wish_outside_the_range_is_not(text):
    assert answer(server(), ask(dhcp.DISCOVER, address=ipv4_to_bytes(text))) == (dhcp.OFFER, TEN)


def test_a_client_comes_back_to_the_address_it_had_even_after_the_end():
    one = server()
    assert lease(one, WEB) == (dhcp.ACK, TEN)
    assert lease(one, DB) == (dhcp.ACK, ELEVEN)
    assert answer(one, ask(dhcp.DISCOVER, DB), 10_000) == (dhcp.OFFER, ELEVEN)


def test_addresses_that_nobody_ever_had_are_given_before_those_that_ended():
    one = server()
    lease(one, WEB)
    assert answer(one, ask(dhcp.DISCOVER, DB), 10_000) == (dhcp.OFFER, ELEVEN)


def test_an_ended_address_comes_back_when_there_is_no_other():
    one = server(last=TEN)
    lease(one, WEB)
    assert answer(one, ask(dhcp.DISCOVER, DB), 599) is None
    assert answer(one, ask(dhcp.DISCOVER, DB), 600) == (dhcp.OFFER, TEN)


def test_an_offer_that_nobody_takes_is_kept_for_a_minute():
    one = server(last=TEN)
    answer(one, ask(dhcp.DISCOVER, WEB))
    hold_s = OFFER_HOLD_NS // SECOND
    assert answer(one, ask(dhcp.DISCOVER, DB), hold_s - 1) is None
    assert answer(one, ask(dhcp.DISCOVER, DB), hold_s) == (dhcp.OFFER, TEN)


def test_the_same_discover_twice_is_offered_the_same_address():
    one = server()
    assert [answer(one, ask(dhcp.DISCOVER)) for _ in range(3)] == [(dhcp.OFFER, TEN)] * 3
    assert one.leases.count_in_use(0) == 1


def test_a_request_for_what_was_not_offered_is_refused():
    one = server()
    answer(one, ask(dhcp.DISCOVER))
    assert answer(one, ask(dhcp.REQUEST, address=ELEVEN, chosen=SERVER))[0] == dhcp.NAK


def test_nobody_renews_what_another_one_holds():
    one = server()
    lease(one, WEB)
    assert answer(one, ask(dhcp.REQUEST, DB, client_address=TEN))[0] == dhcp.NAK
    assert one.leases.of_address(TEN).mac == WEB


def test_a_nak_is_broadcast_and_says_nothing_but_why():
    one = server()
    (refusal,) = one.receive(0, ask(dhcp.REQUEST, address=ipv4_to_bytes("172.16.0.9")))
    assert (refusal.way, refusal.message.your_address) == ("broadcast", bytes(4))
    assert refusal.message.options == ((53, b"\x06"), (54, SERVER), (56, b"wrong network"))


def test_a_server_without_authority_is_silent_about_clients_it_does_not_know():
    one = server(authoritative=False)
    assert answer(one, ask(dhcp.REQUEST, address=TEN)) is None
    assert answer(one, ask(dhcp.REQUEST, address=ipv4_to_bytes("172.16.0.9"))) is None
    assert one.refusals == {"a client that is not known": 1, "wrong network": 1}


def test_a_server_with_authority_takes_over_what_an_unknown_client_uses_if_it_is_free():
    one = server()
    assert answer(one, ask(dhcp.REQUEST, client_address=ELEVEN)) == (dhcp.ACK, ELEVEN)
    assert answer(one, ask(dhcp.REQUEST, DB, client_address=ELEVEN))[0] == dhcp.NAK


def test_inform_is_answered_with_parameters_and_without_an_address_or_a_lease():
    one = server()
    (reply,) = one.receive(0, ask(dhcp.INFORM, client_address=ipv4_to_bytes("10.0.0.77")))
    assert (reply.way, ipv4_to_text(reply.address)) == ("stack", "10.0.0.77")
    assert reply.message.your_address == bytes(4)
    assert [code for code, _ in reply.message.options] == [53, 54, 1, 28, 3]
    assert list(one.leases) == []


def test_only_what_is_asked_for_is_told_in_that_order_but_the_mask_comes_first():
    one = server(domain="lan", dns=(SERVER,), mtu=1400)
    (offer,) = one.receive(0, ask(dhcp.DISCOVER, more=((55, bytes((15, 3, 1, 99, 3))),)))
    assert [code for code, _ in offer.message.options] == [53, 54, 51, 58, 59, 1, 15, 3]


def test_what_finds_no_room_in_the_order_that_a_client_asks_for_is_left_out():
    routes = [(bytes((172, 16, number, 0)), 24, SERVER) for number in range(15)]  # 122 bytes with the option's header
    one = server(routes=routes, dns=[SERVER] * 40, domain="x" * 60)  # 162 and 62 bytes
    told = {}
    for asked in ((6, 15, 121), (121, 15, 6), (121, 6, 15)):
        (offer,) = one.receive(0, ask(dhcp.DISCOVER, more=((55, bytes((1, 3, *asked))),)))
        assert len(dhcp.build_dhcp(offer.message)) <= 548
        told[asked] = [code for code, _ in offer.message.options][5:]
    assert told == {(6, 15, 121): [1, 3, 6, 15, 121], (121, 15, 6): [1, 3, 121, 15], (121, 6, 15): [1, 3, 121]}


def test_t1_and_t2_are_told_as_set():
    one = server(t1_s=100, t2_s=200)
    (offer,) = one.receive(0, ask(dhcp.DISCOVER))
    assert (offer.message.number_option(58), offer.message.number_option(59)) == (100, 200)


def test_a_lease_without_end_has_no_times_to_renew():
    one = server(lease_s=dhcp.INFINITE_LEASE_S)
    lease(one)
    (offer,) = one.receive(0, ask(dhcp.DISCOVER))
    assert (offer.message.option(51), offer.message.option(58)) == (b"\xff\xff\xff\xff", None)
    assert one.leases.of_address(TEN).expires_ns == NEVER_NS


def test_a_declined_address_is_given_to_nobody_for_ten_minutes():
    one = server(last=TEN)
    lease(one)
    assert answer(one, ask(dhcp.DECLINE, address=TEN, chosen=SERVER)) is None
    assert answer(one, ask(dhcp.DISCOVER), 599) is None
    assert answer(one, ask(dhcp.DISCOVER), 600) == (dhcp.OFFER, TEN)


@pytest.mark.parametrize("kind", [dhcp.DECLINE, dhcp.RELEASE])
def test_nobody_declines_or_releases_what_another_one_holds(kind):
    one = server()
    lease(one, WEB)
    answer(one, ask(kind, DB, address=TEN, chosen=SERVER, client_address=TEN))
    answer(one, ask(kind, WEB, address=TEN, chosen=ELEVEN, client_address=TEN))
    assert one.leases.of_address(TEN).state == "bound"
    assert sum(one.refusals.values()) == 2


def test_a_client_identifier_counts_more_than_the_mac():
    one = server()
    identity = ((dhcp.OPTION_CLIENT_ID, b"\0web"),)
    assert answer(one, ask(dhcp.DISCOVER, WEB, more=identity)) == (dhcp.OFFER, TEN)
    assert answer(one, ask(dhcp.DISCOVER, DB, more=identity)) == (dhcp.OFFER, TEN)
    assert answer(one, ask(dhcp.DISCOVER, WEB)) == (dhcp.OFFER, ELEVEN)


def test_a_reserved_address_is_for_its_client_only():
    one = server(reservations={b"\0web": TEN})
    assert answer(one, ask(dhcp.DISCOVER, DB, address=TEN)) == (dhcp.OFFER, ELEVEN)
    assert answer(one, ask(dhcp.REQUEST, DB, client_address=TEN))[0] == dhcp.NAK
    assert answer(one, ask(dhcp.DISCOVER, WEB, more=((61, b"\0web"),))) == (dhcp.OFFER, TEN)


def test_relayed_messages_replies_and_other_types_go_unanswered_with_a_reason():
    one = server()
    for message in (
        ask(dhcp.DISCOVER, relay_address=ELEVEN),
        DhcpMessage(2, 7, WEB, ((53, b"\x01"),)),
        ask(dhcp.OFFER),
        DhcpMessage(1, 7, WEB),
        ask(dhcp.REQUEST),
        ask(dhcp.INFORM),
    ):
        assert one.receive(0, message) == []
    assert list(one.refusals.values()) == [1, 1, 2, 1, 1]


def test_an_address_is_probed_once_however_often_its_client_asks():
    one = server(probe_wait_ns=3 * SECOND)
    assert one.receive(0, ask(dhcp.DISCOVER)) == [Probe(TEN)]
    assert one.receive(1, ask(dhcp.DISCOVER)) == []
    assert one.receive(2, ask(dhcp.DISCOVER, DB)) == [Probe(ELEVEN)]
    (offer,) = one.probe_ended(3 * SECOND, TEN)
    assert (offer.message.message_type, offer.address, offer.way) == (dhcp.OFFER, TEN, "link")
    assert one.probe_ended(3 * SECOND, TEN) == []


def test_a_probe_that_is_answered_moves_the_client_to_the_next_address():
    one = server(probe_wait_ns=3 * SECOND)
    one.receive(0, ask(dhcp.DISCOVER))
    assert one.probe_answered(1, TEN) == [Probe(ELEVEN)]
    assert one.probe_answered(1, TEN) == []
    assert one.leases.of_address(TEN).state == "declined"


def test_free_addresses_are_counted():
    one = server(exclusions=frozenset((ELEVEN,)))
    assert one.count_free(0) == 9
    lease(one)
    assert one.count_free(0) == 8


def test_a_range_of_sixteen_million_addresses_costs_no_more_than_a_small_one():
    one = server(prefix_length=8, first=TEN, last=b"\x0a\xff\xff\xfe", exclusions=frozenset((TEN, SERVER)))
    assert lease(one) == (dhcp.ACK, ELEVEN)
    assert one.count_free(0) == 0xFFFFFE - 10 - 1


def test_each_client_and_each_address_is_in_the_table_once():
    table = LeaseTable()
    table.put(Lease(TEN, b"a", WEB, "bound", 9))
    table.put(Lease(ELEVEN, b"a", WEB, "bound", 9))
    assert [entry.address for entry in table] == [ELEVEN]
    table.put(Lease(ELEVEN, b"b", DB, "bound", 9))
    assert (table.of_client(b"a"), table.of_client(b"b").address) == (None, ELEVEN)
