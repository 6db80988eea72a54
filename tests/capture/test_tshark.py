"""What people see: tshark, capinfos and mergecap read what we write, and show what we meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.capture import Capture
from emu.kernel import Kernel
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from tests.capture.frames import DB, WEB, arp_request, echo, port_unreachable, vxlan
from tests.helpers_tshark import column, complaints, needs_tshark, run_program, tshark_rows

pytestmark = [pytest.mark.tshark, needs_tshark]


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small capture with something of everything."""
    path = tmp_path_factory.mktemp("tshark") / "capture.pcapng"
    kernel = Kernel()
    with Capture(kernel, path, comment="emu run first_ping.py --seed 1", split=True) as capture:
        capture.add_names({"172.18.0.2": ["web1.shop", "web1"], "172.18.0.3": ["db.shop", "db"]})
        web, db = capture.tap_for(WEB), capture.tap_for(DB)
        assert web is not None
        assert db is not None
        web(0, Frame(arp_request(), 1), 2)
        web(1_500, Frame(echo(1), 2), 2)
        db(2_500, Frame(echo(1), 2), 1)
        kernel.journal.caused(3, 2)
        db(4_000, Frame(echo(1, reply=True), 3), 2)
        web(5_000, Frame(echo(1, reply=True), 3), 1)
        kernel.journal.drop(Frame(echo(2), 4), DropReason.QUEUE_FULL, "web1:eth0")
        web(1_000_000_006, Frame(vxlan(echo(3)), 5), 2)
        web(1_000_000_007, Frame(port_unreachable(), 6), 1)
    return path


def test_tshark_finds_nothing_to_complain_about(capture: Path) -> None:
    assert complaints(capture) == []
    assert len(tshark_rows(capture)) == 8


def test_complaints_do_find_a_bad_checksum_and_a_malformed_frame(tmp_path: Path) -> None:
    damaged = bytearray(echo(1))
    damaged[-1] ^= 1
    with Capture(Kernel(), tmp_path / "bad.pcapng") as capture:
        tap = capture.tap_for(WEB)
        assert tap is not None
        tap(0, Frame(bytes(damaged), 1), 1)
        tap(1, Frame(arp_request()[:30], 2), 1)
    found = complaints(tmp_path / "bad.pcapng")
    assert "frame 1 on web1:eth0: bad icmp.checksum.status" in found
    assert "frame 2 on web1:eth0: malformed" in found


def test_the_packet_id_follows_a_packet_across_interfaces(capture: Path) -> None:
    assert column(capture, "frame.interface_name", "icmp.seq", frame__packet_id="2") == [
        ("web1:eth0", "1"),
        ("db:eth0", "1"),
    ]


def test_interfaces_have_names_and_descriptions(capture: Path) -> None:
    row = tshark_rows(capture)[0]
    assert row["frame.interface_name"] == "web1:eth0"
    assert row["frame.interface_description"] == "container web1, network shop, MTU 1500"


def test_directions_are_in_and_out(capture: Path) -> None:
    flags = column(capture, "frame.packet_flags_direction", "frame.interface_name", icmp__type="8", vxlan__vni="")
    assert flags == [("0x00000002", "web1:eth0"), ("0x00000001", "db:eth0"), ("0x00000000", "drops")]


def test_time_starts_on_the_first_of_january_2000_and_keeps_nanoseconds(capture: Path) -> None:
    times = column(capture, "frame.time_epoch")
    assert times[:2] == ["946684800.000000000", "946684800.000001500"]
    assert times[-1] == "946684801.000000007"


def test_drops_and_causes_are_comments(capture: Path) -> None:
    assert column(capture, "frame.comment", frame__interface_name="drops") == [
        "drop: the link's queue is full at web1:eth0"
    ]
    assert column(capture, "frame.comment", frame__packet_id="3") == ["caused by #2", "caused by #2"]
    assert column(capture, "frame.drop_count", frame__packet_id="5") == ["1"]


def test_the_inside_of_a_tunnel_is_dissected(capture: Path) -> None:
    assert column(capture, "icmp.seq", vxlan__vni="4097") == ["3"]


def test_display_filters_of_the_documentation_work(capture: Path) -> None:
    for display_filter, count in (
        ('frame.interface_name contains "web1"', 5),
        ("frame.packet_id == 2", 2),
        ("vxlan.vni == 4097", 1),
        ('frame.comment contains "drop"', 1),
    ):
        lines = run_program("tshark", "-n", "-r", capture, "-Y", display_filter).splitlines()
        assert len(lines) == count, f"{display_filter}: {lines}"


def test_containers_are_shown_by_name(capture: Path) -> None:
    lines = run_program("tshark", "-N", "n", "-r", capture, "-Y", "frame.packet_id == 2").splitlines()
    assert len(lines) == 2
    assert all("web1.shop → db.shop" in line for line in lines)


def test_capinfos_prints_the_section_and_the_interfaces(capture: Path) -> None:
    text = run_program("capinfos", capture)
    for line in (
        "File timestamp precision:  nanoseconds (9)",
        "Number of packets:   8",
        "Capture hardware:    emulated",
        "Capture oper-sys:    Linux (emulated)",
        "Capture comment:     emu run first_ping.py --seed 1",
        "Number of interfaces in file: 3",
        "Name = web1:eth0",
        "Hardware = veth",
        "Speed = 10000000000",
        "Time resolution = 0x09",
        "Number of stat entries = 1",
    ):
        assert line in text
    assert text.count("Number of stat entries = 1") == 3


def test_the_files_of_single_interfaces_merge_into_all_frames(capture: Path, tmp_path: Path) -> None:
    parts = sorted((capture.parent / "by-interface").iterdir())
    run_program("mergecap", "-w", tmp_path / "merged.pcapng", *parts)
    merged = column(tmp_path / "merged.pcapng", "frame.interface_name", "frame.packet_id")
    assert sorted(merged) == sorted(column(capture, "frame.interface_name", "frame.packet_id"))


def test_a_capture_saved_by_wireshark_keeps_all_that_we_wrote(capture: Path, tmp_path: Path) -> None:
    run_program("editcap", capture, tmp_path / "saved.pcapng")
    assert tshark_rows(tmp_path / "saved.pcapng") == tshark_rows(capture)


def test_a_verdict_marks_drops_if_wanted(tmp_path: Path) -> None:
    kernel = Kernel()
    with Capture(kernel, tmp_path / "c.pcapng", drop_verdicts=True):
        kernel.journal.drop(Frame(echo(2), 4), DropReason.QUEUE_FULL, "web1:eth0")
    assert column(tmp_path / "c.pcapng", "frame.interface_name", frame__verdict__ebpf_tc="2") == ["drops"]


def test_snaplen_cuts_frames_but_keeps_their_length(tmp_path: Path) -> None:
    with Capture(Kernel(), tmp_path / "c.pcapng", snaplen=42) as capture:
        tap = capture.tap_for(WEB)
        assert tap is not None
        tap(0, Frame(echo(1), 1), 2)
    assert column(tmp_path / "c.pcapng", "frame.len", "frame.cap_len", "icmp.seq") == [("98", "42", "1")]


def test_pcap_is_read_with_nanoseconds(tmp_path: Path) -> None:
    with Capture(Kernel(), tmp_path, file_format="pcap") as capture:
        tap = capture.tap_for(WEB)
        assert tap is not None
        tap(1_000_000_001, Frame(echo(1), 1), 2)
    path = tmp_path / "web1-eth0.pcap"
    assert column(path, "frame.time_epoch", "icmp.seq") == [("946684801.000000001", "1")]
    assert complaints(path) == []
    assert "nanoseconds" in run_program("capinfos", path)
