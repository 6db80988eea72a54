"""Arithmetic on 32-bit sequence numbers that wrap (RFC 9293, section 3.4)."""

from __future__ import annotations

MASK = 0xFFFFFFFF
HALF = 0x80000000


def seq_diff(a: int, b: int) -> int:
    """How far `a` is after `b`: -2**31 to 2**31 - 1, negative when `a` comes first."""
    difference = (a - b) & MASK
    return difference - 0x100000000 if difference & HALF else difference


def seq_lt(a: int, b: int) -> bool:
    """`a` comes before `b`."""
    return bool((a - b) & HALF)


def seq_leq(a: int, b: int) -> bool:
    """`a` is `b` or comes before it."""
    return not (b - a) & HALF
