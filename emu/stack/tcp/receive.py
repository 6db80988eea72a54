"""The receiving side: data in order for the program, and what goes back to the peer about it (RFC 9293, 3.10.7.4)."""

from __future__ import annotations

from collections import deque

from emu.stack.tcp.ack_policy import AckPolicy
from emu.stack.tcp.reassembly import Block, OutOfOrderQueue
from emu.stack.tcp.receive_window import DEFAULT_SEGMENT, SMALL, ReceiveWindow, memory_of
from emu.stack.tcp.seq import MASK, seq_diff, seq_leq, seq_lt
from emu.stack.tcp.settings import TcpSettings

BLOCKS_WITH_TIMESTAMPS = 3
BLOCKS_WITHOUT_TIMESTAMPS = 4
_LARGE_SEGMENT = 128
"""Smaller segments do not let the window grow."""


class Receiver:
    """What has arrived on a connection.

    rcv_nxt: the next sequence number expected. unread: bytes that the program can read. received: bytes ever taken in
    order. fin_taken: the stream has ended. out_of_order: what is beyond a gap. window, acks: see their classes.
    duplicate: the range that the next acknowledgment reports as received twice (DSACK).
    """

    __slots__ = (
        "_chunks",
        "_dsack",
        "_fin_sequence",
        "_first_offset",
        "_last_size",
        "_sack",
        "acks",
        "duplicate",
        "fin_taken",
        "out_of_order",
        "rcv_nxt",
        "received",
        "unread",
        "window",
    )

    def __init__(self, settings: TcpSettings, window: ReceiveWindow) -> None:
        self.window = window
        self.acks = AckPolicy(settings.delayed_ack_min_ns, settings.delayed_ack_max_ns, settings.clock_granularity_ns)
        self.rcv_nxt = 0
        self.received = 0
        self.unread = 0
        self.fin_taken = False
        self.duplicate: Block | None = None
        self.out_of_order = OutOfOrderQueue(0)
        self._chunks: deque[bytes] = deque()
        self._first_offset = 0
        self._fin_sequence: int | None = None
        self._last_size = 0
        self._sack = False
        self._dsack = settings.dsack

    def begin(self, rcv_nxt: int, *, sack: bool, peer_mss: int, now_ns: int) -> None:
        """Begin to receive after the peer's SYN."""
        self.rcv_nxt = rcv_nxt
        self.out_of_order = OutOfOrderQueue(rcv_nxt)
        self._sack = sack
        self.window.begin(rcv_nxt, peer_mss, now_ns)

    # -- data ---------------------------------------------------------------------------------------------------------

    def take_in_order(self, payload: bytes, push: bool, now_ns: int, rto_ns: int) -> None:
        """Take data that begins exactly at `rcv_nxt`, and note what it means for window and acknowledgment."""
        size = len(payload)
        self.rcv_nxt = (self.rcv_nxt + size) & MASK
        self.received += size
        self.unread += size
        window = self.window
        if size <= SMALL:
            self._append_small(payload)
        else:
            self._chunks.append(payload)
            window.memory += (1 << (size + 639).bit_length()) + 256 + size  # memory_of(size)
        acks = self.acks
        if size >= window.segment_size:
            if size != window.segment_size:
                window.learn_size(size)
            if push and acks.pushed == 0:
                acks.pushed = 1
        else:
            self._measure_small(size, push)
        acks.data_arrived(now_ns, window.offered, window.segment_size, rto_ns)
        if size >= _LARGE_SEGMENT and window.grow(size) and not acks.quick:
            acks.quick = 1

    def _append_small(self, payload: bytes) -> None:
        """Keep a small segment together with the one before it."""
        chunks = self._chunks
        if chunks and len(chunks[-1]) + len(payload) <= SMALL:
            self.window.memory -= memory_of(len(chunks[-1]))
            chunks[-1] += payload
            self.window.memory += memory_of(len(chunks[-1]))
        else:
            chunks.append(payload)
            self.window.memory += memory_of(len(payload))

    def _measure_small(self, size: int, push: bool) -> None:
        """Learn from a segment that is not full: two of the same size are what the peer calls full."""
        if size == self._last_size and (size >= DEFAULT_SEGMENT or (size >= 88 and not push)):
            self.window.segment_size = size
        else:
            self._last_size = size
            self.acks.pushed = min(self.acks.pushed + 1, 2)

    def take(self, sequence: int, payload: bytes, is_fin: bool, push: bool, now_ns: int, rto_ns: int) -> None:
        """Take in a segment that overlaps the window, wherever it begins (Linux's tcp_data_queue)."""
        end = (sequence + len(payload) + is_fin) & MASK
        rcv_nxt = self.rcv_nxt
        if seq_leq(end, rcv_nxt):
            self.note_duplicate(sequence, end)
            self.something_is_wrong()
            return
        is_beyond = not seq_lt(sequence, (rcv_nxt + self.window.remaining(rcv_nxt)) & MASK)
        if is_beyond and (sequence != rcv_nxt or payload):  # a bare FIN needs no window
            self.something_is_wrong()
            return
        if seq_lt(rcv_nxt, sequence):
            self._take_out_of_order(sequence, payload, is_fin, end)
            return
        if sequence != rcv_nxt:
            self.note_duplicate(sequence, rcv_nxt)
            payload = payload[seq_diff(rcv_nxt, sequence) :]
        if payload:
            self.take_in_order(payload, push, now_ns, rto_ns)
        if is_fin:
            self._fin_sequence = (end - 1) & MASK
        if self.out_of_order:
            self._take_what_follows()
        if self._fin_sequence == self.rcv_nxt:
            self._take_fin()

    def _take_out_of_order(self, sequence: int, payload: bytes, is_fin: bool, end: int) -> None:
        self.acks.scheduled = True
        self.acks.now = True
        if is_fin:
            self._fin_sequence = (end - 1) & MASK
        before = self.out_of_order.bytes
        duplicate = self.out_of_order.insert(sequence, payload, end)
        added = self.out_of_order.bytes - before
        if added:
            self.window.memory += self.window.memory_of(added)
        if duplicate is not None:
            self.note_duplicate(*duplicate)

    def _take_what_follows(self) -> None:
        """The gap before the first piece is filled, perhaps (RFC 5681, section 4.2: then acknowledge at once)."""
        for payload in self.out_of_order.take(self.rcv_nxt):
            self.rcv_nxt = (self.rcv_nxt + len(payload)) & MASK
            self.received += len(payload)
            self.unread += len(payload)
            self._chunks.append(payload)
        self.acks.now = True

    def _take_fin(self) -> None:
        self.rcv_nxt = (self.rcv_nxt + 1) & MASK
        self.fin_taken = True
        self._fin_sequence = None
        self.out_of_order.forget(self.rcv_nxt)
        self.acks.scheduled = True

    def something_is_wrong(self) -> None:
        """Acknowledge at once, and the next segments too: the peer repeats itself or ignores the window."""
        window = self.window
        self.acks.something_is_wrong(window.offered, window.segment_size)

    def note_duplicate(self, left: int, right: int) -> None:
        """Let the next acknowledgment say that this range came twice (DSACK, RFC 2883)."""
        if self._sack and self._dsack and self.duplicate is None:
            self.duplicate = (left, right)

    # -- the program --------------------------------------------------------------------------------------------------

    def read(self, size: int, now_ns: int) -> bytes:
        """Hand out up to `size` bytes, and free their memory."""
        chunks, offset = self._chunks, self._first_offset
        taken: list[bytes] = []
        left = size
        while chunks and left > 0:
            chunk = chunks[0]
            available = len(chunk) - offset
            if available > left:
                taken.append(chunk[offset : offset + left])
                offset += left
                left = 0
                break
            taken.append(chunk[offset:] if offset else chunk)
            offset = 0
            left -= available
            chunks.popleft()
            self.window.memory -= self.window.memory_of(len(chunk))
        self._first_offset = offset
        if not chunks and not self.out_of_order.bytes:
            self.window.memory = 0
        self.unread -= size - left
        self.window.read(self.received - self.unread, now_ns)
        return taken[0] if len(taken) == 1 else b"".join(taken)

    # -- acknowledgments ----------------------------------------------------------------------------------------------

    def must_acknowledge(self, now_ns: int, srtt_ns: int) -> bool:
        """Decide after a segment whether to acknowledge now; if not, the timer is set."""
        acks = self.acks
        if acks.now or (acks.quick > 0 and not acks.interactive):
            return True
        window = self.window
        if ((self.rcv_nxt - window.left_edge) & MASK) > window.segment_size and window.select() >= window.offered:
            return True
        return acks.delay(now_ns, srtt_ns)

    def must_acknowledge_after_read(self, copied: int) -> bool:
        """Decide after the program has read whether to acknowledge or to offer a larger window (tcp_cleanup_rbuf)."""
        acks, window = self.acks, self.window
        if acks.scheduled and (
            ((self.rcv_nxt - window.left_edge) & MASK) > window.segment_size
            or (
                copied > 0
                and not self.unread
                and (acks.pushed >= 2 or (acks.pushed == 1 and not acks.interactive))
                and not self.out_of_order.bytes
            )
        ):
            return True
        if not copied or self.fin_taken:
            return False
        left = window.remaining(self.rcv_nxt)
        if 2 * left > window.window_max:
            return False
        selected = window.select()
        return bool(selected) and selected >= 2 * left

    def sack_blocks(self, timestamps: bool) -> tuple[Block, ...]:
        """Return the blocks for the next acknowledgment: a duplicate first, then the pieces, newest first."""
        blocks = self.out_of_order.blocks
        if not self._sack or not (blocks or self.duplicate):
            return ()
        room = BLOCKS_WITH_TIMESTAMPS if timestamps else BLOCKS_WITHOUT_TIMESTAMPS
        found = blocks if self.duplicate is None else [self.duplicate, *blocks]
        self.duplicate = None
        return tuple(found[:room])

    def sack_option_length(self, timestamps: bool) -> int:
        """How many bytes the blocks take in the next segment, from what data may fill."""
        count = len(self.out_of_order.blocks) + (self.duplicate is not None)
        if not self._sack or not count:
            return 0
        return 4 + 8 * min(count, BLOCKS_WITH_TIMESTAMPS if timestamps else BLOCKS_WITHOUT_TIMESTAMPS)
