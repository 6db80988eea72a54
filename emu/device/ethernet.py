"""The Ethernet port: a host's eth0 or the port of a switch, joined to another one by a real cable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.device.cable import Cable
from emu.device.netdevice import FRAME_EXTRA_BYTES
from emu.device.wired import WiredDevice
from emu.kernel.errors import Conflict
from emu.kernel.tap import DIRECTION_IN, DIRECTION_OUT
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from emu.wire.offload import finished_frames, must_be_cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from emu.kernel import Kernel

FRAMING_BYTES = 24
"""Preamble and start delimiter 8, frame check sequence 4, interframe gap 12 (IEEE 802.3)."""
MINIMUM_FRAME_BYTES = 60
"""The shortest frame without its FCS (IEEE 802.3); the card pads shorter ones, which captures do not show."""


class EthernetPort(WiredDevice):
    """A physical port; without a cable (`connect`) it has no carrier.

    A received frame longer than MTU + 18 bytes is dropped, as by a card that was given buffers for its MTU.

    finishes: whether it looks for frames that are left to the hardware (see `Offload`), in tunnels, too, and finishes
    them after its tap has seen them. Off while nothing on its host makes any; switch it on with `finish_offloads`.
    """

    __slots__ = ("_transmit_finished", "finishes")

    kind = "ethernet"
    _transmit_finished: Callable[[Frame], bool]

    def __init__(self, kernel: Kernel, name: str, mac: bytes, mtu: int = 1500) -> None:
        self.finishes = False
        super().__init__(kernel, name, mac, mtu)

    def finish_offloads(self) -> None:
        """Look for frames left to the hardware from now on."""
        self.finishes = True
        if self.direction is not None:
            self.direction.choose_send()

    def transmit_chosen(self) -> None:
        """Put the hardware before the way that the direction has chosen, if it has anything to do."""
        if self.finishes:
            self._transmit_finished = self.transmit
            self.transmit = self._finish_and_transmit

    def _finish_and_transmit(self, frame: Frame) -> bool:
        """Send a frame after cutting it and making its checksums; the tap sees it as it was (see `transmit`).

        With a queue discipline, which stands where the card's own queue would be, taps see what leaves that queue.
        """
        altered = frame.altered
        if altered is False or altered is True:
            return self._transmit_finished(frame)
        size = len(frame.data)
        if not self.running or (size > self.size_limit and not must_be_cut(altered)):
            return self.refuse(frame, size)
        pieces = finished_frames(frame)
        assert self.direction is not None, "it runs, so there is a cable"
        if self.direction.queued is not None:
            accepted = True
            for piece in pieces:
                accepted = self._transmit_finished(piece) and accepted
            return accepted
        cpu = self._cpu
        if cpu is not None:
            cpu.busy_until_ns += self.transmit_cost_ns
        sent = 0
        for piece in pieces:
            if not self.send(piece):
                self.tx_dropped += 1
                continue
            sent += 1
            self.tx_packets += 1
            self.tx_bytes += len(piece.data)
        if sent and self.tap is not None:
            self.tap(self.kernel.now, frame, DIRECTION_OUT)
        return sent > 0

    def receive(self, frame: Frame) -> None:
        """Take a frame from the cable (see `NetDevice.receive`)."""
        size = len(frame.data)
        if not self.is_up or size > self.mtu + FRAME_EXTRA_BYTES:
            self.drop_received(frame, DropReason.FRAME_TOO_BIG if self.is_up else DropReason.DEVICE_DOWN)
            return
        self.rx_packets += 1
        self.rx_bytes += size
        tap = self.tap
        if tap is not None:
            tap(self.kernel.now, frame, DIRECTION_IN)
        upper = self.upper
        if upper is not None:
            upper(frame)

    def _charge(self) -> None:
        costs = None if self.cpu is None else self.cpu.costs
        self.transmit_cost_ns = 0 if costs is None else costs.ethernet_transmit
        self.receive_cost_ns = 0 if costs is None else costs.ethernet_receive

    def delete(self) -> None:
        """Remove the port; its cable stays with nothing at this end."""
        super().delete()
        if self.peer is not None:
            self.peer.cable_changed()


def connect(a: EthernetPort, b: EthernetPort) -> Cable:
    """Join two free ports by a cable and return it; set its rate, delay and impairments with `cable.set`.

    Raises `Conflict` when a port has a cable already.
    """
    for port in (a, b):
        if port.cable is not None:
            raise Conflict(f"{port.label} is already connected to {port.peer.label if port.peer else 'nothing'}")
    if a is b:
        raise Conflict(f"{a.label} cannot be connected to itself")
    assert a.kernel is b.kernel, f"{a.label} and {b.label} belong to different emulations"
    return Cable(a, b, FRAMING_BYTES, MINIMUM_FRAME_BYTES)
