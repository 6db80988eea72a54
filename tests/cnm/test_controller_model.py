"""A state machine: networks and containers come and go in any order, and the books always balance."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from emu.cnm.gateway import choose_gateway
from emu.kernel.errors import EmuError
from tests.cnm.attachments import Attachments
from tests.cnm.lab import Lab

SUBNETS = {"net-a": "10.1.0.0/30", "net-b": "10.2.0.0/29", "net-c": "10.3.0.0/24", "net-d": ""}
NETWORK = st.sampled_from([*SUBNETS, "bridge"])
CONTAINER = st.sampled_from(["c1", "c2", "c3", "c4"])


class ControllerMachine(RuleBasedStateMachine):
    """Every command may fail (that is part of the game); none may leave anything half-made."""

    @initialize(engine=st.sampled_from(["20.10", "28", "29"]))
    def start_engine(self, engine: str) -> None:
        self.lab = Lab(engine)
        self.containers: dict[str, Attachments] = {}

    @rule(name=st.sampled_from(sorted(SUBNETS)), internal=st.booleans())
    def create_network(self, name: str, internal: bool) -> None:
        self._try(lambda: self.lab.controller.create_network(name, subnet=SUBNETS[name] or None, internal=internal))

    @rule(name=NETWORK)
    def remove_network(self, name: str) -> None:
        self._try(lambda: self.lab.controller.remove_network(name))

    @rule(name=CONTAINER, networks=st.lists(NETWORK, min_size=1, max_size=3, unique=True))
    def run_container(self, name: str, networks: list[str]) -> None:
        if name not in self.containers:
            container = Attachments(self.lab.controller, name, self.lab.container_id())
            for network in networks:
                container.add(network)
            if self._try(container.start):
                self.containers[name] = container

    @rule(name=CONTAINER)
    def stop_or_start_container(self, name: str) -> None:
        container = self.containers.get(name)
        if container is not None:
            self._try(container.start if container.sandbox is None else container.stop)

    @rule(name=CONTAINER, network=NETWORK)
    def connect(self, name: str, network: str) -> None:
        if name in self.containers:
            self._try(lambda: self.containers[name].connect(network))

    @rule(name=CONTAINER, network=NETWORK)
    def disconnect(self, name: str, network: str) -> None:
        if name in self.containers:
            self._try(lambda: self.containers[name].disconnect(network))

    @staticmethod
    def _try(command: object) -> bool:
        try:
            command()  # type: ignore[operator]
        except EmuError:
            return False
        return True

    @invariant()
    def addresses_in_use_are_those_of_gateways_and_endpoints(self) -> None:
        for network in self.lab.controller.networks():
            for pool in network.pools:
                if pool.subnet is not None:
                    taken = {e.address for e in network.endpoints.values()}
                    assert len(taken) == len(network.endpoints)
                    in_use = network.ipam_driver.usage(pool.pool_id).in_use  # type: ignore[attr-defined]
                    assert in_use == 3 + len(taken)

    @invariant()
    def every_endpoint_belongs_to_a_running_container_and_has_its_devices(self) -> None:
        endpoints = [e for n in self.lab.controller.networks() for e in n.endpoints.values()]
        running = [c.sandbox for c in self.containers.values() if c.sandbox is not None]
        assert sorted(e.id for e in endpoints) == sorted(e.id for s in running for e in s.endpoints)
        assert len([name for name in self.lab.namespace.devices if name.startswith("veth")]) == len(endpoints)
        bridges = [n for n in self.lab.controller.networks() if n.driver_name == "bridge"]
        assert len(self.lab.namespace.devices) == 2 + len(bridges) + len(endpoints)

    @invariant()
    def the_default_route_is_the_one_of_the_endpoint_that_owns_it(self) -> None:
        for container in self.containers.values():
            if container.sandbox is None:
                continue
            owner = choose_gateway(container.sandbox.endpoints)
            lines = container.sandbox.namespace.routes.text().splitlines()
            found = [line.split()[2] for line in lines if line.startswith("default")]
            assert found == ([] if owner is None else [str(owner.gateway)])
            assert container.sandbox.gateway_endpoint is owner


TestTheBooksBalance = ControllerMachine.TestCase
TestTheBooksBalance.settings = settings(max_examples=25, stateful_step_count=30, deadline=None, derandomize=True)
