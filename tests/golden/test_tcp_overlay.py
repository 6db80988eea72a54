"""TCP between containers on two hosts of an overlay is what recorded swarms showed (f4), at every point of the way."""

from __future__ import annotations

import pytest

from tests.golden.compare import Seen, difference
from tests.golden.overlay import BEGIN_NS, ENGINES, Swarm
from tests.golden.recording import DOCKER_EXEC_NS, SECOND
from tests.golden.tcp_bulk import Bulk, check_bulk
from tests.golden.tcp_programs import (
    BIG_FILE,
    CLOSE_NS,
    EXIT_NS,
    WINDOW_SCALE_10,
    blocks,
    http_client,
    http_server,
    request,
)
from tests.golden.test_overlay_wire import points, swarms

O2 = "10.0.1.4"


def ready_swarm(engine: str, cost: str) -> Swarm:
    """The recorded machines; o1 and o2 know each other's MAC addresses, and scale windows by 10."""
    swarm = Swarm(engine, cost)
    swarm.create_networks()
    swarm.run_containers()
    for name in ("o1", "o2"):
        namespace = swarm.net.container(name).namespace
        namespace.sysctl["net.ipv4.neigh.default.base_reachable_time_ms"] = 600_000
        namespace.sysctl["net.ipv4.tcp_rmem_max"] = WINDOW_SCALE_10
    swarm.net.container("o1").ping(O2, count=1, at=BEGIN_NS - 3 * SECOND)
    return swarm


def download(
    swarm: Swarm, first: str, path: str, writes: list[bytes], exit_ns: int = EXIT_NS, close_ns: int = CLOSE_NS
) -> None:
    """`docker exec o1 wget -q -O /dev/null http://10.0.1.4/...` at its time; first: the scenario's first file."""
    net, o1, o2 = swarm.net, swarm.net.container("o1"), swarm.net.container("o2")
    o2.spawn(http_server(net, o2.namespace, writes, exit_ns))
    length = sum(map(len, writes))
    client = http_client(net, o1.namespace, O2, request(path, O2), length, close_ns)
    start_ns = swarm.when("o1 wget -q", DOCKER_EXEC_NS, first)
    net.at(start_ns, lambda: o1.spawn(client))


@swarms
def test_a_small_file_over_http_frame_by_frame(engine: str, cost: str) -> None:
    """On 20.10 both ends happened to close at the same moment and their FINs crossed; on 28 httpd was the first."""
    swarm, scenario = ready_swarm(engine, cost), "f4-tcp-small"
    swarm.net.underlay.links[0].set(delay="5us")  # without a delay nothing can cross
    header, body = swarm.said(f"{scenario}-o1-eth0", 210), swarm.said(f"{scenario}-o1-eth0", 25)
    if engine == "20.10":
        net, o1, o2 = swarm.net, swarm.net.container("o1"), swarm.net.container("o2")
        start_ns = swarm.when("o1 wget -q", DOCKER_EXEC_NS, f"{scenario}-o1-eth0.pcap")
        end_ns = start_ns + 1_000_000
        o2.spawn(http_server(net, o2.namespace, [header, body], close_at_ns=end_ns))
        client = http_client(net, o1.namespace, O2, request("/small.txt", O2), 235, close_at_ns=end_ns)
        net.at(start_ns, lambda: o1.spawn(client))
    else:
        download(swarm, f"{scenario}-o1-eth0.pcap", "/small.txt", [header, body], close_ns=1_000_000)
    swarm.net.run()
    for point in points(engine):
        recorded, emulated = swarm.both(scenario, point)
        if engine == "20.10":  # which of the two last ACKs passes a point first depends on two CPUs
            recorded, emulated = (frames[:-2] + sorted(frames[-2:], key=sender) for frames in (recorded, emulated))
        text = difference(f"{engine} {scenario}-{point}", recorded, emulated, swarm.correspondence, b"\x02\x42")
        assert text is None, "\n" + str(text)


def sender(seen: Seen) -> str:
    """Who sent a frame."""
    return str(seen.fields["ip.src"])


@pytest.mark.parametrize("cost", ["linux", "none"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_megabyte_over_http(engine: str, cost: str) -> None:
    swarm, scenario, first = ready_swarm(engine, cost), "f4-tcp-1MB", "f4-tcp-1MB-underlay.pcap"
    header = swarm.said(f"{scenario}-underlay", 192)
    if cost == "none":
        swarm.net.underlay.links[0].set(rate="1Gbit", delay="10us")  # or everything happens at one instant
    download(swarm, first, "/big.bin", blocks(header, BIG_FILE))
    swarm.net.run()
    for point in ("o1-eth0", "underlay"):
        recorded, emulated = swarm.both(scenario, point, first=first)
        assert all("tcp.flags" in seen.fields for seen in [*recorded, *emulated])
        check_bulk(f"{engine} {scenario}-{point}", Bulk(recorded, O2), Bulk(emulated, O2), swarm.correspondence)
