"""The token bucket: a rate that lets short bursts through at once, as `tc tbf` does.

A bucket of `burst` bytes fills at the rate; a frame leaves as soon as there are tokens for all of it, and takes them.
Nothing is counted per token: it is enough to know when the bucket was, or will be, empty.
"""

from __future__ import annotations


class TokenBucket:
    """When frames may leave, in the time unit of their line (1/scale ns).

    burst_bytes: what fits into the bucket; a longer frame can never leave. per_byte: how long a byte takes to flow in.
    empty: when the bucket was or will be empty if nothing else leaves.

    Source: the bucket of tc-tbf(8), written as the virtual scheduling of ITU-T I.371, which gives the same times.
    """

    __slots__ = ("burst_bytes", "empty", "per_byte")

    def __init__(self, burst_bytes: int, per_byte: int, now: int) -> None:
        self.burst_bytes = burst_bytes
        self.per_byte = per_byte
        self.empty = now - burst_bytes * per_byte  # full

    def ready_for(self, size: int) -> int:
        """Return from when on there are tokens for so many bytes (which may be in the past)."""
        return self.empty + size * self.per_byte

    def take(self, when: int, size: int) -> None:
        """Take the tokens for a frame that leaves at `when`."""
        fills_from = when - self.burst_bytes * self.per_byte
        self.empty = max(self.empty, fills_from) + size * self.per_byte

    def changed(self, burst_bytes: int, per_byte: int, now: int, old_now: int) -> TokenBucket:
        """Return a bucket of other measures with as many tokens as this one has, at most full.

        now, old_now: the present, in the new and in the old unit of time. A part of a byte is lost.
        """
        tokens = min(self.burst_bytes, burst_bytes, max(0, old_now - self.empty) // self.per_byte)
        bucket = TokenBucket(burst_bytes, per_byte, now)
        bucket.empty = now - tokens * per_byte
        return bucket
