"""The receive window: how much is offered, how it grows with a fast reader, and when not to change it (RFC 9293 3.8.6).

As in Linux, memory is counted rather than data, and only a part of the free memory is offered as window: half of it at
first, then the ratio of data to memory in the first full segment (63/256 for 1448 bytes, 96/256 for 1398). So the
right edge stays where it is while the first 30 to 50 KB arrive, as recorded, and an unread stream closes the window.
The buffer grows while the reader keeps up (Linux's dynamic right-sizing).

Source: Linux 6.18 tcp_select_initial_window(), tcp_init_buffer_space(), __tcp_select_window(), tcp_measure_rcv_mss(),
tcp_grow_window(), tcp_rcvbuf_grow(); recordings a3, f4, g9 and g30.
Limits: the memory of a segment is what it is behind a veth without segmentation offload, also that of a short one that
comes from a sender with it; queues are never collapsed or pruned.
"""

from __future__ import annotations

from emu.stack.tcp.seq import MASK

WINDOW_FIELD_MAX = 0xFFFF
SCALE_MAX = 14
DEFAULT_SEGMENT = 536
INITIAL_SEGMENTS = 10
INITIAL_RATIO = 128
SMALL = 384
"""Small segments are put together in one piece of memory as long as they fit."""


def memory_of(size: int) -> int:
    """Return the bytes of kernel memory that a segment with so much data occupies.

    That is a block of a power of two with room for headers (66 bytes), headroom (254) and what Linux keeps behind the
    data (320), 256 bytes of description, and the data once more, as Linux accounts for a frame that was cut from a
    larger one in software.
    """
    return (1 << (size + 639).bit_length()) + 256 + size


def initial_window(buffer: int, mss: int) -> int:
    """Return the window of a SYN or SYN-ACK: half the buffer, in whole segments (64240 and 65160 for 128 KiB)."""
    space = buffer >> 1
    return space // mss * mss if space > mss else space


def choose_scale(buffer: int, buffer_max: int) -> int:
    """Return the window scale that lets the largest possible buffer be offered (7 for 6 MiB, 10 for 32 MiB)."""
    return max(0, min(SCALE_MAX, max(buffer >> 1, buffer_max).bit_length() - 16))


def memory_of_long(size: int) -> int:
    """Return the same for a segment that was not cut: whole pages, and 1536 bytes for headers and description.

    So the first one of 7240 bytes sets the ratio to 190/256, and 95 KiB are offered at most, as recorded (a3, with
    offload) until the buffer grows.
    """
    return (size + 4095 & ~4095) + 1536


class ReceiveWindow:
    """What is offered to the peer.

    buffer: memory in bytes; ratio: how many 256ths of it are offered; window_max: the most that is. memory: what is
    occupied. offered: the window
    as it was last sent. left_edge: rcv_nxt when it was sent. threshold: what slow start of the window allows so far.
    advertised_mss: payload of a full segment. segment_size: of what really arrives (Linux's rcv_mss).
    cut_size: what a segment longer than that, which is arriving, would have been cut into.
    """

    __slots__ = (
        "_autotuned",
        "_buffer_max",
        "_measured_bytes",
        "_measured_ns",
        "_round_bytes",
        "advertised_mss",
        "buffer",
        "cut_size",
        "echo",
        "left_edge",
        "memory",
        "offered",
        "ratio",
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
        self.cut_size = 0
        self.ratio = INITIAL_RATIO
        self.window_max = buffer * INITIAL_RATIO >> 8
        self.offered = self.threshold = initial_window(buffer, mss)
        self.round_trip_ns = 0
        self.echo = -1
        self._measured_ns = 0
        self._measured_bytes = 0
        self._round_bytes = 0

    def begin(self, rcv_nxt: int, peer_mss: int, now_ns: int) -> None:
        """Begin to receive: the first segment is expected at `rcv_nxt`."""
        self.left_edge = rcv_nxt
        hint = min(self.advertised_mss, peer_mss, self.offered >> 1, DEFAULT_SEGMENT)
        self.segment_size = max(hint, 88)
        full, mss = self.buffer * self.ratio >> 8, self.advertised_mss
        if 2 * mss < self.window_max and self.window_max + mss > full:
            self.window_max = max(2 * mss, full - mss)  # one segment's worth is never offered
        self.threshold = min(self.threshold, self.window_max)
        self._round_bytes = min(self.threshold, self.offered, INITIAL_SEGMENTS * self.advertised_mss)
        self._measured_ns = now_ns

    def set_buffer(self, buffer: int) -> None:
        """Fix the buffer's size (SO_RCVBUF): it does not grow any more."""
        self._autotuned = False
        self.buffer = buffer
        self.window_max = buffer * self.ratio >> 8

    def learn_size(self, size: int) -> None:
        """Take the length of a segment, larger than any before, for that of a full one, and learn what it occupies."""
        full = size
        if size > self.advertised_mss:
            self.memory += memory_of_long(size) - memory_of(size)  # it was taken for an ordinary one
            full = self.cut_size
            if full == self.segment_size:
                return
        ratio = max(1, (size << 8) // self.memory_of(size))
        if ratio != self.ratio:
            self.ratio = ratio
            self._limit(self.buffer * ratio >> 8)
        self.segment_size = full if full < self.advertised_mss else self.advertised_mss

    def memory_of(self, size: int) -> int:
        """Return what a segment occupies; one that is longer than the MSS came uncut."""
        return memory_of(size) if size <= self.advertised_mss else memory_of_long(size)

    def _limit(self, window_max: int) -> None:
        """Offer at most so much from now on (Linux's tcp_set_window_clamp)."""
        if window_max < self.window_max:
            self.threshold = min(self.threshold, window_max)
        else:
            self.threshold = max(self.threshold, min(self.offered, window_max))
        self.window_max = window_max
        self._round_bytes = min(self._round_bytes, window_max)

    def remaining(self, rcv_nxt: int) -> int:
        """Return how much of the window that was offered is left."""
        left = self.offered - ((rcv_nxt - self.left_edge) & MASK)
        return left if left > 0 else 0

    def select(self) -> int:
        """Return the window that could be offered now, before the promise made earlier is considered."""
        allowed = self.buffer * self.ratio >> 8
        free = (self.buffer - self.memory) * self.ratio >> 8
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
        free = (self.buffer - self.memory) * self.ratio >> 8
        room = (free if free < self.window_max else self.window_max) - self.threshold
        if room <= 0:
            return False
        if self.memory_of(size) * self.ratio >> 8 <= size:
            increment = 2 * self.advertised_mss
        elif not self._has_room_for_waste(size):
            return False
        else:
            increment = 2 * self.segment_size
        increment = max(increment, 2 * size)
        self.threshold += increment if increment < room else room
        return True

    def _has_room_for_waste(self, size: int) -> bool:
        """Tell whether the window is still so small that a segment with much overhead may let it grow."""
        overhead = self.memory_of(size) * self.ratio >> 9
        window = self._buffer_max * self.ratio >> 9
        while self.threshold <= window:
            if overhead <= size:
                return True
            overhead >>= 1
            window >>= 1
        return False

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
                window = 2 * copied
                window += window * (copied - self._round_bytes) // self._round_bytes * 2
                buffer = min((window << 8) // self.ratio, self._buffer_max)
                if buffer > self.buffer:
                    self.buffer = buffer
                    self.window_max = buffer * self.ratio >> 8
            self._round_bytes = copied
        self._measured_bytes = copied_total
        self._measured_ns = now_ns
