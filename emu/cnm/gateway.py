"""Which of a sandbox's networks owns its default route.

Source: libnetwork default_gateway.go, FACTS 88, FACTS29 9. Endpoints are kept sorted; the first one with a gateway
wins, so joining a network whose name sorts earlier moves the default route.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.network import Network


SortKey = tuple[int, bool, bool, bool, bytes]


def sort_key(network: Network, gw_priority: int, has_gateway: bool) -> SortKey:
    """Return the key that orders endpoints: priority, not docker_gwbridge, not internal, with a gateway, name."""
    return (-gw_priority, network.is_gateway_bridge, network.internal, not has_gateway, network.name.encode())


def endpoint_key(endpoint: Endpoint) -> SortKey:
    """Return the sort key of an endpoint."""
    return sort_key(endpoint.network, endpoint.settings.gw_priority, endpoint.gateway is not None)


def choose_gateway(endpoints: Iterable[Endpoint]) -> Endpoint | None:
    """Return the endpoint that owns the default route, or None.

    endpoints: in their sorted order.
    """
    for endpoint in endpoints:
        if endpoint.gateway is not None and endpoint.address is not None \
                and endpoint.network.driver.capabilities().gives_gateway:  # fmt: skip
            return endpoint
    return None
