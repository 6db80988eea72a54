"""The workloads, written as any user of emu would write them.

Every workload builds an emulation and returns what to run and how to check that all of it happened. Only the run loop
is timed, as in the peer: building the topology is not part of it, writing the captures is.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import emu
from benchmarks.settings import SEGMENT, BenchmarkError, Measurement, Setting
from emu.container import Container
from emu.interface import Interface

PAYLOAD = bytes(1000)
INTERVAL_NS = 20_000
FIRST_NS = 1_000_000
START_NS = 1_000_000_000
SOURCE_PORT = 49153
SINK_PORT = 9
TCP_BLOCK = 1 << 20


@dataclass(slots=True)
class Prepared:
    """A workload ready to run.

    run: the part that is timed. received: how many datagrams have arrived. hops_per_datagram: links and forwarding
    devices that each of them crosses.
    """

    run: Callable[[], object]
    received: Callable[[], int]
    hops_per_datagram: int


class Source:
    """Sends datagrams at a constant rate: one light callback each, no process."""

    __slots__ = ("_call_later", "_destination", "_left", "_send")

    def __init__(self, net: emu.Emulation, socket: Any, destination: tuple[str, int], count: int) -> None:
        self._call_later = net.kernel.call_later
        self._send = socket.sendto
        self._destination = destination
        self._left = count

    def send(self, _: object) -> None:
        """Send one datagram and come again."""
        self._send(PAYLOAD, self._destination)
        self._left -= 1
        if self._left > 0:
            self._call_later(INTERVAL_NS, self.send)


class Sink:
    """Counts datagrams."""

    __slots__ = ("datagrams",)

    def __init__(self) -> None:
        self.datagrams = 0

    def receive(self, *_: object) -> None:
        """Take one datagram."""
        self.datagrams += 1


def bridge_udp(setting: Setting, folder: Path) -> Prepared:
    """Build two containers on one user-defined bridge, every end of both veth pairs shaped to 1 Gbit/s and 10 us.

    ARP and one datagram first, then from t=1 s a datagram of 1000 bytes every 20 us. Each crosses a veth, the bridge
    and a veth: 3 frame-hops.
    """
    net = emu.Emulation(name="bridge-udp", cost="none")
    host = net.host
    network = host.networks.create("bench", subnet="10.0.0.0/24")
    sender = host.containers.run("h0", network=network)
    receiver = host.containers.run("h1", network=network)
    for container in (sender, receiver):
        shape_both_ends(container.interface("eth0"))
    if setting.capture != "none":
        interfaces = ["h1:eth0"] if setting.capture == "receiver" else None
        net.capture(folder / "capture.pcapng", interfaces)
    return Prepared(run_and_close(net), udp_flow(net, sender, receiver, setting), hops_per_datagram=3)


def overlay_udp(setting: Setting, folder: Path) -> Prepared:
    """Build a container on each of two hosts on one overlay, both veth pairs shaped as in `bridge_udp`.

    The hosts are joined by an underlay of 1 Gbit/s and 50 us. Each datagram crosses a veth, a bridge, the
    encapsulation, the underlay, the decapsulation, a bridge and a veth: 7 frame-hops. The outer UDP checksum is
    always computed, as Docker has it; with checksums the receiving host verifies it, too.
    """
    net = emu.Emulation(name="overlay-udp", cost="none")
    hosts = [net.add_host("host1"), net.add_host("host2")]
    net.add_link(*hosts, rate="1Gbit", delay="50us")
    network = net.networks.create("bench", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    sender = hosts[0].containers.run("c0", network=network)
    receiver = hosts[1].containers.run("c1", network=network)
    for container in (sender, receiver):
        shape_both_ends(container.interface("eth0"))
    for host in hosts:
        host.namespace.verify_checksums = setting.checksums
    if setting.capture != "none":
        net.capture(folder / "capture.pcapng", ["host1:eth0"])
    return Prepared(run_and_close(net), udp_flow(net, sender, receiver, setting), hops_per_datagram=7)


def bridge_tcp(setting: Setting, folder: Path) -> Prepared:
    """Send so many full segments over one connection through one bridge: 1 Gbit/s, 10 us and 50 us.

    The receiver reads as soon as something arrives. With checksums both sides verify them; making them is part of
    every segment either way. Each segment crosses a veth, the bridge and a veth, and so does an acknowledgment for
    every two of them, which is not counted.
    """
    net = emu.Emulation(name="bridge-tcp", cost="none")
    host = net.host
    network = host.networks.create("bench", subnet="10.0.0.0/24")
    sender = host.containers.run("h0", network=network)
    receiver = host.containers.run("h1", network=network)
    shape_both_ends(sender.interface("eth0"))
    shape_both_ends(receiver.interface("eth0"), delay="50us")
    sender.namespace.verify_checksums = receiver.namespace.verify_checksums = setting.checksums
    if setting.capture != "none":
        net.capture(folder / "capture.pcapng", ["h1:eth0"])
    total, received = setting.count * SEGMENT, 0

    def sink() -> Generator[Any, Any, None]:
        nonlocal received
        connection = yield receiver.tcp_listen(SINK_PORT).accept()
        while data := (yield connection.recv(TCP_BLOCK)):
            received += len(data)
        connection.close()

    def source() -> Generator[Any, Any, None]:
        connection = sender.tcp_connect(receiver, SINK_PORT)
        left = total
        while left:
            left -= yield connection.send(bytes(min(TCP_BLOCK, left)))
        connection.close()

    net.spawn(sink())
    net.spawn(source())
    return Prepared(run_and_close(net), lambda: received // SEGMENT + 1, hops_per_datagram=3)


def run_and_close(net: emu.Emulation) -> Callable[[], None]:
    """Return what is timed: the run, and what is left to write of the captures."""

    def run() -> None:
        net.run()
        net.close()

    return run


def shape_both_ends(interface: Interface, delay: str = "10us") -> None:
    """Give both directions of a container's veth pair 1 Gbit/s and a delay, as tc would at either end."""
    on_the_host = interface.peer
    assert on_the_host is not None, f"{interface.label} is no end of a veth pair"
    for end in (interface, on_the_host):
        end.set(rate="1Gbit", delay=delay)


def udp_flow(net: emu.Emulation, sender: Container, receiver: Container, setting: Setting) -> Callable[[], int]:
    """Send the workload's datagrams from one container to the other; return the counter of arrivals.

    With checksums the sender computes one over each datagram and the receiver verifies it; without them the socket
    option "no checksum" is set, and headers are verified only if a link altered the frame, as is emu's default.
    """
    sink = Sink()
    incoming = receiver.udp(SINK_PORT)
    incoming.on_datagram = sink.receive
    outgoing = sender.udp(SOURCE_PORT)
    outgoing.checksum = setting.checksums
    receiver.namespace.verify_checksums = setting.checksums
    destination = (receiver.interface("eth0").addresses[0].split("/")[0], SINK_PORT)
    net.kernel.call_at(FIRST_NS, Source(net, outgoing, destination, 1).send)
    net.kernel.call_at(START_NS, Source(net, outgoing, destination, setting.count).send)
    return lambda: sink.datagrams


WORKLOADS: dict[str, Callable[[Setting, Path], Prepared]] = {
    "bridge-udp": bridge_udp,
    "overlay-udp": overlay_udp,
    "bridge-tcp": bridge_tcp,
}


def measure_here(setting: Setting, folder: Path) -> Measurement:
    """Run one workload once in this process, which should be a fresh one.

    Raises `BenchmarkError` when datagrams are missing: a fast run that did not do the work is not a result.
    """
    prepared = WORKLOADS[setting.workload](setting, folder)
    wall_start, cpu_start = time.perf_counter(), time.process_time()
    prepared.run()
    wall_end, cpu_end = time.perf_counter(), time.process_time()
    datagrams = prepared.received()
    if datagrams != setting.count + 1:
        raise BenchmarkError(f"{datagrams:,} datagrams arrived instead of {setting.count + 1:,}")
    return Measurement(
        run_s=wall_end - wall_start,
        cpu_s=cpu_end - cpu_start,
        datagrams=datagrams,
        frame_hops=datagrams * prepared.hops_per_datagram,
        peak_rss_mib=peak_rss_mib(),
        capture_mib=sum(path.stat().st_size for path in folder.rglob("*.pcap*")) / 2**20,
    )


def peak_rss_mib() -> float:
    """Return the most memory that this process ever used.

    Linux counts what was used before `exec` into `getrusage`, which is the parent's; its own peak is in /proc.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
