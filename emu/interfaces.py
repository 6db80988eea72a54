"""Every interface of an emulation, and everybody who watches them: captures, printers, counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from emu.capture.interface import InterfaceInfo
from emu.device.wired import WiredDevice
from emu.kernel.tap import Tap, TappedFrame
from emu.result import InterfaceResult

if TYPE_CHECKING:
    from emu.device.impairments.statistics import LineStatistics
    from emu.device.netdevice import NetDevice

Watcher = Callable[[InterfaceInfo], Tap | None]
"""Is asked for each interface, also for those made later; gives a tap or, if it does not want it, None."""


class InterfaceBook:
    """The interfaces that have ever been in a namespace, in the order in which they came.

    A container that is stopped takes its interface with it; what the interface counted stays here. Until the first
    run frames are remembered, so that a capture that is asked for last also has what was sent while building.

    words: says what interfaces are, for people; called when somebody watches them, with the one that is new or None.
    """

    def __init__(self, words: Callable[[NetDevice | None], Mapping[NetDevice, str]]) -> None:
        self._words = words
        self._recorders: dict[NetDevice, _Recorder] = {}
        self._early_frames: list[tuple[NetDevice, int, TappedFrame, int]] = []
        self._is_running = False
        self._watchers: list[Watcher] = []

    @property
    def is_running(self) -> bool:
        """Whether the first run has begun."""
        return self._is_running

    @property
    def devices(self) -> list[NetDevice]:
        """All of them."""
        return list(self._recorders)

    def add(self, device: NetDevice) -> None:
        """Note a device that has joined a namespace, and let all watchers see it."""
        if device in self._recorders:
            return
        recorder = self._recorders[device] = _Recorder(device, self._early_frames)
        if not self._is_running:
            device.add_tap(recorder.tap)
        if self._watchers:
            info = info_of(device, self._words(device))
            for watcher in self._watchers:
                tap = watcher(info)
                if tap is not None:
                    device.add_tap(tap)

    def forget_since(self, count: int) -> None:
        """Forget all but the first `count` interfaces: what was made for a container that could not be started."""
        for device in self.devices[count:]:
            device.remove_tap(self._recorders.pop(device).tap)
        self._early_frames[:] = [entry for entry in self._early_frames if entry[0] in self._recorders]

    def watch(self, watcher: Watcher) -> None:
        """Let somebody watch all interfaces, those that are there and those that come."""
        self._watchers.append(watcher)
        words = self._words(None)
        taps: dict[NetDevice, Tap] = {}
        for device in self._recorders:
            tap = watcher(info_of(device, words))
            if tap is not None:
                device.add_tap(tap)
                taps[device] = tap
        for device, now_ns, frame, direction in self._early_frames:
            if device in taps:
                taps[device](now_ns, frame, direction)

    def run_begins(self) -> None:
        """Time begins to pass: from now on only watchers see frames."""
        if self._is_running:
            return
        self._is_running = True
        for device, recorder in self._recorders.items():
            device.remove_tap(recorder.tap)
        self._early_frames.clear()

    def results(self) -> list[InterfaceResult]:
        """The counters, added up for interfaces that came back under their name (a restarted container)."""
        totals: dict[str, InterfaceResult] = {}
        for device in self.devices:
            old = totals.get(device.label) or InterfaceResult(device.label, 0, 0, 0, 0)
            drops = dict(old.drops)
            for reason, count in device.drops.items():
                drops[reason.value] = drops.get(reason.value, 0) + count
            totals[device.label] = InterfaceResult(
                device.label,
                old.rx_packets + device.rx_packets,
                old.rx_bytes + device.rx_bytes,
                old.tx_packets + device.tx_packets,
                old.tx_bytes + device.tx_bytes,
                drops,
            )
        return list(totals.values())

    def impairments(self) -> list[LineStatistics]:
        """What impairments did, for each direction and each time they were changed, where any were set."""
        return [
            entry
            for device in self.devices
            if isinstance(device, WiredDevice)
            for entry in device.statistics_history()
            if entry.settings
        ]

    def frame_count(self) -> int:
        """How many times a frame has passed an interface so far."""
        return sum(device.rx_packets + device.tx_packets for device in self.devices)


class _Recorder:
    """Remembers the frames of one interface while the emulation is being built."""

    __slots__ = ("_device", "_frames")

    def __init__(self, device: NetDevice, frames: list[tuple[NetDevice, int, TappedFrame, int]]) -> None:
        self._device = device
        self._frames = frames

    def tap(self, now_ns: int, frame: TappedFrame, direction: int, /) -> None:
        self._frames.append((self._device, now_ns, frame, direction))


def info_of(device: NetDevice, words: Mapping[NetDevice, str]) -> InterfaceInfo:
    """What a capture says about a device."""
    facts = device.describe()
    if device in words:
        facts["description"] = f"{words[device]}: {facts['description']}"
    return InterfaceInfo(**facts)
