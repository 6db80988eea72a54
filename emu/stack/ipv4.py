"""IPv4 input: checking what arrives, and delivering it here or passing it on (RFC 791, RFC 1122, RFC 1812)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from emu.stack.fragment import DUPLICATE, MALFORMED, MEMORY, Incomplete, Reassembled, Reassembler, Rejected
from emu.wire.checksum import checksum_sum
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.stack.interface import Interface
    from emu.stack.namespace import Namespace

Handler = Callable[["Interface", Frame, bool], None]
"""Called with (interface, frame, is_broadcast) for a whole datagram; the frame ends where the IP packet ends."""

LIMITED_BROADCAST = b"\xff\xff\xff\xff"
ALL_HOSTS = b"\xe0\x00\x00\x01"
_ANY = b"\0\0\0\0"
REJECTIONS: dict[Rejected, DropReason] = {
    DUPLICATE: DropReason.REASSEMBLY_OVERLAP,
    MEMORY: DropReason.REASSEMBLY_MEMORY,
    MALFORMED: DropReason.MALFORMED,
}


class Ipv4Input:
    """The receiving half of a namespace's IPv4.

    handlers: IP protocol number -> who takes whole datagrams of it.
    """

    __slots__ = ("_namespace", "_reassembly_timer", "handlers", "reassembler")

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self.handlers: dict[int, Handler] = {}
        self.reassembler = Reassembler()
        self._reassembly_timer = namespace.kernel.timer(self._expire_fragments)

    def receive(self, interface: Interface, frame: Frame) -> None:
        """Take in an Ethernet frame with an IPv4 packet in it."""
        data = frame.data
        namespace = self._namespace
        size = len(data) - 14
        if size < 20 or data[14] >> 4 != 4:
            interface.device.drop(frame, DropReason.MALFORMED)
            return
        header_length = (data[14] & 15) * 4
        total = data[16] << 8 | data[17]
        if header_length < 20 or not header_length <= total <= size:
            interface.device.drop(frame, DropReason.MALFORMED)
            return
        if (frame.altered or namespace.verify_checksums) and checksum_sum(data[14 : 14 + header_length]) != 65535:
            interface.device.drop(frame, DropReason.IP_CHECKSUM)
            return
        if total < size:
            frame = Frame(data[: 14 + total], frame.packet_id, frame.altered)
        destination = data[30:34]
        if not self._source_is_plausible(interface, data[26:30], destination):
            interface.device.drop(frame, DropReason.MARTIAN_SOURCE)
        elif namespace.is_local_address(destination):
            if destination[0] == 127 and not interface.is_loopback:
                interface.device.drop(frame, DropReason.MARTIAN_SOURCE)
            else:
                self.deliver(interface, frame, is_broadcast=bool(data[0] & 1))
        elif destination == LIMITED_BROADCAST or namespace.broadcast_interface(destination) is not None:
            self.deliver(interface, frame, is_broadcast=True)
        elif destination[0] & 0xF0 == 0xE0:
            if destination == ALL_HOSTS:
                self.deliver(interface, frame, is_broadcast=True)
            else:
                interface.device.drop(frame, DropReason.GROUP_NOT_JOINED)
        elif namespace.ip_forward and not data[0] & 1:
            namespace.forwarding.forward(interface, frame)
        else:
            interface.device.drop(frame, DropReason.NOT_LOCAL)

    def _source_is_plausible(self, interface: Interface, source: bytes, destination: bytes) -> bool:
        """Refuse source addresses that cannot be true ("martians"): groups, loopback and our own from outside."""
        first = source[0]
        if first >= 224:
            return False
        if first == 0:
            return source == _ANY and (destination == LIMITED_BROADCAST or destination[0] & 0xF0 == 0xE0)
        if interface.is_loopback:
            return True
        return first != 127 and source not in self._namespace.local_addresses

    def deliver(self, interface: Interface, frame: Frame, is_broadcast: bool) -> None:
        """Hand a packet for this host to its protocol, after reassembly when it is a fragment."""
        data = frame.data
        if data[20] & 0x3F or data[21]:  # more fragments to come, or not the first
            whole = self._reassemble(interface, frame)
            if whole is None:
                return
            frame = whole
            data = frame.data
        chain = self._namespace.input_chain
        if not chain.is_open and not chain.accepts(interface.device.name, data[14:]):
            interface.device.drop(frame, DropReason.FIREWALL)
            return
        handler = self.handlers.get(data[23])
        if handler is not None:
            handler(interface, frame, is_broadcast)
            return
        interface.device.drop(frame, DropReason.UNKNOWN_PROTOCOL)
        if not is_broadcast:
            self._namespace.icmp.send_error(data[14:], frame.packet_id, 3, 2, interface=interface)

    # -- fragments ----------------------------------------------------------------------------------------------------

    def _reassemble(self, interface: Interface, frame: Frame) -> Frame | None:
        """Take in a fragment; return the whole datagram as a frame when this was the last one missing."""
        now_ns = self._namespace.kernel.now
        outcome = self.reassembler.add(
            now_ns, frame.data[14:], frame.packet_id, (interface, frame.data[:14]), frame.altered is True
        )
        self._arm_reassembly_timer()
        if outcome is None:
            return None
        if isinstance(outcome, Reassembled):
            return Frame(frame.data[:14] + outcome.packet, outcome.packet_id, outcome.altered)
        interface.device.drop(frame, REJECTIONS.get(outcome, DropReason.REASSEMBLY_OVERLAP))
        return None

    def _arm_reassembly_timer(self) -> None:
        expiry_ns = self.reassembler.next_expiry_ns()
        if expiry_ns is None:
            self._reassembly_timer.stop()
        elif not self._reassembly_timer.pending or self._reassembly_timer.expires_ns != expiry_ns:
            self._reassembly_timer.start_at(expiry_ns)

    def _expire_fragments(self, _: object) -> None:
        """Give up incomplete datagrams; tell the sender only if the first fragment is there (RFC 792)."""
        for queue in self.reassembler.expire(self._namespace.kernel.now):
            self._give_up(queue)
        self._arm_reassembly_timer()

    def _give_up(self, queue: Incomplete) -> None:
        context: Any = queue.context
        interface: Interface = context[0]
        ethernet: bytes = context[1]
        first = queue.first_packet
        packet = first
        if packet is None:
            packet = next(iter(queue.pieces.values()))
            frame = Frame(ethernet + _stand_in_header(queue, packet) + packet, queue.packet_id)
        else:
            frame = Frame(ethernet + packet, queue.first_packet_id)
        interface.device.drop(frame, DropReason.REASSEMBLY_TIMEOUT)
        if first is not None and not ethernet[0] & 1:
            self._namespace.icmp.send_error(first, queue.first_packet_id, 11, 1, interface=interface)


def _stand_in_header(queue: Incomplete, piece: bytes) -> bytes:
    """Return an IPv4 header for reporting a piece whose own header was not kept."""
    offset = next(iter(queue.pieces))
    key = queue.key
    length = (20 + len(piece)).to_bytes(2, "big")
    header = b"\x45\0" + length + key[9:11] + (offset // 8).to_bytes(2, "big") + b"\x40" + key[8:9]
    header += b"\0\0" + key[:8]
    return header[:10] + (65535 - checksum_sum(header) % 65535).to_bytes(2, "big") + header[12:]
