"""The Wireshark profile: what it shows, and that installing it never destroys anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emu.capture import Capture, CaptureError, install_wireshark_profile
from emu.capture.wireshark import default_profile_folder, wireshark_profile_files
from emu.kernel import Conflict, Kernel
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from tests.capture.frames import WEB, arp_request, echo, port_unreachable, vxlan
from tests.helpers_tshark import needs_tshark, run_program

# -- installing ----------------------------------------------------------------------------------------------


def test_it_is_installed_where_wireshark_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WIRESHARK_CONFIG_DIR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    folder = install_wireshark_profile()
    assert folder == tmp_path / "xdg" / "wireshark" / "profiles" / "emu"
    assert {path.name: path.read_text() for path in folder.iterdir()} == wireshark_profile_files()


def test_without_xdg_it_goes_below_home_and_wiresharks_own_variable_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WIRESHARK_CONFIG_DIR", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_profile_folder() == tmp_path / ".config" / "wireshark" / "profiles" / "emu"
    monkeypatch.setenv("WIRESHARK_CONFIG_DIR", str(tmp_path / "ws"))
    assert default_profile_folder() == tmp_path / "ws" / "profiles" / "emu"


def test_installing_again_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        assert install_wireshark_profile(tmp_path / "emu") == tmp_path / "emu"
    assert {path.name: path.read_text() for path in (tmp_path / "emu").iterdir()} == wireshark_profile_files()


def test_a_changed_file_is_kept_and_nothing_else_is_written(tmp_path: Path) -> None:
    install_wireshark_profile(tmp_path / "emu")
    (tmp_path / "emu" / "preferences").write_text("mine")
    (tmp_path / "emu" / "colorfilters").unlink()
    with pytest.raises(Conflict, match=r"has changed files \(preferences\): move them away or allow overwriting"):
        install_wireshark_profile(tmp_path / "emu")
    assert (tmp_path / "emu" / "preferences").read_text() == "mine"
    assert not (tmp_path / "emu" / "colorfilters").exists()


def test_a_changed_file_is_replaced_if_that_is_allowed(tmp_path: Path) -> None:
    install_wireshark_profile(tmp_path / "emu")
    (tmp_path / "emu" / "preferences").write_text("mine")
    (tmp_path / "emu" / "recent").write_text("Wireshark's own file")
    install_wireshark_profile(tmp_path / "emu", overwrite=True)
    assert (tmp_path / "emu" / "preferences").read_text() == wireshark_profile_files()["preferences"]
    assert (tmp_path / "emu" / "recent").read_text() == "Wireshark's own file"


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CaptureError, match=r"cannot (make|read)"):
        install_wireshark_profile(tmp_path / "file" / "emu")


# -- what it shows -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A configuration folder with the profile installed, and a capture."""
    folder = tmp_path_factory.mktemp("profile")
    install_wireshark_profile(folder / "profiles" / "emu")
    kernel = Kernel()
    damaged = bytearray(echo(4))
    damaged[24] ^= 0xFF
    with Capture(kernel, folder / "c.pcapng") as capture:
        capture.add_names({"172.18.0.2": ["web1.shop"], "172.18.0.3": ["db.shop"]})
        tap = capture.tap_for(WEB)
        assert tap is not None
        for number, data in enumerate((arp_request(), echo(1), vxlan(echo(2)), port_unreachable(), bytes(damaged))):
            tap(number, Frame(data, number + 1), 2)
        kernel.journal.drop(Frame(echo(3), 9), DropReason.QUEUE_FULL, "web1:eth0")
    return folder, folder / "c.pcapng"


@pytest.mark.tshark
@needs_tshark
def test_its_columns_show_interface_packet_id_vni_names_and_comment(shown: tuple[Path, Path]) -> None:
    config, capture = shown
    lines = run_program("tshark", "-C", "emu", "-r", capture, "-T", "tabs", config=config).splitlines()
    columns = [[cell.strip() for cell in line.split("\t")] for line in lines]
    assert [cells[2:5] for cells in columns] == [
        ["web1:eth0", "1", ""],
        ["web1:eth0", "2", ""],
        ["web1:eth0", "3", "4097"],
        ["web1:eth0", "4", ""],
        ["web1:eth0", "5", ""],
        ["drops", "9", ""],
    ]
    assert columns[1][5:9] == ["web1.shop", "→", "db.shop", "ICMP"]
    assert columns[5][-1] == "drop: the link's queue is full at web1:eth0"


@pytest.mark.tshark
@needs_tshark
def test_its_colours_tell_apart_what_matters(shown: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    config, capture = shown
    monkeypatch.setitem(os.environ, "TERM", "xterm")
    arguments = ("--color", "-C", "emu", "-r", capture, "-T", "fields", "-e", "frame.coloring_rule.name")
    assert run_program("tshark", *arguments, config=config).splitlines() == [
        "ARP and neighbour discovery",
        "ICMP",
        "VXLAN",
        "ICMP error",
        "Damaged frame (bad checksum)",
        "Dropped frame",
    ]


def test_its_colour_rules_have_the_form_that_wireshark_reads() -> None:
    rules = [line for line in wireshark_profile_files()["colorfilters"].splitlines() if not line.startswith("#")]
    names = []
    for rule in rules:
        empty, name, display_filter, colours = rule.split("@")
        assert empty == ""
        assert display_filter
        background, foreground = (part.strip("[]").split(",") for part in colours.split("]["))
        assert all(0 <= int(value) <= 65_535 for value in (*background, *foreground))
        names.append(name)
    assert len(set(names)) == len(names)
    assert {"ARP and neighbour discovery", "ICMP error", "VXLAN", "Dropped frame", "TCP retransmission"} <= set(names)
