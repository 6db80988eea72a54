"""Collections of networks: those of a host, and what there is on the swarm's manager."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emu import arguments
from emu.kernel.errors import InvalidValue, NotFound
from emu.network import Network

if TYPE_CHECKING:
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.ipam.driver import IpamDriver
    from emu.emulation import Emulation
    from emu.host import Host

LOCAL_DRIVERS = ("bridge", "macvlan", "ipvlan", "host", "null")
SWARM_DRIVERS = ("overlay", "vxlan")


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

        driver: "bridge", or on the swarm's manager "overlay" or "vxlan"; others are refused in Docker's words until
            they are built. The last two are the swarm's, `net.networks` makes them too.
        subnet: "10.0.0.0/24"; None takes the next default pool. ip_range: where containers' addresses come from.
        gateway: the host's address on it; None takes the first. aux_addresses: reserved addresses by name.
        ipam: the name of an address manager ("dhcp" leases addresses on the wire), the engine API's IPAM object with
            its keys or those of compose files, or an address manager.
        internal: nothing leaves the network. attachable: containers may be connected to it (overlay).
        options: of the driver, as `-o`.
        Raises Conflict, InvalidValue and NotFound in the engine's words, and then nothing has changed.
        """
        _check_kinds(subnet, ip_range, gateway, aux_addresses, options, labels, internal, attachable, ipv6)
        if driver in SWARM_DRIVERS:
            return self._host.net.swarm.create_network(
                self._host, name, subnet, ip_range, gateway, aux_addresses, ipam, internal, attachable, ipv6, options,
                labels, driver,
            )  # fmt: skip
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

    def find(self, name_or_id: str) -> Network:
        """A network that a container here can be connected to: of this host, or else of the swarm.

        Raises NotFound: `network x not found`.
        """
        return self.wrap(self._host.controller.network_to_attach(name_or_id))

    def view(self, network_id: str) -> Network:
        """An overlay network as this host has it, or would have it."""
        swarm = self._host.controller.swarm
        network = None if swarm is None else swarm.network(network_id)
        if network is None:
            raise NotFound(f"network {network_id} not found")
        return Network(self._host, network)

    def endpoints_on(self, network_id: str) -> Sequence[Endpoint]:
        """This host's endpoints on an overlay network."""
        swarm = self._host.controller.swarm
        network = None if swarm is None else swarm.network(network_id)
        return [] if network is None else list(network.endpoints.values())

    def wrap(self, network: Any) -> Network:
        """The one object that scripts hold for a network."""
        shared = None if network.overlay is None else self._host.net.swarm.wrap(self._host, network)
        if shared is not None:
            return shared
        known = self._known.get(network.id)
        if known is None:
            known = self._known[network.id] = Network(self._host, network)
        return known

    def forget(self, network: Network) -> None:
        """A network has been removed."""
        self._known.pop(network.id, None)


class SwarmNetworks:
    """`net.networks` with several hosts: the networks of the swarm, as `docker network` shows them on the manager."""

    def __init__(self, net: Emulation) -> None:
        self._net = net

    def create(
        self,
        name: str,
        driver: str = "bridge",
        subnet: str | Sequence[str] | None = None,
        ip_range: str | Sequence[str] | None = None,
        gateway: str | Sequence[str] | None = None,
        aux_addresses: Mapping[str, str] | None = None,
        ipam: str | Mapping[str, Any] | None = None,
        internal: bool = False,
        attachable: bool = False,
        ipv6: bool = False,
        options: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Network:
        """Create a network of the swarm, as `docker network create -d overlay` on the manager.

        driver: "overlay"; "vxlan" is not Docker's: the same without a control plane, with flood lists and learning.
        Networks of other drivers belong to one host and are refused.
        subnet: "10.0.9.0/24", or several; None takes the next /24 of 10.0.0.0/8. attachable: containers may be
        connected to it. internal: without a way out. The other parameters are those of `HostNetworks.create`.
        Raises Conflict, InvalidValue, NotFound and NotSupported, and then nothing has changed.
        """
        _check_kinds(subnet, ip_range, gateway, aux_addresses, options, labels, internal, attachable, ipv6)
        if driver in SWARM_DRIVERS:
            return self._net.swarm.create_network(
                None, name, subnet, ip_range, gateway, aux_addresses, ipam, internal, attachable, ipv6, options,
                labels, driver,
            )  # fmt: skip
        hosts = " or ".join(f"{host}.networks.create(...)" for host in self._net.hosts)
        if driver in LOCAL_DRIVERS:
            raise InvalidValue(f'"{driver}" networks belong to one host: use {hosts}')
        raise NotFound(f'plugin "{driver}" not found')

    def get(self, name_or_id: str) -> Network:
        """A network of the swarm by name, id, or unique beginning of an id. Raises NotFound: `network x not found`."""
        if self._net.swarm.active:
            found = self._net.swarm.manager.network(name_or_id)
            if found is not None:
                return self._net.swarm.network(found.id)
        raise NotFound(f"network {name_or_id} not found")

    def list(self) -> Sequence[Network]:
        """All networks of the swarm, the ingress network first; none before there is a swarm."""
        return self._net.swarm.networks()

    def prune(self) -> Sequence[str]:
        """Remove all networks of the swarm that no running container uses; return their names."""
        removed = []
        for network in self._net.swarm.networks():
            if network.cnm.overlay is not None and not network.cnm.overlay.tasks and not network.cnm.is_ingress:
                network.remove()
                removed.append(network.name)
        return removed


def _check_kinds(
    subnet: str | Sequence[str] | None,
    ip_range: str | Sequence[str] | None,
    gateway: str | Sequence[str] | None,
    aux_addresses: Mapping[str, str] | None,
    options: Mapping[str, Any] | None,
    labels: Mapping[str, str] | None,
    internal: bool,
    attachable: bool,
    ipv6: bool,
) -> None:
    """Raise InvalidValue for arguments of `create` that are of the wrong kind altogether."""
    for name, value in (("subnet", subnet), ("ip_range", ip_range), ("gateway", gateway)):
        arguments.text_or_texts(name, value)
    for name, entries in (("aux_addresses", aux_addresses), ("options", options), ("labels", labels)):
        arguments.mapping(name, entries)
    for name, wanted in (("internal", internal), ("attachable", attachable), ("ipv6", ipv6)):
        arguments.flag(name, wanted)
