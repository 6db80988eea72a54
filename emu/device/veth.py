"""The veth pair: two interfaces with nothing in between, usually in two namespaces.

Frames cross unpadded (a 42-byte ARP request stays 42 bytes) at the same instant, through the kernel's FIFO. Both ends
have a carrier when both are up. With impairments set on an end, its frames cross like over a cable, and a rate counts
the bytes of the frame only, as tc does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.device.cable import Cable
from emu.device.netdevice import FRAME_EXTRA_BYTES
from emu.device.wired import WiredDevice
from emu.kernel.tap import DIRECTION_OUT
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.kernel import Kernel


class VethDevice(WiredDevice):
    """One end of a veth pair (make pairs with `create_veth`).

    A frame longer than the peer's MTU + 18 bytes is refused at once: the sender sees ENOBUFS and the peer's
    `rx_dropped` counts it (FACT 30). A capture on the sending end shows it all the same (recorded in f6-mtu-o1-eth0):
    Linux shows a frame to captures before the device refuses it.
    """

    __slots__ = ()

    kind = "veth"
    speed_bps = 10_000_000_000
    """What ethtool reports for veth: 10 Gbit/s, which limits nothing."""

    def _largest_frame(self) -> int:
        assert self.peer is not None
        return min(super()._largest_frame(), self.peer.mtu + FRAME_EXTRA_BYTES)

    def _refuse_oversize(self, frame: Frame) -> bool:
        assert self.peer is not None
        if self.tap is not None:
            self.tap(self.kernel.now, frame, DIRECTION_OUT)
        self.peer.rx_dropped += 1
        self.drop(frame, DropReason.FRAME_TOO_BIG)
        return False

    def _charge(self) -> None:
        self.transmit_cost_ns = 0 if self.cpu is None else self.cpu.costs.veth

    def delete(self) -> None:
        """Delete the pair: with one end the other goes too, whatever namespace it is in."""
        if self.is_deleted:
            return
        super().delete()
        assert self.peer is not None
        self.peer.delete()


def create_veth(
    kernel: Kernel, name_a: str, mac_a: bytes, name_b: str, mac_b: bytes, mtu: int = 1500
) -> tuple[VethDevice, VethDevice]:
    """Create a veth pair; both ends are down (`ip link add … type veth peer name …`).

    mtu: of both ends, 68 to 65535 bytes. Raises `InvalidValue` for a wrong MTU or a multicast MAC.
    """
    a = VethDevice(kernel, name_a, mac_a, mtu)
    b = VethDevice(kernel, name_b, mac_b, mtu)
    Cable(a, b)
    return a, b
