"""TCP headers in the words of `tcpdump -S` (RFC 9293): absolute sequence numbers, because a line has no memory."""

from __future__ import annotations

from struct import Struct

from emu.wire.render_payload import render_tcp_payload
from emu.wire.tcp import flags_text

_SYN_FIN_RST = 0x07
_ACK = 0x10
_URG = 0x20
_BAD_OPTION = "[bad opt]"

_unpack_from = Struct("!HHIIBBHHH").unpack_from


def render_tcp(segment: bytes, length: int) -> str:
    """Describe a TCP segment, without the ports.

    segment: its captured bytes, perhaps cut off. length: how many there are according to the IP header.
    """
    if len(segment) < 20:
        return "[|tcp]"
    source_port, destination_port, sequence, acknowledgment, data_offset, flags, window, _, urgent = _unpack_from(
        segment
    )
    header_length = (data_offset >> 4) << 2
    if header_length < 20:
        return f"tcp {length - header_length} [bad hdr length {header_length} - too short, < 20]"
    text = f"Flags [{flags_text(flags)}]"
    if header_length > length:
        return f"{text} [bad hdr length {header_length} - too long, > {length}]"
    data_length = length - header_length
    if data_length:
        text += f", seq {sequence}:{(sequence + data_length) & 0xFFFFFFFF}"
    elif flags & _SYN_FIN_RST:
        text += f", seq {sequence}"
    if flags & _ACK:
        text += f", ack {acknowledgment}"
    text += f", win {window}"
    if flags & _URG:
        text += f", urg {urgent}"
    if header_length > 20:
        words = _render_options(segment[20:header_length])
        if len(segment) < header_length:
            whole = "".join(f"{word}," for word in words if word != _BAD_OPTION)
            return f"{text}, options [{whole} [|tcp]"
        text += f", options [{','.join(words)}]"
    carried = render_tcp_payload(source_port, destination_port, segment[header_length:])
    return f"{text}, length {data_length}{carried}"


def _render_options(options: bytes) -> list[str]:
    words = []
    position = 0
    while position < len(options):
        kind = options[position]
        if kind == 0:
            words.append("eol")
            break
        if kind == 1:
            words.append("nop")
            position += 1
            continue
        length = options[position + 1] if position + 1 < len(options) else 0
        value = options[position + 2 : position + length]
        if length < 2 or len(value) != length - 2:
            words.append(_BAD_OPTION)
            break
        words.append(_render_option(kind, value))
        position += length
    return words


def _render_option(kind: int, value: bytes) -> str:
    number = int.from_bytes(value, "big")
    if kind == 2 and len(value) == 2:
        return f"mss {number}"
    if kind == 3 and len(value) == 1:
        return f"wscale {number}"
    if kind == 4 and not value:
        return "sackOK"
    if kind == 5 and value and len(value) % 8 == 0:
        words = [int.from_bytes(value[start : start + 4], "big") for start in range(0, len(value), 4)]
        blocks = "".join(f"{{{left}:{right}}}" for left, right in zip(words[::2], words[1::2], strict=True))
        return f"sack {len(words) // 2} {blocks}"
    if kind == 8 and len(value) == 8:
        return f"TS val {number >> 32} ecr {number & 0xFFFFFFFF}"
    return f"unknown-{kind}" + (f" 0x{value.hex()}" if value else "")
