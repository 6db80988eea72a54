"""Loss in bursts: the Gilbert-Elliott model, as `tc netem loss gemodel` has it.

Loss that hits each frame independently (Bernoulli) needs no model: it is one number, see `settings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_probability

MODEL_WORD = "gemodel"
_EXPECTED = 'expected "gemodel P [R [1-H [1-K]]]" in percent, such as "gemodel 1% 10% 70% 0.1%"'


@dataclass(frozen=True, slots=True, init=False)
class GilbertElliott:
    """Loss in bursts: a line that is in a good or in a bad state, and loses frames in each with its own probability.

    p: probability per frame that the good state ends. r: that the bad state ends; bursts last 1/r frames on average.
    bad_loss, good_loss: probability of losing a frame in that state (tc's 1-h and 1-k). All are 0.01 or "1%".

    The state in which a frame arrives decides its fate; then the state may change for the next one, as in netem. A line
    begins in the good state. Source: Gilbert 1960, Elliott 1963; Linux's sch_netem.
    Raises `InvalidValue` for anything but probabilities, for p or r of 0 (a state that never ends), and when both
    states lose alike.
    """

    p: float
    r: float
    bad_loss: float
    good_loss: float

    def __init__(
        self, p: float | str, r: float | str, bad_loss: float | str = 1.0, good_loss: float | str = 0.0
    ) -> None:
        values = {"p": p, "r": r, "bad_loss": bad_loss, "good_loss": good_loss}
        for name, value in values.items():
            object.__setattr__(self, name, parse_probability(value, f"{name} of GilbertElliott"))
        for name in ("p", "r"):
            if not getattr(self, name):
                raise InvalidValue(
                    f"invalid {name} of GilbertElliott 0: a state that never ends; give loss= one number"
                )
        if self.bad_loss == self.good_loss:
            raise InvalidValue("GilbertElliott: both states lose alike; give loss= one number instead")

    @property
    def mean_loss(self) -> float:
        """The share of frames that are lost in the long run."""
        return (self.p * self.bad_loss + self.r * self.good_loss) / (self.p + self.r)

    def text(self) -> str:
        """Write it as tc does: "gemodel 1% 10% 70% 0.1%"."""
        values = (self.p, self.r, self.bad_loss, self.good_loss)
        return " ".join([MODEL_WORD, *(f"{value * 100:.10g}%" for value in values)])


def parse_loss(value: float | str | GilbertElliott | None, what: str) -> float | GilbertElliott:
    """Read a loss: a probability, a `GilbertElliott`, tc's "gemodel 1% 10% 70% 0.1%", or None for none.

    In the text r is 1 - p, the bad state loses all and the good one nothing unless said otherwise, as in tc.
    """
    if value is None:
        return 0.0
    if isinstance(value, GilbertElliott):
        return value
    if not isinstance(value, str) or not value.split() or value.split()[0] != MODEL_WORD:
        return parse_probability(value, what)
    words = value.split()[1:]
    if not 1 <= len(words) <= 4 or not all(word.endswith("%") for word in words):
        raise InvalidValue(f"invalid {what} {value!r}: {_EXPECTED}")
    numbers = [parse_probability(word, f"{what} {value!r}:") for word in words]
    if len(numbers) == 1:
        numbers.append(1.0 - numbers[0])
    return GilbertElliott(*numbers)


class GilbertElliottState:
    """Where one direction of a line is in its model; it outlives changes of everything but the model."""

    __slots__ = ("is_bad", "model")

    def __init__(self, model: GilbertElliott) -> None:
        self.model = model
        self.is_bad = False

    def loses(self, loss: Random, transition: Random) -> bool:
        """Decide on one frame; draws one number from each of the two streams."""
        model = self.model
        if self.is_bad:
            lost = loss.random() < model.bad_loss
            self.is_bad = transition.random() >= model.r
        else:
            lost = loss.random() < model.good_loss
            self.is_bad = transition.random() < model.p
        return lost
