"""TCP options in the order in which Linux writes them (RFC 9293, RFC 7323, RFC 2018; FACT 40)."""

from __future__ import annotations

from struct import Struct

END, NO_OPERATION, MAXIMUM_SEGMENT, WINDOW_SCALE, SACK_PERMITTED, SACK, TIMESTAMPS = 0, 1, 2, 3, 4, 5, 8
WINDOW_SCALE_MAX = 14
TIMESTAMPS_LENGTH = 12
"""Bytes that timestamps take in every segment, padding included."""
NOP_NOP_TIMESTAMPS = 0x0101080A
"""The first four bytes of the options of an ordinary segment."""

_pack_timestamps = Struct("!III").pack
_pack_block = Struct("!II").pack
_unpack_timestamps = Struct("!II").unpack_from
_unpack_word = Struct("!H").unpack_from


class TcpOptions:
    """The options of one segment; what is absent is None (blocks: an empty tuple).

    sack_blocks: pairs (left edge, right edge) in the order in which they came.
    """

    __slots__ = (
        "maximum_segment",
        "sack_blocks",
        "sack_permitted",
        "timestamp_echo",
        "timestamp_value",
        "window_scale",
    )

    def __init__(self) -> None:
        self.maximum_segment: int | None = None
        self.window_scale: int | None = None
        self.sack_permitted = False
        self.timestamp_value: int | None = None
        self.timestamp_echo: int | None = None
        self.sack_blocks: tuple[tuple[int, int], ...] = ()


def parse_tcp_options(options: bytes) -> TcpOptions:
    """Read the options of a segment as Linux does: what has a wrong length is skipped, what is cut off ends them.

    A window scale above 14 counts as 14 (RFC 7323, section 2.3).
    """
    result = TcpOptions()
    position, end = 0, len(options)
    while position < end:
        kind = options[position]
        if kind == END:
            break
        if kind == NO_OPERATION:
            position += 1
            continue
        if position + 1 >= end:
            break
        length = options[position + 1]
        if length < 2 or position + length > end:
            break
        _take(result, options, position, kind, length)
        position += length
    return result


def _take(result: TcpOptions, options: bytes, position: int, kind: int, length: int) -> None:
    if kind == MAXIMUM_SEGMENT and length == 4:
        result.maximum_segment = _unpack_word(options, position + 2)[0]
    elif kind == WINDOW_SCALE and length == 3:
        result.window_scale = min(options[position + 2], WINDOW_SCALE_MAX)
    elif kind == SACK_PERMITTED and length == 2:
        result.sack_permitted = True
    elif kind == TIMESTAMPS and length == 10:
        result.timestamp_value, result.timestamp_echo = _unpack_timestamps(options, position + 2)
    elif kind == SACK and length >= 10 and not (length - 2) % 8:
        result.sack_blocks = tuple(
            _unpack_timestamps(options, start) for start in range(position + 2, position + length, 8)
        )


def syn_options(
    maximum_segment: int,
    *,
    sack_permitted: bool,
    timestamps: tuple[int, int] | None,
    window_scale: int | None,
) -> bytes:
    """Write the options of a SYN or SYN-ACK: MSS, SACK permitted, timestamps, NOP, window scale.

    timestamps: (value, echo), or None without. window_scale: the shift, or None without.
    """
    text = b"\x02\x04" + maximum_segment.to_bytes(2, "big")
    if timestamps is not None:
        text += b"\x04\x02" if sack_permitted else b"\x01\x01"
        text += b"\x08\x0a" + _pack_block(*timestamps)
    if window_scale is not None:
        text += b"\x01\x03\x03" + bytes((window_scale,))
    if sack_permitted and timestamps is None:
        text += b"\x01\x01\x04\x02"
    return text


def segment_options(timestamps: tuple[int, int] | None, sack_blocks: tuple[tuple[int, int], ...] = ()) -> bytes:
    """Write the options of any other segment: NOP NOP timestamps, NOP NOP SACK.

    sack_blocks: as many as fit, at most 4, or 3 beside timestamps.
    """
    text = b"" if timestamps is None else _pack_timestamps(NOP_NOP_TIMESTAMPS, *timestamps)
    if sack_blocks:
        text += bytes((NO_OPERATION, NO_OPERATION, SACK, 2 + 8 * len(sack_blocks)))
        text += b"".join(_pack_block(left, right) for left, right in sack_blocks)
    return text
