"""Results as people see them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from emu.report.hints import hint_lines
from emu.report.table import bytes_text, print_result
from emu.result import ExpectationResult, InterfaceResult, Result, TaskResult

LOST = "lost on the link (configured loss)"
CUT = "the link's queue is full"


def result(**changes: object) -> Result:
    values: dict[str, object] = {
        "name": "demo",
        "seed": 1,
        "engine": "29",
        "cost": "linux",
        "now_ns": 1_500_000_000,
        "interfaces": [
            InterfaceResult("web:lo", 0, 0, 0, 0),
            InterfaceResult("web:eth0", 3, 294, 1_250_007, 1_302_500_294, {LOST: 2}),
        ],
        "tasks": [TaskResult("web: ping db", "unfinished", "1/2 received", 0, None, "answers from 10.0.0.3", None)],
        "expectations": [ExpectationResult("all is well", True), ExpectationResult("nothing [lost]", False, "oh")],
        "drops": {LOST: 2, CUT: 5},
    }
    return Result(**{**values, **changes})  # type: ignore[arg-type]


def printed(value: Result, width: int = 78) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    print_result(value, console)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines() if line.strip())


def test_the_whole_result_fits_a_terminal_of_80_columns() -> None:
    expected = """\
demo  seed 1, engine 29, 1.5s of virtual time, 1,250,010 frames at 2 interfaces
 interface   frames in   bytes   frames out    bytes   dropped
 ─────────────────────────────────────────────────────────────
 web:eth0            3     294    1,250,007   1.3 GB         2
1 interface without traffic is not shown
 dropped at   frames   because
 ────────────────────────────────────────────────────────
 web:eth0          2   lost on the link (configured loss)
 elsewhere         5   the link's queue is full
 task           state        outcome
 ─────────────────────────────────────────────────────────────────────────
 web: ping db   unfinished   1/2 received; waits for answers from 10.0.0.3
as expected: all is well
NOT as expected: nothing [lost] (oh)"""
    assert printed(result()) == expected


def test_without_drops_tasks_and_expectations_there_is_one_table() -> None:
    quiet = result(interfaces=[InterfaceResult("web:eth0", 1, 42, 0, 0)], tasks=[], expectations=[], drops={})
    assert len(printed(quiet).splitlines()) == 4


def test_a_run_is_fine_when_every_expectation_is_met() -> None:
    assert not result().ok
    assert result(expectations=[ExpectationResult("all is well", True)]).ok


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999_999, "999,999"), (1_000_000, "1.0 MB"), (260_500_168, "260.5 MB"), (10**15, "1,000.0 TB")],
)
def test_bytes_are_exact_while_they_are_short(count: int, text: str) -> None:
    assert bytes_text(count) == text


def test_the_hint_says_which_file_is_for_what() -> None:
    folder = Path("out/demo")
    lines = hint_lines(folder, [folder / "capture.pcapng", folder / "by-interface" / "web-eth0.pcapng"])
    assert lines == [
        "results: out/demo/",
        "  wireshark out/demo/capture.pcapng",
        "    the way of each packet through all interfaces: frame.packet_id == 1",
        "  wireshark out/demo/by-interface/<interface>.pcapng  (1 file)",
        "    one interface at a time: use these for Wireshark's TCP analysis and statistics",
    ]
    assert hint_lines(folder, []) == ["results: out/demo/ (no capture was written)"]


def test_the_hint_says_how_to_see_inside_encrypted_tunnels() -> None:
    folder = Path("out/demo")
    lines = hint_lines(folder, [folder / "capture.pcapng"], [folder / "esp_sa"])
    assert lines[3:] == [
        "  out/demo/esp_sa  (the keys of the encrypted tunnels)",
        "    to see inside: emu wireshark-profile --esp-sa out/demo/esp_sa; wireshark -C emu ...",
    ]


def test_long_tables_are_cut_and_say_where_the_rest_is():
    interfaces = tuple(InterfaceResult(f"c{number}:eth0", 1, 60, 1, 60) for number in range(300))
    tasks = [TaskResult(f"ping {number}", "finished", "1/1 received", 0, 1, None, None) for number in range(99)]
    tasks.append(TaskResult("the slow one", "unfinished", "", 0, None, "a reply", None))
    text = printed(result(interfaces=interfaces, tasks=tuple(tasks)))
    assert text.count(":eth0") == 40
    assert "260 more interfaces are in summary.json" in text
    assert "the slow one" in text, "what did not finish is shown before what did"
    assert "60 more tasks are in summary.json" in text


def test_the_hint_of_a_run_with_tcp_asks_for_split() -> None:
    folder = Path("out/demo")
    together, single = folder / "capture.pcapng", folder / "by-interface" / "web-eth0.pcapng"
    asks = [line for line in hint_lines(folder, [together], had_tcp=True) if "--split" in line]
    assert asks == ["    for Wireshark's TCP analysis run it with --split: in a file with several interfaces the same"]
    for lines in (
        hint_lines(folder, [together]),
        hint_lines(folder, [together, single], had_tcp=True),
        hint_lines(folder, [], had_tcp=True),
    ):
        assert not any("--split" in line for line in lines)
