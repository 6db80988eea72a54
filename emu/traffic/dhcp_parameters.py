"""What comes with a lease beside the address: MTU, routes, name servers, put into a namespace and taken out again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from emu.kernel.errors import EmuError, NotFound
from emu.traffic.dhcp_client_lease import ClientLease
from emu.wire.address import ANY_IPV4, ipv4_to_text

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace


class LeaseParameters:
    """Puts the parameters of a lease into effect on a device that has its address.

    skipped: what the namespace refused (a route to a gateway that is on no network), as lines for people; the rest is
    put into effect all the same, as udhcpc's script does.
    An MTU is only ever lowered, as udhcpc's script and dhclient's do on a device that can't carry more.
    """

    __slots__ = ("_device", "_namespace", "_undo", "skipped")

    def __init__(self, namespace: Namespace, device: NetDevice) -> None:
        self._namespace = namespace
        self._device = device
        self._undo: list[Callable[[], None]] = []
        self.skipped: list[str] = []

    def install(self, lease: ClientLease) -> None:
        """Set the MTU, then the routes other than the default route, then the name servers."""
        device, resolver = self._device, self._namespace.resolver
        if lease.mtu is not None and lease.mtu < device.mtu:
            before = device.mtu
            device.set_mtu(lease.mtu)
            self._undo.append(lambda: device.set_mtu(before))
        for network, prefix_length, gateway in lease.routes:
            if prefix_length:
                self.add_route(f"{ipv4_to_text(network)}/{prefix_length}", gateway)
        if lease.dns or lease.domain:
            old = resolver.nameservers, resolver.domain
            resolver.set([ipv4_to_text(address) for address in lease.dns], lease.domain or "")
            self._undo.append(lambda: resolver.set(*old))

    def add_route(self, destination: str, gateway: bytes) -> None:
        """Add a route, as far as the namespace takes it."""
        routes, device = self._namespace.routes, self._device
        via = None if gateway == ANY_IPV4 else ipv4_to_text(gateway)
        try:
            routes.add(destination, device=device, via=via)
        except (EmuError, OSError) as error:
            self.skipped.append(str(error))
        else:
            self._undo.append(lambda: routes.remove(destination, device=device, via=via))

    def remove(self) -> None:
        """Take back what is still there of it."""
        while self._undo:
            with suppress(NotFound):
                self._undo.pop()()
