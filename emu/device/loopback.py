"""The loopback device: what a namespace sends to itself comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.device.netdevice import NetDevice
from emu.wire.address import ZERO_MAC
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.kernel import Kernel

LOOPBACK_MTU = 65536


class LoopbackDevice(NetDevice):
    """`lo`: MTU 65536, MAC zero, every frame comes back at the same instant.

    A capture shows each frame once, as it comes in: libpcap hides the outgoing copy on `lo`.
    """

    __slots__ = ("transmit_cost_ns",)

    kind = "loopback"

    def __init__(self, kernel: Kernel, name: str = "lo") -> None:
        super().__init__(kernel, name, ZERO_MAC)
        self.mtu = LOOPBACK_MTU
        self.transmit_cost_ns = 0

    def transmit(self, frame: Frame, /) -> bool:
        """Hand the frame back to this namespace."""
        if not self.running:
            self.drop_sent(frame, DropReason.DEVICE_DOWN)
            return True
        cpu = self._cpu
        if cpu is not None:
            cpu.busy_until_ns += self.transmit_cost_ns
        self.tx_packets += 1
        self.tx_bytes += len(frame.data)
        self.kernel.soon(self.receive, frame)
        return True

    def _cpu_changed(self) -> None:
        self.transmit_cost_ns = 0 if self.cpu is None else self.cpu.costs.loopback
