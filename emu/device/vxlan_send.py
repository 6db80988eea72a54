"""How a VXLAN device decides where a frame goes, from scratch; what it decided is remembered for the flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.device import vxlan_answer
from emu.device.netdevice import ETHERNET_HEADER_BYTES
from emu.wire.address import ZERO_MAC, is_valid_source_mac
from emu.wire.drop import DropReason
from emu.wire.ecn import traffic_class
from emu.wire.offload import fits
from emu.wire.vxlan import OVERHEAD, flow_hash, flow_key, outer_tos, source_port

if TYPE_CHECKING:
    from emu.device.upper import TunnelFlow
    from emu.device.vxlan import VxlanDevice
    from emu.device.vxlan_fdb import VxlanFdbEntry
    from emu.wire.frame import Frame

FLOWS_MAX = 4096
"""So many flows are remembered per device; then it starts afresh."""

_LOOPBACK = b"\x7f\x00\x00\x01"
_ARP = b"\x08\x06"
_IPV4_WITHOUT_OPTIONS = b"\x08\x00\x45"
_FLOW_PROTOCOLS = (6, 17)


class SendFlow:
    """What the sending path remembers of a flow of inner TCP or UDP packets, keyed by addresses and ports.

    head: the first 16 bytes of its frames, the TOS byte included. fixed: fragment field, TTL and protocol.
    entry: where the destination is. send: the underlay's way. size_max: the longest frame that goes this way.
    """

    __slots__ = ("entry", "fixed", "head", "send", "size_max")

    def __init__(self, data: bytes, entry: VxlanFdbEntry, flow: TunnelFlow) -> None:
        self.head = data[:16]
        self.fixed = data[20:24]
        self.entry = entry
        self.send = flow.send
        self.size_max = flow.inner_max


def send(device: VxlanDevice, frame: Frame) -> None:
    """Send a frame that the device's tap has seen to wherever its destination is."""
    data = frame.data
    if len(data) < ETHERNET_HEADER_BYTES:
        device.drop_sent(frame, DropReason.MALFORMED)
        return
    if device.proxy and data[12:14] == _ARP:
        vxlan_answer.arp_reduce(device, frame)
        return
    entry = device.fdb.lookup(data[:6]) or device.fdb.lookup(ZERO_MAC)
    if entry is None:
        if device.l2miss and not data[0] & 1:
            device.l2_misses += 1
        device.drop_sent(frame, DropReason.VXLAN_NO_REMOTE)
        return
    entry.used_ns = device.kernel.now
    first, *others = entry.remotes
    for remote in (*others, first):  # Linux clones for the others and sends the original last
        _send_to(device, frame, entry, remote)


def _send_to(device: VxlanDevice, frame: Frame, entry: VxlanFdbEntry, remote: bytes) -> None:
    """Send one copy to one VTEP, or give it to a device of the same host, or answer that it is too long."""
    data = frame.data
    transport = device.transport
    if transport.is_local(remote):
        _bypass(device, frame)
        return
    mtu = transport.route_mtu(remote)
    if mtu is None:
        device.drop_sent(frame, DropReason.NO_ROUTE)
        return
    limit = mtu - OVERHEAD
    is_too_long = len(data) - ETHERNET_HEADER_BYTES > limit and not fits(data[14:], frame.altered, limit)
    if device.master is not None and is_too_long:
        answer = vxlan_answer.fragmentation_needed(data, limit)
        if answer is not None:
            device.count_sent(data)
            device.drop(frame, DropReason.VXLAN_TOO_BIG)
            device.answer(answer, frame.packet_id)
            return
    _encapsulate(device, frame, entry, remote)


def _encapsulate(device: VxlanDevice, frame: Frame, entry: VxlanFdbEntry, remote: bytes) -> None:
    data = frame.data
    transport = device.transport
    port = source_port(flow_hash(flow_key(data), device.kernel.hash_secret), *transport.port_range())
    tos = outer_tos(traffic_class(data))
    if not frame.altered and _is_worth_remembering(data, entry):
        _remember(device, data, entry, port, tos)
    cpu = device.cpu
    if cpu is not None:
        cpu.busy_until_ns += device.encapsulate_cost_ns
    reason = transport.send_udp(
        port,
        remote,
        device.port,
        device.header + data,
        tos=tos,
        ttl=device.ttl,
        dont_fragment=device.dont_fragment,
        checksum=device.udp_checksum,
        packet_id=frame.packet_id,
        altered=frame.altered,
    )
    if reason is None:
        device.count_sent(data)
    else:
        device.drop_sent(frame, reason)


def _is_worth_remembering(data: bytes, entry: VxlanFdbEntry) -> bool:
    """Tell whether bytes 26 to 37 are the addresses and ports of a whole TCP or UDP packet to one known address."""
    return (
        entry.mac == data[:6]
        and len(entry.remotes) == 1
        and len(data) >= 42
        and data[12:15] == _IPV4_WITHOUT_OPTIONS
        and data[23] in _FLOW_PROTOCOLS
        and not (data[20] & 0x3F or data[21])
    )


def _remember(device: VxlanDevice, data: bytes, entry: VxlanFdbEntry, port: int, tos: int) -> None:
    """Keep what the flow's next frames can reuse; whatever changes here or there makes it void."""
    flow = device.transport.tunnel_flow(
        port,
        entry.remotes[0],
        device.port,
        device.header,
        tos=tos,
        ttl=device.ttl,
        dont_fragment=device.dont_fragment,
        checksum=device.udp_checksum,
    )
    flows = device.flows
    key = data[26:38]
    if flow is None:
        flows.pop(key, None)
        return
    if len(flows) >= FLOWS_MAX:
        flows.clear()
    flows[key] = SendFlow(data, entry, flow)


def _bypass(device: VxlanDevice, frame: Frame) -> None:
    """Hand a frame for a VTEP on this very host over without any tunnel, as Linux does."""
    other = device.socket.devices.get(device.header)
    if other is None:
        device.drop_sent(frame, DropReason.VXLAN_UNKNOWN_VNI)
        return
    device.count_sent(frame.data)
    source_mac = frame.data[6:12]
    if other.learning and is_valid_source_mac(source_mac):
        other.fdb.snoop(source_mac, _LOOPBACK)  # what it thinks of it stops nothing here
    device.kernel.soon(other.receive, frame)
