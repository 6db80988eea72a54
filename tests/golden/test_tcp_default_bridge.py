"""TCP between two containers on the default bridge is what recorded Docker engines showed (a3), at every point.

Small transfers and the interactive one are compared frame by frame. The megabyte was recorded with another congestion
control (bbr) and programs that were scheduled at random, so its beginning is compared segment by segment and the rest
by its sizes, counts and growth; see `tests.golden.tcp_bulk`.
"""

from __future__ import annotations

from tests.golden.compare import Seen
from tests.golden.recording import DOCKER_EXEC_NS, PROCESS_NS, SECOND, Recording, Run
from tests.golden.tcp_bulk import Bulk, check_bulk
from tests.golden.tcp_fields import payload_length
from tests.golden.tcp_programs import (
    BIG_FILE,
    WINDOW_SCALE_10,
    blocks,
    http_client,
    http_server,
    line_writer,
    netcat_listener,
    request,
)
from tests.golden.test_default_bridge import C2, POINTS, engines

HEADER_LENGTH = {"small": 210, "1MB-nooffload": 192}
LINES = [b"line %d\n" % index for index in range(12)]


def recorded_run(recording: Recording, scenario: str) -> Run:
    """The two containers on the recorded machine: they know each other's MAC addresses, and scale windows by 10."""
    run = Run(recording, scenario, begin_ns=100 * SECOND, reachable_s=600)
    for name in ("c1", "c2"):
        run.container(name).namespace.sysctl["net.ipv4.tcp_rmem_max"] = WINDOW_SCALE_10
    run.container("c1").ping(C2, count=1, at=50 * SECOND)
    return run


@engines
def test_a_small_file_over_http_frame_by_frame(recording: Recording) -> None:
    scenario = "a3-tcp-small"
    run = recorded_run(recording, scenario)
    header = run.said(f"{scenario}-c1-eth0", HEADER_LENGTH["small"])
    body = run.said(f"{scenario}-c1-eth0", 25)
    c1, c2 = run.container("c1"), run.container("c2")
    c2.spawn(http_server(run.net, c2.namespace, [header, body], waits_for_client=True))
    question = request("/small.txt", C2)
    start_ns = run.command("wget -q", DOCKER_EXEC_NS, after=f"{scenario}-c2-eth0.pcap")
    run.net.at(start_ns, lambda: c1.spawn(http_client(run.net, c1.namespace, C2, question, len(header + body))))
    run.net.run()
    for point in POINTS:
        run.check(point)


@engines
def test_an_interactive_stream_against_a_half_closed_reader_frame_by_frame(recording: Recording) -> None:
    """`nc -l` closes its direction at once, while the lines are still coming; every line is acknowledged at once."""
    scenario = "a3-tcp-interactive"
    run = recorded_run(recording, scenario)
    c1, c2 = run.container("c1"), run.container("c2")
    end_ns, first_ns = (20_000, 300_000) if recording.engine == "28" else (120_000, 60_000)  # nc's FIN came first on 28
    lines: list[bytes] = []
    c2.spawn(netcat_listener(run.net, c2.namespace, 7777, end_ns, lines))
    start_ns = run.command("python3", PROCESS_NS, after=f"{scenario}-c2-eth0.pcap")
    pause_ns = 300_250_000  # what sleep(0.3) and send() took
    run.net.at(start_ns, lambda: c1.spawn(line_writer(run.net, c1.namespace, (C2, 7777), LINES, pause_ns, first_ns)))
    run.net.run()
    for point in POINTS:
        run.check(point)
    assert lines == LINES
    check_first_fin_is_acknowledged_soon(run.frames("c1-eth0"))


def check_first_fin_is_acknowledged_soon(frames: list[Seen]) -> None:
    """Before any data has come the delayed ACK of a FIN waits for one jiffy, not for 40 ms (1.6 ms recorded)."""
    fin = next(seen for seen in frames if seen.fields["ip.src"] == C2 and seen.fields["tcp.flags"] & 1)
    number = fin.fields["tcp.sequence"] + 1
    acknowledged = next(
        seen for seen in frames if seen.fields["ip.dst"] == C2 and seen.fields["tcp.acknowledgment"] == number
    )
    assert acknowledged.time_ns - fin.time_ns <= 8_000_000


@engines
def test_a_megabyte_over_http(recording: Recording) -> None:
    scenario = "a3-tcp-1MB-nooffload"
    run = recorded_run(recording, scenario)
    header = run.said(f"{scenario}-c1-eth0", HEADER_LENGTH["1MB-nooffload"])
    c1, c2 = run.container("c1"), run.container("c2")
    if recording.cost == "none":
        c2.interface("eth0").set(rate="1Gbit", delay="10us")  # or everything happens at one instant
    c2.spawn(http_server(run.net, c2.namespace, blocks(header, BIG_FILE)))
    question = request("/big.bin", C2)
    start_ns = run.command("wget -q", DOCKER_EXEC_NS, after=f"{scenario}-c2-eth0.pcap")
    expected = len(header) + len(BIG_FILE)
    run.net.at(start_ns, lambda: c1.spawn(http_client(run.net, c1.namespace, C2, question, expected)))
    run.net.run()
    for point in POINTS:
        recorded, emulated = run.both(point)
        check_bulk(
            f"{recording} {scenario}-{point}",
            Bulk(recorded, C2),
            Bulk(emulated, C2),
            run.correspondence,
        )
    assert sum(payload_length(seen.fields) for seen in run.frames("c1-eth0") if seen.fields["ip.src"] == C2) == expected
