"""The DHCP server as a program in a namespace: connects the machine in `dhcp_server` to a device."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from emu.kernel.errors import InvalidValue
from emu.stack.packet_socket import PacketSocket
from emu.traffic.dhcp_frames import build_frame, is_udp_to, read_frame
from emu.traffic.dhcp_leases import LeaseTable
from emu.traffic.dhcp_server import LINK, STACK, Action, DhcpServer, Reply
from emu.traffic.dhcp_server_settings import DhcpServerSettings
from emu.wire.address import BROADCAST_MAC, ipv4_to_text
from emu.wire.dhcp import CLIENT_PORT, SERVER_PORT, build_dhcp
from emu.wire.drop import DropReason

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace
    from emu.stack.ping_socket import PingSocket
    from emu.wire.frame import Frame


class DhcpDaemon:
    """A server on one device of a namespace; serves from its making until `stop`.

    namespace, device: where it runs; the device must have the settings' server address.
    leases: a table to go on with; None begins without any.
    Raises InvalidValue when the device does not have the server's address.
    """

    __slots__ = ("_namespace", "_probes", "_socket", "device", "server")

    def __init__(
        self, namespace: Namespace, device: NetDevice, settings: DhcpServerSettings, leases: LeaseTable | None = None
    ) -> None:
        own = f"{ipv4_to_text(settings.server_address)}/{settings.prefix_length}"
        if own not in namespace.addresses(device):
            raise InvalidValue(f"DHCP server: {device.label} does not have the address {own}")
        self._namespace = namespace
        self.device = device
        self._probes: dict[bytes, PingSocket] = {}
        self.server = DhcpServer(settings, leases)
        self._socket: PacketSocket | None = namespace.packet_socket(device, self._wants, self._frame_arrived)

    @property
    def leases(self) -> LeaseTable:
        """The leases: hand them, or what a lease file keeps of them, to the next server."""
        return self.server.leases

    def stop(self) -> None:
        """Stop serving; what is being probed is forgotten."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for ping in self._probes.values():
            ping.close()
        self._probes.clear()

    def _wants(self, data: bytes) -> bool:
        return (bool(data[0] & 1) or data[:6] == self.device.mac) and is_udp_to(data, SERVER_PORT)

    def _frame_arrived(self, frame: Frame) -> None:
        received = read_frame(frame.data)
        assert self._socket is not None, "a stopped server hears nothing"
        if isinstance(received, DropReason):
            self._socket.drop(frame, received)
            return
        self._do(self.server.receive(self._namespace.kernel.now, received.message))

    # -- what the machine wants done ----------------------------------------------------------------------------------

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Reply):
                self._send(action)
            else:
                self._probe(action.address)

    def _send(self, reply: Reply) -> None:
        assert self._socket is not None, "a stopped server says nothing"
        own = self.server.settings.server_address
        try:
            if reply.way == STACK:
                self._send_by_stack(own, reply)
                return
            mac = reply.message.client_mac if reply.way == LINK else BROADCAST_MAC
            macs, addresses = (self.device.mac, mac), (own, reply.address)
            self._socket.send(build_frame(reply.message, macs, addresses, (SERVER_PORT, CLIENT_PORT)))
        except OSError:
            return  # the network is down or there is no way: as with any lost reply, the client asks again

    def _send_by_stack(self, own: bytes, reply: Reply) -> None:
        socket = self._namespace.udp_socket()
        try:
            socket.bind(ipv4_to_text(own), SERVER_PORT)
            socket.sendto(build_dhcp(reply.message), (ipv4_to_text(reply.address), CLIENT_PORT))
        finally:
            socket.close()

    def _probe(self, address: bytes) -> None:
        """Ask whether somebody answers at an address, for as long as the settings say."""
        ping = self._namespace.ping_socket()
        ping.on_reply = lambda source, sequence, payload, ttl: self._probe_answered(address, source)
        self._probes[address] = ping
        with suppress(OSError):  # without a way there, nobody can be there to answer
            ping.send_echo(address, 1, bytes(56))
        self._namespace.kernel.call_later(self.server.settings.probe_wait_ns, self._probe_ended, ping)

    def _probe_answered(self, address: bytes, source: bytes) -> None:
        if source == address and address in self._probes:
            self._probes.pop(address).close()
            self._do(self.server.probe_answered(self._namespace.kernel.now, address))

    def _probe_ended(self, ping: PingSocket) -> None:
        for address, other in self._probes.items():
            if other is ping:
                del self._probes[address]
                ping.close()
                self._do(self.server.probe_ended(self._namespace.kernel.now, address))
                return
