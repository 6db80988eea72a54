"""What the DHCP topologies put on the wire, frame by frame, and what Wireshark says of it."""

from __future__ import annotations

import json

import pytest

from emu.scenario.loader import load_topology
from emu.scenario.runner import RunOptions, run_topology
from emu.traffic.dhcp_frames import is_udp_to, read_frame
from emu.wire.dhcp import TYPE_NAMES
from tests.helpers_tshark import column, needs_tshark
from tests.scenarios.runs import TOPOLOGIES, run_once

LEASE = ["DISCOVER", "OFFER", "REQUEST", "ACK"]


def story(name: str, interface: str, **settings: str) -> list[tuple[float, str, str]]:
    """Every DHCP message for or from the interface's own MAC: time in s, kind, "to all" or "to one"."""
    capture = run_once(name, **settings).capture
    frames = [packet for packet in capture.packets if packet.name == interface]
    mac = next(packet.data[6:12] for packet in frames if packet.direction == 2)
    found = []
    for packet in frames:
        if is_udp_to(packet.data, 67) or is_udp_to(packet.data, 68):
            message = read_frame(packet.data).message  # type: ignore[union-attr]
            if message.client_mac == mac:
                way = "to all" if packet.data[0] & 1 else "to one"
                found.append((round(packet.time_ns / 1e9, 1), TYPE_NAMES[message.message_type], way))
    return found


def test_web_leases_and_renews_in_dhcp_ipam() -> None:
    assert story("dhcp_ipam", "web:eth0") == [
        (0.0, "DISCOVER", "to all"),
        (3.0, "DISCOVER", "to all"),  # the server's ping takes as long as udhcpc waits
        (3.0, "OFFER", "to one"),
        (3.0, "REQUEST", "to all"),
        (3.0, "ACK", "to one"),
        (63.0, "REQUEST", "to one"),
        (63.0, "ACK", "to one"),
    ]


def test_db_reboots_with_two_messages_and_cache_says_goodbye() -> None:
    assert story("dhcp_ipam", "db:eth0")[-2:] == [(70.0, "REQUEST", "to all"), (70.0, "ACK", "to one")]
    assert story("dhcp_ipam", "cache:eth0")[-1] == (80.0, "RELEASE", "to one")


def test_nobody_answers_the_third_container_before_an_address_is_free() -> None:
    third = story("dhcp_exhausted_pool", "three:eth0")
    assert [(at, kind) for at, kind, _ in third] == [
        (0.0, "DISCOVER"),
        (3.0, "DISCOVER"),
        (6.0, "DISCOVER"),
        *((29.0, kind) for kind in LEASE),
    ]
    assert story("dhcp_exhausted_pool", "one:eth0")[-1] == (15.0, "RELEASE", "to one")


def test_two_servers_offer_and_one_is_chosen() -> None:
    told = story("dhcp_two_servers", "web:eth0")
    kinds = [kind for _, kind, _ in told]
    assert kinds == ["DISCOVER", "OFFER", "OFFER", "REQUEST", "ACK", "REQUEST", "NAK", *LEASE]
    begun, rebinding, again = told[0][0], told[5][0], told[7][0]
    assert (round(rebinding - begun, 1), round(again - rebinding, 1)) == (105.0, 1.0)


def test_without_authority_or_a_client_that_heeds_it_the_lease_goes_on_to_its_end() -> None:
    silent = story("dhcp_two_servers", "web:eth0", authoritative="false")
    assert [kind for _, kind, _ in silent[5:]] == ["REQUEST", *LEASE]
    assert round(silent[6][0] - silent[0][0], 1) == 120.0
    unheeded = story("dhcp_two_servers", "web:eth0", client="udhcpc")
    kinds = [kind for _, kind, _ in unheeded[5:]]
    assert kinds[0:2] == ["REQUEST", "NAK"]
    assert kinds[-4:] == LEASE
    assert "DISCOVER" not in kinds[:-4]


def test_a_squatter_s_address_is_declined_or_never_offered() -> None:
    declined = story("dhcp_conflict", "web:eth0")
    assert [(at, kind) for at, kind, _ in declined] == [
        *((0.0, kind) for kind in [*LEASE, "DECLINE"]),
        *((20.0, kind) for kind in LEASE),
    ]
    probed = run_once("dhcp_conflict", probe="3s")
    assert probed.result.ok
    assert "DECLINE" not in [kind for _, kind, _ in story("dhcp_conflict", "web:eth0", probe="3s")]


def test_the_lease_table_is_in_the_summary(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with load_topology(TOPOLOGIES / "dhcp_ipam.py") as topology:
        run_topology(topology, RunOptions(folder=tmp_path))
    leases = json.loads((tmp_path / "summary.json").read_text())["leases"]
    assert [(lease["address"], lease["client"], lease["state"]) for lease in leases] == [
        ("10.0.0.10", "web", "bound"),
        ("10.0.0.11", "db", "bound"),
        ("10.0.0.12", "cache", "released"),
    ]
    assert leases[0]["server"].startswith("host1:br-")
    assert leases[0]["expires_ns"] > 180 * 10**9


@pytest.mark.tshark
@needs_tshark
@pytest.mark.parametrize("name", ["dhcp_ipam", "dhcp_exhausted_pool", "dhcp_two_servers", "dhcp_conflict"])
def test_wireshark_reads_the_kinds_that_we_sent(name: str) -> None:
    capture = run_once(name).capture
    for interface in [entry.name for entry in capture.interfaces if entry.name.endswith(":eth0")]:
        ours = [
            str(read_frame(packet.data).message.message_type)  # type: ignore[union-attr]
            for packet in capture.packets
            if packet.name == interface and (is_udp_to(packet.data, 67) or is_udp_to(packet.data, 68))
        ]
        told = column(run_once(name).capture_path, "dhcp.option.dhcp", frame__interface_name=interface)
        assert [text for text in told if text] == ours
