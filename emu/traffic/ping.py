"""The `ping` program: iputils' options, timing, payload and text; BusyBox's where a recording asks for it."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from emu.kernel.jiffies import wheel_expiry_ns
from emu.traffic.ping_options import MILLISECOND, SECOND, PingOptions
from emu.traffic.ping_payload import payload_of, stamped, timed_bytes
from emu.traffic.ping_result import PingResult
from emu.traffic.ping_text import FLAVOURS, PingStatistics, PingText
from emu.wire.address import ipv4_to_bytes, ipv4_to_text

if TYPE_CHECKING:
    from emu.stack import Namespace

_SHORT_SLEEP_MS = 10
_CONNECT_ERRORS = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)
"""What Linux says of a destination that cannot be reached or is a broadcast address."""
_BUSY_MS = 500
"""iputils waits no longer than this before it tries again what the device refused."""


class Ping:
    """One run of ping in a namespace. `yield from Ping(...).run()` in a process gives its PingResult.

    namespace: where it runs.
    address: IPv4 address of the target, as text.
    options: see PingOptions.
    name: what the user typed, shown in the text; the address when not given.
    name_of: looks up the name of an address, for lines such as `64 bytes from db.shop (10.0.9.3): …`; iputils does so
        unless the user typed an address, BusyBox never.

    Limits: no `-f`, `-A`, `-l`, `-R`; the program itself takes no time between being woken and sending.
    Source: iputils 20221126 ping_common.c (pinger, main_loop, schedule_exit, gather_statistics).
    """

    __slots__ = (
        "_acknowledged",
        "_address",
        "_alarm",
        "_busy_count",
        "_connected",
        "_counts",
        "_done",
        "_inbox",
        "_kernel",
        "_last_send_ns",
        "_lines",
        "_name",
        "_name_of",
        "_namespace",
        "_options",
        "_payload",
        "_rtts_ns",
        "_seen",
        "_sent_ns",
        "_sleep",
        "_socket",
        "_started_ns",
        "_text",
        "_wake_is_due",
        "address",
    )

    def __init__(
        self,
        namespace: Namespace,
        address: str,
        options: PingOptions | None = None,
        *,
        name: str | None = None,
        name_of: Callable[[str], str | None] | None = None,
    ) -> None:
        self.address = address if address != "0.0.0.0" else "127.0.0.1"  # that is where it leads
        self._address = ipv4_to_bytes(self.address)
        self._namespace = namespace
        self._kernel = namespace.kernel
        self._options = options if options is not None else PingOptions()
        self._name = name or address
        self._name_of = name_of if self._options.flavour == "iputils" else None
        self._text: type[PingText] = FLAVOURS[self._options.flavour]
        self._payload = payload_of(self._options)
        self._counts = PingStatistics()
        self._rtts_ns: list[int] = []
        self._lines: list[str] = []
        self._inbox: deque[tuple[Any, ...]] = deque()
        self._sent_ns: dict[int, int] = {}
        self._seen: set[int] = set()
        self._acknowledged = 0
        self._started_ns = 0
        self._last_send_ns: int | None = None
        self._busy_count = 0
        self._connected = True
        self._wake_is_due = False
        self._socket: Any = None
        self._done: Event | None = None
        self._sleep = self._kernel.timer(self._slept)
        self._alarm = self._kernel.timer(self._finish)

    def run(self) -> Generator[Event, Any, PingResult]:
        """Run to the end (a process); the socket is closed also when the process is stopped."""
        self._done = Event(self._kernel)
        self._done.description = f"answers from {self.address}"  # type: ignore[attr-defined]
        self._socket = socket = self._namespace.ping_socket(ident=self._identifier())
        socket.on_reply = self._on_reply
        socket.on_error = self._on_error
        try:
            if self._options.deadline_ns is not None:
                self._alarm.start(self._options.deadline_ns)
            self._lines.append(self._text.header(self._name, self.address, self._options.size))
            self._started_ns = self._kernel.now
            self._send_and_sleep()
            yield self._done
        finally:
            self._sleep.stop()
            self._alarm.stop()
            socket.close()
        return self.result

    @property
    def result(self) -> PingResult:
        """The result so far."""
        counts = self._counts
        elapsed_ns = 0 if self._last_send_ns is None else self._last_send_ns - self._started_ns
        text = self._lines
        if self._connected:
            text = [*self._lines, "", *self._text.summary(self._name, counts, elapsed_ns)]
        return PingResult(
            target=self.address,
            transmitted=counts.transmitted,
            received=counts.received,
            duplicates=counts.duplicates,
            errors=counts.errors,
            rtts_ns=tuple(self._rtts_ns),
            text="\n".join(text) + "\n",
        )

    # -- the main loop: one call per time that the real program wakes up ----------------

    def _identifier(self) -> int | None:
        """Return BusyBox's echo identifier, its small process id; None lets the stack choose one, as for iputils."""
        if self._options.flavour != "busybox":
            return None
        return self._kernel.random(f"process ids of {self._namespace.name}").randrange(2, 256)

    def _main_loop(self) -> None:
        """Leave, or send what is due, and go to sleep."""
        if self._is_finished():
            self._finish(None)
        else:
            self._send_and_sleep()

    def _send_and_sleep(self) -> None:
        remaining_ms = self._send_if_due()
        if self._all_sent() and not self._alarm.pending:
            self._alarm.start(self._linger_ns())
        self._go_to_sleep(remaining_ms)

    def _send_if_due(self) -> int:
        """Send the next request if its time has come; return how many ms there are until the one after it."""
        interval_ms = self._options.interval_ns // MILLISECOND
        if self._all_sent():
            return 1000
        if self._last_send_ns is not None:
            elapsed_ms = (self._kernel.now - self._last_send_ns) // MILLISECOND
            if elapsed_ms < interval_ms:
                return interval_ms - elapsed_ms
        return self._send(interval_ms)

    def _go_to_sleep(self, remaining_ms: int) -> None:
        """Sleep as iputils does: an exact poll for a rest of the interval, else recvmsg() with the socket's timeout."""
        kernel = self._kernel
        interval_ms = self._options.interval_ns // MILLISECOND
        if self._done is None or self._done.triggered:
            return
        assert self._last_send_ns is not None
        if self._options.flavour == "busybox":  # an alarm clock, exact
            if not self._all_sent():
                self._sleep.start_at(self._last_send_ns + self._options.interval_ns)
        elif remaining_ms < max(interval_ms, _SHORT_SLEEP_MS):
            if remaining_ms <= _SHORT_SLEEP_MS and self._in_flight() <= 0:
                # it spins: the clock decides
                self._sleep.start_at(self._last_send_ns + self._options.interval_ns)
            else:
                self._sleep.start(max(remaining_ms, 1) * MILLISECOND)
        else:
            self._sleep.start_at(wheel_expiry_ns(kernel.now, min(self._options.interval_ns, SECOND)))

    def _slept(self, _: None) -> None:
        """The timeout is over: the program runs after the kernel's own timers of this instant and what they started."""
        self._kernel.call_later(0, self._queue_for_cpu)

    def _queue_for_cpu(self, _: None) -> None:
        cpu = self._namespace.cpu
        if cpu is None or not cpu.start(self._scheduled):
            self._scheduled(None)

    def _scheduled(self, _: None) -> None:
        self._namespace.wake(self._woken, None)

    def _woken(self, _: None) -> None:
        self._wake_soon()

    def _wake_soon(self) -> None:
        """Let the program run after everything that happens at this instant, as a woken process does."""
        if not self._wake_is_due:
            self._wake_is_due = True
            self._kernel.soon(self._wake, None)

    def _wake(self, _: None) -> None:
        self._wake_is_due = False
        assert self._done is not None
        if self._done.triggered:
            return
        inbox = self._inbox
        while inbox:
            handler, *arguments = inbox.popleft()
            handler(*arguments)
        self._main_loop()

    def _is_finished(self) -> bool:
        counts, options = self._counts, self._options
        if options.deadline_ns is not None and counts.errors:
            return True
        if options.flavour == "busybox":
            return options.count is not None and counts.received >= options.count
        return options.count is not None and counts.received + counts.errors >= options.count

    def _all_sent(self) -> bool:
        options = self._options
        return options.count is not None and options.deadline_ns is None and (
            self._counts.transmitted >= options.count
        )  # fmt: skip

    def _linger_ns(self) -> int:
        """Return how long to wait after the last request: twice the slowest answer so far, or the timeout."""
        if not self._counts.received:
            return self._options.timeout_ns
        twice_ns = 2 * max(self._counts.triptimes_us, default=0) * 1000
        if self._options.flavour == "busybox":
            return max(SECOND, twice_ns // 1_048_576_000 * SECOND)
        return max(twice_ns, self._options.interval_ns)

    def _in_flight(self) -> int:
        return self._counts.transmitted - self._acknowledged

    def _finish(self, _: None) -> None:
        self._sleep.stop()
        self._alarm.stop()
        assert self._done is not None
        if not self._done.triggered:
            self._done.succeed()

    # -- sending ----------------------------------------

    def _send(self, interval_ms: int) -> int:
        """Send the next request, or print why it could not be sent; return how many ms to sleep before the next."""
        counts = self._counts
        self._last_send_ns = now_ns = self._kernel.now
        sequence = counts.transmitted + self._text.first_sequence
        try:
            self._send_echo(sequence, now_ns)
            self._busy_count = 0
        except OSError as error:
            if error.errno == errno.ENOBUFS and self._tries_again(interval_ms):
                return min(interval_ms // 2, _BUSY_MS)
            self._send_failed(error)
        if self._connected:
            counts.transmitted += 1
            self._sent_ns[sequence] = now_ns
            self._sent_ns.pop(sequence - 65536, None)  # that number is used again
        return interval_ms

    def _send_echo(self, sequence: int, now_ns: int) -> None:
        options = self._options
        self._socket.send_echo(
            self._address,
            sequence & 0xFFFF,
            stamped(self._payload, now_ns, options),
            ttl=options.ttl,
            dont_fragment=options.dont_fragment,
            tos=options.tos,
        )

    def _tries_again(self, interval_ms: int) -> bool:
        """Whether iputils silently sends the same request again when the device refused it (ENOBUFS).

        It does so until half an interval per attempt would have taken as long as `-W`; from then on it complains.
        """
        self._busy_count += 1
        pause_ms = min(interval_ms // 2, _BUSY_MS)
        return self._options.flavour == "iputils" and (
            self._busy_count * pause_ms * MILLISECOND < self._options.timeout_ns
        )

    def _send_failed(self, error: OSError) -> None:
        counts = self._counts
        if error.errno == errno.EMSGSIZE:
            counts.errors += 1
            mtu = getattr(error, "mtu", None)
            self._lines.append(self._text.too_long(mtu if mtu is not None else 0))
        elif error.errno in _CONNECT_ERRORS and not counts.transmitted:
            # iputils connects a socket first and gives up before it prints anything; BusyBox dies while it sends
            self._connected = False
            if self._options.flavour == "iputils":
                self._lines.clear()
            self._lines.append(self._text.no_route(_error_text(error)))
            self._finish(None)
        elif error.errno != errno.ENOBUFS or self._options.flavour == "iputils":
            self._lines.append(self._text.send_failed(_error_text(error)))
        # BusyBox did not ask for errors (IP_RECVERR), so the kernel does not tell it that the device refused

    # -- receiving ----------------------------------------

    def _on_reply(self, source: bytes, sequence: int, payload: bytes, ttl: int) -> None:
        """Take an echo reply from the socket; the program sees it when it wakes."""
        self._inbox.append((self._reply, source, sequence, payload, ttl, self._kernel.now))
        self._wake_soon()

    def _on_error(self, source: bytes, sequence: int, icmp_type: int, code: int, info: int) -> None:
        """Take an ICMP error that quotes one of our requests."""
        self._inbox.append((self._error, source, sequence, icmp_type, code, info))
        self._wake_soon()

    def _reply(self, source: bytes, sequence: int, payload: bytes, ttl: int, arrival_ns: int) -> None:
        counts = self._counts
        full_sequence = self._full_sequence(sequence)
        sent_ns = self._sent_ns.get(full_sequence)
        if sent_ns is None:
            return  # a sequence number that was never sent
        self._acknowledge(full_sequence)
        duplicate = full_sequence in self._seen
        self._seen.add(full_sequence)
        if duplicate:
            counts.duplicates += 1
        else:
            counts.received += 1
        self._rtts_ns.append(arrival_ns - sent_ns)
        triptime_us = None
        if self._options.size >= timed_bytes(self._options):
            triptime_us = arrival_ns // 1000 - sent_ns // 1000
            counts.triptimes_us.append(triptime_us)
        line = self._text.reply(len(payload) + 8, self._shown(source), full_sequence, ttl, triptime_us, duplicate)
        self._lines.append(line)

    def _error(self, source: bytes, sequence: int, icmp_type: int, code: int, info: int) -> None:
        if self._options.flavour == "busybox":
            return  # it reads only echo replies
        full_sequence = self._full_sequence(sequence)
        self._acknowledge(full_sequence)
        self._counts.errors += 1
        line = self._text.error(self._shown(source), full_sequence, icmp_type, code, info)
        if line is not None:
            self._lines.append(line)

    def _shown(self, source: bytes) -> str:
        """Return how a reporter is called: its name, if it has one that is looked up, and its address."""
        address = ipv4_to_text(source)
        name = self._name_of(address) if self._name_of is not None else None
        return f"{name} ({address})" if name is not None else address

    def _full_sequence(self, sequence: int) -> int:
        """Return the count behind a 16-bit sequence number: the newest request that carried it."""
        newest = self._counts.transmitted - 1 + self._text.first_sequence
        return newest - ((newest - sequence) & 0xFFFF)

    def _acknowledge(self, sequence: int) -> None:
        """Note that the network has dealt with a request; `pipe` is the most that were under way at once."""
        counts = self._counts
        count = sequence + 1 - self._text.first_sequence
        counts.pipe = max(counts.pipe, counts.transmitted - count + 1)
        self._acknowledged = max(self._acknowledged, count)


def _error_text(error: OSError) -> str:
    texts = {
        errno.ENETUNREACH: "Network is unreachable",
        errno.EHOSTUNREACH: "No route to host",
        errno.ENOBUFS: "No buffer space available",
        errno.EACCES: "Permission denied",
        errno.EPERM: "Operation not permitted",
        errno.EINVAL: "Invalid argument",
    }
    return texts.get(error.errno or 0) or error.strerror or str(error)
