"""The TCP sockets of a namespace as `ss -tan` prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.wire.address import ipv4_to_text

if TYPE_CHECKING:
    from emu.stack.namespace import Namespace
    from emu.stack.tcp_link import TcpLink
    from emu.stack.tcp_listener import TcpListener

HEAD = ("State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port")


def tcp_sockets(namespace: Namespace) -> str:
    """Return `ss -tan`: listening sockets in the order of their ports, then connections as they were opened.

    Recv-Q: connections to accept, or bytes to read. Send-Q: the backlog, or bytes that are not acknowledged.
    Limits: columns are as wide as their contents need, and there is no column for the process.
    """
    rows = [HEAD]
    rows += [_listener_row(listener) for listener in namespace.tcp.listeners()]
    rows += [_connection_row(link) for link in namespace.tcp.connections.values()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = []
    for state, received, sent, local, peer in rows:
        left = f"{state:<{widths[0]}} {received:<{widths[1]}} {sent:<{widths[2]}}"
        lines.append(f"{left} {local:>{widths[3]}} {peer:>{widths[4]}}\n")
    return "".join(lines)


def _listener_row(listener: TcpListener) -> tuple[str, str, str, str, str]:
    address = f"{ipv4_to_text(listener.address)}:{listener.port}"
    return "LISTEN", str(len(listener.ready)), str(listener.backlog), address, "0.0.0.0:*"


def _connection_row(link: TcpLink) -> tuple[str, str, str, str, str]:
    connection = link.connection
    waiting = connection.sender.outstanding + connection.sender.buffer.unsent if not connection.state.ended else 0
    return (
        connection.state.value,
        str(connection.receiver.unread),
        str(waiting),
        f"{ipv4_to_text(link.local)}:{link.local_port}",
        f"{ipv4_to_text(link.remote)}:{link.remote_port}",
    )
