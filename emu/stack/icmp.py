"""ICMP: answering echo requests, sending errors as Linux words them, and passing errors on to sockets (RFC 792)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emu.stack.icmp_limit import IcmpLimiter
from emu.stack.output import Path, build_packet
from emu.wire.checksum import checksum_sum, internet_checksum
from emu.wire.drop import DropReason

if TYPE_CHECKING:
    from emu.stack.interface import Interface
    from emu.stack.namespace import Namespace
    from emu.stack.ping_socket import PingSocket
    from emu.wire.frame import Frame

ECHO_REPLY = 0
DESTINATION_UNREACHABLE = 3
SOURCE_QUENCH = 4
REDIRECT = 5
ECHO_REQUEST = 8
TIME_EXCEEDED = 11
PARAMETER_PROBLEM = 12
FRAGMENTATION_NEEDED = 4
PROTOCOL_ICMP = 1
ERROR_TYPES = (DESTINATION_UNREACHABLE, SOURCE_QUENCH, REDIRECT, TIME_EXCEEDED, PARAMETER_PROBLEM)
_INFORMATIONAL_TYPES = (ECHO_REPLY, ECHO_REQUEST, 9, 10, 13, 14, 15, 16, 17, 18)
QUOTE_PACKET_MAX = 576
"""An ICMP error is at most this long, so it quotes at most 548 bytes (RFC 1812, section 4.3.2.3; FACT 35)."""
ERROR_TOS = 0xC0


class IcmpError:
    """An ICMP error that arrived: what it says, about which packet, and who says it.

    information: the next-hop MTU for "fragmentation needed". quoted: the packet it is about, as far as quoted.
    reporter: address of who sent the error (4 bytes).
    """

    __slots__ = ("code", "frame", "icmp_type", "information", "quoted", "reporter")

    def __init__(
        self, icmp_type: int, code: int, information: int, quoted: bytes, reporter: bytes, frame: Frame
    ) -> None:
        self.icmp_type = icmp_type
        self.code = code
        self.information = information
        self.quoted = quoted
        self.reporter = reporter
        self.frame = frame


class Icmp:
    """The ICMP of one namespace.

    error_handlers: IP protocol number -> who is told about errors that quote a packet of that protocol.
    ping_sockets: echo identifier -> socket.
    Limits: timestamp, address mask and router messages are ignored; redirects are not followed.
    """

    __slots__ = ("_namespace", "error_handlers", "limiter", "ping_sockets")

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self.limiter = IcmpLimiter()
        self.error_handlers: dict[int, Callable[[IcmpError], None]] = {PROTOCOL_ICMP: self._error_about_icmp}
        self.ping_sockets: dict[int, PingSocket] = {}

    # -- input --------------------------------------------------------------------------------------------------------

    def receive(self, interface: Interface, frame: Frame, is_broadcast: bool) -> None:
        """Take in a whole ICMP message."""
        data = frame.data
        start = 14 + (data[14] & 15) * 4
        if len(data) < start + 8:
            interface.device.drop(frame, DropReason.MALFORMED)
            return
        namespace = self._namespace
        if (frame.altered or namespace.verify_checksums) and checksum_sum(data[start:]) != 65535:
            interface.device.drop(frame, DropReason.ICMP_CHECKSUM)
            return
        cpu = interface.cpu
        if cpu is not None:
            cpu.busy_until_ns += namespace.cost_ip_input_ns
        icmp_type = data[start]
        if icmp_type == ECHO_REQUEST:
            self._answer_echo(frame, start, is_broadcast)
        elif icmp_type == ECHO_REPLY:
            socket = self.ping_sockets.get(data[start + 4] << 8 | data[start + 5])
            if socket is not None:
                socket.reply_arrived(frame, start)
        elif icmp_type in ERROR_TYPES and icmp_type != REDIRECT:
            self._receive_error(interface, frame, start)

    def _answer_echo(self, frame: Frame, start: int, is_broadcast: bool) -> None:
        """Send the echo back: TOS and data copied, DF clear, an identification of its own (FACT 32)."""
        namespace = self._namespace
        sysctl = namespace.sysctl
        if sysctl["net.ipv4.icmp_echo_ignore_all"]:
            return
        if is_broadcast and sysctl["net.ipv4.icmp_echo_ignore_broadcasts"]:
            return
        data = frame.data
        asked = data[30:34]
        own = asked if namespace.is_local_address(asked) else None
        path = namespace.output.path(data[26:30], own)
        if isinstance(path, int):
            return
        message = b"\0" + data[start + 1 : start + 2] + b"\0\0" + data[start + 4 :]
        self._send(path, data[26:30], message, data[15], frame.packet_id)

    def _receive_error(self, interface: Interface, frame: Frame, start: int) -> None:
        data = frame.data
        quoted = data[start + 8 :]
        if len(quoted) < 20 or quoted[0] >> 4 != 4 or len(quoted) < (quoted[0] & 15) * 4 + 8:
            interface.device.drop(frame, DropReason.MALFORMED)
            return
        handler = self.error_handlers.get(quoted[9])
        if handler is not None:
            information = data[start + 6] << 8 | data[start + 7]
            handler(IcmpError(data[start], data[start + 1], information, quoted, data[26:30], frame))

    def _error_about_icmp(self, error: IcmpError) -> None:
        if error.icmp_type == DESTINATION_UNREACHABLE and error.code == FRAGMENTATION_NEEDED:
            self._namespace.learn_pmtu(error.quoted[16:20], error.information)
        start = (error.quoted[0] & 15) * 4
        if error.quoted[start] == ECHO_REQUEST:
            socket = self.ping_sockets.get(error.quoted[start + 4] << 8 | error.quoted[start + 5])
            if socket is not None:
                socket.error_arrived(error, start)

    # -- output -------------------------------------------------------------------------------------------------------

    def send_error(
        self,
        packet: bytes,
        packet_id: int,
        icmp_type: int,
        code: int,
        *,
        information: int = 0,
        interface: Interface | None = None,
    ) -> bool:
        """Tell the sender of a packet that it could not be dealt with; return whether an error was sent.

        packet: the offending IPv4 packet, header first. information: the MTU for type 3 code 4.
        interface: where the packet came in; None for a packet that was made here.
        Nothing is sent about ICMP errors, later fragments, broadcasts, multicasts or impossible sources (RFC 1122,
        section 3.2.2), nor beyond the rate limits (FACT 36).
        """
        namespace = self._namespace
        source = packet[12:16]
        if not self._may_be_answered(packet, source):
            return False
        destination = packet[16:20]
        own = destination if namespace.is_local_address(destination) else None
        path = namespace.output.path(source, own)
        if isinstance(path, int):
            return False
        if not self.limiter.allows(namespace.kernel.now, source, icmp_type, code, loopback=path.is_local):
            return False
        room = min(path.mtu, QUOTE_PACKET_MAX) - 28
        message = bytes((icmp_type, code, 0, 0)) + information.to_bytes(4, "big") + packet[:room]
        self._send(path, source, message, packet[1] & 0x1E | ERROR_TOS, packet_id)
        return True

    def _may_be_answered(self, packet: bytes, source: bytes) -> bool:
        if packet[6] & 0x1F or packet[7]:
            return False
        destination = packet[16:20]
        if destination[0] >= 224 or self._namespace.broadcast_interface(destination) is not None:
            return False
        if source[0] == 0 or source[0] >= 224 or self._namespace.broadcast_interface(source) is not None:
            return False
        if packet[9] == PROTOCOL_ICMP:
            start = (packet[0] & 15) * 4
            return len(packet) > start and packet[start] in _INFORMATIONAL_TYPES
        return True

    def _send(self, path: Path, destination: bytes, message: bytes, tos: int, cause: int) -> None:
        """Send a message with the checksum filled in; it begins a traversal of its own."""
        namespace = self._namespace
        kernel = namespace.kernel
        message = message[:2] + internet_checksum(message).to_bytes(2, "big") + message[4:]
        packet = build_packet(
            path.source,
            destination,
            PROTOCOL_ICMP,
            message,
            identification=namespace.idents.next(kernel.now, path.source, destination, PROTOCOL_ICMP),
            ttl=namespace.default_ttl,
            tos=tos,
        )
        packet_id = kernel.next_packet_id()
        kernel.journal.caused(packet_id, cause)
        namespace.start_output(path, packet, packet_id, namespace.cost_ip_output_ns)
