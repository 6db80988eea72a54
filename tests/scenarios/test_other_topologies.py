"""The other topologies show in their captures what their docstrings promise, exactly."""

from __future__ import annotations

from collections import Counter

import pytest

from emu.kernel.errors import InvalidValue
from tests.helpers_tshark import column, complaints, needs_tshark
from tests.scenarios.runs import run_again, run_once

IPV4 = b"\x08\x00"
ARP = b"\x08\x06"


# -- two_networks ----------------------------------------------------------------------------------------------------


def test_two_networks_web_reaches_the_gateway_but_not_the_container_of_the_other_network() -> None:
    outcome = run_once("two_networks")
    tasks = outcome.tasks()
    assert tasks["web: ping 172.19.0.2"].outcome == "0/3 received"
    assert tasks["web: ping 172.19.0.1"].outcome == "3/3 received"
    assert outcome.result.drops == {"dropped by a firewall rule": 3}


def test_two_networks_no_frame_of_web_is_seen_on_the_other_bridge_or_by_db() -> None:
    outcome = run_once("two_networks")
    web = bytes((172, 18, 0, 2))
    seen_at = {packet.name for packet in outcome.capture.packets if packet.data[26:30] == web}
    assert "db:eth0" not in seen_at
    assert "web:eth0" in seen_at
    dropped = outcome.at("drops")
    assert {packet.data[30:34] for packet in dropped} == {bytes((172, 19, 0, 2))}
    assert len({packet.packet_id for packet in dropped}) == 3


def test_two_networks_app_announces_each_address_on_its_own_network_only() -> None:
    outcome = run_once("two_networks")
    for name in ("app:eth0", "app:eth1"):
        own = [p for p in outcome.at(name) if p.direction == 2 and p.data[12:14] == ARP and p.data[:6] == b"\xff" * 6]
        announcements = [packet for packet in own if packet.data[28:32] == packet.data[38:42]]
        assert len(announcements) == 3
        assert len({packet.data[28:32] for packet in announcements}) == 1


# -- crowded_bridge --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 12, 40])
def test_crowded_bridge_every_question_is_heard_by_everybody_else_exactly_once(n: int) -> None:
    outcome = run_once("crowded_bridge", n=str(n))
    questions = Counter(
        packet.packet_id
        for packet in outcome.capture.packets
        if packet.data[12:14] == ARP and packet.data[:6] == b"\xff" * 6 and packet.name.endswith(":eth0")
    )
    # with two containers only the first asks: its request teaches the second, and the third echo is answered at once
    assert set(questions.values()) == {n}
    assert n // 2 <= len(questions) <= n
    assert outcome.result.drops == {}


def test_crowded_bridge_refuses_a_crowd_of_one() -> None:
    with pytest.raises(InvalidValue, match="n=1: expected 2 to"):
        run_again("crowded_bridge", n="1")


# -- fragments -------------------------------------------------------------------------------------------------------


def test_fragments_pass_the_veths_and_are_whole_on_the_bridge() -> None:
    outcome = run_once("fragments")

    def lengths(name: str) -> list[int]:
        frames = [p.data for p in outcome.at(name) if p.data[12:14] == IPV4 and p.data[26:30] == bytes((172, 17, 0, 2))]
        return [int.from_bytes(data[16:18], "big") for data in frames]

    veths = [interface.name for interface in outcome.capture.interfaces if interface.name.startswith("host1:veth")]
    pieces = [1500, 1500, 21, 1500, 1500, 1068]
    assert lengths("host1:docker0") == [1500, 1501, 4028]
    assert [lengths(name) for name in ("c1:eth0", *veths, "c2:eth0")] == [pieces] * 4


def test_fragments_keep_the_passport_of_their_packet() -> None:
    outcome = run_once("fragments")
    last = [p for p in outcome.capture.packets if p.data[12:14] == IPV4 and p.data[26:30] == bytes((172, 17, 0, 2))][-1]
    assert Counter(p.name.partition("veth")[0] for p in outcome.capture.packets if p.packet_id == last.packet_id) == {
        "c1:eth0": 3,
        "host1:": 6,
        "host1:docker0": 1,
        "c2:eth0": 3,
    }


def test_fragments_a_refused_ping_leaves_no_trace() -> None:
    outcome = run_once("fragments")
    refused = [task for task in outcome.result.tasks if task.outcome.startswith("0/1")]
    (task,) = refused
    assert "ping: local error: message too long, mtu=1500" in (task.output or "")
    assert task.started_ns is not None
    during = [p for p in outcome.at("c1:eth0") if task.started_ns <= p.time_ns < task.started_ns + 2_000_000_000]
    assert during == []


@pytest.mark.parametrize("size", [1473, 20_000, 65_507])
def test_fragments_of_any_size_are_put_together(size: int) -> None:
    assert run_once("fragments", size=str(size)).result.ok


# -- lossy_cable -----------------------------------------------------------------------------------------------------


def test_lossy_cable_every_lost_frame_is_on_the_drops_interface_and_accounts_for_every_missing_answer() -> None:
    outcome = run_once("lossy_cable")
    task = outcome.tasks()["pinger: ping 198.18.0.2"]
    received = int(task.outcome.split("/")[0])
    lost = [packet for packet in outcome.at("drops") if packet.data[12:14] == IPV4]
    assert len(lost) == outcome.result.drops["lost on the link (configured loss)"]
    sequences = {packet.data[40:42] for packet in lost}
    assert 200 - received <= len(sequences)
    assert 1 <= len(lost) <= 20
    assert all("lost on the link" in " ".join(packet.comments) for packet in lost)


def test_lossy_cable_without_impairments_is_a_perfect_cable() -> None:
    outcome = run_once("lossy_cable", loss="0%", duplicate="0%", jitter="0us", count="20")
    assert outcome.tasks()["pinger: ping 198.18.0.2"].outcome == "20/20 received"
    assert outcome.result.drops == {}


@pytest.mark.tshark
@needs_tshark
def test_lossy_cable_corrupts_only_when_it_is_told_to() -> None:
    damaged = run_once("lossy_cable", corrupt="5%", loss="0%", duplicate="0%", count="100")
    found = complaints(damaged.capture_path)
    assert found
    assert all("bad " in line or "malformed" in line or "checksum" in line.lower() for line in found[:3])
    reasons = set(damaged.result.drops)
    assert reasons & {"the ICMP checksum is wrong", "the IPv4 header checksum is wrong"}


@pytest.mark.tshark
@needs_tshark
def test_lossy_cable_duplicates_share_a_passport_and_show_in_ping() -> None:
    outcome = run_once("lossy_cable", duplicate="20%", loss="0%", count="50")
    text = outcome.tasks()["pinger: ping 198.18.0.2"].output or ""
    assert "(DUP!)" in text
    assert " duplicates, " in text
    ids = Counter(column(outcome.capture_path, "frame.packet_id", frame__interface_name="host2:eth0", icmp__type="8"))
    assert max(ids.values()) == 2
