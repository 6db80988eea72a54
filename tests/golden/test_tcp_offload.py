"""A megabyte between two containers with segmentation offload, as recorded Docker engines showed it (a3, FACT 45).

Compared one by one: the handshake, the request, the reply's header, the first two long segments, which frames have an
unfinished checksum and what it is, and how IP identifications count. Compared by what they have in common, because the
recorded sender was paced by bbr and the recorded programs were scheduled at random: sizes, counts, PSH.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from emu.wire.offload import partial_checksum
from tests.golden.compare import difference, read_pcap
from tests.golden.recording import DOCKER_EXEC_NS, SECOND, Recording, Run
from tests.golden.tcp_bulk import Bulk, check_end
from tests.golden.tcp_fields import ACK, FIN, PSH, payload_length
from tests.golden.tcp_programs import BIG_FILE, EXIT_NS, WINDOW_SCALE_10, blocks, http_client, http_server, request
from tests.golden.test_default_bridge import C2, ENGINES, POINTS

SCENARIO = "a3-tcp-1MB-offload"
HEADER_BYTES = 192
MSS = 1448
LONGEST = 45 * MSS
"""65160 bytes: as many full segments as fit 64 KiB less 320 bytes for headers."""
BLOCK_NS = 150_000
"""What httpd took for each 64 KiB of the file: the recorded transfers took 2.2 to 5.9 ms, 16 blocks."""
DATA_FRAMES = (30, 50)
"""Recorded were 39, 38 and 36 frames with data; one MSS per frame makes 702."""
ACKS_PER_DATA_FRAME = (0.9, 1.1)
"""Recorded were 1.0, 1.0 and 0.92: a long segment is more than two full ones, so each has its own ACK."""

Frame = tuple[int, bytes]


@dataclass(frozen=True)
class Point:
    """One capture point, recorded or emulated: the frames as bytes and, in the same order, decoded."""

    frames: Sequence[Frame]
    bulk: Bulk

    def segments(self) -> list[bytes]:
        """The TCP segments, from the IP header on."""
        return [data[14:] for _, data in self.frames if data[12:14] == b"\x08\x00" and data[23] == 6]

    def from_server(self) -> list[bytes]:
        """Those of the server's connection, without the SYN-ACK and what TIME-WAIT answers (identification 0)."""
        server = bytes(int(part) for part in C2.split("."))
        return [packet for packet in self.segments() if packet[12:16] == server and packet[4:6] != b"\0\0"]


def data_length(packet: bytes) -> int:
    return int.from_bytes(packet[2:4], "big") - 20 - (packet[32] >> 4) * 4


def has_partial_checksum(packet: bytes) -> bool:
    length = int.from_bytes(packet[2:4], "big") - 20
    return packet[36:38] == partial_checksum(packet[12:16], packet[16:20], 6, length).to_bytes(2, "big")


def download(recording: Recording) -> Run:
    """The recorded machine, and on it the download."""
    run = Run(recording, SCENARIO, begin_ns=100 * SECOND, reachable_s=600, offload=True)
    for name in ("c1", "c2"):
        run.container(name).namespace.sysctl["net.ipv4.tcp_rmem_max"] = WINDOW_SCALE_10
    run.container("c1").ping(C2, count=1, at=50 * SECOND)
    header = run.said(f"{SCENARIO}-c1-eth0", HEADER_BYTES)
    c1, c2 = run.container("c1"), run.container("c2")
    exit_ns = 0 if recording.engine == "29" else EXIT_NS  # there the FIN rode on the last data
    c2.spawn(http_server(run.net, c2.namespace, blocks(header, BIG_FILE), exit_ns=exit_ns, block_ns=BLOCK_NS))
    start_ns = run.command("wget -q", DOCKER_EXEC_NS, after=f"{SCENARIO}-c2-eth0.pcap")
    size = len(header) + len(BIG_FILE)
    run.net.at(start_ns, lambda: c1.spawn(http_client(run.net, c1.namespace, C2, request("/big.bin", C2), size)))
    run.net.run()
    return run


def points(run: Run, name: str) -> tuple[Point, Point]:
    """What was recorded at a capture point, and what the emulation shows there."""
    recorded, emulated = run.both(name)
    first_ns = emulated[0].time_ns
    taken = [(time_ns, data) for time_ns, data in run.taken[run.interface_of(name)] if time_ns >= first_ns]
    path = run.recording.folder / f"{SCENARIO}-{name}.pcap"
    return Point(read_pcap(path), Bulk(recorded, C2)), Point(taken, Bulk(emulated, C2))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_megabyte_with_segmentation_offload(engine: str) -> None:
    run = download(Recording(engine))
    for name in POINTS:
        recorded, emulated = points(run, name)
        label = f"{engine} {SCENARIO}-{name}"
        check_opening(label, run, recorded, emulated)
        check_first_segments(label, recorded, emulated)
        for point in (recorded, emulated):
            check_checksums(label, point)
            check_push_and_sizes(label, point)
            check_identifications(label, point)
            check_amounts(label, point)
        check_end(label, emulated.bulk)


def opening(bulk: Bulk) -> list[Any]:
    """Everything before the first long segment."""
    first = next(i for i, seen in enumerate(bulk.frames) if payload_length(seen.fields) > MSS)
    return list(bulk.frames[:first])


def check_opening(label: str, run: Run, recorded: Point, emulated: Point) -> None:
    """Handshake, request and the header of the reply are equal, frame by frame."""
    tcp = [[seen for seen in opening(p.bulk) if "tcp.flags" in seen.fields] for p in (recorded, emulated)]
    for seen in (*tcp[0], *tcp[1]):
        seen.fields.pop("tcp.checksum", None)  # unfinished in both: see `check_checksums`
    text = difference(f"{label}, opening", *tcp, run.correspondence)
    assert text is None, "\n" + str(text)


def check_first_segments(label: str, recorded: Point, emulated: Point) -> None:
    """The initial window leaves as two packets of five segments; the first is acknowledged with the recorded window."""
    for point in (recorded, emulated):
        first = [fields for fields in point.bulk.data() if fields["tcp.sequence"] > 1][:2]
        assert [payload_length(fields) for fields in first] == [5 * MSS] * 2, label
    ours, theirs = (
        [(f["tcp.acknowledgment"], f["tcp.window"]) for f in p.bulk.acks()[:2]] for p in (emulated, recorded)
    )
    assert ours == theirs == [(193, 63), (7433, 78)], label


def check_checksums(label: str, point: Point) -> None:
    """Every segment of a socket has only the pseudo header's sum; what TIME-WAIT answers (identification 0) is real."""
    for packet in point.segments():
        is_syn_ack = packet[33] & 0x12 == 0x12
        assert has_partial_checksum(packet) is (packet[4:6] != b"\0\0" or is_syn_ack), f"{label}: {packet[:40].hex()}"


def check_push_and_sizes(label: str, point: Point) -> None:
    """A long segment always has PSH, and the longest has 45 times the MSS."""
    lengths = []
    for fields in point.bulk.data():
        lengths.append(payload_length(fields))
        if lengths[-1] > MSS:
            assert fields["tcp.flags"] & PSH, f"{label}: {fields}"
    assert max(lengths) == LONGEST, label
    assert sum(lengths) == HEADER_BYTES + len(BIG_FILE), label


def check_identifications(label: str, point: Point) -> None:
    """A long segment takes as many identifications as it has pieces."""
    packets = point.from_server()
    for packet, following in pairwise(packets):
        step = int.from_bytes(following[4:6], "big") - int.from_bytes(packet[4:6], "big")
        assert step & 0xFFFF == max(1, -(-data_length(packet) // MSS)), f"{label}: {packet[:20].hex()}"


def check_amounts(label: str, point: Point) -> None:
    """About forty frames with data instead of seven hundred, each with an ACK of its own."""
    data = point.bulk.data()
    assert DATA_FRAMES[0] <= len(data) <= DATA_FRAMES[1], f"{label}: {len(data)} frames with data"
    position = 1
    for fields in data:
        assert fields["tcp.sequence"] == position, f"{label}: sent twice, or never"
        position += payload_length(fields)
    ratio = len(point.bulk.acks()) / len(data)
    assert ACKS_PER_DATA_FRAME[0] <= ratio <= ACKS_PER_DATA_FRAME[1], f"{label}: {ratio:.2f} ACKs for each"


@pytest.mark.parametrize("engine", ENGINES)
def test_the_recordings_have_the_fin_on_the_last_data_only_where_the_test_says_so(engine: str) -> None:
    path = Recording(engine).folder / f"{SCENARIO}-c1-eth0.pcap"
    fins = [
        data[14:] for _, data in read_pcap(path) if data[23] == 6 and data[47] & FIN and data[26:30].hex()[-2:] == "03"
    ]
    assert [data_length(packet) > 0 for packet in fins] == [engine == "29"]
    assert fins[0][33] & ACK
