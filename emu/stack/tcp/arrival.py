"""What a segment does to a connection (RFC 9293, section 3.10.7.4, in the order in which Linux checks)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from emu.stack.tcp.segment import ECN_CE, Segment
from emu.stack.tcp.seq import MASK, seq_leq, seq_lt
from emu.stack.tcp.state import Happening, State
from emu.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN

if TYPE_CHECKING:
    from emu.stack.tcp.connection import Connection

PAWS_VALID_NS = 24 * 24 * 3600 * 1_000_000_000
"""After 24 days without a segment the remembered timestamp says nothing any more (RFC 7323, section 5.5)."""


def arrive(connection: Connection, segment: Segment, now_ns: int) -> bool:
    """Take in a segment of a connection that has seen the peer's SYN; True when a reset must answer it."""
    if connection.state is State.SYN_RECEIVED and _is_repeated_syn(connection, segment):
        if connection.challenges.allows(now_ns):
            connection.handshake.repeat_answer(now_ns)
        return False
    if not _is_acceptable(connection, segment, now_ns):
        return False
    if not segment.flags & ACK:
        return False
    if connection.state is State.SYN_RECEIVED:
        sender = connection.sender
        if not (seq_lt(sender.snd_una, segment.acknowledgment) and seq_leq(segment.acknowledgment, sender.snd_nxt)):
            return True
        connection.become_established(segment, now_ns)
    if not _acknowledge(connection, segment, now_ns):
        return False
    _take_acknowledged_fin(connection, now_ns)
    if (segment.payload or segment.flags & FIN) and connection.state is not State.CLOSED:
        _take_data(connection, segment, now_ns)
    if connection.state is State.CLOSED or connection.state is State.TIME_WAIT:
        return False
    connection.sender.output(now_ns)
    connection.acknowledge_if_due(now_ns)
    return False


def _is_repeated_syn(connection: Connection, segment: Segment) -> bool:
    irs = (connection.receiver.rcv_nxt - 1) & MASK
    return segment.flags & (SYN | ACK | RST) == SYN and segment.sequence == irs


# -- is it acceptable? ------------------------------------------------------------------------------------------------


def _is_acceptable(connection: Connection, segment: Segment, now_ns: int) -> bool:
    """Check timestamps (PAWS), sequence number, RST and SYN; answer what cannot be true (RFC 5961)."""
    flags = segment.flags
    if not flags & RST and _is_too_old(connection, segment, now_ns):
        connection.paws_rejected += 1
        _answer_unacceptable(connection, segment, now_ns)
        return False
    receiver = connection.receiver
    rcv_nxt = receiver.rcv_nxt
    limit = (rcv_nxt + receiver.window.remaining(rcv_nxt)) & MASK
    if seq_lt(segment.end, receiver.window.left_edge) or seq_lt(limit, segment.sequence):
        if flags & RST:
            if _is_reset_before_fin(connection, segment):
                connection.was_reset()
            return False
        if flags & SYN and connection.state is not State.SYN_RECEIVED:
            connection.challenge(now_ns)
        else:
            _answer_unacceptable(connection, segment, now_ns)
        return False
    if flags & RST:
        _take_reset(connection, segment, now_ns)
        return False
    if flags & SYN and not _is_answer_to_simultaneous_open(connection, segment):
        connection.challenge(now_ns)
        return False
    _remember_timestamp(connection, segment, now_ns)
    return True


def _is_too_old(connection: Connection, segment: Segment, now_ns: int) -> bool:
    """PAWS (RFC 7323, section 5): its timestamp is older than one seen already."""
    timestamp = segment.timestamp
    if timestamp is None or not connection.timestamps_on:
        return False
    behind = (connection.ts_recent - timestamp) & MASK
    if not 0 < behind < 0x80000000:
        return False
    if now_ns - connection.ts_recent_ns > PAWS_VALID_NS:
        return False
    return not _is_disordered_ack(connection, segment, behind)


def _is_disordered_ack(connection: Connection, segment: Segment, behind: int) -> bool:
    """Linux lets a plain duplicate ACK pass that was overtaken by a little (tcp_disordered_ack)."""
    sender, receiver = connection.sender, connection.receiver
    return (
        segment.flags & ACK != 0
        and not segment.length
        and segment.sequence == receiver.rcv_nxt
        and segment.acknowledgment == sender.snd_una
        and segment.window << sender.window_scale == sender.snd_wnd
        and behind <= connection.rtt.rto_ns // 1_000_000
    )


def _answer_unacceptable(connection: Connection, segment: Segment, now_ns: int) -> None:
    """Say what is expected instead; pure ACKs get an answer only now and then, or two peers could go on forever."""
    carries_data = bool(segment.length) and not segment.flags & SYN
    if not carries_data and not connection.challenges.allows(now_ns):
        return
    receiver = connection.receiver
    if segment.length and seq_lt(segment.sequence, receiver.rcv_nxt):
        receiver.something_is_wrong()
        end = segment.end if seq_lt(segment.end, receiver.rcv_nxt) else receiver.rcv_nxt
        receiver.note_duplicate(segment.sequence, end)
    connection.send_ack(now_ns)


def _take_reset(connection: Connection, segment: Segment, now_ns: int) -> None:
    """Believe a RST at exactly the expected number, or at the end of all that was SACKed; challenge any other one."""
    receiver = connection.receiver
    rcv_nxt = receiver.rcv_nxt
    ends = [(right - rcv_nxt) & MASK for _, right in receiver.out_of_order.blocks]
    if (segment.sequence - rcv_nxt) & MASK in (0, max(ends, default=0)) or _is_reset_before_fin(connection, segment):
        connection.was_reset()
    else:
        connection.challenge(now_ns)


def _is_reset_before_fin(connection: Connection, segment: Segment) -> bool:
    """Tell whether this is the RST of a peer that does not count its own FIN, as some do (Linux's tcp_reset_check)."""
    has_ended = connection.state in (State.CLOSE_WAIT, State.LAST_ACK, State.CLOSING)
    return has_ended and segment.sequence == (connection.receiver.rcv_nxt - 1) & MASK


def _is_answer_to_simultaneous_open(connection: Connection, segment: Segment) -> bool:
    """Tell whether this is the peer's SYN-ACK after both sides sent a SYN."""
    return (
        connection.state is State.SYN_RECEIVED
        and segment.flags & ACK != 0
        and segment.length == 1
        and segment.end == connection.receiver.rcv_nxt
        and segment.acknowledgment == connection.sender.snd_nxt
    )


def _remember_timestamp(connection: Connection, segment: Segment, now_ns: int) -> None:
    """Keep the timestamp to echo: of the segment that the last acknowledgment was waiting for (RFC 7323, 4.3)."""
    timestamp = segment.timestamp
    if timestamp is None or not connection.timestamps_on:
        return
    is_older = (timestamp - connection.ts_recent) & 0x80000000
    if seq_leq(segment.sequence, connection.receiver.window.left_edge) and not is_older:
        connection.ts_recent = timestamp
        connection.ts_recent_ns = now_ns


# -- acknowledgment ---------------------------------------------------------------------------------------------------


def _acknowledge(connection: Connection, segment: Segment, now_ns: int) -> bool:
    """Take in the acknowledgment number and the window; False when the whole segment is to be ignored."""
    sender = connection.sender
    ack = segment.acknowledgment
    outstanding = sender.outstanding
    acked = (ack - sender.snd_una) & MASK
    if acked > outstanding:
        return _take_odd_acknowledgment(connection, segment, now_ns)
    window = segment.window << sender.window_scale
    changed = False
    if acked or seq_lt(sender.snd_wl1, segment.sequence) or (
        segment.sequence == sender.snd_wl1 and (window > sender.snd_wnd or not window)
    ):  # fmt: skip
        sender.snd_wl1 = segment.sequence
        changed = window != sender.snd_wnd
        sender.set_window(window)
    is_duplicate = not (acked or changed or segment.length) and outstanding > 0
    sender.snd_una = ack
    connection.heard(now_ns)
    if outstanding or segment.sack_blocks:
        age_ns = connection.echo_age_ns(segment, now_ns)
        ece = connection.ecn_active and segment.flags & ECE != 0
        sender.recovery.ack(ack, segment.sack_blocks, age_ns, ece, is_duplicate, now_ns)
    if not outstanding or sender.persist.active:
        sender.window_heard(now_ns)
    if acked:
        connection.progress_ns = now_ns
    return True


def _take_odd_acknowledgment(connection: Connection, segment: Segment, now_ns: int) -> bool:
    """An old acknowledgment is harmless, a very old one or one of what was never sent is not (RFC 5961, section 5)."""
    sender = connection.sender
    ack = segment.acknowledgment
    if not seq_lt(ack, sender.snd_una):
        if connection.state is not State.ESTABLISHED:
            connection.challenge(now_ns)
        return False
    if seq_lt(ack, (sender.snd_una - sender.max_window) & MASK):
        connection.challenge(now_ns)
        return False
    if segment.sack_blocks and sender.outstanding:
        age_ns = connection.echo_age_ns(segment, now_ns)
        sender.recovery.ack(sender.snd_una, segment.sack_blocks, age_ns, False, False, now_ns)
    return True


def _take_acknowledged_fin(connection: Connection, now_ns: int) -> None:
    """Move on when our FIN is acknowledged."""
    sender = connection.sender
    if not sender.fin_sent or sender.snd_una != sender.snd_nxt:
        return
    state = connection.state
    if state in (State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK):
        connection.move(Happening.FIN_ACKNOWLEDGED, now_ns)


# -- data and FIN -----------------------------------------------------------------------------------------------------


def _take_data(connection: Connection, segment: Segment, now_ns: int) -> None:
    """Take in what the segment carries."""
    receiver = connection.receiver
    state = connection.state
    is_fin = segment.flags & FIN != 0
    if not state.may_receive:
        if seq_leq(segment.end, receiver.rcv_nxt):  # a repeated FIN; beyond it there can be nothing
            receiver.take(segment.sequence, segment.payload, is_fin, False, now_ns, connection.rtt.rto_ns)
        return
    nobody_reads = connection.orphaned or (connection.read_shut and state is not State.ESTABLISHED)
    if nobody_reads and segment.payload and seq_lt(receiver.rcv_nxt, (segment.end - is_fin) & MASK):
        connection.abort(now_ns, error=errno.ECONNRESET)  # RFC 9293, 3.6; Linux queues it as long as we may still send
        return
    if connection.ecn_active:
        _take_congestion_mark(connection, segment)
    if segment.timestamp_echo and len(segment.payload) >= receiver.window.segment_size:
        age_ns = connection.echo_age_ns(segment, now_ns)
        if age_ns is not None:
            receiver.window.measure_round_trip(segment.timestamp_echo, age_ns)
    push = segment.flags & PSH != 0
    receiver.take(segment.sequence, segment.payload, is_fin, push, now_ns, connection.rtt.rto_ns)
    if receiver.fin_taken:
        _take_fin(connection, now_ns)


def _take_congestion_mark(connection: Connection, segment: Segment) -> None:
    """Remember that a router marked the segment, until the peer says that it slowed down (RFC 3168, section 6.1.3)."""
    if segment.flags & CWR:
        connection.echoes_congestion = False
        if segment.payload:
            connection.receiver.acks.now = True
    if segment.ecn == ECN_CE and segment.payload:
        if not connection.echoes_congestion:
            connection.receiver.acks.quick = max(connection.receiver.acks.quick, 2)
        connection.echoes_congestion = True


def _take_fin(connection: Connection, now_ns: int) -> None:
    """The peer has no more to send."""
    state = connection.state
    connection.move(Happening.FIN_ARRIVED, now_ns)
    if state is State.ESTABLISHED:
        connection.receiver.acks.interactive = True  # our FIN may be about to follow
    else:
        connection.send_ack(now_ns)
