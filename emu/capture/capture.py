"""One capture: which interfaces are taken, into which files, and the drops beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Literal

from emu.capture.interface import InterfaceInfo, InterfaceStatistics
from emu.capture.output import check_folder, safe_file_name
from emu.capture.patterns import DROPS_NAME, InterfacePatterns
from emu.capture.pcap import PcapWriter
from emu.capture.pcapng import RECORDS_PER_FLUSH, PcapngInterface, PcapngWriter
from emu.kernel import DIRECTION_IN, InvalidValue, Kernel, Tap
from emu.kernel.tap import TappedFrame
from emu.wire.drop import DropReason

CaptureFormat = Literal["pcapng", "pcap"]

DROPS_INTERFACE = InterfaceInfo(name=DROPS_NAME, description="dropped frames, each with its reason as comment")
"""The pseudo-interface that shows every frame that was dropped anywhere, also those that no tap ever saw."""

SPLIT_FOLDER = "by-interface"

RECORDS_GATHERED_MAX = 8_192
"""Frames held in memory by all files together; with many files each is written more often."""
RECORDS_PER_FLUSH_MIN = 8

MISSED_REASONS = frozenset(
    (
        DropReason.DEVICE_DOWN,
        DropReason.NO_CARRIER,
        DropReason.QUEUE_FULL,
        DropReason.CPU_BACKLOG_FULL,
        DropReason.FRAME_TOO_BIG,
        DropReason.BRIDGE_PORT_MTU,
    )
)
"""Reasons for which a frame never gets to the tap of the interface that dropped it (as in Linux, where the tap sits
behind the queue): these count as `epb_dropcount` and `isb_ifdrop` there.

Limits: a frame that was already on the cable when the carrier went away is counted too, although the tap saw it."""


class _SplitTap:
    """Gives a frame to the all-in-one file and to the interface's own file."""

    __slots__ = ("_tap_all", "_tap_own")

    def __init__(self, tap_all: Tap, tap_own: Tap) -> None:
        self._tap_all = tap_all
        self._tap_own = tap_own

    def tap(self, now_ns: int, frame: TappedFrame, direction: int, /) -> None:
        self._tap_all(now_ns, frame, direction)
        self._tap_own(now_ns, frame, direction)


class _Entry:
    """What the capture keeps per interface: the sinks that count it (all-in-one first) and the tap handed out."""

    __slots__ = ("sinks", "tap")

    def __init__(self, sinks: Sequence[PcapngInterface | PcapWriter], tap: Tap) -> None:
        self.sinks = sinks
        self.tap = tap


class Capture:
    """Capture a set of interfaces into one pcapng file, or into one pcap file per interface.

    kernel: gives the time, the notes about packets and the drops.
    path: the pcapng file; with file_format="pcap" the folder for one file per interface.
    file_format: "pcapng" or "pcap".
    interfaces: glob patterns such as "web1:*"; None takes all. The pseudo-interface is selected as "drops".
    split: pcapng only: also write `by-interface/<name>.pcapng` beside the file, one for each interface.
    snaplen: bytes kept of each frame, None for all.
    comment: the comment of the whole capture, such as "emu run first_ping.py --seed 1".
    drop_verdicts: also mark dropped frames with a verdict (`frame.verdict.ebpf_tc == 2`). Off, because Wireshark 4.0
        reads it but damages it when it saves the file: what it wrote cannot be opened any more (seen with 4.0.17).
    Raises CaptureError (files cannot be written: before the run starts) and InvalidValue.

    Memory use does not grow with the length of a capture. All files are valid after every `flush`, and a `with`
    block closes them also when the run fails.
    """

    def __init__(
        self,
        kernel: Kernel,
        path: Path | str,
        *,
        file_format: CaptureFormat = "pcapng",
        interfaces: Sequence[str] | None = None,
        split: bool = False,
        snaplen: int | None = None,
        comment: str = "",
        drop_verdicts: bool = False,
    ) -> None:
        self.path = Path(path)
        self.file_format = file_format
        self.closed = False
        self._kernel = kernel
        self._patterns = InterfacePatterns(interfaces)
        self._snaplen = _checked_snaplen(snaplen)
        self._comment = comment
        self._drop_verdicts = drop_verdicts
        self._entries: dict[InterfaceInfo, _Entry] = {}
        self._by_name: dict[str, _Entry] = {}
        self._names: dict[bytes, tuple[str, ...]] = {}
        self._file_names_taken: set[str] = set()
        self._all: PcapngWriter | None = None
        self._own_pcapng: dict[str, PcapngWriter] = {}
        self._own_pcap: dict[str, PcapWriter] = {}
        self._split_folder = self._open(split)
        kernel.journal.keep_annotations = True
        kernel.journal.drop_listeners.append(self._on_drop)

    def _open(self, split: bool) -> Path | None:
        """Make the files or folders now, so that a place that cannot be written is an error before the run."""
        if self.file_format == "pcap":
            if self._drop_verdicts:
                raise InvalidValue("drop_verdicts: the pcap format has no place for verdicts, choose pcapng")
            if split:
                raise InvalidValue("--split is for pcapng: the pcap format always writes one file per interface")
            check_folder(self.path)
            return None
        if self.file_format != "pcapng":
            raise InvalidValue(f"unknown capture format {self.file_format!r}: choose pcapng or pcap")
        if self.path.suffix == ".pcap":
            raise InvalidValue(
                f"{self.path}: a capture of named interfaces is a pcapng file: name it "
                f"{self.path.with_suffix('.pcapng').name}, or choose the format pcap and give a folder"
            )
        self._all = self._new_writer(self.path, keep_open=True)
        if not split:
            return None
        folder = self.path.parent / SPLIT_FOLDER
        try:
            check_folder(folder)
        except BaseException:
            self._all.close(self._kernel.now)
            raise
        return folder

    def _new_writer(self, path: Path, *, keep_open: bool) -> PcapngWriter:
        return PcapngWriter(
            path,
            comment=self._comment,
            snaplen=self._snaplen,
            annotations=self._kernel.journal.annotations,
            keep_open=keep_open,
        )

    @property
    def places(self) -> set[Path]:
        """The file and the folders that this capture alone may write to."""
        return capture_places(self.path, self._split_folder is not None)

    # -- interfaces ---------------------------------------------------------------------------------------------------

    def selects(self, name: str) -> bool:
        """Tell whether the interface of that name is to be captured."""
        return self._patterns.selects(name)

    def tap_for(self, info: InterfaceInfo) -> Tap | None:
        """Return the tap for an interface, at any time during a run, or None if it is not selected
        (or the capture is closed).

        The same interface asked for again gets the same tap; one that returns under its name with other facts (a new
        MAC address) continues in the same files as a new interface.
        """
        if self.closed:
            return None
        self._patterns.note(info.name)
        if not self.selects(info.name):
            return None
        entry = self._entries.get(info) or self._add(info)
        return entry.tap

    def _add(self, info: InterfaceInfo) -> _Entry:
        now_ns = self._kernel.now
        if self._all is None:
            writer = self._pcap_writer(info)
            entry = _Entry([writer], writer.tap)
        else:
            interface = self._all.add_interface(info, now_ns)
            entry = _Entry([interface], interface.tap)
            if self._split_folder is not None:
                own = self._split_writer(info.name, self._split_folder).add_interface(info, now_ns)
                entry = _Entry([interface, own], _SplitTap(interface.tap, own.tap).tap)
        self._entries[info] = entry
        self._by_name[info.name] = entry
        return entry

    def _pcap_writer(self, info: InterfaceInfo) -> PcapWriter:
        writer = self._own_pcap.get(info.name)
        if writer is None:
            path = self.path / (safe_file_name(info.name, self._file_names_taken) + ".pcap")
            writer = PcapWriter(path, info, snaplen=self._snaplen, keep_open=False)
            self._own_pcap[info.name] = writer
            self._share_memory()
        return writer

    def _split_writer(self, name: str, folder: Path) -> PcapngWriter:
        writer = self._own_pcapng.get(name)
        if writer is None:
            path = folder / (safe_file_name(name, self._file_names_taken) + ".pcapng")
            writer = self._new_writer(path, keep_open=False)
            writer.add_names(list(self._names.items()))
            self._own_pcapng[name] = writer
            self._share_memory()
        return writer

    def _share_memory(self) -> None:
        """Divide what may be held in memory between the files of single interfaces."""
        own: list[PcapngWriter | PcapWriter] = [*self._own_pcapng.values(), *self._own_pcap.values()]
        share = RECORDS_GATHERED_MAX // len(own)
        records = min(RECORDS_PER_FLUSH, max(RECORDS_PER_FLUSH_MIN, share))
        for writer in own:
            writer.set_records_per_flush(records)

    def check_patterns(self) -> None:
        """Raise NotFound if a pattern matches none of the interfaces seen so far (a typing mistake)."""
        self._patterns.check()

    # -- names and drops ----------------------------------------------------------------------------------------------

    def add_names(self, names: Mapping[str, Sequence[str]]) -> None:
        """Give names to IP addresses ("172.18.0.2": ["web1.shop", "web1"]); Wireshark shows the first one.

        They go into the files at this point, so name an address before its first frame. pcap has no place for them.
        Raises InvalidValue for something that is no IP address.
        """
        new = []
        for address, aliases in names.items():
            try:
                packed = ip_address(address).packed
            except ValueError as error:
                raise InvalidValue(f"{address!r} is not an IP address") from error
            if aliases and self._names.get(packed) != tuple(aliases):
                self._names[packed] = tuple(aliases)
                new.append((packed, tuple(aliases)))
        if self._all is not None:
            for writer in (self._all, *self._own_pcapng.values()):
                writer.add_names(new)

    def _on_drop(self, now_ns: int, frame: TappedFrame, reason: Enum, where: str) -> None:
        """Write a dropped frame to the pseudo-interface `drops` (called by the journal)."""
        if reason in MISSED_REASONS:
            missed_by = self._by_name.get(where)
            if missed_by is not None:
                for sink in missed_by.sinks:
                    sink.miss()
        entry = self._entries.get(DROPS_INTERFACE)
        if entry is None:
            if not self.selects(DROPS_INTERFACE.name):
                return
            entry = self._add(DROPS_INTERFACE)
        comment = f"drop: {reason.value} at {where}"
        for sink in entry.sinks:
            if isinstance(sink, PcapngInterface):
                sink.write_drop(now_ns, frame, comment, with_verdict=self._drop_verdicts)
            else:
                sink.tap(now_ns, frame, DIRECTION_IN)

    # -- results ------------------------------------------------------------------------------------------------------

    def statistics(self) -> list[InterfaceStatistics]:
        """Return the counts per interface name, in the order in which the interfaces were added."""
        totals: dict[str, InterfaceStatistics] = {}
        counted: list[PcapngInterface | PcapWriter] = []
        for entry in self._entries.values():
            sink = entry.sinks[0]
            if any(sink is other for other in counted):
                continue
            counted.append(sink)
            new = sink.statistics()
            old = totals.get(new.name, InterfaceStatistics(new.name, 0, 0, 0))
            totals[new.name] = InterfaceStatistics(
                new.name, old.frames + new.frames, old.bytes + new.bytes, old.missed + new.missed
            )
        return list(totals.values())

    def files(self) -> dict[str, Path]:
        """Return the file of each interface by name; the all-in-one file has the name ""."""
        files = {} if self._all is None else {"": self._all.path}
        files.update((name, writer.path) for name, writer in self._own_pcapng.items())
        files.update((name, writer.path) for name, writer in self._own_pcap.items())
        return files

    def _writers(self) -> list[PcapngWriter | PcapWriter]:
        writers: list[PcapngWriter | PcapWriter] = [] if self._all is None else [self._all]
        return [*writers, *self._own_pcapng.values(), *self._own_pcap.values()]

    def flush(self) -> None:
        """Put everything captured so far on disk, for somebody who looks at it during the run."""
        for writer in self._writers():
            writer.flush()

    def close(self) -> None:
        """Write what is left with the statistics, and close all files; a second call does nothing.

        Raises CaptureError if a file cannot be written; the others are closed all the same.
        """
        if self.closed:
            return
        self.closed = True
        self._kernel.journal.drop_listeners.remove(self._on_drop)
        first_error: BaseException | None = None
        for writer in self._writers():
            try:
                if isinstance(writer, PcapngWriter):
                    writer.close(self._kernel.now)
                else:
                    writer.close()
            except BaseException as error:
                first_error = first_error or error
        if first_error is not None:
            raise first_error

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def capture_places(path: Path, split: bool) -> set[Path]:
    """What a capture to `path` writes to: the file (pcap: the folder) and the folder of its split files."""
    return {path.resolve(), (path.parent / SPLIT_FOLDER).resolve()} if split else {path.resolve()}


def _checked_snaplen(snaplen: int | None) -> int:
    if snaplen is None:
        return 0
    if type(snaplen) is not int or not 1 <= snaplen <= 262_144:
        raise InvalidValue(f"snaplen is {snaplen!r}: give the bytes to keep of each frame, 1 to 262144")
    return snaplen
