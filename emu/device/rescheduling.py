"""Taking the frames that wait for a line off the kernel's heap again: its rate changes, or its carrier goes.

The whole journey of a frame is on the heap as soon as it is sent. When what was computed is no longer true for those
that still wait, they are found by the sequence numbers that the queue has kept for this.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappush
from typing import TYPE_CHECKING, Any, NamedTuple

from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.device.cable_direction import CableDirection


class TakenBack(NamedTuple):
    """A frame that waited: what it takes on the line, and what was to become of it.

    size: bytes on the line without framing. delay_ns: from its last bit to its arrival.
    frame, deliver: None when it is lost on the line, which it occupies all the same.
    """

    size: int
    sequence: int
    delay_ns: int
    frame: Frame | None
    deliver: Callable[[Frame], Any] | None


def take_back(direction: CableDirection) -> list[TakenBack]:
    """Empty the drop-tail queue, and the heap of what it holds; the line is as if they had not been sent."""
    queue = direction.queue
    scale = direction.scale
    ready = direction.ready_ns() * scale
    queue.forget_left(ready)
    if not queue.waiting:
        return []
    sequences = {sequence for _, _, sequence in queue.waiting}
    heap = direction.heap
    entries = {entry[2]: entry for entry in heap if entry[2] in sequences}
    heap[:] = [entry for entry in heap if entry[2] not in sequences]
    heapify(heap)
    taken = []
    for leaves, size, sequence in queue.waiting:
        done = leaves if direction.bucket is not None else leaves + _on_line(direction, size)
        entry = entries.get(sequence)
        if entry is None:
            taken.append(TakenBack(size, sequence, 0, None, None))
        else:
            taken.append(TakenBack(size, sequence, entry[0] - -(-done // scale), entry[4], entry[3]))
    first_leaves, first_size, _ = queue.waiting[0]
    if direction.bucket is None:
        direction.busy = first_leaves
    else:
        direction.busy = ready
        direction.bucket.empty = first_leaves - _on_line(direction, first_size)
    queue.clear()
    return taken


def put_back(direction: CableDirection, taken: list[TakenBack]) -> None:
    """Let frames that were taken back wait for the line as it is now, in their order, or leave if it has no rate."""
    ready_ns = direction.ready_ns()
    ready = ready_ns * direction.scale
    for entry in taken:
        done_ns = ready_ns
        if direction.per_byte:
            start = direction.start_of(entry.size, ready)
            if start > ready:
                direction.queue.keep(start, entry.size, entry.sequence)
            done_ns = direction.begin(entry.size, start)
        if entry.frame is not None:
            arrives_ns = done_ns + entry.delay_ns
            heappush(direction.heap, (arrives_ns, 1, entry.sequence, entry.deliver, entry.frame))


def _on_line(direction: CableDirection, size: int) -> int:
    """What a frame takes of the line's time, in 1/scale ns."""
    return (size + direction.framing_bytes) * direction.per_byte
