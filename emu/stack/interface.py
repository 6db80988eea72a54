"""One device as its namespace's IPv4 stack sees it: addresses, neighbours, and what happens to a frame that arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.stack import arp
from emu.stack.neighbour import PERMANENT, REACHABLE, REDRAW_NS, Neighbour, NeighbourSettings
from emu.stack.route import mask_network
from emu.wire.address import ZERO_MAC
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace
    from emu.wire.offload import Offload

ETHERTYPE_IPV4 = b"\x08\x00"
ETHERTYPE_ARP = b"\x08\x06"
RECEIVE_FLOWS_MAX = 4096
CONFIRMED_STATES = (REACHABLE, PERMANENT)
"""What Linux calls connected: good enough to answer for (ARP proxies)."""


class InterfaceAddress:
    """An address of an interface: `address` and `broadcast` are 4 bytes; no broadcast below /31."""

    __slots__ = ("address", "broadcast", "network", "prefix_length")

    def __init__(self, address: bytes, prefix_length: int) -> None:
        self.address = address
        self.prefix_length = prefix_length
        self.network = mask_network(address, prefix_length)
        self.broadcast: bytes | None = None
        if prefix_length < 31:
            value = int.from_bytes(self.network, "big") | ((1 << (32 - prefix_length)) - 1)
            self.broadcast = value.to_bytes(4, "big")


class Interface:
    """The IPv4 state of one device of a namespace.

    addresses: in the order in which they were added; the first of a network is its primary one.
    neighbours: address (4 bytes) -> entry. receive_flows: the namespace's cache of the receive path, see `Udp`, `Tcp`.
    """

    __slots__ = (
        "_header_tail",
        "_random",
        "_reachable_drawn_ns",
        "_reachable_ns",
        "addresses",
        "cpu",
        "device",
        "is_loopback",
        "kernel",
        "namespace",
        "neighbour_settings",
        "neighbours",
        "receive_flows",
    )

    def __init__(self, namespace: Namespace, device: NetDevice) -> None:
        self.namespace = namespace
        self.kernel = namespace.kernel
        self.device = device
        self.cpu = namespace.cpu
        self.is_loopback = device.kind == "loopback"
        self.addresses: list[InterfaceAddress] = []
        self.neighbours: dict[bytes, Neighbour] = {}
        self.neighbour_settings = NeighbourSettings(namespace.sysctl, device.name)
        self.receive_flows = namespace.receive_flows
        self._random = namespace.kernel.random(f"neighbour timers of {namespace.name}:{device.name}")
        self._reachable_ns = 0
        self._reachable_drawn_ns = 0
        self._header_tail = device.mac + ETHERTYPE_IPV4

    # -- receiving ----------------------------------------------------------------------------------------------------

    def receive(self, frame: Frame) -> None:
        """Take in a frame that the device received (the device's `upper`)."""
        data = frame.data
        flow = self.receive_flows.get(data[26:38])
        if flow is not None and data[:16] == flow.head and not frame.altered and flow.receive(frame, data):
            return
        self._receive_any(frame)

    def _receive_any(self, frame: Frame) -> None:
        data = frame.data
        if len(data) < 14:
            self.device.drop(frame, DropReason.MALFORMED)
        elif not data[0] & 1 and data[:6] != self.device.mac:
            self.device.drop(frame, DropReason.OTHER_HOST)
        elif data[12:14] == ETHERTYPE_IPV4:
            self.namespace.ipv4.receive(self, frame)
        elif data[12:14] == ETHERTYPE_ARP:
            arp.receive_arp(self, frame)
        else:
            self.device.drop(frame, DropReason.UNKNOWN_ETHERTYPE)

    # -- sending ------------------------------------------------------------------------------------------------------

    def transmit_packet(self, mac: bytes, packet: bytes, packet_id: int, altered: bool | Offload) -> bool:
        """Put an IPv4 packet into an Ethernet frame and send it; False when the device refused it."""
        return self.device.transmit(Frame(mac + self._header_tail + packet, packet_id, altered))

    def transmit_local(self, packet: bytes, packet_id: int, altered: bool | Offload) -> bool:
        """Send an IPv4 packet through the loopback device."""
        return self.device.transmit(Frame(ZERO_MAC + ZERO_MAC + ETHERTYPE_IPV4 + packet, packet_id, altered))

    def start_transmit(self, frame: Frame) -> None:
        """Send a frame that begins its life here: it is a traversal of the host of its own (design decision 7)."""
        cpu = self.cpu
        if cpu is None:
            self.device.transmit(frame)
        elif not cpu.start(self._transmit_charged, frame):
            self.device.drop(frame, DropReason.CPU_BACKLOG_FULL)

    def _transmit_charged(self, frame: Frame) -> None:
        cpu = self.cpu
        assert cpu is not None, "only charged work comes here"
        cpu.busy_until_ns += self.namespace.cost_ip_output_ns
        self.device.transmit(frame)

    # -- neighbours ---------------------------------------------------------------------------------------------------

    def neighbour(self, address: bytes) -> Neighbour:
        """Return the neighbour entry of an address, made when it is missing."""
        entry = self.neighbours.get(address)
        if entry is None:
            entry = self.neighbours[address] = Neighbour(self, address)
        return entry

    def confirmed_mac(self, address: bytes) -> bytes | None:
        """Return the MAC of a reachable or permanent neighbour, b"" of another one, None without an entry."""
        entry = self.neighbours.get(address)
        if entry is None:
            return None
        return entry.mac if entry.mac is not None and entry.state in CONFIRMED_STATES else b""

    def reachable_time_ns(self) -> int:
        """Return how long a confirmation lasts: 0.5 to 1.5 times the base time, drawn anew every five minutes."""
        now_ns = self.kernel.now
        if not self._reachable_ns or now_ns >= self._reachable_drawn_ns + REDRAW_NS:
            base_ns = self.neighbour_settings.base_reachable_ns
            self._reachable_ns = base_ns // 2 + self._random.randrange(base_ns) if base_ns else 0
            self._reachable_drawn_ns = now_ns
        return self._reachable_ns

    def solicit(self, neighbour: Neighbour, mac: bytes | None, packet: bytes | None) -> None:
        """Send an ARP request for a neighbour (see `arp.solicit`)."""
        arp.solicit(self, neighbour, mac, packet)

    def resolution_failed(self, packet: bytes, packet_id: int) -> None:
        """Answer a packet that could not be delivered to its neighbour: host unreachable (FACTS 17, 18)."""
        self.namespace.icmp.send_error(packet, packet_id, 3, 1)

    def drop_packet(self, packet: bytes, packet_id: int, reason: DropReason) -> None:
        """Report a packet that is given up before it became a frame."""
        self.device.drop(Frame(ZERO_MAC + self._header_tail + packet, packet_id), reason)

    def flush_neighbours(self, permanent: bool = True) -> None:
        """Remove the neighbour entries, with `permanent` also those set by hand."""
        for address, entry in list(self.neighbours.items()):
            if permanent or entry.state is not PERMANENT:
                del self.neighbours[address]
                entry.destroy()

    # -- changes ------------------------------------------------------------------------------------------------------

    def path_changed(self) -> None:
        """Forget what was cached about ways through this interface."""
        self.namespace.generation += 1

    def settings_changed(self) -> None:
        """Read the sysctls again."""
        self.neighbour_settings = NeighbourSettings(self.namespace.sysctl, self.device.name)
        self._reachable_ns = 0

    def mac_changed(self) -> None:
        """Take over the device's new MAC address."""
        self._header_tail = self.device.mac + ETHERTYPE_IPV4
        self.receive_flows.clear()
        self.path_changed()

    # -- addresses ----------------------------------------------------------------------------------------------------

    def select_source(self, destination: bytes) -> bytes | None:
        """Return the address to send from: the one of the destination's network, else the first; None without any."""
        for entry in self.addresses:
            if mask_network(destination, entry.prefix_length) == entry.network:
                return entry.address
        return self.addresses[0].address if self.addresses else None

    def __repr__(self) -> str:
        return f"<Interface {self.namespace.name}:{self.device.name}>"
