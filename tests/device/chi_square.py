"""Pearson's chi-square test with tabulated critical values."""

from __future__ import annotations

from collections.abc import Sequence

CRITICAL = {
    1: 10.828, 2: 13.816, 3: 16.266, 4: 18.467, 5: 20.515, 6: 22.458, 7: 24.322, 8: 26.124, 9: 27.877, 10: 29.588,
    11: 31.264, 12: 32.909, 13: 34.528, 14: 36.123, 15: 37.697, 16: 39.252, 17: 40.790, 18: 42.312, 19: 43.820,
    20: 45.315, 24: 51.179, 29: 58.301, 39: 72.055, 49: 85.351, 511: 613.3,
}  # fmt: skip
"""By degrees of freedom: what chance alone exceeds once in a thousand times (with fixed seeds: always or never)."""


def critical(degrees: int) -> float:
    """The value above which the numbers are taken not to follow the distribution."""
    return CRITICAL[degrees]


def chi_square(counts: Sequence[int], expected: Sequence[float]) -> float:
    """The sum of squared deviations; every expected count should be at least 5."""
    assert min(expected) >= 5, f"too few expected in a class: {min(expected)}"
    return sum((count - wanted) ** 2 / wanted for count, wanted in zip(counts, expected, strict=True))
