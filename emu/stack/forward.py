"""Forwarding IPv4 packets between the interfaces of a namespace, as Linux's ip_forward does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.wire.checksum import update_checksum
from emu.wire.drop import DropReason
from emu.wire.offload import fits

if TYPE_CHECKING:
    from emu.stack.interface import Interface
    from emu.stack.namespace import Namespace
    from emu.stack.route import Route
    from emu.wire.frame import Frame

_KIND_REASONS = {
    "unreachable": (DropReason.ROUTE_UNREACHABLE, 1),
    "prohibit": (DropReason.ROUTE_PROHIBIT, 13),
}


class Forwarding:
    """Passes packets on that are for somebody else.

    Limits: never sends ICMP redirects (Docker hosts would: not recorded for single-host networks); IP options are
    carried but not acted upon; the extra limit that Linux puts on "no route" errors is the common ICMP limit here.
    """

    __slots__ = ("_namespace",)

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def forward(self, interface: Interface, frame: Frame) -> None:
        """Route a packet that arrived on `interface` and is not for this host."""
        data = frame.data
        namespace = self._namespace
        if data[30] in (0, 127):
            interface.device.drop(frame, DropReason.MARTIAN_SOURCE)
            return
        route = namespace.routes.lookup(data[30:34])
        if route is None or route.device is None:
            self._refuse(interface, frame, route)
            return
        if data[22] <= 1:
            interface.device.drop(frame, DropReason.TTL_EXCEEDED)
            namespace.icmp.send_error(data[14:], frame.packet_id, 11, 0, interface=interface)
            return
        mtu = route.device.mtu
        if len(data) - 14 > mtu and data[20] & 0x40 and not fits(data[14:], frame.altered, mtu):
            interface.device.drop(frame, DropReason.FRAGMENTATION_NEEDED)
            namespace.icmp.send_error(data[14:], frame.packet_id, 3, 4, information=mtu, interface=interface)
            return
        if not namespace.filter.forward(interface.device.name, route.device.name, data[14:]):
            interface.device.drop(frame, DropReason.FIREWALL)
            return
        cpu = namespace.cpu
        if cpu is not None:
            cpu.busy_until_ns += namespace.cost_ip_output_ns
        namespace.output.send_on_route(route, decrement_ttl(data[14:]), frame.packet_id, frame.altered)

    def _refuse(self, interface: Interface, frame: Frame, route: Route | None) -> None:
        """Drop a packet that has no way out, and say so to its sender (silently for a black hole)."""
        if route is None:
            reason, code = DropReason.NO_ROUTE, 0
        elif route.kind == "blackhole":
            interface.device.drop(frame, DropReason.ROUTE_BLACKHOLE)
            return
        else:
            reason, code = _KIND_REASONS[route.kind]
        interface.device.drop(frame, reason)
        self._namespace.icmp.send_error(frame.data[14:], frame.packet_id, 3, code, interface=interface)


def decrement_ttl(packet: bytes) -> bytes:
    """Return the packet with a TTL smaller by one and the checksum brought up to date (RFC 1624)."""
    old_word = packet[8] << 8 | packet[9]
    checksum = update_checksum(packet[10] << 8 | packet[11], old_word, old_word - 256)
    return packet[:8] + bytes((packet[8] - 1, packet[9])) + checksum.to_bytes(2, "big") + packet[12:]
