"""What a connection does when one of its deadlines has come."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from emu.stack.tcp.recovery_core import TimerAction
from emu.stack.tcp.state import Happening, State

if TYPE_CHECKING:
    from emu.stack.tcp.connection import Connection

ORPHAN_RETRIES = 8
"""How often a peer that still answers is asked when the program is gone already (tcp_orphan_retries 0 means this)."""


def expire(connection: Connection, now_ns: int) -> None:
    """Do what is due."""
    if connection.handshake.deadline_ns <= now_ns and not connection.handshake.repeat(now_ns):
        connection.end(connection.soft_error or errno.ETIMEDOUT)
    if connection.linger_deadline_ns <= now_ns:
        connection.move(Happening.TIME_IS_UP, now_ns)
    if not connection.was_established or connection.state.ended:
        return
    receiver, sender = connection.receiver, connection.sender
    acks = receiver.acks
    if acks.deadline_ns <= now_ns and acks.is_due(now_ns) and acks.waited_in_vain(connection.rtt.rto_ns):
        connection.send_ack(now_ns)
    if sender.recovery.deadline_ns <= now_ns:
        _recover(connection, now_ns)
    if sender.persist.deadline_ns <= now_ns and connection.state is not State.CLOSED:
        _probe_window(connection, now_ns)
    if connection.keepalive.deadline_ns <= now_ns and connection.state is not State.CLOSED:
        _keep_alive(connection, now_ns)


def _recover(connection: Connection, now_ns: int) -> None:
    sender = connection.sender
    recovery = sender.recovery
    timeouts = recovery.counters.timeouts
    action = recovery.timer(now_ns)
    if recovery.counters.timeouts != timeouts:
        if connection.timeouts_after_ns != connection.progress_ns:
            connection.timeouts_after_ns = connection.progress_ns
            connection.timeouts = 0
        connection.timeouts += 1
        if connection.orphaned and connection.timeouts > _orphan_retries(connection):
            action = TimerAction.GIVE_UP
    if action is TimerAction.GIVE_UP:
        connection.end(connection.soft_error or errno.ETIMEDOUT)
    elif action is TimerAction.PROBE:
        if not sender.send_probe_segment(now_ns):
            sender.retransmit(recovery.probe_segment(), now_ns)
    elif action is TimerAction.RETRANSMIT:
        sender.output(now_ns)


def _orphan_retries(connection: Connection) -> int:
    return connection.settings.orphan_retries or ORPHAN_RETRIES


def _probe_window(connection: Connection, now_ns: int) -> None:
    persist = connection.sender.persist
    limit = _orphan_retries(connection) if connection.orphaned else connection.settings.retries2
    waited_ns = now_ns - persist.since_ns
    if persist.unanswered >= limit or (connection.user_timeout_ns and waited_ns >= connection.user_timeout_ns):
        connection.end(connection.soft_error or errno.ETIMEDOUT)
    else:
        connection.sender.probe_window(now_ns)


def _keep_alive(connection: Connection, now_ns: int) -> None:
    busy = bool(connection.sender.outstanding) or connection.sender.has_unsent
    action = connection.keepalive.due(now_ns, busy, connection.user_timeout_ns)
    if action == "give up":
        connection.send_reset(now_ns)
        connection.end(connection.soft_error or errno.ETIMEDOUT)
    elif action == "probe":
        connection.sender.send_old_sequence(now_ns)
