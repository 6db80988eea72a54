"""The sending side: what may leave now, in which pieces (RFC 9293, section 3.8.6; Linux's tcp_write_xmit)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.stack.tcp.persist import Persist
from emu.stack.tcp.segment import ECN_CAPABLE, PLAIN, PROBE, RETRANSMISSION
from emu.stack.tcp.send_buffer import SendBuffer
from emu.stack.tcp.seq import MASK, seq_diff
from emu.wire.tcp import ACK, FIN, PSH

if TYPE_CHECKING:
    from emu.stack.tcp.connection import Connection
    from emu.stack.tcp.handshake import Handshake
    from emu.stack.tcp.offload import SentPacket
    from emu.stack.tcp.recovery import LossRecovery
    from emu.stack.tcp.sent_segment import SentSegment

SMALL_WINDOW = 536
GSO_PAYLOAD_MAX = 65536 - 1 - 320
"""What Linux puts into one packet at most, for it to be cut into segments below TCP (MAX_TCP_HEADER is 320)."""


class Sender:
    """What has been and is to be sent on a connection.

    snd_una, snd_nxt: oldest unacknowledged and next sequence number. snd_wnd: the peer's window in bytes; max_window:
    the largest it ever was. mss: payload of a full segment. small_end: the end of the last segment that was not full
    (for Minshall's variant of Nagle's algorithm). fin_wanted, fin_sent: about our FIN. no_delay: TCP_NODELAY.
    leaving: what is being sent right now, to be told when it passes the interface; None for bare acknowledgments.
    blocked: the device below has enough of our segments already; nothing new leaves until it is False again.
    """

    __slots__ = (
        "_connection",
        "blocked",
        "buffer",
        "bytes_sent",
        "fin_sent",
        "fin_wanted",
        "leaving",
        "max_window",
        "mss",
        "no_delay",
        "path_mss",
        "persist",
        "recovery",
        "small_end",
        "snd_nxt",
        "snd_una",
        "snd_wl1",
        "snd_wnd",
        "window_scale",
    )

    def __init__(self, connection: Connection, iss: int) -> None:
        self._connection = connection
        settings = connection.settings
        self.buffer = SendBuffer()
        self.persist = Persist(settings.rto_min_ns, settings.rto_max_ns, settings.clock_granularity_ns)
        self.recovery: LossRecovery
        self.snd_una = iss
        self.snd_nxt = iss
        self.snd_wnd = 0
        self.snd_wl1 = 0
        self.max_window = 0
        self.window_scale = 0
        self.mss = self.path_mss = 536
        self.small_end = iss
        self.fin_wanted = False
        self.fin_sent = False
        self.no_delay = False
        self.leaving: SentSegment | SentPacket | Handshake | None = None
        self.blocked = False
        self.bytes_sent = 0

    @property
    def outstanding(self) -> int:
        """How many sequence numbers are unacknowledged."""
        return (self.snd_nxt - self.snd_una) & MASK

    @property
    def has_unsent(self) -> bool:
        """Whether data or a FIN waits to be sent."""
        return self.buffer.unsent > 0 or (self.fin_wanted and not self.fin_sent)

    def can_send_new(self) -> bool:
        """Tell whether there is new data and the peer's window takes it (asked by loss recovery)."""
        unsent = self.buffer.unsent
        return unsent > 0 and min(unsent, self.mss) <= self.snd_wnd - self.outstanding

    # -- the peer's window --------------------------------------------------------------------------------------------

    def set_window(self, window: int) -> None:
        """Take over the window that the peer offers, in bytes."""
        self.snd_wnd = window
        if window > self.max_window:
            self.max_window = window
            if self.mss < self.path_mss:
                before = self.mss
                self.choose_mss()
                if self.mss != before and self._connection.was_established:
                    self.recovery.mss_grew(self.mss)

    def choose_mss(self) -> None:
        """Choose the size of a full segment: what the path carries, but at most half the peer's largest window."""
        limit = self.max_window >> 1 if self.max_window > SMALL_WINDOW else self.max_window
        self.mss = min(self.path_mss, max(limit, 68 - 40)) if limit else self.path_mss

    # -- output -------------------------------------------------------------------------------------------------------

    def output(self, now_ns: int) -> None:
        """Send everything that may be sent now: what was lost first, then new data, then the FIN."""
        if self.blocked:
            return
        recovery = self.recovery
        while (segment := recovery.next_retransmission(now_ns)) is not None:
            self.retransmit(segment, now_ns)
        unsent = self.buffer.unsent
        if unsent:
            room = recovery.room(now_ns)
            if self._output_data(unsent, room, now_ns):
                recovery.app_limited()
        elif self.fin_wanted and not self.fin_sent:
            self._output_fin(now_ns)
        if self.snd_nxt == self.snd_una:
            self._watch_window(now_ns)

    def _output_data(self, unsent: int, room: int, now_ns: int) -> bool:
        """Send new data while congestion window, peer's window and Nagle allow; True if cwnd was not the limit.

        Linux sends several segments as one packet, which is cut into segments below TCP: of half the congestion window
        at most, and of 64 KiB. It shows: the last segment of each such packet has PSH, and may be a short one that
        fills the peer's window.
        """
        mss = self.mss
        receiver = self._connection.receiver
        if receiver.out_of_order.blocks or receiver.duplicate is not None:
            mss -= receiver.sack_option_length(self._connection.timestamps_on)
        window = self.snd_wnd - ((self.snd_nxt - self.snd_una) & MASK)
        short_allowed = self.no_delay or self.fin_wanted or seq_diff(self.small_end, self.snd_una) <= 0  # Nagle
        packet_max = min(self.recovery.cwnd // mss >> 1, GSO_PAYLOAD_MAX // mss) or 1
        in_packet = 0
        while unsent:
            size = mss if unsent > mss else unsent
            if size > room:
                return False
            if size > window:
                if not in_packet or window <= 0 or not short_allowed:
                    return True
                size = window
            if size < mss and not short_allowed:
                return True
            unsent -= size
            room -= size
            window -= size
            in_packet += 1
            following = mss if unsent > mss else unsent
            ends_packet = (
                in_packet == packet_max
                or not following
                or following > room
                or (following > window and not (window > 0 and short_allowed))
                or (following < mss and not short_allowed)
            )
            if self._send_new(size, not unsent, mss, ends_packet and in_packet > 1, now_ns) or ends_packet:
                in_packet = 0
            if self.blocked:
                return False
        return room >= mss

    def _send_new(self, size: int, is_last: bool, mss: int, push: bool, now_ns: int) -> bool:
        """Send the next piece of the stream; the FIN rides on the last one if it is wanted. True: it had PSH."""
        buffer = self.buffer
        payload = buffer.take(size)
        if buffer.passes_mark():
            push = True
        flags = ACK | PSH if push else ACK
        sequence = self.snd_nxt
        is_fin = is_last and self.fin_wanted
        nxt = sequence + size
        if is_fin:
            flags |= FIN
            nxt += 1
            self.fin_sent = True
        self.snd_nxt = nxt = nxt & MASK
        if size < mss:
            self.small_end = nxt
        self.bytes_sent += size
        connection = self._connection
        self.leaving = self.recovery.sent(sequence, payload, is_fin, now_ns)
        connection.receiver.acks.data_sent(now_ns)
        connection.emit_segment(sequence, flags, payload, ECN_CAPABLE if connection.ecn_active else PLAIN, now_ns)
        self.leaving = None
        return push

    def _output_fin(self, now_ns: int) -> None:
        """Send a FIN of its own; the congestion window does not hold it back, the peer's window does."""
        if ((self.snd_nxt - self.snd_una) & MASK) >= self.snd_wnd:
            return
        sequence = self.snd_nxt
        self.snd_nxt = (sequence + 1) & MASK
        self.fin_sent = True
        self.leaving = self.recovery.sent(sequence, b"", True, now_ns)
        self._connection.emit_segment(sequence, ACK | FIN, b"", PLAIN, now_ns)
        self.leaving = None

    def retransmit(self, segment: SentSegment, now_ns: int) -> None:
        """Send a segment again."""
        flags = ACK
        if segment.payload and (segment.end_seq == self.snd_nxt or segment.is_fin):
            flags |= PSH
        if segment.is_fin:
            flags |= FIN
        self._connection.emit_segment(segment.seq, flags, segment.payload, RETRANSMISSION, now_ns)
        self.recovery.retransmitted(segment, now_ns)

    def send_probe_segment(self, now_ns: int) -> bool:
        """Send one new segment as a tail loss probe; False when there is none or the window forbids it."""
        unsent = self.buffer.unsent
        if not unsent:
            return False
        connection = self._connection
        size = min(unsent, self.mss - connection.receiver.sack_option_length(connection.timestamps_on))
        if size > self.snd_wnd - self.outstanding:
            return False
        self._send_new(size, size == unsent, self.mss, False, now_ns)
        return True

    # -- zero window --------------------------------------------------------------------------------------------------

    def _watch_window(self, now_ns: int) -> None:
        """Start the persist timer when something waits and nothing that is under way will bring an answer."""
        persist = self.persist
        if not self.has_unsent or self.blocked:
            if persist.active:
                persist.stop()
        elif not persist.active:
            persist.start(now_ns, self._connection.rtt.rto_ns)

    def window_heard(self, now_ns: int) -> None:
        """Take note of an ACK that came while nothing was outstanding (Linux's tcp_ack_probe)."""
        persist = self.persist
        if not persist.active:
            return
        size = min(self.buffer.unsent or 1, self.mss)
        if size <= self.snd_wnd:
            persist.stop()
        else:
            persist.answered(now_ns, self._connection.rtt.rto_ns)

    def probe_window(self, now_ns: int) -> None:
        """Send what fits into a small window, or an old sequence number that makes the peer say its window."""
        room = self.snd_wnd - self.outstanding
        unsent = self.buffer.unsent
        self.persist.probed(now_ns, self._connection.rtt.rto_ns)
        if unsent and room > 0:
            receiver = self._connection.receiver
            size = min(unsent, room, self.mss - receiver.sack_option_length(self._connection.timestamps_on))
            self._send_new(size, size == unsent, self.mss, True, now_ns)
            self.persist.stop()
        elif not unsent and room > 0 and self.has_unsent:
            self._output_fin(now_ns)
            self.persist.stop()
        else:
            self.send_old_sequence(now_ns)

    def send_old_sequence(self, now_ns: int) -> None:
        """Send an empty segment that the peer must answer, because it has seen its sequence number already."""
        self._connection.emit_segment((self.snd_una - 1) & MASK, ACK, b"", PROBE, now_ns)
