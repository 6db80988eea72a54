"""A small local network for the tests of this room: stations on veth pairs at one bridge."""

from __future__ import annotations

from typing import Any

from emu.device import Bridge, HostCpu, VethDevice, create_veth
from emu.kernel import Kernel
from emu.wire.address import BROADCAST_MAC
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

BRIDGE_MAC = bytes.fromhex("0200000000fe")
ETHERTYPE_TEST = b"\x88\xb5"


def mac(number: int) -> bytes:
    """Return the MAC of the station with that number: 02:00:00:00:00:NN."""
    return bytes((2, 0, 0, 0, 0, number))


def data_to(destination: bytes, source: bytes, size: int = 64, text: bytes = b"") -> bytes:
    """Return the bytes of a frame of an experimental EtherType, filled with dots."""
    return (destination + source + ETHERTYPE_TEST + text).ljust(size, b".")


class Station:
    """A host with one interface: sends frames and keeps what it receives, with the time."""

    def __init__(self, kernel: Kernel, device: VethDevice) -> None:
        self.kernel = kernel
        self.device = device
        self.received: list[tuple[int, Frame]] = []
        device.upper = lambda frame: self.received.append((kernel.now, frame))

    def send(self, data: bytes) -> bool:
        """Send the bytes as a new packet."""
        return self.device.transmit(Frame(data, self.kernel.next_packet_id()))

    def send_to(self, number: int, size: int = 64, text: bytes = b"") -> bool:
        """Send a frame to the station with that number."""
        return self.send(data_to(mac(number), self.device.mac, size, text))

    def broadcast(self) -> bool:
        """Send a broadcast."""
        return self.send(data_to(BROADCAST_MAC, self.device.mac))

    def took(self) -> list[bytes]:
        """Return what was received since the last call."""
        taken = [frame.data for _, frame in self.received]
        self.received.clear()
        return taken


class Lan:
    """Stations 1, 2, … at one bridge; station n has MAC 02:…:n and sits at port n."""

    def __init__(self, stations: int = 3, cpu: HostCpu | None = None, kernel: Kernel | None = None) -> None:
        self.kernel = kernel or Kernel(seed=1)
        self.bridge = Bridge(self.kernel, "br0", BRIDGE_MAC)
        self.bridge.cpu = cpu
        self.local: list[bytes] = []
        self.bridge.upper = lambda frame: self.local.append(frame.data)
        self.bridge.set_up()
        self.stations: dict[int, Station] = {}
        self.host_ends: dict[int, VethDevice] = {}
        self.drops: list[tuple[DropReason, str]] = []
        self.kernel.journal.drop_listeners.append(lambda _, frame, reason, where: self.drops.append((reason, where)))
        for number in range(1, stations + 1):
            self.add(number, cpu)

    def add(self, number: int, cpu: HostCpu | None = None) -> Station:
        """Add a station and its port."""
        end, port = create_veth(self.kernel, f"h{number}", mac(number), f"p{number}", mac(0x80 + number))
        for device in (end, port):
            device.cpu = cpu
            device.set_up()
        self.bridge.add_port(port)
        station = self.stations[number] = Station(self.kernel, end)
        self.host_ends[number] = port
        return station

    def __getitem__(self, number: int) -> Station:
        return self.stations[number]

    def port(self, number: int) -> Any:
        """Return the bridge port of a station."""
        return self.bridge.port(self.host_ends[number])

    def run(self) -> None:
        """Let everything that is on its way arrive."""
        self.kernel.run()

    def wait(self, time_ns: int) -> None:
        """Let time pass."""
        self.kernel.run(until=self.kernel.now + time_ns)

    def listeners(self) -> set[int]:
        """Return which stations received something since the last call."""
        return {number for number, station in self.stations.items() if station.took()}

    def introduce(self, *numbers: int) -> None:
        """Let stations be heard once, so that the bridge knows them."""
        for number in numbers or tuple(self.stations):
            self[number].broadcast()
        self.run()
        self.listeners()
        self.local.clear()
