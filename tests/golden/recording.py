"""The recorded runs: where the files are, when which command was started, and the emulated run beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import emu
from emu.capture.interface import InterfaceInfo
from emu.kernel.tap import Tap, TappedFrame
from tests.golden.compare import (
    Correspondence,
    Seen,
    compared,
    cut,
    difference,
    in_order_of_senders,
    read_pcap,
    snap_length,
)
from tests.golden.fields import decode
from tests.golden.tcp_fields import payload_length

ENGINES = ("20.10", "28", "29")
FOLDER = Path(__file__).parent

SECOND = 1_000_000_000
SEED = 1
SILENT = {("20.10", "a1-startlife", "docker0")}
"""Where nothing was recorded of what is compared: a starting container of engine 20.10 sends nothing (FACT 10)."""
DAY_NS = 86_400 * SECOND
TIMER_SLOT_NS = 256_000_000
"""Linux's timer slots for waits of 2 to 16 s (`emu.kernel.jiffies`)."""
SOFTIRQ_NS = 50_000
"""Roughly how long after the tick a timer's frame is seen."""
LATE_NS = 300_000_000
"""How far a frame may be from its recorded time of day: a slot of those, and what a command takes to start."""
DOCKER_EXEC_NS = 75_000_000
"""`docker exec` takes so long until the program in the container runs (recorded: 60 to 90 ms)."""
PROCESS_NS = 25_000_000
"""The host's own ping in the container's namespace sends so long after its line in the log (recorded: 22 to 30 ms)."""
PYTHON_NS = 120_000_000
"""The same for a python3 script."""
PYTHON_BURST_NS = 155_000_000
"""The same for the script of the burst, which loads more."""
DOCKER_RUN_NS = 300_000_000
"""The same for the network of a container after `docker run`."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded scenario folder, and whether the emulated machine beside it takes time for its work."""

    engine: str
    cost: str = "linux"

    def __str__(self) -> str:
        return f"{self.engine}-{self.cost}"

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return FOLDER / self.engine / "a-default-bridge"

    def lines(self) -> list[tuple[int, str]]:
        """Return (time in ns since midnight, text) of every line of the transcript that has a time."""
        found = []
        for line in (self.folder / "commands.log").read_text().splitlines():
            match = re.match(r"\[(\d\d:\d\d:\d\d\.\d{3})\] (.*)", line)
            if match:
                time = datetime.strptime(match[1], "%H:%M:%S.%f")
                seconds = time.hour * 3600 + time.minute * 60 + time.second
                found.append((seconds * SECOND + time.microsecond * 1000, match[2].strip()))
        return found

    def time_of(self, text: str, after: str | None = None, nth: int = 0) -> int:
        """Return when a line that contains the text was logged, in ns since midnight.

        after: text of an earlier line from which to search. nth: which of them, from 0.
        """
        lines = self.lines()
        start = 0
        if after is not None:
            start = next(index for index, (_, line) in enumerate(lines) if after in line)
        return [time_ns for time_ns, line in lines[start:] if text in line][nth]

    def output_of(self, text: str, after: str) -> str:
        """Return the output that the transcript shows for a command."""
        log = (self.folder / "commands.log").read_text().splitlines()
        start = next(index for index, line in enumerate(log) if after in line)
        start = next(index for index, line in enumerate(log) if index >= start and text in line)
        output = []
        for line in log[start + 1 :]:
            if not line.startswith("    ") or line.startswith("    (exit"):
                break
            output.append(line[4:])
        return "\n".join(output) + "\n"


@dataclass(slots=True)
class Run:
    """An emulation of the recorded machine: one host, containers c1 and c2 on the default bridge.

    begin_ns: the virtual time of the start of the scenario; what happens before is its history.
    reachable_s: `base_reachable_time` of all namespaces; how long an entry stays REACHABLE is drawn at random, a long
    time stands for a draw that outlasts the scenario.
    offload: whether the containers leave checksums and cutting segments to the hardware.
    clock_scenario: the capture that shows the machine's timer slots, if it is not the scenario itself.
    """

    recording: Recording
    scenario: str
    begin_ns: int
    reachable_s: int = 30
    start_containers: bool = True
    clock_scenario: str | None = None
    offload: bool = False
    net: emu.Emulation = field(init=False)
    host: emu.Host = field(init=False)
    taken: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    correspondence: Correspondence = field(default_factory=Correspondence)
    origin_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.origin_ns = self.recording.time_of(f"{self.scenario}-docker0.pcap")
        self.begin_ns += self._phase_ns()
        self.net = emu.Emulation(engine=self.recording.engine, seed=SEED, cost=self.recording.cost)
        self.host = self.net.add_host("host1")
        self.net.interfaces.watch(self._watch)
        if self.start_containers:
            for name in ("c1", "c2"):
                self.run_container(name)

    def _phase_ns(self) -> int:
        """Return by how much to move the run so that Linux's 256 ms timer slots lie as on the recorded machine.

        They show in the confirmations of neighbours (unicast ARP requests), which leave at the beginning of a slot.
        """
        scenario = self.clock_scenario or self.scenario
        for time_ns, data in read_pcap(self.recording.folder / f"{scenario}-docker0.pcap"):
            if data[12:14] == b"\x08\x06" and data[21] == 1 and data[:6] != b"\xff" * 6:
                slot_ns = self.when(time_ns % DAY_NS) - SOFTIRQ_NS
                return -slot_ns % TIMER_SLOT_NS
        return 0

    def run_container(self, name: str) -> emu.Container:
        """`docker run -d --name c1 bb`."""
        container = self.host.containers.run(name, offload=self.offload)
        for namespace in (container.namespace, self.host.namespace):
            namespace.sysctl["net.ipv4.neigh.default.base_reachable_time_ms"] = self.reachable_s * 1000
        return container

    def container(self, name: str) -> emu.Container:
        """c1 or c2."""
        return self.host.containers.get(name)

    def when(self, logged_ns: int, delay_ns: int = 0) -> int:
        """Return the virtual time of what the transcript shows at `logged_ns`, `delay_ns` later."""
        return self.begin_ns + logged_ns - self.origin_ns + delay_ns

    def command(self, text: str, delay_ns: int, after: str | None = None) -> int:
        """Return the virtual time at which the program of a recorded command begins to work."""
        return self.when(self.recording.time_of(text, after), delay_ns)

    def _watch(self, info: InterfaceInfo) -> Tap:
        packets = self.taken.setdefault(info.name, [])

        def tap(now_ns: int, frame: TappedFrame, direction: int) -> None:
            packets.append((now_ns, frame.data))

        return tap

    def interface_of(self, point: str) -> str:
        """Return the emulated interface that stands for a recorded capture point."""
        if point == "docker0":
            return "host1:docker0"
        if point == "c1-veth":
            return next(name for name in self.taken if name.startswith("host1:veth"))  # c1 was the first
        return point.replace("-", ":")

    def both(self, point: str, scenario: str | None = None) -> tuple[list[Seen], list[Seen]]:
        """Return what is compared of a capture point during a scenario: recorded and emulated."""
        name = scenario or self.scenario
        logged_ns = self.recording.time_of(f"{name}-docker0.pcap")
        stopped_ns = self.recording.time_of("captures stopped", after=f"{name}-docker0.pcap")
        first_ns, last_ns = self.when(logged_ns), self.when(stopped_ns)
        path = self.recording.folder / f"{name}-{point}.pcap"
        recorded = compared(read_pcap(path))
        packets = [packet for packet in self.taken[self.interface_of(point)] if first_ns <= packet[0] < last_ns]
        if not self.offload:
            assert all(decode(data).get("tcp.checksum") != "bad" for _, data in packets), f"{name}-{point}: checksum"
        emulated = compared(cut(packets, snap_length(path)))
        assert len(emulated) == len(packets), f"{name}-{point}: emu speaks a protocol that the comparison leaves out"
        return recorded, emulated

    def frames(self, point: str) -> list[Seen]:
        """Return what is compared of a capture point in the emulation."""
        return self.both(point)[1]

    def said(self, capture: str, length: int) -> bytes:
        """Return the payload of the first recorded segment with so many bytes; what the capture cut off is blank."""
        frames = compared(read_pcap(self.recording.folder / f"{capture}.pcap"))
        segments = (seen.fields for seen in frames if "tcp.flags" in seen.fields)
        payload: bytes = next(fields["tcp.payload"] for fields in segments if payload_length(fields) == length)
        return payload.ljust(length)

    def check(
        self,
        point: str,
        scenario: str | None = None,
        crossing: bool = False,
    ) -> None:
        """Fail with a readable text unless a capture point shows what was recorded there.

        scenario: another capture of the same transcript that this run also covers.
        crossing: confirmations cross here, within microseconds; their order depends on how the work is spread over
            CPUs (a4 was recorded the other way round than a8) and on when a reply is counted as work of its own.
        """
        name = scenario or self.scenario
        recorded, emulated = self.both(point, name)
        silent = (self.recording.engine, name, point) in SILENT
        assert bool(recorded) is not silent, f"{name}-{point}: {len(recorded)} frames recorded are compared"
        if crossing:
            recorded, emulated = in_order_of_senders(recorded), in_order_of_senders(emulated)
        exact_macs = bytes.fromhex("0242ac") if self.recording.engine == "20.10" else None
        label = f"{self.recording.engine} {name}-{point}"
        text = difference(label, recorded, emulated, self.correspondence, exact_macs)
        assert text is None, "\n" + str(text)
        for index, (one, other) in enumerate(zip(recorded, emulated, strict=True), 1):
            late_ns = other.time_ns - self.when(one.time_ns % DAY_NS)
            assert abs(late_ns) <= LATE_NS, f"{label}: frame {index} comes {late_ns / 1e6:.0f} ms late"
