"""A download of a megabyte beside its recording: what must be equal, and what must lie in a stated range.

Equal, segment by segment: the handshake, the request, the reply's header and the first `INITIAL_WINDOW` full segments
with where PSH stands among them, and their acknowledgments (numbers, windows, options) as far as quick acknowledgment
goes; the end of the connection.

In a range, because the recorded sender was paced by bbr and the recorded programs were scheduled by a busy machine:
the number of data segments, of ACKs for each of them, and the window in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.golden.compare import Correspondence, Seen, difference
from tests.golden.tcp_fields import ACK, FIN, PSH, RST, SYN, payload_length

INITIAL_WINDOW = 10
QUICK_ACKS = 16
"""Linux acknowledges the first 16 segments of a connection one by one."""
FEWEST_SINGLE_ACKS = 4
"""So few were recorded in one case (f4 of engine 20.10), all 16 in the others."""
SHORTEST_FINAL_WINDOW, LONGEST_FINAL_WINDOW = 300_000, 8_000_000
"""Recorded were 604 KB to 1.8 MB after a megabyte."""
ACK_RATIO = (0.25, 1.0)
"""ACKs per data segment: recorded were 0.30, 0.50, 0.50, 0.61, 0.66 and 0.79. While the window grows every segment has
an ACK of its own, in the recordings too; there a busy reader and segments that come in lumps make it fewer."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """The frames of a download at one capture point."""

    frames: Sequence[Seen]
    server: str

    def sent(self, by_server: bool) -> list[dict[str, Any]]:
        """The segments of one side, in order."""
        return [seen.fields for seen in self.frames if (seen.fields["ip.src"] == self.server) is by_server]

    def data(self) -> list[dict[str, Any]]:
        """The server's segments with data."""
        return [fields for fields in self.sent(True) if payload_length(fields)]

    def acks(self) -> list[dict[str, Any]]:
        """The client's bare acknowledgments of data, in the order of their numbers."""
        bare = [f for f in self.sent(False) if f["tcp.flags"] == ACK and not payload_length(f)]
        return sorted((f for f in bare if f["tcp.acknowledgment"] > 1), key=lambda f: int(f["tcp.acknowledgment"]))

    def opening(self) -> list[Seen]:
        """Everything before the first full segment."""
        full = self.segment_size()
        first = next(i for i, seen in enumerate(self.frames) if payload_length(seen.fields) == full)
        return list(self.frames[:first])

    def segment_size(self) -> int:
        """The length of a full segment."""
        return max(payload_length(fields) for fields in self.data())

    def window_scale(self) -> int:
        """The client's window scale: the last byte of its SYN's options."""
        syn = next(fields for fields in self.sent(False) if fields["tcp.flags"] & SYN)
        return int(syn["tcp.options"][-2:], 16)


def check_bulk(name: str, recorded: Bulk, emulated: Bulk, correspondence: Correspondence) -> None:
    """Fail with a readable text unless the emulated download is one that the recorded machine could have made."""
    text = difference(f"{name}, opening", recorded.opening(), emulated.opening(), correspondence)
    assert text is None, "\n" + str(text)
    full = recorded.segment_size()
    assert emulated.segment_size() == full
    check_first_segments(name, recorded, emulated, full)
    check_first_acks(name, recorded, emulated)
    check_amounts(name, emulated, full)
    check_window_growth(name, emulated)
    check_end(name, emulated)


def check_first_segments(name: str, recorded: Bulk, emulated: Bulk, full: int) -> None:
    """The initial window: 10 full segments, PSH on every fifth, as half a congestion window is one packet to GSO."""
    for bulk in (recorded, emulated):
        first = [f for f in bulk.data() if f["tcp.sequence"] > 1][:INITIAL_WINDOW]
        assert [payload_length(f) for f in first] == [full] * INITIAL_WINDOW, name
        assert [bool(f["tcp.flags"] & PSH) for f in first] == ([False] * 4 + [True]) * 2, name
        assert [f["tcp.window"] for f in first] == [first[0]["tcp.window"]] * INITIAL_WINDOW, name
    ours, theirs = emulated.data()[1], recorded.data()[1]
    assert ours["tcp.window"] == theirs["tcp.window"], name


def check_first_acks(name: str, recorded: Bulk, emulated: Bulk) -> None:
    """The first 16 data segments are acknowledged one by one, each with the window that the recorded kernel told."""
    ours, theirs = (
        [(f["tcp.acknowledgment"], f["tcp.window"], f["tcp.options"]) for f in bulk.acks()[:QUICK_ACKS]]
        for bulk in (emulated, recorded)
    )
    common = min(len(theirs), leading_single_acks(recorded), QUICK_ACKS)
    assert common >= FEWEST_SINGLE_ACKS, f"{name}: the recording has too few to compare"
    assert ours[:common] == theirs[:common], name
    assert leading_single_acks(emulated) >= QUICK_ACKS, name


def leading_single_acks(bulk: Bulk) -> int:
    """How many data segments at the beginning have an ACK of their own."""
    ends = [f["tcp.sequence"] + payload_length(f) for f in bulk.data()]
    count = 0
    for fields, end in zip(bulk.acks(), ends, strict=False):
        if fields["tcp.acknowledgment"] != end:
            break
        count += 1
    return count


def check_amounts(name: str, emulated: Bulk, full: int) -> None:
    """Everything arrives once, in full segments but for the ends of httpd's blocks; one ACK for every few of them."""
    data = emulated.data()
    lengths = [payload_length(fields) for fields in data]
    least = -(-sum(lengths) // full)
    assert least <= len(data) <= least + 20, f"{name}: {len(data)} data segments"
    for one, other in pairwise(sorted(data, key=lambda f: int(f["tcp.sequence"]))):
        assert other["tcp.sequence"] == one["tcp.sequence"] + payload_length(one), f"{name}: sent twice, or never"
    ratio = len(emulated.acks()) / len(data)
    assert ACK_RATIO[0] <= ratio <= ACK_RATIO[1], f"{name}: {ratio:.2f} ACKs for each data segment"


def check_window_growth(name: str, emulated: Bulk) -> None:
    """The right edge of the client's window never moves back, and the window ends far above the 64 KB it began with."""
    scale = emulated.window_scale()
    edges = [f["tcp.acknowledgment"] + (f["tcp.window"] << scale) for f in emulated.acks()]
    assert edges == sorted(edges), f"{name}: the window's right edge moved back"
    final = emulated.acks()[-1]["tcp.window"] << scale
    assert SHORTEST_FINAL_WINDOW <= final <= LONGEST_FINAL_WINDOW, f"{name}: the last window is {final:,}"


def check_end(name: str, emulated: Bulk) -> None:
    """Both sides say FIN once and have it acknowledged; nobody says RST."""
    for by_server in (True, False):
        sent = emulated.sent(by_server)
        assert not any(fields["tcp.flags"] & RST for fields in sent), f"{name}: RST"
        (last,) = [fields for fields in sent if fields["tcp.flags"] & FIN]
        end = last["tcp.sequence"] + payload_length(last) + 1
        assert max(f["tcp.acknowledgment"] for f in emulated.sent(not by_server)) == end, name
    check_last_identification(name, emulated)


def check_last_identification(name: str, bulk: Bulk) -> None:
    """The server's last ACK has the IP id 0 if its own FIN had been acknowledged before: it has no socket any more."""
    server, client = bulk.sent(True), bulk.sent(False)
    (fin,) = [fields for fields in server if fields["tcp.flags"] & FIN]
    end = fin["tcp.sequence"] + payload_length(fin) + 1
    acknowledged = next(index for index, fields in enumerate(client) if fields["tcp.acknowledgment"] == end)
    ended = next(index for index, fields in enumerate(client) if fields["tcp.flags"] & FIN)
    last = server[-1]
    if last is not fin and not payload_length(last):
        assert (last["ip.id"] == 0) is (acknowledged < ended), name
