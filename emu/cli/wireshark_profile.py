"""`emu wireshark-profile`: install columns and colours made for emu's captures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Destination = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        metavar="DIR",
        help="The profile's folder; its name is the profile's name. (default: where Wireshark looks for it)",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that were changed.")]


def wireshark_profile(folder: Destination = None, force: Force = False) -> None:
    """Install a Wireshark profile named "emu": columns for interface, packet id and VNI; colours for ARP and drops."""
    from emu.capture.wireshark import install_wireshark_profile
    from emu.cli.run import report_failure

    try:
        installed = install_wireshark_profile(folder, overwrite=force)
    except Exception as error:
        raise typer.Exit(report_failure(error, None, show_traceback=False)) from None
    typer.echo(f"installed in {installed}")
    typer.echo(f"open a capture with it: wireshark -C {installed.name} FILE")
