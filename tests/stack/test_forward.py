"""Forwarding: TTL, routes of every kind, MTU and the path MTU that senders learn (linux/g9, FACTS 28, 34, 35)."""

from __future__ import annotations

import errno

import pytest

from emu.stack.namespace import Namespace
from emu.stack.pmtu import PmtuCache
from emu.wire.checksum import checksum_sum
from tests.stack.world import SECOND, Pinger, World

H4 = "10.9.1.4"


def routed(mtu: int = 1400) -> tuple[World, Namespace, Namespace, Namespace]:
    """linux/g9: h1 10.9.0.1 - router 10.9.0.250 | 10.9.1.250 (MTU 1400) - h4 10.9.1.4."""
    world = World()
    h1, r, h4 = world.namespace("h1"), world.namespace("r"), world.namespace("h4")
    r.sysctl["net.ipv4.ip_forward"] = 1
    world.join(h1, r, "10.9.0.1/24", "10.9.0.250/24")
    world.join(r, h4, "10.9.1.250/24", "10.9.1.4/24", name="eth1", mtu=mtu)
    h1.routes.add("default", via="10.9.0.250")
    h4.routes.add("default", via="10.9.1.250")
    return world, h1, r, h4


def test_a_forwarded_packet_has_a_ttl_less_a_right_checksum_and_the_same_passport() -> None:
    world, h1, _, _ = routed()
    pinger = Pinger(world, h1)
    pinger.ping(H4)
    world.run()
    assert [ttl for _, _, _, ttl in pinger.replies] == [63]
    before = next(f for _, way, f in world.seen["h1:eth0"] if way == 2 and f.data[12:14] == b"\x08\0")
    after = next(f for _, way, f in world.seen["h4:eth1"] if way == 1 and f.data[12:14] == b"\x08\0")
    assert (before.data[22], after.data[22]) == (64, 63)
    assert checksum_sum(after.data[14:34]) == 65535
    assert before.packet_id == after.packet_id
    assert before.data[34:] == after.data[34:]


def test_without_ip_forward_it_is_dropped_silently() -> None:
    world, h1, r, _ = routed()
    r.sysctl["net.ipv4.ip_forward"] = 0
    pinger = Pinger(world, h1)
    pinger.ping(H4)
    world.run()
    assert (pinger.replies, pinger.errors) == ([], [])
    assert [(why, where) for _, why, where in world.drops] == [("NOT_LOCAL", "r:eth0")]


def test_a_ttl_of_1_ends_at_the_router_which_says_so_from_its_near_address() -> None:
    """v29 a6: time exceeded from 172.17.0.1, TOS 0xc0, DF clear, the whole packet quoted."""
    world, h1, _, _ = routed()
    pinger = Pinger(world, h1)
    pinger.ping(H4, ttl=1)
    pinger.ping(H4, ttl=2)
    world.run()
    assert [entry[1:4] for entry in pinger.errors] == [(bytes((10, 9, 0, 250)), 11, 0)]
    error = next(data for _, kind, _, data in world.icmp("h1:eth0", 1) if kind == 11)
    assert (error[15], error[20] & 0x40, len(error) - 14) == (0xC0, 0, 112)
    assert len(pinger.replies) == 1
    assert ("TTL_EXCEEDED", "r:eth0") in [(why, where) for _, why, where in world.drops]


def test_a_ttl_of_1_is_enough_for_the_router_itself() -> None:
    world, h1, _, _ = routed()
    pinger = Pinger(world, h1)
    pinger.ping("10.9.1.250", ttl=1)
    world.run()
    assert len(pinger.replies) == 1, "weak host model: any address of the router"


@pytest.mark.parametrize(
    ("kind", "code", "reason", "number"),
    [
        (None, 0, "NO_ROUTE", errno.ENETUNREACH),
        ("unreachable", 1, "ROUTE_UNREACHABLE", errno.EHOSTUNREACH),
        ("prohibit", 13, "ROUTE_PROHIBIT", errno.EACCES),
        ("blackhole", None, "ROUTE_BLACKHOLE", errno.EINVAL),
    ],
)
def test_routes_that_lead_nowhere_tell_the_sender(kind: str | None, code: int | None, reason: str, number: int) -> None:
    """linux/g10: unreachable 3/1, prohibit 3/13 "Packet filtered", blackhole silent; local senders get an errno."""
    world, h1, r, _ = routed()
    if kind is not None:
        r.routes.add("10.77.0.0/24", kind=kind)
    pinger = Pinger(world, h1)
    pinger.ping("10.77.0.1")
    world.run()
    assert [entry[2:4] for entry in pinger.errors] == ([] if code is None else [(3, code)])
    assert [why for _, why, _ in world.drops] == [reason]
    with pytest.raises(OSError) as caught:
        Pinger(world, r).ping("10.77.0.1")
    assert caught.value.errno == number


def test_an_unresolved_next_hop_is_reported_to_the_sender_of_every_waiting_packet() -> None:
    world, h1, _, _ = routed()
    pinger = Pinger(world, h1)
    pinger.ping("10.9.1.99")
    pinger.ping_at(SECOND, "10.9.1.99")
    world.run()
    assert [entry[1:4] for entry in pinger.errors] == [(bytes((10, 9, 0, 250)), 3, 1)] * 2


# -- MTU --------------------------------------------------------------------------------------------------------------


def test_a_long_packet_with_df_is_refused_once_and_then_the_sender_knows() -> None:
    """linux/g9: "Frag needed and DF set (mtu = 1400)", then locally "message too long, mtu=1400"."""
    world, h1, _, _ = routed()
    pinger = Pinger(world, h1)
    pinger.ping(H4, size=1472, dont_fragment="do")
    world.run(SECOND)
    assert [entry[1:] for entry in pinger.errors] == [(bytes((10, 9, 0, 250)), 3, 4, 1400)]
    error = next(data for _, kind, code, data in world.icmp("h1:eth0", 1) if (kind, code) == (3, 4))
    assert len(error) - 14 == 576
    with pytest.raises(OSError, match="Message too long") as caught:
        pinger.ping(H4, size=1472, dont_fragment="do")
    assert caught.value.mtu == 1400  # type: ignore[attr-defined]
    pinger.ping(H4, size=1372, dont_fragment="do")
    pinger.ping(H4, size=1472)
    world.run(2 * SECOND)
    assert len(pinger.replies) == 2
    lengths = [len(data) - 14 for _, _, _, data in world.icmp("h1:eth0", 2)]
    assert lengths == [1500, 1400, 1396, 124]
    assert len(world.icmp("h4:eth1", 1)) == 3


def test_without_df_the_router_cuts() -> None:
    world, h1, _, _ = routed()
    pinger = Pinger(world, h1)
    pinger.ping(H4, size=1472, dont_fragment="dont")
    world.run(SECOND)
    assert len(pinger.replies) == 1
    lengths = [len(data) - 14 for _, _, _, data in world.icmp("h4:eth1", 1)]
    assert lengths == [1396, 124]
    assert [len(data) - 14 for _, _, _, data in world.icmp("h1:eth0", 2)] == [1500]


def test_the_path_mtu_is_forgotten_after_ten_minutes() -> None:
    world, h1, _, _ = routed()
    pinger = Pinger(world, h1)
    pinger.ping(H4, size=1472, dont_fragment="do")
    pinger.ping_at(601 * SECOND, H4, size=1472, dont_fragment="do")
    world.run()
    assert len(pinger.errors) == 2


def test_a_udp_sender_is_told_emsgsize_once_and_then_sends_fragments() -> None:
    world, h1, _, h4 = routed()
    sink = h4.udp_socket()
    sink.bind("0.0.0.0", 7000)
    received: list[int] = []
    sink.on_datagram = lambda payload, source, frame: received.append(len(payload))
    socket = h1.udp_socket()
    socket.connect(H4, 7000)
    socket.send(bytes(1472))
    world.run(SECOND)
    with pytest.raises(OSError, match="Message too long"):
        socket.send(bytes(1472))
    socket.send(bytes(1472))
    socket.send(bytes(1372))
    world.run(2 * SECOND)
    assert received == [1472, 1372]


def test_cached_flows_notice_a_smaller_path_mtu() -> None:
    world, h1, _, h4 = routed()
    socket = h1.udp_socket()
    socket.connect(H4, 7000)
    socket.receive_errors = True
    h4.udp_socket().bind("0.0.0.0", 7000)
    socket.send(bytes(10))
    world.run(SECOND)
    socket.send(bytes(10))
    socket.send(bytes(1472))  # by the cached way
    world.run(2 * SECOND)
    assert [(e.number, e.information) for e in socket.error_queue] == [(errno.EMSGSIZE, 1400)]
    with pytest.raises(OSError, match="Message too long"):
        socket.send(bytes(1472))
    socket.send(bytes(1472))
    world.run(3 * SECOND)
    sent = [len(data) - 14 for data in world.sent("h1:eth0") if data[12:14] == b"\x08\0"]
    assert sent == [38, 38, 1500, 1396, 124]


def test_the_cache_only_lowers_pins_at_552_and_expires() -> None:
    cache = PmtuCache()
    destination = bytes((10, 9, 1, 4))
    assert cache.lookup(0, destination, 1500) == 1500
    assert not cache.learn(0, destination, 1500, 1500)
    assert cache.learn(0, destination, 1400, 1500)
    assert not cache.learn(1, destination, 1450, 1500)
    assert cache.lookup(600 * SECOND - 1, destination, 1500) == 1400
    assert cache.lookup(600 * SECOND, destination, 1500) == 1500
    assert cache.learn(0, destination, 68, 1500)
    assert (cache.lookup(1, destination, 1500), cache.is_locked(1, destination)) == (552, True)
    cache.clear()
    assert not cache.knows(1, destination)


def test_the_forward_rules_decide_and_the_drop_has_a_reason() -> None:
    from emu.stack.forward_chain import ForwardRule
    from emu.stack.rule_chain import DROP

    world, h1, r, _ = routed()
    r.filter.append(ForwardRule(DROP, in_device="eth0", out_device="eth1", destination="10.9.1.0/24"))
    pinger = Pinger(world, h1)
    pinger.ping(H4)
    world.run()
    assert (pinger.replies, pinger.errors) == ([], [])
    assert [why for _, why, _ in world.drops] == ["FIREWALL"]
    assert r.filter.counters == [1]
