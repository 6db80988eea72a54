"""What every segment of a connection has in common: acknowledgment, window, timestamps, SACK blocks, ECN flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.stack.tcp.segment import ECN_CAPABLE, PLAIN, RESET, RETRANSMISSION, Emit, Segment
from emu.stack.tcp.seq import MASK
from emu.wire.tcp import ACK, CWR, ECE, RST
from emu.wire.tcp_options import segment_options

if TYPE_CHECKING:
    from emu.stack.tcp.challenge_ack import ChallengeAcks
    from emu.stack.tcp.receive import Receiver
    from emu.stack.tcp.send import Sender

MS = 1_000_000


class Emission:
    """The part of a connection that sends segments.

    timestamp_offset: of our clock. timestamps_on, ecn_active: both sides agreed on them. ts_recent: the timestamp to
    echo. echoes_congestion: the peer is told that its segments were marked. challenges: how often it is contradicted.
    """

    __slots__ = (
        "challenges",
        "echoes_congestion",
        "ecn_active",
        "receiver",
        "segments_sent",
        "send_raw",
        "sender",
        "timestamp_offset",
        "timestamps_on",
        "ts_recent",
    )

    challenges: ChallengeAcks
    ecn_active: bool
    echoes_congestion: bool
    receiver: Receiver
    segments_sent: int
    send_raw: Emit
    sender: Sender
    timestamp_offset: int
    timestamps_on: bool
    ts_recent: int

    def timestamp(self, now_ns: int) -> int:
        """Return the value of our millisecond clock."""
        return (now_ns // MS + self.timestamp_offset) & MASK

    def echo_age_ns(self, segment: Segment, now_ns: int) -> int | None:
        """Return how long ago the timestamp that a segment echoes was sent; None when that cannot be told."""
        echo = segment.timestamp_echo
        if not echo or not self.timestamps_on:
            return None
        age_ms = (self.timestamp(now_ns) - echo) & MASK
        return age_ms * MS if age_ms < 0x80000000 else None

    def emit_segment(self, sequence: int, flags: int, payload: bytes, kind: int, now_ns: int) -> None:
        """Send a segment with the current acknowledgment and window."""
        receiver = self.receiver
        rcv_nxt = receiver.rcv_nxt
        acks = receiver.acks
        window = receiver.window.offer(rcv_nxt)
        if acks.scheduled or acks.quick:
            acks.acknowledged()
        if self.ecn_active:
            if self.echoes_congestion:
                flags |= ECE
            if kind == ECN_CAPABLE and self.sender.recovery.cwr_pending:
                flags |= CWR
                self.sender.recovery.cwr_pending = False
        if receiver.out_of_order.blocks or receiver.duplicate is not None or not self.timestamps_on:
            self._send(sequence, flags, window, payload, kind, now_ns)
            return
        self.segments_sent += 1
        timestamp = (now_ns // MS + self.timestamp_offset) & MASK
        self.send_raw(sequence, rcv_nxt, flags, window, timestamp, self.ts_recent, b"", payload, kind)

    def _send(self, sequence: int, flags: int, window: int, payload: bytes, kind: int, now_ns: int) -> None:
        """Send a segment that needs its options written out."""
        self.segments_sent += 1
        receiver = self.receiver
        timestamp, stamps = -1, None
        if self.timestamps_on:
            timestamp = self.timestamp(now_ns)
            stamps = (timestamp, self.ts_recent)
        blocks = () if kind in (RETRANSMISSION, RESET) and payload else receiver.sack_blocks(self.timestamps_on)
        options = segment_options(stamps, blocks)
        if stamps is not None and not blocks:
            options = b""
        self.send_raw(sequence, receiver.rcv_nxt, flags, window, timestamp, self.ts_recent, options, payload, kind)

    def send_ack(self, now_ns: int) -> None:
        """Send an acknowledgment."""
        self.emit_segment(self.sender.snd_nxt, ACK, b"", PLAIN, now_ns)

    def challenge(self, now_ns: int) -> None:
        """Send a challenge ACK, unless one was sent just now (RFC 5961, section 7)."""
        if self.challenges.allows(now_ns):
            self.send_ack(now_ns)

    def send_reset(self, now_ns: int) -> None:
        """Send a RST with our next sequence number."""
        receiver = self.receiver
        window = receiver.window.offer(receiver.rcv_nxt)
        self._send(self.sender.snd_nxt, ACK | RST, window, b"", RESET, now_ns)
