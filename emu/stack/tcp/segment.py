"""A segment that arrived, parsed, as the machine takes it in; and what the machine says of segments it sends."""

from __future__ import annotations

from collections.abc import Callable

from emu.wire.tcp import FIN, SYN, TcpView
from emu.wire.tcp_options import parse_tcp_options

PLAIN, ECN_CAPABLE, RETRANSMISSION, RESET, PROBE = range(5)
"""Kinds of outgoing segments: RETRANSMISSION and RESET are worth a note; ECN_CAPABLE goes out as ECT(0)."""

Emit = Callable[[int, int, int, int, int, int, bytes, bytes, int], None]
"""Called with (sequence, acknowledgment, flags, window, timestamp, echo, options, payload, kind) for every segment.

window: as in the header, scaled. options: empty for an ordinary segment, whose only option are the timestamps;
otherwise all options. timestamp is -1 in a connection without timestamps.
"""
ECN_CE = 3


class Segment:
    """A segment that arrived; numbers are those of its header, what is absent is None.

    ecn: the two ECN bits of its IP header. length: what it takes of the sequence space: data, SYN and FIN.
    """

    __slots__ = (
        "acknowledgment",
        "ecn",
        "flags",
        "length",
        "maximum_segment",
        "payload",
        "sack_blocks",
        "sack_permitted",
        "sequence",
        "timestamp",
        "timestamp_echo",
        "window",
        "window_scale",
    )

    def __init__(
        self,
        sequence: int,
        acknowledgment: int,
        flags: int,
        window: int,
        payload: bytes = b"",
        *,
        options: bytes = b"",
        ecn: int = 0,
    ) -> None:
        self.sequence = sequence
        self.acknowledgment = acknowledgment
        self.flags = flags
        self.window = window
        self.payload = payload
        self.ecn = ecn
        self.length = len(payload) + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)
        parsed = parse_tcp_options(options)
        self.maximum_segment = parsed.maximum_segment
        self.window_scale = parsed.window_scale
        self.sack_permitted = parsed.sack_permitted
        self.timestamp = parsed.timestamp_value
        self.timestamp_echo = parsed.timestamp_echo
        self.sack_blocks = parsed.sack_blocks

    @classmethod
    def from_view(cls, view: TcpView, ecn: int) -> Segment:
        """Take a segment over from the wire."""
        return cls(
            view.sequence,
            view.acknowledgment,
            view.flags,
            view.window,
            view.payload,
            options=view.options,
            ecn=ecn,
        )

    @property
    def end(self) -> int:
        """The sequence number that follows the segment."""
        return (self.sequence + self.length) & 0xFFFFFFFF
