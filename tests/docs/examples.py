"""The examples in the documentation: found, run, and (with `python -m tests.docs.examples --update`) written anew.

* ```` ```console ````: lines that begin with `$ ` are run, one after the other, in a folder with a copy of
  `topologies/`; what follows is their output. Only `emu` and `tshark` are run.
* ```` ```python ````: a whole topology script; it is run, and its expectations must be met.
* ```` ```sh ```` and ```` ```text ````: for reading only.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = (*sorted((REPOSITORY / "docs").glob("*.md")), REPOSITORY / "README.md")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of one language."""
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


def commands(block: str) -> list[str]:
    """Return the commands of a console block."""
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def output_of(command: str, folder: Path) -> str:
    """Run one command of a console block and return what a terminal 100 columns wide would show."""
    program, *arguments = shlex.split(command)
    start = {"emu": [sys.executable, "-m", "emu"], "tshark": ["tshark", "-n"]}[program]
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "COLUMNS": "100",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "WIRESHARK_CONFIG_DIR": str(folder / "no-config"),
    }
    done = subprocess.run(
        [*start, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Running as user")]
    lines = [*done.stdout.splitlines(), *errors]
    return "".join(line.rstrip() + "\n" for line in lines)


def rewritten(block: str, folder: Path) -> str:
    """Return a console block with the output that its commands have now."""
    return "".join(f"$ {command}\n{output_of(command, folder)}" for command in commands(block))


def prepare(folder: Path) -> None:
    """Put the topologies where the commands of a page expect them."""
    shutil.copytree(REPOSITORY / "topologies", folder / "topologies")


def update() -> None:
    """Rewrite the console blocks of all pages."""
    for page in PAGES:
        text = page.read_text()
        with TemporaryDirectory() as scratch:
            prepare(Path(scratch))

            def anew(match: re.Match[str], folder: Path = Path(scratch)) -> str:
                body = rewritten(match[2], folder) if match[1] == "console" else match[2]
                return f"```{match[1]}\n{body}```"

            page.write_text(BLOCK.sub(anew, text))


if __name__ == "__main__":
    assert sys.argv[1:] == ["--update"], "usage: python -m tests.docs.examples --update"
    update()
