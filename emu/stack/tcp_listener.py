"""A listening socket's two queues: connections that are being opened, and those that wait to be accepted."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from emu.stack.tcp.state import State

if TYPE_CHECKING:
    from emu.stack.tcp_link import TcpLink
    from emu.stack.tcp_socket import TcpSocket


class TcpListener:
    """What a listening socket holds for its program.

    address: 4 bytes. backlog: one more connection than this waits to be accepted (Linux). opening: connections that
    have sent a SYN-ACK. ready: those that are open.
    Source: Linux sk_acceptq_is_full(), tcp_v4_syn_recv_sock(): with a full accept queue SYNs are dropped, and so is
    the ACK that would open a connection; its SYN-ACK is then repeated.
    Limits: no SYN cookies: SYNs are dropped when as many connections are being opened as the backlog allows.
    """

    __slots__ = ("_socket", "address", "backlog", "opening", "overflows", "port", "ready")

    def __init__(self, socket: TcpSocket, address: bytes, port: int, backlog: int) -> None:
        self._socket = socket
        self.address = address
        self.port = port
        self.backlog = backlog
        self.opening: dict[bytes, TcpLink] = {}
        self.ready: deque[TcpLink] = deque()
        self.overflows = 0

    @property
    def is_full(self) -> bool:
        """Whether no further connection can wait to be accepted."""
        return len(self.ready) > self.backlog

    @property
    def takes_syn(self) -> bool:
        """Whether a further connection may begin to open."""
        return not self.is_full and len(self.opening) <= max(self.backlog, 1)

    @property
    def socket(self) -> TcpSocket:
        """The listening socket."""
        return self._socket

    def child_begins(self, link: TcpLink) -> None:
        """Remember a connection whose SYN arrived."""
        self.opening[link.key] = link

    def child_changed(self, link: TcpLink) -> None:
        """A connection is open now, or has failed."""
        self.opening.pop(link.key, None)
        if link.connection.state is not State.CLOSED:
            self.ready.append(link)
            self._socket.connection_waits()

    def close(self, now_ns: int) -> None:
        """Stop listening: what is being opened vanishes, what waits to be accepted is reset, as in Linux."""
        for link in list(self.opening.values()):
            link.vanish()
        self.opening.clear()
        while self.ready:
            link = self.ready.popleft()
            link.connection.abort(now_ns)
            link.settle()
