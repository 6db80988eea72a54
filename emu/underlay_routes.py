"""Routes between the segments of the underlay: every host reaches every other one, whatever joins them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emu.stack.route import parse_prefix

if TYPE_CHECKING:
    from emu.device.ethernet import EthernetPort
    from emu.host import Host
    from emu.stack.route import Route

Segment = list["Attachment"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A host's port on a segment, with its address there."""

    host: Host
    device: EthernetPort
    interface: ipaddress.IPv4Interface


@dataclass(frozen=True, slots=True)
class Hop:
    """The first step of the way to another host: out of one's own port, to the neighbour's port."""

    out: Attachment
    neighbour: Attachment


class UnderlayRoutes:
    """What a routing protocol would enter in the hosts' tables: shortest ways over the segments.

    A host is known by its first address (with an overlay: its VXLAN address) and uses it as source towards others, so
    that both directions of a tunnel have the same two addresses by whatever cable they go. With a single segment
    there is nothing to do. Limits: the ways are found when links are added, not when a cable is pulled out.
    """

    def __init__(self) -> None:
        self._routes: list[tuple[Host, Route]] = []

    def replace(self, segments: Sequence[Segment]) -> None:
        """Enter the routes that belong to these segments instead of those entered before.

        A route of the same destination that somebody else has entered stays as it is.
        """
        for host, route in self._routes:
            if route in host.namespace.routes.all():
                host.namespace.routes.remove_route(route)
        self._routes = []
        if len(segments) < 2:
            return
        own: dict[Host, list[Segment]] = {}
        for segment in segments:
            for attachment in segment:
                own.setdefault(attachment.host, []).append(segment)
        first = {host: _of(host, its[0]) for host, its in own.items()}
        for host in own:
            hops = _first_hops(host, own)
            for other, hop in hops.items():
                self._towards_host(first[host], first[other], hop)
            for segment in segments:
                nearest = next((other for other in hops if _is_on(other, segment)), None)
                if nearest is not None and not _is_on(host, segment):
                    self._add(first[host], segment[0].interface.network, hops[nearest])

    def _towards_host(self, host: Attachment, other: Attachment, hop: Hop) -> None:
        """The route to another host's first address, unless the connected one does the same."""
        on_link = hop.neighbour == other
        if on_link and hop.out == host:
            return
        self._add(host, ipaddress.IPv4Network(other.interface.ip), hop, on_link=on_link)

    def _add(self, host: Attachment, destination: ipaddress.IPv4Network, hop: Hop, *, on_link: bool = False) -> None:
        routes = host.host.namespace.routes
        prefix = parse_prefix(str(destination))
        if any((route.network, route.prefix_length) == prefix for route in routes.all()) or not hop.out.device.is_up:
            return
        via = None if on_link else str(hop.neighbour.interface.ip)
        route = routes.add(str(destination), hop.out.device, via, str(host.interface.ip), protocol="static")
        self._routes.append((host.host, route))


def _first_hops(start: Host, own: Mapping[Host, Sequence[Segment]]) -> dict[Host, Hop]:
    """The first step towards every host that can be reached, nearest hosts first; cables added first win."""
    hops: dict[Host, Hop] = {}
    waiting = [start]
    for host in waiting:  # grows while it is walked: breadth first
        for segment in own[host]:
            for attachment in segment:
                if attachment.host is start or attachment.host in hops:
                    continue
                hops[attachment.host] = hops[host] if host in hops else Hop(_of(start, segment), attachment)
                waiting.append(attachment.host)
    return hops


def _of(host: Host, segment: Segment) -> Attachment:
    return next(attachment for attachment in segment if attachment.host is host)


def _is_on(host: Host, segment: Segment) -> bool:
    return any(attachment.host is host for attachment in segment)
