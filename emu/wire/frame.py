"""The frame: the bytes on the wire and the passport that follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emu.wire.offload import Offload


class Frame:
    """An Ethernet frame on its way through the emulation.

    data: the bytes on the wire, without preamble and FCS. Never mutated: who changes a packet makes a new frame.
    packet_id: the passport. Copies made by flooding, NAT, encapsulation, fragmentation and reassembly keep it.
    altered: whether the checksums say something else than the bytes. True when a link corrupted the bytes, so receivers
        must not trust the checksums made by the sender; an `Offload`, which is true as well, when the sender has left
        the checksum (and cutting a long segment) to the hardware.
    """

    __slots__ = ("altered", "data", "packet_id")

    def __init__(self, data: bytes, packet_id: int, altered: bool | Offload = False) -> None:
        self.data = data
        self.packet_id = packet_id
        self.altered = altered

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"<Frame #{self.packet_id} {len(self.data)} bytes{' altered' if self.altered else ''}>"
