"""Follows datagrams through the emulation and says exactly where their time went.

Taps note what is needed, by packet id: when the CPU took up the sending (all taps of a traversal show its start), how
much work had been charged when a frame was handed to the cable, when the receiving host's CPU took it up, and how much
work had been charged when it reached the container. What is left from there is in the cost model: IP input, the
receive call and the copy. A datagram in fragments is complete with its last frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emu.kernel.tap import DIRECTION_IN
from emu.scenario.overlay_bench.theory import on_wire_bytes

if TYPE_CHECKING:
    from emu.device.cost import HostCpu
    from emu.device.ethernet import EthernetPort
    from emu.device.netdevice import NetDevice
    from emu.kernel.tap import Tap, TappedFrame
    from emu.scenario.overlay_bench.cases import Pair

PARTS = ("serialization", "queueing", "propagation", "processing", "encapsulation", "wakeup")
"""What latency consists of.

serialization: the bits of the datagram's frames going onto the cable, preamble to gap. queueing: waiting for a CPU or
for the cable. propagation: the cable's delay. processing: work on the hosts, without the tunnel's. encapsulation: the
tunnel's work, from the VXLAN device to the network card and back: headers, encryption if any, the outer packet's way
through IP. wakeup: until a sleeping program runs.
Work that goes on while earlier fragments are on the cable already costs no time and is in none of these.
"""
NS_BITS_PER_BYTE = 8 * 10**9


class _Way:
    """What is known so far about the datagram with one packet id."""

    __slots__ = (
        "at_container_ns",
        "decapsulated_ns",
        "encapsulated_more_ns",
        "encapsulated_ns",
        "frame_bytes",
        "frames",
        "last_ready_ns",
        "ready_ns",
        "serialization_ns",
        "started_ns",
        "taken_up_busy_ns",
        "taken_up_ns",
        "tunnel_ns",
        "wire_bytes",
    )

    def __init__(self, started_ns: int) -> None:
        self.started_ns = started_ns
        self.ready_ns = self.last_ready_ns = self.at_container_ns = self.tunnel_ns = -1
        self.taken_up_ns = self.taken_up_busy_ns = -1
        self.frames = self.frame_bytes = self.wire_bytes = self.serialization_ns = 0
        self.encapsulated_ns = self.encapsulated_more_ns = self.decapsulated_ns = 0

    def count(self, size: int, rate_bps: int | None) -> None:
        """Count a frame that goes over the wire, or would."""
        wire_bytes = on_wire_bytes(size)
        self.frames += 1
        self.frame_bytes += size
        self.wire_bytes += wire_bytes
        if rate_bps is not None:
            self.serialization_ns += wire_bytes * NS_BITS_PER_BYTE // rate_bps


@dataclass(frozen=True, slots=True)
class Split:
    """Where a datagram's time went, and what it took on the wire.

    parts_ns: in the order of `PARTS`; their sum is the whole time. frames, frame_bytes: as captured on the way.
    wire_bytes: with preamble, check sequence and gap.
    """

    parts_ns: tuple[int, ...]
    frames: int
    frame_bytes: int
    wire_bytes: int


class Trace:
    """Watches the interfaces of a pair; ask `split` when a datagram has arrived."""

    def __init__(self, pair: Pair) -> None:
        self._ways: dict[int, _Way] = {}
        self._costs = pair.net.cost_model
        self._crosses_hosts = bool(pair.ports)
        self._rate_bps = pair.rate_bps if pair.ports else None
        self._delay_ns = pair.delay_ns
        for container in (pair.client, pair.server):
            device = container.interface("eth0").device
            device.add_tap(self._tap_container(device))
        for port in pair.ports:
            port.add_tap(self._tap_port(port))
        for device in pair.net.interfaces.devices:
            if device.kind == "vxlan":
                device.add_tap(self._tap_tunnel(device))

    # -- taps ---------------------------------------------------------------------------------------------------------

    def _tap_container(self, device: NetDevice) -> Tap:
        crosses_hosts, cpu = self._crosses_hosts, device.cpu

        def tap(now_ns: int, frame: TappedFrame, direction: int, /) -> None:
            way = self._ways.get(frame.packet_id)
            if direction == DIRECTION_IN:
                if way is not None:
                    way.at_container_ns = _busy_until(cpu, now_ns)
                return
            if way is None:
                way = self._ways[frame.packet_id] = _Way(now_ns)
            if not crosses_hosts:
                way.count(len(frame.data), None)

        return tap

    def _tap_port(self, port: EthernetPort) -> Tap:
        cpu = port.cpu

        def tap(now_ns: int, frame: TappedFrame, direction: int, /) -> None:
            way = self._ways.get(frame.packet_id)
            if way is None:
                return
            busy_ns = _busy_until(cpu, now_ns)
            if direction == DIRECTION_IN:
                way.taken_up_ns, way.taken_up_busy_ns = now_ns, busy_ns
                return
            way.last_ready_ns = busy_ns
            if way.tunnel_ns >= 0:
                encapsulated_ns = busy_ns - port.transmit_cost_ns - way.tunnel_ns
                if way.ready_ns < 0:
                    way.encapsulated_ns = encapsulated_ns
                else:
                    way.encapsulated_more_ns += encapsulated_ns
                way.tunnel_ns = -1
            if way.ready_ns < 0:
                way.ready_ns = busy_ns
            way.count(len(frame.data), self._rate_bps)

        return tap

    def _tap_tunnel(self, device: NetDevice) -> Tap:
        cpu = device.cpu

        def tap(now_ns: int, frame: TappedFrame, direction: int, /) -> None:
            way = self._ways.get(frame.packet_id)
            if way is None:
                return
            busy_ns = _busy_until(cpu, now_ns)
            if direction == DIRECTION_IN:
                way.decapsulated_ns = busy_ns - way.taken_up_busy_ns
            else:
                way.tunnel_ns = busy_ns

        return tap

    # -- the sum ------------------------------------------------------------------------------------------------------

    def split(self, packet_id: int, payload_bytes: int, sent_ns: int, received_ns: int) -> Split:
        """Say where a datagram's time went between the program's call and the other program's running."""
        way = self._ways.pop(packet_id)
        costs = self._costs
        done_ns = way.at_container_ns
        if costs is not None:
            done_ns += costs.ip_input + costs.socket_receive + costs.copy_ns(payload_bytes)
        queueing = way.started_ns - sent_ns
        serialization = propagation = encapsulation = 0
        if self._crosses_hosts:
            serialization, propagation = way.serialization_ns, self._delay_ns
            waiting = way.taken_up_ns - way.ready_ns - serialization - propagation
            assert waiting >= 0, f"packet {packet_id} was faster than its cable: {waiting} ns"
            hidden = way.last_ready_ns - way.ready_ns
            shown = min(waiting, hidden)  # work on later fragments during which the cable was idle
            queueing += waiting - shown
            work = way.ready_ns - way.started_ns + shown + done_ns - way.taken_up_ns
            encapsulation = way.encapsulated_ns + way.decapsulated_ns
            if hidden:
                encapsulation += way.encapsulated_more_ns * shown // hidden
        else:
            work = done_ns - way.started_ns
        wakeup = received_ns - done_ns
        parts = (serialization, queueing, propagation, work - encapsulation, encapsulation, wakeup)
        assert min(parts) >= 0, f"packet {packet_id}: {dict(zip(PARTS, parts, strict=True))}"
        assert sum(parts) == received_ns - sent_ns, f"packet {packet_id}: {parts} of {received_ns - sent_ns} ns"
        return Split(parts, way.frames, way.frame_bytes, way.wire_bytes)


def _busy_until(cpu: HostCpu | None, now_ns: int) -> int:
    """When the work charged so far in this traversal is done."""
    return now_ns if cpu is None else max(now_ns, cpu.busy_until_ns)
