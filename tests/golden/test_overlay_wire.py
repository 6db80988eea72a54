"""Frames of overlay networks are those of the recorded engines at every capture point, on both hosts and between."""

from __future__ import annotations

import re

import pytest

import emu
from emu.wire.address import mac_to_bytes
from tests.golden.compare import LATER_WORK, read_pcap
from tests.golden.overlay import (
    BEGIN_NS,
    ENGINES,
    MANAGER,
    WORKER,
    Swarm,
    decode_vxlan,
    is_vxlan,
    overlay_frames,
)
from tests.golden.recording import DAY_NS, DOCKER_EXEC_NS, DOCKER_RUN_NS, PROCESS_NS, SECOND
from tests.golden.tcp_fields import SYN
from tests.golden.tcp_programs import WINDOW_SCALE_10, curl_request, http_client, http_server

swarms = pytest.mark.parametrize(
    ("engine", "cost"), [(engine, cost) for engine in ENGINES for cost in ("linux", "none")]
)


def running(engine: str, cost: str) -> Swarm:
    """The recorded machines with their networks and containers."""
    swarm = Swarm(engine, cost)
    swarm.create_networks()
    swarm.run_containers()
    return swarm


def points(engine: str) -> list[str]:
    """The capture points of most scenarios."""
    manager, worker = MANAGER[engine], WORKER[engine]
    return [
        "o1-eth0", f"{manager}sbox-br0", f"{manager}sbox-vxlan0", "underlay", f"{worker}sbox-vxlan0",
        f"{worker}sbox-br0", "o2-eth0",
    ]  # fmt: skip


def times_masked(text: str) -> str:
    """ping's output without what was measured."""
    return re.sub(r"[0-9.]+ ms|time[= ][0-9.]+ ?ms|= [0-9./]+ ms", "...", text)


@swarms
def test_the_first_pings_across_hosts(engine: str, cost: str) -> None:
    swarm = running(engine, cost)
    o1 = swarm.net.container("o1")
    after = "f2-ping-o1-eth0.pcap"
    commands = ("docker exec o1 ping -c 3 10.0.1.4", "o1# ping -c 3 10.0.1.4")
    busybox = swarm.when(commands[0], DOCKER_EXEC_NS, after)
    iputils = swarm.when(commands[1], PROCESS_NS, after)
    tasks = [
        o1.ping("10.0.1.4", count=3, flavour="busybox", at=busybox),
        o1.ping("10.0.1.4", count=3, at=iputils),
    ]
    swarm.net.run()
    for point in points(engine):
        swarm.check("f2-ping", point)
    for command, task in zip(commands, tasks, strict=True):
        recorded = swarm.recording.output_of(command, after)
        assert times_masked(task.result.text) == times_masked(recorded), command


@swarms
def test_the_first_ping_on_one_host(engine: str, cost: str) -> None:
    swarm = running(engine, cost)
    after = "f2-ping-samehost-o1-eth0.pcap"
    at = swarm.when("docker exec o1 ping -c 3 10.0.1.6", DOCKER_EXEC_NS, after)
    swarm.net.container("o1").ping("10.0.1.6", count=3, flavour="busybox", at=at)
    swarm.net.run()
    for point in points(engine):
        swarm.check("f2-ping-samehost", point)


def sent_by(swarm: Swarm, name: str, scenario: str, point: str) -> list[tuple[int, bytes]]:
    """The frames that a container sent at a capture point of the recording, with their virtual times."""
    mac = mac_to_bytes(swarm.net.container(name).interface("eth0").mac)
    origin_ns = swarm.recording.time_of(f"{scenario}-o1-eth0.pcap")
    packets = read_pcap(swarm.folder / f"{scenario}-{point}.pcap")
    return [(BEGIN_NS + time_ns % DAY_NS - origin_ns, data) for time_ns, data in packets if data[6:12] == mac]


UNUSED = bytes((10, 0, 1, 99))


def is_question_for_unused(data: bytes) -> bool:
    """Whether a frame is an ARP request for the address that nobody has."""
    return data[12:14] == b"\x08\x06" and data[38:42] == UNUSED


@swarms
def test_broadcasts_unknown_and_known_addresses(engine: str, cost: str) -> None:
    """ping to the broadcast address and to an unused one, arping, raw frames: what o1 sent, at the recorded times.

    The three ARP requests of the ping to the unused address are the emulated kernel's own. On 20.10 o2 confirms its
    neighbour o1 meanwhile, because of what happened before: that request is sent at its recorded time, too.
    """
    swarm = running(engine, cost)
    o1 = swarm.net.container("o1")
    frames = sent_by(swarm, "o1", "f7-bcast", "o1-eth0")
    questions = [frame for frame in frames if is_question_for_unused(frame[1])][:3]
    ping = o1.ping("10.0.1.99", count=3, timeout="1s", at=questions[0][0])
    for time_ns, data in frames:
        if (time_ns, data) not in questions and data[12:14] != b"\x86\xdd" and not is_later_work(data):
            swarm.net.at(time_ns, o1.send, data)
    for time_ns, data in sent_by(swarm, "o2", "f7-bcast", "o2-eth0"):
        swarm.net.at(time_ns, swarm.net.container("o2").send, data)
    swarm.net.run()
    assert ping.result.received == 0
    for point in points(engine):
        swarm.check("f7-bcast", point)


def is_later_work(data: bytes) -> bool:
    """Whether a frame is left out of the comparison."""
    return any(belongs(data) for belongs in LATER_WORK.values())


@swarms
def test_a_container_moves_to_the_other_host(engine: str, cost: str) -> None:
    """o2 is removed on the worker and comes back on the manager, with its address; o1 and o4 ping it."""
    swarm = running(engine, cost)
    net, after = swarm.net, "f10-migrate-underlay.pcap"
    o1, o4 = net.container("o1"), net.container("o4")
    o1.namespace.sysctl["net.ipv4.neigh.default.base_reachable_time_ms"] = 600_000
    o1.ping("10.0.1.4", count=1, at=BEGIN_NS - 3 * SECOND)  # o1 had o2 in its neighbour table
    o1.ping("10.0.1.4", count=1, at=swarm.when("o1# ping -c 1 10.0.1.4", PROCESS_NS, after))
    net.at(swarm.when("docker rm -f o2", DOCKER_RUN_NS, after), net.container("o2").remove, force=True)
    o1.ping("10.0.1.4", count=4, timeout="1s", at=swarm.when("o1# ping -c 4", PROCESS_NS, after))
    net.at(
        swarm.when("docker run -d --name o2", DOCKER_RUN_NS, after),
        swarm.manager.containers.run, "o2", network="ov", hostname="o2", ipv4_address="10.0.1.4",
    )  # fmt: skip
    o1.ping("10.0.1.4", count=2, at=swarm.when("o1# ping -c 2", PROCESS_NS, after))
    begin_ns = swarm.when("o4# ping -c 2", PROCESS_NS, after)
    o4.ping("10.0.1.2", count=2, at=begin_ns)
    o4.ping("10.0.1.4", count=2, at=begin_ns + 1_028 * SECOND // 1000)
    net.run()
    for point in ("o1-eth0", "underlay"):
        swarm.check("f10-migrate", point, after)


@swarms
def test_a_second_network_has_its_own_vni(engine: str, cost: str) -> None:
    swarm = running(engine, cost)
    net, after = swarm.net, "f9-ov2-underlay.pcap"
    ov2 = net.networks.get("ov2")
    for name in ("o1", "o2"):
        ov2.connect(name)
    net.container("o1").ping("10.50.0.4", count=2, at=swarm.when("o1# ping -c 2 10.50.0.4", PROCESS_NS, after))
    net.run()
    swarm.check("f9-ov2", "underlay", after)


@swarms
def test_entries_of_a_host_that_is_cut_off_go_and_come_back(engine: str, cost: str) -> None:
    """The samples of the recording: 5 s after the cut all entries are there, from 10 s on none; 5 s after the repair
    they are back (those of the services, which are not emulated, have ended meanwhile)."""
    swarm = Swarm(engine, cost, control_plane="delayed")
    swarm.create_networks()
    swarm.run_containers()
    net, link = swarm.net, swarm.net.underlay.links[0]
    log = swarm.log()
    net.at("20s", link.down)
    net.at("70s", link.up)
    entries = samples(log[log.index("f12-partition-underlay.pcap") :])
    assert {"5s after the cut", "10s after the cut", "50s after the cut", "5s after the repair"} <= set(entries)
    own = {"10.0.1.5", "10.0.1.7"} | ({"10.0.1.4"} if "10.0.1.4" in entries["5s after the repair"] else set())
    net.container("o2").stop()  # as in the recording: it had moved
    for moment, recorded in entries.items():
        after_s = int(moment.partition("s")[0]) + (20 if "cut" in moment else 70)
        net.run(until=after_s * SECOND)
        table = net.networks.get("ov").on(swarm.manager).namespace.neighbours.text()
        assert {line.split()[0] for line in table.splitlines()} == recorded & own, moment


@swarms
def test_a_partition_alone_puts_nothing_on_the_wire(engine: str, cost: str) -> None:
    """Entries go and come back without a VXLAN frame: no flood, no question, no announcement.

    The recording has no pings: its 82 s hold only the swarm's own traffic and the hosts' ARP, DNS and IPv6. A ping
    after its end shows that the comparison would have seen frames.
    """
    swarm = Swarm(engine, cost, control_plane="delayed", has_switch=True)
    swarm.create_networks()
    swarm.run_containers()
    net, after, known = swarm.net, "f12-partition-underlay.pcap", []
    net.container("o2").stop()  # as in the recording: it had moved
    command = f"underlay# ip link set u-{WORKER[engine]}"
    cut_ns, repair_ns = (swarm.when(f"{command} {state}", 0, after) for state in ("down", "up"))
    port = net.underlay.links[1]  # the worker's; the manager's link stays up
    net.at(cut_ns, port.down)
    net.at(repair_ns, port.up)
    ping = net.container("o1").ping("10.0.1.7", count=1, at=swarm.when("captures stopped", SECOND, after))
    for moment_ns in (cut_ns, cut_ns + 10 * SECOND, repair_ns + 5 * SECOND):
        net.run(until=moment_ns)
        known.append("10.0.1.7 " in net.networks.get("ov").on(swarm.manager).namespace.neighbours.text())
    net.run()
    assert known == [True, False, True]
    assert overlay_frames(read_pcap(swarm.folder / after), "underlay") == []
    swarm.check("f12-partition", "underlay", after)
    shown = overlay_frames(swarm.taken[swarm.interface_of("underlay")], "underlay")
    assert [seen.fields["icmp.type"] for seen in shown if "icmp.type" in seen.fields] == [8, 0]
    assert ping.result.received == 1


def samples(log: str) -> dict[str, set[str]]:
    """The neighbours in the log's samples, by moment."""
    found = re.findall(r"^--- t=(.*)\n((?:    .*\n)*)", log, re.MULTILINE)
    return {moment: set(re.findall(r"^    (\d+\.\d+\.\d+\.\d+) ", lines, re.MULTILINE)) for moment, lines in found}


def acquainted(engine: str, cost: str) -> Swarm:
    """As `running`; o1 and o2 have talked to each other, and remember it to the end."""
    swarm = running(engine, cost)
    for name in ("o1", "o2"):
        namespace = swarm.net.container(name).namespace
        namespace.sysctl["net.ipv4.neigh.default.base_reachable_time_ms"] = 600_000
    swarm.net.container("o1").ping("10.0.1.4", count=1, at=BEGIN_NS - 3 * SECOND)
    return swarm


@swarms
def test_the_mtu_of_containers(engine: str, cost: str) -> None:
    """1450 bytes pass, one more doesn't, 3028 go in fragments; with eth0 at 1500 the veth refuses what is too long."""
    swarm = acquainted(engine, cost)
    net, o1, after = swarm.net, swarm.net.container("o1"), "f6-mtu-o1-eth0.pcap"
    tasks = {}
    for command, size, mode in (
        ("ping -M do -c 2 -s 1422", 1422, "do"),
        ("ping -M do -c 2 -s 1423", 1423, "do"),
        ("ping -M dont -c 2 -s 3000", 3000, "dont"),
    ):
        at = swarm.when(f"o1# {command}", PROCESS_NS, after)
        tasks[command] = o1.ping("10.0.1.4", count=2, size=size, dont_fragment=mode, at=at)
    frames = [time_ns for time_ns, data in sent_by(swarm, "o1", "f6-mtu", "o1-eth0") if len(data) == 1514]
    net.at(frames[0] - 1_000_000, o1.interface("eth0").device.set_mtu, 1500)
    o1.ping("10.0.1.4", count=3, size=1472, dont_fragment="do", timeout="1s", at=frames[0])
    o1.ping("10.0.1.4", count=2, size=1472, dont_fragment="dont", timeout="1s", at=frames[4])
    net.run()
    for point in points(engine):
        swarm.check("f6-mtu", point)
    for command, task in tasks.items():
        assert times_masked(task.result.text) == times_masked(swarm.recording.output_of(command, after)), command


@swarms
def test_a_smaller_mtu_of_the_sending_hosts_underlay(engine: str, cost: str) -> None:
    """vxlan0 answers "fragmentation needed" in the name of the destination, and o1 remembers the path's MTU."""
    swarm = acquainted(engine, cost)
    net, o1, scenario = swarm.net, swarm.net.container("o1"), "f6-underlay-mtu-1400"
    after = f"{scenario}-o1-eth0.pcap"
    eth0 = swarm.manager.interface("eth0").device
    net.at(swarm.when("# ip link set eth0 mtu 1400", 0, after), eth0.set_mtu, 1400)
    begin_ns = swarm.when("o1# ping -M do -c 3", PROCESS_NS, after)
    first = o1.ping("10.0.1.4", count=3, size=1400, dont_fragment="do", timeout="1s", at=begin_ns)
    o1.ping("10.0.1.4", count=2, size=1322, dont_fragment="do", timeout="1s", at=begin_ns + 3_051 * SECOND // 1000)
    o1.ping("10.0.1.4", count=2, size=1400, dont_fragment="do", timeout="1s", at=begin_ns + 4_066 * SECOND // 1000)
    o1.ping("10.0.1.4", count=2, size=1400, dont_fragment="dont", timeout="1s", at=begin_ns + 6_089 * SECOND // 1000)
    for time_ns, data in sent_by(swarm, "o2", scenario, "o2-eth0"):
        if data[12:14] == b"\x08\x06":  # on 28 o2 confirms its neighbour meanwhile, because of what happened before
            net.at(time_ns, net.container("o2").send, data)
    net.run()
    # The manager's eth0 takes nothing that is longer than its MTU, so the worker's end of the cable is looked at.
    swarm.underlay = f"{swarm.worker.name}:eth0"
    for point in points(engine):
        swarm.check(scenario, point, last="# ip link set eth0 mtu 1500")
    assert "From 10.0.1.4 icmp_seq=1 Frag needed and DF set (mtu = 1350)" in first.result.text


@swarms
def test_a_smaller_mtu_in_the_middle(engine: str, cost: str) -> None:
    """The switch's port to the worker has an MTU of 1400: its bridge netfilter cuts the outer packet in two and o2
    answers, but the answer is too long for the port that should take it in. Nobody is told."""
    swarm = Swarm(engine, cost, has_switch=True)
    swarm.create_networks()
    swarm.run_containers()
    net, scenario, port_command = swarm.net, "f6-underlay-mtu-1400", "underlay# ip link set u-dk"
    after = f"{scenario}-o1-eth0.pcap"
    for name in ("o1", "o2"):
        net.container(name).namespace.sysctl["net.ipv4.neigh.default.base_reachable_time_ms"] = 600_000
    net.container("o1").ping("10.0.1.4", count=1, at=BEGIN_NS - 3 * SECOND)
    switch = net.switches["underlay"]
    switch.namespace.sysctl["net.bridge.bridge-nf-call-iptables"] = 1
    port = switch.namespace.device("eth1")
    net.at(swarm.when(port_command, 0, after), port.set_mtu, 1400)
    begin_ns = swarm.when("ip route flush cache; ping -M do -c 3", PROCESS_NS, after)
    ping = net.container("o1").ping("10.0.1.4", count=3, size=1400, dont_fragment="do", timeout="1s", at=begin_ns)
    net.run()
    assert (ping.result.transmitted, ping.result.received) == (3, 0)
    for point in points(engine):
        swarm.check(scenario, point, begin=port_command)
    arrived = [data for _, data in swarm.taken[f"{swarm.worker.name}:eth0"] if data[12:14] == b"\x08\x00"]
    fragments = [data for data in arrived if int.from_bytes(data[20:22], "big") & 0x3FFF]
    assert [int.from_bytes(data[16:18], "big") for data in fragments] == [1396, 102] * 3


@swarms
def test_outer_source_ports_tos_and_ttl(engine: str, cost: str) -> None:
    """One port for all pings and ICMP errors of a pair, one for each UDP flow; ECN is copied, DSCP and TTL are not."""
    swarm = acquainted(engine, cost)
    net, o1, after = swarm.net, swarm.net.container("o1"), "f5-srcport-underlay.pcap"
    origin_ns = swarm.recording.time_of(after)
    recorded = [
        (BEGIN_NS + time_ns % DAY_NS - origin_ns, decode_vxlan(data))
        for time_ns, data in read_pcap(swarm.folder / after)
        if is_vxlan(data)
    ]
    requests = [time_ns for time_ns, fields in recorded if fields.get("icmp.type") == 8]
    o1.ping("10.0.1.4", count=2, at=requests[0])
    for time_ns, options in zip(requests[2:], ({"tos": 0xB8}, {"tos": 2}, {"tos": 3}, {"ttl": 1}), strict=True):
        o1.ping("10.0.1.4", count=1, at=time_ns, **options)
    for time_ns, fields in recorded:
        if fields.get("udp.destination_port") == 9:
            net.at(time_ns, send_datagram, o1, fields["udp.source_port"])
    replay_downloads(swarm, [time_ns for time_ns, fields in recorded if fields.get("tcp.flags") == SYN])
    net.run()
    swarm.check("f5-srcport", "underlay", after)
    assert {port for (pool, port) in swarm.correspondence.recorded_to_emulated if pool == "port"} >= {59161}


def replay_downloads(swarm: Swarm, starts: list[int]) -> None:
    """`for i in 1 2 3 4 5 6 7 8; do curl -s -o /dev/null http://10.0.1.4/small.txt; done`."""
    net, o1, o2 = swarm.net, swarm.net.container("o1"), swarm.net.container("o2")
    assert len(starts) == 8
    for container in (o1, o2):
        container.namespace.sysctl["net.ipv4.tcp_rmem_max"] = WINDOW_SCALE_10
    header, body = swarm.said("f5-srcport-underlay", 210), swarm.said("f5-srcport-underlay", 25)
    o2.spawn(http_server(net, o2.namespace, [header, body], connections=len(starts)))
    question = curl_request("/small.txt", "10.0.1.4")
    for time_ns in starts:
        client = http_client(net, o1.namespace, "10.0.1.4", question, len(header + body), close_ns=300_000)
        net.at(time_ns, lambda client=client: o1.spawn(client))


def send_datagram(container: emu.Container, port: int) -> None:
    """The recorded script's datagram from one port to the discard port of o2."""
    socket = container.udp(port)
    socket.sendto(b"a" * 20, ("10.0.1.4", 9))
    socket.close()
