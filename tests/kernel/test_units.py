"""Quantities are read exactly, written back exactly, and refused with a line that says what was expected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.kernel import InvalidValue, units


@pytest.mark.parametrize(
    ("text", "value"),
    [("10us", 10_000), ("1.5s", 1_500_000_000), ("0.25ms", 250_000), ("7ns", 7), ("2min", 120_000_000_000), (5, 5)],
)
def test_times_are_read_into_nanoseconds(text, value):
    assert units.parse_time_ns(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("1Gbit", 10**9), ("100mbit", 10**8), ("2.5Gbit/s", 2_500_000_000), ("9600bit", 9600), (42, 42)],
)
def test_rates_are_read_into_bits_per_second(text, value):
    assert units.parse_rate_bps(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("1500B", 1500), ("64KiB", 65536), ("64kB", 64000), ("1.5MiB", 1572864), (9000, 9000)]
)
def test_sizes_are_read_into_bytes(text, value):
    assert units.parse_size_bytes(text) == value


@pytest.mark.parametrize(("text", "value"), [("10%", 0.1), (0.1, 0.1), ("0.5", 0.5), (0, 0.0), (1, 1.0)])
def test_probabilities_are_read_as_shares_or_percent(text, value):
    assert units.parse_probability(text) == value


@pytest.mark.parametrize(
    ("parse", "bad", "line"),
    [
        (units.parse_time_ns, "10", 'invalid time \'10\': the unit is missing; expected "10us", "1.5s" or a whole'),
        (units.parse_time_ns, "10 parsecs", 'unknown unit "parsecs"'),
        (units.parse_time_ns, "0.5ns", "it is not a whole number of nanoseconds"),
        (units.parse_time_ns, -1, "expected at least 0 nanoseconds"),
        (units.parse_time_ns, 1.5, "invalid time 1.5: expected"),
        (units.parse_time_ns, True, "invalid time True"),
        (units.parse_rate_bps, "100Mbps", 'write "100Mbit"'),
        (units.parse_rate_bps, "0Mbit", "expected more than 0"),
        (units.parse_size_bytes, "-1B", "invalid size '-1B'"),
        (units.parse_size_bytes, "", "invalid size ''"),
        (units.parse_probability, 1.5, "expected a probability from 0 to 1"),
        (units.parse_probability, "often", "expected a probability from 0 to 1"),
        (units.parse_probability, True, "expected a probability"),
    ],
)
def test_bad_quantities_say_what_was_expected(parse, bad, line):
    with pytest.raises(InvalidValue) as error:
        parse(bad)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_the_error_names_the_parameter():
    with pytest.raises(InvalidValue, match="invalid delay '10'"):
        units.parse_time_ns("10", what="delay")


@given(st.integers(0, 10**20))
def test_a_time_survives_being_written_and_read(value):
    assert units.parse_time_ns(units.format_time_ns(value)) == value


@given(st.integers(1, 10**15))
def test_a_rate_survives_being_written_and_read(value):
    assert units.parse_rate_bps(units.format_rate_bps(value)) == value


@given(st.integers(0, 10**15))
def test_a_size_survives_being_written_and_read(value):
    assert units.parse_size_bytes(units.format_size_bytes(value)) == value


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (units.format_time_ns(1_500_000), "1.5ms"),
        (units.format_time_ns(0), "0ns"),
        (units.format_time_ns(3_000_000_000), "3s"),
        (units.format_rate_bps(10**9), "1Gbit"),
        (units.format_size_bytes(65536), "64KiB"),
        (units.format_size_bytes(1500), "1500B"),
    ],
)
def test_quantities_read_well(written, text):
    assert written == text
