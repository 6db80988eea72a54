"""What servers have in common: a listening socket whose connections are taken as they come, perhaps UDP beside it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

if TYPE_CHECKING:
    from emu.stack import Namespace
    from emu.stack.tcp_socket import TcpSocket
    from emu.stack.udp_socket import UdpSocket


def bind_tcp_and_udp(namespace: Namespace, address: str, port: int) -> tuple[TcpSocket, UdpSocket]:
    """Bind a TCP and a UDP socket to the same port, or neither. Raises OSError for a port that is taken."""
    listener, udp = namespace.tcp_socket(), namespace.udp_socket()
    listener.bind(address, port)
    try:
        udp.bind(address, port)
    except OSError:
        listener.close()
        raise
    return listener, udp


def accept_all(listener: TcpSocket, take: Callable[[TcpSocket], object]) -> Generator[Event, Any, None]:
    """Hand every connection to `take`, until the listener is closed (a process)."""
    while True:
        try:
            socket = yield listener.accept()
        except OSError:
            return  # closed
        take(socket)
