"""A capture: which interfaces go into which files, names, drops, and what happens when files cannot be written."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from emu.capture import Capture, CaptureError, InterfaceInfo
from emu.capture.capture import RECORDS_GATHERED_MAX
from emu.capture.output import safe_file_name
from emu.capture.pcapng import RECORDS_PER_FLUSH
from emu.kernel import EmuError, InvalidValue, Kernel, NotFound, Tap
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from tests.capture.frames import DB, WEB, arp_request, echo
from tests.capture.pcapng_reader import read_pcapng

PROJECT = Path(__file__).parents[2]


def tap_of(capture: Capture, info: InterfaceInfo) -> Tap:
    tap = capture.tap_for(info)
    assert tap is not None, f"{info.name} is not captured"
    return tap


# -- interfaces and files ------------------------------------------------------------------------------------


def test_all_interfaces_go_into_one_file(tmp_path: Path) -> None:
    with Capture(Kernel(), tmp_path / "c.pcapng", comment="emu run x.py --seed 1") as capture:
        tap_of(capture, WEB)(10, Frame(echo(), 1), 2)
        tap_of(capture, DB)(20, Frame(echo(), 1), 1)
    read = read_pcapng(tmp_path / "c.pcapng")
    assert read.comment == "emu run x.py --seed 1"
    assert [(p.name, p.time_ns, p.packet_id) for p in read.packets] == [("web1:eth0", 10, 1), ("db:eth0", 20, 1)]
    assert capture.files() == {"": tmp_path / "c.pcapng"}


def test_only_interfaces_that_match_a_pattern_are_captured(tmp_path: Path) -> None:
    with Capture(Kernel(), tmp_path / "c.pcapng", interfaces=["web*:eth?", "host1:br-*"]) as capture:
        assert capture.tap_for(WEB) is not None
        assert capture.tap_for(InterfaceInfo("host1:br-0123")) is not None
        assert capture.tap_for(DB) is None
        assert capture.tap_for(InterfaceInfo("WEB1:eth0")) is None
        capture.check_patterns()
    assert [i.name for i in read_pcapng(tmp_path / "c.pcapng").interfaces] == ["web1:eth0", "host1:br-0123"]


def test_a_pattern_that_matches_nothing_is_reported_with_the_names_there_are(tmp_path: Path) -> None:
    with Capture(Kernel(), tmp_path / "c.pcapng", interfaces=["wbe1:*", "db:*", "drops"]) as capture:
        capture.tap_for(WEB)
        capture.tap_for(DB)
        with pytest.raises(NotFound, match=r"^no interface matches 'wbe1:\*'; there are: web1:eth0, db:eth0$"):
            capture.check_patterns()


def test_split_writes_each_interface_also_into_a_file_of_its_own(tmp_path: Path) -> None:
    with Capture(Kernel(), tmp_path / "c.pcapng", split=True) as capture:
        web, db = tap_of(capture, WEB), tap_of(capture, DB)
        capture.add_names({"172.18.0.2": ["web1"]})
        for number in range(600):
            web(number, Frame(echo(), number + 1), 2)
            db(number, Frame(echo(), number + 1), 1)
    together = read_pcapng(tmp_path / "c.pcapng")
    assert len(together.packets) == 1200
    for name, stem in (("web1:eth0", "web1-eth0"), ("db:eth0", "db-eth0")):
        alone = read_pcapng(tmp_path / "by-interface" / f"{stem}.pcapng")
        assert [(p.time_ns, p.packet_id, p.direction, p.data) for p in alone.packets] == [
            (p.time_ns, p.packet_id, p.direction, p.data) for p in together.on(name)
        ]
        assert alone.interface(name).statistics == together.interface(name).statistics
        assert alone.names == together.names
    assert list(capture.files()) == ["", "web1:eth0", "db:eth0"]


def test_an_interface_that_comes_later_learns_the_names_known_by_then(tmp_path: Path) -> None:
    with Capture(Kernel(), tmp_path / "c.pcapng", split=True) as capture:
        capture.add_names({"172.18.0.2": ["web1.shop", "web1"]})
        tap_of(capture, WEB)
    assert list(read_pcapng(tmp_path / "by-interface" / "web1-eth0.pcapng").names) == [bytes([172, 18, 0, 2])]


def test_pcap_writes_one_file_per_interface_into_a_folder(tmp_path: Path) -> None:
    kernel = Kernel()
    with Capture(kernel, tmp_path / "captures", file_format="pcap") as capture:
        tap_of(capture, WEB)(0, Frame(echo(), 1), 2)
        tap_of(capture, DB)
        kernel.journal.drop(Frame(echo(), 1), DropReason.LOSS, "web1:eth0")
    sizes = {path.name: path.stat().st_size for path in sorted((tmp_path / "captures").iterdir())}
    assert sizes == {"web1-eth0.pcap": 24 + 16 + 98, "db-eth0.pcap": 24, "drops.pcap": 24 + 16 + 98}


def test_the_same_interface_asked_for_twice_is_one_interface(tmp_path: Path) -> None:
    with Capture(Kernel(), tmp_path / "c.pcapng") as capture:
        tap_of(capture, WEB)(0, Frame(b"a", 1), 1)
        tap_of(capture, replace(WEB))(1, Frame(b"b", 2), 1)
    assert len(read_pcapng(tmp_path / "c.pcapng").interfaces) == 1
    assert [(s.name, s.frames, s.bytes) for s in capture.statistics()] == [("web1:eth0", 2, 2)]


@pytest.mark.parametrize("file_format", ["pcapng", "pcap"])
def test_an_interface_that_returns_with_another_mac_continues_in_the_same_file(
    tmp_path: Path, file_format: str
) -> None:
    capture = (
        Capture(Kernel(), tmp_path / "c.pcapng", split=True)
        if file_format == "pcapng"
        else Capture(Kernel(), tmp_path, file_format="pcap")
    )
    with capture:
        tap_of(capture, WEB)(0, Frame(b"before", 1), 1)
        tap_of(capture, replace(WEB, mac=bytes(6)))(1, Frame(b"after", 2), 1)
    assert [(s.name, s.frames, s.bytes) for s in capture.statistics()] == [("web1:eth0", 2, 11)]
    own = capture.files()["web1:eth0"]
    assert len(list(own.parent.iterdir())) == 1
    if file_format == "pcapng":
        assert [p.interface.mac for p in read_pcapng(own).packets] == [WEB.mac, bytes(6)]


def test_a_capture_counts_what_it_saw_per_interface(tmp_path: Path) -> None:
    with Capture(Kernel(), tmp_path / "c.pcapng", snaplen=10) as capture:
        tap = tap_of(capture, WEB)
        tap(0, Frame(bytes(60), 1), 1)
        tap(1, Frame(bytes(1514), 2), 2)
        tap_of(capture, DB)
    assert [(s.name, s.frames, s.bytes, s.missed) for s in capture.statistics()] == [
        ("web1:eth0", 2, 1574, 0),
        ("db:eth0", 0, 0, 0),
    ]


def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    number = 300
    with Capture(Kernel(), tmp_path / "pcaps", file_format="pcap") as capture:
        taps = [tap_of(capture, InterfaceInfo(f"c{i}:eth0")) for i in range(number)]
        frame = Frame(bytes(60), 1)
        for now_ns in range(RECORDS_GATHERED_MAX // number + 1):
            for tap in taps:
                tap(now_ns, frame, 1)
        on_disk = sum(path.stat().st_size for path in (tmp_path / "pcaps").iterdir())
        assert on_disk > number * (24 + 76 * (RECORDS_GATHERED_MAX // number - 1))


def test_the_same_calls_give_the_same_bytes_in_any_folder(tmp_path: Path) -> None:
    contents = []
    for folder in ("one", "two"):
        kernel = Kernel()
        with Capture(kernel, tmp_path / folder / "c.pcapng", comment="emu run x.py") as capture:
            capture.add_names({"172.18.0.2": ["web1"]})
            tap_of(capture, WEB)(0, Frame(echo(), 1), 1)
            kernel.journal.drop(Frame(echo(), 1), DropReason.LOSS, "web1:eth0")
        contents.append((tmp_path / folder / "c.pcapng").read_bytes())
    assert contents[0] == contents[1]


# -- notes, drops and names ----------------------------------------------------------------------------------


def test_what_caused_a_packet_is_its_comment(tmp_path: Path) -> None:
    kernel = Kernel()
    with Capture(kernel, tmp_path / "c.pcapng") as capture:
        kernel.journal.caused(42, 41)
        tap_of(capture, WEB)(0, Frame(echo(reply=True), 42), 1)
    assert read_pcapng(tmp_path / "c.pcapng").packets[0].comments == ["caused by #41"]


def test_every_drop_is_shown_on_the_interface_drops_with_reason_and_place(tmp_path: Path) -> None:
    kernel = Kernel()
    with Capture(kernel, tmp_path / "c.pcapng") as capture:
        tap_of(capture, WEB)
        kernel.call_later(5, lambda _: kernel.journal.drop(Frame(arp_request(), 3), DropReason.LOSS, "web1:eth0"))
        kernel.run()
    (packet,) = read_pcapng(tmp_path / "c.pcapng").on("drops")
    assert packet.comments == ["drop: lost on the link (configured loss) at web1:eth0"]
    assert (packet.time_ns, packet.packet_id, packet.data) == (5, 3, arp_request())


def test_without_a_drop_there_is_no_interface_drops(tmp_path: Path) -> None:
    with Capture(Kernel(), tmp_path / "c.pcapng") as capture:
        tap_of(capture, WEB)
    assert [i.name for i in read_pcapng(tmp_path / "c.pcapng").interfaces] == ["web1:eth0"]


@pytest.mark.parametrize(("patterns", "shown"), [(["web1:*"], 0), (["web1:*", "drops"], 1)])
def test_a_selection_includes_drops_only_if_it_says_so(tmp_path: Path, patterns: list[str], shown: int) -> None:
    kernel = Kernel()
    with Capture(kernel, tmp_path / "c.pcapng", interfaces=patterns) as capture:
        tap_of(capture, WEB)
        kernel.journal.drop(Frame(echo(), 1), DropReason.LOSS, "web1:eth0")
    assert len(read_pcapng(tmp_path / "c.pcapng").packets) == shown


@pytest.mark.parametrize("split", [False, True])
def test_a_frame_dropped_before_the_tap_counts_as_missed_there_and_one_dropped_behind_it_does_not(
    tmp_path: Path, split: bool
) -> None:
    kernel = Kernel()
    with Capture(kernel, tmp_path / "c.pcapng", split=split) as capture:
        tap = tap_of(capture, WEB)
        kernel.journal.drop(Frame(echo(), 1), DropReason.QUEUE_FULL, "web1:eth0")
        kernel.journal.drop(Frame(echo(), 2), DropReason.NO_SOCKET, "web1:eth0")
        kernel.journal.drop(Frame(echo(), 3), DropReason.QUEUE_FULL, "elsewhere:eth0")
        tap(1, Frame(echo(), 4), 2)
    for path in (capture.files()[""], capture.files().get("web1:eth0", tmp_path / "c.pcapng")):
        read = read_pcapng(path)
        assert [packet.drop_count for packet in read.on("web1:eth0")] == [1]
        statistics = read.interface("web1:eth0").statistics
        assert statistics is not None
        assert (statistics.received, statistics.dropped) == (1, 1)
    assert [s.missed for s in capture.statistics()] == [1, 0]


def test_after_closing_drops_and_taps_go_nowhere(tmp_path: Path) -> None:
    kernel = Kernel()
    capture = Capture(kernel, tmp_path / "c.pcapng")
    tap = tap_of(capture, WEB)
    capture.close()
    capture.close()
    size = (tmp_path / "c.pcapng").stat().st_size
    tap(0, Frame(echo(), 1), 1)
    kernel.journal.drop(Frame(echo(), 1), DropReason.LOSS, "web1:eth0")
    capture.flush()
    assert capture.tap_for(DB) is None
    assert (tmp_path / "c.pcapng").stat().st_size == size


def test_names_that_are_known_already_are_not_written_again(tmp_path: Path) -> None:
    with Capture(Kernel(), tmp_path / "c.pcapng") as capture:
        for _ in range(3):
            capture.add_names({"172.18.0.2": ["web1.shop", "web1"], "fd00::2": ["web1"], "172.18.0.9": []})
    read = read_pcapng(tmp_path / "c.pcapng")
    assert read.block_types.count(4) == 1
    assert read.names == {
        bytes([172, 18, 0, 2]): ["web1", "web1.shop"],
        bytes([0xFD]) + bytes(14) + b"\2": ["web1"],
    }


# -- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: Capture(Kernel(), f / "c.pcap"), "a pcapng file: name it c.pcapng"),
        (lambda f: Capture(Kernel(), f / "c", file_format="pcapgn"), "unknown capture format 'pcapgn'"),  # type: ignore[arg-type]
        (lambda f: Capture(Kernel(), f, file_format="pcap", split=True), "--split is for pcapng"),
        (lambda f: Capture(Kernel(), f / "c", snaplen=0), "snaplen is 0: give the bytes to keep"),
        (lambda f: Capture(Kernel(), f / "c", interfaces=[]), "an empty list of interfaces"),
        (lambda f: Capture(Kernel(), f / "c", interfaces="web1:*"), r"write \['web1:\*'\]"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    with pytest.raises(InvalidValue, match=message) as caught:
        make(tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_name_for_something_that_is_no_address_is_an_error(tmp_path: Path) -> None:
    with (
        Capture(Kernel(), tmp_path / "c.pcapng") as capture,
        pytest.raises(InvalidValue, match="'web1' is not an IP address"),
    ):
        capture.add_names({"web1": ["172.18.0.2"]})


@pytest.mark.parametrize("file_format", ["pcapng", "pcap"])
def test_a_folder_that_cannot_be_made_is_an_error_before_the_run(tmp_path: Path, file_format: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CaptureError, match=r"cannot make the folder .*file.*: (not a directory|file exists)"):
        Capture(Kernel(), tmp_path / "file" / "sub" / "c.pcapng", file_format=file_format)  # type: ignore[arg-type]


def test_a_capture_onto_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="it is a folder; give the name of a file"):
        Capture(Kernel(), tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("file_format", ["pcapng", "pcap"])
def test_a_folder_without_permission_is_an_error_before_the_run(tmp_path: Path, file_format: str) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(CaptureError, match="permission denied"):
        Capture(Kernel(), tmp_path / "locked" / "c.pcapng", file_format=file_format)  # type: ignore[arg-type]


def test_a_split_folder_that_cannot_be_made_leaves_no_listener_behind(tmp_path: Path) -> None:
    (tmp_path / "by-interface").write_text("in the way")
    kernel = Kernel()
    with pytest.raises(CaptureError):
        Capture(kernel, tmp_path / "c.pcapng", split=True)
    assert kernel.journal.drop_listeners == []
    assert not kernel.journal.keep_annotations


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.pcapng").symlink_to("/dev/full")
    with pytest.raises(EmuError, match=r"cannot write the capture .*c\.pcapng: no space left on device"):
        Capture(Kernel(), tmp_path / "c.pcapng")


class LimitedDisk(FileIO):
    """A file on a disk with little room: writes what fits, and then fails."""

    room = 1 << 30
    failure: BaseException = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, data: Any) -> int:
        if LimitedDisk.room == 0:
            raise LimitedDisk.failure
        written = super().write(data[: LimitedDisk.room])
        LimitedDisk.room -= written
        return written


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> type[LimitedDisk]:
    monkeypatch.setattr("emu.capture.output.FileIO", LimitedDisk)
    monkeypatch.setattr(LimitedDisk, "room", 1 << 30)
    return LimitedDisk


@pytest.mark.parametrize("split", [False, True])
def test_a_disk_that_fills_up_during_the_run_leaves_valid_files(
    tmp_path: Path, disk: type[LimitedDisk], split: bool
) -> None:
    capture = Capture(Kernel(), tmp_path / "c.pcapng", split=split)
    tap = tap_of(capture, WEB)
    tap(0, Frame(echo(1), 1), 1)
    capture.flush()
    tap(1, Frame(echo(2), 2), 1)
    disk.room = 50
    with pytest.raises(CaptureError, match=r"cannot write the capture .*c\.pcapng: no space left on device"):
        capture.flush()
    with contextlib.suppress(CaptureError):
        capture.close()
    for path in capture.files().values():
        assert [packet.packet_id for packet in read_pcapng(path).packets] == [1]


def test_ctrl_c_in_the_middle_of_a_write_neither_loses_nor_doubles_a_frame(
    tmp_path: Path, disk: type[LimitedDisk], monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = Capture(Kernel(), tmp_path / "c.pcapng")
    tap = tap_of(capture, WEB)
    tap(0, Frame(echo(1), 1), 1)
    monkeypatch.setattr(disk, "failure", KeyboardInterrupt())
    disk.room = 50
    with pytest.raises(KeyboardInterrupt):
        capture.flush()
    disk.room = 1 << 30
    capture.close()
    assert [packet.packet_id for packet in read_pcapng(tmp_path / "c.pcapng").packets] == [1]


def test_a_file_that_somebody_removes_during_the_run_is_an_error_and_no_headless_file_appears(tmp_path: Path) -> None:
    capture = Capture(Kernel(), tmp_path, file_format="pcap")
    tap_of(capture, WEB)(0, Frame(echo(1), 1), 1)
    (tmp_path / "web1-eth0.pcap").unlink()
    with pytest.raises(CaptureError, match=r"web1-eth0\.pcap: no such file or directory"):
        capture.close()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_leaves_a_valid_file_with_all_frames(tmp_path: Path) -> None:
    def fail() -> None:
        with Capture(Kernel(), tmp_path / "c.pcapng") as capture:
            tap_of(capture, WEB)(0, Frame(echo(1), 1), 1)
            raise RuntimeError("a bug in the script")

    with pytest.raises(RuntimeError):
        fail()
    assert [packet.packet_id for packet in read_pcapng(tmp_path / "c.pcapng").packets] == [1]


KILLED_SCRIPT = """
import os, signal, sys
from emu.capture import Capture, InterfaceInfo
from emu.kernel import Kernel
from emu.wire.frame import Frame
capture = Capture(Kernel(), sys.argv[1])
tap = capture.tap_for(InterfaceInfo("web1:eth0"))
for number in range(1000):
    tap(number, Frame(bytes(60), number + 1), 1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_is_killed_leaves_a_valid_file_with_all_but_the_last_frames(tmp_path: Path) -> None:
    path = tmp_path / "c.pcapng"
    killed = subprocess.run([sys.executable, "-c", KILLED_SCRIPT, str(path)], cwd=PROJECT, check=False)
    assert killed.returncode == -signal.SIGKILL
    read = read_pcapng(path)
    assert [packet.packet_id for packet in read.packets] == list(range(1, len(read.packets) + 1))
    assert 1000 - RECORDS_PER_FLUSH <= len(read.packets) < 1000


# -- file names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("web1:eth0", "web1-eth0"),
        ("host1/shop:vxlan0", "host1-shop-vxlan0"),
        ("../../etc/passwd", "etc-passwd"),
        ("café:eth0", "caf--eth0"),
        ("a b\\c", "a-b-c"),
        ("...", "interface"),
        ("x" * 300, "x" * 200),
    ],
)
def test_interface_names_become_safe_file_names(name: str, file_name: str) -> None:
    assert safe_file_name(name, set()) == file_name


def test_names_that_fall_together_are_numbered_also_where_case_does_not_count() -> None:
    taken: set[str] = set()
    names = ["a:eth0", "a/eth0", "A:eth0", "a-eth0-2"]
    assert [safe_file_name(name, taken) for name in names] == ["a-eth0", "a-eth0-2", "A-eth0-3", "a-eth0-2-2"]
