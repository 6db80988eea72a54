"""The progress bar reads a running emulation and never changes it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

from emu.report.progress import REFRESH_S, ProgressBar

SCRIPT = """
def topology(net):
    web, db = (net.host.containers.run(name) for name in ("web", "db"))
    db.udp_sink(9)
    web.udp_flow(db, 9, interval="100us", duration="3s")
"""


class Counting:
    """Something to watch that notes how often it was looked at."""

    until_ns = 10_000_000_000

    def __init__(self) -> None:
        self.looks = 0
        self.seen = threading.Event()

    @property
    def now(self) -> int:
        self.looks += 1
        if self.looks > 1:
            self.seen.set()
        return self.looks * 1_000_000

    def frame_count(self) -> int:
        return self.looks * 7


def test_it_looks_now_and_then_and_stops_with_the_context() -> None:
    watched = Counting()
    with ProgressBar(watched):
        assert watched.seen.wait(REFRESH_S * 50)
    assert not [thread for thread in threading.enumerate() if "refresh" in thread.name]


def test_a_terminal_shows_virtual_time_and_frames_per_second_and_a_file_does_not(tmp_path: Path) -> None:
    (tmp_path / "demo.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "emu", "run", "demo.py", "--no-capture", "--until", "3s"]
    terminal, shown = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=shown, env=environment)
    os.close(shown)
    text = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        text += chunk
    os.close(terminal)
    assert process.wait(timeout=30) == 0
    assert b" frames" in text
    plain = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=True)
    assert plain.stderr == b""
