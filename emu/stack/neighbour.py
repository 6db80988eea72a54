"""The neighbour table: which MAC address an IPv4 address on the link has, with Linux's states and timers.

The states are those of `ip neigh` (RFC 4861, section 7.3.2, as Linux applies it to ARP): NONE, INCOMPLETE, REACHABLE,
STALE, DELAY, PROBE, FAILED, PERMANENT. FACTS 14 to 22 tell what was recorded of them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from emu.kernel.errors import NotFound
from emu.kernel.jiffies import wheel_expiry_ns
from emu.stack.fragment import truesize
from emu.wire.address import ZERO_MAC, ipv4_to_bytes, ipv4_to_text, mac_to_bytes, mac_to_text
from emu.wire.drop import DropReason

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.kernel import Kernel, Timer
    from emu.kernel.jiffies import WheelTimer
    from emu.stack.interface import Interface
    from emu.stack.sysctl import Sysctls
    from emu.wire.offload import Offload

NONE = "NONE"
INCOMPLETE = "INCOMPLETE"
REACHABLE = "REACHABLE"
STALE = "STALE"
DELAY = "DELAY"
PROBE = "PROBE"
FAILED = "FAILED"
PERMANENT = "PERMANENT"

VALID_STATES = frozenset((REACHABLE, STALE, DELAY, PROBE, PERMANENT))
"""States in which the MAC address may be used."""
NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
REDRAW_NS = 300 * NS_PER_S
"""Linux draws a device's reachable time anew every five minutes."""


class NeighbourSettings:
    """The timers and limits of one device's neighbours, read from the sysctls, in ns and bytes.

    The timers run on the kernel's timer wheel, which rounds up: 1 s becomes about 1.02 s, 5 s about 5.12 s.
    """

    __slots__ = (
        "base_reachable_ns",
        "delay_ns",
        "locktime_ns",
        "mcast_solicit",
        "queue_bytes",
        "retrans_ns",
        "ucast_solicit",
    )

    def __init__(self, sysctl: Sysctls, device_name: str) -> None:
        self.base_reachable_ns = sysctl.neighbour(device_name, "base_reachable_time_ms") * NS_PER_MS
        self.delay_ns = sysctl.neighbour(device_name, "delay_first_probe_time") * NS_PER_S
        self.retrans_ns = sysctl.neighbour(device_name, "retrans_time_ms") * NS_PER_MS
        self.ucast_solicit = sysctl.neighbour(device_name, "ucast_solicit")
        self.mcast_solicit = sysctl.neighbour(device_name, "mcast_solicit")
        self.queue_bytes = sysctl.neighbour(device_name, "unres_qlen_bytes")
        self.locktime_ns = sysctl.neighbour(device_name, "locktime") * 10 * NS_PER_MS


class NeighbourOwner(Protocol):
    """What a neighbour entry needs from the interface that it belongs to."""

    kernel: Kernel
    neighbour_settings: NeighbourSettings

    def reachable_time_ns(self) -> int:
        """Return how long a confirmation lasts on this device."""

    def solicit(self, neighbour: Neighbour, mac: bytes | None, packet: bytes | None) -> None:
        """Send an ARP request: to `mac`, or broadcast; `packet` is the one that waits, if any."""

    def transmit_packet(self, mac: bytes, packet: bytes, packet_id: int, altered: bool | Offload) -> bool:
        """Send an IPv4 packet to a MAC address; False when the device refused it."""

    def resolution_failed(self, packet: bytes, packet_id: int) -> None:
        """Tell the sender of a queued packet that the host cannot be reached."""

    def drop_packet(self, packet: bytes, packet_id: int, reason: DropReason) -> None:
        """Count and report a queued packet that is given up."""

    def path_changed(self) -> None:
        """Forget what was cached about ways through this interface."""


class Neighbour:
    """One entry of the neighbour table.

    address: 4 bytes. mac: 6 bytes or None while unknown. state: one of the constants of this module.
    confirmed_ns, used_ns, updated_ns: the three times that `ip -s neigh` shows. probes: requests sent.
    """

    __slots__ = (
        "_ageing",
        "_owner",
        "_queue",
        "_queue_bytes",
        "_timer",
        "address",
        "confirmed_ns",
        "mac",
        "probes",
        "state",
        "updated_ns",
        "used_ns",
    )

    def __init__(self, owner: NeighbourOwner, address: bytes) -> None:
        now_ns = owner.kernel.now
        self._owner = owner
        self._queue: deque[tuple[bytes, int, bool | Offload]] = deque()
        self._queue_bytes = 0
        # Linux's timer wheel: 1 s becomes 1.02 s, 5 s up to 5.25 s, and who began last asks first (FACTS 15, 18).
        self._timer: WheelTimer = owner.kernel.wheel.timer(self._expire)
        # Growing stale sends nothing, so waiting for it alone does not keep a run alive.
        self._ageing: Timer = owner.kernel.timer(self._expire, background=True)
        self.address = address
        self.mac: bytes | None = None
        self.state = NONE
        self.confirmed_ns = now_ns
        self.used_ns = now_ns
        self.updated_ns = now_ns
        self.probes = 0

    @property
    def queue_length(self) -> int:
        """How many packets wait for the MAC address."""
        return len(self._queue)

    # -- sending ------------------------------------------------------------------------------------------------------

    def output(self, packet: bytes, packet_id: int, altered: bool | Offload = False) -> bool:
        """Send a packet to this neighbour, now or once its MAC address is known; False when the device refused it."""
        state = self.state
        if state is not REACHABLE and state is not PERMANENT:
            self.used_ns = self._owner.kernel.now
            if state is STALE:
                self._change(DELAY)
                self._timer.start(self._owner.neighbour_settings.delay_ns)
            elif state is not DELAY and state is not PROBE:
                self._enqueue(packet, packet_id, altered)
                if state is not INCOMPLETE:
                    self._begin_resolution()
                return True
        mac = self.mac
        assert mac is not None, f"neighbour {ipv4_to_text(self.address)} is {self.state} without a MAC address"
        return self._owner.transmit_packet(mac, packet, packet_id, altered)

    def _enqueue(self, packet: bytes, packet_id: int, altered: bool | Offload) -> None:
        """Let the packet wait; when the queue is too long the oldest packets go (FACT 22)."""
        size = truesize(len(packet))
        limit = self._owner.neighbour_settings.queue_bytes
        queue = self._queue
        while queue and self._queue_bytes + size > limit:
            oldest, oldest_id, _ = queue.popleft()
            self._queue_bytes -= truesize(len(oldest))
            self._owner.drop_packet(oldest, oldest_id, DropReason.NEIGHBOUR_QUEUE_FULL)
        queue.append((packet, packet_id, altered))
        self._queue_bytes += size

    def _begin_resolution(self) -> None:
        settings = self._owner.neighbour_settings
        if settings.mcast_solicit == 0:
            self._change(FAILED)
            self._fail_queue()
            return
        self.probes = settings.ucast_solicit
        self.updated_ns = self._owner.kernel.now
        self._change(INCOMPLETE)
        self._timer.start(settings.retrans_ns)
        self._probe()

    def _probe(self) -> None:
        unicast = self.probes < self._owner.neighbour_settings.ucast_solicit
        waiting = self._queue[-1][0] if self._queue else None
        self.probes += 1
        self._owner.solicit(self, self.mac if unicast else None, waiting)

    # -- what was heard -----------------------------------------------------------------------------------------------

    def update(self, mac: bytes, state: str, override: bool) -> None:
        """Take in a MAC address that was heard: REACHABLE when it answers our request, STALE otherwise.

        override: whether it may replace another MAC address that is still in use.
        """
        old = self.state
        if old is PERMANENT:
            return
        now_ns = self._owner.kernel.now
        if state is REACHABLE:
            self.confirmed_ns = now_ns
        changed_mac = mac != self.mac or old not in VALID_STATES
        if old in VALID_STATES:
            if changed_mac and not override:
                return
            if not changed_mac and state is STALE:
                state = old
        if state is not old or changed_mac:
            self.updated_ns = now_ns
        if changed_mac:
            self.mac = mac
            self._owner.path_changed()
            if state is not REACHABLE:
                self.confirmed_ns = now_ns - 2 * self._owner.neighbour_settings.base_reachable_ns
        if state is old:
            return
        self._change(state)
        if state is REACHABLE:
            self._start_ageing()
        if old not in VALID_STATES:
            self._flush_queue()

    def make_permanent(self, mac: bytes) -> None:
        """Set the MAC address for good, as `ip neigh replace … nud permanent` does."""
        self.mac = mac
        self.updated_ns = self._owner.kernel.now
        self._change(PERMANENT)
        self._owner.path_changed()
        self._flush_queue()

    def destroy(self) -> None:
        """Stop the timers and drop what waits; the entry leaves the table."""
        self._timer.stop()
        self._ageing.stop()
        self.state = FAILED
        self._owner.path_changed()
        while self._queue:
            packet, packet_id, _ = self._queue.popleft()
            self._owner.drop_packet(packet, packet_id, DropReason.NEIGHBOUR_UNRESOLVED)
        self._queue_bytes = 0

    def _flush_queue(self) -> None:
        queue, self._queue, self._queue_bytes = self._queue, deque(), 0
        for packet, packet_id, altered in queue:
            self.output(packet, packet_id, altered)

    # -- time ---------------------------------------------------------------------------------------------------------

    def _start_ageing(self) -> None:
        """Let the entry grow stale when its confirmation has become too old."""
        now_ns = self._owner.kernel.now
        left_ns = max(0, self.confirmed_ns + self._owner.reachable_time_ns() - now_ns)
        self._ageing.start_at(wheel_expiry_ns(now_ns, left_ns))

    def _expire(self, _: object) -> None:
        state = self.state
        if state is REACHABLE:
            self._reachable_expired()
        elif state is DELAY:
            self._delay_expired()
        else:
            self._probe_expired()

    def _reachable_expired(self) -> None:
        now_ns = self._owner.kernel.now
        reachable_ns = self._owner.reachable_time_ns()
        delay_ns = self._owner.neighbour_settings.delay_ns
        if now_ns < self.confirmed_ns + reachable_ns:
            self._start_ageing()
        elif now_ns <= self.used_ns + delay_ns:
            self.updated_ns = now_ns
            self._change(DELAY)
            self._timer.start(delay_ns)
        else:
            self.updated_ns = now_ns
            self._change(STALE)

    def _delay_expired(self) -> None:
        now_ns = self._owner.kernel.now
        settings = self._owner.neighbour_settings
        if now_ns <= self.confirmed_ns + settings.delay_ns:
            self._change(REACHABLE)
            self._start_ageing()
            return
        self.updated_ns = now_ns
        self.probes = 0
        self._change(PROBE)
        self._next_probe(settings.ucast_solicit)

    def _probe_expired(self) -> None:
        settings = self._owner.neighbour_settings
        limit = settings.ucast_solicit
        if self.state is INCOMPLETE:
            limit += settings.mcast_solicit
        self._next_probe(limit)

    def _next_probe(self, limit: int) -> None:
        """Ask once more, or give up when that was done often enough."""
        if self.probes >= limit:
            self.updated_ns = self._owner.kernel.now
            self._change(FAILED)
            self._fail_queue()
        else:
            self._timer.start(self._owner.neighbour_settings.retrans_ns)
            self._probe()

    def _fail_queue(self) -> None:
        queue, self._queue, self._queue_bytes = self._queue, deque(), 0
        for packet, packet_id, _ in queue:
            self._owner.drop_packet(packet, packet_id, DropReason.NEIGHBOUR_UNRESOLVED)
            self._owner.resolution_failed(packet, packet_id)

    def _change(self, state: str) -> None:
        self._timer.stop()
        self._ageing.stop()
        self.state = state
        if state is STALE or state is FAILED:
            # Senders must come by again: the next packet starts the delay, or the resolution.
            self._owner.path_changed()

    # -- text ---------------------------------------------------------------------------------------------------------

    def text(self, device_name: str) -> str:
        """Return the entry as `ip neigh` prints it (with the blank that ends its lines)."""
        lladdr = f" lladdr {mac_to_text(self.mac or ZERO_MAC)}" if self.state in VALID_STATES else ""
        return f"{ipv4_to_text(self.address)} dev {device_name}{lladdr} {self.state} "

    def __repr__(self) -> str:
        return f"<Neighbour {ipv4_to_text(self.address)} {self.state}>"


class NeighbourTable:
    """All neighbours of a namespace, over its interfaces.

    Limits: entries are never collected as garbage; Linux starts to do so beyond 128 entries (`gc_thresh1`).
    """

    __slots__ = ("_interfaces",)

    def __init__(self, interfaces: dict[str, Interface]) -> None:
        self._interfaces = interfaces

    def get(self, device: NetDevice | str, address: str) -> Neighbour | None:
        """Return the entry of an address on a device, or None."""
        return self._interface(device).neighbours.get(ipv4_to_bytes(address))

    def state(self, device: NetDevice | str, address: str) -> str:
        """Return the state of an entry, "NONE" when there is no entry."""
        entry = self.get(device, address)
        return NONE if entry is None else entry.state

    def add_permanent(self, device: NetDevice | str, address: str, mac: str) -> Neighbour:
        """Set an entry for good; the names are those of `ip neigh replace ADDRESS lladdr MAC dev DEVICE nud permanent`.

        Raises NotFound when the namespace has no such device, InvalidValue for a bad address.
        """
        entry = self._interface(device).neighbour(ipv4_to_bytes(address))
        entry.make_permanent(mac_to_bytes(mac))
        return entry

    def remove(self, device: NetDevice | str, address: str) -> None:
        """Remove an entry; raises NotFound when there is none."""
        interface = self._interface(device)
        entry = interface.neighbours.pop(ipv4_to_bytes(address), None)
        if entry is None:
            raise NotFound(f"no neighbour {address} on {interface.device.name}")
        entry.destroy()

    def flush(self, device: NetDevice | str | None = None) -> None:
        """Remove all entries but the permanent ones, as `ip neigh flush` does."""
        for interface in list(self._interfaces.values()) if device is None else [self._interface(device)]:
            interface.flush_neighbours(permanent=False)

    def entries(self) -> list[tuple[str, Neighbour]]:
        """Return (device name, entry) for all entries: device by device, oldest entry first."""
        return [
            (name, entry) for name, interface in self._interfaces.items() for entry in interface.neighbours.values()
        ]

    def text(self) -> str:
        """Return the table as `ip neigh` prints it."""
        return "".join(f"{entry.text(name)}\n" for name, entry in self.entries() if entry.state is not NONE)

    def _interface(self, device: NetDevice | str) -> Interface:
        device_name = device if isinstance(device, str) else device.name
        interface = self._interfaces.get(device_name)
        if interface is None:
            raise NotFound(f'no device "{device_name}" in this namespace: it has {", ".join(self._interfaces)}')
        return interface
