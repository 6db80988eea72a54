"""What Wireshark's TCP analysis says of each interface's own file: nothing in clean runs, losses where they were made.

Wireshark takes a segment that it sees at five taps for four retransmissions, so every interface has its own file
(`split`). Its RTT analysis must agree with the samples that TCP itself took.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import emu
from emu.stack.tcp.rtt import RttEstimator
from tests.capture.pcapng_reader import read_pcapng
from tests.helpers_tshark import needs_tshark, run_program

pytestmark = [pytest.mark.tshark, needs_tshark]

PORT = 5001
MICROSECOND = 1_000
HARMLESS = ("window_update", "window_full", "keep_alive", "keep_alive_ack")
"""Remarks of the analysis that a clean run may get: a reader frees memory, a slow reader stops the sender, an idle
connection is asked whether it is there."""
NEVER = "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0"
SUSPICIOUS = "tcp.analysis.flags && !(" + " || ".join(f"tcp.analysis.{remark}" for remark in HARMLESS) + ")"
RESENT = (
    "tcp.analysis.retransmission || tcp.analysis.fast_retransmission || tcp.analysis.spurious_retransmission || "
    "tcp.analysis.out_of_order || tcp.analysis.duplicate_ack || tcp.analysis.lost_segment || "
    "tcp.analysis.ack_lost_segment"
)
"""What an analyst would call trouble. It is among `tcp.analysis.flags`, too, but a frame may have several remarks."""
CHECKSUMS = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")


def tshark(path: Path, condition: str, *fields: str) -> list[list[str]]:
    """Return the fields of the frames of a file for which a display filter holds."""
    names = [word for name in fields for word in ("-e", name)]
    text = run_program("tshark", "-n", "-r", path, *CHECKSUMS, "-Y", condition, "-T", "fields", *names)
    return [line.split("\t") for line in text.splitlines()]


@dataclass(slots=True)
class Transfer:
    """A stream of bytes from h0 to h1, and one back."""

    net: emu.Emulation
    sender: emu.Container
    receiver: emu.Container
    forward: int
    backward: int = 0
    received: dict[str, int] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Begin at once."""
        self.receiver.spawn(self._serve())
        self.sender.spawn(self._ask())

    def _ask(self) -> Generator[Any, Any, None]:
        yield self.sender.ping(self.address(self.receiver), count=1)  # ARP is done: it would delay the SYN
        socket = self.sender.tcp_connect(self.address(self.receiver), PORT)
        yield socket.connected
        self.sender.spawn(self._write(socket, self.forward))
        yield from self._read("sender", socket)

    def _serve(self) -> Generator[Any, Any, None]:
        socket = yield self.receiver.tcp_listen(PORT).accept()
        self.receiver.spawn(self._write(socket, self.backward))
        yield from self._read("receiver", socket)

    def _write(self, socket: Any, count: int) -> Generator[Any, Any, None]:
        if count:
            yield socket.send(bytes(count))
        socket.shutdown("write")

    def _read(self, name: str, socket: Any) -> Generator[Any, Any, None]:
        self.received[name] = 0
        while data := (yield socket.recv()):
            self.received[name] += len(data)
        yield socket.closed
        self.info[name] = socket.info()

    @staticmethod
    def address(container: emu.Container) -> str:
        """A container's address."""
        return container.interface("eth0").addresses[0].split("/")[0]


def bridge(cost: str, **shape: Any) -> tuple[emu.Emulation, emu.Container, emu.Container]:
    """Two containers on the default bridge; `shape` is set on the sender's interface."""
    net = emu.Emulation(seed=1, cost=cost)
    sender, receiver = (net.host.containers.run(name) for name in ("h0", "h1"))
    if shape:
        sender.interface("eth0").set(**shape)
    return net, sender, receiver


def overlay(cost: str, **shape: Any) -> tuple[emu.Emulation, emu.Container, emu.Container]:
    """Two containers on an overlay, on two hosts; `shape` is that of the underlay's link."""
    net = emu.Emulation(seed=1, cost=cost)
    hosts = [net.add_host("host1"), net.add_host("host2")]
    net.add_link(*hosts, **shape)
    network = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    sender, receiver = (
        host.containers.run(name, network=network) for host, name in zip(hosts, ("h0", "h1"), strict=True)
    )
    return net, sender, receiver


LINK = {"rate": "100Mbit", "delay": "1ms"}
SETTINGS = [
    pytest.param(bridge, "linux", {}, id="bridge"),
    pytest.param(bridge, "linux", LINK, id="bridge with a link", marks=pytest.mark.slow),
    pytest.param(bridge, "none", LINK, id="bridge with a link, no costs", marks=pytest.mark.slow),
    pytest.param(overlay, "linux", LINK, id="overlay", marks=pytest.mark.slow),
    pytest.param(overlay, "none", LINK, id="overlay, no costs", marks=pytest.mark.slow),
]
"""Only the first one belongs to the fast tests: tshark reads a file in half a second, an overlay has ten of them."""


def run_captured(transfer: Transfer, folder: Path) -> dict[str, Path]:
    """Run a transfer and return the files of the interfaces that show TCP, by the interfaces' names."""
    transfer.net.capture(folder / "capture.pcapng", split=True)
    transfer.start()
    transfer.net.run()
    transfer.net.close()
    assert transfer.received == {"sender": transfer.backward, "receiver": transfer.forward}
    port = PORT.to_bytes(2, "big")
    files = {}
    for path in sorted((folder / "by-interface").iterdir()):
        packets = read_pcapng(path).packets
        if any(port in packet.data for packet in packets):
            files[packets[0].name] = path
    return files


@pytest.mark.parametrize(("build", "cost", "shape"), SETTINGS)
@pytest.mark.parametrize(("forward", "backward"), [(400_000, 0), (150_000, 150_000)], ids=["one way", "both ways"])
def test_a_clean_run_gives_nothing_to_complain_about_at_any_interface(
    build: Any, cost: str, shape: dict[str, Any], forward: int, backward: int, tmp_path: Path
) -> None:
    files = run_captured(Transfer(*build(cost, **shape), forward, backward), tmp_path)
    assert {"h0:eth0", "h1:eth0"} < set(files)
    for name, path in files.items():
        assert tshark(path, f"{NEVER} || {RESENT} || ({SUSPICIOUS})", "frame.number", "_ws.col.Info") == [], name


@pytest.mark.slow
@pytest.mark.parametrize("build", [bridge, overlay])
def test_retransmissions_are_seen_only_before_the_loss_and_as_many_as_tcp_says(build: Any, tmp_path: Path) -> None:
    """Lost frames are missing behind the link, so nothing is doubled there: each segment is seen once."""
    transfer = Transfer(*build("linux", **LINK, loss=0.01), 1_500_000)
    files = run_captured(transfer, tmp_path)
    told = transfer.info["sender"].retransmissions
    assert told > 0
    for name, path in files.items():
        fields = ("ip.src", "tcp.len", "tcp.nxtseq", "tcp.analysis.retransmission", "tcp.analysis.out_of_order")
        rows = tshark(path, "tcp.len > 0", *fields)
        from_sender = [row for row in rows if row[0].endswith(transfer.address(transfer.sender))]
        resent = doubled([int(row[2]) for row in from_sender])
        assert tshark(path, NEVER, "frame.number", "_ws.col.Info") == [], name
        if name == "h0:eth0":
            assert resent == told
            assert sum(bool(row[3] or row[4]) for row in from_sender) == told
        elif name == "h1:eth0":
            assert len(from_sender) - resent >= len({row[2] for row in from_sender}) - told


def doubled(ends: list[int]) -> int:
    """Count the segments that end where others had ended before."""
    highest, count = 0, 0
    for end in ends:
        count += end <= highest
        highest = max(highest, end)
    return count


class Samples:
    """The RTT samples that every connection takes, in the order of the connections' first ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by_estimator: dict[RttEstimator, list[int]] = {}
        original = RttEstimator.sample

        def sample(estimator: RttEstimator, rtt_ns: int, *more: Any) -> None:
            self.by_estimator.setdefault(estimator, []).append(rtt_ns)
            original(estimator, rtt_ns, *more)

        monkeypatch.setattr(RttEstimator, "sample", sample)


@pytest.mark.parametrize(("build", "cost", "shape"), SETTINGS)
def test_wiresharks_round_trip_times_are_those_that_tcp_measured(
    build: Any, cost: str, shape: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For an acknowledgment of several segments TCP takes the time of the oldest, Wireshark that of the newest."""
    samples = Samples(monkeypatch)
    transfer = Transfer(*build(cost, **shape), 400_000)
    files = run_captured(transfer, tmp_path)
    expected, wireshark = round_trips(files["h0:eth0"], transfer.address(transfer.sender))
    ours = max(samples.by_estimator.values(), key=len)
    assert len(ours) == len(expected)
    alone = 0
    for index, (sample_ns, (newest_ns, oldest_ns, count)) in enumerate(zip(ours, expected, strict=True)):
        assert abs(wireshark[index] - newest_ns) <= MICROSECOND, "this test reads the capture as Wireshark does"
        assert abs(sample_ns - oldest_ns) <= MICROSECOND, f"sample {index + 1} of {len(ours)}"
        alone += count == 1
    assert alone >= 10, "acknowledgments of a single segment, where all three are the same"


def round_trips(path: Path, sender: str) -> tuple[list[tuple[int, int, int]], list[int]]:
    """Return for each acknowledgment at the sender (time since the newest segment it covers, since the oldest, how
    many it covers), and Wireshark's time for it; in ns.
    """
    fields = ("ip.src", "frame.time_epoch", "tcp.seq", "tcp.nxtseq", "tcp.ack", "tcp.analysis.ack_rtt", "tcp.len")
    waiting: list[tuple[int, int]] = []
    found, theirs = [], []
    for source, time, sequence, following, acknowledged, ack_rtt, _ in tshark(path, "tcp", *fields):
        time_ns = nanoseconds(time)
        if source == sender:
            if int(following) > int(sequence):
                waiting.append((int(following), time_ns))
            continue
        covered = [sent_ns for end, sent_ns in waiting if end <= int(acknowledged)]
        if covered:
            waiting = waiting[len(covered) :]
            found.append((time_ns - covered[-1], time_ns - covered[0], len(covered)))
            theirs.append(nanoseconds(ack_rtt))
    return found, theirs


def nanoseconds(text: str) -> int:
    """Read a number of seconds with nine decimals exactly."""
    whole, _, fraction = text.partition(".")
    return int(whole) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
