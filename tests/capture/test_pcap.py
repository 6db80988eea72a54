"""Classic pcap with nanoseconds."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.capture import PcapWriter
from emu.wire.frame import Frame
from tests.capture.frames import WEB


def read_pcap(path: Path) -> tuple[int, list[tuple[int, bytes, int]]]:
    """The snaplen and all records as (virtual ns, bytes, length on the wire)."""
    data = path.read_bytes()
    magic, major, minor, zone, accuracy, snaplen, link_type = struct.unpack_from("<IHHiIII", data)
    assert (magic, major, minor, zone, accuracy, link_type) == (0xA1B23C4D, 2, 4, 0, 0, 1)
    records, position = [], 24
    while position < len(data):
        seconds, nanoseconds, captured, length = struct.unpack_from("<IIII", data, position)
        assert nanoseconds < 1_000_000_000
        assert captured == min(length, snaplen)
        position += 16
        assert position + captured <= len(data), "cut off"
        records.append(((seconds - 946_684_800) * 10**9 + nanoseconds, data[position : position + captured], length))
        position += captured
    return snaplen, records


def test_an_empty_file_has_the_nanosecond_magic_and_ethernet(tmp_path: Path) -> None:
    PcapWriter(tmp_path / "web.pcap", WEB).close()
    assert read_pcap(tmp_path / "web.pcap") == (262_144, [])


@given(
    frames=st.lists(st.tuples(st.integers(0, 10**18), st.binary(max_size=200))),
    snaplen=st.integers(0, 100),
)
def test_any_frame_at_any_time_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, frames: list[tuple[int, bytes]], snaplen: int
) -> None:
    path = tmp_path_factory.mktemp("pcap") / "web.pcap"
    writer = PcapWriter(path, WEB, snaplen=snaplen)
    for now_ns, data in frames:
        writer.tap(now_ns, Frame(data, 1), 1)
    writer.close()
    assert read_pcap(path)[1] == [(time, data[: snaplen or 200], len(data)) for time, data in frames]


def test_the_file_is_valid_after_every_flush(tmp_path: Path) -> None:
    writer = PcapWriter(tmp_path / "web.pcap", WEB, keep_open=False)
    for number in range(5):
        writer.tap(number, Frame(bytes(number), 1), 1)
        writer.flush()
        assert len(read_pcap(tmp_path / "web.pcap")[1]) == number + 1
    writer.close()


def test_what_passed_is_counted_in_bytes_of_the_wire(tmp_path: Path) -> None:
    writer = PcapWriter(tmp_path / "web.pcap", WEB, snaplen=10)
    for size in (60, 1514):
        writer.tap(0, Frame(bytes(size), 1), 2)
    writer.miss()
    writer.close()
    counted = writer.statistics()
    assert (counted.name, counted.frames, counted.bytes, counted.missed) == ("web1:eth0", 2, 1574, 1)
