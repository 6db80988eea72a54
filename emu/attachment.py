"""How a container is attached: to networks of its own, to the host's namespace, or to another container's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from emu.cnm.endpoint import EndpointSettings
from emu.cnm.settings import setting_up
from emu.kernel.errors import InvalidValue
from emu.network import Network

if TYPE_CHECKING:
    from emu.host import Host

CONTAINER_PREFIX = "container:"


class Mode(Enum):
    """Docker's network modes, as far as the namespace is concerned."""

    OWN = "own"
    HOST = "host"
    CONTAINER = "container"


@dataclass(slots=True)
class Connection:
    """One network a container is connected to, kept while it is stopped."""

    network: Network
    aliases: tuple[str, ...] = ()
    ipv4_address: str | None = None
    mac_address: str | None = None
    gw_priority: int = 0
    driver_opts: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> EndpointSettings:
        """The same in the words of the CNM."""
        return EndpointSettings(
            self.ipv4_address, self.mac_address, self.aliases, self.gw_priority, dict(self.driver_opts)
        )

    def keywords(self) -> dict[str, Any]:
        """The same as keywords of `Controller.connect`."""
        return {
            "aliases": self.aliases,
            "ipv4_address": self.ipv4_address,
            "mac_address": self.mac_address,
            "gw_priority": self.gw_priority,
            "driver_opts": dict(self.driver_opts),
        }


@dataclass(slots=True)
class Attachment:
    """Where a container's interfaces come from.

    mode: OWN namespace with connections, the HOST's namespace, or that of another CONTAINER.
    text: Docker's NetworkMode ("default", "host", "none", "container:web", or the first network's name).
    """

    mode: Mode
    text: str
    connections: list[Connection]
    other: str | None = None


def read_attachment(
    host: Host,
    networks: Sequence[Network | str],
    ipv4_address: str | None,
    mac_address: str | None,
    aliases: tuple[str, ...],
) -> Attachment:
    """Understand `network=` of `containers.run`. Raises NotFound and InvalidValue in Docker's words."""
    names = [choice if isinstance(choice, str) else choice.name for choice in networks]
    special = [name for name in names if name == "host" or name.startswith(CONTAINER_PREFIX)]
    if special:
        if len(names) > 1:
            raise InvalidValue(
                "container sharing network namespace with another container or host cannot be connected to any "
                "other network"
            )
        if ipv4_address is not None or aliases:
            raise InvalidValue(f'ipv4_address= and aliases= need a network of the container\'s own, not "{names[0]}"')
        if mac_address is not None:
            raise InvalidValue("conflicting options: mac-address and the network mode")
        if names[0] == "host":
            return Attachment(Mode.HOST, "host", [Connection(host.networks.get("host"))])
        return Attachment(Mode.CONTAINER, names[0], [], names[0].removeprefix(CONTAINER_PREFIX))
    connections: list[Connection] = []
    for choice in networks or ["bridge"]:
        with setting_up(host.net.profile):  # that a network does not exist shows when the container starts
            network = host.networks.find(choice) if isinstance(choice, str) else choice
        if any(network.id == known.network.id for known in connections):
            raise InvalidValue(f"network {network.name} is given twice")
        connections.append(Connection(network))
    first = connections[0]
    first.ipv4_address, first.mac_address, first.aliases = ipv4_address, mac_address, aliases
    return Attachment(Mode.OWN, first.network.name if networks else "default", connections)
