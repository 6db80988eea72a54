"""Data that arrived ahead of its turn: kept until the gap is filled, reported by SACK (RFC 2018, RFC 2883)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from emu.stack.tcp.seq import MASK, seq_diff, seq_leq, seq_lt

Block = tuple[int, int]
BLOCKS_KEPT = 4


class OutOfOrderQueue:
    """The pieces beyond the first gap, without overlaps, and the SACK blocks that describe them.

    blocks: (left edge, right edge), the one that changed last first, at most four. bytes: data kept.
    """

    __slots__ = ("_payloads", "_reference", "_starts", "blocks", "bytes")

    def __init__(self, sequence: int) -> None:
        self._reference = sequence
        """Starts are kept as numbers that do not wrap: this one's low 32 bits are a sequence number."""
        self._starts: list[int] = []
        self._payloads: list[bytes] = []
        self.blocks: list[Block] = []
        self.bytes = 0

    def __bool__(self) -> bool:
        return bool(self._starts) or bool(self.blocks)

    def insert(self, sequence: int, payload: bytes, end: int) -> Block | None:
        """Keep a piece; return the range that was there already, for a DSACK, or None.

        end: the sequence number after the segment: one more than its data's when it carries a FIN.
        """
        start = self._unwrap(sequence)
        before = bisect_right(self._starts, start) - 1
        position = start
        if before >= 0:
            position = max(start, self._starts[before] + len(self._payloads[before]))
        duplicate: Block | None = None
        data_end = start + len(payload)
        if position > start:
            duplicate = (sequence, min(position, data_end) & MASK)
        while position < data_end:
            index = bisect_left(self._starts, position)
            gap_end = min(self._starts[index], data_end) if index < len(self._starts) else data_end
            if gap_end > position:
                self._starts.insert(index, position)
                self._payloads.insert(index, payload[position - start : gap_end - start])
                self.bytes += gap_end - position
                index += 1
            if gap_end >= data_end:
                break
            covered_end = self._starts[index] + len(self._payloads[index])
            if duplicate is None:
                duplicate = (gap_end & MASK, min(covered_end, data_end) & MASK)
            position = covered_end
        self._report(sequence, end)
        return duplicate

    def take(self, rcv_nxt: int) -> list[bytes]:
        """Take out what follows `rcv_nxt` without a gap, and forget the blocks that are no longer ahead."""
        taken: list[bytes] = []
        position = self._unwrap(rcv_nxt)
        starts, payloads = self._starts, self._payloads
        count = 0
        while count < len(starts) and starts[count] <= position:
            payload = payloads[count]
            self.bytes -= len(payload)
            fresh = payload[position - starts[count] :]
            if fresh:
                taken.append(fresh)
                position += len(fresh)
            count += 1
        del starts[:count], payloads[:count]
        self._reference = position
        self.forget(position & MASK)
        return taken

    def forget(self, rcv_nxt: int) -> None:
        """Forget the blocks that begin at or before `rcv_nxt`."""
        self.blocks = [block for block in self.blocks if seq_lt(rcv_nxt, block[0])]

    def _unwrap(self, sequence: int) -> int:
        return self._reference + seq_diff(sequence, self._reference & MASK)

    def _report(self, left: int, right: int) -> None:
        """Put the block of a new piece first, joined with those that it touches."""
        others = []
        for block in self.blocks:
            if seq_leq(block[0], right) and seq_leq(left, block[1]):
                left = block[0] if seq_lt(block[0], left) else left
                right = block[1] if seq_lt(right, block[1]) else right
            else:
                others.append(block)
        self.blocks = [(left, right), *others][:BLOCKS_KEPT]
