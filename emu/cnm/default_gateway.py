"""The way out for containers whose networks have no gateway: an endpoint on docker_gwbridge.

Source: libnetwork default_gateway.go, FACTS 58, 72. Limits: only overlay networks ask for it; without address
translation nothing outside the host can answer.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from emu.cnm.endpoint import EndpointSettings
from emu.cnm.network import GATEWAY_BRIDGE

if TYPE_CHECKING:
    from emu.cnm.controller import Controller
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.network import Network
    from emu.cnm.sandbox import Sandbox

OPTIONS = {
    "com.docker.network.bridge.enable_icc": "false",
    "com.docker.network.bridge.enable_ip_masquerade": "true",
    "com.docker.network.bridge.name": GATEWAY_BRIDGE,
}
_NAME_ID_LENGTH = 12


def gateway_bridge(controller: Controller) -> Network:
    """Return the host's docker_gwbridge; made when there is none.

    Its second address belongs to the sandbox of the ingress network, which has nothing else to do yet.
    """
    for network in controller.networks():
        if network.is_gateway_bridge:
            return network
    network = controller.create_network(GATEWAY_BRIDGE, "bridge", options=OPTIONS)
    pool = network.pools[0]
    assert pool.gateway is not None, network
    network.ipam_driver.request_address(pool.pool_id, ipaddress.IPv4Address(int(pool.gateway.ip) + 1), {})
    return network


def update(controller: Controller, sandbox: Sandbox) -> None:
    """Give a sandbox an endpoint on docker_gwbridge, or take it away, as its other endpoints need it."""
    existing = next((endpoint for endpoint in sandbox.endpoints if endpoint.network.is_gateway_bridge), None)
    if needs_gateway_bridge(sandbox):
        if existing is None:
            name = f"gateway_{sandbox.id[:_NAME_ID_LENGTH]}"
            controller.attach(gateway_bridge(controller), sandbox, name, EndpointSettings(), ())
    elif existing is not None:
        controller.detach(existing)


def needs_gateway_bridge(sandbox: Sandbox) -> bool:
    """Say whether none of a sandbox's networks has a gateway, and one of them asks for the bridge."""
    others = [endpoint for endpoint in sandbox.endpoints if not endpoint.network.is_gateway_bridge]
    if any(_offers_gateway(endpoint) for endpoint in others):
        return False
    return any(
        endpoint.network.driver.capabilities().uses_gateway_bridge and not endpoint.network.internal
        for endpoint in others
    )


def _offers_gateway(endpoint: Endpoint) -> bool:
    return endpoint.gateway is not None and endpoint.network.driver.capabilities().gives_gateway
