"""The sending fast path: what the next datagram of a UDP flow can reuse of the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.stack.neighbour import DELAY, PERMANENT, PROBE, REACHABLE
from emu.wire.address import ZERO_MAC
from emu.wire.drop import DropReason
from emu.wire.flow import UdpFlowTemplate
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.device.cost import HostCpu
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace
    from emu.stack.output import Path
    from emu.stack.udp_socket import UdpSocket

TEMPLATES_MAX = 64
SENDABLE_STATES = (REACHABLE, PERMANENT, DELAY, PROBE)
"""In these a packet goes out at once and changes nothing about the neighbour that others can see."""


class SendFlow:
    """A resolved way to one destination, valid while `generation` is the namespace's.

    The generation grows with every change of routes, addresses, devices, rules, settings and path MTUs, and when a
    neighbour becomes stale, fails or gets another MAC address. So validity is one comparison, and exact.
    templates: payload length -> stamper. payload_max: the longest datagram that goes out whole.
    """

    __slots__ = (
        "_arguments",
        "_dont_fragment",
        "_namespace",
        "_tos",
        "_ttl",
        "checksum",
        "cpu",
        "device",
        "generation",
        "payload_max",
        "templates",
    )

    def __init__(
        self,
        namespace: Namespace,
        device: NetDevice,
        arguments: tuple[bytes, bytes, bytes, bytes, int, int],
        mtu: int,
        dont_fragment: bool,
        socket: UdpSocket,
    ) -> None:
        self.generation = namespace.generation
        self.device = device
        self.cpu: HostCpu | None = namespace.cpu
        self.payload_max = mtu - 28
        self.checksum = socket.checksum
        self.templates: dict[int, UdpFlowTemplate] = {}
        self._namespace = namespace
        self._arguments = arguments
        self._ttl = namespace.default_ttl if socket.ttl is None else socket.ttl
        self._tos = socket.tos
        self._dont_fragment = dont_fragment

    @classmethod
    def make(
        cls,
        namespace: Namespace,
        path: Path,
        destination: bytes,
        port: int,
        source_port: int,
        dont_fragment: bool,
        socket: UdpSocket,
    ) -> SendFlow | None:
        """Make a flow from a path; None when the next datagram must look at everything again."""
        interface = path.interface
        device = interface.device
        if path.is_local:
            destination_mac, source_mac = ZERO_MAC, ZERO_MAC
        else:
            if not path.cacheable or path.next_hop is None or interface.is_loopback:
                return None
            neighbour = interface.neighbours.get(path.next_hop)
            if neighbour is None or neighbour.state not in SENDABLE_STATES or neighbour.mac is None:
                return None
            destination_mac, source_mac = neighbour.mac, device.mac
        arguments = (destination_mac, source_mac, path.source, destination, source_port, port)
        return cls(namespace, device, arguments, path.mtu, dont_fragment, socket)

    def template(self, payload_length: int) -> UdpFlowTemplate:
        """Make and keep the stamper for datagrams of one length."""
        templates = self.templates
        if len(templates) >= TEMPLATES_MAX:
            templates.clear()
        template = templates[payload_length] = UdpFlowTemplate(
            *self._arguments, payload_length, ttl=self._ttl, tos=self._tos, dont_fragment=self._dont_fragment
        )
        return template

    def start(self, frame: Frame) -> None:
        """Send a frame as a traversal of its own on the host's CPU."""
        cpu = self.cpu
        assert cpu is not None, "without a CPU frames go straight to the device"
        if not cpu.start(self._transmit_charged, frame):
            self.device.drop(frame, DropReason.CPU_BACKLOG_FULL)

    def _transmit_charged(self, frame: Frame) -> None:
        cpu = self.cpu
        assert cpu is not None, "without a CPU frames go straight to the device"
        cpu.busy_until_ns += self._namespace.cost_socket_send_ns + cpu.costs.copy_ns(len(frame.data) - 42)
        self.device.transmit(frame)
