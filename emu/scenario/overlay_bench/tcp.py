"""TCP over a way of networking: the throughput of a stream, the time to connect, and requests per second."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from emu.kernel.tap import DIRECTION_IN
from emu.scenario.overlay_bench.cases import CASES, Pair
from emu.scenario.overlay_bench.theory import full_size_efficiency, on_wire_bytes
from emu.traffic.latency import LatencyHistogram

if TYPE_CHECKING:
    from simpy.events import Event

    from emu.kernel.tap import TappedFrame
    from emu.stack.tcp_socket import TcpSocket

SERVER_PORT = 5001
REQUEST_BYTES = 64
CONNECTIONS = 20
"""How often the time to connect is measured."""
PAUSE_NS = 200_000_000
"""For ARP, gratuitous and asked for, before anything is measured."""
BLOCK_BYTES = 65_536
NS_PER_S = 10**9


@dataclass(frozen=True, slots=True)
class TcpPoint:
    """What is measured.

    case: a name of `CASES`. underlay_mtu: in bytes. size_bytes: of the stream. requests: how many, one at a time.
    rate, delay: of the cable. congestion: "cubic" or "reno". seed: of the whole benchmark.
    cost: "linux" or a `CostModel` of one's own.
    """

    case: str
    underlay_mtu: int
    size_bytes: int
    requests: int
    rate: str = "1Gbit"
    delay: str = "50us"
    congestion: str = "cubic"
    seed: int = 0
    cost: Any = field(default="linux")

    def own_seed(self) -> int:
        """The seed of this point's emulation."""
        text = "tcp " + repr(sorted(asdict(self).items()))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


@dataclass(frozen=True, slots=True)
class TcpResult:
    """What came out.

    goodput_bps: payload bits per second, from the first call of send() to the last byte at the receiver.
    ceiling_bps: what full segments leave of the cable's rate; None where there is no cable.
    efficiency: payload divided by what the segments that arrived take on the wire, as measured (acknowledgements go
        the other way); theory_efficiency: of full segments, as computed. For a bridge, as if its frames were on a wire.
    maximum_segment: payload bytes of a full segment. retransmissions: of the stream.
    connect_ns: from connect() to its return, median. request_ns: of 64 bytes there and back, median.
    requests_per_second: one after the other. cpu_ns_per_kib: CPU time of all hosts per KiB of payload.
    """

    point: TcpPoint
    goodput_bps: float
    ceiling_bps: float | None
    efficiency: float
    theory_efficiency: float
    maximum_segment: int
    retransmissions: int
    connect_ns: int
    request_ns: int
    requests_per_second: float
    cpu_ns_per_kib: float


def run_tcp_point(point: TcpPoint) -> TcpResult:
    """Measure one point. Raises NotSupported for a case that is not built."""
    pair = CASES[point.case].build(
        point.own_seed(), underlay_mtu=point.underlay_mtu, rate=point.rate, delay=point.delay, cost=point.cost
    )
    run = _Run(pair, point)
    task = pair.net.spawn(run.everything())
    pair.net.run()
    assert task.state == "finished", f"{point}: {task.waiting_for}"
    theory = full_size_efficiency(point.case, point.underlay_mtu, "tcp")
    requests = LatencyHistogram(tuple(run.requests_ns))
    return TcpResult(
        point=point,
        goodput_bps=round(point.size_bytes * 8 * NS_PER_S / run.stream_ns, 3),
        ceiling_bps=round(float(theory) * pair.rate_bps, 3) if pair.ports and pair.rate_bps else None,
        efficiency=round(point.size_bytes / run.wire_bytes, 6),
        theory_efficiency=round(float(theory), 6),
        maximum_segment=run.maximum_segment,
        retransmissions=run.retransmissions,
        connect_ns=LatencyHistogram(tuple(run.connects_ns)).percentile_ns(50),
        request_ns=requests.percentile_ns(50),
        requests_per_second=round(requests.count * NS_PER_S / sum(run.requests_ns), 3),
        cpu_ns_per_kib=round(run.cpu_ns * 1024 / point.size_bytes, 3),
    )


class _Run:
    """One run: connections, requests on one of them, and a stream."""

    def __init__(self, pair: Pair, point: TcpPoint) -> None:
        self._pair = pair
        self._point = point
        self._kernel = pair.net.kernel
        self._listener = pair.server.tcp_listen(SERVER_PORT)
        self._counting = False
        self.connects_ns: list[int] = []
        self.requests_ns: list[int] = []
        self.maximum_segment = self.retransmissions = self.wire_bytes = self.cpu_ns = 0
        self.stream_ns = 0
        device = pair.ports[1] if pair.ports else pair.server.interface("eth0").device
        device.add_tap(self._tap)

    def everything(self) -> Generator[Event, Any, None]:
        """Measure one thing after the other (a process)."""
        yield self._kernel.timeout(PAUSE_NS)
        for _ in range(CONNECTIONS + 1):
            yield from self._connect_once()
        del self.connects_ns[0]  # it had to ask for MAC addresses first
        yield from self._ask()
        yield from self._stream()
        self._listener.close()

    def _open(self, *, no_delay: bool) -> Generator[Event, Any, tuple[TcpSocket, TcpSocket]]:
        """Open a connection and return both ends."""
        accepted = self._listener.accept()
        client = self._pair.client.tcp_connect(
            self._pair.server_address, SERVER_PORT, no_delay=no_delay, congestion=self._point.congestion
        )
        yield client.connected
        server = yield accepted
        return client, server

    def _connect_once(self) -> Generator[Event, Any, None]:
        started_ns = self._kernel.now
        accepted = self._listener.accept()
        client = self._pair.client.tcp_connect(self._pair.server_address, SERVER_PORT)
        yield client.connected
        self.connects_ns.append(self._kernel.now - started_ns)
        server = yield accepted
        client.close()
        server.close()
        yield server.closed

    def _ask(self) -> Generator[Event, Any, None]:
        """Send a request, wait for the response, and so on."""
        client, server = yield from self._open(no_delay=True)
        server.no_delay = True
        self._kernel.spawn(_echo(server))
        request = bytes(REQUEST_BYTES)
        for _ in range(self._point.requests):
            started_ns = self._kernel.now
            yield client.send(request)
            left = REQUEST_BYTES
            while left:
                left -= len((yield client.recv(left)))
            self.requests_ns.append(self._kernel.now - started_ns)
        client.close()

    def _stream(self) -> Generator[Event, Any, None]:
        """Send everything in one direction."""
        client, server = yield from self._open(no_delay=False)
        started_ns, cpu_ns = self._kernel.now, self._cpu_used()
        self._counting = True
        sending = self._kernel.spawn(_send(client, self._point.size_bytes))
        left = self._point.size_bytes
        while left:
            left -= len((yield server.recv(left)))
        self._counting = False
        self.stream_ns, self.cpu_ns = self._kernel.now - started_ns, self._cpu_used() - cpu_ns
        yield sending
        info = client.info()
        self.maximum_segment, self.retransmissions = info.mss, info.retransmissions
        client.close()
        server.close()

    def _cpu_used(self) -> int:
        return sum(0 if host.cpu is None else host.cpu.used_ns for host in self._pair.net.hosts.values())

    def _tap(self, now_ns: int, frame: TappedFrame, direction: int, /) -> None:
        if self._counting and direction == DIRECTION_IN:
            self.wire_bytes += on_wire_bytes(len(frame.data))


def _echo(socket: TcpSocket) -> Generator[Event, Any, None]:
    """Send everything back."""
    while data := (yield socket.recv(BLOCK_BYTES)):
        yield socket.send(data)
    socket.close()


def _send(socket: TcpSocket, size_bytes: int) -> Generator[Event, Any, None]:
    """Send so many bytes, and the end of the stream."""
    block = bytes(BLOCK_BYTES)
    left = size_bytes
    while left:
        piece = min(left, BLOCK_BYTES)
        yield socket.send(block[:piece])
        left -= piece
    socket.shutdown("write")
