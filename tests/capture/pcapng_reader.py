"""An independent, strict reader of pcapng: it trusts nothing that emu.capture says about the format.

Every length is checked from both ends, every padding byte must be zero, every option list must be closed, every packet
must name an interface that was described before. Anything odd is a `BadPcapng`, so reading a capture is itself a test.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

EPOCH_NS = 946_684_800 * 1_000_000_000  # 2000-01-01T00:00:00Z


class BadPcapng(AssertionError):
    """The file breaks a rule of the format."""


@dataclass
class Interface:
    """An Interface Description Block."""

    name: str
    description: str
    mac: bytes | None
    speed_bps: int | None
    hardware: str
    os: str
    snaplen: int
    statistics: Statistics | None = None


@dataclass
class Statistics:
    """An Interface Statistics Block; times are virtual ns."""

    start_ns: int
    end_ns: int
    received: int
    dropped: int


@dataclass
class Packet:
    """An Enhanced Packet Block; `time_ns` is virtual time."""

    interface: Interface
    time_ns: int
    data: bytes
    length: int
    direction: int
    packet_id: int
    comments: list[str]
    drop_count: int
    verdict: tuple[int, int] | None

    @property
    def name(self) -> str:
        return self.interface.name


@dataclass
class CaptureFile:
    """All that is in a file."""

    hardware: str = ""
    os: str = ""
    application: str = ""
    comment: str = ""
    interfaces: list[Interface] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)
    names: dict[bytes, list[str]] = field(default_factory=dict)
    block_types: list[int] = field(default_factory=list)

    def on(self, name: str) -> list[Packet]:
        """The packets of the interfaces of that name."""
        return [packet for packet in self.packets if packet.name == name]

    def interface(self, name: str) -> Interface:
        """The one interface of that name."""
        (found,) = [interface for interface in self.interfaces if interface.name == name]
        return found


def read_pcapng(path: Path | str) -> CaptureFile:
    """Read a whole file; raise BadPcapng at the first thing that is wrong."""
    capture = CaptureFile()
    for number, (kind, body) in enumerate(_blocks(Path(path).read_bytes())):
        _check((kind == 0x0A0D0D0A) == (number == 0), f"block {number} has type {kind:#x}")
        _check(kind in _PARSERS, f"block {number}: unknown type {kind:#x}")
        capture.block_types.append(kind)
        _PARSERS[kind](capture, body)
    _check(bool(capture.block_types), "an empty file")
    return capture


def _check(condition: bool, text: str) -> None:
    if not condition:
        raise BadPcapng(text)


def _blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        _check(len(data) - position >= 12, f"{len(data) - position} odd bytes at the end")
        kind, total = struct.unpack_from("<II", data, position)
        _check(total % 4 == 0 and total >= 12, f"at {position}: a block of {total} bytes")
        _check(position + total <= len(data), f"at {position}: the block is cut off")
        (again,) = struct.unpack_from("<I", data, position + total - 4)
        _check(again == total, f"at {position}: the block's lengths {total} and {again} differ")
        yield kind, data[position + 8 : position + total - 4]
        position += total


def _padded_end(body: bytes, start: int, length: int) -> int:
    """The position behind a padded field, whose padding must be zeros."""
    end = start + length
    padded_end = end + -length % 4
    _check(padded_end <= len(body), f"a field of {length} bytes is longer than its block")
    _check(body[end:padded_end] == bytes(padded_end - end), "padding that is not zero")
    return padded_end


def _records(body: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    """Options and name records: code, length, value, padding; closed by code 0."""
    while True:
        _check(position + 4 <= len(body), "a list of options without an end")
        code, length = struct.unpack_from("<HH", body, position)
        if code == 0:
            _check(length == 0, "an end of options with a length")
            _check(position + 4 == len(body), "bytes behind the end of options")
            return
        yield code, body[position + 4 : position + 4 + length]
        position = _padded_end(body, position + 4, length)


def _options(body: bytes, position: int, lengths: dict[int, int | None], many: tuple[int, ...] = ()) -> _Options:
    """All options as a dict code -> values; unknown codes, wrong lengths and wrong repetitions are errors."""
    options = _Options()
    for code, value in _records(body, position):
        _check(code in lengths, f"unknown option {code}")
        expected = lengths[code]
        _check(expected is None or len(value) == expected, f"option {code} has {len(value)} bytes")
        _check(code in many or code not in options, f"option {code} is there twice")
        options.setdefault(code, []).append(value)
    return options


class _Options(dict[int, list[bytes]]):
    def text(self, code: int) -> str:
        return self[code][0].decode() if code in self else ""

    def number(self, code: int) -> int | None:
        return int.from_bytes(self[code][0], "little") if code in self else None

    def time_ns(self, code: int) -> int:
        high, low = struct.unpack("<II", self[code][0])
        return int((high << 32 | low) - EPOCH_NS)


def _section_header(capture: CaptureFile, body: bytes) -> None:
    magic, major, minor, length = struct.unpack_from("<IHHq", body)
    _check((magic, major, minor, length) == (0x1A2B3C4D, 1, 0, -1), "a wrong section header")
    options = _options(body, 16, {1: None, 2: None, 3: None, 4: None})
    capture.comment, capture.hardware = options.text(1), options.text(2)
    capture.os, capture.application = options.text(3), options.text(4)


def _interface_description(capture: CaptureFile, body: bytes) -> None:
    link_type, reserved, snaplen = struct.unpack_from("<HHI", body)
    _check((link_type, reserved) == (1, 0), f"link type {link_type}")
    options = _options(body, 8, {1: None, 2: None, 3: None, 6: 6, 8: 8, 9: 1, 12: None, 15: None})
    _check(options.number(9) == 9, "times are not in ns")
    mac = options[6][0] if 6 in options else None
    capture.interfaces.append(
        Interface(options.text(2), options.text(3), mac, options.number(8), options.text(15), options.text(12), snaplen)
    )


def _enhanced_packet(capture: CaptureFile, body: bytes) -> None:
    number, high, low, captured, length = struct.unpack_from("<IIIII", body)
    _check(number < len(capture.interfaces), f"interface {number} is used before it is described")
    interface = capture.interfaces[number]
    _check(captured <= length, f"{captured} bytes captured of {length}")
    expected = min(length, interface.snaplen) if interface.snaplen else length
    _check(captured == expected, f"{captured} bytes captured of {length} with snaplen {interface.snaplen}")
    position = _padded_end(body, 20, captured)
    options = _options(body, position, {1: None, 2: 4, 4: 8, 5: 8, 7: 9}, many=(1,))
    flags, packet_id = options.number(2), options.number(5)
    _check(flags in (0, 1, 2), f"flags {flags}")
    _check(packet_id is not None, "a packet without id")
    assert flags is not None
    assert packet_id is not None
    verdict = struct.unpack("<BQ", options[7][0]) if 7 in options else None
    capture.packets.append(
        Packet(
            interface=interface,
            time_ns=(high << 32 | low) - EPOCH_NS,
            data=body[20 : 20 + captured],
            length=length,
            direction=flags,
            packet_id=packet_id,
            comments=[value.decode() for value in options.get(1, [])],
            drop_count=options.number(4) or 0,
            verdict=verdict,
        )
    )


def _name_resolution(capture: CaptureFile, body: bytes) -> None:
    for code, value in _records(body, 0):
        _check(code in (1, 2), f"name record {code}")
        size = 4 if code == 1 else 16
        _check(value.endswith(b"\0") and len(value) > size + 1, "a name without an end or without a letter")
        names = value[size:-1].decode().split("\0")
        capture.names.setdefault(value[:size], []).extend(names)


def _interface_statistics(capture: CaptureFile, body: bytes) -> None:
    number, high, low = struct.unpack_from("<III", body)
    _check(number < len(capture.interfaces), f"statistics of the unknown interface {number}")
    options = _options(body, 12, {2: 8, 3: 8, 4: 8, 5: 8})
    received, dropped = options.number(4), options.number(5)
    assert received is not None
    assert dropped is not None
    end_ns = options.time_ns(3)
    _check((high << 32 | low) - EPOCH_NS == end_ns, "the statistics' two end times differ")
    _check(capture.interfaces[number].statistics is None, f"interface {number} has statistics twice")
    capture.interfaces[number].statistics = Statistics(options.time_ns(2), end_ns, received, dropped)


_PARSERS = {
    0x0A0D0D0A: _section_header,
    1: _interface_description,
    4: _name_resolution,
    5: _interface_statistics,
    6: _enhanced_packet,
}
