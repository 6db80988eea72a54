"""The underlay: Ethernet segments made of cables and switches, and the addresses of the hosts on them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emu.device.ethernet import EthernetPort, connect
from emu.host import Host
from emu.kernel.errors import Conflict, InvalidValue
from emu.link import Link, Port, Switch
from emu.underlay_routes import Attachment, UnderlayRoutes

if TYPE_CHECKING:
    from emu.kernel import Kernel

POOL = ipaddress.IPv4Network("198.18.0.0/15")
"""Set aside for tests of network equipment (RFC 2544, RFC 6890): in nobody's way, and not among Docker's pools."""
SEGMENT_PREFIX_LENGTH = 24
MTU = 1500
MAC_PREFIX = bytes.fromhex("525400")
"""The prefix that emulators give the network cards of virtual machines, as on the recorded hosts."""


class Underlay:
    """All cables between hosts and switches.

    Addresses are given out when they are first needed, so that links can be added in any order: one subnet per
    segment (everything that hears the same broadcasts), within it in the order in which the hosts were added.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.links: list[Link] = []
        self._kernel = kernel
        self._ports_made = 0
        self._finishes_offloads = False
        self._wanted: dict[str, ipaddress.IPv4Interface] = {}
        self._addresses: dict[str, ipaddress.IPv4Interface] = {}
        self._routes = UnderlayRoutes()

    def next_mac(self) -> bytes:
        """The MAC address of the next network card: 52:54:00 and a number."""
        self._ports_made += 1
        return MAC_PREFIX + self._ports_made.to_bytes(3, "big")

    def finish_offloads(self) -> None:
        """Let all network cards finish frames that are left to the hardware, from now on."""
        self._finishes_offloads = True
        for link in self.links:
            for port in link.ends:
                port.device.finish_offloads()

    # -- links --------------------------------------------------------------------------------------------------------

    def add_link(
        self,
        a: Host | Switch,
        b: Host | Switch,
        impairments: Mapping[str, Any],
        *,
        mtu: int | None,
        subnet: str | None,
        addresses: Sequence[str] | None,
    ) -> Link:
        """Join two hosts or switches; raises InvalidValue or Conflict, and then nothing is joined."""
        for end in (a, b):
            if not isinstance(end, (Host, Switch)):
                raise InvalidValue(f"add_link: expected hosts or switches, not {end!r}")
        if a is b:
            raise InvalidValue(f"add_link: {a.name} can't be joined to itself")
        if subnet is not None:
            _network(subnet)
        wanted = _wanted_addresses([end for end in (a, b) if isinstance(end, Host)], addresses, subnet)
        # The cable is made and set up before anything joins a namespace, so that an error leaves nothing behind.
        devices = [EthernetPort(self._kernel, _next_name(end), self.next_mac(), mtu or MTU) for end in (a, b)]
        for end, device in zip((a, b), devices, strict=True):
            device.label = f"{end.name}:{device.name}"
        cable = connect(devices[0], devices[1])
        cable.set(**impairments)
        if self._finishes_offloads:
            for device in devices:
                device.finish_offloads()
        ends = (Port(a, devices[0]), Port(b, devices[1]))
        link = Link(ends, cable, subnet)
        for port in ends:
            _plug_in(port)
        for port, address in zip([port for port in ends if isinstance(port.owner, Host)], wanted, strict=False):
            self._wanted[port.device.label] = address
        self.links.append(link)
        return link

    # -- addresses ----------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Give an address to every host port that has none yet, and hosts routes to segments they are not on.

        Raises Conflict for contradicting wishes.
        """
        known = len(self._addresses)
        for links in self._segments():
            ports = sorted(
                (port for link in links for port in link.ends if isinstance(port.owner, Host)),
                key=lambda port: list(port.owner.net.hosts).index(port.owner.name),
            )
            waiting = [port for port in ports if port.device.label not in self._addresses]
            if not waiting:
                continue
            subnet = self._subnet_of(links, ports)
            for port in waiting:
                self._give_address(port, subnet)
        if len(self._addresses) > known:
            self.set_routes()

    def set_routes(self) -> None:
        """Enter the routes between segments anew, for example those that went with a port that was down."""
        segments = [
            [
                Attachment(port.owner, port.device, self._addresses[port.device.label])
                for link in links
                for port in link.ends
                if isinstance(port.owner, Host) and port.device.label in self._addresses
            ]
            for links in self._segments()
        ]
        self._routes.replace([segment for segment in segments if segment])

    def addresses_of(self, host: Host) -> list[str]:
        """A host's addresses on the underlay, as given out so far."""
        return [str(interface.ip) for interface in self._interfaces_of(host)]

    def prefixed_addresses_of(self, host: Host) -> list[str]:
        """The same with prefix."""
        return [str(interface) for interface in self._interfaces_of(host)]

    def ports_of(self, host: Host) -> list[EthernetPort]:
        """A host's network cards, in the order in which its links were added."""
        return [port.device for link in self.links for port in link.ends if port.owner is host]

    def groups(self) -> dict[str, int]:
        """The hosts and switches by name, with one number for all that links which carry join at this moment."""
        numbers: dict[str, int] = {}
        members: list[list[str]] = []
        for link in self.links:
            for port in link.ends:
                if port.owner.name not in numbers:
                    numbers[port.owner.name] = len(members)
                    members.append([port.owner.name])
            one, other = (numbers[port.owner.name] for port in link.ends)
            if one != other and all(port.device.running for port in link.ends):
                for name in members[other]:
                    numbers[name] = one
                members[one] += members[other]
                members[other] = []
        return numbers

    def subnet_of(self, link: Link) -> str | None:
        """The subnet of the segment a link is part of; None when no host is on it."""
        for links in self._segments():
            if link in links:
                for port in (port for entry in links for port in entry.ends):
                    interface = self._addresses.get(port.device.label)
                    if interface is not None:
                        return str(interface.network)
        return None

    def _interfaces_of(self, host: Host) -> list[ipaddress.IPv4Interface]:
        ports = [port for link in self.links for port in link.ends if port.owner is host]
        return [self._addresses[port.device.label] for port in ports if port.device.label in self._addresses]

    def _segments(self) -> list[list[Link]]:
        """The links by segment: those that share a switch belong together."""
        segments: list[list[Link]] = []
        for link in self.links:
            switches = [port.owner for port in link.ends if isinstance(port.owner, Switch)]
            together = [segment for segment in segments if any(_touches(entry, switches) for entry in segment)]
            merged = [entry for segment in together for entry in segment] + [link]
            if together:
                segments[segments.index(together[0])] = merged
                for segment in together[1:]:
                    segments.remove(segment)
            else:
                segments.append(merged)
        return segments

    def _subnet_of(self, links: Sequence[Link], ports: Sequence[Port]) -> ipaddress.IPv4Network:
        """The subnet of a segment: that of its addresses so far, the one asked for, or the next free one."""
        known: dict[ipaddress.IPv4Network, None] = {}
        for port in ports:
            interface = self._addresses.get(port.device.label) or self._wanted.get(port.device.label)
            if interface is not None:
                known[interface.network] = None
        for link in links:
            if link.given_subnet is not None:
                known[_network(link.given_subnet)] = None
        if len(known) > 1:
            names = " and ".join(str(network) for network in known)
            raise Conflict(
                f"{links[-1]!r} is part of one Ethernet segment with two subnets, {names}: give all its links the "
                "same subnet, and join switches before the run"
            )
        return next(iter(known), None) or self._free_subnet()

    def _free_subnet(self) -> ipaddress.IPv4Network:
        taken = [interface.network for interface in (*self._addresses.values(), *self._wanted.values())]
        taken += [_network(link.given_subnet) for link in self.links if link.given_subnet is not None]
        for subnet in POOL.subnets(new_prefix=SEGMENT_PREFIX_LENGTH):
            if not any(subnet.overlaps(other) for other in taken):
                return subnet
        raise Conflict(f"all subnets of {POOL} are used: give add_link a subnet=")

    def _give_address(self, port: Port, subnet: ipaddress.IPv4Network) -> None:
        assert isinstance(port.owner, Host)
        used = [other.ip for other in self._addresses.values() if other.network == subnet]
        wanted = self._wanted.get(port.device.label)
        if wanted is not None and wanted.ip in used:
            raise Conflict(f"{port.device.label}: address {wanted.ip} is already in use on its segment")
        reserved = [other.ip for label, other in self._wanted.items() if label not in self._addresses]
        if wanted is None:
            free = (ip for ip in subnet.hosts() if ip not in used and ip not in reserved)
            ip = next(free, None)
            if ip is None:
                raise Conflict(f"{port.device.label}: no address is left in {subnet}; give its links a larger subnet=")
            wanted = ipaddress.IPv4Interface((ip, subnet.prefixlen))
        port.owner.namespace.add_address(port.device, str(wanted))
        self._addresses[port.device.label] = wanted


def _next_name(owner: Host | Switch) -> str:
    """The name of the next network card: eth0, eth1 and so on; a switch's ports are named alike."""
    number = 0
    while f"eth{number}" in owner.namespace.devices:
        number += 1
    return f"eth{number}"


def _plug_in(port: Port) -> None:
    if isinstance(port.owner, Switch):
        port.owner.namespace.add_device(port.device)
        port.owner.bridge.add_port(port.device)
    else:
        port.device.cpu = port.owner.cpu
        port.owner.namespace.add_device(port.device)
    port.device.set_up()


def _touches(link: Link, switches: Sequence[Host | Switch]) -> bool:
    return any(port.owner is switch for port in link.ends for switch in switches)


def _network(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise InvalidValue(f"invalid subnet {text!r}: {error}; expected one such as 198.18.0.0/24") from None


def _wanted_addresses(
    hosts: Sequence[Host], addresses: Sequence[str] | None, subnet: str | None
) -> list[ipaddress.IPv4Interface]:
    """Read `addresses=` of a link: one per end that is a host, with prefix or within `subnet=`."""
    if addresses is None:
        return []
    if isinstance(addresses, str) or len(addresses) != len(hosts):
        names = " and ".join(host.name for host in hosts) or "no host"
        raise InvalidValue(f"addresses={addresses!r}: expected a list with one address for each of: {names}")
    return [_wanted_address(text, subnet) for text in addresses]


def _wanted_address(text: str, subnet: str | None) -> ipaddress.IPv4Interface:
    network = None if subnet is None else _network(subnet)
    try:
        address, _, prefix = text.partition("/")
        length = prefix or (network.prefixlen if network is not None else SEGMENT_PREFIX_LENGTH)
        interface = ipaddress.IPv4Interface(f"{address}/{length}")
    except (ValueError, AttributeError):
        raise InvalidValue(f'invalid address {text!r}: expected one such as "198.18.0.1/24"') from None
    if network is not None and interface.network != network:
        raise InvalidValue(f"address {text} is not in the subnet {subnet}")
    return interface
