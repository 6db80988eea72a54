"""traceroute finds the routers on the way with all three methods, and prints what Linux's prints."""

from __future__ import annotations

import re
from typing import Any

import pytest

import emu
from emu.kernel.errors import InvalidValue
from emu.traffic.traceroute import TracerouteResult, traceroute_options
from emu.traffic.traceroute_text import TraceHop, TraceProbe, error_mark, hop_line
from tests.traffic.routers import FAR, FAR_ROUTER, NEAR_ROUTER, behind_two_routers

MS = 1_000_000


def trace(
    net: emu.Emulation, web: emu.Container, target: str, protocol: str = "udp", **options: Any
) -> TracerouteResult:
    task = web.traceroute(target, protocol, **options)
    net.run()
    result: TracerouteResult = task.result
    return result


def without_times(text: str) -> str:
    return re.sub(r"\d+\.\d{3} ms", "T ms", text)


@pytest.mark.parametrize("protocol", ["udp", "icmp"])
def test_every_router_on_the_way_is_found_by(protocol: str) -> None:
    result = trace(*behind_two_routers(), FAR, protocol)
    assert without_times(result.text) == (
        f"traceroute to {FAR} ({FAR}), 30 hops max, 60 byte packets\n"
        f" 1  {NEAR_ROUTER} ({NEAR_ROUTER})  T ms  T ms  T ms\n"
        f" 2  {FAR_ROUTER} ({FAR_ROUTER})  T ms  T ms  T ms\n"
        f" 3  {FAR} ({FAR})  T ms  T ms  T ms\n"
    )
    assert result.reached
    assert [hop.ttl for hop in result.hops] == [1, 2, 3]


def test_times_are_those_of_the_way_there_and_back() -> None:
    net, web = behind_two_routers()
    web.ping(FAR, count=1)  # from now on the neighbours know each other
    result = trace(net, web, FAR, "icmp", at="1s")
    again = [hop.probes[-1].rtt_ns for hop in result.hops]
    assert all(rtt is not None for rtt in again)
    near, middle, far = (rtt or 0 for rtt in again)
    assert near < MS
    assert 2 * MS < middle < 2.2 * MS
    assert 4 * MS < far < 4.2 * MS


def test_udp_probes_go_to_a_port_each_from_33434_on_and_carry_letters() -> None:
    net, web = behind_two_routers()
    seen = web.sniff(lfilter=lambda packet: packet.haslayer("UDP") and packet["IP"].src == "172.17.0.2")
    trace(net, web, FAR)
    probes = [packet for packet in seen.result if not packet.haslayer("ICMP")]
    assert [packet["UDP"].dport for packet in probes[:16]] == list(range(33434, 33450))
    assert [packet["IP"].ttl for packet in probes[:9]] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert len({packet["UDP"].sport for packet in probes}) == len(probes)
    first = probes[0]
    assert (len(first["IP"]), int(first["IP"].flags), bytes(first["UDP"].payload)[:3]) == (60, 0, b"@AB")


def test_tcp_probes_are_syns_with_tracerouts_own_options() -> None:
    net, web = behind_two_routers()
    seen = web.sniff(lfilter=lambda packet: packet.haslayer("TCP") and not packet.haslayer("ICMP"))
    result = trace(net, web, FAR, "tcp", port=443)
    first = next(packet for packet in seen.result if packet["IP"].src == "172.17.0.2")
    assert (first["TCP"].dport, str(first["TCP"].flags), first["TCP"].window, len(first["IP"])) == (443, "S", 5840, 60)
    assert [name for name, _ in first["TCP"].options] == ["MSS", "SAckOK", "Timestamp", "NOP", "WScale"]
    built = bytes(first["TCP"])
    del first["TCP"].chksum
    assert bytes(first.__class__(bytes(first))["TCP"]) == built  # Scapy computes the same checksum
    assert result.reached


@pytest.mark.parametrize(
    ("kind", "mark"), [("unreachable", "!H"), ("prohibit", "!X")], ids=["no route to host", "rejected"]
)
def test_a_router_that_refuses_ends_the_trace_with_its_mark(kind: str, mark: str) -> None:
    net, web = behind_two_routers()
    web.host.namespace.routes.add("10.9.0.0/16", kind=kind)
    result = trace(net, web, "10.9.0.1")
    assert without_times(result.text).splitlines()[1:] == [
        f" 1  {NEAR_ROUTER} ({NEAR_ROUTER})  T ms {mark}  T ms {mark}  T ms {mark}"
    ]
    assert not result.reached


def test_silence_is_a_star_per_probe_up_to_the_last_hop() -> None:
    net, web = behind_two_routers()
    web.host.namespace.routes.add("10.9.0.0/16", kind="blackhole")
    task = web.traceroute("10.9.0.1", max_ttl=3, timeout="1s")
    net.run()
    result = task.result
    assert result.text.splitlines()[1:] == [" 1  * * *", " 2  * * *", " 3  * * *"]
    assert 1000 * MS < task.finished_ns < 1001 * MS


def test_a_neighbour_that_does_not_answer_is_reported_by_the_own_kernel_after_three_seconds() -> None:
    net, web = behind_two_routers()
    result = trace(net, web, "172.17.0.99")
    assert result.text.splitlines()[1].startswith(" 1  172.17.0.2 (172.17.0.2)  30")
    assert {probe.mark for probe in result.hops[0].probes} == {"!H"}


def test_without_a_route_the_program_says_so_and_ends() -> None:
    net = emu.Emulation(seed=1)
    web = net.host.containers.run("web", network=net.networks.create("closed", internal=True))
    for protocol in ("udp", "icmp", "tcp"):
        result = trace(net, web, "8.8.8.8", protocol)
        assert result.text.splitlines()[1:] == ["connect: Network is unreachable"]


def test_names_are_shown_for_a_target_that_was_named() -> None:
    net = emu.Emulation(seed=1)
    shop = net.networks.create("shop")
    web, db = (net.host.containers.run(name, network=shop) for name in ("web", "db"))
    result = trace(net, web, "db")
    address = db.addresses["shop"]
    assert result.text.startswith(
        f"traceroute to db ({address}), 30 hops max, 60 byte packets\n 1  db.shop ({address})"
    )


def test_probes_per_hop_first_hop_and_size_can_be_chosen() -> None:
    result = trace(*behind_two_routers(), FAR, "icmp", first_ttl=2, queries=2, size=100)
    lines = without_times(result.text).splitlines()
    assert lines[0].endswith("30 hops max, 100 byte packets")
    assert lines[1:] == [f" 2  {FAR_ROUTER} ({FAR_ROUTER})  T ms  T ms", f" 3  {FAR} ({FAR})  T ms  T ms"]


def test_an_answer_that_does_not_come_is_waited_for_three_times_as_long_as_another_of_its_hop_took() -> None:
    net, web = behind_two_routers()
    task = web.traceroute(FAR, queries=10, max_ttl=1)
    net.run()
    (hop,) = task.result.hops
    assert [probe.rtt_ns is not None for probe in hop.probes] == [True] * 6 + [False] * 4  # the router's rate limit
    assert hop.probes[0].rtt_ns is not None
    waited_ns = 3 * (hop.probes[0].rtt_ns + MS)
    assert waited_ns < task.finished_ns < waited_ns + MS


def test_a_stopped_container_ends_its_traceroute_with_what_it_had() -> None:
    net, web = behind_two_routers()
    task = web.traceroute("172.17.0.99")
    net.at("1s", web.stop)
    net.run()
    assert task.state == "stopped"
    assert task.result.hops == ()


@pytest.mark.parametrize(
    ("code", "mark"),
    [(0, "!N"), (1, "!H"), (2, "!P"), (3, ""), (4, "!F-1400"), (5, "!S"), (13, "!X"), (14, "!V"), (99, "!<99>")],
)
def test_the_mark_of_an_unreachable_code(code: int, mark: str) -> None:
    assert error_mark(3, code, 1400) == mark


def test_time_exceeded_goes_on_and_other_errors_show_their_numbers() -> None:
    assert error_mark(11, 0, 0) is None
    assert error_mark(11, 1, 0) == "!<11-1>"
    assert error_mark(12, 0, 0) == "!<12-0>"


def test_a_hop_names_an_address_again_only_when_it_changes() -> None:
    hop = TraceHop(
        7, (TraceProbe("10.0.0.1", 1_234_567), TraceProbe(None, None), TraceProbe("10.0.0.1", 999),
            TraceProbe("10.0.0.2", 5_000_000, "!X")),
    )  # fmt: skip
    assert hop_line(hop, lambda address: {"10.0.0.1": "gw"}.get(address)) == (
        " 7  gw (10.0.0.1)  1.234 ms *  0.000 ms 10.0.0.2 (10.0.0.2)  5.000 ms !X"
    )
    assert hop.addresses == ("10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"protocol": "sctp"}, '"udp", "icmp" or "tcp"'),
        ({"protocol": "icmp", "port": 7}, "ICMP has no ports"),
        ({"max_ttl": 0}, "max_ttl must be 1 to 255, not 0"),
        ({"first_ttl": 9, "max_ttl": 8}, "first_ttl must be 1 to 8, not 9"),
        ({"queries": 11}, "queries must be 1 to 10"),
        ({"size": 20}, "size must be 28 to 65535"),
        ({"protocol": "tcp", "size": 100}, "size must be 60 to 60"),
        ({"timeout": 0}, "longer than 0"),
    ],
)
def test_a_wrong_option_is_one_line(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(text)):
        traceroute_options(**options)
