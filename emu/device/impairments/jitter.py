"""How a delay varies: the distributions of `tc netem delay … distribution`, as tables of equally likely deviations.

A deviation is counted in units of the jitter, in whole 2**-20ths of it, so that no machine's rounding of logarithms
and roots shows in a delay. "uniform" needs no table: from -jitter to +jitter, both included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from statistics import NormalDist
from typing import Any

from emu.kernel.errors import InvalidValue

UNIT_BITS = 20
TABLE_SIZE = 4096
"""As many deviations as netem's own tables have."""
PARETO_SHAPE = 3
PARETO_MAXIMUM = 4.0
"""tc's table ends at four times the jitter, the largest number it can hold."""
NAMES = ("uniform", "normal", "pareto")
LIMIT = 1000.0


@dataclass(frozen=True, slots=True)
class Distribution:
    """A table of deviations, each as likely as the others.

    name: what it is called in texts. table: deviations in 2**-20ths of the jitter.
    """

    name: str
    table: tuple[int, ...]

    def deviation_ns(self, jitter_ns: int, uniform: float) -> int:
        """Return the deviation for a jitter and a random number from 0 to 1 (1 excluded)."""
        entry = self.table[int(uniform * len(self.table))]
        return jitter_ns * entry + (1 << UNIT_BITS - 1) >> UNIT_BITS


@lru_cache(maxsize=1)
def normal() -> Distribution:
    """The normal distribution, jitter being the standard deviation; its ends are 3.7 of them away from the mean."""
    standard = NormalDist()
    return _from_numbers("normal", [standard.inv_cdf((index + 0.5) / TABLE_SIZE) for index in range(TABLE_SIZE)])


@lru_cache(maxsize=1)
def pareto() -> Distribution:
    """The Pareto distribution of shape 3 as tc scales it: many a bit early, few very late (-0.67 to 4 jitters).

    With X = u**(-1/3) the deviation is (X - 1.5) * 4/3, so that its mean is 0; what is beyond 4 counts as 4.
    """
    values = [((index + 0.5) / TABLE_SIZE) ** (-1 / PARETO_SHAPE) for index in range(TABLE_SIZE)]
    return _from_numbers("pareto", [min((value - 1.5) * 4 / 3, PARETO_MAXIMUM) for value in values])


def parse_distribution(value: str | Sequence[float] | None, what: str) -> Distribution | None:
    """Read a distribution: "uniform" (or None), "normal", "pareto", or a sequence of deviations in jitters.

    Raises `InvalidValue` for another name, an empty sequence, and what are no numbers from -1000 to 1000.
    """
    if value is None or value == "uniform":
        return None
    if value == "normal":
        return normal()
    if value == "pareto":
        return pareto()
    expected = f"expected {', '.join(NAMES)}, or a list of deviations in units of the jitter, such as [-1, 0, 0, 1]"
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence) or not value:
        raise InvalidValue(f"invalid {what} {value!r}: {expected}")
    numbers: list[Any] = list(value)
    for number in numbers:
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
        if not is_number or not isfinite(number) or abs(number) > LIMIT:
            raise InvalidValue(f"invalid {what}: {number!r} in the list: expected numbers from -{LIMIT:g} to {LIMIT:g}")
    return _from_numbers(f"table of {len(numbers)}", numbers)


def _from_numbers(name: str, numbers: Sequence[float]) -> Distribution:
    return Distribution(name, tuple(round(number * (1 << UNIT_BITS)) for number in numbers))
