"""The default address manager: predefined pools, sub-pools, lowest-free and serial allocation.

Source: libnetwork ipamutils and defaultipam; FACTS 70, 73-79. Limits: IPv4 only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from emu.cnm.ipam.addrset import AddressSet
from emu.cnm.ipam.driver import (
    GLOBAL_ADDRESS_SPACE,
    LOCAL_ADDRESS_SPACE,
    SERIAL,
    AddressesExhausted,
    IpamCapabilities,
    Pool,
    PoolRequest,
    PoolUsage,
)
from emu.cnm.ipam.pools import GLOBAL_POOLS, LOCAL_POOLS, PoolBase, PrefixSet, first_fit, next_fit
from emu.cnm.profile import Profile
from emu.kernel.errors import Conflict, InvalidValue, NotFound

_UNSPECIFIED = ipaddress.IPv4Address("0.0.0.0")


class _PoolData:
    """A pool in use: its addresses, its sub-pools, and whether it goes with the last of them."""

    __slots__ = ("addresses", "auto_release", "children")

    def __init__(self, addresses: AddressSet, *, auto_release: bool) -> None:
        self.addresses = addresses
        self.children: set[ipaddress.IPv4Network] = set()
        self.auto_release = auto_release


class _AddressSpace:
    """Pools that must not overlap each other; local and global spaces know nothing of one another."""

    __slots__ = ("bases", "cursor", "name", "pools", "taken")

    def __init__(self, name: str, bases: Sequence[PoolBase]) -> None:
        self.name = name
        self.bases = tuple(bases)
        self.pools: dict[ipaddress.IPv4Network, _PoolData] = {}
        self.taken = PrefixSet()
        self.cursor = 0

    def overlaps(self, network: ipaddress.IPv4Network) -> bool:
        first, last = int(network.network_address), int(network.broadcast_address)
        return self.taken.end_of_overlap(first, last) is not None

    def add(self, network: ipaddress.IPv4Network, data: _PoolData) -> None:
        self.pools[network] = data
        self.taken.add(network)

    def remove(self, network: ipaddress.IPv4Network) -> None:
        del self.pools[network]
        self.taken.remove(network)


class DefaultIpam:
    """Docker's built-in address manager.

    profile: the engine's switches (order of pools, small pools, error texts).
    local_pools: what local networks are cut from (the daemon's `default-address-pools`).
    global_pools: what swarm networks are cut from.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        local_pools: Sequence[PoolBase] = LOCAL_POOLS,
        global_pools: Sequence[PoolBase] = GLOBAL_POOLS,
    ) -> None:
        self._profile = profile
        self._spaces = {
            LOCAL_ADDRESS_SPACE: _AddressSpace(LOCAL_ADDRESS_SPACE, local_pools),
            GLOBAL_ADDRESS_SPACE: _AddressSpace(GLOBAL_ADDRESS_SPACE, global_pools),
        }
        # By pool id: what allocation needs, without parsing the id again for every address.
        self._granted: dict[str, tuple[_PoolData, ipaddress.IPv4Network, ipaddress.IPv4Network | None]] = {}

    def capabilities(self) -> IpamCapabilities:
        """Return what the driver needs: nothing."""
        return IpamCapabilities()

    def get_default_address_spaces(self) -> tuple[str, str]:
        """Return the names of the local and the global address space."""
        return LOCAL_ADDRESS_SPACE, GLOBAL_ADDRESS_SPACE

    def request_pool(self, request: PoolRequest) -> Pool:
        """Reserve the named pool, or the next free default one.

        Raises InvalidValue for a pool or sub-pool that isn't a network.
        Raises NotFound for an unknown address space.
        Raises Conflict when the pool overlaps another one, or the default pools are used up.
        """
        space = self._spaces.get(request.address_space)
        if space is None:
            raise NotFound(f"cannot find address space {request.address_space}")
        for option in request.options:
            if option != SERIAL:
                raise InvalidValue(f'ipam driver "default" has no option "{option}"; it knows {SERIAL}')
        subnet = _parse(request, request.pool, "pool") if request.pool else None
        sub_pool = _parse(request, request.sub_pool, "subpool") if request.sub_pool else None
        if subnet is None and sub_pool is not None:
            raise InvalidValue(_parse_error(request, "subpool"))
        size = self._requested_size(subnet)
        if subnet is None or size is not None:
            return self._request_default(space, request, size)
        if sub_pool is None:
            return self._request_whole(space, subnet)
        return self._request_part(space, subnet, sub_pool)

    def _requested_size(self, subnet: ipaddress.IPv4Network | None) -> int | None:
        """Return the prefix length asked for with an unspecified subnet ("0.0.0.0/24"), or None."""
        if subnet is None or not self._profile.unspecified_subnet:
            return None
        return subnet.prefixlen if subnet.network_address == _UNSPECIFIED and subnet.prefixlen else None

    def _request_default(self, space: _AddressSpace, request: PoolRequest, size: int | None) -> Pool:
        reserved = PrefixSet(request.exclude)
        subnet: ipaddress.IPv4Network | None = None
        if self._profile.pools_continue_after_last:
            found = next_fit(space.bases, space.taken, reserved, space.cursor)
            if found is not None:
                subnet, space.cursor = found
        else:
            subnet = first_fit(space.bases, space.taken, reserved, size)
        if subnet is None:
            raise Conflict(self._profile.text("pools_exhausted"))
        return self._request_whole(space, subnet)

    def _request_whole(self, space: _AddressSpace, subnet: ipaddress.IPv4Network) -> Pool:
        if space.overlaps(subnet):
            raise Conflict(self._profile.text("pool_overlap"))
        data = self._new_pool(subnet, auto_release=False)
        space.add(subnet, data)
        pool_id = f"{space.name}/{subnet}"
        self._granted[pool_id] = (data, subnet, None)
        return Pool(pool_id, subnet)

    def _request_part(
        self, space: _AddressSpace, subnet: ipaddress.IPv4Network, sub_pool: ipaddress.IPv4Network
    ) -> Pool:
        if sub_pool.prefixlen < subnet.prefixlen:
            sub_pool = subnet  # a sub-pool wider than its pool is cut down to it, silently (libnetwork defaultipam)
        if not sub_pool.subnet_of(subnet):
            raise InvalidValue(f"invalid ip-range {sub_pool}: parent subnet {subnet} doesn't contain ip-range")
        data = space.pools.get(subnet)
        if data is None:
            # No overlap check here, as in the engine: the bridge driver refuses overlapping networks itself.
            data = self._new_pool(subnet, auto_release=True)
            space.add(subnet, data)
        elif sub_pool in data.children:
            raise Conflict(self._profile.text("pool_overlap"))
        data.children.add(sub_pool)
        pool_id = f"{space.name}/{subnet}/{sub_pool}"
        self._granted[pool_id] = (data, subnet, sub_pool)
        return Pool(pool_id, subnet)

    def _new_pool(self, subnet: ipaddress.IPv4Network, *, auto_release: bool) -> _PoolData:
        addresses = AddressSet(subnet, small_usable=self._profile.small_pools_usable)
        return _PoolData(addresses, auto_release=auto_release)

    def release_pool(self, pool_id: str) -> None:
        """Give a pool back; a pool with sub-pools stays until the last of them is given back.

        Raises NotFound for an unknown pool.
        """
        data, subnet, sub_pool = self._pool(pool_id)
        del self._granted[pool_id]
        if sub_pool is None:
            data.auto_release = True
        else:
            data.children.discard(sub_pool)
        if data.auto_release and not data.children:
            self._spaces[pool_id.partition("/")[0]].remove(subnet)

    def request_address(
        self, pool_id: str, preferred: ipaddress.IPv4Address | None, options: Mapping[str, str]
    ) -> ipaddress.IPv4Interface:
        """Reserve the preferred address, or the next free one of the pool.

        With the option `com.docker.network.ipam.serial=true` the search continues after the address
        handed out last; otherwise the lowest free address is taken.

        Raises NotFound for an unknown pool.
        Raises InvalidValue when the preferred address is outside the pool.
        Raises Conflict when it is taken, or nothing is free.
        """
        data, subnet, sub_pool = self._pool(pool_id)
        if preferred is not None:
            if preferred not in subnet:
                raise InvalidValue(self._profile.text("address_out_of_range"))
            if not data.addresses.take(int(preferred)):
                raise Conflict(self._profile.text("address_in_use"))
            return ipaddress.IPv4Interface((int(preferred), subnet.prefixlen))
        taken = data.addresses.take_next(sub_pool, serial=options.get(SERIAL) == "true")
        if taken is None:
            raise AddressesExhausted(self._profile.text("no_available_addresses"))
        return ipaddress.IPv4Interface((taken, subnet.prefixlen))

    def release_address(self, pool_id: str, address: ipaddress.IPv4Address) -> None:
        """Give an address back; one that was free already is accepted silently, as in the engine.

        Raises NotFound for an unknown pool.
        """
        data, subnet, _ = self._pool(pool_id)
        if address in subnet:
            data.addresses.give_back(int(address))

    def usage(self, pool_id: str) -> PoolUsage:
        """Return how full a pool is: network and broadcast address count as in use (FACTS29 28)."""
        data, _, sub_pool = self._pool(pool_id)
        return PoolUsage(data.addresses.count_in_use, data.addresses.count_free(sub_pool))

    def _pool(self, pool_id: str) -> tuple[_PoolData, ipaddress.IPv4Network, ipaddress.IPv4Network | None]:
        found = self._granted.get(pool_id)
        if found is None:
            raise NotFound(self._profile.text("unknown_pool"))
        return found


def _parse(request: PoolRequest, text: str, what: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise InvalidValue(_parse_error(request, what)) from None


def _parse_error(request: PoolRequest, what: str) -> str:
    return (
        f'failed to parse pool request for address space "{request.address_space}" pool "{request.pool}" '
        f'subpool "{request.sub_pool}": invalid address {what}'
    )
