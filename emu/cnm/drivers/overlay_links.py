"""The VXLAN devices the overlay driver makes, and their permanent entries."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING

from emu.device.vxlan import VxlanDevice
from emu.kernel.errors import NotFound

if TYPE_CHECKING:
    from emu.cnm.controller import Controller
    from emu.stack.namespace import Namespace


def make_vxlan(
    controller: Controller, namespace: Namespace, name: str, *, vni: int, mtu: int, port: int, floods: bool = False
) -> VxlanDevice:
    """Return a new VXLAN device in a namespace, set up as Docker does it; its socket is in the host's namespace.

    floods: without ARP proxy and without counting misses, for networks that flood and learn.
    """
    device = VxlanDevice(
        controller.kernel,
        name,
        controller.ids.random_mac(),
        vni,
        controller.namespace.tunnels,
        mtu=mtu,
        port=port,
        proxy=not floods,
        l2miss=not floods,
        l3miss=not floods,
        learning=True,
    )
    namespace.add_device(device)
    return device


def add_forwarding(vxlan: VxlanDevice, mac: bytes, tunnel_endpoint: ipaddress.IPv4Address) -> None:
    """Say behind which tunnel endpoint a MAC address is, for good."""
    vxlan.fdb.replace(mac, tunnel_endpoint.packed)


def remove_forwarding(vxlan: VxlanDevice, mac: bytes, tunnel_endpoint: ipaddress.IPv4Address) -> None:
    """Forget it, unless it was changed or taken away by hand."""
    with suppress(NotFound):
        vxlan.fdb.remove(mac, tunnel_endpoint.packed)
