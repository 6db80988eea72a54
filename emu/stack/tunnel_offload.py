"""Frames in a tunnel that are left to the hardware: whole to a network card that finishes them, in pieces otherwise.

The card is one with tx-udp_tnl-csum-segmentation in the words of ethtool. What it cannot do is cut behind encryption or
make fragments: then the frame is cut first, and each piece goes into the tunnel by itself, as in Linux.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from emu.stack.output import build_packet
from emu.wire.ipv4 import PROTOCOL_UDP
from emu.wire.offload import ETHERNET_LENGTH, Offload, finish, fits, segment_count, with_tunnel_checksum
from emu.wire.udp import HEADER_LENGTH as UDP_HEADER_LENGTH
from emu.wire.udp import build_udp
from emu.wire.vxlan import HEADER_LENGTH, OVERHEAD

if TYPE_CHECKING:
    from emu.stack.namespace import Namespace
    from emu.stack.output import Path
    from emu.stack.udp_tunnel import UdpTunnels
    from emu.wire.drop import DropReason


class Datagram(NamedTuple):
    """What a tunnel wants to send: the arguments of `UdpTunnels.send_udp`."""

    source_port: int
    destination: bytes
    destination_port: int
    payload: bytes
    tos: int
    ttl: int | None
    dont_fragment: bool
    checksum: bool
    packet_id: int


def leaves_as_it_is(path: Path, payload: bytes, offload: Offload) -> bool:
    """Tell whether a network card can do what is left to do: it is at the end of the path, and no MTU is exceeded."""
    if not path.interface.device.finishes:
        return False
    packet = payload[HEADER_LENGTH + ETHERNET_LENGTH :]
    return len(packet) + OVERHEAD <= path.mtu or fits(packet, offload, path.mtu - OVERHEAD)


def send_whole(namespace: Namespace, path: Path, datagram: Datagram, offload: Offload) -> None:
    """Put the frame into the tunnel as it is; it takes as many IP identifications as it will have pieces."""
    payload, destination = datagram.payload, datagram.destination
    assert not offload.tunnel_bytes, "a tunnel in a tunnel ends at a device that does not finish anything"
    segment = build_udp(
        path.source, destination, datagram.source_port, datagram.destination_port, payload, checksum=False
    )
    if datagram.checksum:
        packet_start = UDP_HEADER_LENGTH + HEADER_LENGTH + ETHERNET_LENGTH
        segment = with_tunnel_checksum(path.source, destination, segment, packet_start, offload.segment_size)
    idents = namespace.idents.counter(path.source, destination, PROTOCOL_UDP)
    packet = build_packet(
        path.source,
        destination,
        PROTOCOL_UDP,
        segment,
        identification=idents.next(namespace.kernel.now),
        ttl=namespace.default_ttl if datagram.ttl is None else datagram.ttl,
        tos=datagram.tos,
        dont_fragment=datagram.dont_fragment,
    )
    idents.skip(segment_count(payload[HEADER_LENGTH:], offload) - 1)
    if namespace.cpu is not None:
        namespace.cpu.busy_until_ns += namespace.cost_ip_output_ns
    namespace.output.send(path, packet, datagram.packet_id, Offload(offload.segment_size, OVERHEAD))


def send_in_pieces(tunnels: UdpTunnels, datagram: Datagram, offload: Offload) -> DropReason | None:
    """Cut the frame and send each piece; return why one of them could not be sent, or None."""
    reason = None
    for piece in finish(datagram.payload[HEADER_LENGTH:], offload):
        refused = tunnels.send_udp(
            datagram.source_port,
            datagram.destination,
            datagram.destination_port,
            datagram.payload[:HEADER_LENGTH] + piece,
            tos=datagram.tos,
            ttl=datagram.ttl,
            dont_fragment=datagram.dont_fragment,
            checksum=datagram.checksum,
            packet_id=datagram.packet_id,
        )
        reason = reason or refused
    return reason
