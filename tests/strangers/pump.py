"""The pump: a port of the emulated bridge whose other side is a packet socket, and a paced run that serves it."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any

from emu.device.netdevice import NetDevice
from emu.kernel import DIRECTION_OUT
from emu.kernel.realtime import RealTime
from emu.traffic.dhcp_frames import Received, is_udp_to, read_frame
from emu.wire.address import ipv4_to_text
from emu.wire.dhcp import TYPE_NAMES, DhcpMessage
from emu.wire.frame import Frame
from tests.stack.world import SECOND
from tests.strangers.namespaces import Segment
from tests.traffic.dhcp_lan import DhcpLan

PACKET_OUTGOING = 4
FRAMES_AT_ONCE = 64
DELAY_NS = 20_000_000
"""In virtual time. udhcpc loses an answer to a renewal that arrives before it has closed the socket it asked with."""

Said = tuple[int, str, str, DhcpMessage]
"""(virtual time, source address, destination address, message)"""


class PumpDevice(NetDevice):
    """A device that sends into a packet socket; what comes out of the socket is handed in by `wait`."""

    __slots__ = ("_socket",)

    kind = "pump"
    can_be_port = True

    def __init__(self, lan: DhcpLan, opened: socket.socket) -> None:
        super().__init__(lan.world.kernel, "pump0", lan.world.mac())
        self._socket = opened

    def transmit(self, frame: Frame, /) -> bool:
        if self.tap is not None:
            self.tap(self.kernel.now, frame, DIRECTION_OUT)
        self.kernel.call_later(DELAY_NS, self._socket.send, frame.data)
        return True

    def wait(self, timeout_ns: int | None) -> list[tuple[Callable[[Any], object], Any]]:
        timeout_s = None if timeout_ns is None else timeout_ns / SECOND
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return []
        calls: list[tuple[Callable[[Any], object], Any]] = []
        while len(calls) < FRAMES_AT_ONCE:
            try:
                data, address = self._socket.recvfrom(65535)
            except BlockingIOError:
                break
            if address[2] != PACKET_OUTGOING:
                calls.append((self.receive, Frame(data, self.kernel.next_packet_id())))
        return calls


class PacedLan(DhcpLan):
    """A `DhcpLan` with a real program on its bridge, at the pace of the wall clock.

    factor: real seconds per virtual second. lateness: of the run so far.
    """

    def __init__(self, segment: Segment, factor: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        assert segment.socket is not None, "the segment has not been entered"
        self.segment = segment
        self.pump = PumpDevice(self, segment.socket)
        self.host.add_device(self.pump)
        self.bridge.add_port(self.pump)
        self.pump.set_up()
        self.world.tap(self.pump)
        self._factor = factor
        self._pace = RealTime(self.world.kernel, factor, self.pump.wait)
        self.lateness = self._pace.lateness

    def run_until(self, condition: Callable[[], object], within_s: float = 10.0) -> None:
        """Run until the condition holds; fails after so many real seconds."""
        kernel = self.world.kernel
        look_ns = round(0.02 * SECOND / self._factor)
        end_ns = kernel.now + round(within_s * SECOND / self._factor)
        seen = kernel.event()

        def look(_: object) -> None:
            if condition() or kernel.now >= end_ns:
                seen.succeed()
            else:
                kernel.call_later(look_ns, look, background=True)

        look(None)
        self._pace.run(until=seen)
        assert condition(), f"not within {within_s} s: {self.messages()}; {self.segment.log}"

    def run_for(self, seconds: float) -> None:
        """Run for so many virtual seconds."""
        self._pace.run(until=self.world.kernel.now + round(seconds * SECOND))

    def conversation(self) -> list[Said]:
        """Every DHCP message that crossed the pump."""
        return conversation_at(self, "host:pump0")

    def said(self, kind: str) -> list[Said]:
        """Every message of one type that crossed the pump."""
        return [each for each in self.conversation() if TYPE_NAMES[each[3].message_type or 0] == kind]

    def messages(self) -> list[str]:
        """The types of these messages, in order, without repetitions.

        On a busy machine an answer may come so late that a client has asked again already, and is answered twice: what
        it says once more in the same transaction before it says anything else, and what it is told once more, is left
        out.
        """
        found: list[str] = []
        last: dict[tuple[int, bytes], tuple[object, ...]] = {}
        for *_, message in self.conversation():
            side = message.operation, message.client_mac
            said = message.message_type, message.transaction_id, message.client_address
            if last.get(side) != said:
                found.append(TYPE_NAMES[message.message_type or 0])
            last[side] = said
        return found


def conversation_at(lan: DhcpLan, label: str) -> list[Said]:
    """Every DHCP message that a device saw."""
    found = []
    for now_ns, _, frame in lan.world.seen[label]:
        if is_udp_to(frame.data, 67) or is_udp_to(frame.data, 68):
            received = read_frame(frame.data)
            assert isinstance(received, Received), f"{received}: {frame.data.hex()}"
            destination = ipv4_to_text(frame.data[30:34])
            found.append((now_ns, ipv4_to_text(received.address), destination, received.message))
    return found
