"""TIME-WAIT: a minute in which old segments of a finished connection find somebody who knows it (RFC 9293, 3.6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.stack.tcp.segment import Segment
from emu.stack.tcp.seq import MASK, seq_lt
from emu.wire.tcp import ACK, RST, SYN

if TYPE_CHECKING:
    from emu.stack.tcp.connection import Connection

ISN_DISTANCE = 65535 + 2
"""How far beyond the old connection a new one in its place begins, as in Linux."""


def may_begin_anew(connection: Connection, segment: Segment) -> bool:
    """Tell whether a SYN may open a new connection in place of this one (RFC 6191, RFC 9293 section 3.6.1).

    It may when its sequence number or its timestamp lies beyond everything that the old connection saw.
    """
    if segment.flags & (SYN | RST | ACK) != SYN or _is_older(connection, segment):
        return False
    if seq_lt(connection.receiver.rcv_nxt, segment.sequence):
        return True
    timestamp = segment.timestamp
    return connection.timestamps_on and timestamp is not None and bool((connection.ts_recent - timestamp) & 0x80000000)


def next_iss(connection: Connection) -> int:
    """Return where a new connection in this one's place begins."""
    return (connection.sender.snd_nxt + ISN_DISTANCE) & MASK


def arrive(connection: Connection, segment: Segment, now_ns: int) -> bool:
    """Take in a segment; never answered with a reset."""
    is_older = _is_older(connection, segment)
    expected = segment.sequence == connection.receiver.rcv_nxt
    if not is_older and expected and (not segment.length or segment.flags & RST):
        if segment.flags & RST:
            connection.end()
            return False
        connection.wait_again(now_ns)
        if segment.timestamp is not None and connection.timestamps_on:
            connection.ts_recent = segment.timestamp
        return False
    if segment.flags & RST:
        return False
    if is_older or segment.flags & ACK:
        connection.wait_again(now_ns)
    if connection.challenges.allows(now_ns):
        connection.send_ack(now_ns)
    return False


def _is_older(connection: Connection, segment: Segment) -> bool:
    timestamp = segment.timestamp
    if timestamp is None or not connection.timestamps_on:
        return False
    return bool((timestamp - connection.ts_recent) & 0x80000000)
