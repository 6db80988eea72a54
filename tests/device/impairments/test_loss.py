"""Gilbert-Elliott: bursts and gaps have the lengths that the model says, and the long-run loss is its mean."""

from __future__ import annotations

from itertools import groupby
from random import Random

import pytest

from emu.device.impairments.loss import GilbertElliott, GilbertElliottState
from tests.device.chi_square import chi_square, critical
from tests.device.sample import Sample

FRAMES = 100_000


def fates(model: GilbertElliott, count: int = FRAMES) -> list[bool]:
    state = GilbertElliottState(model)
    loss, transition = Random("loss"), Random("transition")
    return [state.loses(loss, transition) for _ in range(count)]


def runs(lost: list[bool], value: bool) -> list[int]:
    """The lengths of the runs, without the first and the last, which may be cut off."""
    lengths = [(key, len(list(group))) for key, group in groupby(lost)]
    return [length for key, length in lengths[1:-1] if key is value]


def geometric_classes(lengths: list[int], end: float, classes: int) -> tuple[list[int], list[float]]:
    """How many runs are 1, 2, … long and longer, and how many are expected when each frame ends one with `end`."""
    counts = [lengths.count(length) for length in range(1, classes)]
    counts.append(len(lengths) - sum(counts))
    expected = [len(lengths) * end * (1 - end) ** (length - 1) for length in range(1, classes)]
    expected.append(len(lengths) * (1 - end) ** (classes - 1))
    return counts, expected


@pytest.mark.parametrize(("p", "r"), [(0.05, 0.5), (0.02, 0.2), (0.3, 0.4)])
def test_bursts_of_loss_and_the_gaps_between_them_are_geometric(p, r):
    lost = fates(GilbertElliott(p, r))
    bursts = geometric_classes(runs(lost, True), r, 10)
    assert chi_square(*bursts) < critical(9)
    gaps = geometric_classes(runs(lost, False), p, 10)
    assert chi_square(*gaps) < critical(9)


@pytest.mark.parametrize(
    "model", [GilbertElliott("1%", "10%"), GilbertElliott("1%", "10%", "70%", "0.1%"), GilbertElliott(0.5, 0.5, 0, 0.4)]
)
def test_the_long_run_loss_is_the_stationary_one(model):
    loss = sum(fates(model)) / FRAMES
    # Frames are correlated: the variance of the mean grows by (1 + c) / (1 - c) with c = 1 - p - r.
    correlation = 1 - model.p - model.r
    variance = model.mean_loss * (1 - model.mean_loss) * (1 + correlation) / (1 - correlation) / FRAMES
    assert abs(loss - model.mean_loss) < 3.3 * variance**0.5


def test_the_state_a_frame_finds_decides_and_a_line_begins_in_the_good_one():
    assert fates(GilbertElliott(p=1, r=1), 5) == [False, True, False, True, False]
    assert fates(GilbertElliott(p=1, r=1, bad_loss=0, good_loss=1), 4) == [True, False, True, False]


def test_the_mean_is_what_the_formula_says():
    assert GilbertElliott(0.01, 0.09).mean_loss == pytest.approx(0.1)
    assert GilbertElliott(0.01, 0.09, 0.5, 0.1).mean_loss == pytest.approx(0.1 * 0.5 + 0.9 * 0.1)


@pytest.mark.slow
def test_over_100000_frames_a_line_loses_in_bursts_as_configured_and_says_so():
    sample = Sample(FRAMES, loss=GilbertElliott("2%", "20%"))
    arrived = set(sample.ids)
    lost = [packet_id not in arrived for packet_id in range(1, FRAMES + 1)]
    assert chi_square(*geometric_classes(runs(lost, True), 0.2, 10)) < critical(9)
    assert sample.statistics.lost == sum(lost)
    assert sample.statistics.loss_rate == sum(lost) / FRAMES
    assert sample.statistics.loss_rate == pytest.approx(0.02 / 0.22, rel=0.05)


def test_other_changes_leave_the_line_in_its_state_and_a_new_model_begins_anew():
    sample = Sample(1, loss=GilbertElliott(p=1, r=0.000001))  # from the second frame on the state is bad
    chance = sample.a.direction.chance
    sample.a.set(delay="1ms")
    assert chance.draw().lost
    sample.a.set(loss=GilbertElliott(p=1, r=0.5))
    assert not chance.draw().lost
