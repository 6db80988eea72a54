"""Impairments are read with their units, changed one by one, and refused in one clear line when they make no sense."""

import pytest

from emu.device import Impairments
from emu.kernel import InvalidValue
from tests.device.test_cable_times import Line


def test_values_are_read_with_their_units():
    settings = Impairments().change(
        {"rate": "100Mbit", "delay": "10ms", "jitter": "2ms", "loss": "1%", "reorder": 0.25, "queue": "64KiB"}, "x"
    )
    assert settings == Impairments(
        rate_bps=10**8, delay_ns=10**7, jitter_ns=2 * 10**6, loss=0.01, reorder=0.25, queue_bytes=65536
    )
    assert settings.text() == "rate 100Mbit delay 10ms jitter 2ms loss 0.01 reorder 0.25 queue 64KiB"


def test_a_change_leaves_the_rest_and_none_takes_a_parameter_back():
    settings = Impairments().change({"rate": "1Gbit", "delay": "1ms", "queue": 100}, "x")
    assert settings.change({"delay": "2ms"}, "x") == Impairments(rate_bps=10**9, delay_ns=2 * 10**6, queue_packets=100)
    assert settings.change({"rate": None, "queue": None}, "x") == Impairments(delay_ns=10**6)
    assert settings.change({"queue": None}, "x").packet_limit == 1000
    assert settings.change({"queue": "1MiB"}, "x").packet_limit is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latency": "1ms"}, "web1:eth0: unknown link parameter 'latency': expected one of rate, delay, jitter, loss"),
        ({"rate": "fast"}, "invalid rate for web1:eth0 'fast'"),
        ({"rate": 0}, "invalid rate for web1:eth0 0: expected more than 0 bits per second"),
        ({"delay": "10"}, "invalid delay for web1:eth0 '10': the unit is missing"),
        ({"delay": -1}, "invalid delay for web1:eth0 -1"),
        ({"delay": 0.5}, "invalid delay for web1:eth0 0.5"),
        ({"loss": "101%"}, "invalid loss for web1:eth0 '101%': expected a probability"),
        ({"corrupt": -0.1}, "invalid corrupt for web1:eth0 -0.1"),
        ({"rate": "1Gbit", "queue": 0}, "invalid queue for web1:eth0 0: expected at least 1"),
        ({"rate": "1Gbit", "queue": 1.5}, "invalid queue for web1:eth0 1.5: expected a number of frames"),
        ({"rate": "1Gbit", "queue": True}, "invalid queue for web1:eth0 True"),
        ({"queue": 100}, "a queue fills only in front of a rate"),
        ({"jitter": "1ms"}, "jitter 1ms is larger than delay 0ns"),
        ({"reorder": 0.1}, "reordering is not possible without a delay"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(changes, message):
    line = Line(delay=0)
    line.a.label = "web1:eth0"
    before = line.a.direction.impairments
    with pytest.raises(InvalidValue) as caught:
        line.a.set(**changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert line.a.direction.impairments is before


def test_a_cable_is_changed_in_both_directions_or_not_at_all():
    line = Line(delay="1ms")
    with pytest.raises(InvalidValue, match="b: jitter 1ms is larger"):
        line.a.cable.set(jitter="1ms")  # b has no delay
    assert line.a.direction.impairments == Impairments(delay_ns=10**6)
