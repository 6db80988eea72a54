"""Two containers on the default bridge do what they did on recorded Docker engines, frame by frame.

Each test builds the recorded situation with emu's own API, starts the recorded commands at the recorded times, and
compares every capture point. Before the first command stands the history that the machine had at that time: who had
talked to whom, and how long ago (the neighbour tables at the beginning).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any

import pytest

import emu
from tests.golden.recording import (
    DOCKER_EXEC_NS,
    DOCKER_RUN_NS,
    ENGINES,
    PROCESS_NS,
    PYTHON_BURST_NS,
    PYTHON_NS,
    SECOND,
    Recording,
    Run,
)
from tests.golden.tcp_programs import WINDOW_SCALE_10

C2 = "172.17.0.3"
GATEWAY = "172.17.0.1"
OUTSIDE = "203.0.113.100"
POINTS = ("c1-eth0", "c1-veth", "docker0", "c2-eth0")
ECHO_NS = 40_000
"""What python3 takes between two system calls."""

RECORDINGS = [Recording(engine, cost) for engine in ENGINES for cost in ("linux", "none")]
engines = pytest.mark.parametrize("recording", RECORDINGS, ids=str)


def ping(run: Run, delay_ns: int, command: str, target: str, after: str, **options: Any) -> emu.Task:
    """Start the recorded ping at its time."""
    return run.container("c1").ping(target, at=run.command(command, delay_ns, after=after), **options)


def masked(text: str) -> str:
    """Replace what is measured, and so differs from run to run, by dots."""
    text = re.sub(r"time=[0-9.]+", "time=...", text)
    text = re.sub(r"time \d+ms", "time ...ms", text)
    return re.sub(r"= [0-9./]+ ms", "= .../.../... ms", text)


def assert_same_text(emulated: str, recorded: str, where: str = "") -> None:
    """Compare what ping printed; the total times within 5 %, or 30 ms of a busy machine."""
    assert emulated.startswith("PING "), where
    assert masked(emulated) == masked(recorded), where
    for ours, theirs in zip(*(re.findall(r"time (\d+)ms", text) for text in (emulated, recorded)), strict=True):
        assert int(ours) == pytest.approx(int(theirs), rel=0.05, abs=30), where


def first_ping(text: str) -> str:
    """Return the output of the first ping of a transcript's line that has several commands."""
    lines = text.splitlines(keepends=True)
    end = next(index for index, line in enumerate(lines) if "packets transmitted" in line)
    return "".join(lines[: end + 2])


# -- a1: start of life -----------------------------------------------------------------------------------------------


@engines
def test_a_starting_container_announces_itself_as_its_engine_does(recording: Recording) -> None:
    run = Run(recording, "a1-startlife", begin_ns=0, start_containers=False)
    run.host  # noqa: B018  (docker0 is there before the first container)
    for name in ("c1", "c2"):
        run.net.at(run.command(f"--name {name}", DOCKER_RUN_NS), run.run_container, name)
    run.net.run()
    run.check("docker0")


# -- a2: first ping --------------------------------------------------------------------------------------------------


@engines
def test_the_first_pings_and_the_confirmations_five_seconds_later(recording: Recording) -> None:
    run = Run(recording, "a2-ping", begin_ns=30 * SECOND)
    after = "a2-ping-c2-eth0.pcap"
    tasks = [
        (
            f"ping -c 3 {C2}",
            ping(run, DOCKER_EXEC_NS, "docker exec c1 ping -c 3", C2, after, count=3, flavour="busybox"),
        ),
        (f"c1# ping -c 3 {C2}", ping(run, PROCESS_NS, "c1# ping -c 3", C2, after, count=3)),
        (f"ping -c 2 {GATEWAY}", ping(run, DOCKER_EXEC_NS, "ping -c 2", GATEWAY, after, count=2, flavour="busybox")),
    ]
    run.net.run()
    for point in POINTS:
        run.check(point)
    for command, task in tasks:
        assert_same_text(task.result.text, recording.output_of(command, after), command)


# -- a4: closed ports ------------------------------------------------------------------------------------------------


def echo_server(run: Run) -> Generator[Any, Any, None]:
    """The recorded python3 script in c2: answers three datagrams."""
    socket = run.container("c2").udp(5353)
    for _ in range(3):
        payload, source = yield socket.recv()
        yield run.net.timeout(ECHO_NS)
        socket.sendto(b"echo:" + payload, source)
    socket.close()


def echo_client(run: Run) -> Generator[Any, Any, None]:
    """The recorded python3 script in c1: three questions from one socket."""
    socket = run.container("c1").namespace.udp_socket()
    for index in range(3):
        socket.sendto(b"msg%d" % index, (C2, 5353))
        yield socket.recv()
        yield run.net.timeout(ECHO_NS)
    socket.close()


def closed_port_client(run: Run, counts: range, wait_ns: int, refused: list[int]) -> Generator[Any, Any, None]:
    """Send one datagram per connected socket to a port nobody listens on, and wait a moment for the error."""
    for index in counts:
        socket = run.container("c1").namespace.udp_socket()
        socket.connect(C2, 9999)
        socket.send(b"to-closed-port" if len(counts) == 1 else b"x" * index)
        answer = socket.recv()
        try:
            yield answer | run.net.timeout(wait_ns)
        except ConnectionRefusedError:
            refused.append(index)
        yield run.net.timeout(ECHO_NS)
        socket.close()


def tcp_client(run: Run, port: int, refused: list[int]) -> Generator[Any, Any, None]:
    """Connect to a port nobody listens on."""
    socket = run.container("c1").namespace.tcp_socket()
    try:
        yield socket.connect(C2, port)
    except ConnectionRefusedError:
        refused.append(port)


@engines
def test_udp_to_open_and_closed_ports_and_the_rate_limit_of_icmp_errors(recording: Recording) -> None:
    after = "a4-udp-tcp-closed-c2-eth0.pcap"
    run = Run(
        recording,
        "a4-udp-tcp-closed",
        begin_ns=100 * SECOND,
        reachable_s=60,
        clock_scenario="a4-udp-closed-burst",
    )
    run.container("c1").namespace.sysctl["net.ipv4.tcp_rmem_max"] = WINDOW_SCALE_10
    # in 20.10 the two had been silent for 45 s, in 28 and 29 they had just exchanged a megabyte
    run.container("c1").ping(C2, count=1, at=(5 if recording.engine == "20.10" else 90) * SECOND)
    refused: list[int] = []

    def start(
        command: str, program: Callable[[], Generator[Any, Any, None]], name: str, after: str, delay_ns: int = PYTHON_NS
    ) -> None:
        time_ns = run.command(command, delay_ns, after=after)
        run.net.at(time_ns, lambda: run.container(name).spawn(program()))

    start("c2# timeout 5", lambda: echo_server(run), "c2", after)
    start("c1# python3", lambda: echo_client(run), "c1", "c2# timeout 5")
    single_ns = run.when(recording.time_of("c1# python3", after, nth=1), PYTHON_NS)
    run.net.at(single_ns, lambda: run.container("c1").spawn(closed_port_client(run, range(1), SECOND, [])))
    refused_tcp: list[int] = []
    start("nc\\ -w", lambda: tcp_client(run, 9998, refused_tcp), "c1", after, DOCKER_EXEC_NS)
    start("c1# curl", lambda: tcp_client(run, 9997, refused_tcp), "c1", after, PROCESS_NS)
    start(
        "c1# python3",
        lambda: closed_port_client(run, range(60), 50_600_000, refused),
        "c1",
        "a4-udp-closed-burst-c2-eth0.pcap",
        PYTHON_BURST_NS,
    )
    run.net.run()
    for scenario in ("a4-udp-tcp-closed", "a4-udp-closed-burst"):
        for point in POINTS:
            run.check(point, scenario, crossing=True)
    assert refused == [0, 1, 2, 3, 4, 5, 26, 47]
    assert refused_tcp == [9998, 9997]


# -- a5: nobody there ------------------------------------------------------------------------------------------------


@engines
def test_an_unused_address_is_asked_for_three_times_and_then_unreachable(recording: Recording) -> None:
    run = Run(recording, "a5-unused", begin_ns=30 * SECOND)
    after = "a5-unused-c2-eth0.pcap"
    busybox = ping(
        run, DOCKER_EXEC_NS, "ping -c 3 -W 2", "172.17.0.77", after, count=3, timeout="2s", flavour="busybox"
    )
    iputils = ping(run, PROCESS_NS, "ping -c 5 -W 2", "172.17.0.78", after, count=5, timeout="2s")

    started_ns = run.command("curl -sS --max-time 10", PROCESS_NS, after=after)
    failures: list[tuple[str, int]] = []

    def curl() -> Generator[Any, Any, None]:
        socket = run.container("c1").namespace.tcp_socket()
        try:
            yield socket.connect("172.17.0.79", 80)
        except OSError as error:
            failures.append((str(error.strerror), run.net.now - started_ns))

    run.net.at(started_ns, lambda: run.container("c1").spawn(curl()))
    run.net.run()
    for point in POINTS:
        run.check(point)
    assert busybox.result.text == recording.output_of("ping -c 3 -W 2", after)
    # `ip neigh; ping ...; ip neigh`; in 28 the fourth request was sent before the errors were read, hence pipe 4
    lines = recording.output_of("ping -c 5 -W 2", after).splitlines()
    recorded = "\n".join(line for line in lines if not line.startswith("172.17.")) + "\n"
    assert_same_text(iputils.result.text, recorded.replace("pipe 4", "pipe 3"))
    ((text, waited_ns),) = failures
    assert text == "No route to host"
    assert waited_ns == pytest.approx(3_057_000_000, rel=0.02)


# -- a6: TTL, a7: MTU ------------------------------------------------------------------------------------------------


def outside_host(run: Run) -> None:
    """The recorded machine's uplink: a host 203.0.113.100 that knows the way back (there: masquerading)."""
    outside = run.net.add_host("outside")
    uplink = "203.0.113.11"
    run.net.add_link(run.host, outside, subnet="203.0.113.0/24", addresses=[uplink, OUTSIDE])
    outside.interface("eth0")  # the link is set up
    eth0 = outside.namespace.device("eth0")
    outside.namespace.routes.add("172.17.0.2/32", via=uplink, device=eth0)  # it has a docker0 of its own


def ttl_udp(run: Run) -> None:
    """`s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)` and one datagram."""
    socket = run.container("c1").namespace.udp_socket()
    socket.ttl = 1
    socket.sendto(b"hello ttl1 udp", (OUTSIDE, 33434))


def start_ttl_commands(run: Run, same_bridge: bool = True) -> list[tuple[str, emu.Task]]:
    """Start the commands of a6."""
    after = "a6-ttl1-c2-eth0.pcap"
    commands = [(f"ping -t 1 -c 2 {C2}", C2, 1)] if same_bridge else []
    commands += [(f"ping -t {ttl} -c 2 {OUTSIDE}", OUTSIDE, ttl) for ttl in (1, 2)]
    tasks = [
        (command, ping(run, PROCESS_NS, command, target, after, count=2, ttl=ttl)) for command, target, ttl in commands
    ]
    run.net.at(run.command("c1# python3", PYTHON_NS, after=after), ttl_udp, run)
    return tasks


MTU_COMMANDS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    (f"ping -M do -c 2 -s 1472 {C2}", PROCESS_NS, {"count": 2, "size": 1472, "dont_fragment": "do"}),
    (f"ping -M do -c 2 -s 1473 {C2}", PROCESS_NS, {"count": 2, "size": 1473, "dont_fragment": "do"}),
    (f"ping -M dont -c 2 -s 1473 {C2}", PROCESS_NS, {"count": 2, "size": 1473, "dont_fragment": "dont"}),
    (f"ping -M want -c 2 -s 1473 {C2}", PROCESS_NS, {"count": 2, "size": 1473, "dont_fragment": "want"}),
    (f"ping -c 2 -s 4000 {C2}", PROCESS_NS, {"count": 2, "size": 4000}),
    (f"ping -c 2 -s 20000 {C2}", PROCESS_NS, {"count": 2, "size": 20000}),
    (f"ping -c 1 -s 4000 {C2}", DOCKER_EXEC_NS, {"count": 1, "size": 4000, "flavour": "busybox"}),
)


def start_mtu_commands(run: Run) -> list[tuple[str, emu.Task]]:
    """Start the commands of a7."""
    after = "a7-mtu-c2-eth0.pcap"
    return [(command, ping(run, delay, command, C2, after, **options)) for command, delay, options in MTU_COMMANDS]


def check_texts(recording: Recording, tasks: list[tuple[str, emu.Task]], after: str) -> None:
    for command, task in tasks:
        assert_same_text(task.result.text, recording.output_of(command, after), command)


def ttl_history(run: Run) -> None:
    """c1 has not spoken to its gateway for long, but to c2 a moment ago."""
    run.container("c1").ping(GATEWAY, count=1, at=5 * SECOND)
    run.container("c1").ping(C2, count=1, at=run.begin_ns - 10 * SECOND)


@engines
def test_ttl_1_passes_a_bridge_but_not_the_gateway(recording: Recording) -> None:
    run = Run(recording, "a6-ttl1", begin_ns=200 * SECOND, reachable_s=60)
    outside_host(run)
    ttl_history(run)
    tasks = start_ttl_commands(run)
    run.net.run()
    for point in POINTS:
        run.check(point)
    check_texts(recording, tasks, "a6-ttl1-c2-eth0.pcap")


@pytest.mark.parametrize("recording", [entry for entry in RECORDINGS if entry.engine != "20.10"], ids=str)
def test_fragments_pass_the_veths_as_they_are_and_docker0_reassembled(recording: Recording) -> None:
    run = Run(recording, "a6-ttl1", begin_ns=200 * SECOND, reachable_s=60)
    outside_host(run)
    ttl_history(run)
    start_ttl_commands(run)
    tasks = start_mtu_commands(run)
    run.net.run()
    for point in POINTS:
        run.check(point, "a7-mtu", crossing=True)
    check_texts(recording, tasks, "a7-mtu-c2-eth0.pcap")


@pytest.mark.parametrize("recording", [entry for entry in RECORDINGS if entry.engine == "20.10"], ids=str)
def test_fragments_and_a_confirmation_among_them_on_engine_20_10(recording: Recording) -> None:
    """c1's entry for c2 had grown stale while c2's for c1 had not: c1's reachable time was drawn short, c2's long."""
    run = Run(recording, "a6-ttl1", begin_ns=200 * SECOND, reachable_s=600)
    run.container("c1").namespace.sysctl["net.ipv4.neigh.default.base_reachable_time_ms"] = 4000
    outside_host(run)
    run.container("c1").ping(GATEWAY, count=1, at=5 * SECOND)
    run.host.namespace.sysctl["net.ipv4.neigh.default.base_reachable_time_ms"] = 30_000
    run.container("c1").ping(C2, count=1, at=100 * SECOND)
    start_ttl_commands(run, same_bridge=False)
    tasks = start_mtu_commands(run)
    run.net.run()
    for point in POINTS:
        run.check(point, "a7-mtu", crossing=True)
    check_texts(recording, tasks, "a7-mtu-c2-eth0.pcap")


# -- a8, a9: neighbours ----------------------------------------------------------------------------------------------


@engines
def test_after_a_long_silence_traffic_flows_at_once_and_both_sides_confirm_five_seconds_later(
    recording: Recording,
) -> None:
    run = Run(recording, "a8-neigh-probe", begin_ns=30 * SECOND)
    run.container("c1").ping(C2, count=1, at=20 * SECOND)
    after = "a8-neigh-probe-c2-eth0.pcap"
    task = ping(run, PROCESS_NS, f"ping -c 1 {C2}", C2, after, count=1)
    states: list[str] = []

    def look() -> None:
        states.append(next(line for line in run.container("c1").namespace.neighbours.text().splitlines() if C2 in line))

    run.net.at(run.command("ping -c 1", 2 * SECOND, after=after), look)
    run.net.at(run.when(recording.time_of("captures stopped", after=after)), look)
    run.net.run()
    for point in POINTS:
        run.check(point, crossing=True)
    seen = [line.split()[-1] for line in states]
    assert (seen[0], seen[-1]) == ("DELAY", "REACHABLE")
    assert_same_text(task.result.text, first_ping(recording.output_of(f"ping -c 1 {C2}", after)))


@engines
def test_a_peer_that_vanished_while_its_entry_is_fresh_is_not_noticed(recording: Recording) -> None:
    run = Run(recording, "a9-vanish", begin_ns=60 * SECOND, reachable_s=60)
    run.container("c1").ping(C2, count=1, at=50 * SECOND)
    after = "a9-vanish-docker0.pcap"
    ping(run, PROCESS_NS, f"ping -c 1 {C2}", C2, after, count=1)
    run.net.at(run.command("docker kill c2", 50_000_000, after=after), run.container("c2").stop)
    task = ping(run, PROCESS_NS, "ping -c 10 -W 1", C2, after, count=10, timeout="1s")
    run.net.run()
    for point in ("c1-eth0", "docker0"):
        run.check(point)
    assert_same_text(task.result.text, first_ping(recording.output_of("ping -c 10 -W 1", after)))
