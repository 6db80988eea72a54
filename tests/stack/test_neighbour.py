"""The neighbour table: every transition of Linux's state machine, at its exact time (FACTS 14 to 22).

Timers run on the kernel's timer wheel: from t=0, 1 s ends at 1.024 s and 5 s at 5.12 s. The recorded captures show
1.005 to 1.028 s and 5.04 to 5.22 s.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.kernel.errors import InvalidValue, NotFound
from emu.kernel.jiffies import wheel_expiry_ns
from emu.stack.arp import build_arp
from emu.stack.namespace import Namespace
from emu.stack.neighbour import DELAY, FAILED, INCOMPLETE, NONE, PERMANENT, PROBE, REACHABLE, STALE
from emu.wire.address import BROADCAST_MAC
from emu.wire.frame import Frame
from tests.stack.world import MS, SECOND, Pinger, World, two_hosts

RETRANS = SECOND
DELAY_TIME = 5 * SECOND


def after(start_ns: int, *delays_ns: int) -> int:
    """When timers set one after the other expire."""
    for delay_ns in delays_ns:
        start_ns = wheel_expiry_ns(start_ns, delay_ns)
    return start_ns


def samples(world: World, state_of: Callable[[], str], times: list[int]) -> list[str]:
    found: list[str] = []
    for time_ns in times:
        world.at(time_ns, lambda: found.append(state_of()))
    return found


def test_an_unused_address_is_asked_for_three_times_and_then_unreachable() -> None:
    world, h1, _ = two_hosts()
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.77")
    assert h1.neighbours.state("eth0", "10.9.0.77") == INCOMPLETE
    world.run()
    times = [0, after(0, RETRANS), after(0, RETRANS, RETRANS)]
    assert world.arp_requests("h1:eth0") == [(time_ns, BROADCAST_MAC) for time_ns in times]
    failure_ns = after(0, RETRANS, RETRANS, RETRANS)
    assert [(t, kind, code) for t, _, kind, code, _ in pinger.errors] == [(failure_ns, 3, 1)]
    assert pinger.errors[0][1] == bytes((10, 9, 0, 1)), "our own address says so, on lo"
    assert h1.neighbours.state("eth0", "10.9.0.77") == FAILED
    assert h1.neighbours.text() == "10.9.0.77 dev eth0 FAILED \n"


def test_the_recorded_times_of_an_unused_address_are_met_within_5_percent() -> None:
    """v29 a5-unused-c1-eth0: requests at 0, 1.005, 2.033 s; v20.10: 0, 1.02, 2.05 s, the error at 3.07 s."""
    world, h1, _ = two_hosts()
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.77")
    world.run()
    measured = [*(t for t, _ in world.arp_requests("h1:eth0")[1:]), pinger.errors[0][0]]
    for recorded in ([1.005, 2.033, 3.07], [1.02, 2.05, 3.07]):
        for model_ns, recorded_s in zip(measured, recorded, strict=True):
            assert model_ns / SECOND == pytest.approx(recorded_s, rel=0.05)


def test_every_packet_that_waited_gets_its_own_error() -> None:
    world, h1, _ = two_hosts()
    pinger = Pinger(world, h1)
    for second in range(3):
        pinger.ping_at(second * SECOND + 1, "10.9.0.77")
    world.run()
    assert [entry[2:4] for entry in pinger.errors] == [(3, 1)] * 3
    assert len({entry[0] for entry in pinger.errors}) == 1


def test_a_packet_after_failure_begins_anew() -> None:
    world, h1, _ = two_hosts()
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.77")
    pinger.ping_at(10 * SECOND, "10.9.0.77")
    world.run()
    assert len(world.arp_requests("h1:eth0")) == 6
    assert world.arp_requests("h1:eth0")[3] == (10 * SECOND, BROADCAST_MAC)


def test_the_asker_is_reachable_and_who_answered_confirms_it_by_unicast_after_five_seconds() -> None:
    world, h1, h2 = two_hosts()
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.2")
    found = samples(world, lambda: h2.neighbours.state("eth0", "10.9.0.1"), [1, 5 * SECOND, 6 * SECOND])
    world.run()
    assert found == [DELAY, DELAY, REACHABLE]
    assert h1.neighbours.state("eth0", "10.9.0.2") == REACHABLE
    h1_mac = h1.device("eth0").mac
    assert world.arp_requests("h2:eth0") == [(after(0, DELAY_TIME), h1_mac)], "unicast, at +5.12 s"
    assert len(world.arp_requests("h1:eth0")) == 1


def test_answering_alone_makes_the_asker_stale() -> None:
    world, h1, h2 = two_hosts()
    h2.sysctl["net.ipv4.icmp_echo_ignore_all"] = 1
    Pinger(world, h1).ping("10.9.0.2")
    world.run()
    assert h2.neighbours.state("eth0", "10.9.0.1") == STALE
    assert world.arp_requests("h2:eth0") == []


def test_reachable_grows_stale_after_15_to_45_seconds_without_a_frame() -> None:
    world, h1, _ = two_hosts()
    Pinger(world, h1).ping("10.9.0.2")
    world.run(10 * SECOND)
    entry = h1.neighbours.get("eth0", "10.9.0.2")
    assert entry is not None
    frames = len(world.seen["h1:eth0"])
    limit_ns = h1.interface("eth0").reachable_time_ns()
    assert 15 * SECOND <= limit_ns <= 45 * SECOND
    stale_ns = after(0, limit_ns)
    world.run(stale_ns)
    assert entry.state == REACHABLE
    world.run(stale_ns + 1)
    assert entry.state == STALE
    assert len(world.seen["h1:eth0"]) == frames


def test_growing_stale_does_not_keep_a_run_alive() -> None:
    world, h1, _ = two_hosts()
    Pinger(world, h1).ping("10.9.0.2")
    world.run()
    assert world.kernel.now == after(0, DELAY_TIME)
    assert h1.neighbours.state("eth0", "10.9.0.2") == REACHABLE


def test_the_reachable_time_differs_between_devices_and_seeds_but_not_between_runs() -> None:
    def drawn(seed: int) -> tuple[int, int]:
        _, h1, h2 = two_hosts(seed)
        return h1.interface("eth0").reachable_time_ns(), h2.interface("eth0").reachable_time_ns()

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(1)[0] != drawn(1)[1]


def vanished_peer() -> tuple[World, Pinger, Namespace]:
    """h1 knows h2, then h2 stops answering at 50 s; pings from 60 s on, once a second."""
    world, h1, h2 = two_hosts()
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.2")
    world.at(50 * SECOND, lambda: setattr(h2.device("eth0"), "upper", lambda frame: None))
    for second in range(14):
        pinger.ping_at((60 + second) * SECOND, "10.9.0.2")
    return world, pinger, h1


def test_a_stale_neighbour_that_vanished_is_probed_and_then_searched_as_recorded() -> None:
    """linux/g7: 5 s of traffic to the old MAC, 3 unicast requests 1.02 s apart, FAILED, 3 broadcasts, errors."""
    world, pinger, h1 = vanished_peer()
    start = 60 * SECOND
    moments = [start + 1, start + 5 * SECOND, start + 5500 * MS, start + 8500 * MS, start + 9100 * MS]
    found = samples(world, lambda: h1.neighbours.state("eth0", "10.9.0.2"), moments)
    world.run(start)
    assert h1.neighbours.state("eth0", "10.9.0.2") == STALE
    world.run()
    unicast_1 = after(start, DELAY_TIME)
    unicast = [unicast_1, after(unicast_1, RETRANS), after(unicast_1, RETRANS, RETRANS)]
    failed_ns = after(unicast_1, RETRANS, RETRANS, RETRANS)
    assert failed_ns < start + 9 * SECOND
    asked_again = start + 9 * SECOND  # the next ping
    broadcast = [asked_again, after(asked_again, RETRANS), after(asked_again, RETRANS, RETRANS)]
    requests = world.arp_requests("h1:eth0")[1:7]
    assert [t for t, _ in requests] == unicast + broadcast
    assert [mac == BROADCAST_MAC for _, mac in requests] == [False] * 3 + [True] * 3
    assert found == [DELAY, DELAY, PROBE, FAILED, INCOMPLETE]
    first_error = pinger.errors[0][0]
    assert first_error == after(asked_again, RETRANS, RETRANS, RETRANS)
    recorded_s = [5.22, 6.245, 7.269, 9.22, 10.246, 11.27]  # g7-neigh-h1, seconds after the first ping
    for (model_ns, _), recorded in zip(requests[:3], recorded_s[:3], strict=True):
        assert (model_ns - start) / SECOND == pytest.approx(recorded, rel=0.05)
    for (model_ns, _), recorded in zip(requests[3:], recorded_s[3:], strict=True):
        assert (model_ns - start) / SECOND == pytest.approx(recorded, rel=0.05)


def test_a_peer_that_vanished_while_reachable_is_not_noticed() -> None:
    """FACT 19: ten pings in nine seconds go to the old MAC, and nobody asks."""
    world, h1, h2 = two_hosts()
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.2")
    world.at(MS, lambda: setattr(h2.device("eth0"), "upper", lambda frame: None))
    for second in range(1, 10):
        pinger.ping_at(second * SECOND, "10.9.0.2")
    world.run(10 * SECOND)
    assert len(world.arp_requests("h1:eth0")) == 1
    assert len(world.icmp("h1:eth0", 2)) == 10


def test_packets_wait_and_leave_in_order_when_the_answer_comes() -> None:
    world, h1, _ = two_hosts()
    pinger = Pinger(world, h1)
    for _ in range(5):
        pinger.ping("10.9.0.2")
    world.run()
    assert [sequence for _, _, sequence, _ in pinger.replies] == [1, 2, 3, 4, 5]
    assert len(world.arp_requests("h1:eth0")) == 1


def test_the_queue_holds_212992_bytes_and_loses_the_oldest() -> None:
    """Linux counts 768 bytes for a small packet, so 277 fit."""
    world, h1, _ = two_hosts()
    pinger = Pinger(world, h1)
    for _ in range(280):
        pinger.ping("10.9.0.77")
    entry = h1.neighbours.get("eth0", "10.9.0.77")
    assert entry is not None
    assert entry.queue_length == 277
    assert [reason for _, reason, _ in world.drops] == ["NEIGHBOUR_QUEUE_FULL"] * 3
    world.run()
    assert len(pinger.errors) == 277


def test_permanent_entries_never_change_and_need_no_request() -> None:
    world, h1, h2 = two_hosts()
    h2_mac = h2.device("eth0").mac
    h1.neighbours.add_permanent(h1.device("eth0"), "10.9.0.2", h2_mac.hex(":"))
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.2")
    world.run()
    assert len(pinger.replies) == 1
    assert world.arp_requests("h1:eth0") == []
    assert h1.neighbours.state("eth0", "10.9.0.2") == PERMANENT
    assert h1.neighbours.text() == f"10.9.0.2 dev eth0 lladdr {h2_mac.hex(':')} PERMANENT \n"
    h1.neighbours.flush()
    assert h1.neighbours.state("eth0", "10.9.0.2") == PERMANENT
    h1.neighbours.remove("eth0", "10.9.0.2")
    assert h1.neighbours.state("eth0", "10.9.0.2") == NONE


def test_bad_arguments_are_named() -> None:
    _, h1, _ = two_hosts()
    with pytest.raises(NotFound, match='no device "eth7"'):
        h1.neighbours.add_permanent("eth7", "10.9.0.2", "02:00:00:00:00:09")
    with pytest.raises(InvalidValue):
        h1.neighbours.add_permanent("eth0", "10.9.0.2", "zz")
    with pytest.raises(NotFound):
        h1.neighbours.remove("eth0", "10.9.0.250")


def test_going_down_forgets_all_neighbours_and_drops_what_waits() -> None:
    world, h1, _ = two_hosts()
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.77")
    h1.device("eth0").set_down()
    world.run()
    assert h1.neighbours.text() == ""
    assert pinger.errors == []
    assert [reason for _, reason, _ in world.drops] == ["NEIGHBOUR_UNRESOLVED"]


def test_shorter_timers_can_be_set_per_device() -> None:
    world, h1, _ = two_hosts()
    h1.sysctl["net.ipv4.neigh.eth0.mcast_solicit"] = 1
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.77")
    world.run()
    assert len(world.arp_requests("h1:eth0")) == 1
    assert pinger.errors[0][0] == after(0, RETRANS)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["send", "answer", "request", "gratuitous", "other mac", "flush"]),
        st.sampled_from([0, 1, 900 * MS, 1100 * MS, 5200 * MS, 20 * SECOND, 50 * SECOND]),
    ),
    max_size=25,
)


@given(EVENTS)
def test_whatever_happens_in_whatever_order_the_table_stays_consistent(events: list[tuple[str, int]]) -> None:
    world, h1, h2 = two_hosts()
    h2.device("eth0").upper = lambda frame: None  # only what the events say is ever heard
    pinger = Pinger(world, h1)
    eth0 = h1.device("eth0")
    own, peer = bytes((10, 9, 0, 1)), bytes((10, 9, 0, 2))
    macs = {"other mac": b"\x02\0\0\0\0\x77"}
    now_ns = 0
    sent = 0
    for name, wait_ns in events:
        mac = macs.get(name, h2.device("eth0").mac)
        if name == "send":
            pinger.ping("10.9.0.2")
            sent += 1
        elif name == "flush":
            h1.neighbours.flush()
        else:
            is_reply = name in ("answer", "other mac")
            operation = b"\0\x02" if is_reply else b"\0\x01"
            target = peer if name == "gratuitous" else own
            data = build_arp(operation, eth0.mac if is_reply else BROADCAST_MAC, mac, peer, eth0.mac, target)
            eth0.receive(Frame(data, 1))
        check_entry(h1, peer)
        now_ns += wait_ns
        if wait_ns:
            world.run(now_ns)
        check_entry(h1, peer)
    world.run()
    left = len(world.icmp("h1:eth0", 2))
    failed = len(pinger.errors)
    flushed = sum(1 for _, why, _ in world.drops if why == "NEIGHBOUR_UNRESOLVED") - failed
    assert left + failed + flushed == sent, "every packet left, failed with an error, or was flushed"


def check_entry(namespace: Namespace, address: bytes) -> None:
    entry = namespace.interface("eth0").neighbours.get(address)
    if entry is None:
        return
    assert entry.state in (INCOMPLETE, FAILED, PERMANENT) or entry.mac is not None
    assert entry.queue_length == 0 or entry.state == INCOMPLETE
    assert entry.state != NONE
