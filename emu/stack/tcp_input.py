"""The receive path's cache for TCP: which connection takes the frames of a flow (see `emu.stack.udp.ReceiveFlow`)."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from emu.stack.tcp.prediction import take_ordinary_segment
from emu.wire.checksum import checksum_sum
from emu.wire.tcp import PROTOCOL_TCP
from emu.wire.tcp_options import NOP_NOP_TIMESTAMPS

if TYPE_CHECKING:
    from emu.stack.interface import Interface
    from emu.stack.tcp_link import TcpLink
    from emu.wire.frame import Frame

_fields = Struct("!HxxIxx12xIIHHxxxxIII").unpack_from  # from offset 16: the fields of an ordinary segment
_ORDINARY = 0x8010
"""Header length 32 bytes, and ACK; PSH may be set, too."""
_PUSH = 8
ORDINARY_LENGTH = 66
_from_bytes = int.from_bytes


class TcpReceiveFlow:
    """What the receive path remembers of a connection.

    head: the first 16 bytes of its frames. It takes only ordinary segments: ACK and perhaps PSH, timestamps and no
    other option, as the machine expects them; everything else takes the long way.
    """

    __slots__ = ("_cpu", "_fixed", "_kernel", "_link", "_namespace", "_pseudo_sum", "_verify", "head", "interface")

    def __init__(self, interface: Interface, frame: Frame, link: TcpLink) -> None:
        data = frame.data
        self.head = data[:16]
        self.interface = interface
        self._fixed = _from_bytes(data[20:24], "big")
        self._kernel = interface.kernel
        self._namespace = interface.namespace
        self._cpu = interface.cpu
        self._verify = interface.namespace.verify_checksums
        self._pseudo_sum = checksum_sum(data[26:34]) + PROTOCOL_TCP
        self._link = link

    def receive(self, frame: Frame, data: bytes) -> bool:
        """Take a frame; False, with nothing done, when it must be looked at in full."""
        if len(data) < ORDINARY_LENGTH:
            return False
        total, fixed, sequence, ack, kind, window, options, timestamp, echo = _fields(data, 16)
        end = total + 14
        if (
            fixed != self._fixed
            or options != NOP_NOP_TIMESTAMPS
            or kind & 0xFFF7 != _ORDINARY
            or not ORDINARY_LENGTH <= end <= len(data)
        ):
            return False
        if self._verify and (
            _from_bytes(data[14:34], "big") % 65535
            or (checksum_sum(data[34:end]) + self._pseudo_sum + end - 34) % 65535
        ):
            return False  # the long way finds the error again and reports it
        link = self._link
        link.arriving_id = frame.packet_id
        if not take_ordinary_segment(
            link.connection,
            sequence,
            ack,
            window,
            kind & _PUSH != 0,
            timestamp,
            echo,
            data[ORDINARY_LENGTH:end],
            self._kernel.now,
        ):
            return False
        cpu = self._cpu
        if cpu is not None:
            cpu.busy_until_ns += self._namespace.cost_ip_input_ns + cpu.costs.copy_ns(end - ORDINARY_LENGTH)
        link.settle()
        return True
