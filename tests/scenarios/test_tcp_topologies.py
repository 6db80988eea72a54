"""The topologies with TCP show in their captures what their docstrings promise."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import pytest

from emu.scenario.loader import load_topology
from emu.scenario.runner import RunOptions, run_topology
from tests.helpers_tshark import needs_tshark, run_program
from tests.scenarios.runs import TOPOLOGIES, run_again, run_once

_scratch = TemporaryDirectory(prefix="emu-tcp-scenarios-")  # removed when the test session ends


def fields(path: Path, field: str, filter_: str) -> list[str]:
    """One field of the frames that a display filter shows."""
    text = run_program("tshark", "-n", "-r", path, "-Y", filter_, "-T", "fields", "-e", field)
    return [value for line in text.splitlines() for value in line.split(",") if value]


@lru_cache(maxsize=4)
def split(name: str) -> Path:
    """Run a topology with `--split` and return the folder with one file per interface."""
    folder = Path(mkdtemp(prefix=f"{name}-split-", dir=_scratch.name))
    with load_topology(TOPOLOGIES / f"{name}.py") as topology:
        run_topology(topology, RunOptions(folder=folder, split=True))
    return folder / "by-interface"


def http(field: str, filter_: str) -> list[str]:
    """A field of what web sees of its HTTP."""
    return fields(split("http_over_overlay") / "web-eth0.pcapng", field, filter_)


@needs_tshark
def test_http_requests_and_responses_are_read_as_such() -> None:
    assert http("http.request.uri", "http.request") == ["/", "/photo", "/search?q=emu", "/nope"]
    assert http("http.response.code", "http.response") == ["200", "200", "200", "404"]


@needs_tshark
def test_http_segments_announce_1410_and_a_port_where_nobody_listens_resets() -> None:
    assert set(http("tcp.options.mss_val", "tcp.flags.syn == 1 && ip.src == 10.0.9.2")) == {"1410"}
    assert http("tcp.srcport", "tcp.flags.reset == 1") == ["81"]


@needs_tshark
def test_http_on_the_cable_is_inside_vxlan_and_50_bytes_longer() -> None:
    capture = run_once("http_over_overlay").capture_path
    inside = fields(capture, "frame.len", 'frame.interface_name=="web:eth0" && tcp.len == 1398')
    outside = fields(capture, "frame.len", 'frame.interface_name=="host1:eth0" && vxlan && tcp.len == 1398')
    assert set(inside) == {"1464"}
    assert set(outside) == {"1514"}
    assert len(inside) == len(outside) > 500


def test_http_pages_of_another_size() -> None:
    assert run_again("http_over_overlay", size="5000").result.ok


@needs_tshark
def test_losses_are_repaired_at_the_times_that_the_docstring_tells() -> None:
    sent = "tcp.analysis.retransmission && ip.src == 198.18.0.1 && tcp.dstport == 9090"
    times = fields(split("tcp_loss_recovery") / "host1-eth0.pcapng", "frame.time_epoch", sent)
    seconds = {int(float(time)) - 946_684_800 for time in times}
    assert {3, 5, 8, 11} <= seconds <= {3, 5, 8, 9, 10, 11, 12}


@pytest.mark.parametrize("loss", ["0%", "3%"])
def test_losses_of_other_shares(loss: str) -> None:
    expectations = run_again("tcp_loss_recovery", loss=loss, size="300000").result.expectations
    missed = [entry.text for entry in expectations if not entry.met]
    assert missed == ([] if loss != "0%" else ["random: what was lost was sent again"])


def test_overlay_bridge_and_underlay_with_a_faster_cable_and_a_longer_one() -> None:
    assert run_again("overlay_vs_bridge_tcp", rate="10Gbit", size="2000000").result.ok
    assert run_again("overlay_vs_bridge_tcp", delay="1ms", size="1000000", rate="500Mbit").result.ok


@needs_tshark
def test_pings_wait_behind_the_upload_over_drop_tail_and_not_over_codel() -> None:
    times_ms = {
        number: [
            float(value)
            for value in fields(split("bufferbloat") / f"home{number}-eth0.pcapng", "icmp.resptime", "icmp")
        ]
        for number in (1, 2)
    }
    assert max(times_ms[1]) > 250
    assert max(times_ms[2][20:]) < 40


def test_codel_marks_instead_of_dropping_when_both_ends_can_tell() -> None:
    outcome = run_again("bufferbloat", ecn="true", duration="4")
    assert outcome.result.ok
    assert "0 retransmits" in outcome.tasks()["uploader-codel: iperf3 -c target-codel -C cubic"].outcome


def test_a_deeper_queue_makes_pings_wait_longer() -> None:
    assert run_again("bufferbloat", queue="400", congestion="reno", duration="6").result.ok
