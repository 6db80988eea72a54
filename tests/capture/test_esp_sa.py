"""The file esp_sa: what is in it, where it goes, and how it gets into the Wireshark profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.capture import CaptureError, install_wireshark_profile
from emu.capture.esp_sa import EspKey, esp_sa_text, write_esp_sa
from emu.capture.wireshark import install_esp_sa, wireshark_profile_files

KEY = EspKey("198.18.0.1", "198.18.0.2", 0xA1, bytes(range(20)))
RECORD = (
    '"IPv4","198.18.0.1","198.18.0.2","0x000000a1","AES-GCM with 8 octet ICV [RFC4106]",'
    '"0x000102030405060708090a0b0c0d0e0f10111213","NULL",""'
)


def test_a_key_is_one_record_in_wiresharks_words_and_is_there_once() -> None:
    records = [line for line in esp_sa_text([KEY, KEY]).splitlines() if not line.startswith("#")]
    assert records == [RECORD]


def test_the_file_is_written_once_beside_captures_of_one_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    captures = [tmp_path / "one.pcapng", tmp_path / "two.pcapng", tmp_path / "a" / "three.pcapng"]
    assert write_esp_sa(captures, [KEY]) == [tmp_path / "esp_sa", tmp_path / "a" / "esp_sa"]
    assert (tmp_path / "esp_sa").read_text() == esp_sa_text([KEY])


def test_without_keys_there_is_no_file(tmp_path: Path) -> None:
    assert write_esp_sa([tmp_path / "one.pcapng"], []) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"cannot write .*missing/esp_sa: No such file"):
        write_esp_sa([tmp_path / "missing" / "c.pcapng"], [KEY])


def test_keys_are_installed_together_with_the_profile(tmp_path: Path) -> None:
    write_esp_sa([tmp_path / "c.pcapng"], [KEY])
    folder = install_esp_sa(tmp_path / "esp_sa", tmp_path / "profiles" / "emu")
    assert {path.name for path in folder.iterdir()} == {*wireshark_profile_files(), "esp_sa"}
    assert (folder / "esp_sa").read_text() == esp_sa_text([KEY])


def test_keys_are_replaced_and_a_changed_profile_is_left_alone(tmp_path: Path) -> None:
    write_esp_sa([tmp_path / "c.pcapng"], [KEY])
    folder = install_wireshark_profile(tmp_path / "profiles" / "emu")
    (folder / "preferences").write_text("mine")
    (folder / "esp_sa").write_text("old")
    install_esp_sa(tmp_path / "esp_sa", folder)
    assert (folder / "preferences").read_text() == "mine"
    assert (folder / "esp_sa").read_text() == esp_sa_text([KEY])


def test_a_missing_file_of_keys_is_an_error_and_nothing_is_installed(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"cannot read the keys .*esp_sa: No such file"):
        install_esp_sa(tmp_path / "esp_sa", tmp_path / "emu")
    assert not (tmp_path / "emu").exists()
