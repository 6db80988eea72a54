"""The packet socket: whole Ethernet frames past the IP stack, for programs that work before there is an address."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from emu.device.wired import WiredDevice
from emu.kernel.errors import Conflict
from emu.stack.output import os_error
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace

Wants = Callable[[bytes], bool]
OnFrame = Callable[[Frame], None]


class PacketSocket:
    """A socket on one device (as `socket(AF_PACKET, SOCK_RAW)` bound to it), as DHCP programs use it.

    device: of this namespace, and not a port of a bridge. wants: told the bytes of each frame that arrives, says
    whether the socket takes it (a BPF filter's part). on_frame: gets those frames, when the program has been woken.
    While no packet socket is open on a device, its frames take exactly the way they took before.
    Limits: a frame that the socket takes does not reach the IP stack (in Linux both get it, and the stack drops what
    comes for an address that is not there yet). Group frames and those for other hosts are shown as they come.
    Raises Conflict for a bridge port, NotFound for a device of elsewhere.
    """

    __slots__ = ("_below", "_interface", "_is_open", "_namespace", "_on_frame", "_wants")

    def __init__(self, namespace: Namespace, device: NetDevice, wants: Wants, on_frame: OnFrame) -> None:
        self._interface = namespace.interface(device)
        if device.master is not None:
            raise Conflict(f"{device.label} is a port of {device.master.label}: open the packet socket on the bridge")
        self._namespace = namespace
        self._wants = wants
        self._on_frame = on_frame
        self._is_open = True
        self._below = device.upper
        device.upper = self._receive

    def send(self, data: bytes) -> None:
        """Send a frame, Ethernet header included; raises OSError EBADF when closed, ENETDOWN when the device is."""
        if not self._is_open:
            raise os_error(errno.EBADF)
        if not self._interface.device.is_up:
            raise os_error(errno.ENETDOWN)
        self._interface.start_transmit(Frame(data, self._namespace.kernel.next_packet_id()))

    def send_last(self, data: bytes) -> None:
        """Send a frame before the device is deleted: it does not wait for the CPU or the line. Raises as `send`."""
        device = self._interface.device
        if not isinstance(device, WiredDevice):
            self.send(data)
            return
        if not self._is_open:
            raise os_error(errno.EBADF)
        if not device.is_up:
            raise os_error(errno.ENETDOWN)
        device.transmit_last(Frame(data, self._namespace.kernel.next_packet_id()))

    def close(self) -> None:
        """Stop receiving; frames take the way they took before."""
        self._is_open = False
        device = self._interface.device
        if device.upper == self._receive:
            device.upper = self._below

    def drop(self, frame: Frame, reason: DropReason) -> None:
        """Report that the program could not use a frame."""
        self._interface.device.drop(frame, reason)

    def _receive(self, frame: Frame) -> None:
        if self._is_open and self._wants(frame.data):
            cpu = self._namespace.cpu
            if cpu is not None:
                cpu.busy_until_ns += self._namespace.cost_udp_input_ns
            self._namespace.wake(self._wake, frame)
        elif self._below is not None:
            self._below(frame)

    def _wake(self, frame: Frame) -> None:
        if self._is_open:
            self._on_frame(frame)
