"""A state machine: after any lives of containers, hosts and links the tables are those of the live endpoints."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import emu
from emu.device.vxlan import VxlanDevice
from emu.kernel.errors import EmuError, NotFound

HOSTS = ("host1", "host2", "host3")
NETWORKS = ("red", "blue")
hosts = st.sampled_from(HOSTS)
numbers = st.integers(0, 5)


class Overlays(RuleBasedStateMachine):
    """Three hosts on a switch, two networks, up to six containers; everything instantaneous."""

    def __init__(self) -> None:
        super().__init__()
        self.net = emu.Emulation(cost="none", seed=3)
        switch = self.net.add_switch("tor")
        self.links = {name: self.net.add_link(self.net.add_host(name), switch) for name in HOSTS}
        for name in NETWORKS:
            self.net.networks.create(name, driver="overlay", attachable=True)
        self.time_s = 0

    def is_away(self, host: str) -> bool:
        """Whether a host can't reach the others."""
        return not self.net.underlay.ports_of(self.net.hosts[host])[0].running

    @rule(host=hosts, number=numbers, network=st.sampled_from(NETWORKS))
    def run(self, host: str, number: int, network: str) -> None:
        is_known = f"c{number}" in self.net.containers
        container = self.tolerate(lambda: self.net.hosts[host].containers.run(f"c{number}", network=network))
        is_possible = not self.net.hosts[host].crashed and (host == "host1" or not self.cannot_reach_manager(host))
        assert (container is not None) == (is_possible and not is_known)

    @rule(number=numbers, action=st.sampled_from(("stop", "start", "remove")))
    def live(self, number: int, action: str) -> None:
        container = self.net.containers.get(f"c{number}")
        if container is None:
            return
        self.tolerate(lambda: getattr(container, action)(**({"force": True} if action == "remove" else {})))
        assert action == "start" or not container.running

    @rule(number=numbers, network=st.sampled_from(NETWORKS))
    def connect(self, number: int, network: str) -> None:
        container = self.net.containers.get(f"c{number}")
        if container is not None:
            self.tolerate(lambda: self.net.networks.get(network).connect(container))

    @rule(number=numbers, network=st.sampled_from(NETWORKS))
    def disconnect(self, number: int, network: str) -> None:
        container = self.net.containers.get(f"c{number}")
        if container is not None:
            self.tolerate(lambda: self.net.networks.get(network).disconnect(container))

    @rule(host=hosts, action=st.sampled_from(("crash", "boot")))
    def fail(self, host: str, action: str) -> None:
        getattr(self.net.hosts[host], action)()

    @rule(host=hosts, action=st.sampled_from(("down", "up")))
    def link(self, host: str, action: str) -> None:
        getattr(self.links[host], action)()

    @rule()
    def ping(self) -> None:
        running = [container for container in self.net.containers.values() if container.running]
        for one in running[:2]:
            for other in running[-1:]:
                address = next(iter(other.addresses.values()), None)
                if address is not None:
                    one.ping(address, count=1, timeout="1s")

    @precondition(lambda self: self.time_s < 30)
    @rule()
    def wait(self) -> None:
        self.time_s += 3
        self.net.run(until=self.time_s * 1_000_000_000)

    def tolerate(self, action: Callable[[], Any]) -> Any:
        """Do something that may be refused."""
        with suppress(EmuError):
            return action()
        return None

    def cannot_reach_manager(self, host: str) -> bool:
        """Whether a host is cut off from host1."""
        return self.is_away(host) or self.is_away("host1")

    def endpoints(self, network: str, host: str) -> dict[str, str]:
        """Addresses and MACs of a network's endpoints on a host."""
        return {
            str(endpoint.address.ip): endpoint.mac.hex(":")
            for endpoint in self.net.hosts[host].networks.endpoints_on(self.net.networks.get(network).id)
            if endpoint.address is not None and endpoint.mac is not None
        }

    @invariant()
    def tables_are_those_of_the_live_endpoints(self) -> None:
        for network in NETWORKS:
            for host in HOSTS:
                view = self.net.networks.get(network).on(self.net.hosts[host])
                try:
                    namespace = view.namespace
                except NotFound:
                    assert self.endpoints(network, host) == {}
                    continue
                expected: dict[str, str] = {}
                for other in HOSTS:
                    if other != host and not self.is_away(other) and not self.is_away(host):
                        expected |= self.endpoints(network, other)
                known = {
                    fields[0]: fields[4]
                    for fields in map(str.split, namespace.neighbours.text().splitlines())
                    if fields[2] == "vxlan0"
                }
                assert known == expected
                vxlan = namespace.device("vxlan0")
                assert isinstance(vxlan, VxlanDevice)
                permanent = {entry.mac.hex(":") for entry in vxlan.fdb.entries() if entry.is_permanent}
                assert permanent == set(expected.values())

    @invariant()
    def the_manager_counts_what_is_there(self) -> None:
        manager = self.net.swarm.manager
        for network in NETWORKS:
            definition = manager.network(network)
            assert definition is not None
            live = [address for host in HOSTS for address in self.endpoints(network, host)]
            usage = manager.ipam.usage(definition.pools[0].pool_id)
            assert usage.in_use == 3 + len(live), "network, broadcast and gateway address, and every endpoint"
            balancers = sum(bool(self.endpoints(network, host)) for host in HOSTS)
            assert len(definition.tasks) == len(live) - balancers

    @invariant()
    def every_container_has_a_way_out_exactly_when_it_should(self) -> None:
        for container in self.net.containers.values():
            if container.running:
                on_overlay = bool(set(container.addresses) & set(NETWORKS))
                assert ("docker_gwbridge" in container.addresses) == on_overlay


TestOverlays = Overlays.TestCase
TestOverlays.settings = settings(max_examples=25, stateful_step_count=25, deadline=None, derandomize=True)
