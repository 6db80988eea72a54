"""Tunnels over UDP: the ports that belong to devices instead of programs, and their fast way in and out.

A namespace's `tunnels` implements `emu.device.upper.TunnelTransport` for devices such as VXLAN, which live in other
namespaces but have their socket here. What they send is part of the traversal that is going on, as in Linux, where a
tunnel's transmit routine calls the IP output directly.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from emu.kernel.errors import Conflict
from emu.stack import tunnel_offload
from emu.stack.flow import SENDABLE_STATES
from emu.stack.output import build_packet
from emu.wire.checksum import checksum_sum
from emu.wire.drop import DropReason
from emu.wire.esp import esp_length
from emu.wire.frame import Frame
from emu.wire.ipv4 import PROTOCOL_UDP
from emu.wire.offload import Offload
from emu.wire.udp import build_udp
from emu.wire.vxlan import HEADER_LENGTH as VXLAN_HEADER_LENGTH
from emu.wire.vxlan import VxlanFlowTemplate

if TYPE_CHECKING:
    from emu.device.cost import HostCpu
    from emu.device.netdevice import NetDevice
    from emu.device.upper import TunnelReceiver
    from emu.device.vxlan_socket import VxlanSocket
    from emu.stack.interface import Interface
    from emu.stack.namespace import Namespace
    from emu.stack.output import Path
    from emu.stack.xfrm_flow import EncryptedDevice
    from emu.stack.xfrm_guard import CleartextGuard

_from_bytes = int.from_bytes
flow_fields = Struct("!HxxI14xH").unpack_from
"""Total length, fragment field with TTL and protocol, and UDP length of a frame, from offset 16."""
TEMPLATES_MAX = 64
OUTER_HEADERS = 36
"""IPv4 20, UDP 8, and the tunnel's own 8 bytes."""


class UdpTunnels:
    """The tunnel ports of one namespace.

    name: the namespace's. receivers: UDP port -> who takes what arrives there. vxlan_sockets: kept by the devices.
    """

    __slots__ = ("_guards", "_namespace", "name", "receivers", "vxlan_sockets")

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self.name = namespace.name
        self.receivers: dict[int, TunnelReceiver] = {}
        self.vxlan_sockets: dict[int, VxlanSocket] = {}
        self._guards: dict[int, CleartextGuard] = {}

    # -- ports --------------------------------------------------------------------------------------------------------

    def open(self, port: int, receiver: TunnelReceiver) -> None:
        """Let a receiver take all datagrams for a port; raises `Conflict` when a socket or another tunnel has it."""
        if port in self.receivers or self._namespace.udp.has_socket(port):
            raise Conflict(f"UDP port {port} of {self.name} is in use: address already in use")
        self.receivers[port] = receiver
        guard = self._guards.get(port)
        if guard is not None:
            self.set_guard(port, guard)

    def close(self, port: int) -> None:
        """Give a port back."""
        del self.receivers[port]
        self._namespace.flush_receive_flows()

    def set_guard(self, port: int, guard: CleartextGuard) -> None:
        """Let a guard look at everything that arrives on a port first, from now on and whoever opens it."""
        self._guards[port] = guard
        receiver = self.receivers.get(port)
        if receiver is not None:
            guard.receiver, self.receivers[port] = receiver, guard
            self._namespace.flush_receive_flows()

    # -- questions ----------------------------------------------------------------------------------------------------

    def route_mtu(self, destination: bytes) -> int | None:
        """Return the MTU of the way to an address, learned path MTUs included; None when there is no way."""
        path = self._namespace.output.path(destination)
        return None if isinstance(path, int) else path.mtu

    def is_local(self, destination: bytes) -> bool:
        """Tell whether an address is the namespace's own."""
        return self._namespace.is_local_address(destination)

    def port_range(self) -> tuple[int, int]:
        """Return the range of local ports, from which tunnels take their source ports."""
        sysctl = self._namespace.sysctl
        return sysctl["net.ipv4.ip_local_port_range_min"], sysctl["net.ipv4.ip_local_port_range_max"]

    # -- sending ------------------------------------------------------------------------------------------------------

    def send_udp(
        self,
        source_port: int,
        destination: bytes,
        destination_port: int,
        payload: bytes,
        *,
        tos: int = 0,
        ttl: int | None = None,
        dont_fragment: bool = False,
        checksum: bool = True,
        packet_id: int,
        altered: bool | Offload = False,
    ) -> DropReason | None:
        """Send a tunnel's datagram; see `TunnelTransport.send_udp`."""
        namespace = self._namespace
        path = namespace.output.path(destination)
        if isinstance(path, int):
            return DropReason.NO_ROUTE
        state = namespace.xfrm.outbound(path.source, destination, destination_port, payload[:VXLAN_HEADER_LENGTH])
        if isinstance(state, DropReason):
            return state
        if isinstance(altered, Offload):
            datagram = tunnel_offload.Datagram(
                source_port, destination, destination_port, payload, tos, ttl, dont_fragment, checksum, packet_id
            )
            if state is None and tunnel_offload.leaves_as_it_is(path, payload, altered):
                tunnel_offload.send_whole(namespace, path, datagram, altered)
                return None
            return tunnel_offload.send_in_pieces(self, datagram, altered)
        if dont_fragment and (len(payload) + 28 if state is None else esp_length(len(payload) + 8) + 20) > path.mtu:
            return DropReason.FRAGMENTATION_NEEDED
        if len(payload) + 28 > 65535:
            return DropReason.VXLAN_TOO_BIG
        segment = build_udp(path.source, destination, source_port, destination_port, payload, checksum=checksum)
        packet = build_packet(
            path.source,
            destination,
            PROTOCOL_UDP,
            segment,
            identification=namespace.idents.next(namespace.kernel.now, path.source, destination, PROTOCOL_UDP),
            ttl=namespace.default_ttl if ttl is None else ttl,
            tos=tos,
            dont_fragment=dont_fragment,
        )
        if state is not None:
            sealed = namespace.xfrm.encrypt(packet, state)
            if isinstance(sealed, DropReason):
                return sealed
            packet = sealed
        if namespace.cpu is not None:
            namespace.cpu.busy_until_ns += namespace.cost_ip_output_ns
        namespace.output.send(path, packet, packet_id, altered)
        return None

    def tunnel_flow(
        self,
        source_port: int,
        destination: bytes,
        destination_port: int,
        header: bytes,
        *,
        tos: int = 0,
        ttl: int | None = None,
        dont_fragment: bool = False,
        checksum: bool = True,
    ) -> TunnelSendFlow | None:
        """Make a fast way for many frames of one flow; see `TunnelTransport.tunnel_flow`."""
        path = self._namespace.output.path(destination)
        if isinstance(path, int) or not path.cacheable or path.next_hop is None:
            return None
        neighbour = path.interface.neighbours.get(path.next_hop)
        if neighbour is None or neighbour.state not in SENDABLE_STATES or neighbour.mac is None:
            return None
        encrypted = self._namespace.xfrm.device_for(path, destination, destination_port, header)
        if isinstance(encrypted, DropReason):
            return None
        flow = TunnelSendFlow(self._namespace, path, destination, header, checksum)
        flow.describe(neighbour.mac, source_port, destination_port, ttl, tos, dont_fragment)
        if encrypted is not None:
            flow.device, flow.inner_max = encrypted, encrypted.inner_max
        return flow


class TunnelSendFlow:
    """A resolved way for one tunnel flow, valid while `generation` is the namespace's (see `SendFlow`).

    inner_max: the longest inner frame that leaves in one piece.
    """

    __slots__ = (
        "_addresses",
        "_checksum",
        "_counter",
        "_destination",
        "_generation",
        "_header",
        "_kernel",
        "_namespace",
        "_options",
        "_source",
        "_templates",
        "cost_ns",
        "cpu",
        "device",
        "inner_max",
    )

    def __init__(self, namespace: Namespace, path: Path, destination: bytes, header: bytes, checksum: bool) -> None:
        self._namespace = namespace
        self._kernel = namespace.kernel
        self._generation = namespace.generation
        self._source = path.source
        self._destination = destination
        self._header = header
        self._checksum = checksum
        self._counter = namespace.idents.counter(path.source, destination, PROTOCOL_UDP)
        self._templates: dict[int, VxlanFlowTemplate] = {}
        self.device: NetDevice | EncryptedDevice = path.interface.device
        self.cpu: HostCpu | None = namespace.cpu
        self.cost_ns = namespace.cost_ip_output_ns
        self.inner_max = path.mtu - OUTER_HEADERS

    def describe(
        self, mac: bytes, source_port: int, destination_port: int, ttl: int | None, tos: int, dont_fragment: bool
    ) -> None:
        """Set what else the outer headers say."""
        self._addresses = (mac, self.device.mac, self._source, self._destination, source_port, destination_port)
        self._options = (self._namespace.default_ttl if ttl is None else ttl, tos, dont_fragment)

    def send(self, frame: Frame) -> bool:
        """Encapsulate and send an inner frame; False, with nothing done, when the way must be looked up again."""
        altered = frame.altered
        if self._generation != self._namespace.generation or (altered and altered is not True):
            return False
        data = frame.data
        size = len(data)
        template = self._templates.get(size)
        if template is None:
            template = self._template(size)
        outer = template.stamp(self._counter.next(self._kernel.now), data, self._checksum)
        cpu = self.cpu
        if cpu is not None:
            cpu.busy_until_ns += self.cost_ns
        self.device.transmit(Frame(outer, frame.packet_id, altered))
        return True

    def _template(self, inner_length: int) -> VxlanFlowTemplate:
        templates = self._templates
        if len(templates) >= TEMPLATES_MAX:
            templates.clear()
        ttl, tos, dont_fragment = self._options
        template = templates[inner_length] = VxlanFlowTemplate(
            *self._addresses, inner_length, self._header, ttl=ttl, tos=tos, dont_fragment=dont_fragment
        )
        return template


class TunnelReceiveFlow:
    """What the receive path remembers of a tunnel flow (see `ReceiveFlow`, in whose place it stands).

    head: the first 16 bytes of its frames. fixed: fragment field, TTL and protocol as one number.
    """

    __slots__ = ("_namespace", "_pseudo_sum", "_receive", "_source", "_tos", "_verify", "fixed", "head", "interface")

    def __init__(self, interface: Interface, frame: Frame, receiver: TunnelReceiver) -> None:
        data = frame.data
        self.head = data[:16]
        self.fixed = int.from_bytes(data[20:24], "big")
        self.interface = interface
        self._namespace = interface.namespace
        self._verify = interface.namespace.verify_checksums
        self._pseudo_sum = checksum_sum(data[26:34]) + PROTOCOL_UDP
        self._receive = receiver.receive_encapsulated
        self._source = data[26:30]
        self._tos = data[15]

    def receive(self, frame: Frame, data: bytes) -> bool:
        """Hand a datagram of the flow to its device; False, with nothing done, when it must be looked at in full."""
        if len(data) < 42:
            return False
        total, fixed, udp_length = flow_fields(data, 16)
        if fixed != self.fixed or udp_length + 20 != total or total + 14 > len(data):
            return False
        payload = data[42 : total + 14]
        interface = self.interface
        if self._verify and not frame_is_intact(data, self._pseudo_sum):
            self._namespace.udp.drop_bad_checksum(interface, frame)
            return True
        cpu = interface.cpu
        if cpu is not None:
            cpu.busy_until_ns += self._namespace.cost_ip_input_ns
        reason = self._receive(frame, payload, self._source, self._tos)
        if reason is not None:
            interface.device.drop(frame, reason)
        return True


def frame_is_intact(data: bytes, pseudo_sum: int) -> bool:
    """Tell whether both checksums of a UDP frame without IP options hold; lengths must have been checked.

    pseudo_sum: of the addresses and the protocol.
    """
    if _from_bytes(data[14:34], "big") % 65535:
        return False
    if data[40:42] == b"\0\0":
        return True
    end = 14 + (data[16] << 8 | data[17])
    return not (checksum_sum(data[34:end]) + pseudo_sum + end - 34) % 65535
