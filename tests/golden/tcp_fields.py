"""TCP segments in recorded and emulated captures: their fields, and what their random numbers have in common.

Sequence and acknowledgment numbers are compared relative to the initial ones of their connection. Timestamps count
milliseconds from a random start, so they can't be equal; what must be equal is which segment each of them echoes, and
that they count the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Fields = dict[str, Any]
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
FLAGS = ((FIN, "F"), (SYN, "S"), (RST, "R"), (PSH, "P"), (ACK, "."))
TIMESTAMPS = 8
CLOCK_SLACK_MS = 1.1
"""Two stamps are each up to 1 ms behind the time; a recorded segment is seen by a tap a moment after it was stamped."""


class Timed(Protocol):
    """A frame at a capture point."""

    @property
    def time_ns(self) -> int: ...
    @property
    def fields(self) -> Fields: ...


def decode_tcp(data: bytes, fields: Fields, prefix: str, checksum: str | None) -> None:
    """Add the fields of a segment; `data` may have been cut by the capture, but not in the header.

    checksum: "good", "bad", or None where the segment was cut.
    """
    header_length = (data[12] >> 4) * 4
    fields[prefix + "tcp.source_port"] = int.from_bytes(data[0:2], "big")
    fields[prefix + "tcp.destination_port"] = int.from_bytes(data[2:4], "big")
    fields[prefix + "tcp.sequence"] = int.from_bytes(data[4:8], "big")
    fields[prefix + "tcp.acknowledgment"] = int.from_bytes(data[8:12], "big")
    fields[prefix + "tcp.flags"] = (data[12] & 0x0F) << 8 | data[13]
    fields[prefix + "tcp.window"] = int.from_bytes(data[14:16], "big")
    fields[prefix + "tcp.urgent"] = int.from_bytes(data[18:20], "big")
    fields[prefix + "tcp.options"] = _options(data[20:header_length], fields, prefix)
    fields[prefix + "tcp.payload"] = data[header_length:]
    if checksum is not None:
        fields[prefix + "tcp.checksum"] = checksum


def _options(data: bytes, fields: Fields, prefix: str) -> str:
    """Return the options in their order as hex, the values of timestamps masked."""
    masked, position = bytearray(data), 0
    while position < len(data):
        kind = data[position]
        if kind == 1:
            position += 1
            continue
        if kind == TIMESTAMPS:
            fields[prefix + "tcp.tsval"] = int.from_bytes(data[position + 2 : position + 6], "big")
            fields[prefix + "tcp.tsecr"] = int.from_bytes(data[position + 6 : position + 10], "big")
            masked[position + 2 : position + 10] = bytes(8)
        position += max(data[position + 1], 2)
    return masked.hex()


def flow(fields: Fields) -> tuple[Any, ...]:
    """Return what the segments of one direction of a connection have in common."""
    return fields["ip.src"], fields["tcp.source_port"], fields["ip.dst"], fields["tcp.destination_port"]


def reverse(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the other direction of a connection."""
    return key[2], key[3], key[0], key[1]


def make_relative(frames: Sequence[Timed]) -> None:
    """Make sequence and acknowledgment numbers relative to the initial sequence numbers of their connections.

    A direction whose SYN is not in the capture counts from the first number that is.
    """
    initial: dict[tuple[Any, ...], int] = {}
    for seen in frames:
        fields = seen.fields
        if "tcp.sequence" not in fields:
            continue
        key, flags = flow(fields), fields["tcp.flags"]
        if flags & SYN or key not in initial:
            initial[key] = fields["tcp.sequence"]
        if flags & ACK:
            other = initial.setdefault(reverse(key), fields["tcp.acknowledgment"])
            fields["tcp.acknowledgment"] = fields["tcp.acknowledgment"] - other & 0xFFFFFFFF
        if flags & RST and not flags & SYN and fields["tcp.sequence"] == 0:
            initial[key] = 0  # the answer of a closed port: its sequence number is 0, not random
        fields["tcp.sequence"] = fields["tcp.sequence"] - initial[key] & 0xFFFFFFFF


def timestamp_difference(recorded: Sequence[Timed], emulated: Sequence[Timed]) -> tuple[int, str] | None:
    """Return the index of the first segment whose timestamps do not mean what the recorded ones meant, and why."""
    recorded_echoes, emulated_echoes = _echoed(recorded), _echoed(emulated)
    first: dict[tuple[Any, ...], tuple[int, int]] = {}
    for index, seen in enumerate(emulated):
        if "tcp.tsval" not in seen.fields:
            continue
        one, other = recorded_echoes[index], emulated_echoes[index]
        if one != other and not one & other:
            return index, f"echoes the timestamp of {_names(other)}; recorded was that of {_names(one)}"
        start_ns, start = first.setdefault(flow(seen.fields), (seen.time_ns, seen.fields["tcp.tsval"]))
        counted_ms = (seen.fields["tcp.tsval"] - start) & 0xFFFFFFFF
        passed_ms = (seen.time_ns - start_ns) / 1e6
        if abs(counted_ms - passed_ms) > CLOCK_SLACK_MS:
            return index, f"has a timestamp {counted_ms} ms after the first one, {passed_ms:.3f} ms have passed"
    return None


def _echoed(frames: Sequence[Timed]) -> list[frozenset[int]]:
    """Return for every frame which earlier segments of the other direction have the timestamp that it echoes."""
    values: dict[tuple[Any, ...], dict[int, set[int]]] = {}
    found = []
    for index, seen in enumerate(frames):
        fields = seen.fields
        if "tcp.tsval" not in fields:
            found.append(frozenset[int]())
            continue
        key = flow(fields)
        found.append(frozenset(values.get(reverse(key), {}).get(fields["tcp.tsecr"], ())))
        values.setdefault(key, {}).setdefault(fields["tcp.tsval"], set()).add(index)
    return found


def _names(indices: frozenset[int]) -> str:
    return f"frame {', '.join(str(index + 1) for index in sorted(indices))}" if indices else "no frame"


def flag_text(flags: int) -> str:
    """Write flags as tcpdump does."""
    return "".join(letter for bit, letter in FLAGS if flags & bit)


def is_segment(fields: Fields) -> bool:
    """Whether a frame is a TCP segment of its own, not one quoted in an ICMP error."""
    return "tcp.flags" in fields


def payload_length(fields: Fields) -> int:
    """Return how many bytes a segment carried, also where the capture cut it."""
    header = 20 + len(bytes.fromhex(fields["tcp.options"]))
    return int(fields["ip.length"] - (fields["ip.version_and_header_length"] & 0x0F) * 4 - header)
