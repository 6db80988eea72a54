"""The `emu` command: one file per verb, and no logic that Python users can't call."""

from __future__ import annotations


def main() -> None:
    """Run the `emu` command with the arguments of the process."""
    try:
        from emu.cli.app import app
    except KeyboardInterrupt:  # while modules are still being loaded
        raise SystemExit(130) from None
    app(prog_name="emu")
