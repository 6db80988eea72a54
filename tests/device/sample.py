"""Many frames over one impaired line: what was sent, what arrived when, and what the line says it did."""

from __future__ import annotations

from emu.device import create_veth
from emu.kernel import Kernel
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from tests.device.lan import mac


class Sample:
    """Sends `count` frames, one each `gap_ns`, over a line; keeps what arrives."""

    def __init__(self, count: int, seed: int = 1, gap_ns: int = 1000, **settings) -> None:
        self.kernel = Kernel(seed)
        self.drops: list[DropReason] = []
        self.kernel.journal.drop_listeners.append(lambda now, frame, reason, where: self.drops.append(reason))
        self.a, b = create_veth(self.kernel, "a", mac(1), "b", mac(2))
        self.a.set_up()
        b.set_up()
        self.a.set(**settings)
        self.data = bytes(range(64))
        self.arrived: list[tuple[int, Frame]] = []
        b.upper = lambda frame: self.arrived.append((self.kernel.now, frame))
        self.sent_ns: dict[int, int] = {}
        for number in range(count):
            self.kernel.call_later(number * gap_ns, self._send)
        self.kernel.run()
        self.statistics = self.a.direction.statistics

    def _send(self, _: None) -> None:
        packet_id = self.kernel.next_packet_id()
        self.sent_ns[packet_id] = self.kernel.now
        assert self.a.transmit(Frame(self.data, packet_id))

    @property
    def ids(self) -> list[int]:
        return [frame.packet_id for _, frame in self.arrived]

    @property
    def delays(self) -> list[int]:
        return [time_ns - self.sent_ns[frame.packet_id] for time_ns, frame in self.arrived]
