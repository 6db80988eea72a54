"""The overlay topologies show in their captures what their docstrings promise, exactly."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from emu.kernel.errors import InvalidValue
from tests.capture.pcapng_reader import Packet
from tests.helpers_tshark import column, complaints, needs_tshark
from tests.scenarios.runs import TOPOLOGIES, Outcome, run_again, run_once

ARP = b"\x08\x06"
IPV4 = b"\x08\x00"
S = 1_000_000_000
ECHO_REQUEST, ECHO_REPLY, UNREACHABLE = 8, 0, 3
FIREWALL = "dropped by a firewall rule"
MTU_OF_PORT = "longer than the egress bridge port's MTU allows"
NO_ENTRY = "no forwarding entry says behind which tunnel endpoint the destination is"
ELSEWHERE = "the source MAC address has a permanent entry at another tunnel endpoint"


def is_vxlan(packet: Packet) -> bool:
    """Whether it is a VXLAN frame on the underlay, in one piece."""
    data = packet.data
    return data[12:14] == IPV4 and data[23] == 17 and data[36:38] == (4789).to_bytes(2, "big") and not data[20] & 0x3F


def is_icmp(packet: Packet, kind: int) -> bool:
    """Whether it is a bare ICMP message of a type, in its first fragment."""
    return packet.data[12:14] == IPV4 and packet.data[23] == 1 and packet.data[34] == kind and not packet.data[21]


def outer_destinations(outcome: Outcome, name: str) -> list[str]:
    """Where the VXLAN frames go that an interface sends."""
    sent = [packet for packet in outcome.at(name) if packet.direction == 2 and is_vxlan(packet)]
    return [".".join(map(str, packet.data[30:34])) for packet in sent]


# -- overlay_two_hosts -----------------------------------------------------------------------------------------------


def test_two_hosts_inner_and_outer_frames_have_vni_4097() -> None:
    outcome = run_once("overlay_two_hosts")
    for name in ("host1:eth0", "host2:eth0"):
        tunnelled = [packet for packet in outcome.at(name) if is_vxlan(packet)]
        assert {packet.data[42:50].hex() for packet in tunnelled} == {"0800000000100100"}
        assert Counter(packet.data[84] for packet in tunnelled) == {ECHO_REQUEST: 4, ECHO_REPLY: 4}


def test_two_hosts_one_passport_leads_from_container_to_container() -> None:
    outcome = run_once("overlay_two_hosts")
    request = next(packet for packet in outcome.at("web:eth0") if is_icmp(packet, ECHO_REQUEST))
    assert request.packet_id == 19, "the docstring's example"
    way = [packet.name for packet in outcome.capture.packets if packet.packet_id == request.packet_id]
    assert way == [
        "web:eth0", "host1/shop:veth1", "host1/shop:br0", "host1/shop:vxlan0", "host1:eth0",
        "host2:eth0", "host2/shop:vxlan0", "host2/shop:br0", "host2/shop:veth1", "db:eth0",
    ]  # fmt: skip


def test_two_hosts_the_inner_frame_is_the_same_at_both_ends_and_within_the_outer_one() -> None:
    outcome = run_once("overlay_two_hosts")
    inner = next(packet for packet in outcome.at("web:eth0") if is_icmp(packet, ECHO_REQUEST))
    frames = {p.name: p.data for p in outcome.capture.packets if p.packet_id == inner.packet_id}
    assert frames["db:eth0"] == frames["web:eth0"] == frames["host1:eth0"][50:]


def test_two_hosts_no_arp_of_a_container_crosses_the_cable() -> None:
    packets = run_once("overlay_two_hosts").at("host1:eth0")
    assert not [packet for packet in packets if is_vxlan(packet) and packet.data[62:64] == ARP]
    assert {packet.data[28] for packet in packets if packet.data[12:14] == ARP} == {198}


@pytest.mark.tshark
@needs_tshark
def test_two_hosts_every_vxlan_frame_dissects() -> None:
    path = run_once("overlay_two_hosts").capture_path
    assert column(path, "vxlan.vni", frame__interface_name="host1:eth0", udp__dstport="4789") == ["4097"] * 8


# -- overlay_three_hosts ---------------------------------------------------------------------------------------------


def test_three_hosts_each_frame_goes_to_the_one_host_that_has_its_destination() -> None:
    outcome = run_once("overlay_three_hosts")
    assert outer_destinations(outcome, "host1:eth0") == ["198.18.0.2"] * 3
    assert sorted(outer_destinations(outcome, "host2:eth0")) == ["198.18.0.1"] * 3 + ["198.18.0.3"] * 3
    assert outer_destinations(outcome, "host3:eth0") == ["198.18.0.2"] * 3


def test_three_hosts_what_stays_on_one_host_does_not_reach_its_vxlan_device() -> None:
    outcome = run_once("overlay_three_hosts")

    def requests(name: str) -> set[str]:
        return {".".join(map(str, p.data[30:34])) for p in outcome.at(name) if is_icmp(p, ECHO_REQUEST)}

    cache, app = "10.0.9.4", "10.0.9.5"
    assert {cache, app} <= requests("host1/shop:br0")
    assert requests("host1/shop:vxlan0") == {app}


# -- overlay_many ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pairs", ["ring", "random"])
def test_many_only_echoes_cross_the_switch(pairs: str) -> None:
    outcome = run_once("overlay_many", pairs=pairs, hosts="5", containers="4")
    assert outcome.result.ok
    tunnelled = [packet for packet in outcome.capture.packets if packet.name.startswith("tor:") and is_vxlan(packet)]
    assert tunnelled
    assert {packet.data[62:64] for packet in tunnelled} == {IPV4}


def test_many_in_a_ring_one_container_of_each_host_has_its_neighbour_elsewhere() -> None:
    outcome = run_once("overlay_many", hosts="3", containers="2", count="1")
    assert [len(outer_destinations(outcome, f"host{number}:eth0")) for number in (1, 2, 3)] == [2, 2, 2]


@pytest.mark.parametrize(
    "settings", [{"hosts": "1"}, {"hosts": "255"}, {"containers": "0"}, {"containers": "501"}, {"pairs": "all"}]
)
def test_many_refuses_what_it_cannot_do(settings: dict[str, str]) -> None:
    with pytest.raises(InvalidValue, match="expected"):
        run_again("overlay_many", **settings)


# -- mtu_black_hole --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["a", "b", "c"])
def test_black_hole_the_fix_of_one_line_helps_in_every_variant(variant: str) -> None:
    outcome = run_once("mtu_black_hole", variant=variant, fix="true")
    assert outcome.result.ok
    assert not {MTU_OF_PORT, "longer than the underlay's MTU leaves room for"} & set(outcome.result.drops)
    assert not [packet for packet in outcome.at("left:eth1") if packet.data[12:14] == IPV4 and packet.data[20] & 0x3F]


def test_black_hole_a_the_first_switch_drops_all_that_is_longer_and_nobody_is_told() -> None:
    outcome = run_once("mtu_black_hole")
    dropped = [packet for packet in outcome.at("drops") if is_vxlan(packet)]
    assert len(dropped) == 24 == outcome.result.drops[MTU_OF_PORT]
    assert Counter(len(packet.data) - 14 for packet in dropped) == {1500: 20, 1494: 2, 1451: 2}
    assert not [packet for packet in outcome.capture.packets if is_icmp(packet, UNREACHABLE)]
    passed = [len(packet.data) - 14 for packet in outcome.at("right:eth1") if is_vxlan(packet)]
    assert max(passed) == 1450


def test_black_hole_b_the_answer_comes_in_the_name_of_the_destination_which_never_sent_it() -> None:
    outcome = run_once("mtu_black_hole", variant="b")
    assert outcome.result.ok
    (answer,) = (packet for packet in outcome.at("web:eth0") if is_icmp(packet, UNREACHABLE))
    db = outcome.capture.interface("db:eth0")
    assert answer.data[6:12] == db.mac
    assert answer.data[26:30] == bytes((10, 0, 9, 4))
    assert (answer.data[35], int.from_bytes(answer.data[40:42], "big")) == (4, 1400)
    assert int.from_bytes(answer.data[16:18], "big") == 576
    assert not [packet for packet in outcome.at("db:eth0") if is_icmp(packet, UNREACHABLE)]


def test_black_hole_c_every_full_packet_crosses_the_narrow_cable_in_two_fragments() -> None:
    outcome = run_once("mtu_black_hole", variant="c")
    assert outcome.result.ok
    sent = [p for p in outcome.at("left:eth1") if p.direction == 2 and p.data[12:14] == IPV4]
    fragments = [p for p in sent if p.data[20] & 0x3F or p.data[21]]
    # 20 datagrams of 1500 bytes outside, 2 pings of 1451, and the first pieces of 2 pings, 1494
    assert Counter(len(p.data) - 14 for p in fragments) == {1444: 24, 76: 20, 27: 2, 70: 2}
    by_packet = Counter(p.packet_id for p in fragments)
    assert set(by_packet.values()) == {2}
    whole = [p for p in outcome.at("host2:eth0") if is_vxlan(p)]
    assert {len(p.data) - 14 for p in whole} <= {len(p.data) - 14 for p in outcome.at("host1:eth0")}


def test_black_hole_refuses_another_variant() -> None:
    with pytest.raises(InvalidValue, match='variant="d": expected "a", "b" or "c"'):
        run_again("mtu_black_hole", variant="d")


# -- stale_fdb -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_hand", ["false", "true"])
def test_stale_requests_go_to_the_old_host_until_the_entry_is_right(by_hand: str) -> None:
    outcome = run_once("stale_fdb", by_hand=by_hand)
    assert outcome.result.ok
    requests = [
        (packet.time_ns, packet.data[33])
        for packet in outcome.at("host1:eth0")
        if packet.direction == 2 and is_vxlan(packet) and packet.data[84] == ECHO_REQUEST
    ]
    healed = 15 * S if by_hand == "true" else 30 * S
    assert {host for time, host in requests if time < healed} == {2}
    assert {host for time, host in requests if time >= healed} == {3}


def test_stale_the_other_direction_is_dropped_on_arrival_and_no_error_is_sent() -> None:
    outcome = run_once("stale_fdb")
    assert outcome.result.drops[ELSEWHERE] == 1
    (lost,) = (packet for packet in outcome.at("drops") if ELSEWHERE in " ".join(packet.comments))
    assert is_icmp(lost, ECHO_REQUEST)
    assert not [packet for packet in outcome.capture.packets if is_icmp(packet, UNREACHABLE)]


# -- missing_fdb_entry -----------------------------------------------------------------------------------------------


def test_missing_arp_is_answered_and_nothing_leaves_the_host() -> None:
    outcome = run_once("missing_fdb_entry")
    answers = [packet for packet in outcome.at("web:eth0") if packet.data[12:14] == ARP and packet.data[21] == 2]
    assert answers[0].time_ns < 6 * S
    assert outcome.result.drops[NO_ENTRY] == 5
    assert min(packet.time_ns for packet in outcome.at("host1:eth0") if is_vxlan(packet)) > 10 * S


# -- blocked_ports ---------------------------------------------------------------------------------------------------


def test_blocked_data_port_replies_are_on_the_wire_and_end_at_the_rule() -> None:
    outcome = run_once("blocked_ports")
    wire = Counter(packet.data[84] for packet in outcome.at("host1:eth0") if is_vxlan(packet))
    assert wire == {ECHO_REQUEST: 4, ECHO_REPLY: 4}
    assert not [packet for packet in outcome.at("web:eth0") if is_icmp(packet, ECHO_REPLY)]
    assert outcome.result.drops[FIREWALL] == 4


def test_blocked_gossip_port_nothing_is_tunnelled_and_arp_is_not_answered() -> None:
    outcome = run_once("blocked_ports", port="7946")
    assert outcome.result.ok
    assert not [packet for packet in outcome.capture.packets if is_vxlan(packet)]
    questions = [p for p in outcome.at("web:eth0") if p.data[12:14] == ARP and p.time_ns > 3 * S and p.direction == 2]
    assert len(questions) >= 3
    assert not [p for p in outcome.at("web:eth0") if p.data[12:14] == ARP and p.data[21] == 2]


def test_blocked_nothing_all_is_well() -> None:
    outcome = run_once("blocked_ports", port="0")
    assert outcome.result.ok
    assert outcome.tasks()["web: ping 10.0.9.100"].outcome == "4/4 received"


def test_blocked_refuses_ports_that_mean_nothing() -> None:
    with pytest.raises(InvalidValue, match="port=53: expected 4789, 7946 or 0"):
        run_again("blocked_ports", port="53")


# -- overlay_partition -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_partition_the_entries_go_and_come_back_in_the_recorded_times_with_every_seed(seed: int) -> None:
    outcome = run_once("overlay_partition") if seed == 1 else run_again("overlay_partition", seed=seed)
    assert [entry.text for entry in outcome.result.expectations if not entry.met] == []


def test_partition_silence_comes_first_and_unreachable_later() -> None:
    outcome = run_once("overlay_partition")
    text = outcome.tasks()["web: ping db"].output or ""
    numbers = [
        (int(line.partition("icmp_seq=")[2].split()[0]), "Unreachable" in line)
        for line in text.splitlines()
        if "icmp_seq=" in line
    ]
    last_before = max(number for number, _ in numbers if number < 10)
    first_after = min(number for number, is_error in numbers if is_error)
    assert last_before == 8
    assert 15 <= first_after - last_before <= 60, "as long as web believes in db's MAC address"
    assert not numbers[-1][1]


def test_partition_requests_end_at_the_switch_first_then_at_vxlan0() -> None:
    outcome = run_once("overlay_partition")
    lost = [packet for packet in outcome.at("drops") if is_vxlan(packet) or is_icmp(packet, ECHO_REQUEST)]
    at_switch = [packet.time_ns for packet in lost if is_vxlan(packet)]
    at_vxlan = [packet.time_ns for packet in lost if NO_ENTRY in " ".join(packet.comments)]
    assert at_switch
    assert at_vxlan
    assert max(at_switch) < min(at_vxlan)
    assert 15 * S <= min(at_vxlan) <= 21 * S


# -- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.tshark
@needs_tshark
@pytest.mark.parametrize(
    ("name", "settings"),
    [("mtu_black_hole", {"variant": "b"}), ("mtu_black_hole", {"variant": "c"}), ("blocked_ports", {"port": "7946"})],
)
def test_other_variants_are_clean_captures_too(name: str, settings: dict[str, str]) -> None:
    found = complaints(run_once(name, **settings).capture_path)
    assert [line for line in found if "Duplicate IP address configured (172.18." not in line] == []


def test_an_expectation_that_does_not_hold_makes_the_result_not_ok() -> None:
    """The expectations are not empty words: with the wrong premise they fail."""
    outcome = run_again("overlay_partition", repair="14s")
    assert not outcome.result.ok
    summary = json.loads((outcome.folder / "summary.json").read_text())
    assert summary["ok"] is False


def test_every_overlay_topology_of_the_issue_is_there() -> None:
    names = {path.stem for path in TOPOLOGIES.glob("*.py")}
    assert {
        "overlay_two_hosts", "overlay_three_hosts", "overlay_many", "mtu_black_hole", "stale_fdb",
        "missing_fdb_entry", "blocked_ports", "overlay_partition",
    } <= names  # fmt: skip
