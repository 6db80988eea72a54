"""The benchmark harness works: small runs give complete results, and wrong questions get clear answers."""

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.ablations import VARIANTS
from benchmarks.harness import capture_folder
from benchmarks.peer_ns3 import find_ns3
from benchmarks.settings import SEGMENT, BenchmarkError, Setting
from benchmarks.workloads import bridge_udp, tcp_bulk
from tests.capture.pcapng_reader import Packet, read_pcapng

REPOSITORY = Path(__file__).resolve().parents[2]
REQUIRED = {
    "workload",
    "capture",
    "checksums",
    "frame_hops_per_s",
    "us_per_datagram",
    "peak_rss_mib",
    "peer",
    "peer_build",
    "peer_us_per_datagram",
    "ratio",
}


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m benchmarks` as a user would."""
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("checksums", [[], ["--checksums"]], ids=["no checksums", "checksums"])
def test_a_small_run_measures_every_capture_setting(tmp_path, checksums):
    file = tmp_path / "results.json"

    process = benchmarks("run", "bridge-udp", "--count=50", "--rounds=1", "--json", str(file), *checksums)

    assert process.returncode == 0, process.stderr
    results = json.loads(file.read_text())["results"]
    assert [result["capture"] for result in results] == ["none", "receiver", "all"]
    for result in results:
        assert result.keys() >= REQUIRED
        assert result["checksums"] is bool(checksums)
        assert result["datagrams"] == 51
        assert 0 < result["peak_rss_mib"] < 200
        assert result["peer"] is result["peer_build"] is result["peer_us_per_datagram"] is result["ratio"] is None
    sizes = [result["capture_mib"] for result in results]
    assert sizes[0] == 0 < sizes[1] < sizes[2]
    assert "us/datagram" in process.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "teleport-udp"], "no workload 'teleport-udp'"),
        (["run", "bridge-udp", "--capture", "none,some"], "no capture 'some'"),
        (["measure", "bridge-udp", "--variant", "faster", "--folder", "."], "no variant 'faster'"),
        (["run", "bridge-udp", "--rounds", "0"], "0 is less than 1"),
    ],
)
def test_what_cannot_be_measured_is_a_clear_error(arguments, message):
    process = benchmarks(*arguments)

    assert process.returncode == 2
    assert message in process.stderr
    assert "Traceback" not in process.stderr


def test_lost_datagrams_are_no_result(tmp_path):
    program = tmp_path / "peer"
    program.write_text('#!/bin/sh\necho \'{"rx": 7, "run_s": 1.0, "run_cpu_s": 1.0, "rss_mb": 1.0}\'\n')
    program.chmod(0o755)

    process = benchmarks(
        "run", "bridge-udp", "--count=20", "--rounds=1", "--capture=none", "--peer=ns3", "--peer-program", str(program)
    )

    assert process.returncode == 2
    assert "ns-3 delivered 7 datagrams instead of 21" in process.stderr


def test_the_peer_gives_time_and_ratio(tmp_path):
    program = tmp_path / "peer"
    program.write_text('#!/bin/sh\necho \'{"rx": 21, "run_s": 2.1, "run_cpu_s": 2.1, "rss_mb": 1.0}\'\n')
    program.chmod(0o755)
    file = tmp_path / "results.json"

    process = benchmarks(
        *("run", "bridge-udp", "--count=20", "--rounds=1", "--capture=none", "--checksums", "--json", str(file)),
        *("--peer=ns3", "--peer-program", str(program), "--peer-build", "a stand-in"),
    )

    assert process.returncode == 0, process.stderr
    (result,) = json.loads(file.read_text())["results"]
    assert (result["peer"], result["peer_build"]) == ("ns-3", "a stand-in")
    assert result["peer_us_per_datagram"] == pytest.approx(100_000)
    assert result["ratio"] == pytest.approx(100_000 / result["us_per_datagram"], rel=0.01)
    assert "FCS" in process.stdout


def captured_datagrams(folder: Path, *, checksums: bool) -> dict[str, list[Packet]]:
    """Run bridge-udp with 5 datagrams and return the UDP frames seen at each interface."""
    prepared = bridge_udp(Setting("bridge-udp", "all", checksums, 5), folder)
    prepared.run()
    assert prepared.received() == 6
    seen: dict[str, list[Packet]] = {}
    for packet in read_pcapng(folder / "capture.pcapng").packets:
        if packet.data[12:14] == b"\x08\x00" and packet.data[23] == 17:
            seen.setdefault(packet.name, []).append(packet)
    return seen


def test_bridge_udp_sends_each_datagram_over_two_veths_and_a_bridge_in_exact_time(tmp_path):
    seen = captured_datagrams(tmp_path, checksums=False)

    names = list(seen)
    assert (names[0], names[-1], len(names)) == ("h0:eth0", "h1:eth0", 5)
    assert {len(packets) for packets in seen.values()} == {6}
    link_ns = 1042 * 8 + 10_000
    for index in range(1, 5):  # the first one waits for the containers' second gratuitous ARP, sent at 1 s as well
        at = [seen[name][1 + index] for name in names]
        sent_ns = 1_000_000_000 + 20_000 * index
        assert [packet.time_ns - sent_ns for packet in at] == [0, link_ns, link_ns, link_ns, 2 * link_ns]
        assert len({(packet.packet_id, packet.data) for packet in at}) == 1


@pytest.mark.parametrize("checksums", [False, True])
def test_bridge_udp_makes_udp_checksums_exactly_when_asked(tmp_path, checksums):
    seen = captured_datagrams(tmp_path, checksums=checksums)

    for packet in seen["h1:eth0"]:
        checksum = int.from_bytes(packet.data[40:42], "big")
        assert (checksum != 0) is checksums
        words = packet.data[26:34] + bytes((0, 17)) + packet.data[38:40] + packet.data[34:]
        if checksums:
            assert int.from_bytes(words, "big") % 65535 == 0


@pytest.mark.parametrize("checksums", [[], ["--checksums"]], ids=["no checksums", "checksums"])
def test_a_small_run_of_tcp_measures_every_capture_setting(tmp_path, checksums):
    file = tmp_path / "results.json"

    process = benchmarks("run", "tcp-bulk", "--count=100", "--rounds=1", "--json", str(file), *checksums)

    assert process.returncode == 0, process.stderr
    results = json.loads(file.read_text())["results"]
    assert [result["capture"] for result in results] == ["none", "receiver"]
    for result in results:
        assert result.keys() >= REQUIRED
        assert result["datagrams"] == 100
    assert results[0]["capture_mib"] == 0 < results[1]["capture_mib"]


def test_tcp_bulk_sends_every_byte_once_in_full_segments_at_the_rate_of_the_link(tmp_path):
    prepared = tcp_bulk(Setting("tcp-bulk", "receiver", True, 300), tmp_path)
    prepared.run()

    assert prepared.received() == prepared.expected == 300
    packets = [packet for packet in read_pcapng(tmp_path / "capture.pcapng").packets if packet.data[23] == 6]
    to_receiver = [packet.data for packet in packets if packet.data[33] == 3 and not packet.data[47] & 2]  # no SYN
    sizes = [int.from_bytes(data[16:18], "big") - 52 for data in to_receiver]
    arrived = [packet.time_ns for packet in packets if len(packet.data) == 1514]
    assert sum(sizes) == 300 * SEGMENT
    assert len(arrived) >= 290, "the rest are the ends of 64 KiB pieces"
    gaps = [later - earlier for earlier, later in pairwise(arrived)]
    assert min(gaps) == 1514 * 8, "1 Gbit/s"
    assert prepared.frame_hops() >= 300 * 3 + 100 * 3


@pytest.mark.parametrize(("received", "message"), [(100 * SEGMENT, None), (99 * SEGMENT, "delivered 99 datagrams")])
def test_the_peer_of_tcp_counts_bytes(tmp_path, received, message):
    program = tmp_path / "peer"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n')
    report = {"rx": received, "run_s": 3.3, "run_cpu_s": 3.3, "rss_mb": 1.0}
    program.write_text(program.read_text() + f"echo '{json.dumps(report)}'\n")
    program.chmod(0o755)
    peer = find_ns3(str(program), "a stand-in")
    setting = Setting("tcp-bulk", "receiver", True, 100)

    if message is None:
        assert peer.measure(setting, tmp_path).datagrams == 100
    else:
        with pytest.raises(BenchmarkError, match=message):
            peer.measure(setting, tmp_path)

    arguments = (tmp_path / "arguments").read_text().split()
    assert {"--w=3", "--csum=1", "--cap=rx", f"--bytes={100 * SEGMENT}"} <= set(arguments)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_undone_design_choice_changes_the_speed_and_nothing_else(tmp_path, variant):
    captures = []
    for extra in ([], ["--variant", variant]):
        folder = tmp_path / f"run{len(captures)}"
        folder.mkdir()
        process = benchmarks(
            *("measure", "bridge-udp", "--count=20", "--capture=all", "--checksums", "--folder", str(folder)), *extra
        )
        assert process.returncode == 0, process.stderr
        captures.append((folder / "capture.pcapng").read_bytes())

    assert captures[0] == captures[1]


@pytest.mark.slow
def test_a_full_run_stays_small_and_within_three_times_its_budget(tmp_path):
    process = benchmarks("run", "bridge-udp", "--capture=all", "--checksums", "--rounds=1", f"--json={tmp_path / 'r'}")

    assert process.returncode == 0, process.stderr
    (result,) = json.loads((tmp_path / "r").read_text())["results"]
    assert result["datagrams"] == 200_001
    assert result["peak_rss_mib"] < 100
    assert result["cpu_us_per_datagram"] < 3 * 13.0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++ and libns3-dev")
@pytest.mark.parametrize(
    ("workload", "capture", "datagrams"), [("bridge-udp", "all", 101), ("tcp-bulk", "receiver", 100)]
)
def test_the_ns3_program_does_the_same_work(workload, capture, datagrams):
    peer = find_ns3()
    if peer is None:
        pytest.skip("ns-3 is not installed")
    with capture_folder() as folder:
        measurement = peer.measure(Setting(workload, capture, True, 100), folder)
    assert measurement.datagrams == datagrams
    assert measurement.capture_mib > 0
