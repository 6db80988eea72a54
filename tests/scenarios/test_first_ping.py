"""first_ping: announcements, the ARP exchange, echo frames, and one passport at five points."""

from __future__ import annotations

import pytest

from tests.helpers_tshark import column, needs_tshark
from tests.scenarios.runs import Outcome, run_once

SECOND = 1_000_000_000
ARP = b"\x08\x06"


@pytest.fixture
def outcome() -> Outcome:
    return run_once("first_ping")


def test_each_container_announces_itself_three_times_one_second_apart(outcome: Outcome) -> None:
    announcements = [
        packet for packet in outcome.at("host1:docker0") if packet.data[12:14] == ARP and packet.time_ns < 3 * SECOND
    ]
    assert len(announcements) == 6
    assert all(packet.data[28:32] == packet.data[38:42] for packet in announcements)
    assert [packet.time_ns // SECOND for packet in announcements] == [0, 0, 1, 1, 2, 2]


def test_the_arp_exchange_comes_before_the_first_echo_request(outcome: Outcome) -> None:
    ours = [packet for packet in outcome.at("c1:eth0") if packet.time_ns >= 3 * SECOND]
    kinds = ["ARP" if packet.data[12:14] == ARP else {8: "request", 0: "reply"}[packet.data[34]] for packet in ours]
    assert kinds == ["ARP", "ARP", *["request", "reply"] * 4, "ARP", "ARP"]
    assert ours[0].data[:6] == b"\xff" * 6
    confirmation = ours[-2]
    assert confirmation.data[:6] == outcome.capture.interface("c1:eth0").mac
    assert 5 * SECOND <= confirmation.time_ns - ours[1].time_ns <= 5_300_000_000


def test_the_ping_prints_what_iputils_prints(outcome: Outcome) -> None:
    text = outcome.tasks()["c1: ping c2"].output or ""
    lines = text.splitlines()
    assert lines[0] == "PING c2 (172.17.0.3) 56(84) bytes of data."
    assert lines[1].startswith("64 bytes from 172.17.0.3: icmp_seq=1 ttl=64 time=0.")
    assert lines[6:8] == [
        "--- c2 ping statistics ---",
        "4 packets transmitted, 4 received, 0% packet loss, time 3080ms",
    ]


@pytest.mark.tshark
@needs_tshark
def test_one_packet_id_leads_from_the_sender_over_both_veths_and_the_bridge_to_the_receiver(outcome: Outcome) -> None:
    path = outcome.capture_path
    (packet_id,) = {
        found
        for found, sequence in column(path, "frame.packet_id", "icmp.seq", icmp__type="8")
        if sequence == "1"
    }  # fmt: skip
    way = column(path, "frame.interface_name", frame__packet_id=packet_id)
    assert [name if "veth" not in name else "host1:veth" for name in way] == [
        "c1:eth0",
        "host1:veth",
        "host1:docker0",
        "host1:veth",
        "c2:eth0",
    ]
    assert way[1] != way[3]
    assert set(column(path, "ip.src", frame__packet_id=packet_id)) == {"172.17.0.2"}
    assert column(path, "frame.packet_flags_direction", frame__packet_id=packet_id) == [
        "0x00000002", "0x00000001", "0x00000001", "0x00000002", "0x00000001",
    ]  # fmt: skip


def test_a_reply_has_a_passport_of_its_own_and_names_its_cause(outcome: Outcome) -> None:
    echoes = [packet for packet in outcome.at("c1:eth0") if packet.data[12:14] == b"\x08\x00"]
    for request, reply in zip(echoes[::2], echoes[1::2], strict=True):
        assert reply.packet_id > request.packet_id
        assert reply.comments == [f"caused by #{request.packet_id}"]
        assert reply.time_ns > request.time_ns


def test_the_example_packet_id_of_the_docstring_is_the_first_request() -> None:
    outcome = run_once("first_ping")
    assert next(packet for packet in outcome.at("c1:eth0") if packet.data[23] == 1).packet_id == 7


def test_more_pings_are_a_parameter() -> None:
    assert run_once("first_ping", count="2").tasks()["c1: ping c2"].outcome == "2/2 received"
