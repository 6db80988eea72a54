"""A script's own packets, out of a container: whole frames through a device, or IP packets by its routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emu.kernel.errors import InvalidValue
from emu.stack.output import os_error
from emu.stack.raw_socket import send_raw_packet
from emu.wire.address import ipv4_to_bytes, ipv4_to_text, mac_to_text
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from emu.wire.scapy_bridge import layers, packet_to_bytes

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace

ETHERNET_HEADER_BYTES = 14
LINK_LAYERS = ("Ether", "Dot3")


def begins_with_ip(packet: Any) -> bool:
    """Tell whether a Scapy packet begins with its IP header. Raises InvalidValue for anything that begins with neither
    that nor Ethernet.
    """
    first = type(packet).__name__
    if not isinstance(packet, layers().Packet):
        raise InvalidValue(f"send: expected a Scapy packet, or bytes of a frame, not {packet!r}")
    if first not in (*LINK_LAYERS, "IP"):
        raise InvalidValue(
            f"send: the packet begins with {first}; begin it with Ether(src=..., dst=...), "
            "or with IP(dst=...) to have it routed"
        )
    return first == "IP"


def send_frame(namespace: Namespace, device: NetDevice, packet: Any) -> int:
    """Send a frame (a Scapy packet from Ethernet on, or bytes) through a device, as a packet socket does.

    Returns its packet id.
    """
    kernel = namespace.kernel
    data = packet if isinstance(packet, bytes) else packet_to_bytes(packet)
    if len(data) < ETHERNET_HEADER_BYTES:
        raise InvalidValue(f"send: {len(data)} bytes are less than an Ethernet header")
    frame = Frame(data, kernel.next_packet_id())
    cpu = namespace.cpu
    if cpu is None:
        device.transmit(frame)
        return frame.packet_id
    costs = cpu.costs

    def transmit(_: None) -> None:
        cpu.busy_until_ns += costs.socket_send
        device.transmit(frame)

    if not cpu.start(transmit):
        device.drop_sent(frame, DropReason.CPU_BACKLOG_FULL)
    return frame.packet_id


def send_routed(namespace: Namespace, packet: Any) -> int:
    """Send a Scapy packet that begins with its IP header by the routing table; return its packet id.

    Raises OSError as the stack does: "Network is unreachable", "Message too long", …
    """
    return send_raw_packet(namespace, packet_to_bytes(packet))


def way_out(namespace: Namespace, packet: Any) -> NetDevice:
    """Return the device by which an IP packet leaves. Raises OSError when there is no way."""
    path = namespace.output.path(ipv4_to_bytes(str(packet.dst)))
    if isinstance(path, int):
        raise os_error(path)
    return path.interface.device


def completed(namespace: Namespace, device: NetDevice | None, packet: Any) -> Any:
    """Return a copy whose own addresses are filled in from the container, where Scapy would ask the machine it runs on.

    These are `src` of the outermost Ether and IP, and `hwsrc` and `psrc` of ARP, as far as they are not set.
    device: where the packet will leave; None for one that begins with IP and is routed.
    """
    scapy = layers()
    packet = packet.copy()
    if device is not None:
        if isinstance(packet, scapy.Ether) and not _is_set(packet, "src"):
            packet.src = mac_to_text(device.mac)
        arp = packet.getlayer(scapy.ARP)
        if arp is not None and not _is_set(arp, "hwsrc"):
            arp.hwsrc = mac_to_text(device.mac)
        if arp is not None and not _is_set(arp, "psrc"):
            arp.psrc = _own_address(namespace, device, str(arp.pdst))
    ip = packet.getlayer(scapy.IP)
    if ip is not None and not _is_set(ip, "src"):
        ip.src = _own_address(namespace, device, str(ip.dst))
    return packet


def _is_set(layer: Any, name: str) -> bool:
    return name in layer.fields


def _own_address(namespace: Namespace, device: NetDevice | None, destination: str) -> str:
    """Return the address that the stack would send from."""
    if device is None:
        path = namespace.output.path(ipv4_to_bytes(destination))
        if isinstance(path, int):
            raise os_error(path)
        return ipv4_to_text(path.source)
    found = namespace.interface(device).select_source(ipv4_to_bytes(destination))
    return "0.0.0.0" if found is None else ipv4_to_text(found)
