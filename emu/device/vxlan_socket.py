"""The UDP socket that all VXLAN devices of one port and underlay share, and which device a packet is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.kernel.errors import Conflict
from emu.wire.drop import DropReason
from emu.wire.vxlan import HEADER_LENGTH, parse_vxlan_header

if TYPE_CHECKING:
    from emu.device.upper import TunnelTransport
    from emu.device.vxlan import VxlanDevice
    from emu.wire.frame import Frame


class VxlanSocket:
    """One UDP port of an underlay, for as many VXLAN devices as have different VNIs.

    members: the devices that were made for the port, by the eight bytes of their VXLAN header. devices: those of them
    that are up and hence receive. A header that is in the table has the right flags, so one lookup checks everything.
    """

    __slots__ = ("devices", "members", "port", "transport")

    def __init__(self, transport: TunnelTransport, port: int) -> None:
        self.transport = transport
        self.port = port
        self.members: dict[bytes, VxlanDevice] = {}
        self.devices: dict[bytes, VxlanDevice] = {}

    def receive_encapsulated(self, frame: Frame, payload: bytes, source: bytes, tos: int) -> DropReason | None:
        """Hand a packet to the device of its VNI; see `TunnelReceiver.receive_encapsulated`."""
        device = self.devices.get(payload[:HEADER_LENGTH])
        if device is None:
            vni = parse_vxlan_header(payload)
            return DropReason.VXLAN_HEADER if vni is None else DropReason.VXLAN_UNKNOWN_VNI
        device.decapsulate(frame, payload, source, tos)
        return None

    def open(self, header: bytes, device: VxlanDevice) -> None:
        """Let a device receive; the first one opens the port. Raises `Conflict` when somebody else has it."""
        if not self.devices:
            self.transport.open(self.port, self)
        self.devices[header] = device

    def close(self, header: bytes) -> None:
        """Let a device receive no longer; the last one closes the port."""
        del self.devices[header]
        if not self.devices:
            self.transport.close(self.port)

    def leave(self, header: bytes) -> None:
        """Forget a device that was deleted."""
        del self.members[header]
        if not self.members:
            del self.transport.vxlan_sockets[self.port]


def join_socket(transport: TunnelTransport, port: int, header: bytes, device: VxlanDevice) -> VxlanSocket:
    """Return the socket of a port, made when there is none, with one more member.

    Raises `Conflict` when a device with this VNI and port exists in the underlay already.
    """
    socket = transport.vxlan_sockets.get(port)
    if socket is None:
        socket = transport.vxlan_sockets[port] = VxlanSocket(transport, port)
    elif header in socket.members:
        raise Conflict(
            f"error creating vxlan interface {device.name}: file exists: {socket.members[header].label} has VNI "
            f"{device.vni} on UDP port {port} of {transport.name} already"
        )
    socket.members[header] = device
    return socket
