"""The devices the bridge driver makes, and what an engine sets up on a host before the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.device.bridge import Bridge
from emu.device.veth import create_veth

if TYPE_CHECKING:
    from emu.cnm.controller import Controller
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace


def prepare_host(namespace: Namespace) -> None:
    """Switch on what a Docker engine switches on: forwarding, and the IP firewall for bridged frames (FACT 8)."""
    namespace.sysctl["net.ipv4.ip_forward"] = 1
    namespace.sysctl["net.bridge.bridge-nf-call-iptables"] = 1


def make_bridge(controller: Controller, name: str, mac: bytes) -> Bridge:
    """Return a new bridge device whose frames the host's firewall sees."""
    return Bridge(controller.kernel, name, mac)


def make_veth(
    controller: Controller,
    host_name: str,
    host_mac: bytes,
    container_name: str,
    container_mac: bytes,
    mtu: int,
) -> tuple[NetDevice, NetDevice]:
    """Return a new veth pair: the host's end, then the container's."""
    return create_veth(controller.kernel, host_name, host_mac, container_name, container_mac, mtu)
