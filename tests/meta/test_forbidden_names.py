"""Determinism: names that would make a run depend on the machine, the clock or the process are not used in emu/."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "emu"

FORBIDDEN = {
    "the wall clock": r"\btime\.(time|monotonic|perf_counter|process_time)(_ns)?\b|\bfrom time import\b"
    r"|\b(datetime|date)\.(now|utcnow|today)\b",
    "the global random generator": r"\brandom\.(random|randint|randrange|choice|choices|shuffle|sample|uniform|seed"
    r"|getrandbits|randbytes|gauss|expovariate)\s*\(|\bSystemRandom\b",
    "operating system randomness": r"\burandom\b|\buuid[14]?\b|\bsecrets\b|\bRandShort\b|\bRandInt\b",
    "hash order or object identity": r"(?<![\w.])(hash|id)\s*\(",
    "the machine": r"\bgethostname\b|\bgetpid\b|\bplatform\.|\bgetuser\b",
    "everything Scapy has, which looks at the machine": r"\bscapy\.all\b",
}

# Who may look at the wall clock. None of it enters a capture or summary.json.
ALLOWED = {
    ("the wall clock", "kernel/realtime.py"),  # paces a run that talks to real programs; nobody gets it unasked
    ("the wall clock", "scenario/runner.py"),  # tells people how long a run took
}


def code_of(file: Path) -> str:
    """The code of a file, one line per statement, without comments and texts."""
    words: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            continue
        if token.type in (tokenize.NEWLINE, tokenize.NL):
            words.append("\n")
        elif token.string == "." and words:
            words[-1] += "."
        elif words and words[-1].endswith("."):
            words[-1] += token.string
        else:
            words.append(token.string)
    return " ".join(words)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_in_emu_depends_on(what: str) -> None:
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        if (what, name) in ALLOWED:
            continue
        for line in code_of(file).splitlines():
            if re.search(FORBIDDEN[what], line) and not line.strip().startswith("def "):
                found.append(f"{name}: {line.strip()}")
    assert found == []


def test_no_run_is_paced_by_the_wall_clock_unasked() -> None:
    users = [file for file in PACKAGE.rglob("*.py") if re.search(r"\brealtime\b", code_of(file))]
    assert users == [], "only whoever runs an emulation by hand imports emu.kernel.realtime"


def test_no_loop_runs_over_a_set() -> None:
    over_a_set = re.compile(r"\bfor\b[^\n]*\bin (set|frozenset) ?\(|\bfor\b[^\n]*\bin \{[^:}\n]*\} ?:")
    found = [
        f"{file.relative_to(PACKAGE).as_posix()}: {line.strip()}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for line in code_of(file).splitlines()
        if over_a_set.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("the wall clock", "now = time.time()"),
        ("the global random generator", "x = random.random()"),
        ("operating system randomness", "x = os.urandom(4)"),
        ("hash order or object identity", "key = hash(name)"),
        ("the machine", "name = socket.gethostname()"),
        ("everything Scapy has, which looks at the machine", "from scapy.all import IP"),
    ],
)
def test_the_search_finds_what_it_is_for(what: str, line: str, tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(f"# {line}\nx = {line!r}\n")
    assert not re.search(FORBIDDEN[what], code_of(file)), "comments and texts don't count"
    file.write_text(line + "\n")
    assert re.search(FORBIDDEN[what], code_of(file))
