"""Write classic pcap with nanosecond timestamps, for tools that do not read pcapng: one interface per file.

The format has no place for names, directions, packet ids or comments; use pcapng where you can.
Limits: seconds are 32 bits, so virtual time ends in the year 2106.
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct

from emu.capture.blocks import EPOCH_SECONDS, LINKTYPE_ETHERNET
from emu.capture.interface import InterfaceInfo, InterfaceStatistics
from emu.capture.output import OutputFile
from emu.capture.pcapng import RECORDS_PER_FLUSH
from emu.kernel.tap import TappedFrame

NANOSECOND_MAGIC = 0xA1B23C4D
VERSION = (2, 4)
SNAPLEN_MAX = 262_144
"""What tcpdump and Wireshark write for "everything" (their own limit for one packet)."""

PARTS_PER_RECORD = 2

_FILE_HEADER = Struct("<IHHiIII")
_PACK_HEAD = Struct("<IIII").pack


class PcapWriter:
    """Write the frames of one interface to a pcap file; it is valid after every `flush`.

    path: the file; an older one is overwritten.
    info: the interface; only its name is used, for the statistics.
    snaplen: how many bytes of each frame are kept, 0 for all.
    keep_open: see `OutputFile`.
    Raises CaptureError if the file cannot be written.
    """

    __slots__ = ("_closed", "_output", "_parts_max", "_pending", "_snaplen", "bytes", "frames", "info", "missed")

    def __init__(self, path: Path, info: InterfaceInfo, *, snaplen: int = 0, keep_open: bool = True) -> None:
        self.info = info
        self.frames = 0
        self.bytes = 0
        self.missed = 0
        self._closed = False
        self._pending: list[bytes] = []
        self._parts_max = RECORDS_PER_FLUSH * PARTS_PER_RECORD
        self._snaplen = snaplen or SNAPLEN_MAX
        header = _FILE_HEADER.pack(NANOSECOND_MAGIC, *VERSION, 0, 0, self._snaplen, LINKTYPE_ETHERNET)
        self._output = OutputFile(path, header, keep_open=keep_open)

    @property
    def path(self) -> Path:
        """The file that is written."""
        return self._output.path

    def tap(self, now_ns: int, frame: TappedFrame, direction: int, /) -> None:
        """Write a frame that passes the interface (hot path); the format does not keep the direction."""
        data = frame.data
        length = captured = len(data)
        self.frames += 1
        self.bytes += length
        if captured > self._snaplen:
            captured = self._snaplen
            data = data[:captured]
        pending = self._pending
        pending += (
            _PACK_HEAD(now_ns // 1_000_000_000 + EPOCH_SECONDS, now_ns % 1_000_000_000, captured, length),
            data,
        )
        if len(pending) >= self._parts_max:
            self.flush()

    def miss(self) -> None:
        """Count a frame that the device gave up before it reached the tap."""
        self.missed += 1

    def set_records_per_flush(self, records: int) -> None:
        """Change after how many frames the gathered records are written."""
        self._parts_max = records * PARTS_PER_RECORD

    def statistics(self) -> InterfaceStatistics:
        """Return what was counted so far."""
        return InterfaceStatistics(self.info.name, self.frames, self.bytes, self.missed)

    def flush(self) -> None:
        """Write all gathered records to the file."""
        self._output.write(self._pending)

    def close(self) -> None:
        """Write what is left and close the file; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self.flush()
        finally:
            self._output.finish()
