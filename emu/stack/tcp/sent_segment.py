"""One segment that has been sent and not yet acknowledged, and the marks that loss recovery puts on it."""

from __future__ import annotations

SACKED = 1
LOST = 2
RETRANSMITTED = 4
EVER_RETRANSMITTED = 8


class SentSegment:
    """A segment in the retransmission queue.

    seq: its sequence number on the wire. end: where it ends in the stream, counted without wrapping. length: sequence
    numbers it takes (payload, and one for a FIN). sent_ns: its last transmission; first_sent_ns: its first.
    marks: SACKED, LOST, RETRANSMITTED (since it was lost: the copy is in the network), EVER_RETRANSMITTED.
    Linux's names for them are the same; the segment is in the network if it is neither SACKed nor lost, or if it is
    lost and its copy is out.
    """

    __slots__ = ("end", "first_sent_ns", "is_fin", "length", "marks", "payload", "sent_ns", "seq", "transmissions")

    def __init__(self, seq: int, payload: bytes, is_fin: bool, length: int, end: int, now_ns: int) -> None:
        self.seq = seq
        self.payload = payload
        self.is_fin = is_fin
        self.length = length
        self.end = end
        self.sent_ns = self.first_sent_ns = now_ns
        self.transmissions = 1
        self.marks = 0

    def left(self, now_ns: int) -> None:
        """Note that it passes its interface only now, because the host's CPU was busy: its round trip begins here."""
        if self.transmissions == 1:
            self.sent_ns = self.first_sent_ns = now_ns

    @property
    def end_seq(self) -> int:
        """The sequence number after its last."""
        return (self.seq + self.length) & 0xFFFFFFFF

    @property
    def sacked(self) -> bool:
        """The peer said that it has it (it may still forget it)."""
        return bool(self.marks & SACKED)

    @property
    def lost(self) -> bool:
        """Its first transmission is believed to be lost."""
        return bool(self.marks & LOST)

    @property
    def retransmitted(self) -> bool:
        """A copy is in the network."""
        return bool(self.marks & RETRANSMITTED)

    @property
    def in_flight(self) -> int:
        """Its bytes that are believed to be in the network (RFC 6675, "pipe")."""
        marks = self.marks
        return 0 if marks & SACKED or marks & (LOST | RETRANSMITTED) == LOST else self.length

    def __lt__(self, other: SentSegment) -> bool:
        return self.end < other.end

    def __repr__(self) -> str:
        names = ("sacked", "lost", "retransmitted", "ever")
        marks = "+".join(name for bit, name in enumerate(names) if self.marks >> bit & 1)
        return f"<SentSegment {self.end - self.length}..{self.end} x{self.transmissions} {marks}>"
