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

EspSa = Annotated[
    Path | None,
    typer.Option(
        "--esp-sa",
        metavar="FILE",
        help="Keys of encrypted overlay networks, as a run writes them beside its capture; replaces those of before.",
        show_default=False,
    ),
]


def wireshark_profile(folder: Destination = None, force: Force = False, esp_sa: EspSa = None) -> None:
    """Install a Wireshark profile named "emu": columns for interface, packet id and VNI; colours for ARP and drops."""
    from emu.capture.wireshark import install_esp_sa, install_wireshark_profile
    from emu.cli.run import report_failure

    try:
        if esp_sa is None or force:
            installed = install_wireshark_profile(folder, overwrite=force)
        if esp_sa is not None:
            installed = install_esp_sa(esp_sa, folder)
    except Exception as error:
        raise typer.Exit(report_failure(error, None, show_traceback=False)) from None
    typer.echo(f"installed in {installed}")
    typer.echo(f"open a capture with it: wireshark -C {installed.name} FILE")
