"""The table and the JSON file of a benchmark."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FCS_NOTE = (
    "With checksums ns-3 also computes and verifies an Ethernet FCS (CRC-32, every link) and IP header checksums;\n"
    "emu always does IP header checksums and never an FCS."
)
COLUMNS = (
    ("workload", "workload"),
    ("capture", "capture"),
    ("checksums", "checksums"),
    ("frame-hops/s", "frame_hops_per_s"),
    ("us/datagram", "us_per_datagram"),
    ("peak MiB", "peak_rss_mib"),
    ("peer us/datagram", "peer_us_per_datagram"),
    ("ratio", "ratio"),
    ("CPU ratio", "cpu_ratio"),
)


def table(results: Sequence[dict[str, Any]]) -> str:
    """Lay the results out for people; the peer's build and what its checksums include stand below."""
    rows = [[title for title, _ in COLUMNS]]
    rows += [[cell(result[key]) for _, key in COLUMNS] for result in results]
    lines = aligned(rows)
    builds = {f"peer: {result['peer']}, {result['peer_build']}" for result in results if result["peer"]}
    lines += sorted(builds)
    if builds and any(result["checksums"] for result in results):
        lines.append(FCS_NOTE)
    return "\n".join(lines)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad cells to columns: the first one to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def cell(value: Any) -> str:
    """Write one value of a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def write_json(path: Path, results: Sequence[dict[str, Any]], rounds: int, counts: dict[str, int]) -> None:
    """Write the results, and what machine and interpreter they are from."""
    content = {"machine": machine(), "rounds": rounds, "counts": counts, "results": list(results)}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Describe the class of the machine: nothing that names this very one."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "byteorder": sys.byteorder,
    }
