"""The flood list of a VXLAN network that learns: the hosts that have the network, and nothing about their containers.

It is what overlay networks were before there was a control plane that knows every endpoint, without a multicast group:
`bridge fdb append 00:00:00:00:00:00 dev vxlan0 dst HOST` for each host. Source: FACT 69, recording linux/g25.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from emu.kernel.errors import Conflict, NotFound
from emu.wire.address import ZERO_MAC

if TYPE_CHECKING:
    from emu.cnm.swarm.records import PeerRecord
    from emu.device.vxlan import VxlanDevice


class FloodList:
    """Keeps the all-zeros entries of a network's VXLAN devices: one for each host that has endpoints on it.

    vxlan_of: gives the device that a record's subnet belongs to.
    """

    def __init__(self, vxlan_of: Callable[[PeerRecord], VxlanDevice]) -> None:
        self._vxlan_of = vxlan_of
        self._counts: dict[tuple[VxlanDevice, bytes], int] = {}

    def add(self, record: PeerRecord) -> None:
        """Take note of a remote endpoint; the first one of a host puts the host on the list."""
        if record.tunnel_endpoint is None:
            return
        vxlan, host = self._vxlan_of(record), record.tunnel_endpoint.packed
        count = self._counts[vxlan, host] = self._counts.get((vxlan, host), 0) + 1
        if count == 1:
            with suppress(Conflict):  # a script may have listed it already
                vxlan.fdb.append(ZERO_MAC, host)

    def remove(self, record: PeerRecord) -> None:
        """Forget a remote endpoint; with the last one of a host the host is off the list. What was learned stays."""
        if record.tunnel_endpoint is None:
            return
        vxlan, host = self._vxlan_of(record), record.tunnel_endpoint.packed
        self._counts[vxlan, host] -= 1
        if not self._counts[vxlan, host]:
            del self._counts[vxlan, host]
            with suppress(NotFound):
                vxlan.fdb.remove(ZERO_MAC, host)
