"""The `traceroute` program: probes with growing TTL, several at a time, until the target answers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simpy.events import Event

from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_time_ns
from emu.traffic.traceroute_probes import IcmpProbes, Probe, ProbeMethod, TcpProbes, UdpProbes
from emu.traffic.traceroute_text import TraceHop, TraceProbe, header, hop_line

if TYPE_CHECKING:
    from emu.stack import Namespace

PROTOCOLS = {"udp": 28, "icmp": 28, "tcp": 60}
"""Method -> bytes of IP and protocol headers; the packets of TCP probes cannot be longer."""
FIRST_PORTS = {"udp": 33434, "icmp": 0, "tcp": 80}
SIMULTANEOUS = 16
"""How many probes are under way at once (`-N`)."""
WAIT_PRECISION_NS = 1_000_000
HERE_FACTOR, NEAR_FACTOR = 3, 10
"""A probe waits this many times as long as another one of its hop, or of a later hop, took (`-w max,here,near`)."""


@dataclass(frozen=True, slots=True)
class TracerouteOptions:
    """What `traceroute` was asked to do; the option letters are those of Linux's.

    protocol: "udp" (default), "icmp" (`-I`) or "tcp" (`-T`). port: first port of UDP, port of TCP (`-p`), 1 to 65535.
    first_ttl, max_ttl: `-f`, `-m`, 1 to 255. queries: probes per hop (`-q`, 1 to 10).
    timeout_ns: the longest that a probe is waited for (`-w`). size: bytes of the whole packet.
    tos: IP type of service (`-t`).
    """

    protocol: str = "udp"
    port: int = 33434
    first_ttl: int = 1
    max_ttl: int = 30
    queries: int = 3
    timeout_ns: int = 5_000_000_000
    size: int = 60
    tos: int = 0


def traceroute_options(
    *,
    protocol: str = "udp",
    port: int | None = None,
    first_ttl: int = 1,
    max_ttl: int = 30,
    queries: int = 3,
    timeout: str | int = "5s",
    size: int = 60,
    tos: int = 0,
) -> TracerouteOptions:
    """Return checked options; raises InvalidValue naming what is wrong."""
    if not isinstance(protocol, str) or protocol not in PROTOCOLS:
        raise InvalidValue(f'traceroute: protocol must be "udp", "icmp" or "tcp", not {protocol!r}')
    if port is not None and protocol == "icmp":
        raise InvalidValue("traceroute: ICMP has no ports; leave port out")
    least = PROTOCOLS[protocol]
    most = least if protocol == "tcp" else 65535
    for name, value, low, high in (
        ("port", 1 if port is None else port, 1, 65535),
        ("max_ttl", max_ttl, 1, 255),
        ("first_ttl", first_ttl, 1, max_ttl if type(max_ttl) is int else 255),
        ("queries", queries, 1, 10),
        ("size", size, least, most),
        ("tos", tos, 0, 255),
    ):
        if type(value) is not int or not low <= value <= high:
            raise InvalidValue(f"traceroute: {name} must be {low} to {high}, not {value!r}")
    timeout_ns = parse_time_ns(timeout, "timeout")
    if timeout_ns == 0:
        raise InvalidValue("traceroute: timeout must be longer than 0")
    return TracerouteOptions(
        protocol=protocol,
        port=FIRST_PORTS[protocol] if port is None else port,
        first_ttl=first_ttl,
        max_ttl=max_ttl,
        queries=queries,
        timeout_ns=timeout_ns,
        size=size,
        tos=tos,
    )


@dataclass(frozen=True, slots=True)
class TracerouteResult:
    """What a traceroute found out.

    target: the address. hops: in the order of their TTL. reached: whether the target itself answered.
    text: what the program printed.
    """

    target: str
    hops: tuple[TraceHop, ...]
    reached: bool
    text: str

    @property
    def outcome(self) -> str:
        """One line for result tables."""
        count = len(self.hops)
        return f"{count} {'hop' if count == 1 else 'hops'}, target {'reached' if self.reached else 'not reached'}"

    def __str__(self) -> str:
        return self.text


class Traceroute:
    """One run of traceroute in a namespace. `yield from Traceroute(...).run()` in a process gives its result.

    namespace: where it runs. address: IPv4 address of the target. options: see TracerouteOptions.
    name: what the user typed. name_of: looks up the name of an address.
    Probes of up to 16 are under way at once, one after the other as the CPU has done its work on the last one.
    Limits: what comes for a probe that was given up is not looked at again (traceroute may move it to an earlier hop);
    no path MTU discovery, no source routing; times of echo replies include waking the program.
    Source: traceroute 2.1.2 (traceroute(8), and runs of it between namespaces of Linux 6.18).
    """

    def __init__(
        self,
        namespace: Namespace,
        address: str,
        options: TracerouteOptions | None = None,
        *,
        name: str | None = None,
        name_of: Callable[[str], str | None] | None = None,
    ) -> None:
        self.address = address
        self._namespace = namespace
        self._kernel = namespace.kernel
        self._options = options or TracerouteOptions()
        self._name = name or address
        self._name_of = name_of or (lambda address: None)
        queries = self._options.queries
        first, end = (self._options.first_ttl - 1) * queries, self._options.max_ttl * queries
        self._probes = [Probe(index, index // queries + 1) for index in range(end)]
        self._start, self._end = first, end
        self._first = first
        self._failure: str | None = None
        self._method: ProbeMethod | None = None
        self._done: Event | None = None
        self._turn_is_due = False
        self._timer = self._kernel.timer(self._woken)

    def run(self) -> Generator[Event, None, TracerouteResult]:
        """Run to the end (a process); everything is closed also when the process is stopped."""
        self._done = Event(self._kernel)
        self._done.description = f"answers on the way to {self.address}"  # type: ignore[attr-defined]
        self._method = self._make_method()
        try:
            self._turn()
            yield self._done
        finally:
            self._timer.stop()
            self._method.close()
        return self.result

    def _make_method(self) -> ProbeMethod:
        options = self._options
        data_bytes = options.size - PROTOCOLS[options.protocol]
        if options.protocol == "icmp":
            return IcmpProbes(self._namespace, self.address, data_bytes, options.tos, self._answered)
        if options.protocol == "tcp":
            return TcpProbes(self._namespace, self.address, options.port, options.tos, self._answered)
        return UdpProbes(self._namespace, self.address, options.port, data_bytes, options.tos, self._answered)

    @property
    def result(self) -> TracerouteResult:
        """The result so far."""
        options = self._options
        shown = self._probes[self._first : self._start]
        hops: list[TraceHop] = []
        for index in range(0, len(shown), options.queries):
            group = shown[index : index + options.queries]
            answers = tuple(TraceProbe(probe.address, probe.rtt_ns, probe.mark) for probe in group)
            hops.append(TraceHop(group[0].ttl, answers))
        lines = [header(self._name, self.address, options.max_ttl, options.size)]
        lines += [hop_line(hop, self._name_of) for hop in hops]
        if self._failure is not None:
            lines.append(self._failure)
        reached = any(probe.address == self.address and probe.final for probe in shown)
        return TracerouteResult(self.address, tuple(hops), reached, "\n".join(lines) + "\n")

    # -- one turn of the program --------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Take stock of the probes under way, send what may be sent, and sleep until the next answer or timeout."""
        assert self._done is not None
        if self._done.triggered:
            return
        self._take_stock()
        if self._start >= self._end:
            self._done.succeed()
            return
        under_way = [probe for probe in self._probes[self._start : self._end] if not probe.done][:SIMULTANEOUS]
        unsent = next((probe for probe in under_way if probe.sent_ns is None), None)
        if unsent is None:
            self._timer.start_at(max(self._kernel.now, min(self._expiry_ns(probe) for probe in under_way)))
            return
        if self._send(unsent):
            cpu = self._namespace.cpu
            self._timer.start_at(self._kernel.now if cpu is None else max(self._kernel.now, cpu.busy_until_ns))

    def _take_stock(self) -> None:
        """Give up what has waited too long, and pass over what is done at the front."""
        now_ns = self._kernel.now
        for probe in self._probes[self._start : self._end]:
            if probe.sent_ns is None:
                break
            if not probe.done and self._expiry_ns(probe) <= now_ns:
                probe.done = True
        while self._start < self._end and self._probes[self._start].done:
            self._start += 1

    def _send(self, probe: Probe) -> bool:
        """Send a probe; without a way to the target the program says why and ends."""
        assert self._method is not None
        assert self._done is not None
        probe.sent_ns = self._kernel.now
        try:
            self._method.send(probe)
        except OSError as error:
            self._failure = f"connect: {error.strerror}"
            self._done.succeed()
            return False
        return True

    def _expiry_ns(self, probe: Probe) -> int:
        """Return until when a probe is waited for: a multiple of what others of its hop, or of later ones, took."""
        assert probe.sent_ns is not None
        queries = self._options.queries
        hop = probe.index - probe.index % queries
        longest_ns = self._options.timeout_ns
        for factor, others in (
            (HERE_FACTOR, self._probes[hop : hop + queries]),
            (NEAR_FACTOR, self._probes[probe.index + 1 : self._start + SIMULTANEOUS + queries]),
        ):
            for other in others:
                if other.rtt_ns:
                    return probe.sent_ns + min(longest_ns, (other.rtt_ns + WAIT_PRECISION_NS) * factor)
        return probe.sent_ns + longest_ns

    def _answered(self, probe: Probe, address: str, mark: str, final: bool) -> None:
        """Note an answer at the time of its arrival; the program sees it when it has been woken."""
        if probe.done or probe.sent_ns is None:
            return
        probe.address, probe.mark, probe.final, probe.done = address, mark, final, True
        probe.rtt_ns = self._kernel.now - probe.sent_ns
        if final:  # the hops behind this one are not asked for, or not printed
            self._end = min(self._end, probe.ttl * self._options.queries)
        if not self._turn_is_due:
            self._turn_is_due = True
            self._namespace.wake(self._woken, None)

    def _woken(self, _: None) -> None:
        self._turn_is_due = False
        self._turn()


__all__ = ["Traceroute", "TracerouteOptions", "TracerouteResult", "traceroute_options"]
