"""Hosts joined by cables, with an overlay set up by hand: how a VXLAN device has to be configured.

This is what the overlay driver does for every network, without any control plane. Per network and host:

1. a `Namespace` for the network, labelled `<host>/<network>`, on the host's CPU;
2. `br0` in it: `Bridge(kernel, "br0", mtu=mtu)`, without a MAC (it takes the lowest of its ports), up, with the
   gateway's address `10.0.1.1/24`;
3. `vxlan0` in it: `VxlanDevice(kernel, "vxlan0", mac, vni, host.tunnels, mtu=mtu, proxy=True, l2miss=True,
   l3miss=True)`. `host.tunnels` is the root namespace's tunnel ports: the socket lives there, the device here.
   `network.add_device(vxlan0)` connects the ARP proxy with the namespace's neighbour table; then
   `br0.add_port(vxlan0)`, `vxlan0.set_up()` (which takes UDP port 4789 of the host);
4. per local container a veth pair: `vethN` in the network's namespace as a port of `br0`, `eth0` in the container;
5. per remote endpoint `network.neighbours.add_permanent("vxlan0", ip, mac)` and `vxlan0.fdb.add_permanent(mac, vtep)`
   (`fdb.replace` when it may have moved; `fdb.remove` and `neighbours.remove` when it is gone);
6. at the end `vxlan0.delete()`: it leaves the bridge, gives the VNI back and, as the last one, the UDP port.

`mtu` is the underlay's (1500, or the network's mtu option) - 50.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from emu.device import Bridge, Cable, EthernetPort, HostCpu, VxlanDevice, connect, create_veth
from emu.device.cost import CostModel
from emu.device.netdevice import NetDevice
from emu.stack.namespace import Namespace
from emu.wire.address import ipv4_to_bytes, mac_to_text
from tests.stack.world import World

VNI = 4097
GATEWAY = "10.0.1.1/24"


@dataclass
class Node:
    """A host: its root namespace and what the overlay has on it."""

    name: str
    address: str
    root: Namespace
    eth0: EthernetPort
    cpu: HostCpu | None
    networks: dict[int, Overlay] = field(default_factory=dict)


@dataclass
class Overlay:
    """One network on one host: the hidden namespace with its bridge and VXLAN device."""

    node: Node
    namespace: Namespace
    br0: Bridge
    vxlan0: VxlanDevice
    containers: dict[str, Namespace] = field(default_factory=dict)


class VxlanWorld(World):
    """Hosts host1, host2, … on one underlay, at 198.18.0.1/24, 198.18.0.2/24, …"""

    def __init__(
        self,
        hosts: int = 2,
        seed: int = 1,
        cost: CostModel | None = None,
        underlay_mtu: int = 1500,
        rate: str | None = "1Gbit",
        delay: str = "50us",
    ) -> None:
        super().__init__(seed)
        self.nodes: list[Node] = []
        for number in range(1, hosts + 1):
            self.nodes.append(self._node(number, cost, underlay_mtu))
        for cable in self._join_underlay():
            cable.set(rate=rate, delay=delay)

    def _node(self, number: int, cost: CostModel | None, mtu: int) -> Node:
        name = f"host{number}"
        cpu = None if cost is None else HostCpu(self.kernel, name, cost)
        root = self.namespace(name, cpu=cpu)
        eth0 = EthernetPort(self.kernel, "eth0", self.mac(), mtu)
        root.add_device(eth0)
        eth0.set_up()
        address = f"198.18.0.{number}"
        root.add_address(eth0, f"{address}/24")
        self.tap(eth0)
        return Node(name, address, root, eth0, cpu)

    def _join_underlay(self) -> list[Cable]:
        """Two hosts share a cable, more of them a switch."""
        if len(self.nodes) == 2:
            return [connect(self.nodes[0].eth0, self.nodes[1].eth0)]
        switch = Bridge(self.kernel, "switch", self.mac())
        switch.set_up()
        cables = []
        for node in self.nodes:
            port = EthernetPort(self.kernel, f"port-{node.name}", self.mac())
            port.set_up()
            switch.add_port(port)
            cables.append(connect(node.eth0, port))
        return cables

    def overlay(self, node: Node, vni: int = VNI, *, mtu: int = 1450, **options: object) -> Overlay:
        """Set up a network on a host as Docker does (see the module's docstring)."""
        namespace = self.namespace(f"{node.name}/net{vni}", cpu=node.cpu)
        br0 = Bridge(self.kernel, "br0", mtu=mtu)
        namespace.add_device(br0)
        br0.set_up()
        namespace.add_address(br0, GATEWAY)
        self.tap(br0)
        settings: dict[str, object] = {"proxy": True, "l2miss": True, "l3miss": True} | options
        vxlan0 = VxlanDevice(
            self.kernel,
            "vxlan0",
            self.mac(),
            vni,
            node.root.tunnels,
            mtu=mtu,
            **settings,  # type: ignore[arg-type]
        )
        namespace.add_device(vxlan0)
        br0.add_port(vxlan0)
        vxlan0.set_up()
        self.tap(vxlan0)
        node.networks[vni] = Overlay(node, namespace, br0, vxlan0)
        return node.networks[vni]

    def container(self, overlay: Overlay, name: str, address: str, mtu: int = 1450) -> Namespace:
        """Start a container on a network: its MAC is 02:42 and its address, as Docker gives it."""
        container = self.namespace(name, cpu=overlay.node.cpu)
        mac = b"\x02\x42" + ipv4_to_bytes(address)
        veth, eth0 = create_veth(self.kernel, f"veth{len(overlay.containers)}", self.mac(), "eth0", mac, mtu)
        overlay.namespace.add_device(veth)
        container.add_device(eth0)
        overlay.br0.add_port(veth)
        for device in (veth, eth0):
            device.set_up()
            self.tap(device)
        container.add_address(eth0, f"{address}/24")
        overlay.containers[address] = container
        return container

    def tell(self, overlay: Overlay, address: str, vtep: str, mac: bytes | None = None) -> None:
        """Program one remote endpoint on a host, as the control plane does."""
        mac_text = mac_to_text(mac or b"\x02\x42" + ipv4_to_bytes(address))
        overlay.namespace.neighbours.add_permanent("vxlan0", address, mac_text)
        overlay.vxlan0.fdb.add_permanent(mac_text, vtep)

    def eth0(self, container: Namespace) -> NetDevice:
        """Return a container's interface."""
        return container.device("eth0")


def two_containers(
    *, hosts: int = 2, underlay_mtu: int = 1500, cost: CostModel | None = None, **options: object
) -> tuple[VxlanWorld, Namespace, Namespace]:
    """c1 (10.0.1.2) on host1 and c2 (10.0.1.4) on host2 of one overlay that knows both."""
    world = VxlanWorld(hosts, cost=cost, underlay_mtu=underlay_mtu)
    here, there = (world.overlay(node, **options) for node in world.nodes[:2])  # type: ignore[arg-type]
    c1 = world.container(here, "c1", "10.0.1.2")
    c2 = world.container(there, "c2", "10.0.1.4")
    world.tell(here, "10.0.1.4", there.node.address)
    world.tell(there, "10.0.1.2", here.node.address)
    return world, c1, c2
