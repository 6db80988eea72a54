"""Settings that can be changed one by one: what was not named stays as it is."""

from __future__ import annotations

from enum import Enum
from typing import Any


class Unchanged(Enum):
    """The default of settings that stay as they are; None takes a setting back to its default."""

    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return "unchanged"


UNCHANGED = Unchanged.UNCHANGED


def changed_settings(**settings: Any) -> dict[str, Any]:
    """Only those settings that were given."""
    return {name: value for name, value in settings.items() if value is not UNCHANGED}
