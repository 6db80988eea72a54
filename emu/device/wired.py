"""The device at an end of a cable: what veth interfaces and Ethernet ports have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from emu.device.netdevice import FRAME_EXTRA_BYTES, NetDevice
from emu.kernel.errors import NotFound
from emu.kernel.tap import DIRECTION_OUT
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from emu.wire.offload import finished_frames, must_be_cut

if TYPE_CHECKING:
    from emu.device.cable import Cable
    from emu.device.cable_direction import CableDirection
    from emu.device.impairments.statistics import LineStatistics
    from emu.kernel import Kernel


class WiredDevice(NetDevice):
    """A device joined to exactly one other by a cable.

    peer: the device at the other end. direction: the cable's direction away from here. send: `direction.send`.
    transmit: see `NetDevice.transmit`; chosen by the direction according to what is configured, so read it from the
        device for every frame.
    size_limit: the longest frame that may leave, -1 while nothing may; longer ones are refused.
    """

    __slots__ = ("cable", "direction", "peer", "receive_cost_ns", "send", "size_limit", "transmit", "transmit_cost_ns")

    can_be_port = True
    transmit: Callable[[Frame], bool]

    def __init__(self, kernel: Kernel, name: str, mac: bytes, mtu: int = 1500) -> None:
        super().__init__(kernel, name, mac, mtu)
        self.peer: WiredDevice | None = None
        self.cable: Cable | None = None
        self.direction: CableDirection | None = None
        self.send: Callable[[Frame], bool] = _send_nowhere
        self.transmit = self.transmit_generally
        self.size_limit = -1
        self.transmit_cost_ns = 0
        self.receive_cost_ns = 0

    # -- the per-frame path -------------------------------------------------------------------------------------------

    def transmit_generally(self, frame: Frame) -> bool:
        """Send a frame to the other end, whatever is configured (see `NetDevice.transmit`)."""
        size = len(frame.data)
        if size > self.size_limit:
            return self.refuse(frame, size)
        cpu = self._cpu
        if cpu is not None:
            cpu.busy_until_ns += self.transmit_cost_ns
        send = self.send
        if not send(frame):
            self.tx_dropped += 1
            return False
        self.tx_packets += 1
        self.tx_bytes += size
        tap = self.tap
        if tap is not None:
            tap(self.kernel.now, frame, DIRECTION_OUT)
        return True

    def transmit_last(self, frame: Frame) -> None:
        """Send a frame that is at the other end when this returns, because the device is deleted next.

        Linux has it in the peer's backlog before a program that says goodbye can end. Limits: impairments do not apply.
        """
        cpu = self._cpu
        if cpu is None or cpu.busy_until_ns > self.kernel.now or cpu.backlog:
            self._cross_now(frame)  # as part of the work that is going on
        else:
            cpu.start(self._cross_now, frame)

    def _cross_now(self, frame: Frame) -> None:
        size = len(frame.data)
        if size > self.size_limit or self.peer is None:
            self.refuse(frame, size)
            return
        if self._cpu is not None:
            self._cpu.busy_until_ns += self.transmit_cost_ns
        self.tx_packets += 1
        self.tx_bytes += size
        if self.tap is not None:
            self.tap(self.kernel.now, frame, DIRECTION_OUT)
        self.peer.receive(frame)

    def arrive(self, frame: Frame) -> None:
        """Take a frame that starts a new traversal of this host: it waits for the CPU."""
        cpu = self._cpu
        assert cpu is not None, f"{self.label} has no CPU to start on"
        if not cpu.start(self._receive_on_cpu, frame):
            self.drop_received(frame, DropReason.CPU_BACKLOG_FULL)

    def _receive_on_cpu(self, frame: Frame) -> None:
        cpu = self._cpu
        if cpu is not None:
            cpu.busy_until_ns += self.receive_cost_ns
        self.receive(frame)

    def refuse(self, frame: Frame, size: int) -> bool:
        """Give up a frame that cannot be sent; return what `transmit` returns for it."""
        if not self.is_up:
            self.drop_sent(frame, DropReason.DEVICE_DOWN)
            return True  # Linux's noop queue swallows it silently
        if not self.carrier:
            self.drop_sent(frame, DropReason.NO_CARRIER)
            return True
        if must_be_cut(frame.altered):
            return self._transmit_uncut(frame, size)
        if self.master is not None and size > self.mtu + FRAME_EXTRA_BYTES:
            self.drop(frame, DropReason.BRIDGE_PORT_MTU)
            return True
        return self._refuse_oversize(frame)

    def _transmit_uncut(self, frame: Frame, size: int) -> bool:
        """Send a frame that is longer than the MTU because nobody has cut it yet (see `Offload`).

        A token bucket that could never hold it cuts it first, as Linux's tbf does.
        """
        direction = self.direction
        limit, self.size_limit = self.size_limit, size
        if direction is None or direction.refusal_of(size) is None:
            accepted = self.transmit(frame)
        else:
            accepted = True
            for piece in finished_frames(frame):
                accepted = self.transmit(piece) and accepted
        self.size_limit = limit
        return accepted

    def _refuse_oversize(self, frame: Frame) -> bool:
        self.drop_sent(frame, DropReason.FRAME_TOO_BIG)
        return False

    def transmit_chosen(self) -> None:
        """The direction has chosen `transmit` (devices that do something before it override this)."""

    # -- state --------------------------------------------------------------------------------------------------------

    def set(self, **changes: Any) -> None:
        """Set impairments of what this device sends, as tc would on its egress (see `Impairments.change`).

        Raises `InvalidValue` for wrong parameters, `NotFound` when no cable is attached.
        """
        if self.direction is None:
            raise NotFound(f"{self.label} is not connected: join it to another interface with add_link first")
        self.direction.set(**changes)

    def statistics_history(self) -> list[LineStatistics]:
        """What the line away from here did, for each time its settings were changed; the last is the present."""
        direction = self.direction
        return [] if direction is None else [*direction.history, direction.statistics]

    def cable_changed(self) -> None:
        """Follow the cable: it was attached, plugged in or pulled out."""
        self._update_carrier()
        self._changed()

    def _update_carrier(self) -> None:
        """There is a carrier when the cable is plugged in and both ends are up."""
        peer, cable = self.peer, self.cable
        carrier = cable is not None and cable.is_up and peer is not None and self.is_up and peer.is_up
        if self.carrier and not carrier and self.direction is not None:
            self.direction.flush_queue()
        self.carrier = carrier
        if peer is not None and peer.carrier is not carrier:
            peer.cable_changed()

    def _changed(self) -> None:
        self.running = self.is_up and self.carrier
        self._update_size_limits()
        super()._changed()

    def _update_size_limits(self) -> None:
        """Recompute how long a frame may be that leaves here, and one that leaves at the other end."""
        self.size_limit = self._largest_frame() if self.running else -1
        peer = self.peer
        if peer is not None:
            peer.size_limit = peer._largest_frame() if peer.running else -1

    def _largest_frame(self) -> int:
        """A bridge forwards to a port only what fits the port's MTU and a VLAN tag (FACT 29)."""
        return self.mtu + FRAME_EXTRA_BYTES if self.master is not None else 1 << 30

    def _cpu_changed(self) -> None:
        self._charge()
        if self.direction is not None:
            self.direction.choose_send()
        if self.peer is not None and self.peer.direction is not None:
            self.peer.direction.choose_send()

    def _charge(self) -> None:
        """Read from the CPU's cost model what a frame costs here (devices override this)."""

    def describe(self) -> dict[str, Any]:
        """Return what a capture writes about the interface; the speed is the configured rate if there is one."""
        description = super().describe()
        direction = self.direction
        if direction is not None and direction.impairments.text():
            description["description"] += f", {direction.impairments.text()}"
            if direction.impairments.rate_bps is not None:
                description["speed_bps"] = direction.impairments.rate_bps
        return description


def _send_nowhere(frame: Frame) -> bool:
    raise AssertionError(f"{frame!r} sent on a device without a cable, although it has no carrier")
