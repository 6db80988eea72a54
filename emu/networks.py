"""Collections of networks: those of a host, and what there is on the swarm's manager."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emu.kernel.errors import InvalidValue, NotFound
from emu.network import Network

if TYPE_CHECKING:
    from emu.cnm.ipam.driver import IpamDriver
    from emu.emulation import Emulation
    from emu.host import Host

LOCAL_DRIVERS = ("bridge", "macvlan", "ipvlan", "host", "null")


class HostNetworks:
    """The networks of one host: `host.networks`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: dict[str, Network] = {}

    def create(
        self,
        name: str,
        driver: str = "bridge",
        subnet: str | Sequence[str] | None = None,
        ip_range: str | Sequence[str] | None = None,
        gateway: str | Sequence[str] | None = None,
        aux_addresses: Mapping[str, str] | None = None,
        ipam: str | Mapping[str, Any] | IpamDriver | None = None,
        internal: bool = False,
        attachable: bool = False,
        ipv6: bool = False,
        options: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Network:
        """Create a network, as `docker network create`.

        driver: "bridge"; others are refused in Docker's words until they are built.
        subnet: "10.0.0.0/24"; None takes the next default pool. ip_range: where containers' addresses come from.
        gateway: the host's address on it; None takes the first. aux_addresses: reserved addresses by name.
        ipam: the name of an address manager, the engine API's IPAM object, or an address manager.
        internal: nothing leaves the network. options: of the driver, as `-o`.
        Raises Conflict, InvalidValue and NotFound in the engine's words, and then nothing has changed.
        """
        network = self._host.controller.create_network(
            name,
            driver,
            subnet=subnet,
            ip_range=ip_range,
            gateway=gateway,
            aux_addresses=aux_addresses,
            ipam=ipam,
            internal=internal,
            attachable=attachable,
            ipv6=ipv6,
            options=options,
            labels=labels,
        )
        return self.wrap(network)

    def get(self, name_or_id: str) -> Network:
        """A network by name, id, or unique beginning of an id. Raises NotFound: `network x not found`."""
        return self.wrap(self._host.controller.network(name_or_id))

    def list(self) -> Sequence[Network]:
        """All networks, also the predefined ones, in the order in which they were created."""
        return [self.wrap(network) for network in self._host.controller.networks()]

    def prune(self) -> Sequence[str]:
        """Remove all networks that no running container uses, except the predefined ones; return their names."""
        removed = self._host.controller.prune_networks()
        self._known = {key: network for key, network in self._known.items() if network.name not in removed}
        return removed

    def wrap(self, network: Any) -> Network:
        """The one object that scripts hold for a network."""
        known = self._known.get(network.id)
        if known is None:
            known = self._known[network.id] = Network(self._host, network)
        return known

    def forget(self, network: Network) -> None:
        """A network has been removed."""
        self._known.pop(network.id, None)


class SwarmNetworks:
    """`net.networks` with several hosts: networks of the swarm, which no driver that is built can make yet."""

    def __init__(self, net: Emulation) -> None:
        self._net = net

    def create(self, name: str, driver: str = "bridge", **settings: Any) -> Network:
        """Refuse what belongs to one host, and what is not built, each with its reason."""
        hosts = " or ".join(f"{host}.networks.create(...)" for host in self._net.hosts)
        if driver in LOCAL_DRIVERS:
            raise InvalidValue(f'"{driver}" networks belong to one host: use {hosts}')
        raise NotFound(f'plugin "{driver}" not found')

    def get(self, name_or_id: str) -> Network:
        """Raises NotFound: there are no swarm networks yet."""
        raise NotFound(f"network {name_or_id} not found")

    def list(self) -> Sequence[Network]:
        """All networks of the swarm: none yet."""
        return []

    def prune(self) -> Sequence[str]:
        """Remove unused networks of the swarm; there are none."""
        return []
