"""Segments that open a connection: the SYN a listener gets, and what answers our SYN (RFC 9293, 3.10.7.2, 3.10.7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.stack.tcp.segment import Segment
from emu.stack.tcp.seq import MASK, seq_leq, seq_lt
from emu.stack.tcp.state import Happening
from emu.wire.tcp import ACK, RST, SYN

if TYPE_CHECKING:
    from emu.stack.tcp.connection import Connection


def answer_syn(connection: Connection, segment: Segment, now_ns: int) -> None:
    """Agree with a SYN's options and send the SYN-ACK."""
    handshake = connection.handshake
    handshake.agree_on_ecn(segment)
    handshake.take_options(segment, now_ns)
    connection.start_recovery()
    connection.move(Happening.SYN_ARRIVED, now_ns)
    handshake.send_syn_ack(now_ns)


def arrive_in_syn_sent(connection: Connection, segment: Segment, now_ns: int) -> bool:
    """Take in a segment while our SYN is not answered; True when a reset must answer it."""
    flags = segment.flags
    sender = connection.sender
    if flags & ACK:
        ack = segment.acknowledgment
        if not (seq_lt(sender.snd_una, ack) and seq_leq(ack, sender.snd_nxt)):
            return not flags & RST
        if not _echo_is_ours(connection, segment, now_ns):
            return not flags & RST
    if flags & RST:
        if flags & ACK:
            connection.was_reset()
        return False
    if not flags & SYN:
        return False
    handshake = connection.handshake
    if flags & ACK:
        handshake.agree_on_ecn(segment)
        handshake.take_options(segment, now_ns)
        connection.start_recovery()
        connection.become_established(segment, now_ns)
        connection.progress_ns = now_ns
        receiver = connection.receiver
        if receiver.acks.interactive:
            receiver.acks.wait_for_data(now_ns, receiver.window.offered, receiver.window.segment_size)
        else:
            connection.send_ack(now_ns)
        sender.output(now_ns)
        return False
    answer_syn(connection, segment, now_ns)
    return False


def _echo_is_ours(connection: Connection, segment: Segment, now_ns: int) -> bool:
    """Tell whether the timestamp that is echoed was sent since the first SYN."""
    echo = segment.timestamp_echo
    if not echo:
        return True
    first = connection.timestamp(connection.handshake.sent_ns)
    return (echo - first) & MASK <= (connection.timestamp(now_ns) - first) & MASK
