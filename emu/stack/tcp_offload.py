"""The way out for connections that leave checksums and cutting long segments to the hardware (`emu.wire.offload`).

Every segment of a socket has only the sum of the pseudo header in its checksum field; what Linux sends without a socket
(resets of closed ports, answers from TIME-WAIT) has a real checksum, as recorded (a3, with offload).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.stack.tcp.offload import WHOLE, OffloadingSender
from emu.stack.tcp.segment import ECN_CAPABLE
from emu.stack.tcp_output import ECN_MASK, ECT_0, TcpOutput
from emu.wire.address import ZERO_MAC
from emu.wire.frame import Frame
from emu.wire.offload import CHECKSUM_ONLY, ETHERNET_LENGTH, Offload
from emu.wire.tcp_flow import TcpFlowTemplate
from emu.wire.tcp_options import segment_options

if TYPE_CHECKING:
    from emu.stack.tcp_link import TcpLink


class OffloadingTcpOutput(TcpOutput):
    """The way out of one connection; see `TcpOutput`."""

    __slots__ = ("_offload",)

    def __init__(self, link: TcpLink, ident: int) -> None:
        super().__init__(link, ident)
        self._offload = CHECKSUM_ONLY

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
        """Send a segment, a long one in one piece (see `emu.stack.tcp.segment.Emit`)."""
        namespace = self._namespace
        if self.has_no_socket:
            super().send(sequence, acknowledgment, flags, window, timestamp, echo, options, payload, kind)
            return
        if not options and timestamp >= 0:
            options = segment_options((timestamp, echo))
        offload = self._offload_for(len(payload))
        fields = (sequence, acknowledgment, flags, window, options, payload)
        longest = (offload.segment_size or len(payload)) + 40 + len(options)
        if (self._generation != namespace.generation and not self._resolve()) or longest > self._mtu:
            self._send_unresolved(fields, longest, offload, kind)
            return
        self._confirm(self._neighbour)
        template = self._with_ecn if kind == ECN_CAPABLE else self._plain
        data = template.stamp_unfinished(self._take_idents(flags, acknowledgment, len(payload), offload), *fields)
        self._hand_over(Frame(data, self._new_packet(kind), offload))

    def _hand_over(self, frame: Frame) -> None:
        """Give a frame to the device, when the CPU gets to it."""
        cpu = self._namespace.cpu
        if cpu is not None:
            self._small_queue.cpu_entered()
            cpu.queue(self._transmit_charged, (frame, self._link.connection.sender.leaving))
            return
        self._device.transmit(frame)
        if self._line is not None and self._line.per_byte:
            self._small_queue.line_entered(self._line)

    def _offload_for(self, size: int) -> Offload:
        """Return what is left to do to a segment with so much data; the same object as long as the MSS is the same."""
        sender = self._link.connection.sender
        segment_size = sender.segment_size if isinstance(sender, OffloadingSender) else WHOLE
        if size <= segment_size:
            return CHECKSUM_ONLY
        if self._offload.segment_size != segment_size:
            self._offload = Offload(segment_size)
        return self._offload

    def _take_idents(self, flags: int, acknowledgment: int, size: int, offload: Offload) -> int:
        """Return the IP identification of a segment; a long one takes one for each of its pieces."""
        ident = self._next_ident(flags, acknowledgment)
        if offload.segment_size:
            self._ident = self._ident + -(-size // offload.segment_size) - 1 & 0xFFFF
        return ident

    def _send_unresolved(
        self, fields: tuple[int, int, int, int, bytes, bytes], longest: int, offload: Offload, kind: int
    ) -> None:
        """Send a segment on whatever way there is now; without one, or when its pieces are too long, it is lost."""
        link, namespace = self._link, self._namespace
        path = namespace.output.path(link.remote, link.local)
        if isinstance(path, int):
            link.connection.soft_error = path
            return
        if path.mtu != link.connection.mtu:
            self._kernel.soon(link.mtu_has_changed, path.mtu)
        if longest > path.mtu and not path.locked:
            return  # as in `TcpOutput`
        if path.next_hop is not None:
            self._confirm(path.interface.neighbours.get(path.next_hop))
        template = TcpFlowTemplate(
            ZERO_MAC,
            ZERO_MAC,
            link.local,
            link.remote,
            link.local_port,
            link.remote_port,
            ttl=namespace.default_ttl if link.ttl is None else link.ttl,
            tos=link.tos & ~ECN_MASK | (ECT_0 if kind == ECN_CAPABLE else 0),
            dont_fragment=not path.locked,
        )
        ident = self._take_idents(fields[2], fields[1], len(fields[5]), offload)
        packet = template.stamp_unfinished(ident, *fields)[ETHERNET_LENGTH:]
        self._start(path, packet, self._new_packet(kind), offload)
