"""The JSON that `docker network inspect` and `docker inspect` (NetworkSettings) print, per engine.

Key order and empty values are those of the recorded engines (20.10.24, 28.5.2, 29.7.2).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from emu.cnm.ids import format_address, format_mac
from emu.cnm.ipam.driver import LeasesOnTheWire, ReportsUsage

if TYPE_CHECKING:
    from emu.cnm.endpoint import Endpoint, EndpointSettings
    from emu.cnm.network import Network, NetworkPool
    from emu.cnm.profile import Profile
    from emu.cnm.sandbox import Sandbox

_EPOCH = datetime.datetime(2000, 1, 1)


def timestamp(now_ns: int) -> str:
    """Return a virtual time as the engine writes times; virtual time 0 is 2000-01-01T00:00:00Z."""
    seconds, nanoseconds = divmod(now_ns, 1_000_000_000)
    text = (_EPOCH + datetime.timedelta(seconds=seconds)).isoformat(timespec="seconds")
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return f"{text}{fraction}Z"


def network_attrs(network: Network) -> dict[str, Any]:
    """Return one element of `docker network inspect`."""
    profile = network.controller.profile
    attrs: dict[str, Any] = {
        "Name": network.name,
        "Id": network.id,
        "Created": timestamp(network.created_ns),
        "Scope": network.scope,
        "Driver": network.driver_name,
    }
    if profile.inspect_enable_ipv4:
        attrs["EnableIPv4"] = True
    attrs |= {
        "EnableIPv6": False,
        "IPAM": _ipam(network, profile),
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": network.is_ingress,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
    }
    containers: dict[str, Any] = {"Containers": _containers(network)}
    described: dict[str, Any] = {"Options": dict(network.options), "Labels": dict(network.labels)}
    if network.overlay is not None:
        _adapt_to_swarm(network, containers, described)
    peers = {"Peers": described.pop("Peers")} if "Peers" in described else {}
    attrs |= described | peers | containers if profile.inspect_containers_last else containers | described | peers
    leases = network.ipam_driver
    if profile.inspect_status or network.leases_addresses:
        attrs["Status"] = {"IPAM": _usage(network)}
    if isinstance(leases, LeasesOnTheWire):
        used, free = leases.lease_counts(network)
        attrs["Status"]["DHCP"] = {"LeasesUsed": used, "LeasesFree": free}
    return attrs


def _adapt_to_swarm(network: Network, containers: dict[str, Any], described: dict[str, Any]) -> None:
    """Show an overlay network as the engine does: with its peers where it is used, and little where it is not."""
    if network.endpoints or network.is_ingress:
        described["Peers"] = network.controller.swarm_node.peers_of(network)
        return
    containers["Containers"] = None
    described["Labels"] = dict(network.labels) or None
    if not network.driver_name:
        described["Options"] = None


def _ipam(network: Network, profile: Profile) -> dict[str, Any]:
    predefined = network.name in ("bridge", "host", "none") or network.is_gateway_bridge
    configs = [_ipam_config(network, pool, profile) for pool in network.pools if pool.subnet is not None]
    if network.overlay is not None:
        options = dict(network.ipam.options) if network.leases_addresses else None
        return {"Driver": network.ipam.driver, "Options": options, "Config": configs or None}
    return {
        "Driver": network.ipam.driver if network.ipam.driver != "null" else "default",
        "Options": None if predefined else dict(network.ipam.options),
        "Config": configs or (None if profile.inspect_default_gateway and predefined else []),
    }


def _ipam_config(network: Network, pool: NetworkPool, profile: Profile) -> dict[str, Any]:
    typed = pool.config
    config: dict[str, Any] = {"Subnet": typed.subnet or str(pool.subnet)}
    if typed.ip_range:
        config["IPRange"] = typed.ip_range
    chosen = format_address(pool.gateway.ip) if pool.gateway is not None else ""
    if network.is_default_bridge:
        shown = chosen if profile.inspect_default_gateway else ""
    elif typed.subnet and not profile.inspect_chosen_gateway:
        shown = typed.gateway
    else:
        shown = chosen
    if shown:
        config["Gateway"] = shown
    if typed.aux_addresses:
        config["AuxiliaryAddresses"] = dict(sorted(typed.aux_addresses.items()))
    return config


def _containers(network: Network) -> dict[str, Any]:
    found = {}
    for endpoint in network.endpoints.values():
        if endpoint.sandbox is not None:
            found[endpoint.sandbox.container_id] = {
                "Name": endpoint.name,
                "EndpointID": endpoint.id,
                "MacAddress": format_mac(endpoint.mac),
                "IPv4Address": "" if endpoint.address is None else str(endpoint.address),
                "IPv6Address": "",
            }
    return dict(sorted(found.items()))


def _usage(network: Network) -> dict[str, Any]:
    subnets: dict[str, Any] = {}
    if isinstance(network.ipam_driver, ReportsUsage):
        for pool in network.pools:
            usage = network.ipam_driver.usage(pool.pool_id)
            if pool.subnet is not None and usage is not None:
                subnets[str(pool.subnet)] = {
                    "IPsInUse": usage.in_use,
                    "DynamicIPsAvailable": usage.available,
                }
    return {"Subnets": subnets} if subnets else {}


def endpoint_attrs(
    profile: Profile, settings: EndpointSettings, endpoint: Endpoint | None, network_id: str = ""
) -> dict[str, Any]:
    """Return one element of `NetworkSettings.Networks`.

    settings: what the user asked for.
    endpoint: the endpoint while the container runs, else None.
    network_id: the network of a stopped container; "" before its first start.
    """
    address = None if endpoint is None else endpoint.address
    gateway = None if endpoint is None or address is None else endpoint.gateway
    names: list[str] | None = None
    aliases: list[str] | None = list(settings.aliases) or None
    if endpoint is not None and endpoint.network.resolves_names:
        names = list(endpoint.dns_names)
        if profile.short_id_in_aliases and endpoint.sandbox is not None:
            own = (endpoint.sandbox.container_id[:12], endpoint.sandbox.hostname)
            aliases = list(dict.fromkeys((*settings.aliases, *own)))
    fixed = settings.ipv4_address
    if endpoint is not None and endpoint.network.overlay is not None and address is not None \
            and not endpoint.network.leases_addresses:  # fmt: skip
        fixed = str(address.ip)  # the manager's choice comes to the engine as if the user had asked for it
    values: dict[str, Any] = {
        "IPAMConfig": {"IPv4Address": fixed} if fixed else None,
        "Links": None,
        "Aliases": aliases,
        "MacAddress": "" if endpoint is None else format_mac(endpoint.mac),
        "DriverOpts": dict(settings.driver_opts) or None,
        "GwPriority": settings.gw_priority,
        "NetworkID": network_id if endpoint is None else endpoint.network.id,
        "EndpointID": "" if endpoint is None else endpoint.id,
        "Gateway": format_address(gateway),
        "IPAddress": "" if address is None else str(address.ip),
        "IPPrefixLen": 0 if address is None else address.network.prefixlen,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": names,
    }
    return {key: values[key] for key in profile.endpoint_keys}


def network_settings(
    profile: Profile, sandbox: Sandbox | None, networks: Iterable[tuple[str, Mapping[str, Any]]]
) -> dict[str, Any]:
    """Return `NetworkSettings` of `docker inspect`.

    sandbox: the container's sandbox, None when it isn't running.
    networks: network names with their `endpoint_attrs`.
    """
    by_name = {name: dict(attrs) for name, attrs in networks}
    sandbox_id = "" if sandbox is None else sandbox.id
    key = "" if sandbox is None else sandbox.key
    if not profile.settings_top_level:
        return {"SandboxID": sandbox_id, "SandboxKey": key, "Ports": {}, "Networks": by_name}
    top: dict[str, Any] = {"Bridge": "", "SandboxID": sandbox_id}
    hairpin = {"HairpinMode": False, "LinkLocalIPv6Address": "", "LinkLocalIPv6PrefixLen": 0}
    keys = {"SandboxKey": key}
    ports: dict[str, Any] = {"Ports": {}}
    top |= keys | ports | hairpin if profile.inspect_enable_ipv4 else hairpin | ports | keys
    top |= {"SecondaryIPAddresses": None, "SecondaryIPv6Addresses": None}
    return top | _default_network(by_name.get("bridge")) | {"Networks": by_name}


def _default_network(attrs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the old top-level fields: those of the default bridge network, or empty ones."""
    empty: dict[str, Any] = {
        "EndpointID": "",
        "Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "MacAddress": "",
    }
    return empty if attrs is None else {key: attrs[key] for key in empty}
