"""What a program can learn about its connection, as `ss -ti` and TCP_INFO tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emu.stack.tcp.recovery_core import RecoveryCounters

if TYPE_CHECKING:
    from emu.stack.tcp.connection import Connection


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """A connection's numbers at one moment; times in ns, sizes in bytes.

    state: as `ss` writes it. recovery_state: Linux's name (Open, Disorder, CWR, Recovery, Loss). bytes_sent counts data
    once, however often it was sent; bytes_acked: what of it arrived. rto_ns: the present timeout with its backoff.
    send_window, receive_window: what the peer offers, and what we offered last.
    """

    state: str
    congestion: str
    recovery_state: str
    srtt_ns: int
    rttvar_ns: int
    rto_ns: int
    cwnd_bytes: int
    ssthresh_bytes: int
    mss: int
    send_window: int
    receive_window: int
    bytes_sent: int
    bytes_acked: int
    bytes_received: int
    bytes_in_flight: int
    segments_sent: int
    segments_received: int
    retransmissions: int
    fast_retransmits: int
    timeouts: int
    tail_loss_probes: int
    spurious: int
    lost: int
    dsacks_received: int


def info_of(connection: Connection) -> TcpInfo:
    """Read the numbers of a connection."""
    sender, receiver, rtt = connection.sender, connection.receiver, connection.rtt
    started = hasattr(sender, "recovery")
    counters = sender.recovery.counters if started else RecoveryCounters()
    unacknowledged = sender.outstanding if connection.was_established else 0
    fin = 1 if sender.fin_sent and unacknowledged else 0
    return TcpInfo(
        state=connection.state.value,
        congestion=connection.congestion_name,
        recovery_state=sender.recovery.state_name if started else "Open",
        srtt_ns=rtt.srtt_ns,
        rttvar_ns=rtt.rttvar_ns,
        rto_ns=sender.recovery.rto_ns if started else connection.settings.rto_initial_ns,
        cwnd_bytes=sender.recovery.cwnd if started else 0,
        ssthresh_bytes=sender.recovery.ssthresh if started else 0,
        mss=sender.mss,
        send_window=sender.snd_wnd,
        receive_window=receiver.window.offered,
        bytes_sent=sender.bytes_sent,
        bytes_acked=sender.bytes_sent - max(0, unacknowledged - fin),
        bytes_received=receiver.received,
        bytes_in_flight=sender.recovery.in_flight if started else 0,
        segments_sent=connection.segments_sent,
        segments_received=connection.segments_received,
        retransmissions=counters.retransmissions + connection.handshake.retries,
        fast_retransmits=counters.fast_retransmits,
        timeouts=counters.timeouts,
        tail_loss_probes=counters.tail_loss_probes,
        spurious=counters.spurious,
        lost=sender.recovery.lost if started else 0,
        dsacks_received=counters.dsacks_received,
    )
