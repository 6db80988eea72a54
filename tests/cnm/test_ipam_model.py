"""A state machine: the address manager against a model that keeps plain sets."""

from __future__ import annotations

import ipaddress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from emu.cnm.ipam.default import DefaultIpam
from emu.cnm.ipam.driver import PoolRequest
from emu.cnm.profile import profile
from emu.kernel.errors import Conflict

SUBNETS = ["10.0.0.0/29", "10.0.0.0/30", "10.0.0.4/30", "10.0.1.0/31", "10.0.2.0/28", "10.0.0.0/22", ""]


class IpamMachine(RuleBasedStateMachine):
    """Pools come and go, addresses are taken and given back; the model says what must happen."""

    pools = Bundle("pools")

    def __init__(self) -> None:
        super().__init__()
        self.ipam = DefaultIpam(profile("29"))
        self.taken: dict[str, set[int]] = {}
        self.subnets: dict[str, ipaddress.IPv4Network] = {}

    @rule(target=pools, subnet=st.sampled_from(SUBNETS))
    def request_pool(self, subnet: str) -> str | None:
        wanted = ipaddress.IPv4Network(subnet) if subnet else None
        clash = wanted is not None and any(wanted.overlaps(other) for other in self.subnets.values())
        try:
            granted = self.ipam.request_pool(PoolRequest("LocalDefault", subnet))
        except Conflict:
            assert clash
            return None
        assert not clash
        assert granted.subnet is not None
        assert not any(granted.subnet.overlaps(other) for other in self.subnets.values())
        self.subnets[granted.pool_id] = granted.subnet
        self.taken[granted.pool_id] = set()
        return granted.pool_id

    @rule(pool_id=consumes(pools))
    def release_pool(self, pool_id: str | None) -> None:
        if pool_id in self.subnets:
            self.ipam.release_pool(pool_id)
            del self.subnets[pool_id], self.taken[pool_id]

    @rule(pool_id=pools)
    def request_any_address(self, pool_id: str | None) -> None:
        if pool_id not in self.subnets:
            return
        free = next((n for n in self._usable(pool_id) if n not in self.taken[pool_id]), None)
        try:
            got = self.ipam.request_address(pool_id, None, {})
        except Conflict:
            assert free is None
            return
        assert int(got.ip) == free
        self.taken[pool_id].add(int(got.ip))

    @rule(pool_id=pools, offset=st.integers(0, 20))
    def request_this_address(self, pool_id: str | None, offset: int) -> None:
        if pool_id not in self.subnets:
            return
        subnet = self.subnets[pool_id]
        wanted = int(subnet.network_address) + offset % subnet.num_addresses
        allowed = wanted in self._usable(pool_id) and wanted not in self.taken[pool_id]
        try:
            self.ipam.request_address(pool_id, ipaddress.IPv4Address(wanted), {})
        except Conflict:
            assert not allowed
            return
        assert allowed
        self.taken[pool_id].add(wanted)

    @rule(pool_id=pools, choice=st.integers(0, 1000))
    def release_address(self, pool_id: str | None, choice: int) -> None:
        if pool_id in self.subnets and self.taken[pool_id]:
            released = sorted(self.taken[pool_id])[choice % len(self.taken[pool_id])]
            self.ipam.release_address(pool_id, ipaddress.IPv4Address(released))
            self.taken[pool_id].discard(released)

    @invariant()
    def the_counts_agree(self) -> None:
        for pool_id, taken in self.taken.items():
            usage = self.ipam.usage(pool_id)
            usable = self._usable(pool_id)
            assert usage.available == len(usable) - len(taken)
            assert usage.in_use + usage.available == self.subnets[pool_id].num_addresses

    def _usable(self, pool_id: str) -> range:
        subnet = self.subnets[pool_id]
        reserved = 1 if subnet.prefixlen <= 30 else 0
        return range(int(subnet.network_address) + reserved, int(subnet.broadcast_address) + 1 - reserved)


TestIpamAgainstAModel = IpamMachine.TestCase
TestIpamAgainstAModel.settings = settings(max_examples=30, stateful_step_count=30, deadline=None, derandomize=True)
