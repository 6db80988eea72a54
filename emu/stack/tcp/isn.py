"""Initial sequence numbers and timestamp offsets: unpredictable for others, the same for the same seed (RFC 6528)."""

from __future__ import annotations

from hashlib import blake2b

ISN_TICK_NS = 64
"""Linux's clock of initial sequence numbers: it wraps in 275 s."""


def initial_numbers(secret: bytes, addresses_and_ports: bytes, now_ns: int) -> tuple[int, int]:
    """Return (initial sequence number, timestamp offset) of a connection.

    secret: of the whole emulation. addresses_and_ports: what identifies the connection, seen from this side.
    The sequence number is a keyed hash plus a clock of 64 ns ticks, so a connection that follows another one between
    the same ports begins beyond it. The offset is added to the millisecond clock of the timestamps; it depends on
    the ports, too (g30: two connections of one pair of hosts).
    """
    digest = blake2b(addresses_and_ports, digest_size=8, key=secret).digest()
    sequence = int.from_bytes(digest[:4], "big") + now_ns // ISN_TICK_NS
    return sequence & 0xFFFFFFFF, int.from_bytes(digest[4:], "big")
