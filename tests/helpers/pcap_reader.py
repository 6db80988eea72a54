"""A small reader of classic pcap files, for comparing recordings with what the emulation does."""

from __future__ import annotations

import struct
from pathlib import Path

MAGIC_NANOSECONDS = 0xA1B23C4D
MAGIC_MICROSECONDS = 0xA1B2C3D4


def read_pcap(path: Path) -> list[tuple[int, bytes]]:
    """Return (time in ns, frame) for every record of a pcap file written on a little-endian machine."""
    content = path.read_bytes()
    (magic,) = struct.unpack_from("<I", content)
    assert magic in (MAGIC_NANOSECONDS, MAGIC_MICROSECONDS), f"{path.name}: not a little-endian pcap file"
    unit_ns = 1 if magic == MAGIC_NANOSECONDS else 1000
    records: list[tuple[int, bytes]] = []
    offset = 24
    while offset < len(content):
        seconds, fraction, captured, _ = struct.unpack_from("<IIII", content, offset)
        offset += 16
        records.append((seconds * 10**9 + fraction * unit_ns, content[offset : offset + captured]))
        offset += captured
    return records
