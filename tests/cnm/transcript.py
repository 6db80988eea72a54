"""Reads the recorded command logs: which docker command, what the daemon answered."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "golden"
ENGINES = ("20.10", "28", "29")

_COMMAND = re.compile(r"\[[\d:.]+\] \S+# (.*)")
_ID = re.compile(r"[0-9a-f]{64}")
_NOISE = re.compile(
    r"(See 'docker run --help'\.|Run 'docker run --help' for more information|exit status 1|"
    r"Usage:  docker run .*|\[\]|Error: failed to start containers: .*|failed to start containers: .*)"
)


@dataclass
class Command:
    """One docker command of a transcript with its answer.

    lines: the output. failed: the exit status was not 0. notes: what the recording script printed about
    networks and containers afterwards (lines that begin with ``->``).
    """

    section: str
    number: int
    argv: list[str]
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False
    remark: str = ""

    @property
    def message(self) -> str:
        """Return the daemon's message; what the docker command line tool adds to it is left out."""
        kept = [line for line in self.lines if line and not _NOISE.fullmatch(line) and not _ID.fullmatch(line)]
        text = "\n".join(kept)
        text = re.sub(r"^(docker: )?(Error response from daemon: )?", "", text)
        text = re.sub(r"^Error: No such network: (.*)$", r"network \1 not found", text)
        if self.argv[1] == "run" and not any(line.startswith("Run 'docker run --help'") for line in self.lines):
            text = text.removesuffix(".")  # the tool of 20.10 ends the message with a full stop
        # Engine 20.10 configures interfaces in a hook of its container runtime, which wraps the engine's message.
        hook = re.search(r'level=fatal msg="(.*)": unknown$', text)
        return mask(hook[1].replace('\\"', '"') if hook else text)


def mask(text: str) -> str:
    """Replace what is random in the recordings: ids and device names; sort listed endpoints."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "<id>", text)
    text = re.sub(r'id:"[0-9a-f]{12}"', 'id:"<id>"', text)
    text = re.sub(r"veth[0-9a-f]{7}", "<veth>", text)
    listed = re.search(r"active endpoints \((.*)\)", text)
    if listed:
        text = text.replace(listed[1], ", ".join(sorted(listed[1].split(", "))))
    return text


def read(engine: str, name: str = "commands.log") -> list[Command]:
    """Return the commands of a d-ipam transcript."""
    commands: list[Command] = []
    section = ""
    for number, line in enumerate((GOLDEN / engine / "d-ipam" / name).read_text().splitlines(), 1):
        started = _COMMAND.match(line)
        if line.startswith("####"):
            section = line.lstrip("# ").split()[0]
        elif started:
            commands.append(Command(section, number, shlex.split(started[1])))
        elif line.startswith("(removed") and commands:
            commands[-1].remark = line
        elif line.startswith("    ") and commands:
            _add_output(commands[-1], line[4:])
    return commands


def _add_output(command: Command, line: str) -> None:
    if line.startswith("-> "):
        command.notes.append(line[3:])
    elif re.fullmatch(r"\(exit \d+\)", line):
        command.failed = line != "(exit 0)"
    else:
        command.lines.append(line)
