"""Files that captures are written to: whole blocks only, so a file is valid after every write."""

from __future__ import annotations

import os
from contextlib import suppress
from io import FileIO
from pathlib import Path

from emu.kernel import EmuError


class CaptureError(EmuError):
    """A capture cannot be written; the message names the file and what the operating system says."""


class OutputFile:
    """A capture file that takes lists of whole blocks and puts them on disk at once.

    path: where; missing folders are made and an older file of that name is overwritten.
    start: the bytes the file begins with.
    keep_open: False opens the file anew for each write, so thousands of them need no file descriptors.
    Raises CaptureError if the file cannot be made, or later if it cannot be written; what was written before stays
    valid, because a half-written block is cut off again.
    """

    __slots__ = ("_file", "_keep_open", "finished", "path", "size_bytes")

    def __init__(self, path: Path, start: bytes, *, keep_open: bool = True) -> None:
        self.path = path
        self.size_bytes = 0
        self.finished = False
        self._keep_open = keep_open
        self._file: FileIO | None = None
        make_folder(path.parent)
        if path.is_dir():
            raise CaptureError(f"cannot write the capture {path}: it is a folder; give the name of a file")
        try:
            self._file = FileIO(path, "wb")
        except OSError as error:
            raise _cannot_write(path, error) from error
        self.write([start])

    def write(self, blocks: list[bytes]) -> None:
        """Append the blocks, which must be whole, and empty the list."""
        if self.finished:
            blocks.clear()
        if not blocks:
            return
        data = b"".join(blocks)
        size_bytes = self.size_bytes + len(data)
        try:
            if self._file is None:
                # Without O_CREAT: if somebody removed the file, a new one would lack its header.
                self._file = FileIO(os.open(self.path, os.O_WRONLY | os.O_APPEND), "wb")
            written = self._file.write(data)
            while written < len(data):
                written += self._file.write(memoryview(data)[written:])
        except OSError as error:
            self.finished = True
            blocks.clear()
            self._cut_off()
            raise _cannot_write(self.path, error) from error
        except BaseException:  # Ctrl-C: the blocks stay in the list and `close` writes them again
            self._cut_off()
            raise
        # No call between these two: Ctrl-C must not find the size counted and the blocks still there.
        self.size_bytes = size_bytes
        blocks.clear()
        if not self._keep_open:
            self.close()

    def finish(self) -> None:
        """Close the file for good: what is written later is thrown away, so a tap that outlives it does no harm."""
        self.finished = True
        self.close()

    def close(self) -> None:
        """Close the file; a later write opens it again."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def _cut_off(self) -> None:
        """Cut off what was half written, where that is possible (not in a pipe or a device)."""
        if self._file is not None:
            with suppress(OSError):
                self._file.truncate(self.size_bytes)
                self._file.seek(self.size_bytes)
        if self.finished or not self._keep_open:
            self.close()


def make_folder(folder: Path) -> None:
    """Make a folder for captures, with its parents; raise CaptureError in one clear line if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CaptureError(f"cannot make the folder {folder}: {_why(error)}") from error


def check_folder(folder: Path) -> None:
    """Make the folder and make sure that files can be written into it, before a run starts."""
    make_folder(folder)
    probe = folder / ".emu-write-test"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise _cannot_write(folder, error) from error


def _cannot_write(path: Path, error: OSError) -> CaptureError:
    return CaptureError(f"cannot write the capture {path}: {_why(error)}; choose another place or make room there")


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def safe_file_name(name: str, taken: set[str]) -> str:
    """Return a file name (without suffix) for an interface name, and add it to the names taken.

    "web1:eth0" becomes "web1-eth0": letters, digits, dot, underscore and hyphen stay, everything else becomes a
    hyphen. Names that then differ in nothing but upper and lower case get a number, for file systems that ignore it.
    """
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)[:200].lstrip(".-")
    stem = stem or "interface"
    candidate, number = stem, 1
    while candidate.lower() in taken:
        number += 1
        candidate = f"{stem}-{number}"
    taken.add(candidate.lower())
    return candidate
