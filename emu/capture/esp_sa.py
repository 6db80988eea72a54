"""The keys of encrypted tunnels in the form in which Wireshark keeps them, its table "ESP SAs".

Wireshark reads the file `esp_sa` of a profile; with `esp.enable_encryption_decode` it then shows what is inside ESP
packets, and whether their ICV is right. Columns as of Wireshark 3.0; later versions add two, which have defaults.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from emu.capture.output import CaptureError

ESP_SA_FILE = "esp_sa"
_ALGORITHM = "AES-GCM with 8 octet ICV [RFC4106]"
_COMMENT = """\
# Keys of the encrypted tunnels in the captures beside this file, for Wireshark's table "ESP SAs" (AES key and salt).
# Use it: emu wireshark-profile --esp-sa FILE, then wireshark -C emu or tshark -C emu.
"""


@dataclass(frozen=True, slots=True)
class EspKey:
    """What decrypts the packets of one direction. source, destination: dotted quads. key: AES key and salt."""

    source: str
    destination: str
    spi: int
    key: bytes


def esp_sa_text(keys: Iterable[EspKey]) -> str:
    """Return the file's text; a key that several hosts know is in it once."""
    return _COMMENT + "".join(
        f'"IPv4","{key.source}","{key.destination}","0x{key.spi:08x}","{_ALGORITHM}","0x{key.key.hex()}","NULL",""\n'
        for key in dict.fromkeys(keys)
    )


def write_esp_sa(captures: Iterable[Path], keys: Iterable[EspKey]) -> list[Path]:
    """Write a file beside each capture and return them; none without keys. Raises CaptureError when it can't."""
    found = list(keys)
    if not found:
        return []
    paths = [folder / ESP_SA_FILE for folder in dict.fromkeys(capture.parent for capture in captures)]
    for path in paths:
        try:
            path.write_text(esp_sa_text(found), encoding="utf-8")
        except OSError as error:
            raise CaptureError(f"cannot write {path}: {error.strerror}") from error
    return paths
