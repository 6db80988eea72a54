"""Delays vary as their distribution says: normal and Pareto as tc has them, uniform, or a table of one's own."""

from __future__ import annotations

from itertools import pairwise
from math import erf, sqrt
from random import Random
from statistics import fmean, pstdev

import pytest

from emu.device.impairments.jitter import Distribution, normal, pareto, parse_distribution
from tests.device.chi_square import chi_square, critical
from tests.device.sample import Sample

FRAMES = 100_000
JITTER_NS = 1_000_000


def deviations(distribution: Distribution, count: int = FRAMES) -> list[float]:
    """In units of the jitter."""
    random = Random("deviations")
    return [distribution.deviation_ns(JITTER_NS, random.random()) / JITTER_NS for _ in range(count)]


def classes(values: list[float], borders: list[float]) -> list[int]:
    """How many values are below the first border, between it and the second, …, above the last."""
    ordered = sorted(values)
    counts, index = [], 0
    for border in borders:
        start = index
        while index < len(ordered) and ordered[index] < border:
            index += 1
        counts.append(index - start)
    return [*counts, len(ordered) - index]


def shares(cumulative: list[float]) -> list[float]:
    """The probability of each class, from the distribution function at the borders."""
    points = [0.0, *cumulative, 1.0]
    return [after - before for before, after in pairwise(points)]


def test_normal_is_the_normal_distribution():
    borders = [-2.5 + 0.26 * step for step in range(20)]
    expected = shares([(1 + erf(border / sqrt(2))) / 2 for border in borders])
    counts = classes(deviations(normal()), borders)
    assert chi_square(counts, [share * FRAMES for share in expected]) < critical(20)


def test_pareto_is_the_pareto_distribution_of_shape_3_as_tc_scales_it():
    borders = [-0.6 + 0.2 * step for step in range(20)]
    expected = shares([1 - (border * 3 / 4 + 1.5) ** -3 for border in borders])
    counts = classes(deviations(pareto()), borders)
    assert chi_square(counts, [share * FRAMES for share in expected]) < critical(20)


@pytest.mark.parametrize(
    ("distribution", "minimum", "maximum", "mean", "deviation"),
    [(normal(), -3.7, 3.7, 0.0, 1.0), (pareto(), -2 / 3, 4.0, -0.02, 0.8)],
)
def test_the_tables_have_the_moments_and_ends_of_tcs(distribution, minimum, maximum, mean, deviation):
    values = [entry / (1 << 20) for entry in distribution.table]
    assert len(values) == 4096
    assert min(values) == pytest.approx(minimum, abs=0.05)
    assert max(values) == pytest.approx(maximum, abs=0.05)
    assert fmean(values) == pytest.approx(mean, abs=0.02)
    assert pstdev(values) == pytest.approx(deviation, abs=0.05)


def test_a_table_of_ones_own_gives_each_of_its_entries_equally_often():
    sample = Sample(4000, delay="10us", jitter="2us", distribution=[-1, 0, 0.5, 3])
    values = [8_000, 10_000, 11_000, 16_000]
    assert set(sample.delays) == set(values)
    assert chi_square([sample.delays.count(value) for value in values], [1000] * 4) < critical(3)


def test_a_delay_is_never_negative():
    sample = Sample(200, delay="2us", jitter="2us", distribution=[-5, 0])
    assert set(sample.delays) == {0, 2_000}
    assert sample.statistics.delay_minimum_ns == 0


def test_uniform_needs_no_table():
    assert parse_distribution("uniform", "x") is None
    assert parse_distribution(None, "x") is None


def test_a_distribution_changes_only_how_a_number_is_used_not_which_numbers_are_drawn():
    plain = Sample(300, delay="10s", jitter="2s", loss=0.2)
    shaped = Sample(300, delay="10s", jitter="2s", loss=0.2, distribution="normal")
    assert sorted(plain.ids) == sorted(shaped.ids), "the same frames are lost"
    uniform = dict(zip(plain.ids, plain.delays, strict=True))
    other = dict(zip(shaped.ids, shaped.delays, strict=True))
    order = sorted(uniform, key=lambda packet: uniform[packet])
    assert [other[packet] for packet in order] == sorted(other.values())


@pytest.mark.slow
def test_over_100000_frames_a_table_of_ones_own_gives_each_of_its_entries_equally_often():
    table = [number / 4 for number in range(-4, 16)]
    sample = Sample(FRAMES, delay="10us", jitter="4us", distribution=table)
    counts = [sample.delays.count(10_000 + round(entry * 4_000)) for entry in table]
    assert sum(counts) == FRAMES
    assert chi_square(counts, [FRAMES / 20] * 20) < critical(19)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["normal", "pareto"])
def test_over_100000_frames_a_line_delays_as_the_table_says(name):
    sample = Sample(FRAMES, delay="1ms", jitter="200us", distribution=name)
    table = parse_distribution(name, "x").table
    edges = [sorted(table)[4096 * step // 20] for step in range(1, 20)]
    counts = classes([(delay - 1_000_000) / 200_000 * (1 << 20) for delay in sample.delays], edges)
    assert chi_square(counts, [FRAMES / 20] * 20) < critical(19) * 1.1  # edges are rounded to whole ns
    statistics = sample.statistics
    assert statistics.delay_minimum_ns == min(sample.delays)
    assert statistics.delay_mean_ns == sum(sample.delays) // FRAMES
    assert statistics.delay_maximum_ns == max(sample.delays)
