"""Raw frames in a container: Scapy packets out, and what passes an interface back as Scapy packets."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_time_ns
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from emu.wire.scapy_bridge import packet_from_bytes, packet_to_bytes

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.kernel import Kernel
    from emu.kernel.tap import TappedFrame
    from emu.stack.namespace import Namespace

ETHERNET_HEADER_BYTES = 14


def send_frame(namespace: Namespace, device: NetDevice, packet: Any) -> int:
    """Send a frame through a device, as a packet socket does; return its packet id."""
    kernel = namespace.kernel
    data = packet if isinstance(packet, bytes) else packet_to_bytes(packet)
    if not isinstance(packet, bytes) and type(packet).__name__ not in ("Ether", "Dot3"):
        raise InvalidValue(
            f"send: the packet begins with {type(packet).__name__}; begin it with Ether(src=..., dst=...)"
        )
    if len(data) < ETHERNET_HEADER_BYTES:
        raise InvalidValue(f"send: {len(data)} bytes are less than an Ethernet header")
    frame = Frame(data, kernel.next_packet_id())
    cpu = namespace.cpu
    if cpu is None:
        device.transmit(frame)
        return frame.packet_id
    costs = cpu.costs

    def transmit(_: None) -> None:
        cpu.busy_until_ns += costs.socket_send
        device.transmit(frame)

    if not cpu.start(transmit):
        device.drop_sent(frame, DropReason.CPU_BACKLOG_FULL)
    return frame.packet_id


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
