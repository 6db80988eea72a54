"""The drop-tail queue in front of a line, kept as the list of times at which its frames will leave it.

A frame's whole journey is computed when it is sent (one event per traversal), so nobody is told when a frame leaves
the queue. Instead the queue remembers when each one will, and forgets those that have left when the next one comes.
"""

from __future__ import annotations

from collections import deque


class TransmitQueue:
    """A first-in-first-out queue with a limit of frames, of bytes, or both.

    The frame on the line does not count: it has left the queue. Times are in the units of the line that owns the
    queue (see `CableDirection.scale`).
    maximum_packets, maximum_bytes: the most that has waited since `reset_maximum`. They are kept up without work for
    every frame: only one that finds more waiting than ever, or a limit, is looked at closely.
    """

    __slots__ = (
        "_threshold_bytes",
        "_threshold_packets",
        "bytes_waiting",
        "limit_bytes",
        "limit_packets",
        "maximum_bytes",
        "maximum_packets",
        "waiting",
    )

    def __init__(self, limit_packets: int | None, limit_bytes: int | None) -> None:
        self.waiting: deque[tuple[int, int, int]] = deque()  # (time it leaves, bytes, sequence of its heap entry)
        self.bytes_waiting = 0
        self.maximum_packets = self.maximum_bytes = 0
        self.set_limits(limit_packets, limit_bytes)

    def set_limits(self, limit_packets: int | None, limit_bytes: int | None) -> None:
        """Change the limits; what waits already stays, however much it is."""
        self.limit_packets = limit_packets
        self.limit_bytes = limit_bytes
        self._set_thresholds()

    def reset_maximum(self) -> None:
        """Begin to look for the maximum anew, with what waits now."""
        self.maximum_packets = len(self.waiting)
        self.maximum_bytes = self.bytes_waiting
        self._set_thresholds()

    def admit(self, now: int, leaves: int, size: int, sequence: int) -> bool:
        """Take in a frame of `size` bytes that will leave at `leaves`; False when the queue is full."""
        waiting = self.waiting
        while waiting and waiting[0][0] <= now:
            self.bytes_waiting -= waiting.popleft()[1]
        bytes_waiting = self.bytes_waiting + size
        if (len(waiting) >= self._threshold_packets or bytes_waiting > self._threshold_bytes) and not self._grow(size):
            return False
        waiting.append((leaves, size, sequence))
        self.bytes_waiting = bytes_waiting
        return True

    def keep(self, leaves: int, size: int, sequence: int) -> None:
        """Take in a frame that waited before the line changed, whatever the limits."""
        self.waiting.append((leaves, size, sequence))
        self.bytes_waiting += size

    def forget_left(self, now: int) -> None:
        """Forget the frames that have left the queue by now."""
        waiting = self.waiting
        while waiting and waiting[0][0] <= now:
            self.bytes_waiting -= waiting.popleft()[1]

    def clear(self) -> None:
        """Empty the queue."""
        self.waiting.clear()
        self.bytes_waiting = 0

    def _grow(self, size: int) -> bool:
        """Say whether one more frame may wait, and if so, note the new maximum."""
        packets, size_bytes = len(self.waiting) + 1, self.bytes_waiting + size
        if self.limit_packets is not None and packets > self.limit_packets:
            return False
        if self.limit_bytes is not None and size_bytes > self.limit_bytes:
            return False
        self.maximum_packets = max(self.maximum_packets, packets)
        self.maximum_bytes = max(self.maximum_bytes, size_bytes)
        self._set_thresholds()
        return True

    def _set_thresholds(self) -> None:
        packets, size_bytes = self.limit_packets, self.limit_bytes
        self._threshold_packets = self.maximum_packets if packets is None else min(self.maximum_packets, packets)
        self._threshold_bytes = self.maximum_bytes if size_bytes is None else min(self.maximum_bytes, size_bytes)
