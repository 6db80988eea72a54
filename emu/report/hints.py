"""What to open after a run, and for what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

SHOWN_MAX = 4


def print_hints(
    folder: Path, captures: Sequence[Path], console: Console, esp_sa: Sequence[Path] = (), *, had_tcp: bool = False
) -> None:
    """Say where the results are and which file is for what."""
    for line in hint_lines(folder, captures, esp_sa, had_tcp=had_tcp):
        console.print(escape(line), soft_wrap=True)


def hint_lines(
    folder: Path, captures: Sequence[Path], esp_sa: Sequence[Path] = (), *, had_tcp: bool = False
) -> list[str]:
    """The lines of the end-of-run hint; esp_sa: files with keys; had_tcp: whether there were TCP connections."""
    together = [file for file in captures if file.parent == folder]
    single = [file for file in captures if file.parent != folder]
    lines = [f"results: {folder}/" if captures else f"results: {folder}/ (no capture was written)"]
    lines += [f"  wireshark {file}" for file in together[:SHOWN_MAX]]
    if together:
        lines.append("    the way of each packet through all interfaces: frame.packet_id == 1")
    if together and had_tcp and not single:
        lines.append("    for Wireshark's TCP analysis run it with --split: in a file with several interfaces the same")
        lines.append("    segment at the next interface looks like a retransmission")
    if single:
        name = f"{single[0].parent}/<interface>{single[0].suffix}"
        lines.append(f"  wireshark {name}  ({len(single)} file{'s' if len(single) > 1 else ''})")
        lines.append("    one interface at a time: use these for Wireshark's TCP analysis and statistics")
    for file in esp_sa:
        lines.append(f"  {file}  (the keys of the encrypted tunnels)")
        lines.append(f"    to see inside: emu wireshark-profile --esp-sa {file}; wireshark -C emu ...")
    return lines
