"""The retransmission queue: what was sent and is not acknowledged, what of it arrived, is lost, is out again.

Offsets count the bytes of the stream without wrapping (the first byte after the SYN is 0), so they compare as plain
numbers. The queue is a list in stream order whose head moves: a cumulative ACK costs one step per segment, a SACK
block a binary search and one step per segment that was not known to have arrived.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from heapq import heappop, heappush
from operator import attrgetter, itemgetter

from emu.stack.tcp.sent_segment import (
    EVER_RETRANSMITTED,
    LOST,
    RETRANSMITTED,
    SACKED,
    SentSegment,
)

_end = attrgetter("end")
_sent_ns = itemgetter(0)
STATE = SACKED | LOST | RETRANSMITTED
COMPACT_AT = 64


class AckFacts:
    """What one ACK told: filled by the scoreboard, read by the recovery algorithms.

    advanced: bytes that the cumulative acknowledgement moved. delivered: bytes now known to have arrived that were not
    before. sacked: something new was SACKed. duplicate_block: its first block was a D-SACK (RFC 2883).
    original_arrived: a segment that was never retransmitted, sent before `recovery_end`, is acknowledged or SACKed.
    retransmission_acked: the cumulative acknowledgement covers a segment that was retransmitted.
    oldest_ns, newest_ns: when the oldest and newest segment that it acknowledges, never retransmitted nor SACKed
    before, were sent; -1 without one. sacked_oldest_ns: the same for what it SACKs. hole_filled: the lowest never
    retransmitted offset that arrived although something after it had been SACKed before (reordering); -1 for none.
    """

    __slots__ = (
        "advanced",
        "delivered",
        "duplicate_block",
        "hole_filled",
        "newest_ns",
        "oldest_ns",
        "original_arrived",
        "retransmission_acked",
        "sacked",
        "sacked_oldest_ns",
    )

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forgets the last ACK."""
        self.advanced = self.delivered = 0
        self.sacked = self.duplicate_block = self.original_arrived = self.retransmission_acked = False
        self.oldest_ns = self.newest_ns = self.sacked_oldest_ns = self.hole_filled = -1


class Scoreboard:
    """The queue of sent segments with its accounts.

    una, nxt: offsets of the oldest unacknowledged byte and of the next new one. una_seq: `una` as sequence number.
    in_flight: bytes believed to be in the network, always the sum over the queue. sacked_segments, lost_segments,
    retransmitted_segments: how many segments carry that mark; marked: how many carry any. losses: how often one was
    marked LOST. newest_ns, newest_end, newest_rtt_ns: of the segment sent last among those that arrived, when it was
    sent, where it ends and how long it took (RACK). highest_sacked: end of the highest SACKed segment. recovery_end:
    what `nxt` was when the latest recovery began. resent: every retransmission, in the order of time; what has arrived
    or was sent again since is still in it.
    """

    __slots__ = (
        "_lost_heap",
        "_sacked_ends",
        "_sacked_starts",
        "head",
        "highest_sacked",
        "in_flight",
        "losses",
        "lost_segments",
        "marked",
        "newest_end",
        "newest_ns",
        "newest_rtt_ns",
        "nxt",
        "queue",
        "recovery_end",
        "resent",
        "retransmitted_segments",
        "sacked_segments",
        "una",
        "una_seq",
    )

    def __init__(self, first_seq: int) -> None:
        self.queue: list[SentSegment] = []
        self.head = 0
        self.una = self.nxt = 0
        self.una_seq = first_seq & 0xFFFFFFFF
        self.in_flight = 0
        self.sacked_segments = self.lost_segments = self.retransmitted_segments = self.marked = 0
        self.newest_ns = -1
        self.newest_end = self.newest_rtt_ns = 0
        self.losses = 0
        self.highest_sacked = 0
        self.recovery_end = 0
        self.resent: deque[tuple[int, SentSegment]] = deque()
        self._lost_heap: list[SentSegment] = []
        self._sacked_starts: list[int] = []
        self._sacked_ends: list[int] = []

    def __len__(self) -> int:
        return len(self.queue) - self.head

    def offset(self, seq: int) -> int:
        """Where in the stream a sequence number on the wire is, taken within 2**31 of the oldest unacknowledged one."""
        difference = (seq - self.una_seq) & 0xFFFFFFFF
        return self.una + (difference - 0x100000000 if difference & 0x80000000 else difference)

    def index_after(self, offset: int) -> int:
        """Index of the first segment that ends after an offset."""
        return bisect_right(self.queue, offset, self.head, key=_end)

    def forget_acknowledged(self) -> None:
        """Lets go of the acknowledged segments before the head now and then; all of them when nothing is queued."""
        head = self.head
        if head == len(self.queue):
            self.queue.clear()
            self.head = 0
        elif head > COMPACT_AT and head * 2 > len(self.queue):
            del self.queue[:head]
            self.head = 0

    # -- what arrived

    def acknowledge(self, una: int, facts: AckFacts, min_rtt_ns: int, now_ns: int) -> None:
        """Takes everything before offset `una` out of the queue."""
        queue = self.queue
        facts.advanced = una - self.una
        head = self.head
        while head < len(queue) and queue[head].end <= una:
            segment = queue[head]
            head += 1
            marks = segment.marks
            if marks & EVER_RETRANSMITTED:
                facts.retransmission_acked = True
            elif not marks & SACKED:
                facts.newest_ns = segment.sent_ns
                if facts.oldest_ns < 0:
                    facts.oldest_ns = segment.sent_ns
                if segment.end <= self.highest_sacked and facts.hole_filled < 0:
                    facts.hole_filled = segment.end - segment.length
            if not marks & SACKED:
                self._arrived(segment, facts, min_rtt_ns, now_ns)
            self.in_flight -= segment.in_flight
            if marks:
                self._forget_marks(segment)
        self.head = head
        if head < len(queue) and queue[head].end - queue[head].length < una:
            self._trim(queue[head], una, facts)
        self.una_seq = (self.una_seq + una - self.una) & 0xFFFFFFFF
        self.una = una
        dropped = bisect_right(self._sacked_ends, una)
        del self._sacked_starts[:dropped]
        del self._sacked_ends[:dropped]
        if self._sacked_starts and self._sacked_starts[0] < una:
            self._sacked_starts[0] = una
        self.forget_acknowledged()

    def _trim(self, segment: SentSegment, una: int, facts: AckFacts) -> None:
        """Cuts off what of the first segment is acknowledged; the rest stays as it is."""
        cut = una - (segment.end - segment.length)
        self.in_flight -= segment.in_flight
        facts.delivered += 0 if segment.marks & SACKED else cut
        segment.payload = segment.payload[cut:]
        segment.seq = (segment.seq + cut) & 0xFFFFFFFF
        segment.length -= cut
        self.in_flight += segment.in_flight

    def sack(self, start: int, end: int, facts: AckFacts, min_rtt_ns: int, now_ns: int) -> None:
        """Marks what is between two offsets as arrived. What is known already costs nothing."""
        start = max(start, self.una)
        if not start < end <= self.nxt:
            return
        starts, ends = self._sacked_starts, self._sacked_ends
        first = bisect_left(ends, start)
        if first < len(starts) and starts[first] <= start and ends[first] >= end:
            return
        after = bisect_right(starts, end)
        position = start
        for known in range(first, after):
            if starts[known] > position:
                self._sack_new(position, starts[known], facts, min_rtt_ns, now_ns)
            position = max(position, ends[known])
        if position < end:
            self._sack_new(position, end, facts, min_rtt_ns, now_ns)
        if first < after:
            start, end = min(start, starts[first]), max(end, ends[after - 1])
        starts[first:after] = [start]
        ends[first:after] = [end]
        facts.sacked = True

    def _sack_new(self, start: int, end: int, facts: AckFacts, min_rtt_ns: int, now_ns: int) -> None:
        """Marks the segments from `start` to `end`, none of them SACKed before."""
        index = self._cut_at(start)
        self._cut_at(end)
        queue = self.queue
        before = self.highest_sacked
        while index < len(queue) and queue[index].end <= end:
            segment = queue[index]
            index += 1
            if not segment.marks & EVER_RETRANSMITTED:
                if facts.sacked_oldest_ns < 0:
                    facts.sacked_oldest_ns = segment.sent_ns
                begin = segment.end - segment.length
                if segment.end <= before and not 0 <= facts.hole_filled <= begin:
                    facts.hole_filled = begin
            self._arrived(segment, facts, min_rtt_ns, now_ns)
            self.set_marks(segment, segment.marks & EVER_RETRANSMITTED | SACKED)
        if end > before:
            self.highest_sacked = end

    def _arrived(self, segment: SentSegment, facts: AckFacts, min_rtt_ns: int, now_ns: int) -> None:
        """Notes that a segment is at the peer: how much, and whether it is the one sent last so far (RFC 8985, 6.2)."""
        facts.delivered += segment.length
        sent_ns = segment.sent_ns
        if not segment.marks & EVER_RETRANSMITTED:
            if segment.end <= self.recovery_end:
                facts.original_arrived = True
        elif now_ns - sent_ns < min_rtt_ns:
            return
        if sent_ns > self.newest_ns or (sent_ns == self.newest_ns and segment.end > self.newest_end):
            self.newest_ns = sent_ns
            self.newest_end = segment.end
            self.newest_rtt_ns = now_ns - sent_ns

    def _cut_at(self, offset: int) -> int:
        """Makes sure that a segment begins at an offset; returns its index."""
        index = self.index_after(offset)
        if index < len(self.queue):
            segment = self.queue[index]
            begin = segment.end - segment.length
            if begin < offset:
                self.split(index, offset - begin)
                index += 1
        return index

    def split(self, index: int, size: int) -> None:
        """Cuts a segment in two, the first `size` bytes long; both keep its times and marks."""
        segment = self.queue[index]
        rest = SentSegment(
            (segment.seq + size) & 0xFFFFFFFF,
            segment.payload[size:],
            segment.is_fin,
            segment.length - size,
            segment.end,
            segment.sent_ns,
        )
        rest.first_sent_ns, rest.transmissions = segment.first_sent_ns, segment.transmissions
        self.in_flight += rest.length - segment.in_flight
        segment.payload = segment.payload[:size]
        segment.is_fin = False
        segment.length = size
        segment.end -= rest.length
        self.in_flight += segment.in_flight
        self.queue.insert(index + 1, rest)
        self.set_marks(rest, segment.marks)
        if segment.marks & EVER_RETRANSMITTED:
            self.resent = deque(sorted((*self.resent, (rest.sent_ns, rest)), key=_sent_ns))

    def _forget_marks(self, segment: SentSegment) -> None:
        """Takes a marked segment that leaves the queue out of the counts."""
        marks = segment.marks
        self.marked -= 1
        self.sacked_segments -= marks & SACKED
        self.lost_segments -= bool(marks & LOST)
        self.retransmitted_segments -= bool(marks & RETRANSMITTED)
        segment.marks = EVER_RETRANSMITTED

    # -- what is lost

    def set_marks(self, segment: SentSegment, marks: int) -> None:
        """Gives a segment other marks and keeps every account right."""
        old = segment.marks
        before = segment.in_flight
        segment.marks = marks
        self.in_flight += segment.in_flight - before
        self.marked += bool(marks) - bool(old)
        changed = old ^ marks
        if changed & SACKED:
            self.sacked_segments += 1 if marks & SACKED else -1
        if changed & LOST:
            self.lost_segments += 1 if marks & LOST else -1
        if changed & RETRANSMITTED:
            self.retransmitted_segments += 1 if marks & RETRANSMITTED else -1
        if marks & STATE == LOST != old & STATE:
            heappush(self._lost_heap, segment)

    def mark_lost(self, segment: SentSegment) -> None:
        """Believes a segment, or its copy when that is out, to be lost."""
        marks = segment.marks
        assert not marks & SACKED, segment
        if marks & STATE == LOST:
            return
        self.losses += 1
        self.set_marks(segment, marks & ~RETRANSMITTED | LOST)

    def next_lost(self) -> SentSegment | None:
        """The first lost segment in the stream whose copy is not out yet."""
        heap = self._lost_heap
        while heap:
            segment = heap[0]
            if segment.marks & STATE == LOST:
                return segment
            heappop(heap)
        return None

    def retransmitted(self, segment: SentSegment, now_ns: int) -> None:
        """Notes that a copy of a segment has left."""
        marks = segment.marks
        self.set_marks(segment, marks | EVER_RETRANSMITTED | (RETRANSMITTED if marks & LOST else 0))
        segment.transmissions += 1
        segment.sent_ns = now_ns
        self.resent.append((now_ns, segment))

    def forgive(self) -> None:
        """Takes the LOST mark off everything: nothing was lost after all."""
        for segment in self.unacknowledged():
            if segment.marks & LOST:
                self.set_marks(segment, segment.marks & ~(LOST | RETRANSMITTED))

    def distrust_sacks(self) -> None:
        """Takes the SACKED mark off everything: the peer threw away what it had reported (RFC 2018, section 8)."""
        for segment in self.unacknowledged():
            if segment.marks & SACKED:
                self.set_marks(segment, segment.marks & ~SACKED)
        self._sacked_starts.clear()
        self._sacked_ends.clear()
        self.highest_sacked = self.una

    # -- looking at it

    def unacknowledged(self) -> list[SentSegment]:
        """The queued segments, in stream order."""
        return self.queue[self.head :]

    def end_of_sacked_run(self, offset: int) -> int:
        """Where the SACKed range that covers an offset ends."""
        return self._sacked_ends[bisect_right(self._sacked_ends, offset)]
