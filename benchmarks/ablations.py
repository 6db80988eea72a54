"""What each design choice is worth: the same workload with one of them undone at a time.

Each variant replaces parts of emu in its own process, so nothing of this is in emu itself.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from statistics import median
from typing import Any

from simpy.events import Event, Timeout

import emu.capture.pcapng
from benchmarks.harness import cpu_us_per_datagram, measure_in_fresh_process, us_per_datagram
from benchmarks.settings import BenchmarkError, Setting
from emu.device.bridge_port import BridgePort
from emu.device.line import Line
from emu.kernel import DIRECTION_OUT, Kernel
from emu.stack.udp import Udp
from emu.stack.udp_socket import UdpSocket
from emu.wire.frame import Frame


def replace(owner: object, name: str, substitute: object) -> None:
    """Replace a part of emu that must exist: one that was renamed would leave the design choice in force."""
    assert name in vars(owner), f"{owner} has no {name} to replace"
    setattr(owner, name, substitute)


# -- one event per link traversal --------------------------------------------------------------------------------------


def use_two_events_per_link() -> None:
    """Let a frame take one event for the end of its serialization and one for its arrival."""
    replace(Line, "_transmit_serialized", _transmit_in_two_events)
    Line._leave_line = _leave_line  # type: ignore[attr-defined]


def _transmit_in_two_events(self: Any, frame: Frame) -> bool:
    now, size, start = _enter_line(self, frame)
    if start < 0:
        return False
    self.busy = done = start + size * self.per_byte
    heappush(self.heap, (done, 1, self.next_sequence(), self._leave_line, frame))
    return _count_sent(self.source, now, frame, size)


def _leave_line(self: Any, frame: Frame) -> None:
    heappush(self.heap, (self.kernel.now + self.delay_ns, 1, self.next_sequence(), self.deliver, frame))


def _enter_line(self: Any, frame: Frame) -> tuple[int, int, int]:
    """Return the time, the frame's size, and when its serialization starts (-1: the queue is full)."""
    now, size, start = self.kernel.now, len(frame.data), self.busy
    if start <= now:
        start = now
    elif not self.queue.admit(now, start, size, self.next_sequence()):
        self.source.tx_dropped += 1
        self._refuse(frame)
        start = -1
    return now, size, start


def _count_sent(source: Any, now: int, frame: Frame, size: int) -> bool:
    source.tx_packets += 1
    source.tx_bytes += size
    if source.tap is not None:
        source.tap(now, frame, DIRECTION_OUT)
    return True


# -- plain tuples on the heap ------------------------------------------------------------------------------------------


def use_simpy_timeouts() -> None:
    """Let every light call be what SimPy documents: a Timeout with a callback."""
    replace(Line, "_transmit_serialized", _transmit_with_timeout)
    Line._deliver_event = _deliver_event  # type: ignore[attr-defined]
    replace(Kernel, "call_later", _call_later_with_timeout)


def _transmit_with_timeout(self: Any, frame: Frame) -> bool:
    now, size, start = _enter_line(self, frame)
    if start < 0:
        return False
    self.busy = done = start + size * self.per_byte
    Timeout(self.kernel, done + self.delay_ns - now, frame).callbacks.append(self._deliver_event)
    return _count_sent(self.source, now, frame, size)


def _deliver_event(self: Any, event: Event) -> None:
    self.deliver(event._value)


def _call_later_with_timeout(
    self: Kernel, delay_ns: int, fn: Callable[[Any], object], arg: Any = None, *, background: bool = False
) -> None:
    assert not background, "the workload has no background work"
    Timeout(self, delay_ns, arg).callbacks.append(lambda event: fn(event._value))  # type: ignore[arg-type]


# -- per-flow templates and caches -------------------------------------------------------------------------------------

REMEMBER_NOTHING: Any = lambda *_: None  # noqa: E731  (takes the place of methods with different parameters)


def do_without_send_flows() -> None:
    """Look up route and neighbour and build every header anew for every datagram."""
    replace(UdpSocket, "_remember_flow", REMEMBER_NOTHING)


def do_without_receive_flows() -> None:
    """Check every header and look up the socket for every datagram."""
    replace(Udp, "_remember", REMEMBER_NOTHING)


def do_without_bridge_cache() -> None:
    """Let the bridge learn, look up and decide for every frame."""
    replace(BridgePort, "_remember", REMEMBER_NOTHING)


def do_without_caches() -> None:
    """Do without all three."""
    do_without_send_flows()
    do_without_receive_flows()
    do_without_bridge_cache()


# -- batched capture writes --------------------------------------------------------------------------------------------


def write_every_record() -> None:
    """Write each record of a capture by itself."""
    replace(emu.capture.pcapng, "RECORDS_PER_FLUSH", 1)


# -- measuring ---------------------------------------------------------------------------------------------------------

VARIANTS: dict[str, tuple[str, str, Callable[[], None]]] = {
    "two-events": ("one event per link traversal -> two", "none", use_two_events_per_link),
    "simpy-timeouts": ("tuples on the heap -> SimPy timeouts", "none", use_simpy_timeouts),
    "no-send-flows": ("per-flow send templates -> none", "none", do_without_send_flows),
    "no-receive-flows": ("receive flow cache -> none", "none", do_without_receive_flows),
    "no-bridge-cache": ("bridge decision cache -> none", "none", do_without_bridge_cache),
    "no-caches": ("all three caches -> none", "none", do_without_caches),
    "no-batches": ("256 capture records per write -> 1", "all", write_every_record),
}
"""Name -> (what is undone, the capture setting in which it shows, the function that undoes it)."""


def apply_variant(name: str) -> None:
    """Undo one design choice in this process, before anything is built."""
    if name not in VARIANTS:
        raise BenchmarkError(f"no variant {name!r}: there is {', '.join(VARIANTS)}")
    VARIANTS[name][2]()


def ablate(workload: str, rounds: int, count: int, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Measure every variant against emu as it is, by turns; return one row each."""
    results = []
    for name, (text, capture, _) in VARIANTS.items():
        setting = Setting(workload, capture, False, count)
        plain, undone = [], []
        for number in range(1, rounds + 1):
            progress(f"{name}: round {number} of {rounds}")
            plain.append(measure_in_fresh_process(setting))
            undone.append(measure_in_fresh_process(setting, name))
        plain_us, undone_us = median(map(us_per_datagram, plain)), median(map(us_per_datagram, undone))
        cpu_factor = median(map(cpu_us_per_datagram, undone)) / median(map(cpu_us_per_datagram, plain))
        results.append(
            {
                "undone": text,
                "capture": capture,
                "us as it is": round(plain_us, 3),
                "us undone": round(undone_us, 3),
                "worth": round(undone_us / plain_us, 3),
                "worth (CPU)": round(cpu_factor, 3),
            }
        )
    return results
