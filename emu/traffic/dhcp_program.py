"""The DHCP client as a program in a namespace: connects the machine in `dhcp_client` to a device."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from emu.kernel.errors import EmuError, NotFound
from emu.traffic.dhcp_client import DhcpClient
from emu.traffic.dhcp_client_actions import Action, Bind, Failed, ProbeAddress, Send, Unbind
from emu.traffic.dhcp_client_lease import ClientLease
from emu.traffic.dhcp_frames import build_frame, build_probe, claims_address, is_udp_to, read_frame
from emu.traffic.dhcp_parameters import LeaseParameters
from emu.traffic.dhcp_profile import DhcpProfile
from emu.traffic.dhcp_transitions import BOUND, CHECKING, STOPPED
from emu.wire import dhcp
from emu.wire.address import BROADCAST_MAC, LIMITED_BROADCAST_IPV4, ipv4_to_bytes, ipv4_to_text
from emu.wire.dhcp import CLIENT_PORT, SERVER_PORT, build_dhcp
from emu.wire.drop import DropReason

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace
    from emu.stack.packet_socket import PacketSocket
    from emu.wire.frame import Frame

PORTS = (CLIENT_PORT, SERVER_PORT)


class LeaseInstaller:
    """Puts leases into effect in a namespace: address, parameters, default route, and one gratuitous ARP.

    skipped: what a lease asked for and the namespace refused, as lines for people.
    """

    __slots__ = ("_device", "_namespace", "_parameters", "skipped")

    def __init__(self, namespace: Namespace, device: NetDevice) -> None:
        self._namespace = namespace
        self._device = device
        self._parameters = LeaseParameters(namespace, device)
        self.skipped = self._parameters.skipped

    def install(self, lease: ClientLease) -> None:
        """Give the device the address, then set MTU and routes, then announce the address once."""
        namespace, device = self._namespace, self._device
        address = ipv4_to_text(lease.address)
        try:
            namespace.add_address(device, f"{address}/{lease.prefix_length}")
        except EmuError as error:
            self.skipped.append(str(error))
            return
        self._parameters.install(lease)
        router = lease.default_router
        if router is not None:
            self._parameters.add_route("0.0.0.0/0", router)
        namespace.announce(device, address, 1)

    def remove(self, lease: ClientLease) -> None:
        """Take back what came with the lease, as far as it is still there."""
        self._parameters.remove()
        with suppress(NotFound):
            self._namespace.remove_address(self._device, ipv4_to_text(lease.address))


class DhcpProgram:
    """A client on one device of a namespace; begins at once and goes on until `stop`.

    on_bind, on_unbind: put a new lease into effect and take it back; as `LeaseInstaller` does it.
    on_fail: told the state in which a round of attempts ended without an address; the program tries again.
    on_extend: told the lease with its new times and parameters when it has been renewed.
    requested, reboot, host_name, client_id: as for `DhcpClient`.
    While it wants an address the program keeps the run alive until it has one or a round of attempts has failed; what
    it does later it does in the background.
    """

    __slots__ = (
        "_background_timer",
        "_device",
        "_is_waited_for",
        "_namespace",
        "_on_bind",
        "_on_extend",
        "_on_fail",
        "_on_unbind",
        "_probed",
        "_server_mac",
        "_socket",
        "_timer",
        "client",
    )

    def __init__(
        self,
        namespace: Namespace,
        device: NetDevice,
        profile: DhcpProfile,
        on_bind: Callable[[ClientLease], None],
        on_unbind: Callable[[ClientLease], None],
        on_fail: Callable[[str], None],
        *,
        on_extend: Callable[[ClientLease], None] | None = None,
        requested: str | None = None,
        reboot: bool = False,
        host_name: str = "",
        client_id: bytes | None = None,
    ) -> None:
        kernel = namespace.kernel
        self._namespace = namespace
        self._device = device
        self._on_bind, self._on_unbind, self._on_fail = on_bind, on_unbind, on_fail
        self._on_extend = on_extend
        self._socket: PacketSocket | None = None
        self._server_mac = BROADCAST_MAC
        self._probed: bytes | None = None
        self._is_waited_for = True
        self._timer = kernel.timer(self._expired)
        self._background_timer = kernel.timer(self._expired, background=True)
        self.client = DhcpClient(
            profile,
            device.mac,
            kernel.random(f"DHCP client of {device.label}"),
            host_name=host_name,
            client_id=client_id,
            requested=None if requested is None else ipv4_to_bytes(requested),
            reboot=reboot,
        )
        self.client.start(kernel.now)
        self._update()

    def stop(self) -> None:
        """End and release the lease, if there is one; the RELEASE goes to the MAC that the last reply came from."""
        self._do(self.client.stop(self._namespace.kernel.now))

    def abandon(self) -> None:
        """End without a word, as when the machine fails or means to be back; the lease goes on at the server."""
        self._timer.stop()
        self._background_timer.stop()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # -- what comes in ------------------------------------------------------------------------------------------------

    def _wants(self, data: bytes) -> bool:
        mac = self._device.mac
        if is_udp_to(data, CLIENT_PORT):
            return bool(data[0] & 1) or data[:6] == mac
        return self._probed is not None and claims_address(data, self._probed, mac)

    def _frame_arrived(self, frame: Frame) -> None:
        now_ns = self._namespace.kernel.now
        if not is_udp_to(frame.data, CLIENT_PORT):
            self._do(self.client.conflict(now_ns))
            return
        received = read_frame(frame.data)
        if isinstance(received, DropReason):
            assert self._socket is not None, "a closed socket hears nothing"
            self._socket.drop(frame, received)
            return
        actions = self.client.receive(now_ns, received.message)
        if received.message.message_type == dhcp.ACK and actions:
            self._server_mac = received.mac
        self._do(actions)

    def _expired(self, _: object) -> None:
        self._do(self.client.expire(self._namespace.kernel.now))

    # -- what the machine wants done ----------------------------------------------------------------------------------

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._send(action)
            elif isinstance(action, ProbeAddress):
                self._probed = action.address
                self._send_frame(build_probe(self._device.mac, action.address))
            elif isinstance(action, Bind):
                self._is_waited_for = False
                if action.is_new:
                    self._on_bind(action.lease)
                elif self._on_extend is not None:
                    self._on_extend(action.lease)
            elif isinstance(action, Unbind):
                self._is_waited_for = True
                self._on_unbind(action.lease)
            elif isinstance(action, Failed):
                self._is_waited_for = False
                self._on_fail(action.state)
        self._update()

    def _update(self) -> None:
        """Set the timer, and listen only while an answer may come, so that a bound client costs frames nothing."""
        client = self.client
        self._timer.stop()
        self._background_timer.stop()
        if client.deadline_ns is not None:
            timer = self._timer if self._is_waited_for else self._background_timer
            timer.start_at(client.deadline_ns)
        if client.state != CHECKING:
            self._probed = None
        listens = client.state not in (BOUND, STOPPED)
        if listens:
            self._listen()
        elif self._socket is not None:
            self._socket.close()
            self._socket = None

    def _listen(self) -> PacketSocket:
        if self._socket is None:
            self._socket = self._namespace.packet_socket(self._device, self._wants, self._frame_arrived)
        return self._socket

    def _send(self, action: Send) -> None:
        message = action.message
        own_mac, own = self._device.mac, message.client_address
        if action.server is None:
            macs, addresses = (own_mac, BROADCAST_MAC), (own, LIMITED_BROADCAST_IPV4)
            self._send_frame(build_frame(message, macs, addresses, PORTS))
        elif message.message_type == dhcp.RELEASE:
            # Straight to the server and at once: the device may be gone before ARP could answer.
            macs = (own_mac, self._server_mac)
            with suppress(OSError):
                self._listen().send_last(build_frame(message, macs, (own, action.server), PORTS))
        else:
            self._send_by_stack(own, action.server, build_dhcp(message))

    def _send_frame(self, data: bytes) -> None:
        try:
            self._listen().send(data)
        except OSError:
            return  # the interface is down: the next attempt may fare better

    def _send_by_stack(self, own: bytes, server: bytes, payload: bytes) -> None:
        socket = self._namespace.udp_socket()
        try:
            socket.bind(ipv4_to_text(own), CLIENT_PORT)
            socket.sendto(payload, (ipv4_to_text(server), SERVER_PORT))
        except OSError:
            return  # no way to the server: the next attempt may fare better, or rebinding
        finally:
            socket.close()
