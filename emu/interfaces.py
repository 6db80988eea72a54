"""Every interface of an emulation, and everybody who watches them: captures, printers, counters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emu.capture.interface import InterfaceInfo
from emu.kernel.tap import Tap
from emu.result import InterfaceResult

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice

Watcher = Callable[[InterfaceInfo], Tap | None]
"""Is asked for each interface, also for those made later; gives a tap or, if it does not want it, None."""


class InterfaceBook:
    """The interfaces that have ever been in a namespace, in the order in which they came.

    A container that is stopped takes its interface with it; what the interface counted stays here.
    """

    def __init__(self) -> None:
        self.devices: list[NetDevice] = []
        self._watchers: list[Watcher] = []

    def add(self, device: NetDevice) -> None:
        """Note a device that has joined a namespace, and let all watchers see it."""
        if any(device is known for known in self.devices):
            return
        self.devices.append(device)
        for watcher in self._watchers:
            self._attach(device, watcher)

    def watch(self, watcher: Watcher) -> None:
        """Let somebody watch all interfaces, those that are there and those that come."""
        self._watchers.append(watcher)
        for device in self.devices:
            self._attach(device, watcher)

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

    def frame_count(self) -> int:
        """How many times a frame has passed an interface so far."""
        return sum(device.rx_packets + device.tx_packets for device in self.devices)

    @staticmethod
    def _attach(device: NetDevice, watcher: Watcher) -> None:
        tap = watcher(info_of(device))
        if tap is not None:
            device.add_tap(tap)


def info_of(device: NetDevice) -> InterfaceInfo:
    """What a capture says about a device."""
    return InterfaceInfo(**device.describe())
