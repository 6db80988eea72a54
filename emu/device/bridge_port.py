"""The port of a bridge: takes frames in, decides where they go, and remembers the decision.

The fast path is one dictionary per port, keyed by the frame's first 12 bytes (destination and source address): it holds
the two FDB entries and the egress device of an earlier decision. It is flushed whenever anything that the decision
depended on changes; the ages of both addresses are kept and checked exactly on every frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.device.fdb import FdbEntry
from emu.device.netdevice import ETHERNET_HEADER_BYTES, NetDevice
from emu.kernel.errors import InvalidValue
from emu.kernel.tap import DIRECTION_IN
from emu.wire.address import ZERO_MAC, is_reserved_group_mac
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.device.bridge import Bridge
    from emu.kernel import Kernel

CACHE_LIMIT = 4096
"""So many pairs of addresses are remembered per port; then the port starts afresh (100,000 pairs would be 30 MB)."""

IPV4_HEADER_END = 34
PAUSE_GROUP = 1
"""Last byte of 01:80:c2:00:00:01, which is consumed by the port; :00 (STP) is flooded, the others go to programs."""

PORT_STATES = ("disabled", "forwarding")

Decision = tuple[FdbEntry, FdbEntry, NetDevice, "BridgePort | None", int]
"""Source entry, destination entry, the egress device, the egress port if netfilter must be asked about
every frame (else None), and the longest frame that needs no netfilter."""


class BridgePort:
    """A device that is a port of a bridge (made by `Bridge.add_port`).

    hairpin: frames may go back out of the port they came from. learning: source addresses are learned here.
    flood: frames to unknown unicast addresses go out here. forwards: the port takes part at this moment.
    Change them with `set_hairpin`, `set_learning`, `set_flood`, `set_state`.
    """

    __slots__ = (
        "_kernel",
        "bridge",
        "cache",
        "device",
        "fdb",
        "flood",
        "forwards",
        "hairpin",
        "learning",
        "mac",
        "state",
        "was_running",
    )

    def __init__(self, bridge: Bridge, device: NetDevice, hairpin: bool) -> None:
        self._kernel: Kernel = device.kernel
        self.bridge = bridge
        self.fdb = bridge.fdb
        self.device = device
        self.mac = device.mac  # as entered in the FDB
        self.hairpin = hairpin
        self.learning = True
        self.flood = True
        self.state = "forwarding"
        self.forwards = False
        self.was_running = False
        self.cache: dict[bytes, Decision] = {}

    @property
    def label(self) -> str:
        """The device's label, for messages."""
        return self.device.label

    @property
    def master(self) -> Bridge:
        """The bridge; named so because the kernel names the master of whoever goes round in a loop."""
        return self.bridge

    # -- settings (bridge link set …) ---------------------------------------------------------------------------------

    def set_hairpin(self, on: bool) -> None:
        """Let frames go back out of this port, or not (`bridge link set dev … hairpin on`)."""
        self.hairpin = on
        self.bridge.flush_cache()

    def set_learning(self, on: bool) -> None:
        """Learn source addresses at this port, or not; what was learned stays."""
        self.learning = on
        self.bridge.flush_cache()

    def set_flood(self, on: bool) -> None:
        """Send frames to unknown unicast addresses out of this port, or not."""
        self.flood = on

    def set_state(self, state: str) -> None:
        """Set the port state, "forwarding" or "disabled".

        Raises `InvalidValue` for another one. Limits: no spanning tree, so no listening, learning or blocking.
        """
        if state not in PORT_STATES:
            expected = " or ".join(PORT_STATES)
            raise InvalidValue(f"invalid state {state!r} of {self.label}: expected {expected}")
        self.state = state
        self.refresh()

    def refresh(self) -> None:
        """Work out anew whether the port forwards and which input it needs; whatever changed, decisions are void."""
        device, bridge = self.device, self.bridge
        self.forwards = device.running and bridge.is_up and self.state == "forwarding"
        if not self.forwards:
            device.upper = self._input_disabled
        elif bridge.cpu is not None:
            device.upper = self._input_charged
        elif bridge.netfilter is not None:
            device.upper = self._input_filtered
        else:
            device.upper = self._input_plain
        bridge.flush_cache()

    # -- input: one of these is the device's `upper` ------------------------------------------------------------------

    def _input_plain(self, frame: Frame) -> None:
        """Take a frame from the port's device; no netfilter, no costs."""
        decision = self.cache.get(frame.data[:12])
        if decision is not None:
            source, destination, egress, _, _ = decision
            now = self._kernel.now
            if now - destination.updated_ns < self.fdb.ageing_ns:
                source.updated_ns = now
                tap = self.bridge.tap
                if tap is not None:
                    tap(now, frame, DIRECTION_IN)
                transmit = egress.transmit
                transmit(frame)
                return
        self._input_slowly(frame)

    def _input_filtered(self, frame: Frame) -> None:
        """Take a frame from the port's device with netfilter on: fragments and long frames never take the fast path.

        Bytes 20 and 21 are the fragment fields of an IPv4 packet; what they mean in other frames does not matter, the
        slow path looks closer.
        """
        data = frame.data
        decision = self.cache.get(data[:12])
        if decision is not None:
            source, destination, egress, ask_about, limit = decision
            if IPV4_HEADER_END <= len(data) <= limit and not data[20] & 0x3F and not data[21]:
                now = self._kernel.now
                bridge = self.bridge
                if now - destination.updated_ns < self.fdb.ageing_ns:
                    source.updated_ns = now
                    tap = bridge.tap
                    if tap is not None:
                        tap(now, frame, DIRECTION_IN)
                    if ask_about is None or bridge.allows(frame, self, ask_about):
                        transmit = egress.transmit
                        transmit(frame)
                    return
        self._input_slowly(frame)

    def _input_charged(self, frame: Frame) -> None:
        """Take a frame from the port's device and charge the host's CPU for it."""
        cpu = self.bridge._cpu
        if cpu is not None:
            cpu.busy_until_ns += self.bridge.forward_cost_ns
        if self.bridge.netfilter is None:
            self._input_plain(frame)
        else:
            self._input_filtered(frame)

    def _input_disabled(self, frame: Frame) -> None:
        self.device.drop(frame, DropReason.BRIDGE_PORT_DISABLED)

    # -- the slow path: every decision is made here -------------------------------------------------------------------

    def _input_slowly(self, frame: Frame) -> None:
        data = frame.data
        if len(data) < ETHERNET_HEADER_BYTES:
            self.device.drop(frame, DropReason.MALFORMED)
            return
        destination, source = data[:6], data[6:12]
        if source[0] & 1 or source == ZERO_MAC:
            self.device.drop(frame, DropReason.BRIDGE_INVALID_SOURCE)
            return
        if destination[5] and is_reserved_group_mac(destination):
            if destination[5] != PAUSE_GROUP and self.learning:
                self.fdb.learn(source, self)
            self.device.drop(frame, DropReason.BRIDGE_RESERVED_GROUP)
            return
        bridge = self.bridge
        reassembled = False
        if bridge.netfilter is not None and is_ipv4_fragment(data):
            passed = bridge.netfilter.pre_routing(frame, self)
            if passed is None:
                return
            reassembled = passed is not frame
            frame = passed
        if bridge.netfilter is not None and not bridge.netfilter.admit(frame, self):
            return
        source_entry = self.fdb.learn(source, self) if self.learning else None
        tap = bridge.tap
        if tap is not None:
            tap(self._kernel.now, frame, DIRECTION_IN)
        if destination[0] & 1:
            bridge.flood(frame, self, reassembled)
            bridge.deliver_locally(frame)
            return
        entry = self.fdb.lookup(destination)
        if entry is None:
            bridge.flood(frame, self, reassembled)
        elif entry.is_local:
            bridge.deliver_locally(frame)
        else:
            self._forward_to_known(frame, source_entry, entry, reassembled)

    def _forward_to_known(
        self, frame: Frame, source: FdbEntry | None, destination: FdbEntry, reassembled: bool
    ) -> None:
        out_port = destination.port
        assert out_port is not None, f"{self.label}: a learned address without a port"
        if out_port is self and not self.hairpin:
            self.device.drop(frame, DropReason.BRIDGE_SAME_PORT)
            return
        if not out_port.forwards:
            out_port.device.drop(frame, DropReason.BRIDGE_PORT_DISABLED)
            return
        allowed = self.bridge.allows(frame, self, out_port)
        if source is not None:
            self._remember(frame.data[:12], source, destination, out_port, allowed)
        if allowed:
            out_port.output(frame, reassembled)

    def _remember(
        self, key: bytes, source: FdbEntry, destination: FdbEntry, out_port: BridgePort, allowed: bool
    ) -> None:
        """Keep a decision for the fast path; one to drop is made anew every time."""
        netfilter = self.bridge.netfilter
        ask_about = None
        if netfilter is not None and not netfilter.verdict_depends_on_ports_only:
            ask_about = out_port
        elif not allowed:
            return
        if len(self.cache) >= CACHE_LIMIT:
            self.cache.clear()
        limit = out_port.device.mtu + ETHERNET_HEADER_BYTES
        self.cache[key] = (source, destination, out_port.device, ask_about, limit)

    # -- output -------------------------------------------------------------------------------------------------------

    def output(self, frame: Frame, reassembled: bool) -> None:
        """Send a frame out of this port, through netfilter's last hook if it is too long or was reassembled."""
        netfilter = self.bridge.netfilter
        if netfilter is None or not (reassembled or len(frame.data) > self.device.mtu + ETHERNET_HEADER_BYTES):
            self.device.transmit(frame)
            return
        for piece in netfilter.post_routing(frame, self):
            self.device.transmit(piece)


def is_ipv4_fragment(data: bytes) -> bool:
    """Tell whether a frame carries an IPv4 packet with more fragments set or a fragment offset."""
    return len(data) >= IPV4_HEADER_END and data[12:14] == b"\x08\x00" and bool(data[20] & 0x3F or data[21])
