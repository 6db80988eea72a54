"""What passes an interface, collected as Scapy packets."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_time_ns
from emu.wire.scapy_bridge import packet_from_bytes

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.kernel import Kernel
    from emu.kernel.tap import TappedFrame


class Sniffer:
    """Collects what passes an interface, in both directions."""

    def __init__(
        self,
        kernel: Kernel,
        device: Callable[[], NetDevice],
        count: int | None,
        timeout: str | int | None,
        lfilter: Callable[[Any], object] | None,
    ) -> None:
        if count is not None and (type(count) is not int or count < 1):
            raise InvalidValue(f"sniff: count must be 1 or more, not {count!r}")
        if lfilter is not None and not callable(lfilter):
            raise InvalidValue(f"sniff: lfilter is a function of a packet, such as lambda p: ARP in p, not {lfilter!r}")
        self._kernel = kernel
        self._device = device
        self._count = count
        self._timeout_ns = None if timeout is None else parse_time_ns(timeout, "timeout")
        self._lfilter = lfilter
        self._done = kernel.event()
        self.packets: list[Any] = []

    def run(self) -> Generator[Event, Any, list[Any]]:
        """Watch until enough packets were seen or the time is up (a process)."""
        device = self._device()
        device.add_tap(self._tap)
        self._done.description = f"frames at {device.label}"  # type: ignore[attr-defined]
        try:
            if self._timeout_ns is None:
                yield self._done
            else:
                yield self._done | self._kernel.timeout(self._timeout_ns)
        finally:
            device.remove_tap(self._tap)
        return self.packets

    def _tap(self, now_ns: int, frame: TappedFrame, direction: int, /) -> None:
        if self._done.triggered:
            return
        packet = packet_from_bytes(frame.data)
        packet.time = now_ns / 1_000_000_000
        if self._lfilter is not None and not self._lfilter(packet):
            return
        self.packets.append(packet)
        if self._count is not None and len(self.packets) >= self._count:
            self._done.succeed()
