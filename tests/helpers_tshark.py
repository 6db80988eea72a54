"""Run tshark once per capture and ask the result many questions.

tshark is the arbiter of what a capture looks like to people. Starting it takes longer than reading a small file, so
all fields that tests ask for are read in one run per file, and the rows are kept until the file changes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

TSHARK = shutil.which("tshark")

needs_tshark = pytest.mark.skipif(TSHARK is None, reason="tshark is not installed (Debian: apt-get install tshark)")
"""Use together with the marker: `pytestmark = [pytest.mark.tshark, needs_tshark]`."""

FIELDS = (
    "frame.number",
    "frame.time_epoch",
    "frame.len",
    "frame.cap_len",
    "frame.interface_name",
    "frame.interface_description",
    "frame.packet_id",
    "frame.packet_flags_direction",
    "frame.comment",
    "frame.drop_count",
    "frame.verdict.ebpf_tc",
    "eth.src",
    "eth.dst",
    "eth.type",
    "arp.opcode",
    "arp.src.proto_ipv4",
    "arp.dst.proto_ipv4",
    "ip.src",
    "ip.dst",
    "ip.ttl",
    "ip.id",
    "ip.len",
    "ip.proto",
    "ip.flags.df",
    "ip.flags.mf",
    "ip.frag_offset",
    "ip.checksum.status",
    "icmp.type",
    "icmp.code",
    "icmp.ident",
    "icmp.seq",
    "icmp.mtu",
    "icmp.checksum.status",
    "udp.srcport",
    "udp.dstport",
    "udp.length",
    "udp.checksum.status",
    "tcp.checksum.status",
    "vxlan.vni",
    "dhcp.option.dhcp",
    "_ws.malformed",
    "_ws.expert.severity",
    "_ws.expert.message",
    "_ws.col.Protocol",
    "_ws.col.Info",
)
"""What every run reads; a field that occurs several times in a frame is joined with "|"."""

SEVERITY_WARNING = 0x00600000
"""Wireshark's PI_WARN; errors are above, notes, chats and comments below."""

CHECKSUMS = ("ip.checksum.status", "icmp.checksum.status", "udp.checksum.status", "tcp.checksum.status")
CHECKSUM_BAD = "0"
COMPLAINTS = ("frame.number", "frame.interface_name", *CHECKSUMS, *(name for name in FIELDS if name.startswith("_ws.")))
COMPLAINING = " || ".join(
    ("_ws.malformed", f"_ws.expert.severity >= {SEVERITY_WARNING}", *(f"{name} == 0" for name in CHECKSUMS))
)
"""The display filter of frames with which something is wrong; so only those are printed and read."""

Row = dict[str, str]


def run_program(program: str, *arguments: str | Path, config: Path | None = None) -> str:
    """Run tshark, capinfos or mergecap and return what it prints; anything on stderr but a remark on root fails.

    config: the folder used instead of the personal Wireshark configuration; the default is one that does not exist.
    """
    executable = shutil.which(program)
    if executable is None:
        pytest.skip(f"{program} is not installed (Debian: apt-get install tshark wireshark-common)")
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "WIRESHARK_CONFIG_DIR": str(config or "/nonexistent"),
    }
    done = subprocess.run(
        [executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    warnings = [line for line in done.stderr.splitlines() if line and not line.startswith("Running as user")]
    assert done.returncode == 0, f"{program} ended with {done.returncode}: {done.stderr}"
    assert warnings == [], f"{program} warns: {warnings}"
    return done.stdout


def tshark_rows(path: Path | str) -> list[Row]:
    """Return one dict of `FIELDS` per frame, with "" for what a frame does not have."""
    state = Path(path).stat()
    return _read(Path(path).resolve(), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, size: int, mtime_ns: int) -> list[Row]:
    return _ask(path, FIELDS)


def _ask(path: Path, names: Sequence[str], display_filter: str = "") -> list[Row]:
    arguments = [word for name in names for word in ("-e", name)]
    arguments += ["-Y", display_filter] if display_filter else []
    preferences = [f"{name}.check_checksum:TRUE" for name in ("ip", "udp", "tcp")]
    # the same packet is in a capture once per interface, which looks like a replay, or like a retransmission
    preferences += ["esp.do_esp_sequence_analysis:FALSE", "tcp.analyze_sequence_numbers:FALSE"]
    preferences.append("tcp.desegment_tcp_streams:FALSE")
    options = [word for preference in preferences for word in ("-o", preference)]
    fields = ("-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|")
    text = run_program("tshark", "-n", "-r", path, *options, *fields, *arguments)
    return [dict(zip(names, line.split("\t"), strict=True)) for line in text.splitlines()]


def column(path: Path | str, *names: str, **equal: str) -> list[Any]:
    """Return one field (or a tuple of fields) of every frame for which the others have the given values.

    In keyword names, "__" stands for a dot: `column(path, "icmp.seq", icmp__type="8")`.
    """
    wanted = {name.replace("__", "."): value for name, value in equal.items()}
    rows = [row for row in tshark_rows(path) if all(row[name] == value for name, value in wanted.items())]
    return [row[names[0]] if len(names) == 1 else tuple(row[name] for name in names) for row in rows]


def complaints(path: Path | str, ignore_expert: Sequence[str] = ()) -> list[str]:
    """Return all that tshark finds wrong: malformed frames, bad checksums, experts' warnings and errors.

    ignore_expert: expert messages that start so are not counted.
    """
    found = []
    for row in _ask(Path(path), COMPLAINTS, COMPLAINING):
        where = f"frame {row['frame.number']} on {row['frame.interface_name']}"
        if row["_ws.malformed"]:
            found.append(f"{where}: malformed")
        found += [f"{where}: bad {name}" for name in CHECKSUMS if CHECKSUM_BAD in row[name].split("|")]
        for severity, message in zip(
            row["_ws.expert.severity"].split("|"), row["_ws.expert.message"].split("|"), strict=False
        ):
            if severity and int(severity, 0) >= SEVERITY_WARNING and not message.startswith(tuple(ignore_expert)):
                found.append(f"{where}: {message}")
    return found
