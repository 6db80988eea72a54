"""The options of a bridge network: which ones act, which are stored, which are refused.

Source: libnetwork drivers/bridge, FACTS 5, FACTS29 4. Limits: `enable_ip_masquerade` and `host_binding_ipv4` are
stored and shown, but act only on address translation and published ports, which are not built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emu.cnm.profile import Profile
from emu.kernel.errors import InvalidValue, NotSupported

_PREFIX = "com.docker.network."
BRIDGE_NAME = "com.docker.network.bridge.name"
ENABLE_ICC = "com.docker.network.bridge.enable_icc"
ENABLE_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
INHIBIT_IPV4 = "com.docker.network.bridge.inhibit_ipv4"
DEFAULT_BRIDGE = "com.docker.network.bridge.default_bridge"
MTU = "com.docker.network.driver.mtu"
INTERFACE_PREFIX = "com.docker.network.container_iface_prefix"
ANNOUNCE_COUNT = "com.docker.network.advertise_addr_nmsgs"
ANNOUNCE_INTERVAL = "com.docker.network.advertise_addr_ms"
INTERFACE_NAME = "com.docker.network.endpoint.ifname"
ENDPOINT_SYSCTLS = "com.docker.network.endpoint.sysctls"

#: What `docker network inspect bridge` shows of a fresh engine.
DEFAULT_BRIDGE_OPTIONS = {
    DEFAULT_BRIDGE: "true",
    ENABLE_ICC: "true",
    ENABLE_MASQUERADE: "true",
    HOST_BINDING: "0.0.0.0",
    BRIDGE_NAME: "docker0",
    MTU: "1500",
}

_NOT_BUILT = (
    "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6",
    "com.docker.network.bridge.trusted_host_interfaces",
    "com.docker.network.host_ipv4",
    "com.docker.network.host_ipv6",
    "com.docker.network.enable_ipv4",
    "com.docker.network.enable_ipv6",
)
_LONGEST_NAME = 15


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """The options of one bridge network, read and checked.

    name: the bridge device's name, or "" for `br-` and the network's id.
    icc: containers of the network may talk to each other.
    masquerade: stored; address translation is not built.
    inhibit_ipv4: the bridge keeps no address.
    mtu: 0 is the kernel's default, 1500.
    interface_prefix: what container interfaces are named by.
    announce_count: gratuitous ARP requests of a new interface.
    announce_interval_ns: time between them.
    """

    name: str
    icc: bool
    masquerade: bool
    inhibit_ipv4: bool
    mtu: int
    interface_prefix: str
    announce_count: int
    announce_interval_ns: int


def read_options(profile: Profile, options: Mapping[str, str], *, is_default: bool) -> BridgeOptions:
    """Read the options of a bridge network.

    is_default: the network is the host's default one.
    Raises InvalidValue for a value out of range or an unknown Docker option.
    Raises NotSupported for an option whose behaviour is not built.
    """
    _refuse_unknown(profile, options, is_default=is_default)
    name = options.get(BRIDGE_NAME, "")
    if len(name) > _LONGEST_NAME:
        raise InvalidValue(
            f"bridge name {name} is longer than {_LONGEST_NAME} characters: numerical result out of range"
        )
    if any(character in "/:" or character.isspace() for character in name) or name in (".", ".."):
        raise InvalidValue(f"bridge name {name!r}: Linux allows no spaces, ':' and '/' in it")
    mtu = _number(options, MTU, 0)
    if mtu < 0:
        raise InvalidValue(f"invalid MTU number: {mtu}")
    interval = 1_000_000 * _in_range(options, ANNOUNCE_INTERVAL, 100, 2000, 0)
    return BridgeOptions(
        name=name,
        icc=_flag(options, ENABLE_ICC, True),
        masquerade=_flag(options, ENABLE_MASQUERADE, True),
        inhibit_ipv4=_flag(options, INHIBIT_IPV4, False),
        mtu=mtu,
        interface_prefix=options.get(INTERFACE_PREFIX) or "eth",
        announce_count=_in_range(options, ANNOUNCE_COUNT, 0, 3, profile.announce_count),
        announce_interval_ns=interval or profile.announce_interval_ns,
    )


def interface_name(profile: Profile, driver_opts: Mapping[str, str]) -> str | None:
    """Return the exact interface name an endpoint asks for, or None.

    Raises NotSupported for engine 20.10, and for endpoint options that aren't built.
    Raises InvalidValue for unknown endpoint options and names Linux would refuse.
    """
    for key in driver_opts:
        if key == ENDPOINT_SYSCTLS:
            raise NotSupported(f"endpoint option {key} is not built yet; use the container's sysctls=")
        if key != INTERFACE_NAME:
            raise InvalidValue(f"unknown endpoint option {key} of the bridge driver; known is {INTERFACE_NAME}")
    name = driver_opts.get(INTERFACE_NAME)
    if name is None:
        return None
    if not profile.endpoint_interface_name:
        raise NotSupported(f"endpoint option {INTERFACE_NAME} needs engine 28 or later")
    if not name or len(name) > _LONGEST_NAME or "/" in name or any(c.isspace() for c in name):
        raise InvalidValue(f'invalid interface name "{name}": expected 1 to {_LONGEST_NAME} characters')
    return name


def _refuse_unknown(profile: Profile, options: Mapping[str, str], *, is_default: bool) -> None:
    known = {BRIDGE_NAME, ENABLE_ICC, ENABLE_MASQUERADE, HOST_BINDING, INHIBIT_IPV4, MTU, INTERFACE_PREFIX}
    announce = {ANNOUNCE_COUNT, ANNOUNCE_INTERVAL}
    for key, value in options.items():
        if key in announce and not profile.announce_options:
            raise NotSupported(f"option {key} needs engine 28 or later; this is engine {profile.engine}")
        if key in _NOT_BUILT:
            raise NotSupported(f"option {key} is not built yet; leave it out")
        if key == HOST_BINDING and value != "0.0.0.0":
            raise NotSupported(f"option {key}={value}: published ports are not built yet; leave it out")
        if key == DEFAULT_BRIDGE and not is_default:
            raise InvalidValue(f"option {key} is for the network bridge only")
        if key.startswith(_PREFIX) and key not in known | announce | {DEFAULT_BRIDGE}:
            raise InvalidValue(
                f"unknown option {key} of the bridge driver; known are {', '.join(sorted(known | announce))}"
            )


def _flag(options: Mapping[str, str], key: str, default: bool) -> bool:
    text = options.get(key)
    if text is None or text == "":
        return default
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise InvalidValue(f'failed to parse {key} value: {text} (strconv.ParseBool: parsing "{text}": invalid syntax)')


def _number(options: Mapping[str, str], key: str, default: int) -> int:
    text = options.get(key)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise InvalidValue(
            f'failed to parse {key} value: {text} (strconv.Atoi: parsing "{text}": invalid syntax)'
        ) from None


def _in_range(options: Mapping[str, str], key: str, low: int, high: int, default: int) -> int:
    if key not in options:
        return default
    value = _number(options, key, default)
    if not low <= value <= high:
        raise InvalidValue(f"{key} must be in the range {low} to {high}")
    return value
