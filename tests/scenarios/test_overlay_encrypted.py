"""The topology overlay_encrypted: with the keys of the run, tshark sees what the run without encryption shows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from emu.cli.app import app
from tests.capture.pcapng_reader import Packet
from tests.helpers_tshark import needs_tshark, run_program
from tests.scenarios.runs import Outcome, run_once

UNDERLAY = "host1:eth0"
INNER = (
    "frame.packet_id", "vxlan.vni", "udp.srcport", "udp.dstport", "udp.length", "udp.checksum", "udp.checksum.status",
    "eth.dst", "eth.src", "ip.len", "ip.id", "ip.flags", "ip.ttl", "ip.checksum", "ip.checksum.status",
    "icmp.type", "icmp.ident", "icmp.seq", "icmp.checksum", "icmp.checksum.status", "data.data",
)  # fmt: skip
"""Of headers that occur twice the last one, which is the inner one, is asked for."""


def encrypted() -> Outcome:
    return run_once("overlay_encrypted")


def in_the_clear() -> Outcome:
    return run_once("overlay_encrypted", encrypted="false")


def is_esp(packet: Packet) -> bool:
    return packet.data[12:14] == b"\x08\0" and packet.data[23] == 50


def seen_by_tshark(outcome: Outcome, config: Path, extra: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The fields of each ping on the underlay, in the order of the capture."""
    fields = [word for name in (*INNER, *extra) for word in ("-e", name)]
    text = run_program(
        "tshark", "-n", "-C", "emu", "-r", outcome.capture_path,
        "-Y", f'icmp && vxlan && frame.interface_name == "{UNDERLAY}"',
        "-T", "fields", "-E", "occurrence=l", *fields, config=config,
    )  # fmt: skip
    return [tuple(line.split("\t")) for line in text.splitlines()]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Wireshark configuration with the profile and the keys, made by the command that the hint names."""
    folder = tmp_path_factory.mktemp("wireshark")
    keys = str(encrypted().folder / "esp_sa")
    done = CliRunner().invoke(app, ["wireshark-profile", "--dir", str(folder / "profiles" / "emu"), "--esp-sa", keys])
    assert done.exit_code == 0, done.output
    return folder


@pytest.mark.tshark
@needs_tshark
def test_decrypted_frames_are_those_of_the_run_without_encryption(config: Path) -> None:
    ours, theirs = seen_by_tshark(encrypted(), config), seen_by_tshark(in_the_clear(), config)
    assert ours == theirs
    assert len(ours) == 3 * 2 * 4
    statuses = {(row[6], row[14], row[19]) for row in ours}
    assert statuses == {("1", "1", "1")}, "outer and inner checksums are good"


@pytest.mark.tshark
@needs_tshark
def test_every_packets_integrity_check_value_is_right_to_tshark(config: Path) -> None:
    text = run_program(
        "tshark", "-C", "emu", "-r", encrypted().capture_path, "-Y", "esp", "-T", "fields", "-e", "esp.icv_good",
        config=config,
    )  # fmt: skip
    assert set(text.split()) == {"1"}
    assert len(text.split()) == sum(map(is_esp, encrypted().capture.packets))


def test_frames_have_174_and_1514_bytes() -> None:
    sizes = Counter(len(packet.data) for packet in encrypted().at(UNDERLAY) if is_esp(packet))
    assert sizes == {174: 16, 1514: 8}


def test_nothing_of_the_network_leaves_a_host_in_the_clear() -> None:
    payload = bytes(range(0x30, 0x38))  # of every ping
    for name in ("host1:eth0", "host2:eth0", "tor:eth0"):
        packets = encrypted().at(name)
        assert packets
        assert not [packet for packet in packets if payload in packet.data], name
    assert [packet for packet in in_the_clear().at(UNDERLAY) if payload in packet.data]


def test_the_spi_changes_with_the_keys_and_sequence_numbers_begin_anew() -> None:
    sent = [packet.data for packet in encrypted().at(UNDERLAY) if is_esp(packet) and packet.direction == 2]
    spis = [data[34:38] for data in sent]
    assert len(set(spis)) == 2
    assert [int.from_bytes(data[38:42], "big") for data in sent] == [*range(1, 11), 1, 2]


def test_one_passport_leads_through_the_tunnel() -> None:
    way = [packet.name for packet in encrypted().capture.packets if packet.packet_id == 19]
    assert way == [
        "web:eth0", "host1/shop:veth1", "host1/shop:br0", "host1/shop:vxlan0", "host1:eth0",
        "tor:eth0", "tor:br0", "tor:eth1",
        "host2:eth0", "host2/shop:vxlan0", "host2/shop:br0", "host2/shop:veth1", "db:eth0",
    ]  # fmt: skip


def test_the_intruders_datagram_is_dropped_with_the_reason_in_the_capture() -> None:
    (dropped,) = [packet for packet in encrypted().at("drops") if packet.data[36:38] == (4789).to_bytes(2, "big")]
    assert dropped.comments == ["drop: not encrypted, but its overlay network is at host2:eth0"]
    assert not [packet for packet in encrypted().at("host2/shop:vxlan0") if packet.packet_id == dropped.packet_id]
