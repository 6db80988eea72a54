"""Install the Wireshark profile that makes emu's captures easy to read.

The profile (the files in `profile/`) adds the columns Interface, Packet id, VNI and Comment, colours for drops,
retransmissions, ICMP errors, ARP and VXLAN, filter buttons, and shows containers by name. Its formats are those of
Wireshark 3.6 and newer; tested with 4.0.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from emu.capture.esp_sa import ESP_SA_FILE
from emu.capture.output import CaptureError, make_folder
from emu.kernel import Conflict

PROFILE_NAME = "emu"
PROFILE_FILES = ("colorfilters", "dfilter_buttons", "preferences")


def wireshark_profile_files() -> dict[str, str]:
    """Return the files of the profile that comes with emu, name -> text."""
    folder = files("emu.capture") / "profile"
    return {name: (folder / name).read_text(encoding="utf-8") for name in PROFILE_FILES}


def default_profile_folder() -> Path:
    """Return where Wireshark looks for the profile: below $WIRESHARK_CONFIG_DIR, $XDG_CONFIG_HOME or ~/.config."""
    configuration = os.environ.get("WIRESHARK_CONFIG_DIR")
    if configuration:
        return Path(configuration) / "profiles" / PROFILE_NAME
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "wireshark" / "profiles" / PROFILE_NAME


def install_wireshark_profile(target: Path | None = None, *, overwrite: bool = False) -> Path:
    """Install the Wireshark profile and return its folder; then `wireshark -C emu` uses it.

    target: the folder of the profile; None is where Wireshark looks for it (`default_profile_folder`). Its name is
        the profile's name.
    overwrite: replace files that differ from those that come with emu.
    Raises Conflict if a file there was changed (by you or by Wireshark) and overwrite is not set; then nothing is
    written. Raises CaptureError if the folder cannot be written.
    """
    folder = default_profile_folder() if target is None else Path(target)
    shipped = wireshark_profile_files()
    try:
        present = {name: (folder / name).read_text("utf-8", "replace") for name in shipped if (folder / name).exists()}
    except OSError as error:
        raise CaptureError(f"cannot read the Wireshark profile {folder}: {error.strerror}") from error
    changed = [name for name, text in present.items() if text != shipped[name]]
    if changed and not overwrite:
        raise Conflict(
            f"the Wireshark profile {folder} has changed files ({', '.join(changed)}): "
            "move them away or allow overwriting"
        )
    make_folder(folder)
    for name, text in shipped.items():
        if present.get(name) == text:
            continue
        try:
            (folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CaptureError(f"cannot write {folder / name}: {error.strerror}") from error
    return folder


def install_esp_sa(file: Path, target: Path | None = None) -> Path:
    """Give the Wireshark profile the keys of encrypted tunnels; returns the profile's folder.

    file: an `esp_sa` that a run has written. The profile's keys of before are replaced; the profile is installed first
    if it is not there. target: as for `install_wireshark_profile`. Raises CaptureError when something can't be read or
    written.
    """
    folder = default_profile_folder() if target is None else Path(target)
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise CaptureError(f"cannot read the keys {file}: {reason}") from error
    if not (folder / "preferences").exists():
        install_wireshark_profile(folder)
    try:
        (folder / ESP_SA_FILE).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CaptureError(f"cannot write {folder / ESP_SA_FILE}: {error.strerror}") from error
    return folder
