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
BLOCK = 65_536


@dataclass(slots=True)
class Prepared:
    """A workload ready to run.

    run: the part that is timed. received: how many datagrams have arrived, of how many expected. frame_hops: how many
    links and forwarding devices all frames have crossed.
    """

    run: Callable[[], object]
    received: Callable[[], int]
    expected: int
    frame_hops: Callable[[], int]


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
    received = udp_flow(net, sender, receiver, setting)
    return Prepared(run_and_close(net), received, setting.count + 1, lambda: received() * 3)


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
    received = udp_flow(net, sender, receiver, setting)
    return Prepared(run_and_close(net), received, setting.count + 1, lambda: received() * 7)


def tcp_bulk(setting: Setting, folder: Path) -> Prepared:
    """Build two containers on one bridge, veth pairs of 1 Gbit/s, 10 us at the sender's and 50 us at the receiver's.

    From t=1 s one connection carries `count` full segments, written in pieces of 64 KiB. Each segment, and each
    acknowledgment on its way back, crosses a veth, the bridge and a veth: 3 frame-hops. TCP's settings are emu's
    defaults: CUBIC, SACK, timestamps. Checksums are always made; with checksums the receivers verify them, too.
    """
    net = emu.Emulation(name="tcp-bulk", cost="none")
    host = net.host
    network = host.networks.create("bench", subnet="10.0.0.0/24")
    sender, receiver = (host.containers.run(name, network=network) for name in ("h0", "h1"))
    for container, delay in ((sender, "10us"), (receiver, "50us")):
        shape_both_ends(container.interface("eth0"), delay)
        container.namespace.verify_checksums = setting.checksums
    if setting.capture != "none":
        net.capture(folder / "capture.pcapng", ["h1:eth0"])
    received = [0]
    receiver.spawn(bulk_sink(receiver, received))
    net.at(START_NS, lambda: sender.spawn(bulk_source(sender, receiver, setting.count * SEGMENT)))

    def frame_hops() -> int:
        counters = receiver.interface("eth0").counters
        return (counters.rx_packets + counters.tx_packets) * 3

    return Prepared(run_and_close(net), lambda: received[0] // SEGMENT, setting.count, frame_hops)


def bulk_source(sender: Container, receiver: Container, count: int) -> Generator[Any, Any, None]:
    """Send so many bytes over one connection."""
    socket = sender.tcp_connect(receiver.interface("eth0").addresses[0].split("/")[0], SINK_PORT)
    yield socket.connected
    block = bytes(BLOCK)
    for _ in range(count // BLOCK):
        yield socket.send(block)
    if count % BLOCK:
        yield socket.send(bytes(count % BLOCK))
    socket.close()


def bulk_sink(receiver: Container, received: list[int]) -> Generator[Any, Any, None]:
    """Read one connection to its end, counting bytes."""
    socket = yield receiver.tcp_listen(SINK_PORT).accept()
    while data := (yield socket.recv(BLOCK)):
        received[0] += len(data)
    socket.close()


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
    "tcp-bulk": tcp_bulk,
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
    if datagrams != prepared.expected:
        raise BenchmarkError(f"{datagrams:,} datagrams arrived instead of {prepared.expected:,}")
    return Measurement(
        run_s=wall_end - wall_start,
        cpu_s=cpu_end - cpu_start,
        datagrams=datagrams,
        frame_hops=prepared.frame_hops(),
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
