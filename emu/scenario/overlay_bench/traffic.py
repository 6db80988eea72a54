"""The traffic: a UDP stream as fast as it goes, and UDP request and response.

A kind of traffic takes a pair of containers and returns what it measured; `TRAFFIC` is the table of kinds. TCP, which
has no payload sizes, is in `tcp.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emu.scenario.overlay_bench.trace import PARTS, Trace

if TYPE_CHECKING:
    from emu.scenario.overlay_bench.cases import Pair
    from emu.wire.frame import Frame

SERVER_PORT = 5001
NUMBER_BYTES = 8
"""Every datagram begins with its number."""
PAUSE_NS = 50_000_000
"""For ARP, path MTU discovery and everything else that happens once, before anything is measured."""
WARM_UPS = 3


@dataclass(slots=True)
class Measured:
    """Raw numbers of one run.

    totals_ns: latency of every datagram or request. parts_ns: sums of the parts of latency.
    frames, frame_bytes, wire_bytes: of all datagrams. datagrams_each: datagrams per entry of totals_ns, 1 or 2.
    rated, rated_ns: so many were received in so much time, after the start. cpu_ns: used by each host until the last
    one was received.
    """

    datagrams_each: int
    totals_ns: list[int] = field(default_factory=list)
    parts_ns: list[int] = field(default_factory=lambda: [0] * len(PARTS))
    lost: int = 0
    frames: int = 0
    frame_bytes: int = 0
    wire_bytes: int = 0
    rated: int = 0
    rated_ns: int = 0
    cpu_ns: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Traffic:
    """A kind of traffic: its name and title, and what runs it (pair, payload bytes, count, window)."""

    name: str
    title: str
    run: Callable[[Pair, int, int, int], Measured]


class _Endpoints:
    """The two sockets, the trace, and what both kinds of traffic do with them."""

    def __init__(self, pair: Pair, payload_bytes: int, datagrams_each: int) -> None:
        self.pair = pair
        self.kernel = pair.net.kernel
        self.payload_bytes = payload_bytes
        self.filler = bytes(payload_bytes - NUMBER_BYTES)
        self.measured = Measured(datagrams_each)
        self.server = pair.server.udp(SERVER_PORT)
        self.client = pair.client.udp()
        self.destination = (pair.server_address, SERVER_PORT)
        self.warm_up()
        self.trace = Trace(pair)
        self._cpu_before = self._cpu_after = self._cpu_used()

    def warm_up(self) -> None:
        """Send a few datagrams there and back, so that neighbours and path MTUs are known and flows are set up."""
        server, client = self.server, self.client
        server.on_datagram = lambda payload, source, frame: _try_to_send(server.sendto, payload, source)
        client.on_datagram = lambda payload, source, frame: None
        for _ in range(WARM_UPS):
            _try_to_send(client.sendto, self.payload(0), self.destination)
            self.pair.net.run(until=self.kernel.now + PAUSE_NS)

    def payload(self, number: int) -> bytes:
        """A datagram's payload."""
        return number.to_bytes(NUMBER_BYTES, "big") + self.filler

    def account(self, frame: Frame, sent_ns: int) -> None:
        """Take a datagram's way into the sums."""
        split = self.trace.split(frame.packet_id, self.payload_bytes, sent_ns, self.kernel.now)
        measured = self.measured
        sums = measured.parts_ns
        for index, part in enumerate(split.parts_ns):
            sums[index] += part
        measured.frames += split.frames
        measured.frame_bytes += split.frame_bytes
        measured.wire_bytes += split.wire_bytes
        self._cpu_after = self._cpu_used()

    def _cpu_used(self) -> list[int]:
        return [0 if host.cpu is None else host.cpu.used_ns for host in self.pair.net.hosts.values()]

    def finish(self, lost: int) -> Measured:
        """Close the sockets and return what was measured."""
        self.measured.lost = lost
        used = zip(self._cpu_before, self._cpu_after, strict=True)
        self.measured.cpu_ns = [after - before for before, after in used]
        self.server.close()
        self.client.close()
        return self.measured


def run_stream(pair: Pair, payload_bytes: int, count: int, window: int) -> Measured:
    """Send as fast as the bottleneck takes it: always `window` datagrams on the way, a new one for each that arrives.

    So nothing is lost to full queues, as with a sender that blocks; the window's own queueing is part of the latency.
    """
    ends = _Endpoints(pair, payload_bytes, 1)
    kernel, measured, client = ends.kernel, ends.measured, ends.client
    sent_ns: dict[int, int] = {}
    arrivals_ns: list[int] = []
    next_number = lost = 0

    def send_next() -> None:
        nonlocal next_number
        if next_number >= count:
            return
        number = next_number
        next_number += 1
        sent_ns[number] = kernel.now
        client.sendto(ends.payload(number), ends.destination)

    def received(payload: bytes, source: Any, frame: Frame) -> None:
        number = int.from_bytes(payload[:NUMBER_BYTES], "big")
        started_ns = sent_ns.pop(number)
        ends.account(frame, started_ns)
        measured.totals_ns.append(kernel.now - started_ns)
        arrivals_ns.append(kernel.now)
        send_next()

    ends.server.on_datagram = received
    while next_number < count or sent_ns:
        lost += len(sent_ns)  # what has not arrived when nothing moves any more
        sent_ns.clear()
        for _ in range(window):
            send_next()
        pair.net.run()
    steady = arrivals_ns[min(window, len(arrivals_ns) // 2) :]
    if len(steady) > 1:
        measured.rated, measured.rated_ns = len(steady) - 1, steady[-1] - steady[0]
    return ends.finish(lost)


def run_request_response(pair: Pair, payload_bytes: int, count: int, window: int) -> Measured:
    """Send a request, wait for a response of the same size, and so on; there is one on the way, whatever `window`."""
    ends = _Endpoints(pair, payload_bytes, 2)
    kernel, measured, client, server = ends.kernel, ends.measured, ends.client, ends.server
    request_ns = response_ns = -1

    def request() -> None:
        nonlocal request_ns
        request_ns = kernel.now
        client.sendto(ends.payload(len(measured.totals_ns)), ends.destination)

    def at_server(payload: bytes, source: Any, frame: Frame) -> None:
        nonlocal response_ns
        ends.account(frame, request_ns)
        response_ns = kernel.now
        server.sendto(payload, source)

    def at_client(payload: bytes, source: Any, frame: Frame) -> None:
        ends.account(frame, response_ns)
        measured.totals_ns.append(kernel.now - request_ns)
        if len(measured.totals_ns) < count:
            request()

    server.on_datagram, client.on_datagram = at_server, at_client
    lost = 0
    while len(measured.totals_ns) + lost < count:
        answered = len(measured.totals_ns)
        request()
        pair.net.run()
        lost += len(measured.totals_ns) < count
        assert len(measured.totals_ns) > answered, "not a single request was answered"
    measured.rated, measured.rated_ns = len(measured.totals_ns), sum(measured.totals_ns)
    return ends.finish(lost)


def _try_to_send(send: Callable[..., int], *arguments: Any) -> None:
    """Send a datagram that may be refused: the first long one is how a path MTU is found out."""
    try:
        send(*arguments)
    except OSError:
        return


TRAFFIC: dict[str, Traffic] = {
    traffic.name: traffic
    for traffic in (
        Traffic("udp-stream", "UDP stream", run_stream),
        Traffic("udp-request-response", "UDP request and response", run_request_response),
    )
}
"""Name -> kind of traffic, in the order of tables."""
