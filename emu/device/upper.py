"""What a device asks of its namespace: small protocols that the stack implements, so that devices know no stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.device.bridge_port import BridgePort


class BridgeNetfilter(Protocol):
    """The bridge's netfilter hooks (`net.bridge.bridge-nf-call-iptables=1`, which Docker switches on).

    verdict_depends_on_ports_only: True while `forward` decides by the two ports alone. Then a bridge asks once per
    pair of addresses and keeps the answer in its fast path; with False it asks for every frame. Whoever changes this
    or the rules calls `bridge.flush_cache()`.
    """

    verdict_depends_on_ports_only: bool

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
