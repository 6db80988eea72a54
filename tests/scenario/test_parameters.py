"""Parameters are the typed keywords of a topology function; `--set` gives them as texts."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import pytest

from emu.kernel.errors import InvalidValue
from emu.scenario.parameters import convert_settings, parameters_of, parse_settings


class Colour(Enum):
    RED = "r"
    BLUE = "b"


def example(
    net: object,
    count: int = 4,
    loss: float = 0.0,
    verbose: bool = False,
    target: str = "db",
    colour: Colour = Colour.RED,
    mode: Literal["fast", "slow"] = "fast",
    limit: int | None = None,
) -> None: ...


def convert(**settings: str) -> dict[str, Any]:
    return convert_settings(parameters_of(example), settings)


def test_each_type_is_read_from_its_text() -> None:
    assert convert(count="8", loss="0.25", verbose="yes", target="web") == {
        "count": 8,
        "loss": 0.25,
        "verbose": True,
        "target": "web",
    }


@pytest.mark.parametrize("text", ["RED", "r"])
def test_an_enum_is_given_by_name_or_by_value(text: str) -> None:
    assert convert(colour=text) == {"colour": Colour.RED}


def test_an_optional_parameter_takes_a_value_or_none() -> None:
    assert convert(limit="3") == {"limit": 3}
    assert convert(limit="none") == {"limit": None}


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("count", "4.5", "--set count=4.5: expected a whole number"),
        ("count", "", "--set count=: expected a whole number"),
        ("loss", "much", "--set loss=much: expected a number"),
        ("loss", "inf", "--set loss=inf: expected a finite number"),
        ("loss", "nan", "--set loss=nan: expected a finite number"),
        ("verbose", "maybe", "--set verbose=maybe: expected true or false"),
        ("mode", "medium", "--set mode=medium: expected one of fast, slow"),
        ("colour", "GREEN", "--set colour=GREEN: expected one of RED, BLUE"),
    ],
)
def test_a_bad_value_names_the_parameter_and_what_was_expected(key: str, text: str, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        convert(**{key: text})
    assert str(caught.value) == message


def test_an_unknown_key_lists_the_parameters() -> None:
    with pytest.raises(InvalidValue) as caught:
        convert(cuont="8")
    assert str(caught.value) == (
        "--set cuont: the topology has no such parameter; parameters: count: int = 4, loss: float = 0.0, "
        "verbose: bool = False, target: str = db, colour: RED | BLUE = RED, mode: fast | slow = fast, "
        "limit: int | none = none"
    )


def test_a_missing_required_parameter_is_named() -> None:
    def needs_one(net: object, hosts: int) -> None: ...

    with pytest.raises(InvalidValue, match="the topology needs --set hosts=VALUE"):
        convert_settings(parameters_of(needs_one), {})


def test_an_unannotated_parameter_takes_the_type_of_its_default() -> None:
    def plain(net, count=2):  # type: ignore[no-untyped-def]
        pass

    assert convert_settings(parameters_of(plain), {"count": "5"}) == {"count": 5}


def test_a_parameter_that_no_text_can_give_is_refused() -> None:
    def odd(net: object, hosts: list[str]) -> None: ...

    with pytest.raises(InvalidValue, match="parameter 'hosts' has the type"):
        parameters_of(odd)


def test_a_topology_takes_the_emulation_first() -> None:
    def nothing() -> None: ...

    with pytest.raises(InvalidValue, match=r"nothing\(\) must take the emulation as its first argument"):
        parameters_of(nothing)


def test_collecting_keywords_is_refused_because_they_cannot_be_listed() -> None:
    def greedy(net: object, **rest: int) -> None: ...

    with pytest.raises(InvalidValue, match=r"named one by one, not \*rest"):
        parameters_of(greedy)


@pytest.mark.parametrize("setting", ["count", "=8", ""])
def test_a_setting_needs_a_key_and_a_value(setting: str) -> None:
    with pytest.raises(InvalidValue, match="expected key=value"):
        parse_settings([setting])


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(InvalidValue, match="given twice"):
        parse_settings(["a=1", "a=2"])


def test_a_value_may_contain_an_equals_sign() -> None:
    assert parse_settings(["a=b=c"]) == {"a": "b=c"}
