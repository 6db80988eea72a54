"""The sending side of a connection that leaves cutting to the hardware: one long segment for each of Linux's packets.

What is sent, and when, is what `Sender` sends: the same packets of half the congestion window and of 64 KiB at most
(Linux's tcp_write_xmit). Loss recovery keeps account of segments of ordinary length, and what it sends again leaves
in such, too.

A packet that would be much shorter than it could be waits for the next ACK (Linux's tcp_tso_should_defer).

Limits: Linux sends lost segments again several at a time as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.stack.tcp.recovery_core import RECOVERY
from emu.stack.tcp.segment import ECN_CAPABLE, PLAIN
from emu.stack.tcp.send import GSO_PAYLOAD_MAX, Sender
from emu.stack.tcp.seq import MASK, seq_diff
from emu.wire.tcp import ACK, FIN, PSH

if TYPE_CHECKING:
    from emu.stack.tcp.connection import Connection
    from emu.stack.tcp.sent_segment import SentSegment

MS = 1_000_000
WHOLE = 1 << 30
WINDOW_DIVISOR = 3
"""A packet of at least a third of the window leaves at once (net.ipv4.tcp_tso_win_divisor)."""


class SentPacket:
    """The segments that left as one."""

    __slots__ = ("_segments",)

    def __init__(self, segments: list[SentSegment]) -> None:
        self._segments = segments

    def left(self, now_ns: int) -> None:
        """Note for each that it passes its interface only now (see `SentSegment.left`)."""
        for segment in self._segments:
            segment.left(now_ns)


class OffloadingSender(Sender):
    """A `Sender` whose long segments are cut further down.

    segment_size: bytes in each piece of the segment that is being emitted; `WHOLE` for one that stays in one piece.
    """

    __slots__ = ("_sent_ns", "segment_size")

    def __init__(self, connection: Connection, iss: int) -> None:
        super().__init__(connection, iss)
        self.segment_size = WHOLE
        self._sent_ns = 0

    def _output_data(self, unsent: int, room: int, now_ns: int) -> bool:
        """Send new data while congestion window, peer's window and Nagle allow; True if cwnd was not the limit."""
        mss = self.mss
        connection = self._connection
        receiver = connection.receiver
        if receiver.out_of_order.blocks or receiver.duplicate is not None:
            mss -= receiver.sack_option_length(connection.timestamps_on)
        window = self.snd_wnd - self.outstanding
        short_allowed = self.no_delay or self.fin_wanted or seq_diff(self.small_end, self.snd_una) <= 0  # Nagle
        half_window = max(self.max_window >> 1, mss)
        packet_max = min(self.recovery.cwnd >> 1, GSO_PAYLOAD_MAX, half_window) // mss or 1
        while unsent:
            if unsent > mss and self._is_better_deferred(
                min(unsent, half_window), room, window, packet_max * mss, now_ns
            ):
                return room >= window
            size = _packet_size(unsent, room, window, mss, packet_max, short_allowed)
            if not size:
                return room >= min(unsent, mss)
            unsent -= size
            room -= size
            window -= size
            self._send_packet(size, not unsent, mss, now_ns)
            if size % mss:
                short_allowed = self.no_delay or self.fin_wanted
            if self.blocked:
                return False
        return room >= mss

    def _is_better_deferred(self, queued: int, room: int, window: int, packet_max: int, now_ns: int) -> bool:
        """Tell whether to wait for the next ACK with what could only be a short packet (Linux's tcp_tso_should_defer).

        queued: bytes in the packet as the program has filled it. packet_max: bytes in the longest packet.
        """
        limit = min(room, window)
        recovery = self.recovery
        oldest_ns = recovery.oldest_sent_ns
        if oldest_ns < 0 or limit >= packet_max or recovery.state >= RECOVERY or now_ns - self._sent_ns > MS:
            return False
        if limit >= queued < self.buffer.unsent or limit >= min(self.snd_wnd, recovery.cwnd) // WINDOW_DIVISOR:
            return False
        srtt_ns = self._connection.rtt.srtt_ns
        if oldest_ns + srtt_ns - now_ns > min(srtt_ns >> 1, MS):
            return False  # the next ACK will take too long
        return limit <= queued or not self.fin_wanted

    def _send_packet(self, size: int, is_last: bool, mss: int, now_ns: int) -> None:
        """Send the next `size` bytes of the stream as one segment; the FIN rides on the last one if it is wanted."""
        payload = self.buffer.take(size)
        flags = ACK | PSH if self.buffer.passes_mark() or size > mss else ACK
        sequence = self.snd_nxt
        is_fin = is_last and self.fin_wanted
        if is_fin:
            flags |= FIN
            self.fin_sent = True
        self.snd_nxt = nxt = (sequence + size + is_fin) & MASK
        if size % mss:
            self.small_end = nxt
        self.bytes_sent += size
        connection = self._connection
        sent = self.recovery.sent
        segments = []
        for offset in range(0, size, mss):
            ends = offset + mss >= size
            segments.append(sent((sequence + offset) & MASK, payload[offset : offset + mss], is_fin and ends, now_ns))
        self.leaving = SentPacket(segments)
        self._sent_ns = now_ns
        connection.receiver.acks.data_sent(now_ns)
        connection.segments_sent += -(-size // mss) - 1
        self.segment_size = mss
        connection.emit_segment(sequence, flags, payload, ECN_CAPABLE if connection.ecn_active else PLAIN, now_ns)
        self.segment_size = WHOLE
        self.leaving = None


def _packet_size(unsent: int, room: int, window: int, mss: int, segments_max: int, short_allowed: bool) -> int:
    """Return how many bytes may leave as one packet now: full segments, and perhaps a short one behind them.

    A short one is the end of the data, or what fills the peer's window behind a full one; Nagle must allow it.
    """
    full = max(0, min(unsent // mss, room // mss, window // mss, segments_max))
    size = full * mss
    rest = min(unsent - size, mss)
    if full == segments_max or not rest or not short_allowed or rest > room - size:
        return size
    if rest <= window - size:
        return size + rest if rest < mss else size
    return window if full and window > size else size
