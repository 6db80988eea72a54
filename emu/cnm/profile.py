"""What differs between Docker engine versions: one table of named switches.

Code asks a `Profile` for a switch by name (`profile.announce_count`); nobody compares version
strings. Values are taken from recordings of the engines 20.10.24, 28.5.2 and 29.7.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from emu.kernel.errors import NotFound

DEFAULT_ENGINE = "29"


@dataclass(frozen=True, slots=True)
class Profile:
    """The switches of one engine version.

    Parameters are grouped as the recordings are: addresses of links, start of life, default routes, IPAM,
    firewall, API schema, and the daemon's error texts (`texts`, read through `text`).
    """

    engine: str
    #: Container MAC on a bridge is 02:42 + the IPv4 address (else random at every start). FACTS 2, 3.
    mac_from_address: bool
    #: The bridge's own MAC is 02:42 + 4 random bytes (else 6 random bytes, locally administered). FACTS 2, 3.
    bridge_mac_prefixed: bool
    #: Gratuitous ARP requests sent by a new interface; the interval between them. FACTS 10, 11.
    announce_count: int
    announce_interval_ns: int
    #: The network options advertise_addr_nmsgs and advertise_addr_ms exist. FACTS29 4.
    announce_options: bool
    #: The bridge device takes driver.mtu only when its first container joins. FACT 5.
    bridge_mtu_on_first_join: bool
    #: Containers on an internal bridge network get a default route although nothing is forwarded. FACT 9.
    internal_default_route: bool
    #: Interfaces are numbered in sorted network order at start (else in the order given). FACT 88.
    start_order_sorted: bool
    #: A freed interface number is used again (else numbers only grow while the container runs). FACT 88.
    interface_numbers_reused: bool
    #: connect() accepts gw_priority; the endpoint option ifname exists. FACTS29 9, 11.
    gateway_priority: bool
    endpoint_interface_name: bool
    #: The next default pool follows the last one handed out (else the lowest free one). FACT 73.
    pools_continue_after_last: bool
    #: Default pools avoid every route of the host but the default one (else only on-link ones). libnetwork defaultipam.
    pools_avoid_all_routes: bool
    #: Both addresses of a /31 and the address of a /32 are usable. FACT 75.
    small_pools_usable: bool
    #: A subnet with host bits set is refused (else it is kept as typed). FACT 78.
    host_bits_refused: bool
    #: `0.0.0.0/24` as a subnet means "any default pool of this size". libnetwork ipamutils.
    unspecified_subnet: bool
    #: What --ip does on the default bridge at start: "ignored" or "refused". FACT 77.
    static_address_on_default_bridge: str
    #: --ip needs a network with a user-given subnet. FACTS29 table.
    static_address_needs_subnet: bool
    #: A static address outside the subnet is refused before the container exists (else when it starts).
    static_address_checked_early: bool
    #: A --ip that isn't an address is refused before, and apart from, any other problem. FACTS29 32.
    address_notation_alone: bool
    #: How bridges are kept apart: "isolation" (filter chains), "raw+isolation", or "raw". FACTS29 table.
    isolation: str
    #: Packets to a container that do not come through its own bridge are dropped in the raw table. FACT 47.
    raw_drops: bool
    #: docker network inspect has EnableIPv4 / Status; Containers comes after Labels. FACTS29 table.
    inspect_enable_ipv4: bool
    inspect_status: bool
    inspect_containers_last: bool
    #: An automatically chosen gateway is shown in IPAM.Config of a network made with a subnet only.
    inspect_chosen_gateway: bool
    #: The default bridge's gateway is shown in IPAM.Config.
    inspect_default_gateway: bool
    #: NetworkSettings has the old top-level fields (IPAddress, Gateway, ...). FACTS29 31.
    settings_top_level: bool
    #: Keys of NetworkSettings.Networks.<name> in the order of the engine's JSON.
    endpoint_keys: tuple[str, ...]
    #: Aliases shows the short container id on user networks (else DNSNames has all names).
    short_id_in_aliases: bool
    texts: Mapping[str, str] = field(repr=False)

    def text(self, message: str, /, **values: object) -> str:
        """Return the engine's wording of a message.

        message: its name in the table of texts.
        values: what fills the placeholders.
        """
        return self.texts[message].format(**values)


_TEXTS_20 = {
    "start_prefix": "",
    "pool_overlap": "Pool overlaps with other one on this address space",
    "pools_exhausted": "could not find an available, non-overlapping IPv4 address pool among the defaults "
    "to assign to the network",
    "no_available_addresses": "No available addresses on this pool",
    "address_in_use": "Address already in use",
    "address_out_of_range": "Requested address is out of range",
    "unknown_pool": "Address space does not contain specified address pool",
    "network_full": "no available IPv4 addresses on this network's address pools: {name} ({id})",
    "empty_name": "network with name  already exists",
    "subnet_notation": "Invalid subnet {subnet} : invalid CIDR address: {subnet}",
    "subnet_prefix": "Invalid subnet {subnet} : invalid CIDR address: {subnet}",
    "host_bits": "",
    "endpoint_config": "{error}",
    "endpoint_settings": "{error}",
    "address_outside": "Invalid address {address}: It does not belong to any of this network's subnets",
    "address_notation": "invalid IPv4 address: {address}",
    "address_on_default": "user specified IP address is supported on user defined networks only",
    "address_needs_subnet": "user specified IP address is supported only when connecting to networks with "
    "user configured subnets",
    "alias_on_default": "network-scoped alias is supported only for containers in user defined networks",
    "active_endpoints": "network {name} id {id} has active endpoints",
    "host_connect": "container cannot be disconnected from host network or connected to host network",
    "host_disconnect": "container cannot be disconnected from host network or connected to host network",
    "not_connected_stopped": "container {container} is not connected to the network {network}",
}

_TEXTS_28 = _TEXTS_20 | {
    "start_prefix": "failed to set up container networking: ",
    "pool_overlap": "invalid pool request: Pool overlaps with other one on this address space",
    "pools_exhausted": "all predefined address pools have been fully subnetted",
    "no_available_addresses": "no available addresses on this pool",
    "address_out_of_range": "requested address is out of range",
    "unknown_pool": "address space does not contain specified address pool",
    "empty_name": "invalid name: name is empty",
    "subnet_notation": "invalid network config:\ninvalid subnet {subnet}: invalid CIDR block notation",
    "subnet_prefix": "invalid network config:\ninvalid subnet {subnet}: invalid CIDR block notation",
    "host_bits": "invalid network config:\ninvalid subnet {subnet}: it should be {network}",
    "endpoint_config": "invalid config for network {network}: {error}",
    "endpoint_settings": "invalid endpoint settings:\n{error}",
    "address_outside": "no configured subnet or ip-range contain the IP address {address}",
    "active_endpoints": "network {name} has active endpoints ({endpoints})",
    "host_connect": "cannot connect container to host network - container must be created in host network mode",
    "host_disconnect": "cannot disconnect container from host network - container was created in host network mode",
}

_TEXTS_29 = _TEXTS_28 | {
    "subnet_notation": "netip.ParsePrefix(\"{subnet}\"): no '/'",
    "subnet_prefix": 'netip.ParsePrefix("{subnet}"): prefix length out of range',
    "address_outside": "no configured subnet contains IP address {address}",
    "address_notation": 'invalid argument "{address}" for "--ip" flag: failed to parse IP: "{address}"',
    "address_on_default": "user-specified IP address is supported on user-defined networks only",
    "alias_on_default": "network-scoped aliases are only supported for user-defined networks",
}

_ENDPOINT_KEYS_20 = (
    "IPAMConfig", "Links", "Aliases", "NetworkID", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen",
    "IPv6Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "MacAddress", "DriverOpts",
)  # fmt: skip
_ENDPOINT_KEYS_28 = (
    "IPAMConfig", "Links", "Aliases", "MacAddress", "DriverOpts", "GwPriority", "NetworkID", "EndpointID",
    "Gateway", "IPAddress", "IPPrefixLen", "IPv6Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen",
    "DNSNames",
)  # fmt: skip
_ENDPOINT_KEYS_29 = (
    "IPAMConfig", "Links", "Aliases", "DriverOpts", "GwPriority", "NetworkID", "EndpointID", "Gateway",
    "IPAddress", "MacAddress", "IPPrefixLen", "IPv6Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen",
    "DNSNames",
)  # fmt: skip

_ENGINE_20 = Profile(
    engine="20.10",
    mac_from_address=True,
    bridge_mac_prefixed=True,
    announce_count=0,
    announce_interval_ns=1_000_000_000,
    announce_options=False,
    bridge_mtu_on_first_join=True,
    internal_default_route=True,
    start_order_sorted=True,
    interface_numbers_reused=False,
    gateway_priority=False,
    endpoint_interface_name=False,
    pools_continue_after_last=True,
    pools_avoid_all_routes=True,
    small_pools_usable=False,
    host_bits_refused=False,
    unspecified_subnet=False,
    static_address_on_default_bridge="ignored",
    static_address_needs_subnet=True,
    static_address_checked_early=False,
    address_notation_alone=True,
    isolation="isolation",
    raw_drops=False,
    inspect_enable_ipv4=False,
    inspect_status=False,
    inspect_containers_last=False,
    inspect_chosen_gateway=False,
    inspect_default_gateway=False,
    settings_top_level=True,
    endpoint_keys=_ENDPOINT_KEYS_20,
    short_id_in_aliases=True,
    texts=MappingProxyType(_TEXTS_20),
)

_ENGINE_28 = replace(
    _ENGINE_20,
    engine="28",
    mac_from_address=False,
    bridge_mac_prefixed=False,
    announce_count=3,
    announce_options=True,
    bridge_mtu_on_first_join=False,
    internal_default_route=False,
    start_order_sorted=False,
    interface_numbers_reused=True,
    gateway_priority=True,
    endpoint_interface_name=True,
    pools_continue_after_last=False,
    pools_avoid_all_routes=False,
    small_pools_usable=True,
    host_bits_refused=True,
    static_address_on_default_bridge="refused",
    static_address_checked_early=True,
    address_notation_alone=False,
    isolation="raw+isolation",
    raw_drops=True,
    inspect_enable_ipv4=True,
    inspect_default_gateway=True,
    endpoint_keys=_ENDPOINT_KEYS_28,
    short_id_in_aliases=False,
    texts=MappingProxyType(_TEXTS_28),
)

_ENGINE_29 = replace(
    _ENGINE_28,
    engine="29",
    unspecified_subnet=True,
    static_address_needs_subnet=False,
    address_notation_alone=True,
    isolation="raw",
    inspect_status=True,
    inspect_containers_last=True,
    inspect_chosen_gateway=True,
    settings_top_level=False,
    endpoint_keys=_ENDPOINT_KEYS_29,
    texts=MappingProxyType(_TEXTS_29),
)

_PROFILES = {entry.engine: entry for entry in (_ENGINE_20, _ENGINE_28, _ENGINE_29)}

ENGINES = tuple(_PROFILES)


def profile(engine: str = DEFAULT_ENGINE) -> Profile:
    """Return the switches of an engine version.

    engine: "20.10", "28" or "29".
    Raises NotFound for any other version; the message lists the known ones.
    """
    found = _PROFILES.get(engine)
    if found is None:
        known = ", ".join(f'"{name}"' for name in ENGINES)
        raise NotFound(f'unknown engine "{engine}": choose one of {known}')
    return found
