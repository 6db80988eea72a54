"""The comparison of TCP finds what differs, and the recorded downloads pass the checks made for the emulated ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.compare import Correspondence, Seen, compared, difference, read_pcap
from tests.golden.recording import FOLDER
from tests.golden.tcp_bulk import (
    Bulk,
    check_amounts,
    check_end,
    check_first_acks,
    check_first_segments,
    check_window_growth,
    leading_single_acks,
)
from tests.golden.tcp_fields import payload_length

SMALL = FOLDER / "29" / "a-default-bridge" / "a3-tcp-small-c1-eth0.pcap"
DOWNLOADS = sorted(
    path
    for pattern in (
        "*/a-default-bridge/a3-tcp-1MB-nooffload-*",
        "*/f-swarm-overlay/f4-tcp-1MB-o1-*",
        "linux/g9-router-*",
    )
    for path in FOLDER.glob(pattern)
)
SERVERS = {"a3": "172.17.0.3", "f4": "10.0.1.4", "g9": "10.9.1.4"}


def frames() -> list[tuple[int, bytes]]:
    return read_pcap(SMALL)


def verdict(changed: list[tuple[int, bytes]]) -> str | None:
    emulated = compared(changed)
    for seen in emulated:
        seen.fields.pop("tcp.checksum", None)  # recorded with checksum offload: unfinished
    return difference("test", compared(frames()), emulated, Correspondence())


def added(position: int, length: int, step: int, only_from: int | None = None) -> list[tuple[int, bytes]]:
    """Add to a number in all frames that come from an address (its last byte)."""
    packets = []
    for time_ns, data in frames():
        if only_from is None or data[29] == only_from:
            number = int.from_bytes(data[position : position + length], "big") + step
            data = data[:position] + (number % 256**length).to_bytes(length, "big") + data[position + length :]
        packets.append((time_ns, data))
    return packets


def with_bytes(index: int, position: int, new: bytes) -> list[tuple[int, bytes]]:
    packets = frames()
    time_ns, data = packets[index]
    packets[index] = time_ns, data[:position] + new + data[position + len(new) :]
    return packets


def test_other_initial_sequence_numbers_are_the_same() -> None:
    packets = []
    for time_ns, data in frames():
        sequence, acknowledgment = (38, 42) if data[29] == 2 else (42, 38)
        changed = bytearray(data)
        for position, step in ((sequence, 1_000_000_007), (acknowledgment, 2_000_000_011)):
            number = int.from_bytes(data[position : position + 4], "big")
            if number:  # a SYN acknowledges nothing
                changed[position : position + 4] = ((number + step) % 2**32).to_bytes(4, "big")
        packets.append((time_ns, bytes(changed)))
    assert verdict(packets) is None


@pytest.mark.parametrize(
    ("index", "position", "new", "field"),
    [
        (0, 48, b"\xfa\xf1", "tcp.window"),
        (0, 60, b"\x01\x01", "tcp.options"),
        (1, 71, b"\x03\x03\x07", "tcp.options"),
        (2, 47, b"\x18", "tcp.flags"),
        (2, 48, b"\x00\x40", "tcp.window"),
        (3, 66, b"POST", "tcp.payload"),
        (4, 42, bytes(4), "tcp.acknowledgment"),
        (1, 18, b"\x12\x34", "ip.id"),
        (9, 47, b"\x10", "tcp.flags"),
    ],
)
def test_a_changed_field_is_named(index: int, position: int, new: bytes, field: str) -> None:
    text = verdict(with_bytes(index, position, new))
    assert text is not None
    assert field in text.splitlines()[0]
    assert f"frame {index + 1} " in text


def test_an_echo_of_the_wrong_segment_is_reported() -> None:
    tsval_of_syn = frames()[0][1][62:66]
    late = tsval_of_syn[:3] + bytes([(tsval_of_syn[3] + 9) % 256])
    text = verdict(with_bytes(4, 62, late))
    assert text is not None
    assert "frame 5 echoes the timestamp of no frame; recorded was that of frame" in text


def test_a_timestamp_that_does_not_count_milliseconds_is_reported() -> None:
    slow = [(time_ns + index * 3_000_000, data) for index, (time_ns, data) in enumerate(frames())]
    text = verdict(slow)
    assert text is not None
    assert "0 ms after the first one, 6." in text


def test_ip_ids_of_one_connection_must_count_up_by_one() -> None:
    recorded, emulated = compared(frames()), compared(frames())
    for index, seen in enumerate(emulated):
        seen.fields.pop("tcp.checksum", None)
        if seen.fields["ip.src"] == "172.17.0.2":
            seen.fields["ip.id"] = 1000 + 2 * index
    text = difference("test", recorded, emulated, Correspondence())
    assert text is not None
    assert "frame 3: the IP id grows by 4; recorded was 1" in text


@pytest.mark.parametrize("path", DOWNLOADS, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_the_recorded_downloads_pass_the_checks_of_the_emulated_ones(path: Path) -> None:
    name = path.stem
    segments = [seen for seen in compared(read_pcap(path)) if "tcp.flags" in seen.fields]
    bulk = Bulk(segments, SERVERS[name[:2]])
    check_first_segments(name, bulk, bulk, bulk.segment_size())
    if leading_single_acks(bulk) >= 16:  # all but f4 of 20.10
        check_first_acks(name, bulk, bulk)
    check_amounts(name, bulk, bulk.segment_size())
    check_window_growth(name, bulk)
    check_end(name, bulk)


@pytest.mark.parametrize(
    ("position", "new"),
    [(47, b"\x18"), (48, b"\x00\x01")],
    ids=["PSH in the initial window", "another window"],
)
def test_a_download_that_begins_differently_does_not_pass(position: int, new: bytes) -> None:
    path = next(path for path in DOWNLOADS if path.stem == "a3-tcp-1MB-nooffload-c2-eth0")
    packets = read_pcap(path)
    index = next(index for index, (_, data) in enumerate(packets) if data[16:18] == (1500).to_bytes(2, "big"))
    time_ns, data = packets[index]
    packets[index] = time_ns, data[:position] + new + data[position + len(new) :]
    bulk, changed = (Bulk(tcp_only(compared(each)), SERVERS["a3"]) for each in (read_pcap(path), packets))
    with pytest.raises(AssertionError, match="test"):
        check_first_segments("test", bulk, changed, bulk.segment_size())


def tcp_only(frames: list[Seen]) -> list[Seen]:
    return [seen for seen in frames if "tcp.flags" in seen.fields and payload_length(seen.fields) >= 0]
