"""Reading the parameters that queue disciplines have in common."""

from __future__ import annotations

from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_probability, parse_size_bytes


def parse_count(value: int | str, what: str) -> int:
    """Read a whole number of at least 1, also from digits."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidValue(f"invalid {what} {value!r}: expected a whole number of at least 1")
    return value


def parse_queue_size(value: int | str, what: str) -> int:
    """Read a size of at least one byte; digits alone are bytes, as in tc."""
    size_bytes = parse_size_bytes(int(value) if isinstance(value, str) and value.isdecimal() else value, what)
    if size_bytes < 1:
        raise InvalidValue(f"invalid {what} {value!r}: expected at least 1 byte")
    return size_bytes


def parse_part(value: float | str, what: str) -> float:
    """Read a probability or weight that is more than 0."""
    part = parse_probability(value, what)
    if not part:
        raise InvalidValue(f"invalid {what} 0: expected more than 0, up to 1")
    return part


def parse_flag(value: bool, what: str) -> bool:
    """Read True or False."""
    if not isinstance(value, bool):
        raise InvalidValue(f"invalid {what} {value!r}: expected True or False")
    return value
