"""The hidden namespace of an overlay network on one host: br0 with the gateway's address, vxlan0, and the veths.

Source: libnetwork drivers/overlay, FACTS 58, 63. Every further subnet has a bridge and a VXLAN device of its own.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING

from emu.cnm.drivers import overlay_links
from emu.cnm.drivers.encryption import NetworkEncryption
from emu.cnm.drivers.flood_list import FloodList
from emu.cnm.drivers.peers import Peers
from emu.cnm.naming import InterfaceNumbers
from emu.cnm.swarm.records import PeerRecord
from emu.device.bridge import Bridge
from emu.kernel.errors import NotFound
from emu.stack.namespace import Namespace

if TYPE_CHECKING:
    from emu.cnm.network import Network, NetworkPool
    from emu.cnm.swarm.definition import OverlayDefinition
    from emu.cnm.swarm.node import SwarmNode
    from emu.device.vxlan import VxlanDevice

SYSCTLS = {"net.ipv4.ip_forward": 1}
"""Taken over from the host, where Docker has switched it on: it lets several subnets reach each other."""


class Segment:
    """One subnet: its bridge and its VXLAN device."""

    __slots__ = ("bridge", "subnet", "vxlan")

    def __init__(self, subnet: ipaddress.IPv4Network, bridge: Bridge, vxlan: VxlanDevice) -> None:
        self.subnet = subnet
        self.bridge = bridge
        self.vxlan = vxlan


class OverlaySandbox:
    """The namespace `<host>/<network>`; it is told of remote endpoints and programs them.

    node: the host's side of the swarm. mtu: of all devices.
    """

    def __init__(self, node: SwarmNode, network: Network, definition: OverlayDefinition) -> None:
        self._node = node
        self._network = network
        self._definition = definition
        self.mtu = definition.mtu
        controller = node.controller
        self.namespace = Namespace(
            controller.kernel,
            f"{node.name}/{network.name}",
            cpu=controller.cpu,
            on_device_added=controller.on_device_added,
            sysctls=SYSCTLS,
        )
        self.namespace.set_up_loopback()
        self.segments: dict[ipaddress.IPv4Network, Segment] = {}
        self._only_segment: Segment | None = None
        self._encryption = NetworkEncryption(node.encryption) if definition.encrypted else None
        self._numbers = InterfaceNumbers(controller.profile)
        self._peers: Peers | FloodList = FloodList(self._vxlan_of_record) if definition.floods else Peers(
            self._add_neighbour, self._remove_neighbour, self._add_forwarding, self._remove_forwarding
        )  # fmt: skip

    def next_name(self, prefix: str) -> str:
        """Return a name for a new device: the prefix and a number."""
        return self._numbers.name(prefix, self.namespace.devices)

    def segment_of(self, address: ipaddress.IPv4Address | None) -> Segment:
        """Return the segment an address belongs to, None for the only one there is; made on first use."""
        for pool, vni in zip(self._definition.pools, self._definition.vnis, strict=True):
            if pool.subnet is not None and (address is None or address in pool.subnet):
                return self.segments.get(pool.subnet) or self._make_segment(pool, vni)
        raise AssertionError(f"{address} is in no subnet of network {self._network.name}")

    def _make_segment(self, pool: NetworkPool, vni: int) -> Segment:
        controller = self._node.controller
        bridge = Bridge(controller.kernel, self.next_name("br"))
        self.namespace.add_device(bridge)
        bridge.set_up()
        if pool.gateway is not None and not self._network.leases_addresses:
            self.namespace.add_address(bridge, str(pool.gateway))
        vxlan = overlay_links.make_vxlan(
            controller,
            self.namespace,
            self.next_name("vxlan"),
            vni=vni,
            mtu=self.mtu,
            port=self._node.manager.options.data_path_port,
            floods=self._definition.floods,
        )
        bridge.add_port(vxlan)
        if self._encryption is not None:
            self._encryption.secure(vni)
        vxlan.set_up()
        assert pool.subnet is not None, pool
        segment = self.segments[pool.subnet] = Segment(pool.subnet, bridge, vxlan)
        if len(self._definition.pools) == 1:
            self._only_segment = segment
        return segment

    def delete(self) -> None:
        """Remove all devices."""
        for device in list(self.namespace.devices.values()):
            self.namespace.remove_device(device)
            device.delete()
        if self._encryption is not None:
            self._encryption.end()

    # -- remote endpoints ---------------------------------------------------------------------------------------------

    def peer_added(self, record: PeerRecord) -> None:
        """Take note of a remote endpoint and program its addresses."""
        self._network.peers[record.endpoint_id] = record
        if self._encryption is not None:
            self._encryption.peer_added(record)
        self._peers.add(record)

    def peer_removed(self, record: PeerRecord) -> None:
        """Forget a remote endpoint."""
        del self._network.peers[record.endpoint_id]
        self._peers.remove(record)
        if self._encryption is not None:
            self._encryption.peer_removed(record)

    def _segment_of_record(self, record: PeerRecord) -> Segment:
        return self._only_segment or self.segment_of(None if record.address is None else record.address.ip)

    def _vxlan_of_record(self, record: PeerRecord) -> VxlanDevice:
        return self._segment_of_record(record).vxlan

    def _add_neighbour(self, record: PeerRecord) -> None:
        vxlan = self._segment_of_record(record).vxlan
        self.namespace.neighbours.add_permanent(vxlan, record.address_text, record.mac_text)

    def _remove_neighbour(self, record: PeerRecord) -> None:
        vxlan = self._segment_of_record(record).vxlan
        with suppress(NotFound):  # a script may have taken it away already
            self.namespace.neighbours.remove(vxlan, record.address_text)

    def _add_forwarding(self, record: PeerRecord) -> None:
        assert record.tunnel_endpoint is not None, record
        overlay_links.add_forwarding(self._segment_of_record(record).vxlan, record.mac, record.tunnel_endpoint)

    def _remove_forwarding(self, record: PeerRecord) -> None:
        assert record.tunnel_endpoint is not None, record
        segment = self._segment_of_record(record)
        overlay_links.remove_forwarding(segment.vxlan, record.mac, record.tunnel_endpoint)
        # The bridge's own entry goes with it (FACTS29 39).
        segment.bridge.fdb.forget(record.mac, segment.bridge.port(segment.vxlan))
