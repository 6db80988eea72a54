"""The options that `emu run FILE` and a directly run topology script share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

CAPTURES = "Captures"
OUTPUT = "Output"

File = Annotated[Path, typer.Argument(metavar="FILE", help="A topology script.", show_default=False)]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="The folder for the results; its old results are replaced. "
                 "(default: out/<name of FILE>)", show_default=False),
]  # fmt: skip
Seed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", help="Seed of all randomness: same seed, same bytes.", show_default=False),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help='Virtual time at which the run ends, such as "10s". '
                 "(default: when nothing is left to do)", show_default=False),
]  # fmt: skip
Format = Annotated[
    Literal["pcapng", "pcap"],
    typer.Option("--format", help="pcapng: one annotated file for all interfaces; pcap: one plain file per interface.",
                 rich_help_panel=CAPTURES),
]  # fmt: skip
Interfaces = Annotated[
    list[str] | None,
    typer.Option("--interfaces", metavar="GLOB", help='Capture only these, such as "web:*" or "*:docker0"; repeatable.',
                 rich_help_panel=CAPTURES, show_default=False),
]  # fmt: skip
Split = Annotated[
    bool,
    typer.Option("--split", help="Also write one file per interface, for Wireshark's TCP analysis.",
                 rich_help_panel=CAPTURES),
]  # fmt: skip
NoCapture = Annotated[bool, typer.Option("--no-capture", help="Write no capture at all.", rich_help_panel=CAPTURES)]
Snaplen = Annotated[
    int | None,
    typer.Option("--snaplen", metavar="N", min=1, help="Keep only the first N bytes of each frame.",
                 rich_help_panel=CAPTURES, show_default=False),
]  # fmt: skip
PrintFrames = Annotated[
    bool, typer.Option("--print", help="Print every frame in one line, as tcpdump does.", rich_help_panel=OUTPUT)
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter of the topology; repeatable. "
                 "`emu show FILE` lists them.", show_default=False),
]  # fmt: skip
Engine = Annotated[
    str | None,
    typer.Option("--engine", metavar="VERSION", help='Docker engine to behave like: "20.10", "28" or "29".',
                 show_default=False),
]  # fmt: skip
Leases = Annotated[
    bool,
    typer.Option("--leases", help="Run it without captures and show what its DHCP servers have leased in the end."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.", rich_help_panel=OUTPUT)]
Traceback = Annotated[
    bool, typer.Option("--traceback", help="Show the Python traceback of an error.", rich_help_panel=OUTPUT)
]
