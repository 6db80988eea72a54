"""The overlay workload does the work it is said to do: real VXLAN packets, in exact time, with good checksums."""

import json
from pathlib import Path

import pytest

from benchmarks.settings import Setting
from benchmarks.workloads import overlay_udp
from emu.wire.checksum import verify_udp
from emu.wire.vxlan import parse_vxlan_header
from tests.capture.pcapng_reader import Packet, read_pcapng
from tests.meta.test_benchmarks import REQUIRED, benchmarks


def underlay(folder: Path, *, checksums: bool) -> list[Packet]:
    """Run overlay-udp with 5 datagrams; return the VXLAN packets with datagrams in them that left host1."""
    prepared = overlay_udp(Setting("overlay-udp", "underlay", checksums, 5), folder)
    prepared.run()
    assert prepared.received() == 6
    packets = read_pcapng(folder / "capture.pcapng").packets
    assert {packet.name for packet in packets} == {"host1:eth0"}
    return [packet for packet in packets if len(packet.data) == 1092]


@pytest.mark.parametrize("checksums", [False, True])
def test_each_datagram_crosses_the_underlay_as_vxlan_in_exact_time(tmp_path, checksums):
    packets = underlay(tmp_path, checksums=checksums)

    link_ns = 1042 * 8 + 10_000
    sent_ns = [1_000_000_000 + 20_000 * index for index in range(1, 5)]  # the first one waits for announcements
    assert [packet.time_ns for packet in packets[2:]] == [time_ns + link_ns for time_ns in sent_ns]
    for packet in packets:
        outer, inner = packet.data, packet.data[50:]
        assert parse_vxlan_header(outer, 42) == 4097
        assert outer[40:42] != b"\0\0"
        assert (inner[40:42] != b"\0\0") is checksums
        for data in (outer, inner):
            assert verify_udp(data[26:30], data[30:34], data[34:])


def test_a_small_run_measures_every_capture_setting(tmp_path):
    file = tmp_path / "results.json"

    process = benchmarks("run", "overlay-udp", "--count=50", "--rounds=1", "--json", str(file), "--checksums")

    assert process.returncode == 0, process.stderr
    results = json.loads(file.read_text())["results"]
    assert [result["capture"] for result in results] == ["none", "underlay"]
    for result in results:
        assert result.keys() >= REQUIRED
        assert result["datagrams"] == 51


def test_captures_of_another_workload_are_refused():
    process = benchmarks("run", "overlay-udp", "--count=1", "--rounds=1", "--capture=receiver")

    assert process.returncode == 2
    assert "no capture 'receiver' of overlay-udp: choose from none, underlay" in process.stderr


@pytest.mark.slow
def test_a_full_run_stays_small_and_within_three_times_its_budget(tmp_path):
    file = tmp_path / "results.json"

    process = benchmarks("run", "overlay-udp", "--capture=underlay", "--checksums", "--rounds=1", f"--json={file}")

    assert process.returncode == 0, process.stderr
    (result,) = json.loads(file.read_text())["results"]
    assert result["datagrams"] == 200_001
    assert result["peak_rss_mib"] < 100
    assert result["cpu_us_per_datagram"] < 3 * 16.7
