"""Header prediction: the short way for the segment that was expected (Linux's fast path in tcp_rcv_established)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.stack.tcp.seq import MASK
from emu.stack.tcp.state import State

if TYPE_CHECKING:
    from emu.stack.tcp.connection import Connection

MS = 1_000_000


def take_ordinary_segment(
    connection: Connection,
    sequence: int,
    ack: int,
    window: int,
    push: bool,
    timestamp: int,
    echo: int,
    payload: bytes,
    now_ns: int,
) -> bool:
    """Take in a segment with no flags but ACK and PSH and no options but timestamps, if it is as expected.

    This is Linux's header prediction. False: nothing was done, `segment_arrived` must have a full look.
    """
    receiver = connection.receiver
    sender = connection.sender
    acked = (ack - sender.snd_una) & MASK
    if (
        connection.state is not State.ESTABLISHED
        or sequence != receiver.rcv_nxt
        or acked > ((sender.snd_nxt - sender.snd_una) & MASK)
        or (timestamp - connection.ts_recent) & 0x80000000
        or receiver.out_of_order
        or connection.ecn_active
    ):
        return False
    size = len(payload)
    receive_window = receiver.window
    if size:
        if size > receive_window.offered - ((sequence - receive_window.left_edge) & MASK):
            return False
    elif not acked:
        return False
    connection.segments_received += 1
    if sequence == receive_window.left_edge:
        connection.ts_recent = timestamp
        connection.ts_recent_ns = now_ns
    connection.keepalive.last_heard_ns = now_ns
    window <<= sender.window_scale
    if window != sender.snd_wnd:
        sender.set_window(window)
        if not acked and sender.persist.active:
            sender.window_heard(now_ns)
    sender.snd_wl1 = sequence
    if acked:
        sender.snd_una = ack
        connection.soft_error = 0
        connection.progress_ns = now_ns
        sender.recovery.ack(ack, (), None, False, False, now_ns)
    if size:
        rtt = connection.rtt
        if size >= receive_window.segment_size and echo != receive_window.echo:
            age_ms = (now_ns // MS + connection.timestamp_offset - echo) & MASK
            if age_ms < 0x80000000:
                receive_window.measure_round_trip(echo, age_ms * MS)
        receiver.take_in_order(payload, push, now_ns, rtt.rto_ns)
    if acked or sender.buffer.unsent:
        sender.output(now_ns)
    if receiver.acks.scheduled and receiver.must_acknowledge(now_ns, connection.rtt.srtt_ns):
        connection.send_ack(now_ns)
    return True
