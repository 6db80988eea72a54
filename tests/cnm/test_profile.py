"""The table of engine switches."""

from __future__ import annotations

import string

import pytest

from emu.cnm.profile import ENGINES, profile
from emu.kernel.errors import NotFound


def test_an_unknown_engine_is_named_with_the_known_ones() -> None:
    with pytest.raises(NotFound) as caught:
        profile("27")
    assert str(caught.value) == 'unknown engine "27": choose one of "20.10", "28", "29"'


def test_the_default_engine_is_29() -> None:
    assert profile().engine == "29"


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_words_the_same_messages_with_the_same_placeholders_or_fewer(engine: str) -> None:
    newest, table = profile("29").texts, profile(engine).texts
    assert set(newest) == set(table)
    for name, text in table.items():
        fields = {field for _, field, _, _ in string.Formatter().parse(text) if field}
        assert profile(engine).text(name, **dict.fromkeys(fields, "x")) is not None, name


def test_addresses_of_links_and_start_of_life_differ_as_recorded() -> None:
    assert profile("20.10").mac_from_address
    assert profile("20.10").announce_count == 0
    for engine in ("28", "29"):
        assert not profile(engine).mac_from_address
        assert profile(engine).announce_count == 3
        assert profile(engine).announce_interval_ns == 1_000_000_000
