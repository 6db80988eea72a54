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

    Where the values come from: `benchmarks/calibrate` measures paths of network namespaces in one process with hot
    caches, and takes single steps from their differences (docs/performance.md has them beside the results). Two
    values are more than that. `socket_receive` holds what a stream between two processes costs beyond these steps,
    waking and switching programs: so a datagram of 1000 B through veth, bridge and veth costs 6.25 us, of which one
    CPU does the 160,000 a second that were measured on a quiet machine. The split of the sender's 1.8 us between
    `socket_send` and `ip_output` is an estimate.

    A ping between containers took 0.05 to 0.08 ms where its packets' work is 8 us: the rest is an idle CPU with cold
    caches that wakes up and gets a program going, hence `wakeup_latency`, which costs no CPU time. A program that
    was awake just now is there at once: request and response without pauses took 17.5 us over a bridge.

    Limits: one value per step whatever the packet, apart from copying; no caches, no interrupt moderation, no GRO.
    """

    socket_send: int = 1220
    """The send system call and the socket layer, without copying."""
    ip_output: int = 580
    """Route, headers, neighbour, device queue; also for every forwarded packet and every reply of the kernel."""
    veth: int = 670
    """One crossing of a veth pair: transmit, the per-CPU backlog, and the softirq that takes it out."""
    bridge: int = 620
    """Learning, lookup and forwarding of one frame in a bridge, with br_netfilter loaded."""
    ip_input: int = 750
    """IP and transport input up to the socket's queue."""
    socket_receive: int = 1660
    """The receive system call, without copying, and the CPU time of waking and switching to the program."""
    ethernet_transmit: int = 700
    """A network card's driver on the way out (estimate: a veth crossing and the ring)."""
    ethernet_receive: int = 900
    """A network card's interrupt, poll and buffer handling (estimate)."""
    vxlan_encapsulate: int = 260
    """Forwarding lookup, flow hash and outer headers; with `ip_output` of the outer packet 0.84 us."""
    vxlan_decapsulate: int = 680
    """VNI lookup, learning, and the second pass through the softirq; with the outer `ip_input` 1.43 us."""
    esp_encrypt: int = 900
    """Policy lookup, ESP headers and setting up the cipher for one packet (estimate)."""
    esp_decrypt: int = 900
    """Finding the association, checking the ICV's ends, and IP input again (estimate)."""
    esp_per_kib: int = 300
    """AES-128-GCM over 1024 bytes (OpenSSL with AES instructions: 230 to 550 ns, the smaller the larger the buffer)."""
    loopback: int = 500
    """A frame through `lo` (estimate: a veth crossing without a second namespace)."""
    copy_per_kib: int = 30
    """Copying 1024 bytes between program and kernel, both in the cache; charged by send and by receive."""
    wakeup_latency: int = 55_000
    """From queueing data for a program that has slept for long to the program running."""
    wakeup_latency_awake: int = 2_500
    """The same for a program that was woken on this socket less than `awake_for` ago."""
    awake_for: int = 1_000_000
    """How long a program and its CPU stay awake and their caches warm."""

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

    __slots__ = (
        "_backlog",
        "_started_ns",
        "_used_ns",
        "backlog_drops",
        "backlog_limit",
        "busy_until_ns",
        "costs",
        "kernel",
        "label",
    )

    def __init__(self, kernel: Kernel, label: str, costs: CostModel, backlog_limit: int = BACKLOG_LIMIT) -> None:
        self.kernel = kernel
        self.label = label
        self.costs = costs
        self.busy_until_ns = 0
        self._started_ns = 0
        self._used_ns = 0
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
            self._used_ns += self.busy_until_ns - self._started_ns
            self._started_ns = self.busy_until_ns = now
            fn(arg)
            return True
        if len(backlog) >= self.backlog_limit:
            self.backlog_drops += 1
            return False
        backlog.append((fn, arg))
        if len(backlog) == 1:
            self._wait()
        return True

    def queue(self, fn: Callable[[Any], object], arg: Any = None) -> None:
        """Start a traversal that is never refused: its sender is a program or a protocol that would rather wait."""
        if not self.start(fn, arg):
            self.backlog_drops -= 1
            self._backlog.append((fn, arg))

    def wakes_at_ns(self, woken_ns: int) -> int:
        """Return when a program runs for which data was queued by the work charged so far.

        woken_ns: when it was last woken, or will be.
        """
        now = self.kernel.now
        ready_ns = self.busy_until_ns if self.busy_until_ns > now else now
        costs = self.costs
        if ready_ns - woken_ns < costs.awake_for:
            return ready_ns + min(costs.wakeup_latency_awake, costs.wakeup_latency)
        return ready_ns + costs.wakeup_latency

    @property
    def used_ns(self) -> int:
        """CPU time used so far, that of the traversal that is going on included."""
        return self._used_ns + self.busy_until_ns - self._started_ns

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
        self._used_ns += self.busy_until_ns - self._started_ns
        self._started_ns = self.busy_until_ns = now
        fn(arg)  # still at the head, so that what it starts itself queues behind it
        backlog.popleft()
        if backlog:
            self._wait()
