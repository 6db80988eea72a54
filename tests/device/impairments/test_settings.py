"""Impairments are read with their units, changed one by one, and refused in one clear line when they make no sense."""

import pytest

from emu.device import Impairments
from emu.device.impairments.loss import GilbertElliott
from emu.device.impairments.settings import PARAMETERS
from emu.device.queues.codel import CoDel
from emu.device.queues.red import Red
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


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rate": "1Gbit", "burst": "32KiB"}, "rate 1Gbit burst 32KiB"),
        ({"delay": "5ms", "jitter": "1ms", "distribution": "normal"}, "delay 5ms jitter 1ms distribution normal"),
        ({"delay": "5ms", "jitter": "1ms", "distribution": [0, 1]}, "delay 5ms jitter 1ms distribution table of 2"),
        ({"delay": "5ms", "jitter": "1ms", "distribution": "uniform"}, "delay 5ms jitter 1ms"),
        ({"loss": GilbertElliott("1%", 0.1)}, "loss gemodel 1% 10% 100% 0%"),
        ({"loss": "gemodel 1% 10% 70% 0.1%"}, "loss gemodel 1% 10% 70% 0.1%"),
        ({"loss": "gemodel 2%"}, "loss gemodel 2% 98% 100% 0%"),
        ({"rate": "1Gbit", "queue": "codel"}, "rate 1Gbit queue codel limit 1000 target 5ms interval 100ms"),
        (
            {"rate": "1Gbit", "queue": CoDel(limit=50, target="1ms", interval="20ms", ecn=True)},
            "rate 1Gbit queue codel limit 50 target 1ms interval 20ms ecn",
        ),
        (
            {"rate": "1Gbit", "queue": "red limit 400000 min 30000 max 90000 probability 1 weight 0.5 ecn harddrop"},
            "rate 1Gbit queue red limit 400000B min 30000B max 90000B probability 1 weight 0.5 avpkt 1000 ecn harddrop",
        ),
        (
            {"rate": "1Gbit", "queue": Red("30KiB", "90KiB", weight=0.5)},
            "rate 1Gbit queue red limit 360KiB min 30KiB max 90KiB probability 0.02 weight 0.5 avpkt 1000",
        ),
    ],
)
def test_models_distributions_and_disciplines_are_written_as_tc_does(changes, text):
    settings = Impairments().change(changes, "x")
    assert settings.text() == text
    words = text.split(" queue ")
    if len(words) == 2:
        assert Impairments().change({"rate": "1Gbit", "queue": words[1]}, "x") == settings, "the text can be read again"


def test_every_kind_of_setting_can_be_taken_back():
    everything = Impairments().change(
        {
            "rate": "1Gbit", "burst": "32KiB", "delay": "2ms", "jitter": "1ms", "distribution": "pareto",
            "loss": "gemodel 1% 10%", "queue": "codel",
        },
        "x",
    )  # fmt: skip
    assert everything.change(dict.fromkeys(PARAMETERS), "x") == Impairments()


def test_a_model_is_checked_when_it_is_made():
    for wrong in ({"p": 2, "r": 0.1}, {"p": "1%", "r": 0}, {"p": 0.1, "r": 0.1, "bad_loss": 0.2, "good_loss": 0.2}):
        with pytest.raises(InvalidValue, match="GilbertElliott"):
            GilbertElliott(**wrong)
    for wrong in ({"target": "5"}, {"limit": 1.5}, {"ecn": "yes"}, {"target": 0}):
        with pytest.raises(InvalidValue, match="CoDel"):
            CoDel(**wrong)
    for wrong in ({"probability": 2}, {"limit": "80KB"}, {"weight": 0}, {"ecn": 1}, {"average_packet": 0}):
        with pytest.raises(InvalidValue, match="Red"):
            Red(**{"minimum": "30KB", "maximum": "90KB", **wrong})
    with pytest.raises(InvalidValue, match="minimum of Red 0: expected at least 1 byte"):
        Red(0, 100)


def test_a_change_leaves_the_rest_and_none_takes_a_parameter_back():
    settings = Impairments().change({"rate": "1Gbit", "delay": "1ms", "queue": 100}, "x")
    assert settings.change({"delay": "2ms"}, "x") == Impairments(rate_bps=10**9, delay_ns=2 * 10**6, queue_packets=100)
    assert settings.change({"rate": None, "queue": None}, "x") == Impairments(delay_ns=10**6)
    assert settings.change({"queue": None}, "x").packet_limit == 1000
    assert settings.change({"queue": "1MiB"}, "x").packet_limit is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"latency": "1ms"},
            "web1:eth0: unknown link parameter 'latency': expected one of rate, burst, delay, jitter, ",
        ),
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
        ({"burst": "32KiB"}, "a burst is allowed by a rate: set rate= as well"),
        ({"rate": "1Gbit", "burst": 0}, "invalid burst for web1:eth0 0: expected at least the longest frame"),
        ({"rate": "1Gbit", "burst": "32"}, "invalid burst for web1:eth0 '32': the unit is missing"),
        ({"delay": "1ms", "distribution": "normal"}, "a distribution is one of jitter: set jitter= as well"),
        ({"distribution": "gauss"}, "invalid distribution for web1:eth0 'gauss': expected uniform, normal, pareto, or"),
        ({"distribution": []}, "invalid distribution for web1:eth0 []: expected uniform"),
        ({"distribution": 3}, "invalid distribution for web1:eth0 3: expected uniform"),
        ({"distribution": [0, "x"]}, "invalid distribution for web1:eth0: 'x' in the list: expected numbers"),
        ({"distribution": [0, float("nan")]}, "nan in the list: expected numbers from -1000 to 1000"),
        (
            {"loss": "gemodel"},
            "invalid loss for web1:eth0 'gemodel': expected \"gemodel P [R [1-H [1-K]]]\" in percent",
        ),
        ({"loss": "gemodel 1 10"}, 'expected "gemodel P [R [1-H [1-K]]]" in percent'),
        ({"loss": "gemodel 1% 10% 70% 1% 5%"}, 'expected "gemodel P'),
        ({"loss": "gemodel 101%"}, "expected a probability from 0 to 1"),
        ({"loss": "gemodel 0% 10%"}, "invalid p of GilbertElliott 0: a state that never ends"),
        ({"loss": "sometimes"}, "invalid loss for web1:eth0 'sometimes': expected a probability"),
        ({"queue": "codel"}, "a queue fills only in front of a rate"),
        (
            {"rate": "1Gbit", "queue": "fq"},
            "invalid queue for web1:eth0 'fq': expected a number of frames (100), a size",
        ),
        (
            {"rate": "1Gbit", "queue": "codel quantum 5"},
            "\"codel\" has no 'quantum': expected limit, target, interval, ecn",
        ),
        ({"rate": "1Gbit", "queue": "codel limit"}, '"limit" has no value'),
        ({"rate": "1Gbit", "queue": "codel ecn ecn"}, '"ecn" is given twice'),
        ({"rate": "1Gbit", "queue": "codel target 100ms"}, "CoDel: target 100ms must be more than 0 and shorter than"),
        (
            {"rate": "1Gbit", "queue": "codel limit 0"},
            "invalid limit of CoDel 0: expected a whole number",
        ),
        ({"rate": "1Gbit", "queue": "red limit 1MB"}, '"red" needs min, such as'),
        ({"rate": "1Gbit", "queue": "red min 90KB max 30KB"}, "Red: expected minimum < maximum <= limit, not"),
        (
            {"rate": "1Gbit", "queue": "red min 1KB max 3KB probability 0"},
            "invalid probability of Red 0: expected more",
        ),
        ({"rate": "1Gbit", "queue": "red min 1KB max 3KB harddrop"}, "Red: harddrop says what ecn does above"),
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
