"""The main routing table of a namespace: longest prefix first, then the smallest metric, as Linux looks routes up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emu.kernel.errors import Conflict, InvalidValue, NotFound
from emu.wire.address import ipv4_to_bytes, ipv4_to_text

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice

CACHE_MAX = 65536
KINDS = ("unicast", "unreachable", "prohibit", "blackhole")


def parse_prefix(text: str) -> tuple[bytes, int]:
    """Parse "10.0.0.0/8", "10.1.2.3" (a host) or "default" into (network, prefix length 0 to 32).

    Raises InvalidValue for anything else, and for host bits behind the prefix.
    """
    if text == "default":
        return b"\0\0\0\0", 0
    address, slash, length_text = text.partition("/")
    network = ipv4_to_bytes(address)
    length = 32
    if slash:
        if not length_text.isascii() or not length_text.isdigit() or int(length_text) > 32:
            raise InvalidValue(f'"{text}": expected a prefix length of 0 to 32 after the slash')
        length = int(length_text)
    if int.from_bytes(network, "big") & ((1 << (32 - length)) - 1):
        proper = mask_network(network, length)
        raise InvalidValue(f'"{text}" has host bits set: it should be {ipv4_to_text(proper)}/{length}')
    return network, length


def mask_network(address: bytes, prefix_length: int) -> bytes:
    """Return the network that the address belongs to."""
    value = int.from_bytes(address, "big") >> (32 - prefix_length) << (32 - prefix_length)
    return value.to_bytes(4, "big")


class Route:
    """One route. Never changed: a change is a removal and an addition.

    network, prefix_length: where it leads to. device: the way out (None for the error kinds). gateway: next hop, or
    None when the destination itself is on the link. source: preferred source address or None.
    metric: smaller wins. kind: unicast, unreachable, prohibit or blackhole. protocol: "kernel" for connected routes.
    """

    __slots__ = ("device", "gateway", "kind", "metric", "network", "prefix_length", "protocol", "source")

    def __init__(
        self,
        network: bytes,
        prefix_length: int,
        device: NetDevice | None,
        gateway: bytes | None = None,
        source: bytes | None = None,
        metric: int = 0,
        kind: str = "unicast",
        protocol: str = "boot",
    ) -> None:
        self.network = network
        self.prefix_length = prefix_length
        self.device = device
        self.gateway = gateway
        self.source = source
        self.metric = metric
        self.kind = kind
        self.protocol = protocol

    @property
    def destination(self) -> str:
        """The destination as `ip route` writes it: "default", "10.0.0.0/8", "10.1.2.3"."""
        if not self.prefix_length:
            return "default"
        suffix = "" if self.prefix_length == 32 else f"/{self.prefix_length}"
        return ipv4_to_text(self.network) + suffix

    def text(self) -> str:
        """Return the route as `ip route` prints it (with the blank that ends each of its lines)."""
        parts = [self.destination if self.kind == "unicast" else f"{self.kind} {self.destination}"]
        if self.gateway is not None:
            parts.append(f"via {ipv4_to_text(self.gateway)}")
        if self.device is not None:
            parts.append(f"dev {self.device.name}")
        if self.protocol != "boot":
            parts.append(f"proto {self.protocol}")
        if self.device is not None and self.gateway is None:
            parts.append("scope link")
        if self.source is not None:
            parts.append(f"src {ipv4_to_text(self.source)}")
        if self.metric:
            parts.append(f"metric {self.metric}")
        if self.device is not None and self.device.is_up and not self.device.carrier:
            parts.append("linkdown")
        return " ".join(parts) + " "

    def __repr__(self) -> str:
        return f"<Route {self.text().strip()}>"


class RouteTable:
    """The routes of one namespace.

    on_change: called after every change, so that caches made from routes can be dropped.
    generation: grows with every change.
    """

    __slots__ = ("_by_length", "_cache", "_lengths", "_on_change", "generation")

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self.generation = 0
        self._by_length: dict[int, dict[int, list[Route]]] = {}
        self._lengths: list[int] = []
        self._cache: dict[bytes, Route | None] = {}

    def add(
        self,
        destination: str,
        device: NetDevice | None = None,
        via: str | None = None,
        source: str | None = None,
        metric: int = 0,
        kind: str = "unicast",
        *,
        protocol: str = "boot",
    ) -> Route:
        """Add a route, as `ip route add` does.

        destination: "default", "10.0.0.0/8" or one address. device: the way out; may be left out when `via` can be
        reached through a connected route. via: address of the next hop. source: preferred source address.
        kind: "unicast", or "unreachable", "prohibit", "blackhole" (these take neither device nor via).
        Raises Conflict when the same destination and metric exist, InvalidValue for a next hop that is not on a
        connected network or for a bad combination.
        """
        network, prefix_length = parse_prefix(destination)
        if kind not in KINDS:
            raise InvalidValue(f'route kind "{kind}": expected one of {", ".join(KINDS)}')
        if type(metric) is not int or metric < 0:
            raise InvalidValue(f"route metric {metric!r}: expected an integer of at least 0")
        gateway = None if via is None else ipv4_to_bytes(via)
        if kind != "unicast":
            if device is not None or gateway is not None:
                raise InvalidValue(f'a route of kind "{kind}" has neither a device nor a next hop')
        elif gateway is not None:
            device = self._device_towards(gateway, device)
        elif device is None:
            raise InvalidValue(f'route to "{destination}": a device or a next hop is needed')
        preferred = None if source is None else ipv4_to_bytes(source)
        route = Route(network, prefix_length, device, gateway, preferred, metric, kind, protocol)
        self._insert(route)
        return route

    def add_connected(self, device: NetDevice, network: bytes, prefix_length: int, source: bytes) -> Route:
        """Add the route that comes with an address; a second address of the same network adds nothing new."""
        for known in self._routes_of(network, prefix_length):
            if known.device is device and known.protocol == "kernel":
                return known
        route = Route(network, prefix_length, device, None, source, protocol="kernel")
        self._insert(route, append=True)
        return route

    def remove(self, destination: str, device: NetDevice | None = None, via: str | None = None) -> None:
        """Remove the first route that matches everything given; raises NotFound when there is none."""
        network, prefix_length = parse_prefix(destination)
        gateway = None if via is None else ipv4_to_bytes(via)
        for route in self._routes_of(network, prefix_length):
            if (device is None or route.device is device) and (gateway is None or route.gateway == gateway):
                self.remove_route(route)
                return
        raise NotFound(f'no route to "{destination}" to remove')

    def remove_route(self, route: Route) -> None:
        """Remove exactly this route."""
        networks = self._by_length[route.prefix_length]
        key = _key(route.network, route.prefix_length)
        networks[key].remove(route)
        if not networks[key]:
            del networks[key]
            if not networks:
                del self._by_length[route.prefix_length]
                self._lengths.remove(route.prefix_length)
        self._changed()

    def remove_device(self, device: NetDevice) -> None:
        """Remove all routes through a device, as happens when it goes down."""
        for route in self.all():
            if route.device is device:
                self.remove_route(route)

    def lookup(self, destination: bytes) -> Route | None:
        """Return the route for a 4-byte destination, or None; an error kind is returned like any other."""
        cache = self._cache
        route = cache.get(destination)
        if route is None and destination not in cache:
            if len(cache) >= CACHE_MAX:
                cache.clear()
            route = cache[destination] = self._search(destination)
        return route

    def _search(self, destination: bytes) -> Route | None:
        value = int.from_bytes(destination, "big")
        for length in self._lengths:
            routes = self._by_length[length].get(value >> (32 - length))
            if routes is not None:
                return routes[0]
        return None

    def all(self) -> list[Route]:
        """Return all routes in the order in which `ip route` lists them."""
        found = [route for networks in self._by_length.values() for routes in networks.values() for route in routes]
        found.sort(key=lambda route: (route.network, route.prefix_length))
        return found

    def text(self) -> str:
        """Return the table as `ip route` prints it."""
        return "".join(f"{route.text()}\n" for route in self.all())

    def _routes_of(self, network: bytes, prefix_length: int) -> list[Route]:
        return self._by_length.get(prefix_length, {}).get(_key(network, prefix_length), [])

    def _device_towards(self, gateway: bytes, device: NetDevice | None) -> NetDevice:
        """Return the device on whose connected network the gateway is."""
        for length in self._lengths:
            value = int.from_bytes(gateway, "big") >> (32 - length)
            for route in self._by_length[length].get(value, ()):
                if (
                    route.kind == "unicast"
                    and route.gateway is None
                    and route.device is not None
                    and (device is None or route.device is device)
                ):
                    return route.device
        where = "" if device is None else f" of {device.name}"
        raise InvalidValue(
            f'next hop "{ipv4_to_text(gateway)}" is not on a connected network{where}: add an address of its network '
            "or a route to it first"
        )

    def _insert(self, route: Route, append: bool = False) -> None:
        routes = self._by_length.setdefault(route.prefix_length, {}).setdefault(
            _key(route.network, route.prefix_length), []
        )
        if not append and any(known.metric == route.metric for known in routes):
            raise Conflict(
                f'a route to "{route.destination}" with metric {route.metric} exists already: '
                f"{next(known for known in routes if known.metric == route.metric).text().strip()}"
            )
        routes.append(route)
        routes.sort(key=_metric_of)
        if route.prefix_length not in self._lengths:
            self._lengths.append(route.prefix_length)
            self._lengths.sort(reverse=True)
        self._changed()

    def _changed(self) -> None:
        self.generation += 1
        self._cache.clear()
        self._on_change()


def _metric_of(route: Route) -> int:
    return route.metric


def _key(network: bytes, prefix_length: int) -> int:
    return int.from_bytes(network, "big") >> (32 - prefix_length)
