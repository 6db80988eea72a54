"""`emu run`: what it writes, what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from emu.cli.app import app
from emu.version import __version__
from tests.capture.pcapng_reader import read_pcapng

SCRIPT = '''
"""Two containers on one bridge."""
import emu

@emu.scenario(seed=3)
def topology(net: emu.Emulation, count: int = 2, loss: float = 0.0) -> None:
    shop = net.networks.create("shop")
    web = net.host.containers.run("web", network=shop)
    db = net.host.containers.run("db", network=shop)
    if loss:
        db.interface("eth0").set(loss=loss)
    ping = web.ping("db", count=count)
    net.expect("every ping is answered", lambda: ping.result.received == count)

if __name__ == "__main__":
    emu.main(topology)
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in a folder of its own that has a script."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo.py").write_text(SCRIPT)
    return tmp_path


def emu_run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["run", *arguments])


def script(text: str) -> str:
    Path("script.py").write_text(text)
    return "script.py"


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False)


# -- what comes out ---------------------------------------------------------------------------------------------------


def test_results_go_to_a_folder_named_after_the_script() -> None:
    done = emu_run("demo.py")
    assert done.exit_code == 0, done.output
    assert sorted(file.name for file in Path("out/demo").iterdir()) == [
        "capture.pcapng",
        "summary.json",
        "timing.json",
    ]


def test_the_table_shows_interfaces_tasks_expectations_and_what_to_open() -> None:
    output = emu_run("demo.py").output
    assert "demo  seed 3, engine 29, " in output
    for text in ("web:eth0", "web: ping db", "2/2 received", "as expected: every ping is answered"):
        assert text in output
    assert "wireshark out/demo/capture.pcapng" in output
    assert "2 interfaces without traffic are not shown" not in output, "lo of three namespaces and docker0 are idle"
    assert "4 interfaces without traffic are not shown" in output


def test_the_capture_says_how_it_was_made() -> None:
    emu_run("demo.py", "--set", "count=1", "--until", "5s", "--engine", "28", "--seed", "9")
    comment = b"emu run demo.py --seed 9 --engine 28 --until 5s --set count=1"
    assert comment in Path("out/demo/capture.pcapng").read_bytes()


def test_seed_and_engine_of_the_command_line_win_over_the_script() -> None:
    emu_run("demo.py", "--seed", "8", "--engine", "20.10")
    summary = json.loads(Path("out/demo/summary.json").read_text())
    assert (summary["seed"], summary["engine"]) == (8, "20.10")


def test_the_summary_has_outcomes_and_nothing_of_the_machine() -> None:
    emu_run("demo.py", "--out", "elsewhere")
    text = Path("elsewhere/summary.json").read_text()
    summary = json.loads(text)
    assert summary["tasks"][0]["outcome"] == "2/2 received"
    assert summary["tasks"][0]["output"].startswith("PING db (172.18.0.3) 56(84) bytes of data.")
    assert summary["expectations"] == [{"text": "every ping is answered", "met": True, "problem": None}]
    assert "elsewhere" not in text
    assert json.loads(Path("elsewhere/timing.json").read_text())["frames"] == summary["frames"]


def test_the_same_run_gives_the_same_bytes_wherever_it_is_written() -> None:
    for out in ("one", "two"):
        emu_run("demo.py", "--out", out)
    for name in ("capture.pcapng", "summary.json"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_an_earlier_runs_files_are_replaced_and_others_are_left_alone() -> None:
    emu_run("demo.py", "--split")
    Path("out/demo/notes.txt").write_text("mine")
    emu_run("demo.py", "--no-capture")
    assert sorted(file.name for file in Path("out/demo").rglob("*") if file.is_file()) == [
        "notes.txt",
        "summary.json",
        "timing.json",
    ]


def test_split_writes_one_file_per_interface_beside_the_whole() -> None:
    output = emu_run("demo.py", "--split").output
    names = [file.name for file in Path("out/demo/by-interface").iterdir()]
    assert any("web" in name and name.endswith(".pcapng") for name in names)
    assert "one interface at a time" in output
    assert Path("out/demo/capture.pcapng").exists()


def test_pcap_is_one_plain_file_per_interface() -> None:
    emu_run("demo.py", "--format", "pcap", "--interfaces", "web:*")
    files = sorted(Path("out/demo/by-interface").iterdir())
    assert [file.suffix for file in files] == [".pcap", ".pcap"]
    assert files[0].read_bytes()[:4] == bytes.fromhex("4d3cb2a1")
    assert not Path("out/demo/capture.pcapng").exists()


def test_snaplen_keeps_the_first_bytes() -> None:
    emu_run("demo.py", "--snaplen", "20")
    assert {len(packet.data) for packet in read_pcapng("out/demo/capture.pcapng").packets} == {20}


def test_a_script_that_says_what_to_capture_is_obeyed() -> None:
    text = 'def topology(net):\n    net.capture("only.pcapng", ["web:eth0"])\n    net.host.containers.run("web")\n'
    assert emu_run(script(text)).exit_code == 0
    assert sorted(file.name for file in Path("out/script").glob("*.pcapng")) == ["only.pcapng"]
    refused = emu_run(script(text), "--split")
    assert (refused.exit_code, refused.output) == (
        2,
        "emu: --split: the script says itself what to capture (net.capture)\n",
    )


def test_print_shows_each_frame_in_a_line() -> None:
    output = emu_run("demo.py", "--print", "--interfaces", "web:eth0", "--no-capture").output
    assert "web:eth0               Out #1 ARP, Request who-has" in output
    assert "db:eth0  " not in output.split("demo  seed")[0]


def test_quiet_prints_nothing_when_all_is_well() -> None:
    assert emu_run("demo.py", "--quiet").output == ""


# -- exit codes -------------------------------------------------------------------------------------------------------


def test_a_failed_expectation_exits_1_and_says_how_to_repeat_the_run() -> None:
    done = emu_run("demo.py", "--set", "loss=1")
    assert done.exit_code == 1
    assert "NOT as expected: every ping is answered" in done.output
    assert "the same again: emu run demo.py --seed 3 --set loss=1.0" in done.output
    quiet = emu_run("demo.py", "--set", "loss=1", "--quiet")
    assert (quiet.exit_code, quiet.output) == (1, "emu: NOT as expected: every ping is answered\n")


WRONG: dict[str, tuple[str, list[str], str]] = {
    "a file without topology": ("x = 1", [], "script.py: has no topology; define one: def topology(net: emu.Emul"),
    "a syntax error": ("def topology(net:", [], "script.py:1: '(' was never closed"),
    "a file that is not Python": ("x\0y", [], "script.py: is not a Python script: "),
    "a script that raises": ("def topology(net):\n    {}['x']", [], "script.py:2: KeyError: x"),
    "a mistake in the topology": (
        "def topology(net):\n    net.host.containers.run('web', network='nope')",
        [],
        "script.py:2: failed to set up container networking: network nope not found",
    ),
    "a mistake that shows while running": (
        "def topology(net):\n    web = net.host.containers.run('web')\n    web.ping('db', at='5s')",
        [],
        "script.py:3: web: ping: db: Name or service not known",
    ),
    "a process that raises": (
        "def topology(net):\n    def work():\n        yield net.timeout('1s')\n        1 / 0\n    net.spawn(work())",
        [],
        "script.py:4: ZeroDivisionError: division by zero",
    ),
    "a port that is taken when a task starts": (
        (
            "def topology(net):\n    web = net.host.containers.run('web')\n    web.udp(7)\n"
            "    web.udp_flow(web, 9, interval='1ms', count=1, source_port=7)"
        ),
        [],
        "script.py:4: OSError: [Errno 98] Address already in use",
    ),
    "a script that exits": (
        "import sys\ndef topology(net):\n    sys.exit('bye')",
        [],
        "the script called sys.exit('bye'); let topology return instead",
    ),
    "a topology that would do nothing": ("def topology(net):\n    yield", [], "script.py: topology() has a yield or"),
    "an unknown parameter": ("def topology(net, n: int = 1): ...", ["--set", "m=1"], "--set m: the topology has no"),
    "a bad end": ("def topology(net): ...", ["--until", "10"], "invalid until '10': the unit is missing"),
    "an unknown engine": ("def topology(net): ...", ["--engine", "19"], 'unknown engine "19"'),
    "contradicting options": ("def topology(net): ...", ["--no-capture", "--split"], "--no-capture and --split contra"),
    "split pcap": ("def topology(net): ...", ["--format", "pcap", "--split"], "--split is for pcapng"),
    "a folder that can't be written": ("def topology(net): ...", ["--out", "/proc/x"], "/proc/x: the results can't be"),
    "a glob of what to print that matches nothing": (
        "def topology(net): net.host",
        ["--print", "--no-capture", "--interfaces", "x*"],
        "no interface matches 'x*'",
    ),
    "a glob that matches nothing": ("def topology(net): net.host", ["--interfaces", "x*"], "no interface matches 'x*'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_users_mistake_is_one_line_and_exits_2(what: str) -> None:
    text, arguments, message = WRONG[what]
    done = emu_run(script(text), *arguments)
    assert done.output.startswith("emu: " + message)
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert not Path("out/script/crash.txt").exists()


def test_a_missing_file_exits_2() -> None:
    done = emu_run("nosuch.py")
    assert (done.exit_code, done.output) == (2, "emu: nosuch.py: no such file\n")


def test_traceback_shows_it() -> None:
    done = emu_run(script("def topology(net):\n    1 / 0"), "--traceback")
    assert "Traceback (most recent call last)" in done.output
    assert done.output.endswith("emu: script.py:2: ZeroDivisionError: division by zero\n")


def test_a_bug_exits_3_and_leaves_a_crash_report() -> None:
    done = emu_run(script("def topology(net):\n    net.kernel.call_later(-1, print)"))
    assert done.exit_code == 3
    assert done.output == (
        "emu: bug in emu: AssertionError: a delay of -1 ns; please report it with out/script/crash.txt\n"
    )
    assert "call_later" in Path("out/script/crash.txt").read_text()


def test_ctrl_c_while_modules_are_loaded_exits_130_without_a_traceback() -> None:
    interrupted = (
        "import sys, emu.cli\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'emu.cli.app': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "emu.cli.main()"
    )
    done = python("-c", interrupted)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def _listen_to_ctrl_c() -> None:
    """Undo what a shell does to a test run in the background: its children ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ctrl_c_exits_130_and_the_capture_is_valid() -> None:
    text = (
        "def topology(net):\n    web, db = (net.host.containers.run(name) for name in ('web', 'db'))\n"
        "    db.udp_sink(9)\n    web.udp_flow(db, 9, size=100, interval='1ms', duration='100000s')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "emu", "run", script(text)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
        preexec_fn=_listen_to_ctrl_c,
    )
    capture = Path("out/script/capture.pcapng")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (capture.exists() and capture.stat().st_size > 100_000):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (
        130,
        "emu: interrupted; what was captured so far is in out/script/\n",
    )
    file = read_pcapng(capture)
    assert len(file.packets) > 500
    assert any(interface.statistics for interface in file.interfaces)


def test_a_reader_that_goes_away_ends_the_run_quietly() -> None:
    command = f"{sys.executable} -m emu run demo.py --print --set count=300 | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.splitlines()[1:], done.stderr) == (["141"], "")


# -- the other ways in ------------------------------------------------------------------------------------------------


def test_a_script_runs_directly_and_gives_the_same_bytes() -> None:
    emu_run("demo.py", "--out", "one")
    done = python("demo.py", "--out", "two")
    assert done.returncode == 0, done.stderr
    for name in ("capture.pcapng", "summary.json"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()
    assert python("demo.py", "--set", "loss=1", "-q").returncode == 1
    assert "--set" in python("demo.py", "--help").stdout


def test_help_answers_at_once_without_loading_scapy_or_simpy() -> None:
    code = (
        "import sys, emu.cli.app\nfrom typer.testing import CliRunner\n"
        "assert CliRunner().invoke(emu.cli.app.app, ['--help']).exit_code == 0\n"
        "print([name for name in ('scapy', 'netaddr', 'emu.stack', 'emu.emulation') if name in sys.modules])"
    )
    assert python("-c", code).stdout == "[]\n"


def test_a_run_does_not_load_scapy_unless_the_script_does() -> None:
    code = (
        "import sys, emu.cli.app\nfrom typer.testing import CliRunner\n"
        "assert CliRunner().invoke(emu.cli.app.app, ['run', 'demo.py']).exit_code == 0\n"
        "print([name for name in sys.modules if name.startswith('scapy')])"
    )
    assert python("-c", code).stdout == "[]\n"


def test_the_version_is_printed_with_the_name_in_front() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"emu {__version__}\n"


def test_every_option_of_run_has_a_help_text() -> None:
    output = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "120", "TERM": "dumb"}).output
    for option in (
        "--out", "--seed", "--until", "--format", "--interfaces", "--split", "--print", "--no-capture", "--snaplen",
        "--set", "--engine", "--quiet", "--traceback",
    ):  # fmt: skip
        assert option in output


@pytest.mark.parametrize(
    ("program", "asks"), [("ping('db')", False), ("http_get('db', timeout='1s')", True), ("netcat('db', 99)", True)]
)
def test_a_run_with_tcp_says_that_its_analysis_wants_split(program: str, asks: bool) -> None:
    text = SCRIPT.replace('web.ping("db", count=count)', f"web.{program}").replace(
        "ping.result.received == count", "True"
    )
    assert ("run it with --split" in emu_run(script(text)).output) is asks
    assert "run it with --split" not in emu_run(script(text), "--split").output
