"""The verbs put together, and `emu --version`."""

from __future__ import annotations

from typing import Annotated

import typer

from emu.cli.bench import bench
from emu.cli.run import run
from emu.cli.show import show
from emu.cli.wireshark_profile import wireshark_profile
from emu.version import __version__

app = typer.Typer(
    name="emu",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(show)
app.command(name="wireshark-profile")(wireshark_profile)
app.add_typer(bench, name="bench")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"emu {__version__}")
        raise typer.Exit


@app.callback()
def emu(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A packet-level network emulator for Docker's Container Network Model.

    Describe hosts, networks and containers in a Python script; get captures that Wireshark opens.
    """
