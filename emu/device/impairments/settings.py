"""What a direction of a cable does to frames: the settings, read from the words tc and mininet users know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from emu.device.impairments.jitter import Distribution, parse_distribution
from emu.device.impairments.loss import GilbertElliott, parse_loss
from emu.device.queues.parse import Discipline, parse_queue
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

PARAMETERS = (
    "rate", "burst", "delay", "jitter", "distribution", "loss", "reorder", "duplicate", "corrupt", "queue",
)  # fmt: skip
"""The words `Impairments.change` takes, as `add_link` and `interface.set` do."""


@dataclass(frozen=True, slots=True)
class Impairments:
    """The settings of one direction; the defaults are a perfect wire: no rate limit, no delay, nothing random.

    rate_bps: bits per second on the line, None for no limit.
    burst_bytes: size of the token bucket with which the rate is kept; None for a line that sends bit by bit.
    delay_ns: propagation delay, added after the last bit was sent.
    jitter_ns: how much the delay varies (at most delay_ns). distribution: in which way, None for uniformly, by up to
        the jitter both ways; a delay below 0 counts as 0.
    loss: probability from 0 to 1, or a model of losses in bursts.
    reorder, duplicate, corrupt: probabilities from 0 to 1, independent per frame.
    queue_packets, queue_bytes: how much may wait for the line; None means the default (1000 frames), or no such limit
        when the other one is given.
    discipline: a queue that drops or marks frames before it is full (CoDel, RED), with its own limits.
    """

    rate_bps: int | None = None
    burst_bytes: int | None = None
    delay_ns: int = 0
    jitter_ns: int = 0
    distribution: Distribution | None = None
    loss: float | GilbertElliott = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    queue_packets: int | None = None
    queue_bytes: int | None = None
    discipline: Discipline | None = None

    @property
    def is_random(self) -> bool:
        """Whether anything about what happens on the line depends on chance."""
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
        nothing: jitter or reordering without a delay, a distribution without jitter, a burst or queue without a rate.
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
        if self.distribution is not None and not self.jitter_ns:
            raise InvalidValue(f"{where}: a distribution is one of jitter: set jitter= as well, or distribution=None")
        if self.reorder and not self.delay_ns:
            raise InvalidValue(f"{where}: reordering is not possible without a delay: set delay= as well")
        if self.rate_bps is not None:
            return
        if self.burst_bytes is not None:
            raise InvalidValue(f"{where}: a burst is allowed by a rate: set rate= as well, or burst=None")
        if not (self.queue_packets is None and self.queue_bytes is None and self.discipline is None):
            raise InvalidValue(f"{where}: a queue fills only in front of a rate: set rate= as well, or queue=None")

    def text(self) -> str:
        """Return the settings as they would be written: "rate 1Gbit delay 10us"; "" for a perfect wire."""
        words: list[str] = []
        if self.rate_bps is not None:
            words.append(f"rate {format_rate_bps(self.rate_bps)}")
        if self.burst_bytes is not None:
            words.append(f"burst {format_size_bytes(self.burst_bytes)}")
        if self.delay_ns:
            words.append(f"delay {format_time_ns(self.delay_ns)}")
        if self.jitter_ns:
            words.append(f"jitter {format_time_ns(self.jitter_ns)}")
        if self.distribution is not None:
            words.append(f"distribution {self.distribution.name}")
        if isinstance(self.loss, GilbertElliott):
            words.append(f"loss {self.loss.text()}")
        words.extend(
            f"{name} {getattr(self, name):.10g}"
            for name in ("loss", "reorder", "duplicate", "corrupt")
            if isinstance(getattr(self, name), float) and getattr(self, name)
        )
        if self.queue_packets is not None:
            words.append(f"queue {self.queue_packets}")
        if self.queue_bytes is not None:
            words.append(f"queue {format_size_bytes(self.queue_bytes)}")
        if self.discipline is not None:
            words.append(f"queue {self.discipline.text()}")
        return " ".join(words)


def _parse_parameter(name: str, value: Any, where: str) -> dict[str, Any]:
    """Read one parameter; return the dataclass fields it sets."""
    if name not in PARAMETERS:
        raise InvalidValue(f"{where}: unknown link parameter {name!r}: expected one of {', '.join(PARAMETERS)}")
    what = f"{name} for {where}"
    if name == "rate":
        return {"rate_bps": None if value is None else parse_rate_bps(value, what)}
    if name == "burst":
        return {"burst_bytes": None if value is None else _parse_burst(value, what)}
    if name in ("delay", "jitter"):
        return {f"{name}_ns": 0 if value is None else parse_time_ns(value, what)}
    if name == "distribution":
        return {"distribution": parse_distribution(value, what)}
    if name == "loss":
        return {"loss": parse_loss(value, what)}
    if name == "queue":
        limits = parse_queue(value, what)
        return {"queue_packets": limits.packets, "queue_bytes": limits.size_bytes, "discipline": limits.discipline}
    return {name: 0.0 if value is None else parse_probability(value, what)}


def _parse_burst(value: int | str, what: str) -> int:
    burst_bytes = parse_size_bytes(value, what)
    if burst_bytes < 1:
        raise InvalidValue(f"invalid {what} {value!r}: expected at least the longest frame, usually 1514B or more")
    return burst_bytes
