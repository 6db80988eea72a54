"""What ties a connection's machine to its namespace: frames out, timers, and the socket that is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.kernel.timer import Timer
from emu.stack.tcp.connection import Connection
from emu.stack.tcp.state import State
from emu.stack.tcp.timers import NEVER
from emu.stack.tcp_offload import OffloadingTcpOutput
from emu.stack.tcp_output import TcpOutput

if TYPE_CHECKING:
    from emu.stack.tcp.segment import Segment
    from emu.stack.tcp.settings import TcpSettings
    from emu.stack.tcp_listener import TcpListener
    from emu.stack.tcp_protocol import Tcp
    from emu.stack.tcp_socket import TcpSocket


class TcpLink:
    """A connection in its namespace.

    local, remote: 4-byte addresses. key: the 12 bytes of arriving frames that name the connection. ttl: None is the
    namespace's default. socket: who is told of changes; None while it waits in a listener's queue, or when nobody
    holds it any more. listener: whose SYN opened it. arriving_id: the packet that is being taken in.
    """

    __slots__ = (
        "_background_timer",
        "_kernel",
        "_tcp",
        "_timer",
        "arriving_id",
        "connection",
        "key",
        "listener",
        "local",
        "local_port",
        "namespace",
        "output",
        "remote",
        "remote_port",
        "socket",
        "tos",
        "ttl",
    )

    def __init__(
        self,
        tcp: Tcp,
        local: tuple[bytes, int],
        remote: tuple[bytes, int],
        settings: TcpSettings,
        *,
        iss: int,
        timestamp_offset: int,
        mtu: int,
        congestion: str,
        maximum_segment: int | None = None,
    ) -> None:
        self._tcp = tcp
        namespace = self.namespace = tcp.namespace
        self._kernel = namespace.kernel
        self.local, self.local_port = local
        self.remote, self.remote_port = remote
        self.key = flow_key(remote, local)
        self.ttl: int | None = None
        self.tos = 0
        self.socket: TcpSocket | None = None
        self.listener: TcpListener | None = None
        self.arriving_id = 0
        self._timer: Timer = self._kernel.timer(self._timer_expired)
        self._background_timer: Timer | None = None
        output = OffloadingTcpOutput if namespace.offload else TcpOutput
        self.output = output(self, namespace.socket_random.getrandbits(16))
        self.connection = Connection(
            settings,
            iss=iss,
            timestamp_offset=timestamp_offset,
            mtu=mtu,
            send_raw=self.output.send,
            congestion=congestion,
            maximum_segment=maximum_segment,
            offload=namespace.offload,
        )

    # -- what happens -------------------------------------------------------------------------------------------------

    def segment_arrived(self, segment: Segment, packet_id: int) -> bool:
        """Take in a segment; True when a reset must answer it."""
        self.arriving_id = packet_id
        connection = self.connection
        state = connection.state
        if state is State.TIME_WAIT or (state is State.FIN_WAIT_2 and connection.orphaned):
            self.output.has_no_socket = True
        must_reset = connection.segment_arrived(segment, self._kernel.now)
        self.settle()
        return must_reset

    def uncut_segment_arrives(self, size: int, segment_size: int) -> None:
        """Note that the next segment is as its sender left it to the hardware.

        size: of its data. segment_size: of the pieces it would have been cut into; 0 when it is one.
        """
        connection = self.connection
        if segment_size:
            connection.segments_received += -(-size // segment_size) - 1
        connection.receiver.window.cut_size = segment_size

    def mtu_has_changed(self, mtu: int) -> None:
        """The path's MTU is another one now."""
        if mtu != self.connection.mtu:
            self.output.forget()
            self.connection.path_mtu_changed(mtu, self._kernel.now)
            self.settle()

    def icmp_error(self, number: int, hard: bool) -> None:
        """An ICMP error about a segment of this connection arrived."""
        self.connection.icmp_error(number, hard)
        self.settle()

    def settle(self) -> None:
        """Draw the consequences of anything that was done to the machine: timers, and what the program can do now."""
        connection = self.connection
        socket = self.socket
        if socket is not None:
            socket.connection_changed()
        elif self.listener is not None and connection.state is not State.SYN_RECEIVED:
            listener, self.listener = self.listener, None
            listener.child_changed(self)
        deadline_ns = connection.deadline_ns
        timer = self._timer
        if deadline_ns == NEVER:
            if timer.pending:
                timer.stop()
        elif not timer.pending or timer.expires_ns != deadline_ns:
            now_ns = self._kernel.now
            timer.start_at(deadline_ns if deadline_ns > now_ns else now_ns)
        background_ns = connection.background_deadline_ns
        if background_ns != NEVER or self._background_timer is not None:
            self._arm_background(background_ns)
        if connection.state.ended:
            self._ended()

    def _arm_background(self, deadline_ns: int) -> None:
        timer = self._background_timer
        if timer is None:
            timer = self._background_timer = self._kernel.timer(self._timer_expired, background=True)
        if deadline_ns == NEVER:
            timer.stop()
        elif not timer.pending or timer.expires_ns != deadline_ns:
            timer.start_at(max(deadline_ns, self._kernel.now))

    def _timer_expired(self, _: object) -> None:
        self.arriving_id = 0
        self.connection.timer(self._kernel.now)
        self.settle()

    def _ended(self) -> None:
        """Leave the namespace's table when nothing of the connection is left."""
        if self.connection.state is State.CLOSED:
            self._tcp.forget(self)
            if self._timer.pending:
                self._timer.stop()
            if self._background_timer is not None:
                self._background_timer.stop()

    def vanish(self) -> None:
        """Be gone without a word: the namespace is destroyed, or a listener gives up what it has not handed out."""
        self.socket = self.listener = None
        self.connection.end()
        self._ended()


def flow_key(source: tuple[bytes, int], destination: tuple[bytes, int]) -> bytes:
    """Return the bytes by which frames from `source` to `destination` are known: addresses, then ports."""
    return source[0] + destination[0] + source[1].to_bytes(2, "big") + destination[1].to_bytes(2, "big")
