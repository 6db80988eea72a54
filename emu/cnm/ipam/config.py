"""What a user says about a network's addresses, read and checked before anything is reserved."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emu.cnm.profile import Profile
from emu.kernel.errors import InvalidValue, NotSupported

_KEYS = {"driver": "Driver", "options": "Options", "config": "Config"}
_CONFIG_KEYS = {
    "subnet": "Subnet",
    "ip_range": "IPRange",
    "gateway": "Gateway",
    "aux_addresses": "AuxiliaryAddresses",
}


@dataclass(slots=True)
class IpamConfig:
    """One entry of `IPAM.Config`.

    subnet: as typed by the user, or "" for a default pool.
    ip_range: the part of the subnet that addresses are handed out from, or "".
    gateway: the gateway asked for, or "".
    aux_addresses: addresses that are in use by others, by name.
    """

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    aux_addresses: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class IpamSettings:
    """All a user said: the address manager, its options and the configurations."""

    driver: str = "default"
    options: dict[str, str] = field(default_factory=dict)
    configs: list[IpamConfig] = field(default_factory=list)


def from_flags(
    profile: Profile,
    subnet: str | Sequence[str] | None,
    ip_range: str | Sequence[str] | None,
    gateway: str | Sequence[str] | None,
    aux_addresses: Mapping[str, str] | None,
) -> list[IpamConfig]:
    """Read what `docker network create` takes as flags, with that command's checks and texts (FACT 79).

    Raises InvalidValue when a range, gateway or address belongs to no given subnet.
    """
    subnets, ranges, gateways = _as_list(subnet), _as_list(ip_range), _as_list(gateway)
    if len(subnets) < len(ranges) or len(subnets) < len(gateways):
        raise InvalidValue("every ip-range or gateway must have a corresponding subnet")
    configs = [IpamConfig(text) for text in subnets]
    # With a subnet that can't be read there is nothing to match against: the engine's own check names it.
    networks = [parse_subnet(profile, text) for text in subnets]
    _check_overlaps(networks)
    for text in ranges:
        config = _matching(configs, networks, _range_of(text), f"no matching subnet for range {text}")
        if config.ip_range:
            raise InvalidValue(
                f"cannot configure multiple ranges ({text}, {config.ip_range}) on the same subnet ({config.subnet})"
            )
        config.ip_range = text
    for text in gateways:
        config = _matching(configs, networks, _address_of(text, "gateway"),
                           f"no matching subnet for gateway {text}")  # fmt: skip
        if config.gateway:
            raise InvalidValue(
                f"cannot configure multiple gateways ({text}, {config.gateway}) for the same subnet ({config.subnet})"
            )
        config.gateway = text
    for name, text in (aux_addresses or {}).items():
        address = _address_of(text, "auxiliary address")
        config = _matching(configs, networks, address, f"no matching subnet for aux-address {text}")
        config.aux_addresses[name] = text
    for config in configs:
        _check_host_bits(profile, config.subnet)
    return configs


def from_mapping(profile: Profile, ipam: Mapping[str, Any]) -> IpamSettings:
    """Read the engine API's `IPAM` object (what docker-py's `IPAMConfig` makes), with the daemon's checks.

    The keys of compose files are understood, too: driver, options, config with subnet, ip_range, gateway and
    aux_addresses.

    Raises InvalidValue for unknown keys and for ranges, gateways or addresses outside their subnet.
    """
    ipam = _with_engine_keys("ipam", ipam, _KEYS)
    entries = ipam.get("Config") or ()
    if isinstance(entries, str) or not isinstance(entries, Sequence):
        raise InvalidValue(f"ipam Config: expected a list of dicts, not {entries!r}")
    settings = IpamSettings(ipam.get("Driver") or "default", ipam_options_as_text(ipam.get("Options")))
    for entry in entries:
        entry = _with_engine_keys("ipam Config", entry, _CONFIG_KEYS)
        config = IpamConfig(
            entry.get("Subnet") or "",
            entry.get("IPRange") or "",
            entry.get("Gateway") or "",
            dict(entry.get("AuxiliaryAddresses") or {}),
        )
        _check_daemon(profile, config)
        settings.configs.append(config)
    return settings


def parse_subnet(profile: Profile, text: str) -> ipaddress.IPv4Network:
    """Read a subnet; host bits are dropped here and checked elsewhere.

    Raises InvalidValue with the engine's wording when it isn't a CIDR block.
    Raises NotSupported for an IPv6 subnet.
    """
    if ":" in text:
        raise NotSupported(f"subnet {text}: IPv6 networks are not built yet; use an IPv4 subnet")
    address, slash, prefix = text.partition("/")
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        raise InvalidValue(profile.text("subnet_notation", subnet=text)) from None
    if not slash or not prefix.isdecimal():
        raise InvalidValue(profile.text("subnet_notation", subnet=text))
    if int(prefix) > 32:
        raise InvalidValue(profile.text("subnet_prefix", subnet=text))
    return ipaddress.IPv4Network(text, strict=False)


def parse_address(text: str, what: str) -> ipaddress.IPv4Address:
    """Read an IPv4 address; `what` names it in the error."""
    return ipaddress.IPv4Address(int(_address_of(text, what).network_address))


def _check_daemon(profile: Profile, config: IpamConfig) -> None:
    """Check one configuration as the daemon does (libnetwork defaultipam)."""
    if not config.subnet:
        if config.ip_range or config.gateway or config.aux_addresses:
            raise InvalidValue("every ip-range or gateway must have a corresponding subnet")
        return
    network = parse_subnet(profile, config.subnet)
    _check_host_bits(profile, config.subnet)
    prefix = "invalid network config:\n" if profile.host_bits_refused else ""
    if config.ip_range:
        part = _range_of(config.ip_range)
        if part.prefixlen < network.prefixlen:
            raise InvalidValue(f"{prefix}invalid ip-range {config.ip_range}: CIDR block is bigger than its "
                               f"parent subnet {config.subnet}")  # fmt: skip
        if not part.subnet_of(network):
            raise InvalidValue(f"{prefix}invalid ip-range {config.ip_range}: parent subnet {config.subnet} "
                               "doesn't contain ip-range")  # fmt: skip
    named = [("gateway", config.gateway)] if config.gateway else []
    named += [("auxiliary address", text) for text in config.aux_addresses.values()]
    for what, text in named:
        if not _address_of(text, what).subnet_of(network):
            raise InvalidValue(f"{prefix}invalid {what} {text}: parent subnet {config.subnet} doesn't contain "
                               "this address")  # fmt: skip


def _check_host_bits(profile: Profile, text: str) -> None:
    network = parse_subnet(profile, text)
    if profile.host_bits_refused and str(network.network_address) != text.partition("/")[0]:
        raise InvalidValue(profile.text("host_bits", subnet=text, network=network))


def _check_overlaps(networks: Sequence[ipaddress.IPv4Network]) -> None:
    for index, network in enumerate(networks):
        if any(network.overlaps(other) for other in networks[:index]):
            raise InvalidValue("multiple overlapping subnet configuration is not supported")


def _matching(
    configs: Sequence[IpamConfig],
    networks: Sequence[ipaddress.IPv4Network],
    wanted: ipaddress.IPv4Network,
    error: str,
) -> IpamConfig:
    for config, network in zip(configs, networks, strict=True):
        if wanted.network_address in network:
            return config
    raise InvalidValue(error)


def _range_of(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise InvalidValue(f"invalid ip-range {text}: expected a CIDR block such as 10.0.0.0/25") from None


def _address_of(text: str, what: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network((int(ipaddress.IPv4Address(text)), 32))
    except ValueError:
        raise InvalidValue(f"invalid {what} {text}: expected an IPv4 address such as 10.0.0.1") from None


def _as_list(value: str | Sequence[str] | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def ipam_options_as_text(options: Mapping[str, Any] | None) -> dict[str, str]:
    """Return IPAM options as the engine keeps them, as text: lists as "a,b", dicts as "a=1,b=2", True as "true".

    Raises InvalidValue for anything else that isn't text or a whole number.
    """
    if options is not None and not isinstance(options, Mapping):
        raise InvalidValue(f'ipam options: expected a dict such as {{"lease_time": "10m"}}, not {options!r}')
    return {key: _option_text(key, value) for key, value in (options or {}).items()}


def _option_text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, Mapping) and all(isinstance(part, str) for pair in value.items() for part in pair):
        return ",".join(f"{name}={part}" for name, part in value.items())
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return ",".join(value)
    raise InvalidValue(f"ipam option {key}: expected text, a whole number, or a list or dict of texts, not {value!r}")


def _with_engine_keys(what: str, mapping: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """Return a mapping with the engine API's keys; `keys` tells for each small one which it is."""
    if not isinstance(mapping, Mapping):
        raise InvalidValue(f"{what}: expected a dict, not {mapping!r}")
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        name = keys.get(key, key)
        if name not in keys.values():
            raise InvalidValue(f'{what}: unknown key "{key}"; known keys are {", ".join(sorted(keys.values()))}')
        if name in found:
            raise InvalidValue(f'{what}: the key "{name}" is given twice')
        found[name] = value
    return found
