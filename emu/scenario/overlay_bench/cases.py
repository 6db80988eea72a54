"""The cases: the same two hosts and two containers, joined in different ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emu.emulation import Emulation
from emu.kernel.errors import EmuError, NotFound, NotSupported
from emu.scenario.overlay_bench.theory import DOCKER_MTU

if TYPE_CHECKING:
    from emu.container import Container
    from emu.device.cost import CostModel
    from emu.device.ethernet import EthernetPort
    from emu.host import Host
    from emu.network import Network

NOT_BUILT = "not built"
MTU_OPTION = "com.docker.network.driver.mtu"


@dataclass(slots=True)
class Pair:
    """Two containers that can talk to each other, and the way between them.

    client, server: the containers; server_address: where the client sends to.
    ports: the network cards at the ends of the cable between them; none when both are on one host.
    rate_bps, delay_ns: of that cable.
    """

    net: Emulation
    client: Container
    server: Container
    server_address: str
    ports: tuple[EthernetPort, ...]
    rate_bps: int | None
    delay_ns: int


Join = Callable[[Emulation, "Host", "Host", int], tuple["Container", "Container", str]]


@dataclass(frozen=True, slots=True)
class Case:
    """One way of joining two containers.

    name: in tables and files. title: for people. crosses_hosts: whether the cable is in between.
    """

    name: str
    title: str
    crosses_hosts: bool
    join: Join

    def build(
        self, seed: int, *, underlay_mtu: int, rate: str | int, delay: str | int, cost: str | CostModel = "linux"
    ) -> Pair:
        """Build the two hosts, their cable and the containers. Raises NotSupported for a case that is not built."""
        net = Emulation(name=f"bench {self.name}", seed=seed, cost=cost)
        one, two = net.add_host("host1"), net.add_host("host2")
        link = net.add_link(one, two, rate=rate, delay=delay, mtu=underlay_mtu)
        net.underlay.settle()
        client, server, address = self.join(net, one, two, underlay_mtu)
        impairments = link.ends[0].device.direction.impairments  # type: ignore[union-attr]
        ports = tuple(end.device for end in link.ends) if self.crosses_hosts else ()
        return Pair(net, client, server, address, ports, impairments.rate_bps, impairments.delay_ns)

    def obstacle(self) -> str | None:
        """Why it cannot be measured: "not built", or which package is missing; None when it can."""
        try:
            self.build(0, underlay_mtu=DOCKER_MTU, rate="1Gbit", delay=0)
        except (NotSupported, NotFound):
            return NOT_BUILT
        except EmuError as error:
            return str(error)
        return None


def _join_underlay(net: Emulation, one: Host, two: Host, mtu: int) -> tuple[Container, Container, str]:
    client = one.containers.run("client", network="host")
    server = two.containers.run("server", network="host")
    return client, server, net.underlay.addresses_of(two)[0]


def _join_bridge(net: Emulation, one: Host, two: Host, mtu: int) -> tuple[Container, Container, str]:
    network = one.networks.create("bench", driver="bridge", options={MTU_OPTION: str(mtu)})
    return _run_on(network, one, one)


def _join_overlay(net: Emulation, one: Host, two: Host, mtu: int) -> tuple[Container, Container, str]:
    return _run_on(_overlay(net, mtu, {}), one, two)


def _join_encrypted(net: Emulation, one: Host, two: Host, mtu: int) -> tuple[Container, Container, str]:
    return _run_on(_overlay(net, mtu, {"encrypted": ""}), one, two)


def _overlay(net: Emulation, mtu: int, options: dict[str, str]) -> Network:
    """An overlay as people make it: Docker does not look at the underlay, only a larger MTU is worth saying."""
    if mtu > DOCKER_MTU:
        options = {**options, MTU_OPTION: str(mtu)}
    return net.networks.create("bench", driver="overlay", subnet="10.0.9.0/24", attachable=True, options=options)


def _run_on(network: Network, one: Host, two: Host) -> tuple[Container, Container, str]:
    client = one.containers.run("client", network=network)
    server = two.containers.run("server", network=network)
    return client, server, server.addresses[network.name]


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case("underlay", "underlay (host network)", True, _join_underlay),
        Case("bridge", "bridge on one host", False, _join_bridge),
        Case("overlay", "overlay", True, _join_overlay),
        Case("encrypted", "encrypted overlay", True, _join_encrypted),
    )
}
"""Name -> case, in the order of tables."""
