"""IPv4 output: which way a packet goes, from which address, and in how many pieces (RFC 791, RFC 1122)."""

from __future__ import annotations

import errno
from struct import Struct
from typing import TYPE_CHECKING

from emu.stack.fragment import fragment_packet
from emu.wire.address import BROADCAST_MAC, multicast_mac
from emu.wire.checksum import internet_checksum
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from emu.wire.offload import ETHERNET_LENGTH, Offload, finish, fits

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.stack.interface import Interface
    from emu.stack.namespace import Namespace
    from emu.stack.route import Route

DONT_FRAGMENT = 0x4000
ANY = bytes(4)
LOOPBACK_ADDRESS = b"\x7f\0\0\x01"
LIMITED_BROADCAST = b"\xff\xff\xff\xff"
_pack_header = Struct("!BBHHHBBH4s4s").pack
_ROUTE_ERRORS = {"unreachable": errno.EHOSTUNREACH, "prohibit": errno.EACCES, "blackhole": errno.EINVAL}
ERROR_TEXTS = {
    errno.ENETUNREACH: "Network is unreachable",
    errno.EHOSTUNREACH: "No route to host",
    errno.EACCES: "Permission denied",
    errno.EINVAL: "Invalid argument",
    errno.EMSGSIZE: "Message too long",
    errno.ENOBUFS: "No buffer space available",
    errno.ECONNREFUSED: "Connection refused",
    errno.ENETDOWN: "Network is down",
    errno.EADDRNOTAVAIL: "Cannot assign requested address",
    errno.EADDRINUSE: "Address already in use",
    errno.EDESTADDRREQ: "Destination address required",
    errno.EBADF: "Bad file descriptor",
    errno.EPERM: "Operation not permitted",
    errno.ENOPROTOOPT: "Protocol not available",
    errno.EOPNOTSUPP: "Operation not supported",
    errno.EAGAIN: "Resource temporarily unavailable",
    errno.EHOSTDOWN: "Host is down",
    errno.ENONET: "Machine is not on the network",
    errno.EPROTO: "Protocol error",
    errno.EPIPE: "Broken pipe",
    errno.ECONNRESET: "Connection reset by peer",
    errno.ECONNABORTED: "Software caused connection abort",
    errno.ETIMEDOUT: "Connection timed out",
    errno.ENOTCONN: "Transport endpoint is not connected",
    errno.EISCONN: "Transport endpoint is already connected",
    errno.EALREADY: "Operation already in progress",
}
"""Linux's texts, written down here because `os.strerror` speaks for the machine that runs the emulation."""


def os_error(number: int) -> OSError:
    """Return the OSError (of the fitting built-in subclass) for an errno value, with Linux's text."""
    return OSError(number, ERROR_TEXTS[number])


def build_packet(
    source: bytes,
    destination: bytes,
    protocol: int,
    payload: bytes,
    *,
    identification: int,
    ttl: int,
    tos: int = 0,
    dont_fragment: bool = False,
) -> bytes:
    """Return an IPv4 packet without options, header checksum included."""
    header = _pack_header(
        0x45,
        tos,
        20 + len(payload),
        identification,
        DONT_FRAGMENT if dont_fragment else 0,
        ttl,
        protocol,
        0,
        source,
        destination,
    )
    return header[:10] + internet_checksum(header).to_bytes(2, "big") + header[12:] + payload


def meant_by(destination: bytes, source: bytes | None) -> bytes:
    """Return the address that a program means: 0.0.0.0 is the one it sends from, or 127.0.0.1, as in Linux."""
    return destination if destination != ANY else source or LOOPBACK_ADDRESS


class Path:
    """The way to a destination.

    interface: the way out (the loopback interface for own addresses). next_hop: address to resolve; None when the
    frame needs no neighbour. mac: destination MAC for broadcasts and multicasts, None otherwise.
    source: address to send from. mtu: bytes of IP packet. locked: DF must not be set (see `PmtuCache`).
    cacheable: nothing about this path changes by the mere passing of time.
    """

    __slots__ = ("cacheable", "interface", "is_broadcast", "is_local", "locked", "mac", "mtu", "next_hop", "source")

    def __init__(self, interface: Interface, next_hop: bytes | None, mac: bytes | None, source: bytes) -> None:
        self.interface = interface
        self.next_hop = next_hop
        self.mac = mac
        self.source = source
        self.mtu: int = interface.device.mtu
        self.is_local = False
        self.is_broadcast = False
        self.locked = False
        self.cacheable = next_hop is not None


class Ipv4Output:
    """The sending half of a namespace's IPv4."""

    __slots__ = ("_namespace",)

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def path(self, destination: bytes, source: bytes | None = None, device: NetDevice | None = None) -> Path | int:
        """Find the way to a destination for a packet made here; an errno value when there is none.

        source: the address the sender is bound to, if any. device: the device it is bound to, if any.
        """
        namespace = self._namespace
        if namespace.is_local_address(destination):
            return self._local_path(destination, source)
        bound = None if device is None else namespace.interface(device)
        broadcast_interface = namespace.broadcast_interface(destination)
        if broadcast_interface is not None and bound is None:
            bound = broadcast_interface
        if destination == LIMITED_BROADCAST or broadcast_interface is not None:
            return self._group_path(destination, source, bound, BROADCAST_MAC)
        if destination[0] & 0xF0 == 0xE0:
            return self._group_path(destination, source, bound, multicast_mac(destination))
        route = namespace.routes.lookup(destination)
        if route is None:
            return errno.ENETUNREACH
        if route.device is None:
            return _ROUTE_ERRORS[route.kind]
        interface = namespace.interface(route.device)
        next_hop = destination if route.gateway is None else route.gateway
        own = source or route.source or self._source_for(interface, next_hop)
        path = Path(interface, next_hop, None, own)
        pmtu = namespace.pmtu
        if pmtu.knows(namespace.kernel.now, destination):
            path.mtu = pmtu.lookup(namespace.kernel.now, destination, path.mtu)
            path.locked = pmtu.is_locked(namespace.kernel.now, destination)
            path.cacheable = False
        return path

    def _local_path(self, destination: bytes, source: bytes | None) -> Path | int:
        loopback = self._namespace.loopback
        if loopback is None or not loopback.device.is_up:
            return errno.ENETUNREACH
        path = Path(loopback, None, None, source or destination)
        path.is_local = True
        return path

    def _group_path(self, destination: bytes, source: bytes | None, bound: Interface | None, mac: bytes) -> Path | int:
        """Find the way for a broadcast or multicast: the bound interface, else where the routing table points."""
        if bound is None:
            route = self._namespace.routes.lookup(destination)
            if route is None or route.device is None:
                return errno.ENETUNREACH
            bound = self._namespace.interface(route.device)
        path = Path(bound, None, mac, source or self._source_for(bound, destination))
        path.is_broadcast = mac == BROADCAST_MAC
        return path

    def _source_for(self, interface: Interface, next_hop: bytes) -> bytes:
        """Choose a source address: the interface's, else any of the namespace (weak host model), else 0.0.0.0."""
        own = interface.select_source(next_hop)
        if own is not None:
            return own
        for other in self._namespace.interfaces.values():
            if other.addresses and not other.is_loopback:
                return other.addresses[0].address
        return b"\0\0\0\0"

    def send(self, path: Path, packet: bytes, packet_id: int, altered: bool | Offload = False) -> bool:
        """Send a packet on its way, in fragments when it is too long and may be cut; False when it was refused.

        A packet that is too long and has DF set must have been refused before: it is an error here.
        """
        if len(packet) <= path.mtu or fits(packet, altered, path.mtu):
            return self._send_one(path, packet, packet_id, altered)
        if isinstance(altered, Offload):
            pieces, altered = finished_packets(packet, altered), False
        else:
            pieces = [packet]
        accepted = True
        for piece in pieces:
            for fragment in fragment_packet(piece, path.mtu):
                accepted = self._send_one(path, fragment, packet_id, altered) and accepted
        return accepted

    def _send_one(self, path: Path, packet: bytes, packet_id: int, altered: bool | Offload) -> bool:
        interface = path.interface
        if path.is_local:
            return interface.transmit_local(packet, packet_id, altered)
        next_hop = path.next_hop
        if next_hop is not None:
            if interface.is_loopback:
                return interface.transmit_local(packet, packet_id, altered)
            return interface.neighbour(next_hop).output(packet, packet_id, altered)
        mac = path.mac
        assert mac is not None, "a path leads to a neighbour, a group, or to this host"
        if path.is_broadcast:  # own sockets hear it, too
            copy = Frame(mac + interface.device.mac + b"\x08\x00" + packet, packet_id, altered)
            interface.kernel.soon(self._deliver_own_broadcast, (interface, copy))
        return interface.transmit_packet(mac, packet, packet_id, altered)

    def _deliver_own_broadcast(self, arrival: tuple[Interface, Frame]) -> None:
        interface, frame = arrival
        self._namespace.ipv4.deliver(interface, frame, is_broadcast=True)

    def send_on_route(self, route: Route, packet: bytes, packet_id: int, altered: bool | Offload) -> None:
        """Send a forwarded packet by a route; the caller has dealt with TTL, MTU and DF."""
        assert route.device is not None, "a route of an error kind leads nowhere"
        interface = self._namespace.interface(route.device)
        next_hop = packet[16:20] if route.gateway is None else route.gateway
        mtu = interface.device.mtu
        if len(packet) <= mtu or fits(packet, altered, mtu):
            pieces = [packet]
        elif isinstance(altered, Offload):
            finished = finished_packets(packet, altered)
            pieces, altered = [part for piece in finished for part in fragment_packet(piece, mtu)], False
        else:
            pieces = fragment_packet(packet, mtu)
        for piece in pieces:
            if interface.is_loopback:
                interface.drop_packet(piece, packet_id, DropReason.NO_ROUTE)
            else:
                interface.neighbour(next_hop).output(piece, packet_id, altered)


def finished_packets(packet: bytes, offload: Offload) -> list[bytes]:
    """Return the IPv4 packets that hardware would make of this one."""
    return [frame[ETHERNET_LENGTH:] for frame in finish(bytes(ETHERNET_LENGTH) + packet, offload)]
