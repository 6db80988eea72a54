"""The options of the address manager `dhcp` and of `serve_dhcp`: texts, read and checked one by one.

Every value is text, as Docker's `--ipam-opt key=value` has it: lists are "a,b", dicts "a=1,b=2", times "10min".
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_time_ns
from emu.traffic.dhcp_profile import SECOND
from emu.traffic.dhcp_server_settings import DhcpServerSettings
from emu.wire import dhcp
from emu.wire.address import is_mac_text, mac_to_bytes

T = TypeVar("T")
_DOMAIN = re.compile(r"(?!-)[a-zA-Z0-9_-]{1,63}(\.(?!-)[a-zA-Z0-9_-]{1,63})*\.?")
AddressRange = tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]

SERVER_OPTIONS = (
    "range", "exclusions", "reservations", "gateway", "dns", "domain", "mtu", "routes", "lease_time", "t1", "t2",
    "authoritative", "probe", "quarantine",
)  # fmt: skip
"""What a server can be told."""
NETWORK_OPTIONS = (*SERVER_OPTIONS, "server", "static", "client", "client_id")
"""What a network with the address manager `dhcp` can be told."""
SHOWN_MAX = 100
"""How many characters of a wrong value an error shows at most."""


@dataclass(slots=True)
class Segment:
    """What a server is told by the network it is on.

    server: the server's own address with prefix. router: for containers, unless the option `gateway` says otherwise.
    ip_range: where addresses come from, unless the option `range` does; None for the whole subnet.
    taken: addresses that others have.
    """

    server: ipaddress.IPv4Interface
    router: ipaddress.IPv4Address | None
    ip_range: ipaddress.IPv4Network | None = None
    taken: list[ipaddress.IPv4Address] = field(default_factory=list)


def check_names(options: Mapping[str, str], known: Iterable[str]) -> None:
    """Raise InvalidValue for an option that does not exist."""
    for name in options:
        if name not in known:
            raise InvalidValue(f'DHCP has no option "{name}"; it knows {", ".join(known)}')


def server_settings(
    options: Mapping[str, str], segment: Segment, reservations: dict[bytes, bytes]
) -> DhcpServerSettings:
    """Read the options of a server.

    reservations: is filled; what is added to it later counts at once.
    Raises InvalidValue naming the option, what it says, and what was expected.
    """
    server, network = segment.server, segment.server.network
    first, last = read(options, "range", _range) or _default_range(segment)
    taken = [address for address in segment.taken if address != server.ip]
    excluded = read(options, "exclusions", _ranges) or []
    for lowest, highest in excluded:
        if lowest not in network or highest not in network or lowest > highest:
            raise _wrong("exclusions", f"{lowest}-{highest}", f"addresses of {network}, the lower one first")
    _fill(reservations, options, taken)
    router = read(options, "gateway", _address_or_none) if "gateway" in options else segment.router
    if "gateway" in options and router is not None and not is_host_address(router, network):
        raise _wrong("gateway", str(router), f'an address of {network}, or "none"')
    given: dict[str, Any] = {
        "domain": read(options, "domain", _domain),
        "mtu": read(options, "mtu", _mtu),
        "lease_s": read(options, "lease_time", _lease_time),
        "t1_s": read(options, "t1", _seconds),
        "t2_s": read(options, "t2", _seconds),
        "authoritative": read(options, "authoritative", _flag),
        "probe_wait_ns": read(options, "probe", _time_or_off),
        "quarantine_ns": read(options, "quarantine", _time_or_off),
    }
    return DhcpServerSettings(
        server_address=server.ip.packed,
        prefix_length=network.prefixlen,
        first=first.packed,
        last=last.packed,
        exclusions=frozenset(address.packed for address in (*_all_of(excluded), *taken)),
        reservations=reservations,
        router=None if router is None else router.packed,
        dns=[address.packed for address in read(options, "dns", _addresses) or ()],
        routes=_with_default_route(read(options, "routes", _routes) or [], router),
        **{name: value for name, value in given.items() if value is not None},
    )


def _fill(reservations: dict[bytes, bytes], options: Mapping[str, str], taken: Iterable[ipaddress.IPv4Address]) -> None:
    reservations.update(read(options, "reservations", _reservations) or {})
    for address in taken:
        if address.packed in reservations.values():
            raise InvalidValue(f"DHCP option reservations: {address} is in use by something else")


def static_addresses(options: Mapping[str, str]) -> list[ipaddress.IPv4Address]:
    """Return the addresses that the option `static` names: given by hand, never leased."""
    return read(options, "static", _addresses) or []


def is_host_address(address: ipaddress.IPv4Address, network: ipaddress.IPv4Network) -> bool:
    """Tell whether an address is one that a host of a network can have: neither its first nor its last one."""
    return address in network and address not in (network.network_address, network.broadcast_address)


def choice(options: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """Return which of several words an option is; the first one when it is not given."""
    value = options.get(name, choices[0])
    if value not in choices:
        raise _wrong(name, value, " or ".join(f'"{word}"' for word in choices))
    return value


def read(options: Mapping[str, str], name: str, parse: Callable[[str], T]) -> T | None:
    """Return an option's value, None when it is not given. Raises InvalidValue naming it."""
    text = options.get(name)
    if text is None:
        return None
    try:
        return parse(text)
    except _Expected as error:
        raise _wrong(name, text, str(error)) from None


class _Expected(ValueError):
    """Says what was expected instead."""


def _wrong(name: str, text: str, expected: str) -> InvalidValue:
    shown = text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
    return InvalidValue(f"DHCP option {name} {json.dumps(shown, ensure_ascii=False)}: expected {expected}")


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _address(text: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(text.strip())
    except ValueError:
        raise _Expected("IPv4 addresses such as 10.0.0.5") from None


def _addresses(text: str) -> list[ipaddress.IPv4Address]:
    return [_address(part) for part in _parts(text)]


def _address_or_none(text: str) -> ipaddress.IPv4Address | None:
    return None if text == "none" else _address(text)


def _range(text: str) -> AddressRange:
    first, dash, last = text.partition("-")
    if not dash:
        raise _Expected("a first and a last address such as 10.0.0.10-10.0.0.99")
    return _address(first), _address(last)


def _ranges(text: str) -> list[AddressRange]:
    return [_range(part) if "-" in part else (_address(part), _address(part)) for part in _parts(text)]


def _all_of(ranges: Iterable[AddressRange]) -> Iterable[ipaddress.IPv4Address]:
    for first, last in ranges:
        for number in range(int(first), int(last) + 1):
            yield ipaddress.IPv4Address(number)


def _pairs(text: str, example: str) -> list[tuple[str, str]]:
    pairs = [part.partition("=") for part in _parts(text)]
    if not all(equals for _, equals, _ in pairs):
        raise _Expected(f"pairs such as {example}")
    return [(key.strip(), value.strip()) for key, _, value in pairs]


def _reservations(text: str) -> dict[bytes, bytes]:
    found = {}
    for client, address in _pairs(text, "02:42:00:00:00:05=10.0.0.5 or web=10.0.0.5"):
        key = mac_to_bytes(client) if is_mac_text(client) else client_id_of(client)
        found[key] = _address(address).packed
    if len(set(found.values())) < len(found):
        raise _Expected("one client for each address")
    return found


def client_id_of(text: str) -> bytes:
    """Return a client identifier: type 0, which is no hardware address, and a text; or "id:" and its bytes in hex."""
    if not text:
        raise _Expected("a MAC address or a client identifier before the =")
    if text.startswith("id:"):
        try:
            identifier = bytes.fromhex(text[3:])
        except ValueError:
            identifier = b""
        if len(identifier) < 2:
            raise _Expected("hex digits after id:, for two bytes at least")
        return identifier
    return b"\0" + text.encode()


def _routes(text: str) -> list[tuple[bytes, int, bytes]]:
    found = []
    for destination, gateway in _pairs(text, "192.168.5.0/24=10.0.0.9"):
        try:
            network = ipaddress.IPv4Network(destination)
        except ValueError:
            raise _Expected("networks without host bits such as 192.168.5.0/24=10.0.0.9") from None
        found.append((network.network_address.packed, network.prefixlen, _address(gateway).packed))
    return found


def _with_default_route(
    routes: list[tuple[bytes, int, bytes]], router: ipaddress.IPv4Address | None
) -> list[tuple[bytes, int, bytes]]:
    """Tell the router among the classless routes, too: a client that takes those ignores option 3 (RFC 3442)."""
    if routes and router is not None and all(prefix_length for _, prefix_length, _ in routes):
        return [*routes, (bytes(4), 0, router.packed)]
    return routes


def _time_ns(text: str) -> int:
    try:
        return parse_time_ns(text)
    except InvalidValue:
        raise _Expected('a time such as "10min" or "90s"') from None


def _seconds(text: str) -> int:
    time_ns = _time_ns(text)
    if time_ns % SECOND or not time_ns:
        raise _Expected("whole seconds, at least one")
    return time_ns // SECOND


def _lease_time(text: str) -> int:
    if text == "infinite":
        return dhcp.INFINITE_LEASE_S
    try:
        return _seconds(text)
    except _Expected as error:
        raise _Expected(f'{error}, or "infinite"') from None


def _time_or_off(text: str) -> int:
    return 0 if text == "off" else _time_ns(text)


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise _Expected("true or false")
    return text == "true"


def _mtu(text: str) -> int:
    if not text.isdecimal() or not 68 <= int(text) <= 65535:
        raise _Expected("a number from 68 to 65535")
    return int(text)


def _domain(text: str) -> str:
    if len(text) > 253 or not _DOMAIN.fullmatch(text):
        raise _Expected("a domain name such as lan.example")
    return text


def _default_range(segment: Segment) -> AddressRange:
    network = segment.server.network
    part = segment.ip_range or network
    first, last = int(part.network_address), int(part.broadcast_address)
    first += first == int(network.network_address)
    last -= last == int(network.broadcast_address)
    return ipaddress.IPv4Address(first), ipaddress.IPv4Address(last)
