"""A stream of UDP datagrams and the sink that counts it.

The sender is paced by light kernel callbacks and the sink hangs on the socket's callback, so a flow costs no process
per datagram. With `numbered=True` each datagram carries its number and sending time in the first 16 bytes, from which
the sink tells losses, duplicates, reordering and jitter.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from emu.kernel.errors import InvalidValue
from emu.kernel.units import format_rate_bps, parse_rate_bps, parse_size_bytes, parse_time_ns

if TYPE_CHECKING:
    from emu.stack import Namespace

NS_PER_S = 1_000_000_000
PAYLOAD_MAX = 65_507
STAMP = struct.Struct("!QQ")
"""What a numbered datagram begins with: its number from 0 and the virtual time of sending in ns."""
GAP_MAX = 1_000_000
"""A number further ahead than this is taken for the payload of a sender that does not number its datagrams."""
_RESENDABLE = (errno.ENOBUFS, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EMSGSIZE)
"""Errors that concern one datagram: refused by a device, or reported late by ICMP for an earlier one."""


@dataclass(frozen=True, slots=True)
class UdpSendResult:
    """What a sender did: datagrams handed to the stack, their payload bytes, and how many it refused, by error."""

    sent: int
    bytes: int
    refused: dict[str, int]
    started_ns: int
    finished_ns: int

    @property
    def outcome(self) -> str:
        """One line for result tables."""
        refused = sum(self.refused.values())
        return f"{self.sent} datagrams sent" + (f", {refused} refused" if refused else "")


class UdpSender:
    """Sends datagrams at a steady pace. `yield from UdpSender(...).run()` in a process gives its UdpSendResult.

    namespace, address, port: where it runs and whom it sends to.
    size: payload bytes, 0..65507 (at least 16 when numbered).
    rate: bits of payload per second ("10Mbit" or an int); or
    interval: time between datagrams ("1ms" or ns); one of the two.
    count: how many datagrams; None goes on until `duration` (a time since the start) has passed. At least one of
    the two, or the run never ends by itself.
    source_port: own port; 0 takes an ephemeral one.
    numbered: write number and time into each datagram.

    Gaps between datagrams are kept exactly on average: the k-th leaves at start + k * size * 8 / rate, rounded down
    to a whole ns. A datagram that the stack refuses (ENOBUFS, or an ICMP error for an earlier one) is counted and not
    repeated. Raises InvalidValue for values out of range.
    Limits: no bursts; a blocked sender does not wait, as a UDP socket with a full buffer would.
    """

    __slots__ = (
        "_address",
        "_bytes",
        "_count",
        "_denominator",
        "_done",
        "_kernel",
        "_namespace",
        "_next",
        "_numerator",
        "_payload",
        "_port",
        "_refused",
        "_send",
        "_source_port",
        "_started_ns",
        "_stop_ns",
        "_stopped",
        "_tail",
        "finished_ns",
        "sent",
    )

    def __init__(
        self,
        namespace: Namespace,
        address: str,
        port: int,
        *,
        size: int | str = 1000,
        rate: int | str | None = None,
        interval: int | str | None = None,
        count: int | None = None,
        duration: int | str | None = None,
        source_port: int = 0,
        numbered: bool = False,
    ) -> None:
        payload_bytes = parse_size_bytes(size)
        least = STAMP.size if numbered else 0
        if not least <= payload_bytes <= PAYLOAD_MAX:
            raise InvalidValue(f"udp: size must be {least} to {PAYLOAD_MAX} bytes, not {payload_bytes}")
        if (rate is None) == (interval is None):
            raise InvalidValue('udp: say either rate (such as "10Mbit") or interval (such as "1ms")')
        if count is None and duration is None:
            raise InvalidValue("udp: say how many datagrams (count) or how long (duration), or it never ends")
        if count is not None and (type(count) is not int or count < 1):
            raise InvalidValue(f"udp: count must be 1 or more, not {count!r}")
        for number, lowest in ((port, 1), (source_port, 0)):
            if type(number) is not int or not lowest <= number <= 65535:
                raise InvalidValue(f"udp: a port is a number from 1 to 65535, not {number!r}")
        self._namespace = namespace
        self._kernel = namespace.kernel
        self._address = address
        self._port = port
        self._source_port = source_port
        self._numerator, self._denominator = _pace(payload_bytes, rate, interval)
        self._count = count
        self._stop_ns = None if duration is None else parse_time_ns(duration)
        self._payload = bytes(index & 0xFF for index in range(payload_bytes))
        self._tail = self._payload[STAMP.size :] if numbered else None
        self._done: Event | None = None
        self._send: Callable[[bytes], Any] = _not_open
        self._next = 0
        self._started_ns = 0
        self._stopped = False
        self._refused: dict[str, int] = {}
        self._bytes = 0
        self.sent = 0
        self.finished_ns = 0

    def run(self) -> Generator[Event, Any, UdpSendResult]:
        """Send everything (a process); the socket is closed at the end, also when the process is stopped."""
        self._done = Event(self._kernel)
        self._done.description = f"the UDP flow to {self._address}:{self._port} to end"  # type: ignore[attr-defined]
        socket = self._namespace.udp_socket()
        try:
            if self._source_port:
                socket.bind("0.0.0.0", self._source_port)  # every address of the sandbox
            socket.connect(self._address, self._port)
            self._send = socket.send
            self._started_ns = self._kernel.now
            self._tick(None)
            yield self._done
        finally:
            self._stopped = True
            socket.close()
        return self.result

    @property
    def result(self) -> UdpSendResult:
        """The result so far."""
        return UdpSendResult(self.sent, self._bytes, dict(self._refused), self._started_ns, self.finished_ns)

    def _tick(self, _: None) -> None:
        """Send one datagram and plan the next."""
        if self._stopped:
            return
        kernel = self._kernel
        payload = self._payload
        if self._tail is not None:
            payload = STAMP.pack(self._next, kernel.now) + self._tail
        try:
            self._send(payload)
        except OSError as error:
            self._count_refusal(error)
        else:
            self.sent += 1
            self._bytes += len(payload)
        self._next = index = self._next + 1
        self.finished_ns = kernel.now
        offset_ns = index * self._numerator // self._denominator
        if (self._count is not None and index >= self._count) or (
            self._stop_ns is not None and offset_ns >= self._stop_ns
        ):
            assert self._done is not None
            self._done.succeed()
            return
        kernel.call_later(self._started_ns + offset_ns - kernel.now, self._tick, None)

    def _count_refusal(self, error: OSError) -> None:
        if error.errno not in _RESENDABLE:
            raise error
        name = errno.errorcode[error.errno]
        self._refused[name] = self._refused.get(name, 0) + 1


@dataclass(frozen=True, slots=True)
class UdpReceiveResult:
    """What a sink counted.

    received, bytes: datagrams and payload bytes, duplicates included.
    lost, duplicates, reordered: from the numbers in the datagrams; None when they are not numbered. A datagram is
    reordered when a later one was received before it; lost counts the gaps below the highest number seen.
    jitter_ns: RFC 3550, section 6.4.1, in ns; None when not numbered.
    """

    received: int
    bytes: int
    first_ns: int | None
    last_ns: int | None
    lost: int | None
    duplicates: int | None
    reordered: int | None
    jitter_ns: int | None

    @property
    def rate_bps(self) -> int:
        """Payload bits per second between the first and the last datagram; 0 with fewer than two."""
        if self.first_ns is None or self.last_ns is None or self.last_ns == self.first_ns:
            return 0
        return self.bytes * 8 * NS_PER_S // (self.last_ns - self.first_ns)

    @property
    def outcome(self) -> str:
        """One line for result tables."""
        text = f"{self.received} datagrams received, {format_rate_bps(self.rate_bps)}"
        if self.lost is not None:
            text += f", {self.lost} lost, {self.reordered} reordered"
        return text


class UdpSink:
    """Counts the datagrams that arrive at a port until it is closed; it does not keep a run alive.

    numbered: read the numbers that `UdpSender(numbered=True)` writes.
    Raises OSError (EADDRINUSE) when the port is taken.
    Limits: the numbers of one sender at a time; it remembers every missing number, and believes in gaps of up to a
    million.
    """

    __slots__ = (
        "_duplicates",
        "_expected",
        "_jitter_16ths",
        "_kernel",
        "_missing",
        "_numbered",
        "_reordered",
        "_socket",
        "_transit_ns",
        "bytes",
        "first_ns",
        "last_ns",
        "received",
    )

    def __init__(self, namespace: Namespace, port: int, *, address: str = "0.0.0.0", numbered: bool = False) -> None:
        self._kernel = namespace.kernel
        self._numbered = numbered
        self._missing: set[int] = set()
        self._expected = 0
        self._duplicates = 0
        self._reordered = 0
        self._transit_ns: int | None = None
        self._jitter_16ths = 0
        self.received = 0
        self.bytes = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self._socket = namespace.udp_socket()
        self._socket.bind(address, port)
        self._socket.on_datagram = self._on_datagram

    def close(self) -> None:
        """Free the port; what was counted stays."""
        self._socket.close()

    @property
    def result(self) -> UdpReceiveResult:
        """What was counted so far."""
        numbered = self._numbered
        return UdpReceiveResult(
            received=self.received,
            bytes=self.bytes,
            first_ns=self.first_ns,
            last_ns=self.last_ns,
            lost=len(self._missing) if numbered else None,
            duplicates=self._duplicates if numbered else None,
            reordered=self._reordered if numbered else None,
            jitter_ns=self._jitter_16ths // 16 if numbered else None,
        )

    def _on_datagram(self, payload: bytes, source: object, frame: object) -> None:
        now_ns = self._kernel.now
        self.received += 1
        self.bytes += len(payload)
        self.last_ns = now_ns
        if self.first_ns is None:
            self.first_ns = now_ns
        if self._numbered and len(payload) >= STAMP.size:
            self._account(now_ns, *STAMP.unpack_from(payload))

    def _account(self, now_ns: int, number: int, sent_ns: int) -> None:
        """Bring losses, reordering and jitter up to date with one datagram."""
        if sent_ns > now_ns or number - self._expected > GAP_MAX:
            return  # not a number: the sender does not write any
        if number >= self._expected:
            self._missing.update(range(self._expected, number))
            self._expected = number + 1
        elif number in self._missing:
            self._missing.discard(number)
            self._reordered += 1
        else:
            self._duplicates += 1
            return
        transit_ns = now_ns - sent_ns
        if self._transit_ns is not None:
            # J += (|D| - J) / 16 in sixteenths, as RFC 3550's sample code does it with integers
            self._jitter_16ths += abs(transit_ns - self._transit_ns) - (self._jitter_16ths + 8) // 16
        self._transit_ns = transit_ns


def _pace(payload_bytes: int, rate: int | str | None, interval: int | str | None) -> tuple[int, int]:
    """Return the time between datagrams as a fraction of ns."""
    if interval is not None:
        interval_ns = parse_time_ns(interval)
        if interval_ns < 1:
            raise InvalidValue(f"udp: interval must be at least 1 ns, not {interval!r}")
        return interval_ns, 1
    assert rate is not None
    rate_bps = parse_rate_bps(rate)
    if rate_bps < 1:
        raise InvalidValue(f"udp: rate must be at least 1 bit per second, not {rate!r}")
    if payload_bytes == 0:
        raise InvalidValue("udp: datagrams without payload have no rate; give an interval instead")
    return payload_bytes * 8 * NS_PER_S, rate_bps


def _not_open(payload: bytes) -> None:
    raise AssertionError("the sender was used before it ran")


__all__ = ["UdpReceiveResult", "UdpSendResult", "UdpSender", "UdpSink"]
