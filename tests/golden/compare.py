"""Compare an emulated capture with a recorded one, frame by frame and field by field.

What must be equal is everything that is not listed here. The lists:

* `LATER_WORK`: protocols that are left out on both sides because emu does not speak them yet. It may only shrink.
* `MAPPED_FIELDS`: values that a real machine draws at random. They need not be equal, but the recorded and the
  emulated values must correspond one to one through all captures of a scenario: where the recording shows the same
  MAC address, ICMP id, port or IP id again, so must the emulation, and where it differs, so must the emulation.
* `IGNORED_FIELDS`: what cannot be compared, each with the reason.
* TCP: sequence numbers are relative, timestamps are compared by what they echo (`tests.golden.tcp_fields`).
* Times: frames that a timer of at least 100 ms causes (a repeated ARP request, the next ping, the next announcement,
  the next rate-limited ICMP error, the confirmation of a neighbour) must come after the same time within 5 %.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.golden.fields import Fields, decode
from tests.golden.tcp_fields import flag_text, flow, make_relative, payload_length, timestamp_difference

TIMER_NS = 100_000_000
TOLERANCE_PERCENT = 5
RELATED_NS = 4_000_000_000
"""Frames of one conversation further apart than this were not caused by a timer that repeats."""
CONFIRMATION_NS = (4_500_000_000, 5_600_000_000)
"""How long after a packet the unicast ARP request that confirms its neighbour comes (FACT 15)."""

CROSSING_NS = 200_000
"""Unicast ARP frames so close together belong to confirmations that cross (`in_order_of_senders`)."""

MAPPED_FIELDS = {
    "eth.src": "mac",
    "eth.dst": "mac",
    "arp.sender_mac": "mac",
    "arp.target_mac": "mac",
    "icmp.id": "icmp id",
    "udp.source_port": "port",
    "udp.destination_port": "port",
    "tcp.source_port": "port",
    "tcp.destination_port": "port",
    "ip.id": "ip id",
}
"""Field -> the pool of values it belongs to; fields of quoted packets belong to the pools of their own names."""

IGNORED_FIELDS = {
    "udp.checksum": "recorded with checksum offload: the recording shows an unfinished checksum",
    "tcp.checksum": "the same, or the recording was cut behind the headers",
    "tcp.tsval": "counts from a random start; compared by `timestamp_difference`",
    "tcp.tsecr": "the same",
    "icmp.time": "the clock time at the head of ping's data",
}

FIXED_MACS = (bytes(6), b"\xff" * 6)
DOCKER_MAC = b"\x02\x42"
FIRST_EPHEMERAL_PORT = 32768


def _is_mdns(data: bytes) -> bool:
    return data[12:14] == b"\x08\x00" and data[30:34] == bytes((224, 0, 0, 251))


LATER_WORK: dict[str, Callable[[bytes], bool]] = {
    "IPv6, with MLD and neighbour discovery": lambda data: data[12:14] == b"\x86\xdd",
    "IGMP": lambda data: data[12:14] == b"\x08\x00" and data[23] == 2,
    "mDNS": _is_mdns,
}
"""Name -> whether a frame belongs to it. May only shrink."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame at one capture point."""

    time_ns: int
    fields: Fields


# -- reading ----------------------------------------------------------------------------------------------------------


def read_pcap(path: Path) -> list[tuple[int, bytes]]:
    """Return (time_ns, data) of every packet of a classic pcap file with Ethernet frames, in the file's order.

    That is the order in which one CPU took them up; times may go back a few us, because Linux stamps a received
    frame when it is queued and a sent one when it is sent.
    """
    content = path.read_bytes()
    magic = content[:4]
    scale = {b"\x4d\x3c\xb2\xa1": 1, b"\xd4\xc3\xb2\xa1": 1000}[magic]
    (link_type,) = struct.unpack_from("<I", content, 20)
    assert link_type == 1, f"{path}: link type {link_type} is not Ethernet"
    packets = []
    position = 24
    while position < len(content):
        seconds, fraction, captured, _ = struct.unpack_from("<IIII", content, position)
        position += 16
        packets.append((seconds * 1_000_000_000 + fraction * scale, content[position : position + captured]))
        position += captured
    return packets


def snap_length(path: Path) -> int:
    """Return how many bytes of each frame a capture kept at most (`tcpdump -s`)."""
    return int(struct.unpack_from("<I", path.read_bytes()[:24], 16)[0])


def cut(packets: Iterable[tuple[int, bytes]], length: int) -> list[tuple[int, bytes]]:
    """Cut frames as a capture with that snap length does."""
    return [(time_ns, data[:length]) for time_ns, data in packets]


def compared(packets: Iterable[tuple[int, bytes]]) -> list[Seen]:
    """Decode what is compared and leave out the protocols of `LATER_WORK`."""
    frames = [
        Seen(time_ns, decode(data))
        for time_ns, data in packets
        if not any(belongs(data) for belongs in LATER_WORK.values())
    ]
    make_relative(frames)
    return frames


def in_order_of_senders(frames: Sequence[Seen]) -> list[Seen]:
    """Sort the frames of confirmations that cross: two neighbours ask each other at the same instant, two CPUs race.

    Only unicast ARP frames within 200 us of each other are sorted: requests first, each by sender.
    """
    ordered: list[Seen] = []
    group: list[Seen] = []
    for seen in frames:
        crossing = "arp.operation" in seen.fields and seen.fields["eth.dst"] not in FIXED_MACS
        if not crossing or (group and seen.time_ns - group[0].time_ns > CROSSING_NS):
            ordered += sorted(group, key=_by_sender)
            group = []
        if crossing:
            group.append(seen)
        else:
            ordered.append(seen)
    return ordered + sorted(group, key=_by_sender)


def _by_sender(seen: Seen) -> tuple[bool, str]:
    return seen.fields["arp.operation"] != "request", seen.fields["arp.sender_ip"]


# -- comparing --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Correspondence:
    """Which recorded value stands for which emulated one, through all captures of a scenario."""

    recorded_to_emulated: dict[tuple[str, Any], Any] = field(default_factory=dict)
    emulated_to_recorded: dict[tuple[str, Any], Any] = field(default_factory=dict)

    def same(self, pool: str, recorded: Any, emulated: Any) -> bool:
        """Whether the two values may stand for each other; the first meeting decides."""
        if pool == "mac" and (recorded in FIXED_MACS or emulated in FIXED_MACS):
            return bool(recorded == emulated)
        if pool == "mac" and not _same_kind_of_mac(recorded, emulated):
            return False
        if pool == "port" and (recorded < FIRST_EPHEMERAL_PORT or emulated < FIRST_EPHEMERAL_PORT):
            return bool(recorded == emulated)
        if pool.startswith("ip id") and (recorded == 0 or emulated == 0):
            return bool(recorded == emulated)
        if pool == "icmp id" and recorded < 256 <= emulated:
            return False  # BusyBox takes its small process id
        forward = self.recorded_to_emulated.setdefault((pool, recorded), emulated)
        backward = self.emulated_to_recorded.setdefault((pool, emulated), recorded)
        return bool(forward == emulated and backward == recorded)


def _same_kind_of_mac(recorded: bytes, emulated: bytes) -> bool:
    """Whether both are unicast or not, random or not, and both or none begin with Docker's 02:42."""
    return recorded[0] & 3 == emulated[0] & 3 and (recorded[:2] == DOCKER_MAC) == (emulated[:2] == DOCKER_MAC)


def difference(
    name: str,
    recorded: Sequence[Seen],
    emulated: Sequence[Seen],
    correspondence: Correspondence,
    exact_macs: bytes | None = None,
) -> str | None:
    """Return None when the emulated frames equal the recorded ones, else a text that shows the first difference.

    exact_macs: MAC addresses that begin so are not random and must be equal (02:42:ac of engine 20.10).
    """
    for index, (one, other) in enumerate(zip(recorded, emulated, strict=False)):
        wrong = [
            key
            for key in {**one.fields, **other.fields}
            if not _same_field(key, one, other, correspondence, exact_macs)
        ]
        if wrong:
            return _field_report(name, index, recorded, emulated, wrong)
    if len(recorded) != len(emulated):
        return f"{name}: {len(recorded)} frames recorded, {len(emulated)} emulated\n" + _two_columns(
            recorded, emulated, -1
        )
    for index in range(len(recorded)):
        text = _time_difference(recorded, emulated, index)
        if text:
            return f"{name}: frame {index + 1} {text}\n" + _two_columns(recorded, emulated, index)
    wrong_timestamp = timestamp_difference(recorded, emulated)
    if wrong_timestamp is not None:
        index, text = wrong_timestamp
        return f"{name}: frame {index + 1} {text}\n" + _two_columns(recorded, emulated, index)
    return _ip_id_difference(name, recorded, emulated)


def _same_field(
    key: str, recorded: Seen, emulated: Seen, correspondence: Correspondence, exact_macs: bytes | None
) -> bool:
    plain = key.removeprefix("quoted.")
    if plain in IGNORED_FIELDS:
        return emulated.fields.get(key) != "bad"  # ours is good in any case
    if key not in recorded.fields or key not in emulated.fields:
        return False
    one, other = recorded.fields[key], emulated.fields[key]
    pool = MAPPED_FIELDS.get(plain)
    if pool is None:
        return bool(one == other)
    if pool == "mac" and exact_macs is not None and one.startswith(exact_macs):
        return bool(one == other)
    if pool == "ip id":
        pool += " of " + recorded.fields[key.removesuffix("id") + "src"]
    return correspondence.same(pool, one, other)


def _conversation(fields: Fields) -> tuple[Any, ...]:
    """Return what frames have in common that one timer repeats."""
    if "arp.operation" in fields:
        return fields["eth.src"], fields["eth.dst"], fields["arp.operation"], fields["arp.target_ip"]
    if "tcp.flags" in fields:
        return (*flow(fields), fields["tcp.flags"], payload_length(fields) > 0)
    if "ip.src" in fields:
        parts = [fields["eth.src"], fields["ip.src"], fields["ip.dst"], fields["ip.protocol"], fields["ip.offset"]]
        if "icmp.type" in fields:
            parts += [fields["icmp.type"], fields.get("icmp.id")]
        elif "udp.source_port" in fields:
            parts += [fields["udp.destination_port"]]
        return tuple(parts)
    return (fields["eth.src"], fields["eth.type"])


def _time_difference(recorded: Sequence[Seen], emulated: Sequence[Seen], index: int) -> str | None:
    """Compare the time since the frame whose timer caused this one."""
    cause = _cause(recorded, index)
    if cause is None:
        return None
    expected_ns = recorded[index].time_ns - recorded[cause].time_ns
    found_ns = emulated[index].time_ns - emulated[cause].time_ns
    if abs(found_ns - expected_ns) * 100 <= expected_ns * TOLERANCE_PERCENT:
        return None
    return (
        f"comes {found_ns / 1e9:.3f} s after frame {cause + 1}; recorded were {expected_ns / 1e9:.3f} s "
        f"(tolerance {TOLERANCE_PERCENT} %)"
    )


def _cause(frames: Sequence[Seen], index: int) -> int | None:
    """Return the index of the earlier frame after which a timer brought this one, or None."""
    now_ns, fields = frames[index].time_ns, frames[index].fields
    key = _conversation(fields)
    for earlier in range(index - 1, -1, -1):
        if _conversation(frames[earlier].fields) == key:
            gap_ns = now_ns - frames[earlier].time_ns
            if gap_ns <= RELATED_NS or "tcp.flags" in fields:
                return earlier if gap_ns >= TIMER_NS else None
            break
    if fields.get("arp.operation") == "request" and fields["eth.dst"] not in FIXED_MACS:
        for earlier in range(index):
            candidate = frames[earlier].fields
            gap_ns = now_ns - frames[earlier].time_ns
            if (
                CONFIRMATION_NS[0] <= gap_ns <= CONFIRMATION_NS[1]
                and candidate["eth.src"] == fields["eth.src"]
                and candidate["eth.dst"] == fields["eth.dst"]
            ):
                return earlier
    return None


def _ip_id_difference(name: str, recorded: Sequence[Seen], emulated: Sequence[Seen]) -> str | None:
    """IP ids of one TCP or UDP socket count up by one; those of ICMP to one destination only ever grow (FACT 33)."""
    last: dict[tuple[Any, ...], tuple[int, int]] = {}
    for index, (one, other) in enumerate(zip(recorded, emulated, strict=True)):
        fields = one.fields
        if not fields.get("ip.id") or fields["ip.offset"]:
            continue
        ports = fields.get("udp.source_port"), fields.get("tcp.source_port"), fields.get("tcp.destination_port")
        key = (fields["ip.src"], fields["ip.dst"], fields["ip.protocol"], *ports)
        before = last.get(key)
        last[key] = fields["ip.id"], other.fields["ip.id"]
        if before is None:
            continue
        step, our_step = (fields["ip.id"] - before[0]) & 0xFFFF, (other.fields["ip.id"] - before[1]) & 0xFFFF
        if fields["ip.protocol"] in (6, 17) and step == 1 != our_step:
            return f"{name}: frame {index + 1}: the IP id grows by {our_step}; recorded was 1"
        if fields["ip.protocol"] == 1 and 0 < step < 0x1000 and not 0 < our_step < 0x1000:
            return f"{name}: frame {index + 1}: the IP id goes from {before[1]} to {other.fields['ip.id']}"
    return None


# -- showing ----------------------------------------------------------------------------------------------------------


def _field_report(name: str, index: int, recorded: Sequence[Seen], emulated: Sequence[Seen], wrong: list[str]) -> str:
    one, other = recorded[index].fields, emulated[index].fields
    lines = [f"{name}: frame {index + 1} differs in {', '.join(wrong)}", _two_columns(recorded, emulated, index)]
    lines.append(f"  {'field':<28}{'recorded':<48}emulated")
    for key in wrong:
        lines.append(f"  {key:<28}{_shown(one.get(key, '(none)')):<48}{_shown(other.get(key, '(none)'))}")
    return "\n".join(lines)


def _two_columns(recorded: Sequence[Seen], emulated: Sequence[Seen], marked: int) -> str:
    lines = []
    first = max(0, marked - 6) if marked >= 0 else 0
    last = max(len(recorded), len(emulated)) if marked < 0 else marked + 4
    for index in range(first, min(last, first + 80)):
        left = _one_line(recorded, index)
        right = _one_line(emulated, index)
        lines.append(f"{'>' if index == marked else ' '}{index + 1:4} {left:<76}| {right}")
    return "\n".join(lines)


def _one_line(frames: Sequence[Seen], index: int) -> str:
    if index >= len(frames):
        return "-"
    fields = frames[index].fields
    time_s = (frames[index].time_ns - frames[0].time_ns) / 1e9
    if "arp.operation" in fields:
        what = f"ARP {fields['arp.operation']} {fields['arp.sender_ip']} > {fields['arp.target_ip']}"
        what += " broadcast" if fields["eth.dst"] == b"\xff" * 6 else ""
    elif "ip.src" in fields:
        what = f"{fields['ip.src']} > {fields['ip.dst']} len {fields['ip.length']}"
        if fields["ip.mf"] or fields["ip.offset"]:
            what += f" frag {fields['ip.offset']}{'+' if fields['ip.mf'] else ''}"
        if "icmp.type" in fields:
            what += f" icmp {fields['icmp.type']}/{fields['icmp.code']} seq {fields.get('icmp.sequence', '-')}"
        elif "tcp.flags" in fields:
            what += f" tcp {flag_text(fields['tcp.flags'])} {fields['tcp.sequence']}({payload_length(fields)})"
            what += f" ack {fields['tcp.acknowledgment']} win {fields['tcp.window']}"
        elif "udp.length" in fields:
            what += f" udp {fields['udp.source_port']} > {fields['udp.destination_port']}"
    else:
        what = fields["eth.type"]
    return f"{time_s:10.6f} {what}"


def _shown(value: Any) -> str:
    text = value.hex(":") if isinstance(value, bytes) else str(value)
    return text if len(text) <= 46 else text[:43] + "..."
