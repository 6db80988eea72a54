"""Which interfaces somebody wants to watch: globs such as "web1:*", and which of them have matched nothing."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from emu.kernel import InvalidValue, NotFound

DROPS_NAME = "drops"
"""The pseudo-interface of captures; it may be asked for before anything was dropped."""


class InterfacePatterns:
    """Globs of interface names; None selects all.

    Raises InvalidValue for an empty list, and for a single text, which would be taken for a list of letters.
    """

    __slots__ = ("_patterns", "_seen", "_unmatched")

    def __init__(self, interfaces: Sequence[str] | None) -> None:
        self._patterns = None if interfaces is None else _checked(interfaces)
        self._unmatched = dict.fromkeys(self._patterns or ())
        self._seen: dict[str, None] = {}

    def selects(self, name: str) -> bool:
        """Tell whether the interface of that name is wanted."""
        return self._patterns is None or any(fnmatchcase(name, pattern) for pattern in self._patterns)

    def note(self, name: str) -> None:
        """There is an interface of that name."""
        self._seen[name] = None
        for pattern in [pattern for pattern in self._unmatched if fnmatchcase(name, pattern)]:
            del self._unmatched[pattern]

    def check(self) -> None:
        """Raise NotFound if a pattern matches none of the interfaces there have been (a typing mistake)."""
        for pattern in self._unmatched:
            if not fnmatchcase(DROPS_NAME, pattern):
                known = ", ".join(self._seen) or "none"
                raise NotFound(f"no interface matches {pattern!r}; there are: {known}")


def _checked(interfaces: Sequence[str]) -> tuple[str, ...]:
    if isinstance(interfaces, str):
        raise InvalidValue(f"interfaces is a list of patterns: write [{interfaces!r}]")
    if not isinstance(interfaces, Sequence) or not all(isinstance(pattern, str) for pattern in interfaces):
        raise InvalidValue(f'interfaces={interfaces!r}: give patterns such as ["web1:*"]')
    if not interfaces:
        raise InvalidValue('an empty list of interfaces captures nothing: give patterns such as ["web1:*"]')
    return tuple(interfaces)
