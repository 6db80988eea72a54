"""UDP of one namespace: ports, finding the socket for a datagram, and the receive path's cache (RFC 768)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from emu.stack.icmp import DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED, PARAMETER_PROBLEM, TIME_EXCEEDED, IcmpError
from emu.stack.interface import RECEIVE_FLOWS_MAX
from emu.stack.output import os_error
from emu.stack.udp_tunnel import TunnelReceiveFlow, flow_fields, frame_is_intact
from emu.wire.address import ipv4_to_text
from emu.wire.checksum import checksum_sum
from emu.wire.drop import DropReason
from emu.wire.offload import must_verify

if TYPE_CHECKING:
    from emu.stack.interface import Interface
    from emu.stack.namespace import Namespace
    from emu.stack.udp_socket import UdpSocket
    from emu.wire.frame import Frame

PROTOCOL_UDP = 17
ANY = b"\0\0\0\0"
UNREACHABLE_ERRORS: dict[int, tuple[int, bool]] = {
    0: (errno.ENETUNREACH, False),
    1: (errno.EHOSTUNREACH, False),
    2: (errno.ENOPROTOOPT, True),
    3: (errno.ECONNREFUSED, True),
    4: (errno.EMSGSIZE, True),
    5: (errno.EOPNOTSUPP, False),
    6: (errno.ENETUNREACH, True),
    7: (errno.EHOSTDOWN, True),
    8: (errno.ENONET, True),
    9: (errno.ENETUNREACH, True),
    10: (errno.EHOSTUNREACH, True),
    11: (errno.ENETUNREACH, False),
    12: (errno.EHOSTUNREACH, False),
    13: (errno.EHOSTUNREACH, True),
    14: (errno.EHOSTUNREACH, True),
    15: (errno.EHOSTUNREACH, True),
}
"""Code of a "destination unreachable" -> (errno, whether a connected socket is told without asking for it)."""


def error_of(error: IcmpError) -> tuple[int, bool] | None:
    """Return the errno that Linux makes of an ICMP error, and whether it is a hard one; None: not for sockets."""
    if error.icmp_type == DESTINATION_UNREACHABLE:
        return UNREACHABLE_ERRORS.get(error.code, (errno.EHOSTUNREACH, False))
    if error.icmp_type == TIME_EXCEEDED:
        return errno.EHOSTUNREACH, False
    if error.icmp_type == PARAMETER_PROBLEM:
        return errno.EPROTO, True
    return None


class ReceiveFlow:
    """What the receive path remembers of a flow: how its frames begin, and who takes them.

    head: the first 16 bytes of its frames. fixed: fragment field, TTL and protocol as one number.
    """

    __slots__ = ("_cpu", "_namespace", "_pseudo_sum", "_socket", "_source", "_verify", "fixed", "head", "interface")

    def __init__(self, interface: Interface, frame: Frame, socket: UdpSocket, source: tuple[str, int]) -> None:
        data = frame.data
        self.head = data[:16]
        self.fixed = int.from_bytes(data[20:24], "big")
        self.interface = interface
        self._namespace = interface.namespace
        self._cpu = interface.cpu
        self._verify = interface.namespace.verify_checksums
        self._pseudo_sum = checksum_sum(data[26:34]) + PROTOCOL_UDP
        self._socket = socket
        self._source = source

    def receive(self, frame: Frame, data: bytes) -> bool:
        """Hand a datagram of the flow to its socket; False, with nothing done, when it must be looked at in full."""
        if len(data) < 42:
            return False
        total, fixed, udp_length = flow_fields(data, 16)
        if fixed != self.fixed or udp_length + 20 != total or total + 14 > len(data):
            return False
        payload = data[42 : total + 14]
        if self._verify and not frame_is_intact(data, self._pseudo_sum):
            self._namespace.udp.drop_bad_checksum(self.interface, frame)
            return True
        socket = self._socket
        cpu = self._cpu
        if cpu is None:
            handler = socket.on_datagram
            if handler is not None:
                socket.datagrams_received += 1
                handler(payload, self._source, frame)
            else:
                socket.enqueue(payload, self._source, frame, self.interface.device)
        else:
            cpu.busy_until_ns += self._namespace.cost_udp_input_ns + cpu.costs.copy_ns(len(payload))
            socket.enqueue(payload, self._source, frame, self.interface.device)
        return True


class Udp:
    """The UDP of one namespace."""

    __slots__ = ("_namespace", "_random", "_sockets", "_tunnels")

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._tunnels = namespace.tunnels.receivers
        self._sockets: dict[int, list[UdpSocket]] = {}
        self._random: Random = namespace.kernel.random(f"UDP ports of {namespace.name}")

    # -- ports --------------------------------------------------------------------------------------------------------

    def bind(self, socket: UdpSocket, address: bytes, port: int) -> int:
        """Give a socket its port (0: any free one) and return it; raises OSError EADDRINUSE."""
        if not port:
            port = self._free_port(address)
        elif self._is_taken(address, port):
            raise os_error(errno.EADDRINUSE)
        self._sockets.setdefault(port, []).append(socket)
        self._namespace.flush_receive_flows()
        return port

    def unbind(self, socket: UdpSocket, port: int) -> None:
        """Take a socket's port away."""
        sockets = self._sockets[port]
        sockets.remove(socket)
        if not sockets:
            del self._sockets[port]
        self._namespace.flush_receive_flows()

    def has_socket(self, port: int) -> bool:
        """Tell whether any socket has the port."""
        return port in self._sockets

    def _is_taken(self, address: bytes, port: int) -> bool:
        return port in self._tunnels or any(
            ANY in (address, other.bound_address) or other.bound_address == address
            for other in self._sockets.get(port, ())
        )

    def _free_port(self, address: bytes) -> int:
        """Choose an ephemeral port: a random start, then upwards until one is free."""
        low = self._namespace.sysctl["net.ipv4.ip_local_port_range_min"]
        count = self._namespace.sysctl["net.ipv4.ip_local_port_range_max"] - low + 1
        if count > 0:
            start = self._random.randrange(count)
            for step in range(count):
                port = low + (start + step) % count
                if not self._is_taken(address, port):
                    return port
        raise os_error(errno.EADDRINUSE)

    def sockets(self) -> Iterator[tuple[int, UdpSocket]]:
        """Iterate over (port, socket) in the order of ports."""
        for port in sorted(self._sockets):
            for socket in self._sockets[port]:
                yield port, socket

    def find(self, local: bytes, local_port: int, remote: bytes, remote_port: int) -> UdpSocket | None:
        """Return the socket that fits best: connected before bound to an address before bound to any."""
        best, best_score = None, -1
        for socket in self._sockets.get(local_port, ()):
            score = socket.match(local, remote, remote_port)
            if score > best_score:
                best, best_score = socket, score
        return best

    # -- input --------------------------------------------------------------------------------------------------------

    def receive(self, interface: Interface, frame: Frame, is_broadcast: bool) -> None:
        """Take in a whole UDP datagram."""
        data = frame.data
        start = 14 + (data[14] & 15) * 4
        if len(data) < start + 8:
            interface.device.drop(frame, DropReason.MALFORMED)
            return
        udp_length = data[start + 4] << 8 | data[start + 5]
        if not 8 <= udp_length <= len(data) - start:
            interface.device.drop(frame, DropReason.MALFORMED)
            return
        namespace = self._namespace
        if must_verify(frame.altered, namespace.verify_checksums) and not _checksum_is_right(data, start, udp_length):
            self.drop_bad_checksum(interface, frame)
            return
        port = data[start + 2] << 8 | data[start + 3]
        if port in self._tunnels:
            self._receive_tunnelled(interface, frame, start, udp_length)
            return
        if interface.cpu is not None:
            interface.cpu.busy_until_ns += namespace.cost_udp_input_ns + interface.cpu.costs.copy_ns(udp_length - 8)
        source_port = data[start] << 8 | data[start + 1]
        payload = data[start + 8 : start + udp_length]
        if is_broadcast:
            self._deliver_to_all(interface, frame, port, source_port, payload)
            return
        socket = self.find(data[30:34], port, data[26:30], source_port)
        if socket is None:
            interface.device.drop(frame, DropReason.NO_SOCKET)
            namespace.icmp.send_error(data[14:], frame.packet_id, 3, 3, interface=interface)
            return
        source = (ipv4_to_text(data[26:30]), source_port)
        if _is_plain(data, start):
            self._remember(interface, frame, ReceiveFlow(interface, frame, socket, source))
        socket.enqueue(payload, source, frame, interface.device)

    def _receive_tunnelled(self, interface: Interface, frame: Frame, start: int, udp_length: int) -> None:
        """Hand a datagram for a tunnel port to the device behind it."""
        data = frame.data
        receiver = self._tunnels[data[start + 2] << 8 | data[start + 3]]
        if interface.cpu is not None:
            interface.cpu.busy_until_ns += self._namespace.cost_ip_input_ns
        if _is_plain(data, start):
            self._remember(interface, frame, TunnelReceiveFlow(interface, frame, receiver))
        payload = data[start + 8 : start + udp_length]
        reason = receiver.receive_encapsulated(frame, payload, data[26:30], data[15])
        if reason is not None:
            interface.device.drop(frame, reason)

    def _remember(self, interface: Interface, frame: Frame, flow: ReceiveFlow | TunnelReceiveFlow) -> None:
        if not self._namespace.input_chain.is_open:
            return  # every datagram must pass the rules
        flows = interface.receive_flows
        if len(flows) >= RECEIVE_FLOWS_MAX:
            flows.clear()
        flows[frame.data[26:38]] = flow

    def _deliver_to_all(self, interface: Interface, frame: Frame, port: int, source_port: int, payload: bytes) -> None:
        """Hand a broadcast to every socket on the port (nobody is told when there is none)."""
        data = frame.data
        source = (ipv4_to_text(data[26:30]), source_port)
        for socket in list(self._sockets.get(port, ())):
            if socket.match_broadcast(data[30:34], data[26:30], source_port):
                socket.enqueue(payload, source, frame, interface.device)

    def drop_bad_checksum(self, interface: Interface, frame: Frame) -> None:
        """Drop a datagram of which a checksum is wrong."""
        data = frame.data
        ip_is_right = checksum_sum(data[14 : 14 + (data[14] & 15) * 4]) == 65535
        interface.device.drop(frame, DropReason.UDP_CHECKSUM if ip_is_right else DropReason.IP_CHECKSUM)

    # -- errors -------------------------------------------------------------------------------------------------------

    def error_arrived(self, error: IcmpError) -> None:
        """Pass an ICMP error on to the socket that sent the packet it quotes."""
        quoted = error.quoted
        start = (quoted[0] & 15) * 4
        local_port = quoted[start] << 8 | quoted[start + 1]
        remote_port = quoted[start + 2] << 8 | quoted[start + 3]
        socket = self.find(quoted[12:16], local_port, quoted[16:20], remote_port)
        if socket is None:
            if remote_port in self._tunnels:
                self._tunnel_error_arrived(error)
            return
        if error.icmp_type == DESTINATION_UNREACHABLE and error.code == FRAGMENTATION_NEEDED:
            self._namespace.learn_pmtu(quoted[16:20], error.information)
            if socket.dont_fragment is False:
                return  # it never sets DF, so this can't concern it
        meaning = error_of(error)
        if meaning is not None:
            number, hard = meaning
            socket.icmp_error(error, number, hard, (ipv4_to_text(quoted[16:20]), remote_port))

    def _tunnel_error_arrived(self, error: IcmpError) -> None:
        """Learn the path MTU from an error about a tunnel's packet; no other error reaches the device (FACT 68)."""
        if error.icmp_type == DESTINATION_UNREACHABLE and error.code == FRAGMENTATION_NEEDED:
            self._namespace.learn_pmtu(error.quoted[16:20], error.information)


def _is_plain(data: bytes, start: int) -> bool:
    """Tell whether a frame came straight from the device: its first bytes are those of the flow's next ones, too."""
    return start == 34 and not (data[20] & 0x3F or data[21])


def _checksum_is_right(data: bytes, start: int, udp_length: int) -> bool:
    if data[start + 6 : start + 8] == b"\0\0":
        return True
    pseudo_sum = checksum_sum(data[26:34]) + PROTOCOL_UDP + udp_length
    return not (checksum_sum(data[start : start + udp_length]) + pseudo_sum) % 65535
