"""Quantities with units: text to exact integers and back.

Times are nanoseconds, rates bits per second, sizes bytes. A number without a unit is taken only as an int in the base
unit; text always carries its unit. Rates follow tc's spelling ("100Mbit"); "Mbps" is refused because tc reads it as
megabytes per second while most people mean megabits.
"""

from __future__ import annotations

import re
from fractions import Fraction

from emu.kernel.errors import InvalidValue

TIME_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}
RATE_UNITS_BPS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9, "tbit": 10**12}
SIZE_UNITS_BYTES = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}

_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ/]*)\s*")


def parse_time_ns(value: int | str, what: str = "time") -> int:
    """Read a time such as "10us", "1.5s" or an int of nanoseconds; return nanoseconds (>= 0).

    Raises `InvalidValue` naming `what` for a missing or unknown unit, a negative value or a fraction of a nanosecond.
    """
    return _parse(value, what, TIME_UNITS_NS, "nanoseconds", '"10us", "1.5s"', fold_case=False)


def parse_rate_bps(value: int | str, what: str = "rate") -> int:
    """Read a rate such as "1Gbit" or an int of bits per second; return bits per second (> 0).

    Raises `InvalidValue` for a missing or unknown unit (also "Mbps", which is ambiguous) and for zero.
    """
    if isinstance(value, str):
        text = value.strip().lower()
        if text.endswith("bps"):
            raise InvalidValue(
                f'invalid {what} {value!r}: "bps" is ambiguous (tc means bytes per second): write "{value[:-3]}bit"'
            )
        value = value.strip().removesuffix("/s")
    rate_bps = _parse(value, what, RATE_UNITS_BPS, "bits per second", '"100Mbit", "1Gbit"')
    if rate_bps == 0:
        raise InvalidValue(f"invalid {what} 0: expected more than 0 bits per second")
    return rate_bps


def parse_size_bytes(value: int | str, what: str = "size") -> int:
    """Read a size such as "1500B", "64KiB" (1024) or "64kB" (1000), or an int of bytes; return bytes (>= 0).

    Raises `InvalidValue` for a missing or unknown unit, a negative value or a fraction of a byte.
    """
    return _parse(value, what, SIZE_UNITS_BYTES, "bytes", '"1500B", "64KiB"')


def parse_probability(value: float | str, what: str = "probability") -> float:
    """Read a probability such as 0.1 or "10%"; return a float from 0 to 1.

    Raises `InvalidValue` for anything outside that range.
    """
    number: float | None = None
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)\s*", value)
        if match:
            number = float(Fraction(match[1]) / (100 if match[2] else 1))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
    if number is None or not 0.0 <= number <= 1.0:
        raise InvalidValue(f'invalid {what} {value!r}: expected a probability from 0 to 1, such as 0.01 or "1%"')
    return number


def format_time_ns(time_ns: int) -> str:
    """Write nanoseconds with the largest unit up to seconds that keeps it exact: 1500000 -> "1.5ms"."""
    return _format(time_ns, (("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1)))


def format_rate_bps(rate_bps: int) -> str:
    """Write a rate as tc does: 1000000000 -> "1Gbit"."""
    units = (("Tbit", 10**12), ("Gbit", 10**9), ("Mbit", 10**6), ("kbit", 10**3), ("bit", 1))
    return _format(rate_bps, units)


def format_size_bytes(size_bytes: int) -> str:
    """Write a size exactly: 65536 -> "64KiB", 1500 -> "1500B"."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return f"{size_bytes}B"


def _parse(value: int | str, what: str, units: dict[str, int], base: str, examples: str, fold_case: bool = True) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise InvalidValue(f"invalid {what} {value}: expected at least 0 {base}")
        return value
    expected = f"expected {examples} or a whole number of {base}"
    if not isinstance(value, str):
        raise InvalidValue(f"invalid {what} {value!r}: {expected}")
    match = _QUANTITY.fullmatch(value)
    if match is None:
        raise InvalidValue(f"invalid {what} {value!r}: {expected}")
    number, unit = match.groups()
    factor = units.get(unit.lower() if fold_case else unit)
    if factor is None:
        problem = f'unknown unit "{unit}"' if unit else "the unit is missing"
        raise InvalidValue(f"invalid {what} {value!r}: {problem}; {expected}")
    quantity = Fraction(number) * factor
    if quantity.denominator != 1:
        raise InvalidValue(f"invalid {what} {value!r}: it is not a whole number of {base}")
    return quantity.numerator


def _format(value: int, units: tuple[tuple[str, int], ...]) -> str:
    """Use the largest unit in which the value is at least 1; decimals are exact, never rounded."""
    unit, factor = next((pair for pair in units if abs(value) >= pair[1]), units[-1])
    whole, rest = divmod(abs(value), factor)
    sign = "-" if value < 0 else ""
    digits = len(str(factor)) - 1
    decimals = f".{rest:0{digits}d}".rstrip("0") if rest else ""
    return f"{sign}{whole}{decimals}{unit}"
