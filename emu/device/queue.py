"""The queue in front of a line, kept as the list of times at which its frames will leave it.

A frame's whole journey is computed when it is sent (one event per traversal), so nobody is told when a frame leaves
the queue. Instead the queue remembers when each one will, and forgets those that have left when the next one comes.
"""

from __future__ import annotations

from collections import deque


class TransmitQueue:
    """A first-in-first-out queue with a limit of frames, of bytes, or both.

    The frame on the line does not count: it has left the queue. Times are in the units of the line that owns the
    queue (see `CableDirection.scale`).
    """

    __slots__ = ("bytes_waiting", "limit_bytes", "limit_packets", "waiting")

    def __init__(self, limit_packets: int | None, limit_bytes: int | None) -> None:
        self.limit_packets = limit_packets
        self.limit_bytes = limit_bytes
        self.waiting: deque[tuple[int, int, int]] = deque()  # (time it leaves, bytes, sequence of its heap entry)
        self.bytes_waiting = 0

    def admit(self, now: int, leaves: int, size: int, sequence: int) -> bool:
        """Take in a frame of `size` bytes that will leave at `leaves`; False when the queue is full."""
        waiting = self.waiting
        while waiting and waiting[0][0] <= now:
            self.bytes_waiting -= waiting.popleft()[1]
        if self.limit_packets is not None and len(waiting) >= self.limit_packets:
            return False
        if self.limit_bytes is not None and self.bytes_waiting + size > self.limit_bytes:
            return False
        waiting.append((leaves, size, sequence))
        self.bytes_waiting += size
        return True

    def forget_left(self, now: int) -> None:
        """Forget the frames that have left the queue by now."""
        waiting = self.waiting
        while waiting and waiting[0][0] <= now:
            self.bytes_waiting -= waiting.popleft()[1]

    def rescale(self, old_scale: int, new_scale: int) -> None:
        """Convert the times after the line's rate, and with it the unit of its clock, has changed."""
        self.waiting = deque(
            (-(-leaves // old_scale) * new_scale, size, sequence) for leaves, size, sequence in self.waiting
        )

    def clear(self) -> None:
        """Empty the queue."""
        self.waiting.clear()
        self.bytes_waiting = 0
