"""Reserving pools and addresses for networks and endpoints, through whatever address manager they use.

Every step that reserves something tells the caller's undo stack how to give it back.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from emu.cnm.drivers.driver import SkipsGateway
from emu.cnm.ids import format_mac
from emu.cnm.ipam.config import IpamConfig, parse_address
from emu.cnm.ipam.driver import (
    ENDPOINT_MAC,
    ENDPOINT_NAME,
    GATEWAY,
    REQUEST_ADDRESS_TYPE,
    AddressesExhausted,
    Pending,
    PoolRequest,
)
from emu.cnm.network import NetworkPool
from emu.kernel.errors import Conflict, EmuError, InvalidValue

if TYPE_CHECKING:
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.network import Network
    from emu.cnm.profile import Profile
    from emu.stack.namespace import Namespace


def allocate_pools(network: Network, exclude: Sequence[ipaddress.IPv4Network], undo: ExitStack) -> None:
    """Reserve a network's pools: for each configuration the pool, the gateway, then the auxiliary addresses.

    exclude: what default pools must not overlap.
    Raises EmuError with the engine's text; `undo` then gives back what was reserved.
    """
    driver = network.ipam_driver
    space = driver.get_default_address_spaces()[0]
    for config in network.ipam.configs or [IpamConfig()]:
        request = PoolRequest(space, config.subnet, config.ip_range, network.ipam.options, exclude)
        granted = driver.request_pool(request)
        undo.callback(driver.release_pool, granted.pool_id)
        pool = NetworkPool(granted.pool_id, granted.subnet, config)
        network.pools.append(pool)
        if granted.subnet is None:
            continue
        if GATEWAY in granted.meta:
            pool.gateway = ipaddress.IPv4Interface(granted.meta[GATEWAY])
            pool.gateway_given = True
        elif not _skips_gateway(network):
            _allocate_gateway(network, pool, undo)
        _allocate_aux_addresses(network, pool, undo)


def _skips_gateway(network: Network) -> bool:
    return isinstance(network.driver, SkipsGateway) and network.driver.skips_gateway(network)


def _allocate_gateway(network: Network, pool: NetworkPool, undo: ExitStack) -> None:
    typed = pool.config.gateway
    preferred = parse_address(typed, "gateway") if typed else None
    options = {**network.ipam.options, REQUEST_ADDRESS_TYPE: GATEWAY}
    try:
        got = network.ipam_driver.request_address(pool.pool_id, preferred, options)
    except EmuError as error:
        raise type(error)(f"failed to allocate gateway ({typed}): {error}") from error
    if isinstance(got, Pending):
        raise InvalidValue(f'ipam driver "{network.ipam.driver}" can\'t lease a gateway: give one with gateway=')
    if got is not None:
        undo.callback(network.ipam_driver.release_address, pool.pool_id, got.ip)
        pool.gateway = got


def _allocate_aux_addresses(network: Network, pool: NetworkPool, undo: ExitStack) -> None:
    assert pool.subnet is not None
    for name, text in pool.config.aux_addresses.items():
        address = parse_address(text, "auxiliary address")
        if address not in pool.subnet:
            raise InvalidValue(f"auxiliary address: ({name}:{text}) must belong to the master pool: {pool.subnet}")
        try:
            network.ipam_driver.request_address(pool.pool_id, address, network.ipam.options)
        except EmuError as error:
            raise type(error)(f"failed to allocate secondary ip address ({name}:{text}): {error}") from error
        undo.callback(network.ipam_driver.release_address, pool.pool_id, address)
        pool.aux_addresses[name] = address


def release_pools(network: Network) -> None:
    """Give back everything `allocate_pools` reserved, in reverse order."""
    driver = network.ipam_driver
    for pool in reversed(network.pools):
        for address in reversed(list(pool.aux_addresses.values())):
            driver.release_address(pool.pool_id, address)
        if pool.gateway is not None and not pool.gateway_given:
            driver.release_address(pool.pool_id, pool.gateway.ip)
        driver.release_pool(pool.pool_id)
    network.pools.clear()


def allocate_address(endpoint: Endpoint, undo: ExitStack) -> None:
    """Reserve the endpoint's address from the first pool that has one.

    The address manager may answer `Pending`; then `endpoint.pending` is set.

    Raises Conflict `no available IPv4 addresses on this network's address pools: name (id)`.
    """
    network = endpoint.network
    typed = endpoint.settings.ipv4_address
    preferred = parse_address(typed, "IPv4 address") if typed else None
    options = {**network.ipam.options, ENDPOINT_NAME: endpoint.name}
    if network.ipam_driver.capabilities().requires_mac_address:
        options[ENDPOINT_MAC] = format_mac(endpoint.mac)
    for pool in network.pools:
        if preferred is not None and (pool.subnet is None or preferred not in pool.subnet):
            continue
        try:
            got = network.ipam_driver.request_address(pool.pool_id, preferred, options)
        except AddressesExhausted:
            continue
        endpoint.pool = pool
        if isinstance(got, Pending):
            endpoint.pending = got
        else:
            endpoint.address = got
        if got is not None:
            undo.callback(release_address, endpoint)
        return
    profile = network.controller.profile
    if preferred is not None and not any(p.subnet is not None and preferred in p.subnet for p in network.pools):
        raise InvalidValue(profile.text("address_outside", address=typed))
    raise Conflict(profile.text("network_full", name=network.name, id=network.id))


def release_address(endpoint: Endpoint) -> None:
    """Give the endpoint's address back; a lease that has not come yet is simply no longer waited for."""
    address, pool = endpoint.address, endpoint.pool
    endpoint.address = None
    endpoint.pending = None
    if address is not None and pool is not None:
        endpoint.network.ipam_driver.release_address(pool.pool_id, address.ip)


def routed_networks(profile: Profile, namespace: Namespace) -> Iterator[ipaddress.IPv4Network]:
    """Yield the networks that default pools must not shadow: those the host has routes for.

    From engine 28 on only routes without a next hop count.
    """
    for route in namespace.routes.all():
        if route.prefix_length and (route.gateway is None or profile.pools_avoid_all_routes):
            yield ipaddress.IPv4Network((route.network, route.prefix_length))
