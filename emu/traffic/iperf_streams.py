"""The streams of an iperf test: what sends, what receives, and what each has counted."""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from emu.traffic.iperf_options import UDP_HEADER_BYTES, IperfOptions
from emu.traffic.iperf_rows import Address, IperfInterval

if TYPE_CHECKING:
    from emu.kernel import Kernel
    from emu.stack.tcp_socket import TcpSocket

SECOND = 1_000_000_000
PACING_NS = 1_000_000
"""A TCP stream that is ahead of its target bitrate looks again after this long (`--pacing-timer`)."""
TCP_IP_HEADER_BYTES = 52
_HEADER = struct.Struct("!III")
"""Of a datagram: seconds and microseconds of sending, number from 1."""


@dataclass(slots=True)
class Budget:
    """How many bytes all streams of a test may still send; None for no limit."""

    left: int | None

    def take(self, wanted: int) -> int:
        """Return how many bytes to send now."""
        if self.left is None:
            return wanted
        taken = min(wanted, self.left)
        self.left -= taken
        return taken


class Stream:
    """What all streams have: a number, two ends, and counters that grow until `stop`.

    stopped: nothing is counted any more. finished: an event, when there is nothing left to send or receive.
    """

    is_sender = False
    is_udp = False

    def __init__(self, kernel: Kernel, number: int, local: Address, remote: Address) -> None:
        self.kernel = kernel
        self.number = number
        self.local = local
        self.remote = remote
        self.bytes = 0
        self.packets = 0
        self.lost = 0
        self.out_of_order = 0
        self.jitter_ns = 0
        self.stopped = False
        self.finished = Event(kernel)
        self.finished.description = f"the data of iperf stream {number}"  # type: ignore[attr-defined]
        self._before = (0, 0, 0, 0, 0)

    @property
    def retransmits(self) -> int:
        """Segments sent again so far."""
        return 0

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Count no more, and send no more."""
        self.stopped = True

    def close(self) -> None:
        """Close the sockets."""

    def _count(self, size: int) -> None:
        """Count bytes, unless the test was stopped while they were on their way."""
        if not self.stopped:
            self.bytes += size

    def finish(self) -> None:
        """Say that there is nothing left to do."""
        if not self.finished.triggered:
            self.finished.succeed()

    def row(self, start_ns: int, end_ns: int) -> IperfInterval:
        """Return what was counted since the last row."""
        now = (self.bytes, self.packets, self.lost, self.out_of_order, self.retransmits)
        size, packets, lost, out_of_order, retransmits = (new - old for new, old in zip(now, self._before, strict=True))
        self._before = now
        more: dict[str, Any] = {}
        if self.is_udp:
            more["packets"] = packets
            if not self.is_sender:
                more |= {"packets": packets + lost, "lost": lost, "out_of_order": out_of_order}
                more["jitter_ns"] = self.jitter_ns
        elif self.is_sender:
            more = {"retransmits": retransmits, **self.connection_state()}
        return IperfInterval(self.number, start_ns, end_ns, size, self.is_sender, **more)

    def connection_state(self) -> dict[str, Any]:
        """Return what the sender's stack says of the connection."""
        return {}


class TcpSendStream(Stream):
    """Writes blocks as fast as the socket takes them, or at a target bitrate."""

    is_sender = True

    def __init__(self, kernel: Kernel, number: int, socket: TcpSocket, options: IperfOptions, budget: Budget) -> None:
        super().__init__(kernel, number, socket.local_address, _remote(socket))
        self._socket = socket
        self._block = bytes(index & 0xFF for index in range(options.length))
        self._rate_bps = options.rate_bps
        self._budget = budget
        self._started_ns = 0

    @property
    def retransmits(self) -> int:
        """Segments sent again so far."""
        return self._socket.info().retransmissions

    def start(self) -> None:
        """Begin to write."""
        self._started_ns = self.kernel.now
        self.kernel.spawn(self._write())

    def _write(self) -> Generator[Event, Any, None]:
        block = self._block
        while not self.stopped:
            size = self._budget.take(len(block))
            if not size:
                self._socket.shutdown("write")  # so that the receiver knows that it has everything
                break
            try:
                yield self._socket.send(block if size == len(block) else block[:size])
            except OSError:
                break
            self._count(size)
            if self._rate_bps:
                yield from self._pace()
        self.finish()

    def _pace(self) -> Generator[Event, Any, None]:
        """Wait until no more has been sent than the bitrate allows, in steps of the pacing timer."""
        due_ns = self.bytes * 8 * SECOND // self._rate_bps
        elapsed_ns = self.kernel.now - self._started_ns
        if due_ns > elapsed_ns:
            yield self.kernel.timeout(-((elapsed_ns - due_ns) // PACING_NS) * PACING_NS)

    def connection_state(self) -> dict[str, Any]:
        """Return what the stack says of the connection."""
        info = self._socket.info()
        return {
            "cwnd_bytes": info.cwnd_bytes, "rtt_ns": info.srtt_ns, "rttvar_ns": info.rttvar_ns,
            "pmtu": info.mss + TCP_IP_HEADER_BYTES, "send_window": info.send_window,
        }  # fmt: skip

    def close(self) -> None:
        """Close the connection; what is in the send buffer still goes out."""
        self._socket.close()


class TcpReceiveStream(Stream):
    """Reads until the end of the stream."""

    def __init__(self, kernel: Kernel, number: int, socket: TcpSocket, options: IperfOptions) -> None:
        super().__init__(kernel, number, socket.local_address, _remote(socket))
        self._socket = socket
        self._length = options.length

    def start(self) -> None:
        """Begin to read."""
        self.kernel.spawn(self._read())

    def _read(self) -> Generator[Event, Any, None]:
        while not self.stopped:
            try:
                data = yield self._socket.recv(self._length)
            except OSError:
                break
            if not data:
                break
            self._count(len(data))
        self.finish()

    def close(self) -> None:
        """Close the connection; with unread data it is reset, as in Linux."""
        self._socket.close()


class UdpSendStream(Stream):
    """Sends numbered datagrams at a steady pace.

    send: hands a payload to the socket; what it refuses for a moment (a full queue) is not sent again.
    """

    is_sender = True
    is_udp = True

    def __init__(
        self, kernel: Kernel, number: int, ends: tuple[Address, Address], send: Callable[[bytes], Any],
        options: IperfOptions, budget: Budget,
    ) -> None:  # fmt: skip
        super().__init__(kernel, number, *ends)
        self._send = send
        self._options = options
        self._budget = budget
        self._tail = bytes(options.length - UDP_HEADER_BYTES)
        self._started_ns = 0

    def start(self) -> None:
        """Begin to send."""
        self._started_ns = self.kernel.now
        self._tick(None)

    def _tick(self, _: None) -> None:
        if self.stopped:
            return
        now_ns = self.kernel.now
        size = self._budget.take(self._options.length)
        if size < UDP_HEADER_BYTES:
            self.finish()
            return
        number = self.packets + 1
        header = _HEADER.pack(now_ns // SECOND & 0xFFFFFFFF, now_ns % SECOND // 1000, number & 0xFFFFFFFF)
        self.packets = number
        self.bytes += size
        try:
            self._send(header + self._tail[: size - UDP_HEADER_BYTES])
        except OSError:
            self.lost += 1  # refused by the device; the receiver will miss the number
        due_ns = self._started_ns + self.packets * self._options.length * 8 * SECOND // self._options.rate_bps
        self.kernel.call_later(max(0, due_ns - now_ns), self._tick, None)


class UdpReceiveStream(Stream):
    """Counts datagrams, what is missing among their numbers, and jitter (RFC 3550, section 6.4.1).

    on_arrival: called after each.
    """

    is_udp = True

    def __init__(self, kernel: Kernel, number: int, ends: tuple[Address, Address]) -> None:
        super().__init__(kernel, number, *ends)
        self.on_arrival: Callable[[], None] | None = None
        self._highest = 0
        self._transit_ns: int | None = None
        self._jitter_16ths = 0

    def take(self, payload: bytes) -> None:
        """Count a datagram that has arrived."""
        if self.stopped or len(payload) < UDP_HEADER_BYTES:
            return
        seconds, microseconds, number = _HEADER.unpack_from(payload)
        self.bytes += len(payload)
        self.packets += 1
        if number > self._highest:
            self.lost += number - self._highest - 1
            self._highest = number
        else:
            self.out_of_order += 1
            self.lost = max(0, self.lost - 1)
        transit_ns = self.kernel.now - seconds * SECOND - microseconds * 1000
        if self._transit_ns is not None:
            self._jitter_16ths += abs(transit_ns - self._transit_ns) - (self._jitter_16ths + 8) // 16
            self.jitter_ns = self._jitter_16ths // 16
        self._transit_ns = transit_ns
        if self.on_arrival is not None:
            self.on_arrival()


def _remote(socket: TcpSocket) -> Address:
    remote = socket.remote_address
    assert remote is not None, "a stream is connected"
    return remote
