"""What work on a host costs: one CPU per host, and a table of what each step takes.

Linux handles a packet from the system call or the network card to the point where it leaves the host or is queued for
a program in one go. Such a traversal starts when the CPU is free; every step on the way adds its cost to the time
until which the CPU is busy; all taps on the way show the time of the start. What leaves the host, or wakes a program,
does so when the CPU has got there (`busy_until_ns`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from heapq import heappush
from typing import TYPE_CHECKING, Any

from emu.kernel.errors import InvalidValue

if TYPE_CHECKING:
    from emu.kernel import Kernel

BACKLOG_LIMIT = 1000
"""Linux's net.core.netdev_max_backlog: so many traversals wait for the CPU, the next one is dropped."""


@dataclass(frozen=True, slots=True)
class CostModel:
    """What each step takes, in nanoseconds of CPU time; the defaults are "linux".

    Two measurements fix the totals. Unshaped UDP datagrams of 1000 B through veth + bridge + veth: 160,000 per second,
    6.25 us of wall time and 7.5 us of CPU time each on two cores that partly overlap. The sum of the path here (send,
    output, two veths, bridge, input, receive, two copies of 1000 B) is 6.26 us, so one host moves 160,000 datagrams a
    second. The split between the steps is an estimate in proportion to what profiles of this path usually show.
    The same datagrams through VXLAN took 13.5 us of CPU time: 6 us more on both hosts together, of which the second
    IP output and input take 1.6; the rest is split evenly between encapsulation and decapsulation.

    A ping between containers took 0.065 to 0.2 ms, of which the packets spent 25 to 58 us on the wire as the sender's
    capture shows it; the work itself is about 10 us. The rest is waking an idle CPU and scheduling the program, hence
    `wakeup_latency`, which delays a sleeping program but costs no CPU time.

    Limits: one value per step whatever the packet, apart from copying; no caches, no interrupt moderation, no GRO.
    """

    socket_send: int = 1500
    """The send system call and the socket layer, without copying."""
    ip_output: int = 700
    """Route, headers, neighbour, device queue; also for every forwarded packet and every reply of the kernel."""
    veth: int = 600
    """One crossing of a veth pair: transmit, the per-CPU backlog, and the softirq that takes it out."""
    bridge: int = 800
    """Learning, lookup and forwarding of one frame in a bridge, with br_netfilter loaded."""
    ip_input: int = 900
    """IP and transport input up to the socket's queue."""
    socket_receive: int = 900
    """The receive system call, without copying."""
    ethernet_transmit: int = 700
    """A network card's driver on the way out (estimate: a veth crossing and the ring)."""
    ethernet_receive: int = 900
    """A network card's interrupt, poll and buffer handling (estimate)."""
    vxlan_encapsulate: int = 2200
    """Forwarding lookup, flow hash, outer headers and UDP checksum (estimate: see the class's first paragraph)."""
    vxlan_decapsulate: int = 2200
    """Outer checksum, VNI lookup, learning, and the second pass through the softirq (estimate)."""
    loopback: int = 500
    """A frame through `lo` (estimate: a veth crossing without a second namespace)."""
    copy_per_kib: int = 130
    """Copying 1024 bytes between program and kernel, at about 8 GB/s; charged by send and by receive."""
    wakeup_latency: int = 55_000
    """From queueing data for a sleeping program to the program running."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InvalidValue(f"invalid cost {field.name}={value!r}: expected nanoseconds, a whole number >= 0")

    def copy_ns(self, size_bytes: int) -> int:
        """Return what copying so many bytes between a program and the kernel costs."""
        return size_bytes * self.copy_per_kib >> 10


def parse_cost(value: str | CostModel) -> CostModel | None:
    """Read a cost setting: "linux", "none" (returns None: work takes no time) or a `CostModel` of one's own.

    Raises `InvalidValue` for anything else.
    """
    if isinstance(value, CostModel):
        return value
    if value == "linux":
        return CostModel()
    if value == "none":
        return None
    raise InvalidValue(f'invalid cost {value!r}: expected "linux", "none" or a CostModel')


class HostCpu:
    """The CPU of one host, which all its namespaces share.

    busy_until_ns: when the work started so far is done; every step of a traversal adds its cost to it.
    costs: the cost model. backlog_drops: traversals refused because 1000 were waiting.

    Limits: one CPU, so work on a host never overlaps; programs' own computing takes no time.
    """

    __slots__ = ("_backlog", "backlog_drops", "backlog_limit", "busy_until_ns", "costs", "kernel", "label")

    def __init__(self, kernel: Kernel, label: str, costs: CostModel, backlog_limit: int = BACKLOG_LIMIT) -> None:
        self.kernel = kernel
        self.label = label
        self.costs = costs
        self.busy_until_ns = 0
        self.backlog_limit = backlog_limit
        self.backlog_drops = 0
        self._backlog: deque[tuple[Callable[[Any], object], Any]] = deque()

    def start(self, fn: Callable[[Any], object], arg: Any = None) -> bool:
        """Start a traversal: run `fn(arg)` now if the CPU is idle, else when its turn comes.

        Returns False, and does nothing but count, when the backlog is full; the caller reports the drop.
        """
        now = self.kernel.now
        backlog = self._backlog
        if self.busy_until_ns <= now and not backlog:
            self.busy_until_ns = now
            fn(arg)
            return True
        if len(backlog) >= self.backlog_limit:
            self.backlog_drops += 1
            return False
        backlog.append((fn, arg))
        if len(backlog) == 1:
            self._wait()
        return True

    @property
    def backlog(self) -> int:
        """How many traversals wait for the CPU."""
        return len(self._backlog)

    def _wait(self) -> None:
        kernel = self.kernel
        heappush(kernel.heap, (max(self.busy_until_ns, kernel.now), 1, kernel.next_sequence(), self._run_next, None))

    def _run_next(self, _: None) -> None:
        """Run the traversal whose turn it is; the one before may have grown since this was scheduled."""
        now = self.kernel.now
        if self.busy_until_ns > now:
            self._wait()
            return
        backlog = self._backlog
        fn, arg = backlog[0]
        self.busy_until_ns = now
        fn(arg)  # still at the head, so that what it starts itself queues behind it
        backlog.popleft()
        if backlog:
            self._wait()
