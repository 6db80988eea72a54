"""Reading what `queue=` may be: a limit, a queue discipline, or the words in which tc writes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emu.device.queues.codel import CoDel
from emu.device.queues.red import Red
from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_size_bytes

Discipline = CoDel | Red
"""Queues that drop or mark frames before they are full."""

_WORDS: dict[str, dict[str, str]] = {
    "codel": {"limit": "limit", "target": "target", "interval": "interval"},
    "red": {
        "limit": "limit", "min": "minimum", "max": "maximum", "probability": "probability", "avpkt": "average_packet",
        "weight": "weight",
    },
}  # fmt: skip
"""What tc calls a discipline's parameters, and what they are called here."""
_FLAGS: dict[str, tuple[str, ...]] = {"codel": ("ecn",), "red": ("ecn", "harddrop")}


@dataclass(frozen=True, slots=True)
class Limits:
    """What may wait: so many frames, so many bytes, or what a discipline lets; nothing set is the default."""

    packets: int | None = None
    size_bytes: int | None = None
    discipline: Discipline | None = None


def parse_queue(value: Any, what: str) -> Limits:
    """Read a queue: an int or digits are frames, a size with a unit is bytes, then disciplines and tc's texts.

    Raises `InvalidValue` for anything else.
    """
    if isinstance(value, (CoDel, Red)):
        return Limits(discipline=value)
    if isinstance(value, str) and value.split() and value.split()[0] in _WORDS:
        return Limits(discipline=_parse_words(value, what))
    packets: int | None = None
    size_bytes: int | None = None
    if isinstance(value, str) and not value.strip().isdecimal():
        if not value.strip()[:1].isdecimal():
            raise InvalidValue(
                f'invalid {what} {value!r}: expected a number of frames (100), a size ("64KiB"), "codel …" or "red …"'
            )
        size_bytes = parse_size_bytes(value, what)
    elif isinstance(value, str):
        packets = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        packets = value
    elif value is not None:
        raise InvalidValue(
            f'invalid {what} {value!r}: expected a number of frames (100), a size ("64KiB"), emu.CoDel() or emu.Red()'
        )
    limit = size_bytes if packets is None else packets
    if limit is not None and limit < 1:
        raise InvalidValue(f"invalid {what} {value!r}: expected at least 1")
    return Limits(packets, size_bytes)


def _parse_words(value: str, what: str) -> Discipline:
    """Read a discipline as tc writes it: "codel limit 100 target 5ms ecn", "red min 30KB max 90KB"."""
    name, *words = value.split()
    known, flags = _WORDS[name], _FLAGS[name]
    given: dict[str, Any] = {}
    while words:
        word = words.pop(0)
        parameter = known.get(word, word)
        if word not in known and word not in flags:
            raise InvalidValue(f'invalid {what}: "{name}" has no {word!r}: expected {", ".join((*known, *flags))}')
        if parameter in given:
            raise InvalidValue(f'invalid {what}: "{word}" is given twice')
        if word in known and not words:
            raise InvalidValue(f'invalid {what}: "{word}" has no value')
        given[parameter] = words.pop(0) if word in known else True
    if name == "codel":
        return CoDel(**given)
    for wanted in ("min", "max"):
        if known[wanted] not in given:
            raise InvalidValue(f'invalid {what}: "red" needs {wanted}, such as "red min 30KB max 90KB"')
    return Red(**given)
