"""Keeps cleartext out of encrypted overlays: Docker's rules `-m policy --dir in --pol none … -j DROP`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.wire.drop import DropReason
from emu.wire.vxlan import HEADER_LENGTH

if TYPE_CHECKING:
    from emu.device.upper import TunnelReceiver
    from emu.stack.xfrm import Xfrm
    from emu.wire.frame import Frame


class CleartextGuard:
    """Stands before the receiver of a tunnel port and drops what should have come encrypted.

    headers: the VXLAN headers of the protected VNIs. receiver: who gets the rest; None while the port is closed.
    """

    __slots__ = ("_xfrm", "headers", "receiver")

    def __init__(self, xfrm: Xfrm) -> None:
        self._xfrm = xfrm
        self.headers: set[bytes] = set()
        self.receiver: TunnelReceiver | None = None

    def receive_encapsulated(self, frame: Frame, payload: bytes, source: bytes, tos: int) -> DropReason | None:
        """Let a datagram through or say why not; see `TunnelReceiver.receive_encapsulated`."""
        if not self._xfrm.is_inside and payload[:HEADER_LENGTH] in self.headers:
            return DropReason.ESP_CLEARTEXT
        receiver = self.receiver
        assert receiver is not None, "the port is open"
        return receiver.receive_encapsulated(frame, payload, source, tos)
