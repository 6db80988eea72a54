"""What a direction of a cable does to frames: the settings, read from the words tc and mininet users know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from emu.kernel.errors import InvalidValue
from emu.kernel.units import (
    format_rate_bps,
    format_size_bytes,
    format_time_ns,
    parse_probability,
    parse_rate_bps,
    parse_size_bytes,
    parse_time_ns,
)

DEFAULT_QUEUE_PACKETS = 1000
"""Linux's txqueuelen: how many frames wait for a line with a rate when nothing else is said."""

PARAMETERS = ("rate", "delay", "jitter", "loss", "reorder", "duplicate", "corrupt", "queue")
"""The words `Impairments.change` takes, as `add_link` and `interface.set` do."""


@dataclass(frozen=True, slots=True)
class Impairments:
    """The settings of one direction; the defaults are a perfect wire: no rate limit, no delay, nothing random.

    rate_bps: bits per second on the line, None for no limit.
    delay_ns: propagation delay, added after the last bit was sent.
    jitter_ns: the delay varies uniformly by up to this much both ways (at most delay_ns).
    loss, reorder, duplicate, corrupt: probabilities from 0 to 1, independent per frame.
    queue_packets, queue_bytes: how much may wait for the line; None means the default (1000 frames), or no such limit
    when the other one is given.
    """

    rate_bps: int | None = None
    delay_ns: int = 0
    jitter_ns: int = 0
    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    queue_packets: int | None = None
    queue_bytes: int | None = None

    @property
    def is_random(self) -> bool:
        """Whether anything about the direction depends on chance."""
        return bool(self.jitter_ns or self.loss or self.reorder or self.duplicate or self.corrupt)

    @property
    def packet_limit(self) -> int | None:
        """The number of frames that may wait, or None when only bytes are limited."""
        if self.queue_packets is None and self.queue_bytes is None:
            return DEFAULT_QUEUE_PACKETS
        return self.queue_packets

    def change(self, changes: Mapping[str, Any], where: str) -> Impairments:
        """Return the settings with some parameters changed; the others stay as they are.

        changes: parameter -> value with units ("100Mbit", "10us", 0.01, "1%", queue=100 or "64KiB"); None takes the
            parameter back to its default.
        where: what is being set, for error messages ("web1:eth0").

        Raises `InvalidValue` for an unknown parameter, a value that cannot be read, and for combinations that would do
        nothing: jitter or reordering without a delay, a queue without a rate.
        """
        fields: dict[str, Any] = {}
        for name, value in changes.items():
            fields.update(_parse_parameter(name, value, where))
        changed = replace(self, **fields)
        changed._check(where)
        return changed

    def _check(self, where: str) -> None:
        if self.jitter_ns > self.delay_ns:
            raise InvalidValue(
                f"{where}: jitter {format_time_ns(self.jitter_ns)} is larger than delay "
                f"{format_time_ns(self.delay_ns)}: set a delay of at least the jitter"
            )
        if self.reorder and not self.delay_ns:
            raise InvalidValue(f"{where}: reordering is not possible without a delay: set delay= as well")
        if self.rate_bps is None and not (self.queue_packets is None and self.queue_bytes is None):
            raise InvalidValue(f"{where}: a queue fills only in front of a rate: set rate= as well, or queue=None")

    def text(self) -> str:
        """Return the settings as they would be written: "rate 1Gbit delay 10us"; "" for a perfect wire."""
        words: list[str] = []
        if self.rate_bps is not None:
            words.append(f"rate {format_rate_bps(self.rate_bps)}")
        if self.delay_ns:
            words.append(f"delay {format_time_ns(self.delay_ns)}")
        if self.jitter_ns:
            words.append(f"jitter {format_time_ns(self.jitter_ns)}")
        words.extend(
            f"{name} {getattr(self, name):.10g}"
            for name in ("loss", "reorder", "duplicate", "corrupt")
            if getattr(self, name)
        )
        if self.queue_packets is not None:
            words.append(f"queue {self.queue_packets}")
        if self.queue_bytes is not None:
            words.append(f"queue {format_size_bytes(self.queue_bytes)}")
        return " ".join(words)


def _parse_parameter(name: str, value: Any, where: str) -> dict[str, Any]:
    """Read one parameter; return the dataclass fields it sets."""
    if name not in PARAMETERS:
        raise InvalidValue(f"{where}: unknown link parameter {name!r}: expected one of {', '.join(PARAMETERS)}")
    what = f"{name} for {where}"
    if name == "rate":
        return {"rate_bps": None if value is None else parse_rate_bps(value, what)}
    if name in ("delay", "jitter"):
        return {f"{name}_ns": 0 if value is None else parse_time_ns(value, what)}
    if name == "queue":
        return _parse_queue(value, what)
    return {name: 0.0 if value is None else parse_probability(value, what)}


def _parse_queue(value: Any, what: str) -> dict[str, Any]:
    """Read a queue length: an int or digits are frames, a size with a unit is bytes."""
    packets: int | None = None
    size_bytes: int | None = None
    if isinstance(value, str) and not value.strip().isdecimal():
        size_bytes = parse_size_bytes(value, what)
    elif isinstance(value, str):
        packets = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        packets = value
    elif value is not None:
        raise InvalidValue(f'invalid {what} {value!r}: expected a number of frames (100) or a size ("64KiB")')
    limit = size_bytes if packets is None else packets
    if limit is not None and limit < 1:
        raise InvalidValue(f"invalid {what} {value!r}: expected at least 1")
    return {"queue_packets": packets, "queue_bytes": size_bytes}
