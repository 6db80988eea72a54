"""What every program of a container needs: how its target is found, and how it is started."""

from __future__ import annotations

import ipaddress
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from emu import arguments
from emu.cnm.names import reverse
from emu.dhcp import wait_for_own_leases, wait_for_target
from emu.interface import Interface
from emu.kernel.errors import InvalidValue, NotFound
from emu.task import Program, Task, checked_script

if TYPE_CHECKING:
    from simpy.events import Event

    from emu.cnm.sandbox import Sandbox
    from emu.emulation import Emulation
    from emu.stack.namespace import Namespace


class Server(Protocol):
    """Something that serves until it is closed."""

    def close(self) -> None:
        """Stop serving."""


class ProgramRunner(ABC):
    """The part of a container that finds targets and starts programs."""

    net: Emulation
    name: str
    _tasks: list[Task]
    _servers: list[Server]

    @property
    @abstractmethod
    def sandbox(self) -> Sandbox: ...

    @property
    @abstractmethod
    def namespace(self) -> Namespace: ...

    @property
    @abstractmethod
    def addresses(self) -> dict[str, str]: ...

    @abstractmethod
    def namespace_addresses(self) -> list[str]: ...

    @abstractmethod
    def interface(self, name: str = "eth0") -> Interface: ...

    @abstractmethod
    def resolve(self, name: str) -> list[str]: ...

    @abstractmethod
    def check_exists(self) -> None: ...

    # -- targets ------------------------------------------------------------------------------------------------------

    def find_address(self, target: ProgramRunner | str, program: str) -> str:
        """The address a program uses for a target. Raises NotFound when the name does not resolve."""
        if isinstance(target, ProgramRunner):
            return self._address_of(target)
        try:
            return str(ipaddress.IPv4Address(target))
        except ValueError:
            pass
        found = self.resolve(target)
        if found:
            return found[0]
        hint = ""
        if target in self.net.containers and not any(e.network.resolves_names for e in self.sandbox.endpoints):
            hint = " (names do not resolve on the default bridge; use a network of your own or an address)"
        raise NotFound(f"{self.name}: {program}: {target}: Name or service not known{hint}")

    def _reach(self, target: ProgramRunner | str, program: str) -> Generator[Event, Any, str]:
        """Wait until a target that is being leased an address has it, and return the address that a program uses.

        Raises NotFound when the name does not resolve, LeaseTimeout when there will be no address.
        """
        shown = target.name if isinstance(target, ProgramRunner) else target
        yield from wait_for_target(self, target, f"{program} {shown}")
        return self.find_address(target, program)

    def _shown(self, target: ProgramRunner | str, program: str) -> str:
        """How a target is named in results. Raises InvalidValue for what can't be one."""
        if isinstance(target, ProgramRunner):
            if target.net is not self.net:
                raise InvalidValue(f"{program}: container {target.name} is part of another emulation")
            return target.name
        if not isinstance(target, str):
            raise InvalidValue(f"{program}: expected a container, a name or an address, not {target!r}")
        return target

    def _address_of(self, target: ProgramRunner) -> str:
        theirs = target.addresses
        shared = [theirs[network] for network in self.addresses if network in theirs]
        found = shared or list(theirs.values()) or target.namespace_addresses()
        if not found:
            raise NotFound(f"container {target.name} has no address")
        return found[0]

    def _names_of(self, shown: str, address: str) -> Callable[[str], str | None] | None:
        """How addresses are named in what a program prints: not at all when the user gave an address."""
        return None if shown == address else partial(reverse, self.sandbox)

    # -- starting -----------------------------------------------------------------------------------------------------

    def spawn(self, generator: Generator[Event, Any, Any], *, name: str | None = None) -> Task:
        """Run a script's own SimPy process as a program of this container: it ends when the container stops.

        On a network that leases addresses it begins when the container has them, as all programs but `sniff` do.
        """
        if not isinstance(generator, Generator):
            raise InvalidValue(f"spawn takes a generator, such as server(web), not {generator!r}")
        arguments.text("spawn: name", name)
        self.sandbox  # noqa: B018  (must be running)
        return self._start_program(
            name or str(getattr(generator, "__name__", "process")), lambda: checked_script(generator), None, None
        )

    def _start_program(
        self,
        what: str,
        program: Callable[[], Program],
        partial: Callable[[], Any] | None,
        at: str | int | None,
        *,
        needs_address: bool = True,
    ) -> Task:
        def run() -> Program:
            if needs_address:
                yield from wait_for_own_leases(self, what)
            return (yield from program())

        self.check_exists()
        task = self.net.start_task(f"{self.name}: {what}", run, partial=partial, at=at)
        self._tasks.append(task)
        return task

    def _keep_server(self, server: Server) -> None:
        """Close a server when the container stops."""
        self._servers.append(server)

    @staticmethod
    def _check_port(port: int, program: str) -> None:
        """Raise InvalidValue unless a port can be connected to."""
        if type(port) is not int or not 1 <= port <= 65535:
            raise InvalidValue(f"{program}: a port is a number from 1 to 65535, not {port!r}")
