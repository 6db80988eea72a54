"""The comparison helper finds what differs, and only that."""

from __future__ import annotations

import struct

import pytest

from tests.golden.compare import (
    IGNORED_FIELDS,
    LATER_WORK,
    MAPPED_FIELDS,
    Correspondence,
    Seen,
    compared,
    difference,
    read_pcap,
    snap_length,
)
from tests.golden.recording import ENGINES, FOLDER

WHOLE = 0x10000
PINGS = FOLDER / "29" / "a-default-bridge" / "a2-ping-c1-eth0.pcap"


def frames() -> list[tuple[int, bytes]]:
    return read_pcap(PINGS)


def verdict(changed: list[tuple[int, bytes]]) -> str | None:
    return difference("test", compared(frames()), compared(changed), Correspondence())


def replaced(index: int, position: int, new: bytes) -> list[tuple[int, bytes]]:
    packets = compared_packets()
    time_ns, data = packets[index]
    packets[index] = time_ns, data[:position] + new + data[position + len(new) :]
    return packets


def compared_packets() -> list[tuple[int, bytes]]:
    return [packet for packet in frames() if not any(belongs(packet[1]) for belongs in LATER_WORK.values())]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_recording_equals_itself(engine: str) -> None:
    files = sorted((FOLDER / engine / "a-default-bridge").glob("*.pcap"))
    assert len(files) == 47
    for path in files:
        same = compared(read_pcap(path))
        for seen in same:
            seen.fields.pop("tcp.checksum", None)  # unfinished where it was recorded with checksum offload
        assert difference(path.name, compared(read_pcap(path)), same, Correspondence()) is None


def test_what_is_left_out_may_only_become_less() -> None:
    assert set(LATER_WORK) <= {"IPv6, with MLD and neighbour discovery", "IGMP", "mDNS"}
    assert set(IGNORED_FIELDS) <= {"udp.checksum", "icmp.time", "tcp.checksum", "tcp.tsval", "tcp.tsecr"}
    assert set(MAPPED_FIELDS.values()) <= {"mac", "icmp id", "port", "ip id"}


def test_other_random_values_that_correspond_one_to_one_are_the_same() -> None:
    old, new = frames()[0][1][6:12], bytes.fromhex("0e42ac110002")
    packets = [(time_ns, data.replace(old, new)) for time_ns, data in frames()]
    assert verdict(packets) is None


@pytest.mark.parametrize("new", ["0242ac110002", "001122334455"], ids=["02:42 of 20.10", "a manufacturer's"])
def test_a_mac_of_another_kind_is_different(new: str) -> None:
    old = frames()[0][1][6:12]
    text = verdict([(time_ns, data.replace(old, bytes.fromhex(new))) for time_ns, data in frames()])
    assert text is not None
    assert "differs in eth.src, arp.sender_mac" in text.splitlines()[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_no_frame_of_a_recording_that_is_compared_whole_was_cut(engine: str) -> None:
    for path in sorted((FOLDER / engine / "a-default-bridge").glob("*.pcap")):
        if snap_length(path) < WHOLE:
            continue  # the emulated frames are cut as well
        content, position = path.read_bytes(), 24
        while position < len(content):
            captured, length = struct.unpack_from("<II", content, position + 8)
            assert captured == length, path.name
            position += 16 + captured


def test_a_second_confirmation_of_the_same_neighbour_is_timed_too() -> None:
    packets = compared_packets()
    again = [(time_ns + 30_000_000_000, data) for time_ns, data in packets[2:]]
    late = [*again[:-2], *((time_ns + 2_000_000_000, data) for time_ns, data in again[-2:])]
    text = difference("test", compared(packets + again), compared(packets + late), Correspondence())
    assert text is not None
    assert f"frame {len(packets + again) - 1} comes" in text


@pytest.mark.parametrize(
    ("index", "position", "new", "field"),
    [
        (0, 41, b"\x09", "arp.target_ip"),
        (1, 21, b"\x01", "arp.operation"),
        (2, 15, b"\x01", "ip.tos"),
        (2, 20, b"\x00", "ip.df"),
        (2, 18, b"\x00\x00", "ip.id"),
        (3, 22, b"\x3f", "ip.ttl"),
        (3, 24, b"\x00\x00", "ip.checksum"),
        (2, 40, b"\x00\x05", "icmp.sequence"),
        (2, 6, bytes(5) + b"\x09", "eth.src"),
        (8, 80, b"\xee", "icmp.data"),
    ],
)
def test_a_changed_field_is_named(index: int, position: int, new: bytes, field: str) -> None:
    text = verdict(replaced(index, position, new))
    assert text is not None
    assert field in text.splitlines()[0]
    assert f"frame {index + 1} " in text


def test_a_missing_frame_is_shown_in_two_columns() -> None:
    text = verdict(compared_packets()[:-1])
    assert text is not None
    assert text.startswith("test: 24 frames recorded, 23 emulated")
    assert "| -" in text


def test_a_timer_that_is_ten_percent_late_is_reported_and_four_percent_are_not() -> None:
    def late(by_ns: int) -> list[tuple[int, bytes]]:
        packets = compared_packets()
        return packets[:4] + [(time_ns + by_ns, data) for time_ns, data in packets[4:]]

    assert verdict(late(40_000_000)) is None
    text = verdict(late(100_000_000))
    assert text is not None
    assert "comes 1.101 s after frame 3; recorded were 1.001 s" in text


def test_a_confirmation_after_seven_seconds_instead_of_five_is_reported() -> None:
    packets = compared_packets()
    request = next(index for index in range(18, 24) if packets[index][1][12:14] == b"\x08\x06")
    late = [*packets[:-2], *((time_ns + 2_000_000_000, data) for time_ns, data in packets[-2:])]
    assert request < 22
    text = verdict(late)
    assert text is not None
    assert "frame 23 comes" in text


def test_ip_ids_of_one_udp_socket_must_count_up_by_one() -> None:
    path = FOLDER / "29" / "a-default-bridge" / "a4-udp-tcp-closed-c1-eth0.pcap"
    recorded = compared(read_pcap(path))[:6]  # the three questions and answers
    mine = [index for index, seen in enumerate(recorded) if seen.fields.get("ip.src") == "172.17.0.2"]
    changed = list(recorded)
    for step, index in enumerate(mine):
        fields = dict(recorded[index].fields)
        fields["ip.id"] = 1000 + 2 * step
        changed[index] = Seen(recorded[index].time_ns, fields)
    text = difference("test", recorded, changed, Correspondence())
    assert text is not None
    assert "the IP id grows by 2" in text


def test_a_capture_with_another_link_type_is_refused(tmp_path: object) -> None:
    path = FOLDER.parent / "golden" / "29" / "a-default-bridge" / "a1-startlife-docker0.pcap"
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 20, 276)
    changed = type(path)(str(tmp_path)) / "cooked.pcap"
    changed.write_bytes(content)
    with pytest.raises(AssertionError, match="link type 276 is not Ethernet"):
        read_pcap(changed)
