"""Reading off a direction what it did since its settings were last changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.device.impairments.statistics import LineStatistics

if TYPE_CHECKING:
    from emu.device.cable_direction import CableDirection


def statistics_of(direction: CableDirection) -> LineStatistics:
    """Put counters of the direction, its device and its queue together."""
    counters = direction.counters
    source = direction.source
    frames = source.tx_packets - counters.packets_before
    delay_minimum_ns, delay_mean_ns, delay_maximum_ns = counters.delays_ns(frames, direction.delay_ns)
    queued = None if direction.queued is None else direction.queued.queue
    waited = queued is not None and queued.delays > 0
    return LineStatistics(
        interface=source.label,
        toward=direction.destination.label,
        settings=direction.impairments.text(),
        since_ns=counters.since_ns,
        until_ns=direction.kernel.now,
        frames=frames,
        bytes=source.tx_bytes - counters.bytes_before,
        rate_bps=_rate_bps(direction, frames),
        lost=counters.lost,
        loss_rate=counters.lost / frames if frames else 0.0,
        duplicated=counters.duplicated,
        corrupted=counters.corrupted,
        reordered=counters.reordered,
        delay_minimum_ns=delay_minimum_ns,
        delay_mean_ns=delay_mean_ns,
        delay_maximum_ns=delay_maximum_ns,
        queue_full=counters.queue_full,
        queue_dropped=counters.queue_dropped,
        queue_marked=0 if queued is None else queued.marked,
        over_burst=counters.over_burst,
        queue_maximum_frames=direction.queue.maximum_packets if queued is None else queued.maximum_frames,
        queue_maximum_bytes=direction.queue.maximum_bytes if queued is None else queued.maximum_bytes,
        queue_delay_minimum_ns=queued.delay_minimum_ns if queued is not None and waited else None,
        queue_delay_mean_ns=queued.delay_total_ns // queued.delays if queued is not None and waited else None,
        queue_delay_maximum_ns=queued.delay_maximum_ns if queued is not None and waited else None,
    )


def _rate_bps(direction: CableDirection, frames: int) -> int | None:
    """Bits per second from the first frame to the last, rounded down; exact where the line was never idle."""
    counters = direction.counters
    if not direction.per_byte or counters.first < 0 or direction.busy <= counters.first:
        return None
    line_bytes = direction.source.tx_bytes - counters.bytes_before
    line_bytes += counters.extra_bytes + frames * direction.framing_bytes
    return line_bytes * 8 * 10**9 * direction.scale // (direction.busy - counters.first)
