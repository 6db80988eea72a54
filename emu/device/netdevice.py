"""The network device: what every interface has, whatever is behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from emu.kernel.errors import InvalidValue, NotSupported
from emu.kernel.tap import DIRECTION_IN, Tap, TappedFrame
from emu.wire.address import ZERO_MAC, is_valid_source_mac, mac_to_text
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.device.bridge import Bridge
    from emu.device.cost import HostCpu
    from emu.kernel import Kernel

ETHERNET_HEADER_BYTES = 14
VLAN_ALLOWANCE_BYTES = 4
"""Linux lets a frame be longer than MTU + 14 by a VLAN tag, whether it has one or not (FACTS 29 and 30)."""
FRAME_EXTRA_BYTES = ETHERNET_HEADER_BYTES + VLAN_ALLOWANCE_BYTES

MTU_MINIMUM = 68
MTU_MAXIMUM = 65535


class NetDevice:
    """An interface of a namespace, or a port of a bridge.

    name: as in `ip link` ("eth0"). label: with its place ("web1:eth0"), used in captures and drop reports; whoever
        puts the device into a namespace sets it.
    mac: six bytes. mtu: bytes of the network-layer packet (change it with `set_mtu`). ifindex: number in its namespace.
    upper: gets every received frame; the namespace's input, or the input of the bridge port.
    master: the bridge the device is a port of.
    cpu: the host's CPU that pays for the work (None: work is free). Read it in set-up code only, it is a property.
    is_up: administratively up. carrier: the other side is there and up. running: both.
    rx_dropped, tx_dropped: frames the device itself refused; `drops` counts every drop reported here by reason.
    change_listeners: called with the device after its state, MTU or MAC has changed.

    Devices are created down, as in Linux.
    """

    __slots__ = (
        "_cpu",
        "_taps",
        "carrier",
        "change_listeners",
        "drops",
        "ifindex",
        "is_deleted",
        "is_up",
        "kernel",
        "label",
        "mac",
        "master",
        "mtu",
        "name",
        "namespace_name",
        "running",
        "rx_bytes",
        "rx_dropped",
        "rx_packets",
        "tap",
        "tx_bytes",
        "tx_dropped",
        "tx_packets",
        "upper",
    )

    kind = "device"
    speed_bps: int | None = None
    finishes = False
    """Whether it looks for frames that are left to the hardware (see `emu.wire.offload`) and finishes them."""
    can_be_port = False
    """Whether the device can be a port of a bridge."""

    def __init__(self, kernel: Kernel, name: str, mac: bytes, mtu: int = 1500) -> None:
        self.kernel = kernel
        self.name = name
        self.label = name
        self.namespace_name = ""
        self.ifindex = 0
        self.mac = check_mac(mac, name)
        self.mtu = check_mtu(mtu, name)
        self.upper: Callable[[Frame], None] | None = None
        self.master: Bridge | None = None
        self.tap: Tap | None = None
        self._taps: list[Tap] = []
        self._cpu: HostCpu | None = None
        self.is_up = False
        self.carrier = False
        self.running = False
        self.is_deleted = False
        self.change_listeners: list[Callable[[NetDevice], None]] = []
        self.drops: dict[DropReason, int] = {}
        self.rx_packets = self.rx_bytes = self.rx_dropped = 0
        self.tx_packets = self.tx_bytes = self.tx_dropped = 0

    # -- the per-frame path -------------------------------------------------------------------------------------------

    def transmit(self, frame: Frame, /) -> bool:
        """Send a frame from the stack or the bridge towards the wire.

        Returns False when the device refused it at once, which a Linux sender sees as ENOBUFS; the drop is counted
        and reported. True does not promise arrival: without a carrier frames vanish silently, as in Linux.
        """
        raise NotImplementedError(f"{self.kind} devices do not transmit")

    def receive(self, frame: Frame) -> None:
        """Take a frame from the wire, show it to the tap and hand it up."""
        if not self.is_up:
            self.drop_received(frame, DropReason.DEVICE_DOWN)
            return
        self.rx_packets += 1
        self.rx_bytes += len(frame.data)
        tap = self.tap
        if tap is not None:
            tap(self.kernel.now, frame, DIRECTION_IN)
        upper = self.upper
        if upper is not None:
            upper(frame)

    # -- drops --------------------------------------------------------------------------------------------------------

    def drop(self, frame: Frame, reason: DropReason) -> None:
        """Count a drop by its reason and report it to the journal."""
        drops = self.drops
        drops[reason] = drops.get(reason, 0) + 1
        self.kernel.journal.drop(frame, reason, self.label)

    def drop_received(self, frame: Frame, reason: DropReason) -> None:
        """Drop a frame on its way in, which also counts as `rx_dropped`."""
        self.rx_dropped += 1
        self.drop(frame, reason)

    def drop_sent(self, frame: Frame, reason: DropReason) -> None:
        """Drop a frame on its way out, which also counts as `tx_dropped`."""
        self.tx_dropped += 1
        self.drop(frame, reason)

    # -- taps ---------------------------------------------------------------------------------------------------------

    def add_tap(self, tap: Tap) -> None:
        """Show every frame that passes from now on to `tap`, after the taps that are there already."""
        self._taps.append(tap)
        self._combine_taps()

    def remove_tap(self, tap: Tap) -> None:
        """Stop showing frames to `tap`; nothing happens when it is not there."""
        if tap in self._taps:
            self._taps.remove(tap)
            self._combine_taps()

    def _combine_taps(self) -> None:
        if not self._taps:
            self.tap = None
        elif len(self._taps) == 1:
            self.tap = self._taps[0]
        else:
            self.tap = _TapFan(tuple(self._taps))

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def cpu(self) -> HostCpu | None:
        """The CPU that pays for the device's work, or None when work is free."""
        return self._cpu

    @cpu.setter
    def cpu(self, cpu: HostCpu | None) -> None:
        self._cpu = cpu
        self._cpu_changed()

    def _cpu_changed(self) -> None:
        """Adapt what depends on the CPU (devices override this)."""

    def set_up(self) -> None:
        """Set the device administratively up (`ip link set … up`)."""
        if not self.is_up and not self.is_deleted:
            self.is_up = True
            self._update_carrier()
            self._changed()

    def set_down(self) -> None:
        """Set the device administratively down: nothing is received or sent any more."""
        if self.is_up:
            self.is_up = False
            self._update_carrier()
            self._changed()

    def _update_carrier(self) -> None:
        """Find out whether the other side is there (devices override this)."""
        self.carrier = self.is_up

    def set_mtu(self, mtu: int) -> None:
        """Change the MTU; raises `InvalidValue` outside 68 to 65535 bytes."""
        self.mtu = check_mtu(mtu, self.label)
        self._changed()

    def set_mac(self, mac: bytes) -> None:
        """Change the MAC address; raises `InvalidValue` for a multicast one or zero, in the words Docker passes on."""
        self.mac = check_mac(mac, self.name, may_be_zero=False)
        self._changed()

    def _changed(self) -> None:
        """Settle what follows from a change of state, MTU or MAC, and tell the listeners."""
        self.running = self.is_up and self.carrier
        for listener in tuple(self.change_listeners):
            listener(self)

    def join_master(self, master: Bridge | None) -> None:
        """Become a port of a bridge, or (None) cease to be one (called by the bridge)."""
        assert self.can_be_port, f"{self.label} cannot be a port"
        self.master = master
        self._changed()

    def delete(self) -> None:
        """Take the device out of the world (`ip link del`): down, out of its bridge, never up again."""
        if self.is_deleted:
            return
        if self.master is not None:
            self.master.remove_port(self)
        self.set_down()
        self.is_deleted = True
        self._changed()

    # -- settings and description -------------------------------------------------------------------------------------

    def set(self, **changes: Any) -> None:
        """Set impairments of the device's outgoing side, as tc would (see `Impairments.change`).

        Raises `NotSupported` for devices without a line of their own.
        """
        raise NotSupported(
            f"{self.label}: a {self.kind} device has no line of its own: set impairments on a container's or host's "
            f"interface or on a link"
        )

    @property
    def counters(self) -> dict[str, int]:
        """The counters of `ip -s link`: rx/tx packets, bytes and dropped."""
        return {
            "rx_packets": self.rx_packets,
            "rx_bytes": self.rx_bytes,
            "rx_dropped": self.rx_dropped,
            "tx_packets": self.tx_packets,
            "tx_bytes": self.tx_bytes,
            "tx_dropped": self.tx_dropped,
        }

    def describe(self) -> dict[str, Any]:
        """Return what a capture writes about the interface: name, description, mac, mtu, speed_bps, hardware."""
        return {
            "name": self.label,
            "description": f"{self.kind} {mac_to_text(self.mac)} mtu {self.mtu}",
            "mac": self.mac,
            "mtu": self.mtu,
            "speed_bps": self.speed_bps,
            "hardware": self.kind,
        }

    def __repr__(self) -> str:
        return f"<{self.kind} {self.label} {mac_to_text(self.mac)} {'up' if self.is_up else 'down'}>"


class _TapFan:
    """Shows each frame to several taps in turn."""

    __slots__ = ("taps",)

    def __init__(self, taps: tuple[Tap, ...]) -> None:
        self.taps = taps

    def __call__(self, now_ns: int, frame: TappedFrame, direction: int, /) -> None:
        for tap in self.taps:
            tap(now_ns, frame, direction)


def check_mtu(mtu: int, where: str) -> int:
    """Return the MTU if it is from 68 to 65535 bytes; raises `InvalidValue` otherwise."""
    if isinstance(mtu, bool) or not isinstance(mtu, int) or not MTU_MINIMUM <= mtu <= MTU_MAXIMUM:
        raise InvalidValue(f"invalid MTU {mtu!r} for {where}: expected {MTU_MINIMUM} to {MTU_MAXIMUM} bytes")
    return mtu


def check_mac(mac: bytes, where: str, *, may_be_zero: bool = True) -> bytes:
    """Return the MAC if an interface may have it; raises `InvalidValue` for a multicast address.

    may_be_zero: a device can begin with zero (loopback, a bridge without ports), but zero can't be set later.
    """
    assert isinstance(mac, bytes), f"a MAC address is six bytes, not {mac!r}"
    assert len(mac) == 6, f"a MAC address is six bytes, not {mac!r}"
    if not is_valid_source_mac(mac) and not (may_be_zero and mac == ZERO_MAC):
        raise InvalidValue(
            f'error setting interface "{where}" MAC to "{mac_to_text(mac)}": cannot assign requested address'
        )
    return mac
