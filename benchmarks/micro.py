"""Single operations of the hot path, in nanoseconds: where the budget of a frame goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks import micro_tcp
from benchmarks.harness import capture_folder
from emu.capture.interface import InterfaceInfo
from emu.capture.pcapng import PcapngWriter
from emu.kernel import DIRECTION_IN, Kernel
from emu.wire import scapy_bridge
from emu.wire.checksum import internet_checksum
from emu.wire.flow import UdpFlowTemplate
from emu.wire.frame import Frame

Operation = Callable[[int], float]
"""Does the operation so many times and returns the seconds it took."""

REPEATS = 7
PAYLOAD = bytes(range(250)) * 4
FRAME = Frame(bytes(42) + PAYLOAD, 1)


def measure_all() -> Iterator[tuple[str, float, float]]:
    """Yield (operation, median ns, fastest ns) for each operation."""
    for name, times, operation in OPERATIONS:
        per_operation = [operation(times) / times * 1e9 for _ in range(REPEATS)]
        yield name, median(per_operation), min(per_operation)


def timed(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def light_call(times: int) -> float:
    """`call_later` and its dispatch, one pending at a time."""
    kernel = Kernel()
    left = count(times, -1).__next__

    def tick(_: object) -> None:
        if left() > 0:
            kernel.call_later(20_000, tick)

    kernel.call_later(1, tick)
    return timed(kernel.run)


def soon_call(times: int) -> float:
    """`soon` and its dispatch; time passes every 1000 calls."""
    kernel = Kernel()
    left = count(times, -1).__next__

    def step(_: object) -> None:
        number = left()
        if number > 0:
            (kernel.soon if number % 1000 else later)(step)

    def later(fn: Callable[[object], None]) -> None:
        kernel.call_later(1, fn)

    kernel.call_later(1, step)
    return timed(kernel.run)


def simpy_timeout_callback(times: int) -> float:
    """What SimPy's own API costs for the same: a Timeout with a callback."""
    kernel = Kernel()
    left = count(times, -1).__next__

    def tick(_: object) -> None:
        if left() > 0:
            kernel.timeout(20_000).callbacks.append(tick)

    kernel.timeout(1).callbacks.append(tick)
    return timed(kernel.run)


def process_timeout(times: int) -> float:
    """A SimPy process that yields timeouts."""
    kernel = Kernel()

    def ticking() -> Iterator[object]:
        for _ in range(times):
            yield kernel.timeout(20_000)

    kernel.spawn(ticking())  # type: ignore[arg-type]
    return timed(kernel.run)


def checksum_of(data: bytes) -> Operation:
    """The internet checksum of these bytes."""

    def operation(times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            internet_checksum(data)
        return time.perf_counter() - start

    return operation


def stamped(checksum: bool) -> Operation:
    """One datagram of 1000 bytes by a flow's template."""

    def operation(times: int) -> float:
        template = UdpFlowTemplate(bytes(6), bytes(6), bytes(4), bytes(4), 49153, 9, len(PAYLOAD))
        start = time.perf_counter()
        for number in range(times):
            template.stamp(number & 0xFFFF, PAYLOAD, checksum)
        return time.perf_counter() - start

    return operation


def built_by_scapy(times: int) -> float:
    """The same datagram as a Scapy packet, built to bytes."""
    scapy = scapy_bridge.layers()
    mac, address = "00:00:00:00:00:00", "0.0.0.0"
    start = time.perf_counter()
    for number in range(times):
        header = scapy.IP(version=4, ihl=5, id=number, flags="DF", ttl=64, proto=17, src=address, dst=address)
        frame = scapy.Ether(dst=mac, src=mac, type=0x0800) / header / scapy.UDP(sport=49153, dport=9) / PAYLOAD
        bytes(frame)
    return time.perf_counter() - start


def pcapng_record(times: int) -> float:
    """One frame of 1042 bytes into a pcapng file, writing included."""
    with capture_folder() as folder:
        writer = PcapngWriter(folder / Path("capture.pcapng"))
        interface = writer.add_interface(InterfaceInfo("h0:eth0", "", bytes(6), 1500, None, "veth"))
        tap = interface.tap
        start = time.perf_counter()
        for now_ns in range(times):
            tap(now_ns, FRAME, DIRECTION_IN)
        writer.close()
        return time.perf_counter() - start


def new_frame(times: int) -> float:
    """Make a `Frame`."""
    data = FRAME.data
    start = time.perf_counter()
    for number in range(times):
        Frame(data, number)
    return time.perf_counter() - start


OPERATIONS: list[tuple[str, int, Operation]] = [
    ("kernel: call_later and its dispatch", 200_000, light_call),
    ("kernel: soon and its dispatch", 200_000, soon_call),
    ("kernel: SimPy timeout with a callback", 100_000, simpy_timeout_callback),
    ("kernel: process that yields a timeout", 100_000, process_timeout),
    ("wire: new Frame", 200_000, new_frame),
    ("wire: UDP datagram stamped by its flow's template", 100_000, stamped(False)),
    ("wire: the same with its checksum", 50_000, stamped(True)),
    ("wire: the same built by Scapy", 200, built_by_scapy),
    ("wire: checksum of a 20-byte header", 200_000, checksum_of(PAYLOAD[:20])),
    ("wire: checksum of 1000 bytes", 50_000, checksum_of(PAYLOAD)),
    ("capture: pcapng record of 1042 bytes, written", 50_000, pcapng_record),
    ("tcp: a segment noted as sent", 50_000, micro_tcp.noted_as_sent),
    ("tcp: an ACK of two segments, taken by recovery and CUBIC", 50_000, micro_tcp.plain_ack),
    ("tcp: an ACK with SACK blocks, 10,000 segments in flight, 1 % lost", 10_000, micro_tcp.ack_with_blocks),
]
