"""Bulk transfers over a link with a rate, delay, loss and queue, and the table of what they reach.

`python -m tests.stack.tcp.throughput --bless` writes the golden table anew; without the option it is printed.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from emu.device.bridge import Bridge
from emu.device.veth import create_veth
from emu.kernel import Kernel
from emu.stack.namespace import Namespace

GOLDEN = Path(__file__).parents[2] / "golden" / "tcp_matrix.txt"
SECOND = 1_000_000_000
PIECE = bytes(64 * 1024)
SECONDS = 20


@dataclass(frozen=True)
class Link:
    """The bottleneck, behind a switch: rate, queue and loss in the direction of the data, delay both ways."""

    rate: str = "10Mbit"
    delay: str = "10ms"
    loss: float = 0.0
    queue: int = 100


@dataclass(frozen=True)
class Outcome:
    """What a transfer reached: bytes that the receiving program got between two times, and the sender's counters."""

    received: int
    seconds: float
    retransmissions: int
    timeouts: int
    srtt_ns: int
    mss: int
    """Payload of a full segment."""

    @property
    def goodput_bps(self) -> float:
        """Bits of payload per second."""
        return self.received * 8 / self.seconds


def bulk(congestion: str, link: Link, seconds: float = SECONDS, skip: float = 0.0, seed: int = 1) -> Outcome:
    """One greedy sender for some virtual time; what arrives during the first `skip` seconds does not count."""
    kernel = Kernel(seed)
    switch = Namespace(kernel, "switch")
    bridge = Bridge(kernel, "br0", b"\x02\0\0\0\0\x10")
    switch.add_device(bridge)
    bridge.set_up()
    ends = []
    for number, name in enumerate(("sender", "receiver"), 1):
        port, device = create_veth(
            kernel, f"to-{name}", bytes((2, 0, 0, 0, 1, number)), "eth0", bytes((2, 0, 0, 0, 0, number))
        )
        namespace = Namespace(kernel, name)
        switch.add_device(port)
        namespace.add_device(device)
        bridge.add_port(port)
        port.set_up()
        device.set_up()
        namespace.add_address(device, f"10.0.0.{number}/24")
        ends.append(namespace)
    port.set(rate=link.rate, delay=link.delay, loss=link.loss, queue=link.queue)
    device.set(delay=link.delay)
    counted = 0
    sockets: list[Any] = []

    def receive() -> Generator[Any, Any, None]:
        nonlocal counted
        listener = ends[1].tcp_socket()
        listener.bind(port=5201)
        listener.listen()
        socket = yield listener.accept()
        while piece := (yield socket.recv(1 << 20)):
            if kernel.now >= skip * SECOND:
                counted += len(piece)

    def send() -> Generator[Any, Any, None]:
        socket = ends[0].tcp_socket()
        socket.congestion = congestion
        sockets.append(socket)
        yield socket.connect("10.0.0.2", 5201)
        while True:
            yield socket.send(PIECE)

    kernel.process(receive())
    kernel.process(send())
    kernel.run(until=round(seconds * SECOND))
    info = sockets[0].info()
    return Outcome(counted, seconds - skip, info.retransmissions, info.timeouts, info.srtt_ns, info.mss)


HEADER = f"""\
Bulk TCP over one 10 Mbit/s link for {SECONDS} s of virtual time: goodput in Mbit/s (9.56 is all of the link: 1448
bytes of payload in a frame of 1514, counted as tc counts), retransmissions, timeouts, smoothed round-trip time at the
end. delay: each way. loss: of data segments only. queue: packets.

congestion   loss   delay  queue   goodput  retransmitted  timeouts    srtt ms
"""


CASES = tuple(product(("cubic", "reno"), (0.0, 0.0001, 0.001, 0.01), ("1ms", "10ms", "50ms"), (20, 100)))


def row(congestion: str, loss: float, delay: str, queue: int) -> str:
    """One row of the table."""
    outcome = bulk(congestion, Link(delay=delay, loss=loss, queue=queue))
    return (
        f"{congestion:<10} {loss:>6.2%} {delay:>7} {queue:>6} {outcome.goodput_bps / 1e6:>9.3f}"
        f" {outcome.retransmissions:>14} {outcome.timeouts:>9} {outcome.srtt_ns / 1e6:>10.2f}\n"
    )


def main() -> None:
    """Prints the table, or writes it."""
    text = HEADER + "".join(row(*case) for case in CASES)
    if "--bless" in sys.argv[1:]:
        GOLDEN.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
