"""What br_netfilter and conntrack do on a bridge of a Docker host: reassembly, the FORWARD chain, cutting up again.

With `net.bridge.bridge-nf-call-iptables=1` bridged IPv4 packets pass the host's FORWARD chain as if they were routed
from the bridge to the bridge, and connection tracking puts fragments together first. So the bridge's own tap shows one
packet where its ports show fragments (FACT 31).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emu.device.netdevice import ETHERNET_HEADER_BYTES
from emu.stack.fragment import Reassembled, Reassembler, fragment_packet
from emu.stack.ipv4 import REJECTIONS
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from emu.wire.offload import must_be_cut

if TYPE_CHECKING:
    from emu.device.bridge import Bridge
    from emu.device.bridge_port import BridgePort
    from emu.stack.namespace import Namespace

_ETHERTYPE_IPV4 = b"\x08\x00"


class ReassembledFrame(Frame):
    """A frame that was put together from fragments, the longest of which had `max_fragment_size` bytes."""

    __slots__ = ("max_fragment_size",)

    def __init__(self, data: bytes, packet_id: int, altered: bool, max_fragment_size: int) -> None:
        super().__init__(data, packet_id, altered)
        self.max_fragment_size = max_fragment_size


class BridgeNetfilter:
    """The netfilter hooks of one bridge (see `emu.device.upper.BridgeNetfilter`).

    verdict_depends_on_ports_only: True while the FORWARD chain accepts everything on this bridge. Otherwise every
    frame is asked about, because ARP and other protocols always pass and IPv4 may not.
    Limits: connection tracking keeps no connections, only fragments; damaged packets are not sorted out here.
    """

    __slots__ = (
        "_bridge",
        "_namespace",
        "_reassembler",
        "_timer",
        "forwards_all",
        "verdict_depends_on_ports_only",
    )

    def __init__(self, namespace: Namespace, bridge: Bridge) -> None:
        self._namespace = namespace
        self._bridge = bridge
        self._reassembler = Reassembler()
        self._timer = namespace.kernel.timer(self._expire)
        self.verdict_depends_on_ports_only = False
        self.forwards_all = False
        self.rules_changed()

    def rules_changed(self) -> None:
        """Work out anew whether verdicts may be cached; called when the FORWARD chain has changed."""
        name = self._bridge.name
        self.verdict_depends_on_ports_only = self._namespace.filter.device_verdict(name, name) is True
        self.forwards_all = self.verdict_depends_on_ports_only
        self._bridge.flush_cache()

    def pre_routing(self, frame: Frame, port: BridgePort) -> Frame | None:
        """Keep a fragment until its datagram is complete, then return the whole datagram."""
        data = frame.data
        total = data[16] << 8 | data[17]
        header_length = (data[14] & 15) * 4
        if data[14] >> 4 != 4 or header_length < 20 or not header_length <= total <= len(data) - 14:
            port.device.drop(frame, DropReason.MALFORMED)
            return None
        outcome = self._reassembler.add(
            self._namespace.kernel.now, data[14 : 14 + total], frame.packet_id, (port, data[:14]), frame.altered is True
        )
        self._arm_timer()
        if outcome is None:
            return None
        if isinstance(outcome, Reassembled):
            return ReassembledFrame(
                data[:14] + outcome.packet, outcome.packet_id, outcome.altered, outcome.max_fragment_size
            )
        port.device.drop(frame, REJECTIONS.get(outcome, DropReason.REASSEMBLY_OVERLAP))
        return None

    def admit(self, frame: Frame, port: BridgePort) -> bool:
        """Ask the raw table; to it a bridged packet comes in at the bridge, not at the port."""
        data = frame.data
        if data[12:14] != _ETHERTYPE_IPV4 or len(data) < 34:
            return True
        if not self._namespace.raw.drops(self._bridge.name, data[30:34]):
            return True
        port.device.drop(frame, DropReason.FIREWALL)
        return False

    def forward(self, frame: Frame, in_port: BridgePort, out_port: BridgePort) -> bool:
        """Ask the FORWARD chain about an IPv4 packet; anything else passes."""
        data = frame.data
        if data[12:14] != _ETHERTYPE_IPV4 or len(data) < 34:
            return True
        name = self._bridge.name
        if self._namespace.filter.forward(name, name, data[14:]):
            return True
        in_port.device.drop(frame, DropReason.FIREWALL)
        return False

    def post_routing(self, frame: Frame, out_port: BridgePort) -> list[Frame]:
        """Cut a packet up again, as it came or as the port's MTU wants it.

        A long packet with DF is dropped; without DF it is cut to the bridge's MTU, not the port's (FACT 29).
        """
        data = frame.data
        port_mtu = out_port.device.mtu
        length = len(data) - ETHERNET_HEADER_BYTES
        if data[12:14] != _ETHERTYPE_IPV4 or length < 20:
            return [frame]
        bridge_mtu = self._bridge.mtu
        if isinstance(frame, ReassembledFrame):
            cut = frame.max_fragment_size
            if length <= min(port_mtu, cut):
                return [frame]
            if cut > bridge_mtu:
                out_port.device.drop(frame, DropReason.FRAGMENTATION_NEEDED)
                return []
        else:
            if length <= port_mtu or must_be_cut(frame.altered):
                return [frame]
            if data[20] & 0x40:
                out_port.device.drop(frame, DropReason.FRAGMENTATION_NEEDED)
                return []
            cut = bridge_mtu
        header = data[:14]
        return [Frame(header + piece, frame.packet_id, frame.altered) for piece in fragment_packet(data[14:], cut)]

    def _arm_timer(self) -> None:
        expiry_ns = self._reassembler.next_expiry_ns()
        if expiry_ns is None:
            self._timer.stop()
        elif not self._timer.pending or self._timer.expires_ns != expiry_ns:
            self._timer.start_at(expiry_ns)

    def _expire(self, _: object) -> None:
        """Give up incomplete datagrams; only an end host tells the sender, a bridge stays silent."""
        for queue in self._reassembler.expire(self._namespace.kernel.now):
            context: Any = queue.context
            port: BridgePort = context[0]
            ethernet: bytes = context[1]
            packet = queue.first_packet or next(iter(queue.pieces.values()))
            port.device.drop(Frame(ethernet + packet, queue.packet_id), DropReason.REASSEMBLY_TIMEOUT)
        self._arm_timer()

    def stop(self) -> None:
        """Forget all fragments; the bridge is switched back to plain forwarding."""
        self._reassembler.clear()
        self._timer.stop()
