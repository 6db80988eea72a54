"""What a device asks of its namespace: small protocols that the stack implements, so that devices know no stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from emu.wire.drop import DropReason
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.device.bridge_port import BridgePort
    from emu.device.vxlan_socket import VxlanSocket
    from emu.wire.offload import Offload


class BridgeNetfilter(Protocol):
    """The bridge's netfilter hooks (`net.bridge.bridge-nf-call-iptables=1`, which Docker switches on).

    verdict_depends_on_ports_only: True while `forward` decides by the two ports alone. Then a bridge asks once per
    pair of addresses and keeps the answer in its fast path; with False it asks for every frame. Whoever changes this
    or the rules calls `bridge.flush_cache()`.
    forwards_all: True while `forward` says yes to everything on this bridge; then floods are not asked about.
    """

    verdict_depends_on_ports_only: bool
    forwards_all: bool

    def pre_routing(self, frame: Frame, port: BridgePort) -> Frame | None:
        """Take in an IPv4 fragment that came in at `port`, before the bridge learns from it.

        Returns the frame to go on with, which is the reassembled one when this fragment was the last missing, or None
        when the hook has kept or dropped (and reported) it.
        """
        ...

    def admit(self, frame: Frame, port: BridgePort) -> bool:
        """Decide whether an IPv4 packet that came in at `port` is let in at all, before the bridge's interface sees it.

        Asked for every frame of which the bridge has not yet cached where it goes; a drop is reported by the hook.
        """
        ...

    def forward(self, frame: Frame, in_port: BridgePort, out_port: BridgePort) -> bool:
        """Decide whether a frame may be forwarded; a drop is reported by the hook."""
        ...

    def post_routing(self, frame: Frame, out_port: BridgePort) -> list[Frame]:
        """Return the frames to send instead of one that is longer than the egress MTU or was reassembled.

        Fragments of the same datagram in order; an empty list when the hook dropped (and reported) it. The bridge still
        drops what exceeds the port's MTU by more than a VLAN tag.
        """
        ...


NeighbourLookup = Callable[[bytes], bytes | None]
"""Asks a namespace for the MAC address of a 4-byte address on one device: six bytes, b"" when the entry is not
confirmed, None without an entry."""


class TunnelReceiver(Protocol):
    """Who takes the datagrams that arrive on a tunnel port of a namespace."""

    def receive_encapsulated(self, frame: Frame, payload: bytes, source: bytes, tos: int) -> DropReason | None:
        """Take a datagram whose checksum was dealt with.

        frame: the outer frame, reassembled if need be. payload: what the UDP datagram carries. source: the 4-byte
        address it came from. tos: the outer DS byte. Returns why it is not wanted, or None when it was taken.
        """
        ...


class TunnelFlow(Protocol):
    """A resolved way for the frames of one tunnel flow (made by `TunnelTransport.tunnel_flow`).

    inner_max: the longest inner frame that leaves in one piece.
    """

    inner_max: int

    def send(self, frame: Frame) -> bool:
        """Encapsulate and send an inner frame of at most `inner_max` bytes.

        Returns False, having done nothing, when the way must be looked up again.
        """
        ...


class TunnelTransport(Protocol):
    """What a tunnel device needs of the namespace in which its UDP socket lives, its underlay.

    name: the namespace's. vxlan_sockets: the VXLAN devices' sockets by port; they keep the table themselves.
    """

    name: str
    vxlan_sockets: dict[int, VxlanSocket]

    def open(self, port: int, receiver: TunnelReceiver) -> None:
        """Let a receiver take all datagrams for a port; raises `Conflict` when a socket or another tunnel has it."""
        ...

    def close(self, port: int) -> None:
        """Give a port back."""
        ...

    def route_mtu(self, destination: bytes) -> int | None:
        """Return the MTU of the way to an address, learned path MTUs included; None when there is no way."""
        ...

    def is_local(self, destination: bytes) -> bool:
        """Tell whether an address is the namespace's own."""
        ...

    def port_range(self) -> tuple[int, int]:
        """Return the range of local ports, from which tunnels take their source ports."""
        ...

    def send_udp(
        self,
        source_port: int,
        destination: bytes,
        destination_port: int,
        payload: bytes,
        *,
        tos: int = 0,
        ttl: int | None = None,
        dont_fragment: bool = False,
        checksum: bool = True,
        packet_id: int,
        altered: bool | Offload = False,
    ) -> DropReason | None:
        """Send a tunnel's datagram as part of the running traversal, in fragments when it is too long.

        ttl: None for the namespace's default. Returns why it could not be sent, or None; what happens to it further
        down is reported by who drops it.
        """
        ...

    def tunnel_flow(
        self,
        source_port: int,
        destination: bytes,
        destination_port: int,
        header: bytes,
        *,
        tos: int = 0,
        ttl: int | None = None,
        dont_fragment: bool = False,
        checksum: bool = True,
    ) -> TunnelFlow | None:
        """Make a fast way for many frames of one flow; None while every one of them must be looked at.

        header: the tunnel's own header, which goes before each inner frame.
        """
        ...
