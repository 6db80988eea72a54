"""The recorded swarms: two engines, overlay networks, containers o1 to o4, and the emulated ones beside them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import emu
from emu.capture.interface import InterfaceInfo
from emu.kernel.tap import Tap, TappedFrame
from tests.golden.compare import Correspondence, Seen, cut, difference, read_pcap, snap_length
from tests.golden.fields import decode
from tests.golden.recording import DAY_NS, FOLDER, SECOND, Recording
from tests.golden.tcp_fields import make_relative, payload_length

SEED = 1
VXLAN_PORT = 4789
OUTER_LENGTH = 14 + 20 + 8 + 8
MANAGER_ADDRESS = {"20.10": "203.0.113.11", "28": "203.0.113.14"}
WORKER_ADDRESS = {"20.10": "203.0.113.12", "28": "203.0.113.15"}
MANAGER = {"20.10": "dk1", "28": "dk4"}
WORKER = {"20.10": "dk2", "28": "dk5"}
ENGINES = tuple(MANAGER)


BEGIN_NS = 15 * SECOND
"""The virtual time at which a recorded scenario begins; the containers have been there since 0."""


class SwarmRecording(Recording):
    """The folder of the swarm scenarios of one engine."""

    __slots__ = ()

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return FOLDER / self.engine / "f-swarm-overlay"


@dataclass(slots=True)
class Swarm:
    """An emulation of the recorded machines: the manager and the worker on one segment."""

    engine: str
    cost: str = "linux"
    control_plane: str = "instant"
    has_switch: bool = False
    net: emu.Emulation = field(init=False)
    manager: emu.Host = field(init=False)
    worker: emu.Host = field(init=False)
    underlay: str | None = None
    taken: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    correspondence: Correspondence = field(default_factory=Correspondence)

    def __post_init__(self) -> None:
        self.net = emu.Emulation(engine=self.engine, seed=SEED, cost=self.cost)
        self.manager = self.net.add_host(MANAGER[self.engine])
        self.worker = self.net.add_host(WORKER[self.engine])
        addresses = [MANAGER_ADDRESS[self.engine], WORKER_ADDRESS[self.engine]]
        if self.has_switch:  # the recording machine's bridge; its ports are eth0 (u-dk1, u-dk4) and eth1
            switch = self.net.add_switch("underlay")
            for host, address in zip((self.manager, self.worker), addresses, strict=True):
                self.net.add_link(switch, host, subnet="203.0.113.0/24", addresses=[address])
        else:
            self.net.add_link(self.manager, self.worker, subnet="203.0.113.0/24", addresses=addresses)
        self.net.swarm.init(control_plane=self.control_plane)
        self.net.interfaces.watch(self._watch)

    def create_networks(self) -> None:
        """The networks of the recording, in its order."""
        create = self.net.networks.create
        create("ov", driver="overlay", attachable=True)
        create("ov2", driver="overlay", attachable=True, subnet="10.50.0.0/24")
        create("ov3", driver="overlay", attachable=True)
        create("ov-notattach", driver="overlay")
        create("ovint", driver="overlay", attachable=True, internal=True)
        create("ovoverlap", driver="overlay", attachable=True, subnet="10.50.0.0/25")

    def run_containers(self) -> None:
        """The containers of the recording, in its order."""
        for host, name, aliases in (
            (self.manager, "o1", ["alpha"]),
            (self.worker, "o2", ["beta", "shared"]),
            (self.manager, "o3", ["shared"]),
            (self.worker, "o4", []),
        ):
            host.containers.run(name, network="ov", hostname=name, aliases=aliases)

    def _watch(self, info: InterfaceInfo) -> Tap:
        packets = self.taken.setdefault(info.name, [])

        def tap(now_ns: int, frame: TappedFrame, direction: int) -> None:
            packets.append((now_ns, frame.data))

        return tap

    # -- files --------------------------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Where the recording is."""
        return self.recording.folder

    def json(self, name: str) -> Any:
        """The first element of a recorded `docker network inspect`, or all of a container's NetworkSettings."""
        value = json.loads((self.folder / f"{name}.json").read_text())
        return value[0] if isinstance(value, list) else value

    def state(self, name: str, command: str) -> str:
        """The output of one command in a recorded state file."""
        text = (self.folder / f"state-{name}.txt").read_text()
        found = re.search(rf"^### \S+# {re.escape(command)}\n(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL)
        assert found is not None, f"{name}: no command {command}"
        return found[1].rstrip("\n")

    def log(self, file: str = "commands.log") -> str:
        """A transcript."""
        return (self.folder / file).read_text()

    # -- captures -----------------------------------------------------------------------------------------------------

    def interface_of(self, point: str) -> str:
        """The emulated interface that stands for a recorded capture point."""
        if point == "underlay":
            return self.underlay or f"{self.manager.name}:eth0"
        if "sbox-" in point:
            return point.replace("sbox-", "/ov:")
        return point.replace("-", ":")

    @property
    def recording(self) -> SwarmRecording:
        """The transcript with its times."""
        return SwarmRecording(self.engine, self.cost)

    def when(self, text: str, delay_ns: int, after: str) -> int:
        """The virtual time of a recorded command: what the first capture file `after` shows begins at `BEGIN_NS`."""
        return BEGIN_NS + self.recording.time_of(text, after) - self.recording.time_of(after) + delay_ns

    def check(
        self,
        scenario: str,
        point: str,
        first: str | None = None,
        last: str = "captures stopped",
        begin: str | None = None,
    ) -> None:
        """Fail with a readable text unless a capture point shows what was recorded there.

        first: the file with which the run began, when it is another one than that of o1's eth0.
        last, begin: the lines of the transcript at which the comparison ends and, unless with the capture, begins.
        """
        recorded, emulated = self.both(scenario, point, first, last, begin)
        label = f"{self.engine} {scenario}-{point}"
        text = difference(label, recorded, emulated, self.correspondence, bytes.fromhex("0242"))
        assert text is None, "\n" + str(text)

    def both(
        self,
        scenario: str,
        point: str,
        first: str | None = None,
        last: str = "captures stopped",
        begin: str | None = None,
    ) -> tuple[list[Seen], list[Seen]]:
        """What is compared at a capture point, recorded and emulated; the parameters are those of `check`."""
        after = first or f"{scenario}-o1-eth0.pcap"
        begin_ns = self.when(begin or f"{scenario}-{point}.pcap", 0, after)
        began_ns = self.recording.time_of(begin, after) if begin else 0
        logged_ns = self.recording.time_of(last, f"{scenario}-{point}.pcap")
        end_ns = BEGIN_NS + logged_ns - self.recording.time_of(after)
        path = self.folder / f"{scenario}-{point}.pcap"
        packets = read_pcap(path)
        recorded = overlay_frames([p for p in packets if began_ns <= p[0] % DAY_NS < logged_ns], point)
        packets = [p for p in self.taken.get(self.interface_of(point), []) if begin_ns <= p[0] < end_ns]
        assert all(decode(data).get("tcp.checksum") != "bad" for _, data in packets), f"{scenario}-{point}: checksum"
        return recorded, overlay_frames(cut(packets, snap_length(path)), point)

    def said(self, capture: str, length: int) -> bytes:
        """The payload of the first recorded segment with so many bytes; what the capture cut off is blank."""
        frames = overlay_frames(read_pcap(self.folder / f"{capture}.pcap"), capture)
        segments = (seen.fields for seen in frames if "tcp.flags" in seen.fields)
        payload: bytes = next(fields["tcp.payload"] for fields in segments if payload_length(fields) == length)
        return payload.ljust(length)


def overlay_frames(packets: list[tuple[int, bytes]], point: str) -> list[Seen]:
    """Decode what is compared.

    On the underlay only VXLAN: the swarm's own traffic (TCP 2377, TCP and UDP 7946) and hosts' ARP are not emulated,
    or depend on it. Elsewhere IPv6 and IGMP are left out, as emu does not speak them yet.
    """
    if point.endswith("underlay"):
        frames = [Seen(time_ns, decode_vxlan(data)) for time_ns, data in packets if is_vxlan(data)]
    else:
        frames = [
            Seen(time_ns, decode(data))
            for time_ns, data in packets
            if data[12:14] != b"\x86\xdd" and not (data[12:14] == b"\x08\x00" and data[23] == 2)
        ]
    make_relative(frames)
    return frames


def is_vxlan(data: bytes) -> bool:
    """Whether a frame is UDP to VXLAN's port."""
    return data[12:14] == b"\x08\x00" and data[23] == 17 and int.from_bytes(data[36:38], "big") == VXLAN_PORT


def decode_vxlan(data: bytes) -> dict[str, Any]:
    """The fields of the inner frame, and those of the outer headers under names of their own.

    The outer source port is a hash with a key that every boot draws anew; it corresponds one to one.
    """
    fields = decode(data[OUTER_LENGTH:])
    outer = decode(data)
    for key in ("ip.src", "ip.dst", "ip.tos", "ip.ttl", "ip.df", "ip.mf", "ip.offset", "ip.length", "ip.checksum"):
        fields[f"outer.{key}"] = outer[key]
    fields["outer.vxlan"] = data[42:50].hex()
    fields["outer.udp.length"] = outer["udp.length"]
    fields["outer.udp.has_checksum"] = data[40:42] != b"\0\0"
    if "udp.checksum" in outer:  # the frame was not cut
        fields["quoted.udp.checksum"] = outer["udp.checksum"]  # recorded with checksum offload, as in `IGNORED_FIELDS`
    fields["quoted.udp.source_port"] = outer["udp.source_port"]
    return fields


# -- masks ------------------------------------------------------------------------------------------------------------

HEX_ID = re.compile(r"\b[0-9a-f]{64}\b")
SHORT_ID = re.compile(r"(?<![0-9a-z])[0-9a-f]{12}(?![0-9a-z])")
SWARM_ID = re.compile(r"\b[0-9a-z]{25}\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
RANDOM_MAC = re.compile(r"\b(?!02:42)[0-9a-f]{2}(:[0-9a-f]{2}){5}\b")


def masked(value: Any) -> str:
    """An inspect object as text, with ids, times and random MAC addresses masked.

    Left out is the sandbox of the ingress network, which is not built yet; its address stays reserved.
    """
    value = json.loads(json.dumps(value))
    containers = value.get("Containers")
    if containers is not None:
        containers.pop("ingress-sbox", None)
        value["Containers"] = sorted(containers.values(), key=lambda entry: str(entry["IPv4Address"]))
    text = json.dumps(value, indent=1)
    for pattern, word in ((HEX_ID, "<id>"), (SWARM_ID, "<id>"), (SHORT_ID, "<id>"), (TIME, "<time>")):
        text = pattern.sub(word, text)
    return RANDOM_MAC.sub("<mac>", text).replace("/var/run/docker", "/run/docker")


def masked_lines(text: str) -> list[str]:
    """The lines of `ip neigh` or `bridge fdb`, sorted, without ages, random MACs and multicast addresses."""
    lines = []
    for line in text.splitlines():
        if line.startswith(("33:33:", "01:00:5e:")):
            continue  # emu's bridges keep no multicast entries
        line = re.sub(r" used \d+/\d+(/\d+)?(probes \d+)?", "", line)
        line = re.sub(r" ref \d+", "", line)
        lines.append(RANDOM_MAC.sub("<mac>", re.sub(r" +", " ", line)).strip())
    return sorted(lines)


def seconds(value: float) -> int:
    """Seconds in ns."""
    return int(value * SECOND)
