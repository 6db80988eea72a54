"""What impairments were set to, and what came of it, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from emu.kernel.units import format_time_ns

if TYPE_CHECKING:
    from emu.device.impairments.statistics import LineStatistics

DIGITS = 4
"""Of measured values; `summary.json` has them whole."""


def impairment_table(entries: Sequence[LineStatistics]) -> Table | None:
    """One row for each direction and each time it was set; None when nothing was impaired."""
    if not entries:
        return None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in ("sent by", "set to"):
        table.add_column(name, overflow="fold")
    table.add_column("frames", justify="right", no_wrap=True)
    table.add_column("came out as", overflow="fold")
    several = {entry.interface for entry in entries if entry.since_ns}
    for entry in entries:
        settings = entry.settings
        if entry.interface in several:
            settings = f"from {format_time_ns(entry.since_ns)}: {settings}"
        table.add_row(escape(entry.interface), escape(settings), f"{entry.frames:,}", escape(outcome_text(entry)))
    return table


def outcome_text(entry: LineStatistics) -> str:
    """What was realised, in a few words: "rate 99.97Mbit, lost 12 (1.2 %)"."""
    words: list[str] = []
    if entry.rate_bps is not None:
        words.append(f"rate {rate_text(entry.rate_bps)}")
    if entry.delay_maximum_ns:
        words.append(f"delay {_range(entry.delay_minimum_ns, entry.delay_mean_ns, entry.delay_maximum_ns)}")
    if entry.lost:
        words.append(f"lost {entry.lost:,} ({100 * entry.loss_rate:.{DIGITS}g} %)")
    counts = ((entry.duplicated, "duplicated"), (entry.corrupted, "corrupted"), (entry.reordered, "reordered"))
    words += [f"{count:,} {what}" for count, what in counts if count]
    if entry.queue_maximum_frames:
        words.append(f"queue up to {entry.queue_maximum_frames:,}")
    if entry.queue_delay_maximum_ns:
        waits = (entry.queue_delay_minimum_ns, entry.queue_delay_mean_ns, entry.queue_delay_maximum_ns)
        words.append(f"waiting {_range(*waits)}")
    ends = (
        (entry.queue_full, "found the queue full"),
        (entry.queue_dropped, "dropped early"),
        (entry.queue_marked, "marked CE"),
        (entry.over_burst, "over the burst"),
    )
    words += [f"{count:,} {what}" for count, what in ends if count]
    return ", ".join(words)


def rate_text(rate_bps: int) -> str:
    """A measured rate: "99.97Mbit"."""
    return _scaled(rate_bps, (("Gbit", 10**9), ("Mbit", 10**6), ("kbit", 10**3), ("bit", 1)))


def time_text(time_ns: int) -> str:
    """A measured time: "10.02ms"."""
    return _scaled(time_ns, (("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1)))


def _range(minimum_ns: int | None, mean_ns: int | None, maximum_ns: int | None) -> str:
    """Minimum, mean and maximum, or the one value that all had."""
    assert minimum_ns is not None
    assert mean_ns is not None
    assert maximum_ns is not None
    if minimum_ns == maximum_ns:
        return time_text(mean_ns)
    return f"{time_text(minimum_ns)} / {time_text(mean_ns)} / {time_text(maximum_ns)}"


def _scaled(value: int, units: Sequence[tuple[str, int]]) -> str:
    unit, factor = next((pair for pair in units if value >= pair[1]), units[-1])
    decimals = max(0, DIGITS - len(str(value // factor)))
    text = f"{value / factor:.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if decimals else text) + unit
