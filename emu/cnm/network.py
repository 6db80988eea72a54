"""A network: its addresses, its options and its endpoints."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emu.cnm import inspect
from emu.cnm.ids import format_address
from emu.cnm.ipam.config import IpamConfig, IpamSettings
from emu.cnm.ipam.driver import LeasesOnTheWire
from emu.kernel.errors import InvalidValue

if TYPE_CHECKING:
    from emu.cnm.controller import Controller
    from emu.cnm.drivers.driver import Driver
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.ipam.driver import IpamDriver
    from emu.cnm.swarm.definition import OverlayDefinition
    from emu.cnm.swarm.records import PeerRecord

#: Networks every host has; nobody may create or remove them.
PREDEFINED = ("bridge", "host", "none", "default")
#: The bridge that containers of overlay networks get their default route from.
GATEWAY_BRIDGE = "docker_gwbridge"


@dataclass(slots=True)
class NetworkPool:
    """A pool a network holds.

    pool_id: the address manager's name for it.
    subnet: the subnet; None when the address manager gives no addresses.
    config: what the user said.
    gateway: the gateway's address with its prefix, or None.
    aux_addresses: reserved addresses by name.
    """

    pool_id: str
    subnet: ipaddress.IPv4Network | None
    config: IpamConfig
    gateway: ipaddress.IPv4Interface | None = None
    #: the gateway came with the pool, so it is not given back by itself
    gateway_given: bool = False
    aux_addresses: dict[str, ipaddress.IPv4Address] = field(default_factory=dict)


class Network:
    """A network of one host.

    Made by `emu.cnm.controller.Controller.create_network`. Drivers and address managers read its
    attributes; only the controller changes them.
    """

    __slots__ = (
        "attachable",
        "controller",
        "created_ns",
        "driver",
        "driver_name",
        "endpoints",
        "id",
        "internal",
        "ipam",
        "ipam_driver",
        "labels",
        "name",
        "options",
        "overlay",
        "peers",
        "pools",
        "scope",
    )

    def __init__(
        self,
        controller: Controller,
        network_id: str,
        name: str,
        driver_name: str,
        driver: Driver,
        *,
        ipam: IpamSettings,
        ipam_driver: IpamDriver,
        internal: bool,
        attachable: bool,
        options: Mapping[str, str],
        labels: Mapping[str, str],
    ) -> None:
        self.controller = controller
        self.id = network_id
        self.name = name
        self.driver_name = driver_name
        self.driver = driver
        self.ipam = ipam
        self.ipam_driver = ipam_driver
        self.internal = internal
        self.attachable = attachable
        self.options = dict(options)
        self.labels = dict(labels)
        self.scope = "local"
        self.pools: list[NetworkPool] = []
        #: endpoints by id, in creation order
        self.endpoints: dict[str, Endpoint] = {}
        #: what the swarm's manager keeps of it; None for a network of this host alone
        self.overlay: OverlayDefinition | None = None
        #: endpoints on other hosts by id, as far as this host has been told of them
        self.peers: dict[str, PeerRecord] = {}
        self.created_ns = int(controller.kernel.now)

    @property
    def short_id(self) -> str:
        """Return the first 12 digits of the id."""
        return self.id[:12]

    @property
    def is_default_bridge(self) -> bool:
        """Say whether this is the network `bridge` that every host has."""
        return self.driver_name == "bridge" and self.name == "bridge"

    @property
    def is_gateway_bridge(self) -> bool:
        """Say whether this is docker_gwbridge."""
        return self.driver_name == "bridge" and self.name == GATEWAY_BRIDGE

    @property
    def is_ingress(self) -> bool:
        """Say whether this is the network of the routing mesh."""
        return self.overlay is not None and self.overlay.ingress

    @property
    def resolves_names(self) -> bool:
        """Say whether containers on it find each other by name: not on the default bridge."""
        return not self.is_default_bridge and self.driver.capabilities().resolves_names

    @property
    def leases_addresses(self) -> bool:
        """Say whether its addresses are leased on the wire; then one host has the gateway, as on any LAN."""
        return isinstance(self.ipam_driver, LeasesOnTheWire)

    @property
    def has_user_subnet(self) -> bool:
        """Say whether the user chose the subnet."""
        return any(config.subnet for config in self.ipam.configs)

    @property
    def subnet(self) -> ipaddress.IPv4Network | None:
        """Return the first subnet, or None."""
        return self.pools[0].subnet if self.pools else None

    @property
    def gateway(self) -> ipaddress.IPv4Interface | None:
        """Return the gateway address of the first subnet with its prefix, or None."""
        return self.pools[0].gateway if self.pools else None

    @property
    def attrs(self) -> dict[str, Any]:
        """Return what `docker network inspect` of the engine prints."""
        return inspect.network_attrs(self)

    def endpoint(self, name: str) -> Endpoint | None:
        """Return the endpoint with this name (the container's name), or None."""
        for endpoint in self.endpoints.values():
            if endpoint.name == name:
                return endpoint
        return None

    def __repr__(self) -> str:
        gateway = format_address(self.gateway.ip) if self.gateway else "none"
        return f"<Network {self.name} {self.driver_name} {self.subnet} gateway {gateway}>"


def options_as_text(options: Mapping[str, Any] | None) -> dict[str, str]:
    """Return options as text, as the engine's API has them; True is "true", 3 is "3"."""
    result = {}
    for key, value in (options or {}).items():
        if not isinstance(value, (str, bool, int)):
            raise InvalidValue(f"option {key}: expected text, got {value!r}")
        result[key] = str(value).lower() if isinstance(value, bool) else str(value)
    return result
