"""What holds for every topology: expectations, valid captures, documentation, determinism."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from tests.helpers_tshark import complaints, needs_tshark
from tests.scenarios.runs import EVERYTHING, NAMES, TOPOLOGIES, run_again, run_command, run_once

FAILURES = {"dhcp_exhausted_pool": {"failed"}}
"""Where a task that fails is what the topology shows."""
MOVES = {"dhcp_exhausted_pool": "Duplicate IP address configured (10.0.0.10)"}
"""Where an address goes from one container to another, which Wireshark takes for a conflict."""

every = pytest.mark.parametrize("name", NAMES)


def test_the_five_topologies_of_the_foundation_are_there() -> None:
    assert {"first_ping", "two_networks", "crowded_bridge", "fragments", "lossy_cable"} <= set(NAMES)


@every
def test_it_does_what_it_expects_and_every_task_finishes(name: str) -> None:
    result = run_once(name).result
    assert result.ok
    assert result.expectations
    assert {task.state for task in result.tasks} - FAILURES.get(name, set()) == {"finished"}


@every
def test_its_capture_is_a_strictly_valid_pcapng_with_names_and_statistics(name: str) -> None:
    capture = run_once(name).capture
    assert capture.comment.startswith(f"emu run {name}.py --seed 1")
    assert capture.application.startswith("emu ")
    assert all(interface.statistics is not None for interface in capture.interfaces)
    names = [interface.name for interface in capture.interfaces]
    assert ("drops" in names) == bool(run_once(name).result.drops)
    times = [packet.time_ns for packet in capture.packets]
    assert times == sorted(times)
    assert times[0] >= 0


@every
def test_the_counters_in_the_summary_are_what_the_capture_shows(name: str) -> None:
    outcome = run_once(name)
    for entry in outcome.result.interfaces:
        shown = [packet for packet in outcome.capture.packets if packet.name == entry.name]
        sent = sum(packet.direction == 2 for packet in shown)
        if entry.name.endswith((":docker0", ":br-storm", ":br0")) or ":br-" in entry.name:
            continue  # a bridge shows forwarded frames too, and counts only its own
        if entry.name.endswith(":vxlan0"):
            continue  # shows the ARP that it answers or swallows itself, and counts only what is tunnelled, as Linux
        if entry.name.endswith(":lo"):
            assert len(shown) == entry.rx_packets == entry.tx_packets, entry.name
            continue  # the loopback device shows a frame once, on its way in, as tcpdump does
        assert (len(shown) - sent, sent) == (entry.rx_packets, entry.tx_packets), entry.name
    drops = [packet for packet in outcome.capture.packets if packet.name == "drops"]
    assert len(drops) == sum(outcome.result.drops.values())
    assert all(any(comment.startswith("drop: ") for comment in packet.comments) for packet in drops)


@every
@pytest.mark.tshark
@needs_tshark
def test_tshark_finds_no_malformed_frame_no_bad_checksum_and_no_expert_warning(name: str) -> None:
    found = complaints(run_once(name).capture_path)
    # Every host has the same addresses on its own docker_gwbridge, and the capture is of several hosts.
    # A reset and a D-SACK are TCP's answers, not faults; HTTP is not put together.
    expected = (
        "Duplicate IP address configured (172.18.", MOVES.get(name, "Duplicate IP address configured (172.18."),
        "Connection reset (RST)", "D-SACK Sequence", "Illegal characters found in header name",
    )  # fmt: skip
    assert [line for line in found if not any(text in line for text in expected)] == []


@every
def test_it_says_what_to_look_at_and_with_which_display_filter(name: str) -> None:
    text = ast.get_docstring(ast.parse((TOPOLOGIES / f"{name}.py").read_text())) or ""
    assert f"emu run topologies/{name}.py" in text
    assert "Wireshark" in text
    assert "* `" in text


@every
def test_it_is_run_directly_too(name: str) -> None:
    source = (TOPOLOGIES / f"{name}.py").read_text()
    assert source.endswith('if __name__ == "__main__":\n    emu.main(topology)\n')


# -- determinism (design decision 9) ---------------------------------------------------------------------------------


def files_of(folder: Path) -> dict[str, bytes]:
    """Everything that must be reproducible; timing.json is the wall clock's."""
    names = sorted(path.name for path in folder.iterdir() if path.name != "timing.json")
    return {name: (folder / name).read_bytes() for name in names}


each = pytest.mark.parametrize("name", [*NAMES, EVERYTHING.stem])


@each
def test_another_run_in_this_process_after_everything_else_and_into_another_folder_gives_the_same_bytes(
    name: str, tmp_path: Path
) -> None:
    """Topology A, then B, then A again: B is the one that does everything, or for that one another."""
    first = files_of(run_once(name).folder)
    assert set(first) - {"esp_sa"} == {"capture.pcapng", "summary.json"}
    run_again(EVERYTHING.stem if name != EVERYTHING.stem else "dhcp_two_servers")
    assert files_of(run_again(name, tmp_path / "somewhere" / "else").folder) == first


@each
def test_the_hash_seed_of_the_interpreter_changes_nothing(name: str, tmp_path: Path) -> None:
    """Compares with a run in this process, whose hash seed is another one: random, or the environment's."""
    run_command(name, tmp_path / "out", "4242" if os.environ.get("PYTHONHASHSEED") != "4242" else "0")
    assert files_of(tmp_path / "out") == files_of(run_once(name).folder)


def test_the_run_that_does_everything_leaves_nothing_out() -> None:
    """Otherwise the tests above prove less than they say."""
    result = run_once(EVERYTHING.stem).result
    assert result.ok
    assert {task.state for task in result.tasks} == {"finished"}
    lines = [line for line in result.impairments if line.frames]
    for count in ("lost", "reordered", "duplicated", "corrupted", "queue_marked"):
        assert any(getattr(line, count) for line in lines), count
    assert {lease.state for lease in result.leases} == {"released", "bound"}
    assert max(packet.length for packet in run_once(EVERYTHING.stem).at("long:eth0")) > 1514


def test_another_seed_gives_another_capture(tmp_path: Path) -> None:
    other = run_again("lossy_cable", tmp_path, seed=2)
    assert other.result.seed == 2
    assert files_of(tmp_path)["capture.pcapng"] != files_of(run_once("lossy_cable").folder)["capture.pcapng"]
