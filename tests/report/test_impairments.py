"""What came of impairments, in a few words, beside what they were set to."""

from __future__ import annotations

import pytest

from emu.device.impairments.statistics import LineStatistics
from emu.report.impairments import outcome_text, rate_text, time_text
from tests.report.test_table import printed, result

MS = 1_000_000


def entry(**changes: object) -> LineStatistics:
    values: dict[str, object] = dict.fromkeys(LineStatistics.__slots__, 0)
    values |= {"interface": "h1:eth0", "toward": "h2:eth0", "settings": "rate 1Mbit", "until_ns": 10**9, "frames": 1200}
    values |= {name: None for name in values if name.endswith("_ns") and "delay" in name}
    return LineStatistics(**{**values, "rate_bps": None, "loss_rate": 0.0, **changes})  # type: ignore[arg-type]


def test_the_table_has_a_row_for_each_direction_and_each_time_it_was_set() -> None:
    rows = [entry(rate_bps=999_123), entry(since_ns=500 * MS, settings="loss 0.01", lost=12, loss_rate=0.01)]
    text = printed(result(impairments=[*rows, entry(interface="h2:eth0")]), 100)
    expected = """\
 sent by   set to                    frames   came out as
 ─────────────────────────────────────────────────────────
 h1:eth0   from 0ns: rate 1Mbit       1,200   rate 999.1kbit
 h1:eth0   from 500ms: loss 0.01      1,200   lost 12 (1 %)
 h2:eth0   rate 1Mbit                 1,200"""
    shown = text[text.index(" sent by") :].splitlines()[:5]
    assert [line.split() for line in shown[2:]] == [line.split() for line in expected.splitlines()[2:]]


def test_without_impairments_there_is_no_table() -> None:
    assert "sent by" not in printed(result())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, ""),
        ({"delay_minimum_ns": MS, "delay_mean_ns": MS, "delay_maximum_ns": MS}, "delay 1ms"),
        ({"delay_minimum_ns": 0, "delay_mean_ns": MS, "delay_maximum_ns": 3 * MS}, "delay 0ns / 1ms / 3ms"),
        ({"lost": 1234, "loss_rate": 0.0123456}, "lost 1,234 (1.235 %)"),
        ({"duplicated": 1, "corrupted": 2, "reordered": 3}, "1 duplicated, 2 corrupted, 3 reordered"),
        ({"queue_maximum_frames": 1000, "queue_full": 5}, "queue up to 1,000, 5 found the queue full"),
        (
            {
                "queue_maximum_frames": 9, "queue_dropped": 4, "queue_marked": 3, "queue_delay_minimum_ns": 0,
                "queue_delay_mean_ns": MS, "queue_delay_maximum_ns": 5 * MS,
            },
            "queue up to 9, waiting 0ns / 1ms / 5ms, 4 dropped early, 3 marked CE",
        ),
        ({"over_burst": 7}, "7 over the burst"),
    ],
)  # fmt: skip
def test_what_a_line_did_is_told_in_words(changes: dict[str, object], text: str) -> None:
    assert outcome_text(entry(**changes)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7bit"), (9_814, "9.814kbit"), (99_999_999, "100Mbit"), (10**9, "1Gbit"), (123_456, "123.5kbit")],
)
def test_rates_have_four_digits(value: int, text: str) -> None:
    assert rate_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0ns"), (10_024_999, "10.02ms"), (5000, "5us"), (12_345 * 10**9, "12345s")]
)
def test_times_have_four_digits(value: int, text: str) -> None:
    assert time_text(value) == text
