"""A network of the swarm, as a script holds it: containers on any host can be connected to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.network import Network

if TYPE_CHECKING:
    from emu.container import Container
    from emu.host import Host


class SwarmNetwork(Network):
    """An overlay network. Made by `net.networks.create(name, driver="overlay")`, or with `driver="vxlan"`.

    host: the manager, whose view `attrs` shows; `on(host)` has the view of another host.
    """

    @property
    def containers(self) -> list[Container]:
        """The running containers connected to it, on all hosts, in the order in which they were connected."""
        overlay = self.cnm.overlay
        assert overlay is not None, self
        net = self.host.net
        names = {
            endpoint.id: endpoint.name
            for host in net.hosts.values()
            for endpoint in host.networks.endpoints_on(self.id)
        }
        return [net.containers[names[key]] for key in overlay.tasks if names.get(key) in net.containers]

    def on(self, host: Host) -> Network:
        """The network as one host has it; its `namespace` is there once a container on that host uses it."""
        return host.networks.view(self.id)

    def remove(self) -> None:
        """Remove the network. Raises Conflict while running containers on any host are connected to it."""
        self.host.controller.remove_network(self.cnm)
        for host in self.host.net.hosts.values():
            host.networks.forget(self)

    def _container(self, container: Container | str) -> Container:
        return self.host.net.container(container) if isinstance(container, str) else container

    def __repr__(self) -> str:
        return f"<SwarmNetwork {self.name} {self.driver} {self.subnet or 'without addresses'}>"
