"""Opening: SYN and SYN-ACK, what both sides agree on, and how often a SYN is repeated (RFC 9293, section 3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.stack.tcp.receive_window import DEFAULT_SEGMENT, ReceiveWindow, choose_scale
from emu.stack.tcp.segment import PLAIN, RETRANSMISSION, Segment
from emu.stack.tcp.seq import MASK
from emu.stack.tcp.state import State
from emu.stack.tcp.timers import NEVER, expiry_ns
from emu.wire.tcp import ACK, CWR, ECE, SYN
from emu.wire.tcp_options import TIMESTAMPS_LENGTH, syn_options

if TYPE_CHECKING:
    from emu.stack.tcp.connection import Connection

MS = 1_000_000
SMALLEST_MSS = 48
"""Linux's TCP_MIN_SND_MSS: what a peer announces below that counts as this."""


class Handshake:
    """What a connection does until both SYNs are acknowledged.

    deadline_ns: when SYN or SYN-ACK is repeated. retries: how often it was. sent_ns: when it was sent first;
    left_ns: when that passed the interface.
    The options offered: timestamps, sack, window scale, as the settings say; in an answer only what the peer has.
    Source: Linux tcp_connect(), tcp_retransmit_timer() for linear timeouts, reqsk_timer_handler().
    """

    __slots__ = (
        "_connection",
        "_is_answer",
        "_offers_ecn",
        "deadline_ns",
        "echo_ns",
        "left_ns",
        "retries",
        "sack",
        "scaling",
        "sent_ns",
        "timestamps",
    )

    def __init__(self, connection: Connection) -> None:
        settings = connection.settings
        self._connection = connection
        self._is_answer = False
        self._offers_ecn = settings.ecn == 1
        self.deadline_ns = NEVER
        self.retries = 0
        self.sent_ns = self.left_ns = 0
        self.echo_ns = -1
        self.timestamps = settings.timestamps
        self.sack = settings.sack
        self.scaling = settings.window_scaling

    # -- sending ------------------------------------------------------------------------------------------------------

    def send_syn(self, now_ns: int) -> None:
        """Send the SYN of an active open."""
        self.sent_ns = self.left_ns = now_ns
        self._arm(now_ns)
        self._emit(SYN | (ECE | CWR if self._offers_ecn else 0), now_ns, PLAIN)

    def send_syn_ack(self, now_ns: int) -> None:
        """Send the SYN-ACK, in answer to a SYN."""
        if not self._is_answer:
            self._is_answer = True
            self.retries = 0
            self.sent_ns = self.left_ns = now_ns
        self._arm(now_ns)
        self._emit(self._syn_ack_flags(), now_ns, PLAIN)

    def repeat(self, now_ns: int) -> bool:
        """Send SYN or SYN-ACK once more; False when it was repeated often enough."""
        settings = self._connection.settings
        if self.retries >= (settings.synack_retries if self._is_answer else settings.syn_retries_in_all):
            self.deadline_ns = NEVER
            return False
        self.retries += 1
        self._arm(now_ns)
        if self._is_answer:
            flags = self._syn_ack_flags()
        else:
            flags = SYN | (ECE | CWR if self._offers_ecn and self.retries < 2 else 0)
        self._emit(flags, now_ns, RETRANSMISSION)
        return True

    def repeat_answer(self, now_ns: int) -> None:
        """Send the SYN-ACK again because the SYN came again."""
        self._emit(self._syn_ack_flags(), now_ns, RETRANSMISSION)

    def _syn_ack_flags(self) -> int:
        return SYN | ACK | (ECE if self._connection.ecn_active else 0)

    def _arm(self, now_ns: int) -> None:
        settings = self._connection.settings
        doublings = self.retries
        if not self._is_answer:
            doublings = max(0, doublings - settings.syn_linear_timeouts)
        delay_ns = min(settings.rto_initial_ns << min(doublings, 20), settings.rto_max_ns)
        self.deadline_ns = expiry_ns(now_ns, delay_ns, settings.clock_granularity_ns)

    def _emit(self, flags: int, now_ns: int, kind: int) -> None:
        connection = self._connection
        window = connection.receiver.window
        timestamp, echo = -1, 0
        stamps = None
        if self.timestamps:
            timestamp = connection.timestamp(now_ns)
            echo = connection.ts_recent if flags & ACK else 0
            stamps = (timestamp, echo)
        options = syn_options(
            connection.advertised_mss,
            sack_permitted=self.sack,
            timestamps=stamps,
            window_scale=window.scale if self.scaling else None,
        )
        acknowledgment = connection.receiver.rcv_nxt if flags & ACK else 0
        field = min(window.offered, 0xFFFF)
        sender = connection.sender
        sender.leaving = self
        connection.send_raw(connection.iss, acknowledgment, flags, field, timestamp, echo, options, b"", kind)
        sender.leaving = None

    def left(self, now_ns: int) -> None:
        """Note that the SYN or SYN-ACK passes its interface only now, because the host's CPU was busy."""
        if not self.retries:
            self.left_ns = now_ns

    # -- agreeing -----------------------------------------------------------------------------------------------------

    def offer(self) -> None:
        """Lay out the receive window for a SYN, before the peer's options are known."""
        connection = self._connection
        connection.receiver.window = self._make_window(connection.advertised_mss)

    def _make_window(self, mss: int) -> ReceiveWindow:
        settings = self._connection.settings
        scale = choose_scale(settings.receive_buffer, settings.receive_buffer_max) if self.scaling else 0
        return ReceiveWindow(
            settings.receive_buffer, settings.receive_buffer_max, settings.receive_autotuning, mss, scale
        )

    def take_options(self, segment: Segment, now_ns: int) -> None:
        """Agree with what the peer's SYN or SYN-ACK offers, and begin to receive after it."""
        connection = self._connection
        self.timestamps = self.timestamps and segment.timestamp is not None
        self.sack = self.sack and segment.sack_permitted
        self.scaling = self.scaling and segment.window_scale is not None
        connection.timestamps_on = self.timestamps
        if segment.timestamp is not None and self.timestamps:
            connection.ts_recent = segment.timestamp
            connection.ts_recent_ns = now_ns
        stamps_length = TIMESTAMPS_LENGTH if self.timestamps else 0
        window = connection.receiver.window
        if connection.state is State.SYN_SENT:  # the SYN has offered it
            window.advertised_mss = connection.advertised_mss - stamps_length
        else:
            window = connection.receiver.window = self._make_window(connection.advertised_mss - stamps_length)
        if not self.scaling:
            window.scale = 0
        sender = connection.sender
        sender.window_scale = segment.window_scale or 0 if self.scaling else 0
        peer_mss = max(segment.maximum_segment or DEFAULT_SEGMENT, SMALLEST_MSS)
        connection.peer_mss = min(peer_mss, connection.maximum_segment)
        connection.choose_path_mss()
        rcv_nxt = (segment.sequence + 1) & MASK  # data and FIN of a SYN are not taken, and so come again
        connection.receiver.begin(rcv_nxt, sack=self.sack, peer_mss=sender.path_mss, now_ns=now_ns)
        sender.snd_wl1 = segment.sequence
        sender.set_window(segment.window)  # never scaled in a SYN (RFC 7323, section 2.2)
        sender.choose_mss()

    def agree_on_ecn(self, segment: Segment) -> None:
        """Use ECN when both sides want it (RFC 3168, section 6.1.1)."""
        flags = segment.flags & (ECE | CWR)
        if segment.flags & ACK:
            self._connection.ecn_active = self._offers_ecn and flags == ECE
        else:
            self._connection.ecn_active = bool(self._connection.settings.ecn) and flags == ECE | CWR and not segment.ecn

    def finished(self, segment: Segment, now_ns: int) -> None:
        """Both SYNs are acknowledged: learn the round-trip time (RFC 6298; not from a repeated SYN, Karn)."""
        self.deadline_ns = NEVER
        connection = self._connection
        if not self.retries:
            rtt_ns = max(now_ns - self.left_ns, 1_000)
            connection.rtt.sample(rtt_ns)
            connection.rtt.shortest(rtt_ns, now_ns)  # an empty segment is the fastest: RACK compares with it
        else:
            age_ns = connection.echo_age_ns(segment, now_ns)
            if age_ns is not None:
                connection.rtt.sample(max(age_ns, MS))
