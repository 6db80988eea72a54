"""TCP of one namespace: ports, finding the connection for a segment, and answering what belongs to none (RFC 9293)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from emu.stack.icmp import DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED, IcmpError
from emu.stack.interface import RECEIVE_FLOWS_MAX
from emu.stack.output import Path, build_packet, os_error
from emu.stack.tcp import time_wait
from emu.stack.tcp.isn import initial_numbers
from emu.stack.tcp.segment import Segment
from emu.stack.tcp.seq import MASK
from emu.stack.tcp.settings import TcpSettings
from emu.stack.tcp.state import State
from emu.stack.tcp_input import TcpReceiveFlow
from emu.stack.tcp_link import TcpLink, flow_key
from emu.stack.udp import error_of
from emu.wire.drop import DropReason
from emu.wire.offload import Offload, must_verify
from emu.wire.tcp import ACK, FIN, PROTOCOL_TCP, RST, SYN, TcpView, build_tcp, parse_tcp

if TYPE_CHECKING:
    from emu.stack.interface import Interface
    from emu.stack.namespace import Namespace
    from emu.stack.tcp_listener import TcpListener
    from emu.stack.tcp_socket import TcpSocket
    from emu.wire.frame import Frame

ANY = b"\0\0\0\0"
Endpoint = tuple[bytes, int]


class Tcp:
    """The TCP of one namespace.

    connections: by the bytes of arriving frames that name them. settings: what new connections start with.
    congestion: the default algorithm of new connections, "cubic" (Linux's tcp_congestion_control).
    opened: how many connections there have been, those that failed included.
    """

    __slots__ = ("_bound", "_listeners", "_random", "_settings", "congestion", "connections", "namespace", "opened")

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.connections: dict[bytes, TcpLink] = {}
        self.congestion = "cubic"
        self.opened = 0
        self._listeners: dict[int, list[TcpListener]] = {}
        self._bound: dict[int, list[TcpSocket]] = {}
        self._random = namespace.kernel.random(f"TCP ports of {namespace.name}")
        self._settings: TcpSettings | None = None

    @property
    def settings(self) -> TcpSettings:
        """What new connections start with, from the sysctls."""
        if self._settings is None:
            self._settings = TcpSettings.from_sysctls(self.namespace.sysctl)
        return self._settings

    def settings_changed(self) -> None:
        """Read the sysctls again."""
        self._settings = None

    # -- ports --------------------------------------------------------------------------------------------------------

    def bind(self, socket: TcpSocket, address: bytes, port: int) -> int:
        """Give a socket a port (0: any free one) and return it; raises OSError EADDRINUSE.

        Limits: as if SO_REUSEADDR were always set: connections in TIME-WAIT do not occupy a port.
        """
        if not port:
            port = self._free_port(lambda candidate: not self._is_taken(address, candidate))
        elif self._is_taken(address, port):
            raise os_error(errno.EADDRINUSE)
        self._bound.setdefault(port, []).append(socket)
        return port

    def unbind(self, socket: TcpSocket, port: int) -> None:
        """Take a socket's port away."""
        sockets = self._bound[port]
        sockets.remove(socket)
        if not sockets:
            del self._bound[port]

    def _is_taken(self, address: bytes, port: int) -> bool:
        return any(
            ANY in (address, other.bound_address) or other.bound_address == address
            for other in self._bound.get(port, ())
        )

    def port_towards(self, local: bytes, remote: Endpoint) -> int:
        """Choose the local port of a connection: even ones first, as Linux's connect() does."""
        return self._free_port(
            lambda port: port not in self._bound and flow_key(remote, (local, port)) not in self.connections
        )

    def _free_port(self, is_free: Callable[[int], bool]) -> int:
        low = self.namespace.sysctl["net.ipv4.ip_local_port_range_min"]
        count = self.namespace.sysctl["net.ipv4.ip_local_port_range_max"] - low + 1
        if count > 0:
            start = self._random.randrange(count) & ~1
            for parity in (0, 1):
                for step in range(parity, count, 2):
                    port = low + (start + step) % count
                    if is_free(port):
                        return port
        raise os_error(errno.EADDRNOTAVAIL)

    def listen(self, listener: TcpListener) -> None:
        """Let a listener get the SYNs for its port."""
        self._listeners.setdefault(listener.port, []).append(listener)

    def stop_listening(self, listener: TcpListener) -> None:
        """Give a listener no further SYNs."""
        listeners = self._listeners[listener.port]
        listeners.remove(listener)
        if not listeners:
            del self._listeners[listener.port]

    def listeners(self) -> Iterator[TcpListener]:
        """Iterate over the listeners in the order of ports."""
        for port in sorted(self._listeners):
            yield from self._listeners[port]

    def _listener_for(self, address: bytes, port: int) -> TcpListener | None:
        best = None
        for listener in self._listeners.get(port, ()):
            if listener.address == address:
                return listener
            if listener.address == ANY:
                best = listener
        return best

    # -- connections --------------------------------------------------------------------------------------------------

    def make_link(
        self,
        local: Endpoint,
        remote: Endpoint,
        settings: TcpSettings,
        path: Path,
        *,
        iss: int | None = None,
        congestion: str | None = None,
        maximum_segment: int | None = None,
    ) -> TcpLink:
        """Make a connection and put it into the table; iss: where it begins, None for a number of its own."""
        kernel = self.namespace.kernel
        key = flow_key(local, remote)
        sequence, offset = initial_numbers(kernel.hash_secret, key, kernel.now)
        link = TcpLink(
            self,
            local,
            remote,
            settings,
            iss=sequence if iss is None else iss,
            timestamp_offset=offset,
            mtu=path.mtu,
            congestion=congestion or self.congestion,
            maximum_segment=maximum_segment,
        )
        self.connections[link.key] = link
        self.opened += 1
        return link

    def is_connected(self, local: Endpoint, remote: Endpoint) -> bool:
        """Tell whether there is a connection between these two already."""
        return flow_key(remote, local) in self.connections

    def forget(self, link: TcpLink) -> None:
        """Take a connection out of the table."""
        if self.connections.get(link.key) is link:
            del self.connections[link.key]
            self.namespace.receive_flows.pop(link.key, None)

    def vanish(self) -> None:
        """Let everything disappear without a word: the namespace is destroyed (FACT 13)."""
        for link in list(self.connections.values()):
            link.vanish()

    # -- input --------------------------------------------------------------------------------------------------------

    def receive(self, interface: Interface, frame: Frame, is_broadcast: bool) -> None:
        """Take in a whole TCP segment."""
        data = frame.data
        start = 14 + (data[14] & 15) * 4
        view = parse_tcp(data, start)
        if view is None or is_broadcast:
            interface.device.drop(frame, DropReason.MALFORMED)
            return
        namespace = self.namespace
        is_checked = must_verify(frame.altered, namespace.verify_checksums)
        if is_checked and not view.checksum_is_valid(data[26:30], data[30:34]):
            interface.device.drop(frame, DropReason.TCP_CHECKSUM)
            return
        cpu = interface.cpu
        if cpu is not None:
            cpu.busy_until_ns += namespace.cost_ip_input_ns + cpu.costs.copy_ns(view.end - start - view.header_length)
        link = self.connections.get(data[26:34] + data[start : start + 4])
        segment = Segment.from_view(view, data[15] & 3)
        if link is None:
            self._receive_unconnected(interface, frame, view, segment)
            return
        if link.connection.state is State.TIME_WAIT and self._begins_anew(interface, frame, link, segment):
            return
        if self._is_refused_by_full_queue(link, segment):
            interface.device.drop(frame, DropReason.LISTEN_QUEUE_FULL)
            return
        if isinstance(frame.altered, Offload):
            link.uncut_segment_arrives(len(segment.payload), frame.altered.segment_size)
        elif start == 34 and not (data[20] & 0x3F or data[21]):
            self._remember(interface, frame, link)
        if link.segment_arrived(segment, frame.packet_id):
            self._send_reset(frame, view, segment)

    def _remember(self, interface: Interface, frame: Frame, link: TcpLink) -> None:
        if not self.namespace.input_chain.is_open or link.connection.state is not State.ESTABLISHED:
            return
        flows = interface.receive_flows
        if len(flows) >= RECEIVE_FLOWS_MAX:
            flows.clear()
        flows[link.key] = TcpReceiveFlow(interface, frame, link)

    def _receive_unconnected(self, interface: Interface, frame: Frame, view: TcpView, segment: Segment) -> None:
        """A segment of no known connection: a SYN for a listener, or something to be answered with a reset."""
        flags = segment.flags
        if flags & RST:
            interface.device.drop(frame, DropReason.NO_SOCKET)
            return
        listener = self._listener_for(frame.data[30:34], view.destination_port)
        if listener is None:
            interface.device.drop(frame, DropReason.NO_SOCKET)
            self._send_reset(frame, view, segment)
        elif flags & ACK:
            self._send_reset(frame, view, segment)
        elif flags & SYN and not flags & FIN:
            self._open_passively(interface, frame, view, segment, listener, None)

    def _begins_anew(self, interface: Interface, frame: Frame, link: TcpLink, segment: Segment) -> bool:
        """Let a SYN open a new connection in place of one in TIME-WAIT; False when it may not."""
        if not time_wait.may_begin_anew(link.connection, segment):
            return False
        listener = self._listener_for(link.local, link.local_port)
        if listener is None:
            return False
        iss = time_wait.next_iss(link.connection)
        link.vanish()
        view = parse_tcp(frame.data, 14 + (frame.data[14] & 15) * 4)
        assert view is not None, "it was parsed before"
        self._open_passively(interface, frame, view, segment, listener, iss)
        return True

    def _open_passively(
        self,
        interface: Interface,
        frame: Frame,
        view: TcpView,
        segment: Segment,
        listener: TcpListener,
        iss: int | None,
    ) -> None:
        if not listener.takes_syn:
            listener.overflows += 1
            interface.device.drop(frame, DropReason.LISTEN_QUEUE_FULL)
            return
        local, remote = (frame.data[30:34], view.destination_port), (frame.data[26:30], view.source_port)
        path = self.namespace.output.path(remote[0], local[0])
        if isinstance(path, int):
            interface.device.drop(frame, DropReason.NO_ROUTE)
            return
        socket = listener.socket
        link = self.make_link(
            local,
            remote,
            socket.settings(),
            path,
            iss=iss,
            congestion=socket.congestion,
            maximum_segment=socket.maximum_segment,
        )
        link.ttl, link.tos = socket.ttl, socket.tos
        socket.apply_options(link.connection)
        link.listener = listener
        link.arriving_id = frame.packet_id
        listener.child_begins(link)
        link.connection.open_passively(segment, self.namespace.kernel.now)
        link.settle()

    def _is_refused_by_full_queue(self, link: TcpLink, segment: Segment) -> bool:
        """Tell whether a segment would open a connection that the listener has no room for."""
        listener = link.listener
        if listener is None or not listener.is_full or segment.flags & (SYN | RST):
            return False
        if self.namespace.sysctl["net.ipv4.tcp_abort_on_overflow"]:
            return False
        listener.overflows += 1
        return True

    # -- reset --------------------------------------------------------------------------------------------------------

    def _send_reset(self, frame: Frame, view: TcpView, segment: Segment) -> None:
        """Answer a segment that belongs to nothing with a RST (RFC 9293, section 3.5.2; FACT 35)."""
        if segment.flags & RST:
            return
        namespace = self.namespace
        own, peer = frame.data[30:34], frame.data[26:30]
        path = namespace.output.path(peer, own)
        if isinstance(path, int):
            return
        if segment.flags & ACK:
            numbers = (segment.acknowledgment, 0, RST)
        else:
            numbers = (0, (segment.sequence + segment.length) & MASK, RST | ACK)
        reset = build_tcp(own, peer, view.destination_port, view.source_port, *numbers, 0)
        packet = build_packet(
            own, peer, PROTOCOL_TCP, reset, identification=0, ttl=namespace.default_ttl, dont_fragment=True
        )
        packet_id = namespace.kernel.next_packet_id()
        namespace.kernel.journal.caused(packet_id, frame.packet_id)
        namespace.start_output(path, packet, packet_id, namespace.cost_ip_output_ns)

    # -- ICMP errors --------------------------------------------------------------------------------------------------

    def error_arrived(self, error: IcmpError) -> None:
        """Pass an ICMP error on to the connection that sent the segment it quotes (RFC 5461, RFC 5927)."""
        quoted = error.quoted
        start = (quoted[0] & 15) * 4
        local = (quoted[12:16], quoted[start] << 8 | quoted[start + 1])
        remote = (quoted[16:20], quoted[start + 2] << 8 | quoted[start + 3])
        link = self.connections.get(flow_key(remote, local))
        needs_fragmentation = error.icmp_type == DESTINATION_UNREACHABLE and error.code == FRAGMENTATION_NEEDED
        if link is None:
            return
        sequence = int.from_bytes(quoted[start + 4 : start + 8], "big")
        sender = link.connection.sender
        if (sequence - sender.snd_una) & MASK > (sender.snd_nxt - sender.snd_una) & MASK:
            return  # not about anything that is under way
        if needs_fragmentation:
            self.namespace.learn_pmtu(remote[0], error.information)
            path = self.namespace.output.path(remote[0], local[0])
            if not isinstance(path, int) and path.mtu < link.connection.mtu:
                link.mtu_has_changed(path.mtu)
            return
        meaning = error_of(error)
        if meaning is not None:
            link.icmp_error(meaning[0], link.connection.state in (State.SYN_SENT, State.SYN_RECEIVED))
