"""Loss detection by counting, as before RACK: three segments SACKed above it (RFC 6675, IsLost)."""

from __future__ import annotations

from emu.stack.tcp.scoreboard import Scoreboard
from emu.stack.tcp.sent_segment import EVER_RETRANSMITTED, LOST, SACKED


def mark_below_duplicates(board: Scoreboard, threshold: int) -> None:
    """Marks every segment lost that has `threshold` SACKed ones above it and was never sent again.

    Used when `net.ipv4.tcp_recovery` is 0.
    """
    queue = board.queue
    index = min(board.index_after(board.highest_sacked - 1), len(queue) - 1)
    above = 0
    while index >= board.head and above < threshold:
        above += queue[index].marks & SACKED
        index -= 1
    while index >= board.head:
        segment = queue[index]
        if segment.marks & (LOST | EVER_RETRANSMITTED):
            break
        if not segment.marks & SACKED:
            board.mark_lost(segment)
        index -= 1
