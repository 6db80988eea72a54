"""From the segments of a connection to frames: the way out, its cache, and who pays for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.device.wired import WiredDevice
from emu.stack.flow import SENDABLE_STATES
from emu.stack.output import build_packet
from emu.stack.tcp.segment import ECN_CAPABLE, RESET, RETRANSMISSION
from emu.stack.tcp_small_queue import SmallQueue
from emu.wire.address import ZERO_MAC
from emu.wire.frame import Frame
from emu.wire.tcp import PROTOCOL_TCP, SYN, build_tcp
from emu.wire.tcp_flow import TcpFlowTemplate
from emu.wire.tcp_options import segment_options

if TYPE_CHECKING:
    from emu.device.cable_direction import CableDirection
    from emu.device.netdevice import NetDevice
    from emu.stack.neighbour import Neighbour
    from emu.stack.output import Path
    from emu.stack.tcp.handshake import Handshake
    from emu.stack.tcp.offload import SentPacket
    from emu.stack.tcp.sent_segment import SentSegment
    from emu.stack.tcp_link import TcpLink
    from emu.wire.offload import Offload

    Leaving = SentSegment | SentPacket | Handshake

ECT_0 = 2
ECN_MASK = 3
RETRANSMISSION_NOTE = "TCP retransmission"
RESET_NOTE = "TCP reset by this side"


class TcpOutput:
    """The way out of one connection (the `send_raw` of its machine).

    has_no_socket: Linux keeps none for a connection that is in TIME-WAIT, or in FIN-WAIT-2 without a program, and
        answers what arrives then with the IP identification 0 (recorded in g30 and f4).
    What the peer acknowledges confirms its neighbour entry, so a stream that advances needs no ARP (Linux's
    sk_dst_confirm). The way is resolved once and remembered until the namespace's `generation` changes (`SendFlow`).
    """

    __slots__ = (
        "_confirmed_by_ns",
        "_device",
        "_generation",
        "_ident",
        "_kernel",
        "_line",
        "_link",
        "_mtu",
        "_namespace",
        "_neighbour",
        "_plain",
        "_small_queue",
        "_with_ecn",
        "has_no_socket",
    )

    def __init__(self, link: TcpLink, ident: int) -> None:
        self._link = link
        self._namespace = link.namespace
        self._kernel = link.namespace.kernel
        self._ident = ident
        self._generation = -1
        self._mtu = 0
        self._device: NetDevice
        self._neighbour: Neighbour | None = None
        self._confirmed_by_ns = -1
        self._line: CableDirection | None = None
        self._small_queue = SmallQueue(link)
        self.has_no_socket = False
        self._plain: TcpFlowTemplate
        self._with_ecn: TcpFlowTemplate

    def forget(self) -> None:
        """Look at everything again with the next segment: an option of the socket has changed."""
        self._generation = -1

    def send(
        self,
        sequence: int,
        acknowledgment: int,
        flags: int,
        window: int,
        timestamp: int,
        echo: int,
        options: bytes,
        payload: bytes,
        kind: int,
    ) -> None:
        """Send a segment (see `emu.stack.tcp.segment.Emit`)."""
        namespace = self._namespace
        if self._generation != namespace.generation and not self._resolve():
            self._send_slowly(sequence, acknowledgment, flags, window, timestamp, echo, options, payload, kind)
            return
        if len(payload) + 40 + (len(options) or 12) > self._mtu:
            self._send_slowly(sequence, acknowledgment, flags, window, timestamp, echo, options, payload, kind)
            return
        progress_ns = self._link.connection.progress_ns
        if progress_ns != self._confirmed_by_ns:
            self._confirmed_by_ns = progress_ns
            if self._neighbour is not None:
                self._neighbour.confirmed_ns = self._kernel.now
        template = self._with_ecn if kind == ECN_CAPABLE else self._plain
        if self.has_no_socket or (flags & SYN and acknowledgment):
            ident = 0
        else:
            self._ident = ident = (self._ident + 1) & 0xFFFF
        if options or timestamp < 0:
            data = template.stamp_options(ident, sequence, acknowledgment, flags, window, options, payload)
        else:
            data = template.stamp(ident, sequence, acknowledgment, flags, window, timestamp, echo, payload)
        packet_id = self._kernel.next_packet_id()
        if kind in (RETRANSMISSION, RESET):
            self._note(packet_id, kind)
        frame = Frame(data, packet_id)
        cpu = namespace.cpu
        if cpu is None:
            self._device.transmit(frame)
            line = self._line
            if payload and line is not None and line.per_byte:
                self._small_queue.line_entered(line)
        else:
            self._small_queue.cpu_entered()
            cpu.queue(self._transmit_charged, (frame, self._link.connection.sender.leaving))

    def _transmit_charged(self, job: tuple[Frame, Leaving | None]) -> None:
        frame, leaving = job
        namespace = self._namespace
        cpu = namespace.cpu
        assert cpu is not None, "without a CPU frames go straight to the device"
        cpu.busy_until_ns += namespace.cost_ip_output_ns
        if leaving is not None:
            leaving.left(self._kernel.now)
        self._device.transmit(frame)
        line = self._line
        if line is not None and line.per_byte:
            self._small_queue.line_entered(line)
        self._small_queue.cpu_left()

    def _next_ident(self, flags: int, acknowledgment: int) -> int:
        """Return the IP identification: 0 in a SYN-ACK, otherwise one more than the segment before (FACT 33)."""
        if self.has_no_socket or (flags & SYN and acknowledgment):
            return 0
        self._ident = ident = (self._ident + 1) & 0xFFFF
        return ident

    def _confirm(self, neighbour: Neighbour | None) -> None:
        """Let the neighbour know that it is there, if the peer has acknowledged anything since it was told last."""
        progress_ns = self._link.connection.progress_ns
        if progress_ns != self._confirmed_by_ns:
            self._confirmed_by_ns = progress_ns
            if neighbour is not None:
                neighbour.confirmed_ns = self._kernel.now

    def _new_packet(self, kind: int) -> int:
        """Return a packet id, and note what it is if that is worth a note."""
        packet_id = self._kernel.next_packet_id()
        if kind in (RETRANSMISSION, RESET):
            self._note(packet_id, kind)
        return packet_id

    def _note(self, packet_id: int, kind: int) -> None:
        cause: int | str = RETRANSMISSION_NOTE
        if kind == RESET:
            cause = self._link.arriving_id or RESET_NOTE
        self._kernel.journal.caused(packet_id, cause)

    # -- the way ------------------------------------------------------------------------------------------------------

    def _resolve(self) -> bool:
        """Find the way and remember it; False when the next segment must look at everything again."""
        link, namespace = self._link, self._namespace
        path = namespace.output.path(link.remote, link.local)
        if isinstance(path, int) or path.mtu < link.connection.mtu:
            return False
        device = path.interface.device
        neighbour: Neighbour | None = None
        if path.is_local:
            destination_mac, source_mac = ZERO_MAC, ZERO_MAC
        else:
            if not path.cacheable or path.next_hop is None or path.interface.is_loopback:
                return False
            neighbour = path.interface.neighbours.get(path.next_hop)
            if neighbour is None or neighbour.state not in SENDABLE_STATES or neighbour.mac is None:
                return False
            destination_mac, source_mac = neighbour.mac, device.mac
        if path.mtu != link.connection.mtu:
            return False
        addresses = (destination_mac, source_mac, link.local, link.remote, link.local_port, link.remote_port)
        ttl = namespace.default_ttl if link.ttl is None else link.ttl
        tos = link.tos & ~ECN_MASK
        self._plain = TcpFlowTemplate(*addresses, ttl=ttl, tos=tos)
        self._with_ecn = TcpFlowTemplate(*addresses, ttl=ttl, tos=tos | ECT_0)
        self._mtu = path.mtu
        self._device = device
        self._neighbour = neighbour
        self._line = device.direction if isinstance(device, WiredDevice) else None
        self._generation = namespace.generation
        return True

    def _send_slowly(
        self,
        sequence: int,
        acknowledgment: int,
        flags: int,
        window: int,
        timestamp: int,
        echo: int,
        options: bytes,
        payload: bytes,
        kind: int,
    ) -> None:
        """Send a segment on whatever way there is now; without one, or when it is too long, it is lost."""
        link, namespace = self._link, self._namespace
        path = namespace.output.path(link.remote, link.local)
        if isinstance(path, int):
            link.connection.soft_error = path
            return
        if path.mtu != link.connection.mtu:
            self._kernel.soon(link.mtu_has_changed, path.mtu)
        if not options and timestamp >= 0:
            options = segment_options((timestamp, echo))
        segment = build_tcp(
            link.local, link.remote, link.local_port, link.remote_port, sequence, acknowledgment, flags, window,
            options, payload,
        )  # fmt: skip
        if len(segment) + 20 > path.mtu and not path.locked:
            return  # Linux's IP refuses it; it is cut and sent again as soon as the machine knows the MTU
        if path.next_hop is not None:
            self._confirm(path.interface.neighbours.get(path.next_hop))
        packet_id = self._new_packet(kind)
        ident = self._next_ident(flags, acknowledgment)
        packet = build_packet(
            link.local,
            link.remote,
            PROTOCOL_TCP,
            segment,
            identification=ident,
            ttl=namespace.default_ttl if link.ttl is None else link.ttl,
            tos=link.tos & ~ECN_MASK | (ECT_0 if kind == ECN_CAPABLE else 0),
            dont_fragment=not path.locked,
        )
        self._start(path, packet, packet_id)

    def _start(self, path: Path, packet: bytes, packet_id: int, altered: bool | Offload = False) -> None:
        cpu = self._namespace.cpu
        if cpu is None:
            self._namespace.output.send(path, packet, packet_id, altered)
        else:
            cpu.queue(self._send_charged, (path, packet, packet_id, altered, self._link.connection.sender.leaving))

    def _send_charged(self, job: tuple[Path, bytes, int, bool | Offload, Leaving | None]) -> None:
        path, packet, packet_id, altered, leaving = job
        namespace = self._namespace
        cpu = namespace.cpu
        assert cpu is not None, "only charged work comes here"
        cpu.busy_until_ns += namespace.cost_ip_output_ns
        if leaving is not None:
            leaving.left(self._kernel.now)
        namespace.output.send(path, packet, packet_id, altered)
