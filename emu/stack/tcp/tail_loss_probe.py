"""Tail loss probes: a segment sent when nothing comes back any more, to find out before the timeout (RFC 8985, 7)."""

from __future__ import annotations

from emu.stack.tcp.scoreboard import AckFacts


class TailLossProbe:
    """The one probe that may be out.

    end: what `nxt` was after the probe left; -1 when none is out. retransmission: the probe was old data.
    """

    __slots__ = ("end", "retransmission")

    def __init__(self) -> None:
        self.end = -1
        self.retransmission = False

    def sent(self, nxt: int, retransmission: bool) -> None:
        """A probe has left."""
        self.end = nxt
        self.retransmission = retransmission

    def acked(self, una: int, facts: AckFacts, is_duplicate: bool) -> bool:
        """Takes an ACK that came while a probe is out; says whether the probe repaired a loss.

        It did if an ACK goes beyond the probe and no D-SACK nor duplicate ACK came before: had the original arrived
        too, the peer would have reported it.
        """
        if una < self.end:
            return False
        if not self.retransmission or facts.duplicate_block:
            self.end = -1
        elif una > self.end:
            self.end = -1
            return True
        elif is_duplicate and not facts.sacked:
            self.end = -1
        return False
