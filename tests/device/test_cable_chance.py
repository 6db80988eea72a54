"""Loss, duplication, reordering, corruption and jitter: what they do to a frame, and that their numbers are right."""

from __future__ import annotations

import pytest

from emu.wire.drop import DropReason
from tests.device.chi_square import chi_square, critical
from tests.device.sample import Sample


def test_a_lost_frame_is_reported_and_counts_as_sent():
    sample = Sample(500, loss="20%")
    lost = 500 - len(sample.arrived)
    assert 60 < lost < 140
    assert sample.drops == [DropReason.LOSS] * lost
    assert sample.statistics.lost == lost
    assert sample.statistics.loss_rate == lost / 500
    assert sample.a.tx_packets == 500
    assert sample.a.tx_dropped == 0


def test_a_lost_frame_occupies_the_line_all_the_same():
    sample = Sample(100, gap_ns=0, rate="512Mbit", loss=0.5)  # 1 us per frame
    last_id = sample.ids[-1]
    assert sample.arrived[-1][0] == last_id * 1000


def test_a_duplicate_is_the_same_packet_and_occupies_the_line_again():
    sample = Sample(2, gap_ns=0, rate="512Mbit", duplicate=1.0)
    assert [(time_ns, frame.packet_id) for time_ns, frame in sample.arrived] == [
        (1000, 1), (2000, 1), (3000, 2), (4000, 2),
    ]  # fmt: skip
    assert sample.statistics.duplicated == 2


def test_the_copy_of_a_lost_frame_arrives():
    sample = Sample(10, loss=1.0, duplicate=1.0)
    assert sample.ids == list(range(1, 11))


def test_a_reordered_frame_skips_the_delay_and_overtakes():
    sample = Sample(200, delay="10us", reorder="25%")
    assert set(sample.delays) == {0, 10_000}
    early = sample.delays.count(0)
    assert sample.statistics.reordered == early
    assert 25 < early < 75
    assert sample.ids != sorted(sample.ids)


def test_jitter_is_uniform_around_the_delay_and_may_reorder():
    sample = Sample(500, delay="10us", jitter="4us")
    assert min(sample.delays) >= 6_000
    assert max(sample.delays) <= 14_000
    assert len(set(sample.delays)) > 400
    assert sample.ids != sorted(sample.ids)
    statistics = sample.statistics
    assert statistics.delay_minimum_ns == min(sample.delays)
    assert statistics.delay_maximum_ns == max(sample.delays)
    assert statistics.delay_mean_ns == sum(sample.delays) // 500


def test_corruption_flips_one_bit_of_a_copy_and_marks_it():
    sample = Sample(50, corrupt=1.0)
    for _, frame in sample.arrived:
        difference = int.from_bytes(frame.data, "big") ^ int.from_bytes(sample.data, "big")
        assert difference.bit_count() == 1
        assert frame.altered
    assert sample.data == bytes(range(64))
    assert sample.statistics.corrupted == 50


def test_an_untouched_frame_is_not_marked():
    sample = Sample(50, corrupt=0.1)
    for _, frame in sample.arrived:
        assert frame.altered is (frame.data != sample.data)


def test_a_duplicate_is_not_corrupted():
    sample = Sample(20, corrupt=1.0, duplicate=1.0)
    assert [frame.altered for _, frame in sample.arrived] == [True, False] * 20


def fates(sample: Sample) -> dict[str, set[int]]:
    """Which packets met which fate."""
    arrived = set(sample.ids)
    return {
        "lost": set(sample.sent_ns) - arrived,
        "corrupt": {frame.packet_id for _, frame in sample.arrived if frame.altered},
        "early": {packet for packet, delay in zip(sample.ids, sample.delays, strict=True) if delay < 5_000},
    }


def test_switching_on_one_impairment_does_not_change_what_another_does():
    alone = fates(Sample(400, loss=0.1))
    together = fates(Sample(400, loss=0.1, corrupt=0.1, delay="10us", reorder=0.1, duplicate=0.0, jitter="1us"))
    assert alone["lost"] == together["lost"]
    corrupted = fates(Sample(400, corrupt=0.1))["corrupt"]
    assert together["corrupt"] == corrupted - together["lost"]
    early = fates(Sample(400, delay="10us", reorder=0.1))["early"]
    assert together["early"] == early - together["lost"]


def test_duplication_does_not_change_the_jitter_of_the_originals():
    plain = Sample(200, delay="10us", jitter="4us")
    doubled = Sample(200, delay="10us", jitter="4us", duplicate=0.5)
    originals = dict.fromkeys(zip(plain.ids, plain.delays, strict=True))
    assert set(originals) <= set(zip(doubled.ids, doubled.delays, strict=True))


def test_the_same_seed_gives_the_same_fates_and_another_seed_others():
    settings = {"loss": 0.1, "delay": "10us", "jitter": "5us", "duplicate": 0.1}
    first, again, other = Sample(200, 1, **settings), Sample(200, 1, **settings), Sample(200, 2, **settings)
    assert (first.ids, first.delays) == (again.ids, again.delays)
    assert first.ids != other.ids


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["loss", "duplicate", "reorder", "corrupt"])
@pytest.mark.parametrize("probability", [0.001, 0.02, 0.5])
def test_over_100000_frames_each_kind_happens_as_often_as_configured(kind, probability):
    count = 100_000
    sample = Sample(count, delay="500ns", **{kind: probability})
    name = {"loss": "lost", "duplicate": "duplicated", "reorder": "reordered", "corrupt": "corrupted"}[kind]
    happened = getattr(sample.statistics, name)
    expected = [count * probability, count * (1 - probability)]
    assert chi_square([happened, count - happened], expected) < critical(1)


@pytest.mark.slow
def test_over_100000_frames_losses_are_independent_of_each_other():
    count, probability = 100_000, 0.1
    sample = Sample(count, loss=probability)
    arrived = set(sample.ids)
    lost = [packet_id not in arrived for packet_id in range(1, count + 1)]
    pairs = [0, 0, 0, 0]
    for index in range(0, count, 2):
        pairs[2 * lost[index] + lost[index + 1]] += 1
    keep = 1 - probability
    shares = [keep * keep, keep * probability, probability * keep, probability * probability]
    assert chi_square(pairs, [share * count / 2 for share in shares]) < critical(3)


@pytest.mark.slow
def test_over_100000_frames_jitter_is_uniform():
    count, bins = 100_000, 20
    sample = Sample(count, delay="10us", jitter="9999ns")  # 19,999 values: 1 to 19,999 ns
    counts = [0] * bins
    for delay in sample.delays:
        counts[(delay - 1) * bins // 19_999] += 1
    assert chi_square(counts, [count / bins] * bins) < critical(19)


@pytest.mark.slow
def test_over_100000_frames_every_bit_is_corrupted_equally_often():
    count = 100_000
    sample = Sample(count, corrupt=1.0)
    counts = [0] * 512
    for _, frame in sample.arrived:
        difference = int.from_bytes(frame.data, "big") ^ int.from_bytes(sample.data, "big")
        counts[difference.bit_length() - 1] += 1
    assert chi_square(counts, [count / 512] * 512) < critical(511)
