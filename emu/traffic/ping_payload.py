"""The data bytes of a ping: what fills them, and the time of sending that the programs write into them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emu.traffic.ping_options import PingOptions

SECOND = 1_000_000_000
EPOCH_S = 946_684_800
"""Virtual time 0 on the programs' clock: 2000-01-01T00:00:00Z, as in captures."""
TIMEVAL_BYTES = 16


def payload_of(options: PingOptions) -> bytes:
    """Return the data bytes without the time stamp."""
    size = options.size
    if options.flavour == "busybox":
        return bytes(size)
    if options.pattern:
        return (options.pattern * (size // len(options.pattern) + 1))[:size]
    return (bytes(8) + bytes(index & 0xFF for index in range(8, size)))[:size]


def timed_bytes(options: PingOptions) -> int:
    """Return how much room the time stamp takes; with less data there are no times."""
    return 4 if options.flavour == "busybox" else TIMEVAL_BYTES


def stamped(payload: bytes, now_ns: int, options: PingOptions) -> bytes:
    """Return the data with the virtual time written over its first bytes, as the programs do."""
    if len(payload) < timed_bytes(options):
        return payload
    if options.flavour == "busybox":
        return struct.pack("<I", now_ns // 1000 & 0xFFFFFFFF) + payload[4:]
    seconds, rest_ns = divmod(now_ns, SECOND)
    return struct.pack("<QQ", EPOCH_S + seconds, rest_ns // 1000) + payload[TIMEVAL_BYTES:]
