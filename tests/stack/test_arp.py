"""ARP: answering, learning, gratuitous requests and unsolicited replies (FACTS 11, 14, 20, 21; FACTS29 section 2)."""

from __future__ import annotations

import pytest

from emu.kernel.errors import InvalidValue, NotFound
from emu.stack.arp import build_arp
from emu.stack.namespace import Namespace
from emu.stack.neighbour import DELAY, NONE, REACHABLE, STALE
from emu.wire.address import BROADCAST_MAC, ZERO_MAC, ipv4_to_bytes, mac_to_text
from emu.wire.frame import Frame
from tests.stack.world import MS, SECOND, Pinger, World, two_hosts

REQUEST, REPLY = b"\0\x01", b"\0\x02"
OTHER_MAC = b"\x02\0\0\0\0\x03"
PEER = ipv4_to_bytes("10.9.0.2")


def hear(world: World, namespace: Namespace, data: bytes) -> None:
    """Let a frame arrive at a namespace's eth0."""
    world.kernel.soon(namespace.device("eth0").receive, Frame(data, world.kernel.next_packet_id()))


def gratuitous(operation: bytes, mac: bytes = OTHER_MAC, target_mac: bytes = ZERO_MAC) -> bytes:
    return build_arp(operation, BROADCAST_MAC, mac, PEER, target_mac, PEER)


def entry_of(namespace: Namespace) -> str:
    entry = namespace.neighbours.get("eth0", "10.9.0.2")
    return NONE if entry is None else f"{mac_to_text(entry.mac or ZERO_MAC)} {entry.state}"


OLD = "02:00:00:00:00:02"
NEW = "02:00:00:00:00:03"


def known_peer() -> tuple[World, Namespace, Namespace]:
    world, h1, h2 = two_hosts()
    Pinger(world, h1).ping("10.9.0.2")
    world.run(1)
    assert entry_of(h1) == f"{OLD} {REACHABLE}"
    return world, h1, h2


def test_request_and_reply_are_42_bytes_and_the_reply_is_unicast() -> None:
    world, h1, h2 = known_peer()
    one, two = h1.device("eth0").mac, h2.device("eth0").mac
    own, peer = ipv4_to_bytes("10.9.0.1"), PEER
    assert world.sent("h1:eth0")[0] == build_arp(REQUEST, BROADCAST_MAC, one, own, ZERO_MAC, peer)
    assert world.sent("h2:eth0")[0] == build_arp(REPLY, one, two, peer, one, own)
    assert len(world.sent("h2:eth0")[0]) == 42


def test_a_reply_names_the_request_that_caused_it() -> None:
    world, _, _ = known_peer()
    request = next(frame for _, way, frame in world.seen["h2:eth0"] if way == 1)
    reply = next(frame for _, way, frame in world.seen["h2:eth0"] if way == 2)
    assert reply.packet_id != request.packet_id
    assert world.kernel.journal.annotation(reply.packet_id) == f"caused by #{request.packet_id}"


def test_an_unsolicited_reply_is_ignored_within_the_locktime_and_taken_after_it() -> None:
    """linux/g6: after 0.1 s ignored, after 1.7 s taken, and the state is then STALE."""
    world, h1, _ = known_peer()
    reply = build_arp(REPLY, BROADCAST_MAC, OTHER_MAC, PEER, BROADCAST_MAC, PEER)
    world.at(100 * MS, lambda: hear(world, h1, reply))
    world.run(200 * MS)
    assert entry_of(h1) == f"{OLD} {REACHABLE}"
    world.at(1700 * MS, lambda: hear(world, h1, reply))
    world.run(1800 * MS)
    assert entry_of(h1) == f"{NEW} {STALE}"


def test_the_locktime_ends_after_exactly_one_second() -> None:
    world, h1, _ = known_peer()
    reply = build_arp(REPLY, BROADCAST_MAC, OTHER_MAC, PEER, BROADCAST_MAC, PEER)
    world.at(SECOND, lambda: hear(world, h1, reply))
    world.run(SECOND + 1)
    assert entry_of(h1) == f"{OLD} {REACHABLE}"
    world.at(SECOND + 2, lambda: hear(world, h1, reply))
    world.run(SECOND + 3)
    assert entry_of(h1) == f"{NEW} {STALE}"


def test_a_gratuitous_request_overwrites_even_a_fresh_reachable_entry_at_once() -> None:
    """FACTS29 2.3: the restarted peer's announcement; the next ping needs no ARP and is confirmed 5 s later."""
    world, h1, _ = known_peer()
    world.at(10, lambda: hear(world, h1, gratuitous(REQUEST)))
    world.run(20)
    assert entry_of(h1) == f"{NEW} {STALE}"
    pinger = Pinger(world, h1)
    requests = len(world.arp_requests("h1:eth0"))
    pinger.ping("10.9.0.2")
    assert entry_of(h1) == f"{NEW} {DELAY}"
    assert world.sent("h1:eth0")[-1][:6] == OTHER_MAC
    assert len(world.arp_requests("h1:eth0")) == requests
    world.run(6 * SECOND)
    assert world.arp_requests("h1:eth0")[requests][1] == OTHER_MAC, "the usual unicast confirmation"


def test_a_gratuitous_reply_overwrites_only_if_its_target_mac_is_the_sender() -> None:
    world, h1, _ = known_peer()
    hear(world, h1, gratuitous(REPLY, target_mac=ZERO_MAC))
    world.run(10)
    assert entry_of(h1) == f"{OLD} {REACHABLE}"
    hear(world, h1, gratuitous(REPLY, target_mac=OTHER_MAC))
    world.run(20)
    assert entry_of(h1) == f"{NEW} {STALE}"


@pytest.mark.parametrize("operation", [REQUEST, REPLY])
def test_nothing_is_created_for_a_missing_entry(operation: bytes) -> None:
    world, h1, _ = two_hosts()
    hear(world, h1, gratuitous(operation, target_mac=OTHER_MAC))
    world.run()
    assert h1.neighbours.text() == ""


def test_only_a_question_to_us_creates_an_entry_and_it_is_stale() -> None:
    world, h1, _ = two_hosts()
    to_others = build_arp(REQUEST, BROADCAST_MAC, OTHER_MAC, PEER, ZERO_MAC, ipv4_to_bytes("10.9.0.9"))
    hear(world, h1, to_others)
    world.run(1)
    assert h1.neighbours.text() == ""
    to_us = build_arp(REQUEST, BROADCAST_MAC, OTHER_MAC, PEER, ZERO_MAC, ipv4_to_bytes("10.9.0.1"))
    hear(world, h1, to_us)
    world.run(2)
    assert entry_of(h1) == f"{NEW} {STALE}"
    assert world.sent("h1:eth0")[-1][:6] == OTHER_MAC


def test_a_host_answers_for_any_of_its_addresses_on_any_interface() -> None:
    world, h1, h2 = two_hosts()
    world.join(h1, h2, "10.8.0.1/24", "10.8.0.2/24", name="eth1")
    ask = build_arp(REQUEST, BROADCAST_MAC, OTHER_MAC, PEER, ZERO_MAC, ipv4_to_bytes("10.8.0.1"))
    hear(world, h1, ask)
    world.run()
    reply = world.sent("h1:eth0")[-1]
    assert (reply[20:22], reply[22:28], reply[28:32]) == (REPLY, h1.device("eth0").mac, ipv4_to_bytes("10.8.0.1"))


def test_an_address_probe_is_answered_without_making_an_entry() -> None:
    world, h1, _ = two_hosts()
    hear(world, h1, build_arp(REQUEST, BROADCAST_MAC, OTHER_MAC, bytes(4), ZERO_MAC, ipv4_to_bytes("10.9.0.1")))
    world.run()
    assert world.sent("h1:eth0")[-1][20:22] == REPLY
    assert h1.neighbours.text() == ""


def test_somebody_elses_use_of_our_address_is_not_answered() -> None:
    world, h1, _ = two_hosts()
    own = ipv4_to_bytes("10.9.0.1")
    hear(world, h1, build_arp(REQUEST, BROADCAST_MAC, OTHER_MAC, own, ZERO_MAC, own))
    world.run()
    assert world.sent("h1:eth0") == []
    assert h1.neighbours.text() == ""


def test_link_up_and_a_new_address_announce_nothing() -> None:
    world, h1, _ = two_hosts()
    h1.device("eth0").set_down()
    h1.device("eth0").set_up()
    h1.add_address(h1.device("eth0"), "10.9.0.22/24")
    world.run()
    assert world.sent("h1:eth0") == []


def test_announcements_leave_at_once_and_then_at_the_interval() -> None:
    world, h1, _ = two_hosts()
    h1.announce(h1.device("eth0"), "10.9.0.1", 3, SECOND)
    world.run()
    assert world.arp_requests("h1:eth0") == [(second * SECOND, BROADCAST_MAC) for second in range(3)]
    own, mac = ipv4_to_bytes("10.9.0.1"), h1.device("eth0").mac
    assert set(world.sent("h1:eth0")) == {build_arp(REQUEST, BROADCAST_MAC, mac, own, ZERO_MAC, own)}


def test_announcements_end_when_the_address_goes() -> None:
    world, h1, _ = two_hosts()
    h1.announce(h1.device("eth0"), "10.9.0.1", 3, 200 * MS)
    world.at(100 * MS, lambda: h1.remove_address(h1.device("eth0"), "10.9.0.1/24"))
    world.run()
    assert len(world.arp_requests("h1:eth0")) == 1


def test_impossible_announcements_are_refused() -> None:
    _, h1, h2 = two_hosts()
    eth0 = h1.device("eth0")
    h1.announce(eth0, "10.9.0.1", 0, SECOND)
    with pytest.raises(InvalidValue, match="count of 0 to 100"):
        h1.announce(eth0, "10.9.0.1", -1, SECOND)
    with pytest.raises(InvalidValue, match="interval"):
        h1.announce(eth0, "10.9.0.1", 1, 0)
    with pytest.raises(InvalidValue, match="does not have that address"):
        h1.announce(eth0, "10.9.0.2", 1, SECOND)
    with pytest.raises(NotFound):
        h1.announce(h2.device("eth0"), "10.9.0.1", 1, SECOND)


def test_the_source_of_a_request_is_the_waiting_packets_own() -> None:
    world, h1, _ = two_hosts()
    h1.add_address(h1.device("eth0"), "10.9.0.50/24")
    socket = h1.udp_socket()
    socket.bind("10.9.0.50", 5000)
    socket.sendto(b"", ("10.9.0.77", 9))
    world.run(1)
    assert world.sent("h1:eth0")[0][28:32] == ipv4_to_bytes("10.9.0.50")
