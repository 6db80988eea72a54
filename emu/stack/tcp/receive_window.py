"""The receive window: how much is offered, how it grows with a fast reader, and when not to change it (RFC 9293 3.8.6).

As in Linux, memory is counted rather than data: a segment takes about twice its payload, and half of the free memory
is offered as window. So a burst that is not read yet leaves the right edge where it is, as recorded, and an unread
stream closes the window. The buffer grows while the reader keeps up (Linux's dynamic right-sizing).

Source: Linux tcp_select_initial_window(), __tcp_select_window(), tcp_grow_window(), tcp_rcv_space_adjust().
Limits: the memory of a segment is an estimate from its length, where Linux knows what the driver allocated; queues
are never collapsed or pruned.
"""

from __future__ import annotations

from emu.stack.tcp.seq import MASK

WINDOW_FIELD_MAX = 0xFFFF
SCALE_MAX = 14
DEFAULT_SEGMENT = 536
INITIAL_SEGMENTS = 10
OVERHEAD = 1712
"""With it a full segment takes 4608 bytes: no less, or the window would open during a burst (g30, a3)."""
COALESCED_MAX = 640
SMALLEST_MEMORY = 768
"""Small segments are put together in one piece of memory as long as they fit."""


def memory_of(size: int) -> int:
    """Return the bytes of kernel memory that a segment with so much data is taken to occupy."""
    if size >= COALESCED_MAX:
        return 2 * size + OVERHEAD
    return 2 * size + COALESCED_MAX if size > 64 else SMALLEST_MEMORY


def initial_window(buffer: int, mss: int) -> int:
    """Return the window of a SYN or SYN-ACK: half the buffer, in whole segments (64240 and 65160 for 128 KiB)."""
    space = buffer >> 1
    return space // mss * mss if space > mss else space


def choose_scale(buffer: int, buffer_max: int) -> int:
    """Return the window scale that lets the largest possible buffer be offered (7 for 6 MiB, 10 for 32 MiB)."""
    return max(0, min(SCALE_MAX, max(buffer >> 1, buffer_max).bit_length() - 16))


class ReceiveWindow:
    """What is offered to the peer.

    buffer: memory in bytes; window_max: what of it is offered at most. memory: what is occupied. offered: the window
    as it was last sent. left_edge: rcv_nxt when it was sent. threshold: what slow start of the window allows so far.
    advertised_mss: payload of a full segment. segment_size: of what really arrives (Linux's rcv_mss).
    """

    __slots__ = (
        "_autotuned",
        "_buffer_max",
        "_measured_bytes",
        "_measured_ns",
        "_round_bytes",
        "advertised_mss",
        "buffer",
        "echo",
        "left_edge",
        "memory",
        "offered",
        "round_trip_ns",
        "scale",
        "segment_size",
        "threshold",
        "window_max",
    )

    def __init__(self, buffer: int, buffer_max: int, autotuned: bool, mss: int, scale: int) -> None:
        self.buffer = buffer
        self._buffer_max = buffer_max
        self._autotuned = autotuned
        self.scale = scale
        self.memory = 0
        self.left_edge = 0
        self.advertised_mss = mss
        self.segment_size = DEFAULT_SEGMENT
        self.window_max = buffer >> 1
        self.offered = self.threshold = initial_window(buffer, mss)
        self.round_trip_ns = 0
        self.echo = -1
        self._measured_ns = 0
        self._measured_bytes = 0
        self._round_bytes = 0

    def begin(self, rcv_nxt: int, peer_mss: int, now_ns: int) -> None:
        """Begin to receive: the first segment is expected at `rcv_nxt`."""
        self.left_edge = rcv_nxt
        full = self.buffer >> 1
        if self.window_max > 2 * self.advertised_mss and self.window_max + self.advertised_mss > full:
            self.window_max = max(2 * self.advertised_mss, full - self.advertised_mss)  # room for one more segment
        self.threshold = min(self.threshold, self.window_max)
        hint = min(self.advertised_mss, peer_mss, self.offered >> 1, DEFAULT_SEGMENT)
        self.segment_size = max(hint, 88)
        self._round_bytes = min(self.threshold, self.offered, INITIAL_SEGMENTS * self.advertised_mss)
        self._measured_ns = now_ns

    def set_buffer(self, buffer: int) -> None:
        """Fix the buffer's size (SO_RCVBUF): it does not grow any more."""
        self._autotuned = False
        self.buffer = buffer
        self.window_max = buffer >> 1

    def remaining(self, rcv_nxt: int) -> int:
        """Return how much of the window that was offered is left."""
        left = self.offered - ((rcv_nxt - self.left_edge) & MASK)
        return left if left > 0 else 0

    def select(self) -> int:
        """Return the window that could be offered now, before the promise made earlier is considered."""
        allowed = self.buffer >> 1
        free = (self.buffer - self.memory) >> 1
        full = self.window_max if self.window_max < allowed else allowed
        scale = self.scale
        if free < full >> 1:
            free = free >> scale << scale if free > 0 else 0
            if free < allowed >> 4 or free < min(self.segment_size, full):
                return 0
        if free > self.threshold:
            free = self.threshold
        if scale:
            return (free + (1 << scale) - 1) >> scale << scale
        mss = min(self.segment_size, full)
        window = self.offered
        if window <= free - mss or window > free:
            return free // mss * mss
        if mss == full and free > window + (full >> 1):
            return free
        return window

    def offer(self, rcv_nxt: int) -> int:
        """Offer a window with a segment that is about to be sent; return the header's field."""
        window = self.select()
        left = self.offered - ((rcv_nxt - self.left_edge) & MASK)
        scale = self.scale
        if window < left:  # never take back what was promised
            window = (left + (1 << scale) - 1) >> scale << scale
        self.offered = window
        self.left_edge = rcv_nxt
        field = window >> scale
        return field if field < WINDOW_FIELD_MAX else WINDOW_FIELD_MAX

    def grow(self, size: int) -> bool:
        """Let the window grow after a segment that used its memory well; tell whether it did."""
        free = (self.buffer - self.memory) >> 1
        room = (free if free < self.window_max else self.window_max) - self.threshold
        if room <= 0:
            return False
        increment = 2 * (size if size > self.advertised_mss else self.advertised_mss)
        self.threshold += increment if increment < room else room
        return True

    # -- growth of the buffer -----------------------------------------------------------------------------------------

    def measure_round_trip(self, echo: int, rtt_ns: int) -> None:
        """Learn the round-trip time from the echo of our timestamp in a full segment (1 ms at least)."""
        if echo == self.echo:
            return
        self.echo = echo
        sample = max(rtt_ns, 1_000_000)
        known = self.round_trip_ns
        self.round_trip_ns = sample if not known else known + (sample - known >> 3)

    def read(self, copied_total: int, now_ns: int) -> None:
        """Let the buffer follow what the program reads in a round trip; copied_total: all that it has ever read."""
        round_trip_ns = self.round_trip_ns
        if not round_trip_ns or now_ns - self._measured_ns < round_trip_ns:
            return
        copied = copied_total - self._measured_bytes
        if copied > self._round_bytes:
            if self._autotuned:
                window = 2 * copied + 16 * self.advertised_mss
                window += window * (copied - self._round_bytes) // self._round_bytes * 2
                buffer = min(2 * window, self._buffer_max)
                if buffer > self.buffer:
                    self.buffer = buffer
                    self.window_max = buffer >> 1
            self._round_bytes = copied
        self._measured_bytes = copied_total
        self._measured_ns = now_ns
