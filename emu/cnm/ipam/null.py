"""The address manager that gives no addresses: networks of the drivers `host` and `null` use it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from emu.cnm.ipam.driver import IpamCapabilities, Pool, PoolRequest
from emu.kernel.errors import InvalidValue

ADDRESS_SPACE = "null"
POOL_ID = "null/0.0.0.0/0"


class NullIpam:
    """One pool, no addresses."""

    def capabilities(self) -> IpamCapabilities:
        """Return what the driver needs: nothing."""
        return IpamCapabilities()

    def get_default_address_spaces(self) -> tuple[str, str]:
        """Return the names of the address spaces."""
        return ADDRESS_SPACE, ADDRESS_SPACE

    def request_pool(self, request: PoolRequest) -> Pool:
        """Return the one pool; a specific one is refused.

        Raises InvalidValue when a pool or sub-pool is named.
        """
        if request.address_space != ADDRESS_SPACE:
            raise InvalidValue(f"unknown address space: {request.address_space}")
        if request.pool:
            raise InvalidValue("null ipam driver does not handle specific address pool requests")
        if request.sub_pool:
            raise InvalidValue("null ipam driver does not handle specific address subpool requests")
        return Pool(POOL_ID, None)

    def release_pool(self, pool_id: str) -> None:
        """Accept the one pool back."""
        _check(pool_id)

    def request_address(
        self, pool_id: str, preferred: ipaddress.IPv4Address | None, options: Mapping[str, str]
    ) -> None:
        """Return no address."""
        _check(pool_id)

    def release_address(self, pool_id: str, address: ipaddress.IPv4Address) -> None:
        """Accept anything back."""
        _check(pool_id)


def _check(pool_id: str) -> None:
    if pool_id != POOL_ID:
        raise InvalidValue(f"unknown pool id: {pool_id}")
