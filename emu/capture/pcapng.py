"""Write pcapng: any number of named interfaces in one file that Wireshark opens.

Hot path: `PcapngInterface.tap` appends three byte strings per frame to a list that all interfaces of the file share
(block head, the frame's own bytes, padding with options); every RECORDS_PER_FLUSH frames the list is joined and
written at once. So a frame is copied once by the join and once by the kernel.

Limits: timestamps fit in 64 bits of ns (until the year 2554), frames in 32 bits of length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from struct import Struct

from emu.capture.blocks import (
    BLOCK_ENHANCED_PACKET,
    EPB_DROPCOUNT,
    EPB_FLAGS,
    EPB_PACKETID,
    EPOCH_NS,
    OPTION_COMMENT,
    drop_verdict,
    enhanced_packet,
    interface_description,
    interface_statistics,
    name_resolution,
    option,
    section_header,
    text_option,
)
from emu.capture.interface import InterfaceInfo, InterfaceStatistics
from emu.capture.output import OutputFile
from emu.kernel.tap import TappedFrame

RECORDS_PER_FLUSH = 256
"""Frames gathered before they are written: about the size of a level-2 cache, more gains nothing."""

PARTS_PER_RECORD = 3

DIRECTION_UNKNOWN = 0

_U32 = Struct("<I")
_U64 = Struct("<Q")

# type, total length, interface id, timestamp high and low, captured length, length on the wire
_HEAD = Struct("<IIIIIII")
# flags option and the head of the packet id option, packet id, end of options, total length
_TAIL = Struct("<12sQII")
_PACK_HEAD = _HEAD.pack
# the tail behind the padding: one Struct for each value of the length's two low bits
_PACK_TAIL = tuple(Struct(f"<{padding}x12sQII").pack for padding in (0, 3, 2, 1))
_FIXED_LENGTH = _HEAD.size + _TAIL.size
# the 12 bytes by direction: unknown, in, out
_FLAGS_THEN_PACKET_ID = tuple(Struct("<HHIHH").pack(EPB_FLAGS, 4, direction, EPB_PACKETID, 8) for direction in range(3))

_DROP_VERDICT = drop_verdict()


class PcapngInterface:
    """One interface of a pcapng file; `tap` is what a device calls for each frame.

    frames, bytes: what passed, in both directions.
    missed: frames that never reached the tap; `missed_now` counts those since the last frame written.
    """

    __slots__ = (
        "_annotations",
        "_parts_max",
        "_pending",
        "_snaplen",
        "_writer",
        "bytes",
        "frames",
        "info",
        "interface_id",
        "missed",
        "missed_now",
        "start_ns",
    )

    def __init__(self, writer: PcapngWriter, info: InterfaceInfo, interface_id: int, start_ns: int) -> None:
        self.info = info
        self.interface_id = interface_id
        self.start_ns = start_ns
        self.frames = 0
        self.bytes = 0
        self.missed = 0
        self.missed_now = 0
        self._writer = writer
        self._pending = writer.pending
        self._annotations = writer.annotations
        self._snaplen = writer.snaplen
        self._parts_max = writer.parts_max

    def tap(self, now_ns: int, frame: TappedFrame, direction: int, /) -> None:
        """Write a frame that passes the interface (hot path)."""
        data = frame.data
        length = len(data)
        packet_id = frame.packet_id
        self.frames += 1
        self.bytes += length
        if packet_id in self._annotations or self.missed_now:
            self._write_notable(now_ns, frame, direction)
            return
        time_ns = now_ns + EPOCH_NS
        total = length + (-length & 3) + _FIXED_LENGTH
        pending = self._pending
        pending += (
            _PACK_HEAD(
                BLOCK_ENHANCED_PACKET,
                total,
                self.interface_id,
                time_ns >> 32,
                time_ns & 0xFFFFFFFF,
                length,
                length,
            ),
            data,
            _PACK_TAIL[length & 3](_FLAGS_THEN_PACKET_ID[direction], packet_id, 0, total),
        )
        if len(pending) >= self._parts_max:
            self._writer.flush()

    def _write_notable(self, now_ns: int, frame: TappedFrame, direction: int) -> None:
        """Write a frame that has a note, or that follows frames which never reached the tap."""
        options = []
        note = self._annotations.get(frame.packet_id)
        if note is not None:
            options.append(text_option(OPTION_COMMENT, note))
        options += _plain_options(frame, direction)
        if self.missed_now:
            options.append(option(EPB_DROPCOUNT, _U64.pack(self.missed_now)))
            self.missed_now = 0
        self._append(now_ns, frame.data, options)

    def write_drop(self, now_ns: int, frame: TappedFrame, comment: str, *, with_verdict: bool = False) -> None:
        """Write a dropped frame with the reason as comment, and if wanted a verdict (see `Capture`)."""
        self.frames += 1
        self.bytes += len(frame.data)
        options = [text_option(OPTION_COMMENT, comment)]
        note = self._annotations.get(frame.packet_id)
        if note is not None:
            options.append(text_option(OPTION_COMMENT, note))
        options += _plain_options(frame, DIRECTION_UNKNOWN)
        if with_verdict:
            options.append(_DROP_VERDICT)
        self._append(now_ns, frame.data, options)

    def _append(self, now_ns: int, data: bytes, options: Sequence[bytes]) -> None:
        captured = data[: self._snaplen] if self._snaplen else data
        self._pending.append(enhanced_packet(self.interface_id, now_ns, captured, len(data), options))
        if len(self._pending) >= self._parts_max:
            self._writer.flush()

    def miss(self) -> None:
        """Count a frame that the device gave up before it reached the tap."""
        self.missed += 1
        self.missed_now += 1

    def set_parts_max(self, parts_max: int) -> None:
        """Change how much is gathered before it is written."""
        self._parts_max = parts_max

    def statistics(self) -> InterfaceStatistics:
        """Return what was counted so far."""
        return InterfaceStatistics(self.info.name, self.frames, self.bytes, self.missed)


class TruncatingPcapngInterface(PcapngInterface):
    """An interface of a capture with a snaplen: of each frame only the first bytes are kept."""

    __slots__ = ()

    def tap(self, now_ns: int, frame: TappedFrame, direction: int, /) -> None:
        """Write the first bytes of a frame that passes the interface (hot path)."""
        data = frame.data
        length = captured = len(data)
        if captured > self._snaplen:
            captured = self._snaplen
            data = data[:captured]
        packet_id = frame.packet_id
        self.frames += 1
        self.bytes += length
        if packet_id in self._annotations or self.missed_now:
            self._write_notable(now_ns, frame, direction)
            return
        time_ns = now_ns + EPOCH_NS
        total = captured + (-captured & 3) + _FIXED_LENGTH
        pending = self._pending
        pending += (
            _PACK_HEAD(
                BLOCK_ENHANCED_PACKET,
                total,
                self.interface_id,
                time_ns >> 32,
                time_ns & 0xFFFFFFFF,
                captured,
                length,
            ),
            data,
            _PACK_TAIL[captured & 3](_FLAGS_THEN_PACKET_ID[direction], packet_id, 0, total),
        )
        if len(pending) >= self._parts_max:
            self._writer.flush()


def _plain_options(frame: TappedFrame, direction: int) -> list[bytes]:
    return [option(EPB_FLAGS, _U32.pack(direction)), option(EPB_PACKETID, _U64.pack(frame.packet_id))]


class PcapngWriter:
    """Write one pcapng file; it is valid after every `flush`, whatever happens afterwards.

    path: the file; an older one is overwritten.
    comment: the comment of the whole section, such as "emu run first_ping.py --seed 1".
    snaplen: how many bytes of each frame are kept, 0 for all.
    annotations: packet id -> note; a frame with a note gets it as its comment (`kernel.journal.annotations`).
    keep_open: see `OutputFile`.
    Raises CaptureError if the file cannot be written.
    """

    __slots__ = (
        "_closed",
        "_names_waiting",
        "_output",
        "annotations",
        "interfaces",
        "parts_max",
        "pending",
        "snaplen",
    )

    def __init__(
        self,
        path: Path,
        *,
        comment: str = "",
        snaplen: int = 0,
        annotations: Mapping[int, str] | None = None,
        keep_open: bool = True,
    ) -> None:
        self.pending: list[bytes] = []
        self.parts_max = RECORDS_PER_FLUSH * PARTS_PER_RECORD
        self.snaplen = snaplen
        self.annotations: Mapping[int, str] = {} if annotations is None else annotations
        self.interfaces: list[PcapngInterface] = []
        self._closed = False
        self._names_waiting: list[tuple[bytes, Sequence[str]]] = []
        self._output = OutputFile(path, section_header(comment), keep_open=keep_open)

    @property
    def path(self) -> Path:
        """The file that is written."""
        return self._output.path

    def add_interface(self, info: InterfaceInfo, now_ns: int = 0) -> PcapngInterface:
        """Add an interface, at any time, and return the object whose `tap` writes its frames."""
        kind = TruncatingPcapngInterface if self.snaplen else PcapngInterface
        interface = kind(self, info, len(self.interfaces), now_ns)
        self.interfaces.append(interface)
        self.pending.append(interface_description(info, self.snaplen))
        self._write_waiting_names()
        return interface

    def add_names(self, names: Sequence[tuple[bytes, Sequence[str]]]) -> None:
        """Write names of addresses (4 or 16 bytes); they count for the frames that follow."""
        self._names_waiting += names
        # mergecap and editcap refuse files in which an interface is not the first block after the section header.
        if self.interfaces:
            self._write_waiting_names()

    def _write_waiting_names(self) -> None:
        if self._names_waiting:
            self.pending.append(name_resolution(self._names_waiting))
            self._names_waiting = []

    def set_records_per_flush(self, records: int) -> None:
        """Change after how many frames the gathered blocks are written."""
        self.parts_max = records * PARTS_PER_RECORD
        for interface in self.interfaces:
            interface.set_parts_max(self.parts_max)

    def flush(self) -> None:
        """Write all gathered blocks to the file."""
        self._output.write(self.pending)

    def close(self, now_ns: int = 0) -> None:
        """Write what is left and a statistics block per interface, and close the file; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._write_waiting_names()
        for interface in self.interfaces:
            end_ns = max(now_ns, interface.start_ns)
            self.pending.append(
                interface_statistics(
                    interface.interface_id, interface.start_ns, end_ns, interface.frames, interface.missed
                )
            )
        try:
            self.flush()
        finally:
            self._output.finish()
