"""The raw socket: IPv4 packets of one protocol, for programs that make their own headers (traceroute -T, Scapy)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from emu.kernel.errors import InvalidValue
from emu.stack.output import ANY, build_packet, meant_by, os_error
from emu.wire.checksum import internet_checksum

if TYPE_CHECKING:
    from emu.stack.icmp import IcmpError
    from emu.stack.interface import Interface
    from emu.stack.namespace import Namespace
    from emu.wire.frame import Frame

OnPacket = Callable[[bytes], None]
OnError = Callable[["IcmpError"], None]
LENGTH_MAX = 65535


class RawSocket:
    """A raw socket (as `socket(AF_INET, SOCK_RAW, protocol)` with IP_RECVERR).

    protocol: IP protocol number. on_packet: called with each packet of the protocol that is for this namespace, header
    first, at the moment of its arrival; the protocol's own handler gets it as well, as in Linux (so the kernel still
    resets connections it does not know). on_error: called with ICMP errors that quote a packet of the protocol.
    While no raw socket of a protocol is open, its packets take exactly the way they took before.
    Limits: packets of connections that the stack's receive path has cached already are not shown.
    Source: raw(7).
    """

    __slots__ = ("_hook", "_is_open", "_namespace", "_protocol", "on_error", "on_packet")

    def __init__(self, namespace: Namespace, protocol: int) -> None:
        if type(protocol) is not int or not 0 <= protocol <= 255:
            raise InvalidValue(f"IP protocol {protocol!r}: expected 0 to 255")
        self._namespace = namespace
        self._protocol = protocol
        self._is_open = True
        self.on_packet: OnPacket | None = None
        self.on_error: OnError | None = None
        self._hook = _Hook.of(namespace, protocol)
        self._hook.sockets.append(self)

    def send(
        self, destination: bytes, payload: bytes, *, ttl: int | None = None, tos: int = 0, dont_fragment: bool = False
    ) -> int:
        """Send a payload behind an IPv4 header made here; return the packet id. Raises OSError as `send_packet`."""
        namespace = self._namespace
        remote = meant_by(destination, None)
        path = namespace.output.path(remote)
        if isinstance(path, int):
            raise os_error(path)
        packet = build_packet(
            path.source,
            remote,
            self._protocol,
            payload,
            identification=namespace.idents.next(namespace.kernel.now, path.source, remote, self._protocol),
            ttl=namespace.default_ttl if ttl is None else ttl,
            tos=tos,
            dont_fragment=dont_fragment,
        )
        return self.send_packet(packet)

    def send_packet(self, packet: bytes) -> int:
        """Send a packet with its header as it is (IP_HDRINCL), by the routing table; return the packet id.

        Raises OSError: ENETUNREACH, EHOSTUNREACH or EACCES as the route says, EMSGSIZE when it is longer than the way
        out takes, EINVAL for what is not an IPv4 packet, ENOBUFS when the device refused it.
        """
        if not self._is_open:
            raise os_error(errno.EBADF)
        return send_raw_packet(self._namespace, packet)

    def close(self) -> None:
        """Stop receiving."""
        if self._is_open:
            self._is_open = False
            self._hook.sockets.remove(self)
            if not self._hook.sockets:
                self._hook.remove()


class _Hook:
    """What stands before a protocol's own handlers while raw sockets of the protocol are open."""

    __slots__ = ("_errors_below", "_namespace", "_packets_below", "_protocol", "sockets")

    def __init__(self, namespace: Namespace, protocol: int) -> None:
        self._namespace = namespace
        self._protocol = protocol
        self.sockets: list[RawSocket] = []
        handlers, error_handlers = namespace.ipv4.handlers, namespace.icmp.error_handlers
        self._packets_below = handlers.get(protocol)
        self._errors_below = error_handlers.get(protocol)
        handlers[protocol] = self.receive
        error_handlers[protocol] = self.receive_error

    @classmethod
    def of(cls, namespace: Namespace, protocol: int) -> _Hook:
        """Return the hook of a protocol, a new one if there is none."""
        found = getattr(namespace.ipv4.handlers.get(protocol), "__self__", None)
        return found if isinstance(found, cls) else cls(namespace, protocol)

    def remove(self) -> None:
        """Let packets take the way they took before."""
        handlers, error_handlers = self._namespace.ipv4.handlers, self._namespace.icmp.error_handlers
        del handlers[self._protocol], error_handlers[self._protocol]
        if self._packets_below is not None:
            handlers[self._protocol] = self._packets_below
        if self._errors_below is not None:
            error_handlers[self._protocol] = self._errors_below

    def receive(self, interface: Interface, frame: Frame, is_broadcast: bool) -> None:
        packet = frame.data[14:]
        for socket in list(self.sockets):
            if socket.on_packet is not None:
                socket.on_packet(packet)
        if self._packets_below is not None:
            self._packets_below(interface, frame, is_broadcast)

    def receive_error(self, error: IcmpError) -> None:
        for socket in list(self.sockets):
            if socket.on_error is not None:
                socket.on_error(error)
        if self._errors_below is not None:
            self._errors_below(error)


def send_raw_packet(namespace: Namespace, packet: bytes) -> int:
    """Send an IPv4 packet by the routing table; see `RawSocket.send_packet`.

    As Linux does for IP_HDRINCL: total length and header checksum are always filled in, the source address when it is
    0.0.0.0, the identification when it is 0.
    """
    header_length = (packet[0] & 15) * 4 if packet else 0
    if packet[:1] < b"\x45" or packet[0] >> 4 != 4 or not header_length <= len(packet) <= LENGTH_MAX:
        raise os_error(errno.EINVAL)
    destination = packet[16:20]
    path = namespace.output.path(destination)
    if isinstance(path, int):
        raise os_error(path)
    if len(packet) > path.interface.device.mtu:
        raise os_error(errno.EMSGSIZE)
    source = path.source if packet[12:16] == ANY else packet[12:16]
    ident = packet[4:6]
    if ident == b"\0\0":
        ident = namespace.idents.next(namespace.kernel.now, source, destination, packet[9]).to_bytes(2, "big")
    length = len(packet).to_bytes(2, "big")
    header = packet[:2] + length + ident + packet[6:10] + b"\0\0" + source + packet[16:header_length]
    header = header[:10] + internet_checksum(header).to_bytes(2, "big") + header[12:]
    packet_id: int = namespace.kernel.next_packet_id()
    if not namespace.start_output(path, header + packet[header_length:], packet_id, namespace.cost_socket_send_ns):
        raise os_error(errno.ENOBUFS)
    return packet_id
