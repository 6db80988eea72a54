"""Drivers by name: built-in ones, ones a script registers, ones an installed package brings."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from emu.kernel.errors import Conflict, InvalidValue, NotFound

T = TypeVar("T")


class Registry(Generic[T]):
    """Drivers of one kind, belonging to one controller.

    group: entry point group that installed packages use; looked at only for names that are not
        registered, and only when such a name is asked for.
    make: called with a loaded entry point (a factory); returns the driver.
    """

    def __init__(self, group: str, make: Callable[[Callable[..., T]], T]) -> None:
        self._group = group
        self._make = make
        self._drivers: dict[str, T] = {}

    def register(self, name: str, driver: T) -> None:
        """Add a driver.

        Raises InvalidValue when the name is empty.
        Raises Conflict when the name is taken.
        """
        if not name:
            raise InvalidValue("a driver needs a name")
        if name in self._drivers:
            raise Conflict(f'a driver named "{name}" is registered already')
        self._drivers[name] = driver

    def get(self, name: str) -> T:
        """Return the driver with this name, loading an installed one on first use.

        Raises NotFound with Docker's wording, `plugin "overlay" not found`.
        """
        driver = self._drivers.get(name)
        if driver is None:
            for entry in entry_points(group=self._group, name=name):
                driver = self._make(entry.load())
                self._drivers[name] = driver
                return driver
            raise NotFound(f'plugin "{name}" not found')
        return driver

    def names(self) -> list[str]:
        """Return the names of the drivers known so far, sorted."""
        return sorted(self._drivers)
