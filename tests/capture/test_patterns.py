"""Globs of interfaces: what they select, and which are told to have matched nothing."""

from __future__ import annotations

import pytest

from emu.capture.patterns import InterfacePatterns
from emu.kernel import InvalidValue, NotFound


def test_none_selects_everything() -> None:
    patterns = InterfacePatterns(None)
    assert patterns.selects("web:eth0")
    patterns.check()


def test_a_glob_selects_what_it_matches_case_included() -> None:
    patterns = InterfacePatterns(["web*:eth[01]"])
    names = ["web1:eth0", "Web1:eth0", "web1:eth2", "db:eth0"]
    assert [name for name in names if patterns.selects(name)] == ["web1:eth0"]


def test_a_glob_that_matched_nothing_is_named_with_what_there_is() -> None:
    patterns = InterfacePatterns(["web:*", "bd:*"])
    for name in ("web:eth0", "db:eth0"):
        patterns.note(name)
    with pytest.raises(NotFound, match=r"no interface matches 'bd:\*'; there are: web:eth0, db:eth0"):
        patterns.check()


def test_the_drops_may_be_asked_for_before_there_are_any() -> None:
    InterfacePatterns(["drops"]).check()


@pytest.mark.parametrize("wrong", ["web:*", [], [5], 5, {"web:*"}])
def test_what_is_no_list_of_globs_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidValue, match="interfaces"):
        InterfacePatterns(wrong)  # type: ignore[arg-type]
