"""The fast way out for tunnel flows that are encrypted: it stands where the device stands for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.wire.drop import DropReason
from emu.wire.esp import payload_max
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.stack.output import Path
    from emu.stack.xfrm import Xfrm
    from emu.stack.xfrm_state import SecurityAssociation

UDP_AND_TUNNEL_HEADERS = 16


class EncryptedDevice:
    """Takes the finished frames of a tunnel flow, encrypts them and hands them to the device.

    inner_max: the longest frame in the tunnel that leaves in one piece. mac: the device's.
    """

    __slots__ = ("_device", "_state", "_xfrm", "inner_max", "mac")

    def __init__(self, xfrm: Xfrm, state: SecurityAssociation, path: Path) -> None:
        self._xfrm = xfrm
        self._state = state
        self._device = path.interface.device
        self.mac: bytes = self._device.mac
        self.inner_max = payload_max(path.mtu - 20) - UDP_AND_TUNNEL_HEADERS

    def transmit(self, frame: Frame) -> bool:
        """Encrypt and send a frame; see `NetDevice.transmit`."""
        data = frame.data
        packet = self._xfrm.encrypt(data[14:], self._state)
        if isinstance(packet, DropReason):
            self._device.drop(frame, packet)
            return False
        return self._device.transmit(Frame(data[:14] + packet, frame.packet_id, frame.altered))
