"""Namespaces: devices and addresses come and go, text dumps, settings; nothing that arrives can break them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.device.cost import CostModel, HostCpu
from emu.device.veth import create_veth
from emu.kernel.errors import Conflict, InvalidValue, NotFound
from emu.stack import show
from emu.stack.namespace import Namespace
from emu.wire.frame import Frame
from tests.stack.world import SECOND, Pinger, World, two_hosts


def test_ip_addr_text() -> None:
    _, h1, _ = two_hosts()
    assert h1.show_addresses().splitlines() == [
        "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000",
        "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00",
        "    inet 127.0.0.1/8 scope host lo",
        "       valid_lft forever preferred_lft forever",
        "2: eth0@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default ",
        "    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff",
        "    inet 10.9.0.1/24 brd 10.9.0.255 scope global eth0",
        "       valid_lft forever preferred_lft forever",
    ]


def test_ip_route_table_all_text() -> None:
    _, h1, _ = two_hosts()
    assert show.all_routes(h1).splitlines() == [
        "10.9.0.0/24 dev eth0 proto kernel scope link src 10.9.0.1 ",
        "local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1 ",
        "local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1 ",
        "broadcast 127.255.255.255 dev lo table local proto kernel scope link src 127.0.0.1 ",
        "local 10.9.0.1 dev eth0 table local proto kernel scope host src 10.9.0.1 ",
        "broadcast 10.9.0.255 dev eth0 table local proto kernel scope link src 10.9.0.1 ",
    ]


def test_without_a_carrier_addresses_and_routes_say_so() -> None:
    """As docker0 before the first container: state-dk4-before.txt."""
    _, h1, h2 = two_hosts()
    h1.routes.add("default", via="10.9.0.2")
    h2.device("eth0").set_down()
    assert "2: eth0@if2: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue state DOWN " in h1.show_addresses()
    assert [line for line in show.all_routes(h1).splitlines() if "eth0" in line] == [
        "default via 10.9.0.2 dev eth0 linkdown ",
        "10.9.0.0/24 dev eth0 proto kernel scope link src 10.9.0.1 linkdown ",
        "local 10.9.0.1 dev eth0 table local proto kernel scope host src 10.9.0.1 ",
        "broadcast 10.9.0.255 dev eth0 table local proto kernel scope link src 10.9.0.1 linkdown ",
    ]


def test_link_and_neighbour_statistics_text() -> None:
    world, h1, _ = two_hosts()
    Pinger(world, h1).ping("10.9.0.2")
    world.run()
    lines = h1.show_link_statistics().splitlines()
    assert lines[-3].split() == ["182", "3", "0", "0", "0", "0"]
    assert show.neighbour_statistics(h1) == (
        "10.9.0.2 dev eth0 lladdr 02:00:00:00:00:02  ref 1 used 5/5/5probes 4 REACHABLE \n"
    )


def test_a_device_gets_its_label_number_and_observer() -> None:
    world = World()
    added: list[str] = []
    namespace = Namespace(world.kernel, "web1", on_device_added=lambda device: added.append(device.label))
    namespace.set_up_loopback()
    one, two = create_veth(world.kernel, "tmp0", world.mac(), "tmp1", world.mac())
    namespace.add_device(one, "eth0")
    assert added == ["web1:lo", "web1:eth0"]
    assert (one.name, one.ifindex, one.namespace_name) == ("eth0", 2, "web1")
    with pytest.raises(Conflict, match="file exists"):
        namespace.add_device(two, "eth0")
    with pytest.raises(Conflict, match="belongs to web1"):
        namespace.add_device(one, "eth1")
    with pytest.raises(NotFound, match='web1 has no interface "eth9": it has lo, eth0'):
        namespace.device("eth9")


def test_a_removed_device_leaves_nothing_behind_and_can_move_on() -> None:
    world, h1, h2 = two_hosts()
    Pinger(world, h1).ping("10.9.0.2")
    world.run(SECOND)
    eth0 = h1.device("eth0")
    h1.remove_device(eth0)
    assert (h1.routes.text(), h1.neighbours.text(), list(h1.devices)) == ("", "", ["lo"])
    assert not h1.is_local_address(bytes((10, 9, 0, 1)))
    with pytest.raises(NotFound):
        h1.remove_device(eth0)
    h2.add_device(eth0, "eth1")
    h2.add_address(eth0, "10.8.0.1/24")
    assert "10.8.0.0/24 dev eth1" in h2.routes.text()


def test_addresses_are_checked() -> None:
    _, h1, _ = two_hosts()
    eth0 = h1.device("eth0")
    for bad in ("10.9.0.1/33", "10.9.0/24", "224.0.0.1/24", "0.0.0.0/8", "10.9.0.1/", ""):
        with pytest.raises(InvalidValue):
            h1.add_address(eth0, bad)
    with pytest.raises(Conflict):
        h1.add_address(eth0, "10.9.0.1/24")
    with pytest.raises(NotFound):
        h1.remove_address(eth0, "10.9.0.2/24")
    h1.add_address(eth0, "192.0.2.1")
    assert h1.addresses(eth0) == ["10.9.0.1/24", "192.0.2.1/32"]


def test_sysctls_have_linux_names_and_defaults_and_unknown_ones_are_refused() -> None:
    _, h1, _ = two_hosts()
    sysctl = h1.sysctl
    assert (sysctl["net.ipv4.ip_forward"], sysctl["net.ipv4.ip_default_ttl"]) == (0, 64)
    assert sysctl["net.ipv4.neigh.eth0.delay_first_probe_time"] == 5
    sysctl["net.ipv4.neigh.default.delay_first_probe_time"] = 3
    assert sysctl["net.ipv4.neigh.eth0.delay_first_probe_time"] == 3
    sysctl["net.ipv4.neigh.eth0.delay_first_probe_time"] = 4
    assert sysctl["net.ipv4.neigh.eth1.delay_first_probe_time"] == 3
    with pytest.raises(NotFound, match=r'sysctl "net.ipv4.tcp_rmem" is not known'):
        sysctl["net.ipv4.tcp_rmem"] = 1
    with pytest.raises(InvalidValue, match="expected an integer"):
        sysctl["net.ipv4.ip_forward"] = -1
    assert "net.ipv4.ip_default_ttl = 64\n" in sysctl.text()
    assert "net.ipv4.ip_forward" in sysctl
    assert "net.ipv4.nonsense" not in sysctl


def test_the_default_ttl_is_a_setting() -> None:
    world, h1, _ = two_hosts()
    h1.sysctl["net.ipv4.ip_default_ttl"] = 17
    Pinger(world, h1).ping("10.9.0.2")
    world.run(SECOND)
    assert world.icmp("h1:eth0", 2)[0][3][22] == 17


def test_a_new_mac_is_used_at_once_and_forgets_the_neighbours() -> None:
    world, h1, _ = two_hosts()
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.2")
    world.run(SECOND)
    new_mac = b"\x02\0\0\0\0\x99"
    h1.device("eth0").set_mac(new_mac)
    assert h1.neighbours.text() == ""
    pinger.ping("10.9.0.2")
    world.run(2 * SECOND)
    assert len(pinger.replies) == 2
    assert world.sent("h1:eth0")[-1][6:12] == new_mac


# -- work takes time --------------------------------------------------------------------------------------------------


def test_with_a_cpu_replies_leave_after_their_requests_and_programs_wake_later() -> None:
    world = World()
    costs = CostModel()
    cpu = HostCpu(world.kernel, "host", costs)
    h1, h2 = world.namespace("h1", cpu=cpu), world.namespace("h2", cpu=cpu)
    world.join(h1, h2, "10.9.0.1/24", "10.9.0.2/24")
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.2")
    world.run(SECOND)
    pinger.ping("10.9.0.2")
    world.run(2 * SECOND)
    request = world.icmp("h1:eth0", 2)[-1][0]
    reply = world.icmp("h2:eth0", 2)[-1][0]
    traversal_ns = costs.socket_send + costs.ip_output + costs.veth + costs.ip_input
    assert request == world.icmp("h2:eth0", 1)[-1][0] == SECOND
    assert reply == SECOND + traversal_ns
    assert pinger.replies[-1][0] == reply + costs.ip_output + costs.veth + costs.ip_input + costs.wakeup_latency


def test_with_a_cpu_a_stream_is_limited_by_its_work() -> None:
    world = World()
    costs = CostModel()
    cpu = HostCpu(world.kernel, "host", costs)
    h1, h2 = world.namespace("h1", cpu=cpu), world.namespace("h2", cpu=cpu)
    world.join(h1, h2, "10.9.0.1/24", "10.9.0.2/24")
    sink = h2.udp_socket()
    sink.bind(port=7000)
    times: list[int] = []
    sink.on_datagram = lambda payload, source, frame: times.append(world.kernel.now)
    source = h1.udp_socket()
    source.connect("10.9.0.2", 7000)
    source.send(b"x")
    world.run(SECOND)
    for _ in range(50):
        source.send(bytes(1024))
    world.run(2 * SECOND)
    per_datagram = costs.socket_send + costs.ip_output + costs.veth + costs.ip_input + costs.socket_receive
    per_datagram += 2 * costs.copy_per_kib
    gaps = [later - earlier for earlier, later in pairwise(times[1:])]
    assert gaps[0] == 0, "what came while the program was waking up is read at once"
    assert set(gaps[-30:]) == {per_datagram}


def test_a_program_that_slept_for_long_takes_longer_to_wake_than_one_that_was_awake_just_now() -> None:
    world = World()
    costs = CostModel()
    cpu = HostCpu(world.kernel, "host", costs)
    h1, h2 = world.namespace("h1", cpu=cpu), world.namespace("h2", cpu=cpu)
    world.join(h1, h2, "10.9.0.1/24", "10.9.0.2/24")
    sink = h2.udp_socket()
    sink.bind(port=7000)
    times: list[int] = []
    sink.on_datagram = lambda payload, source, frame: times.append(world.kernel.now)
    source = h1.udp_socket()
    source.connect("10.9.0.2", 7000)
    source.send(b"x")
    work = costs.socket_send + costs.ip_output + costs.veth + costs.ip_input + costs.socket_receive
    waits = []
    for time in (SECOND, SECOND + costs.awake_for // 2, 2 * SECOND):
        world.run(time)
        source.send(b"x")
        world.run(time + costs.awake_for // 4)
        waits.append(times[-1] - time - work)
    assert waits == [costs.wakeup_latency, costs.wakeup_latency_awake, costs.wakeup_latency]


def test_a_full_backlog_drops_with_a_reason() -> None:
    world = World()
    cpu = HostCpu(world.kernel, "host", CostModel(), backlog_limit=5)
    h1, h2 = world.namespace("h1", cpu=cpu), world.namespace("h2", cpu=cpu)
    world.join(h1, h2, "10.9.0.1/24", "10.9.0.2/24")
    source = h1.udp_socket()
    source.connect("10.9.0.2", 7000)
    h2.udp_socket().bind(port=7000)
    source.send(b"x")
    world.run(SECOND)
    for _ in range(10):
        source.send(b"x")
    assert [why for _, why, _ in world.drops] == ["CPU_BACKLOG_FULL"] * 4


# -- fuzz -------------------------------------------------------------------------------------------------------------

ETHERTYPES = st.sampled_from([b"\x08\x00", b"\x08\x06", b"\x86\xdd"])
IPV4_STARTS = st.sampled_from([b"", b"\x45\x00", b"\x46\x00", b"\x4f\x00", b"\x44\x00", b"\x65\x00"])


@given(st.lists(st.tuples(st.booleans(), st.booleans(), ETHERTYPES, IPV4_STARTS, st.binary(max_size=80)), max_size=8))
def test_whatever_bytes_arrive_nothing_is_raised(
    arrivals: list[tuple[bool, bool, bytes, bytes, bytes]],
) -> None:
    world, h1, _ = two_hosts()
    h1.sysctl["net.ipv4.ip_forward"] = 1
    h1.udp_socket().bind(port=7000)
    eth0 = h1.device("eth0")
    for to_us, altered, ethertype, start, rest in arrivals:
        destination = eth0.mac if to_us else b"\xff" * 6
        eth0.receive(Frame(destination + b"\x02\0\0\0\0\x02" + ethertype + start + rest, 1, altered))
        eth0.receive(Frame(rest, 1, altered))
    world.run()


@given(
    st.integers(20, 40).flatmap(lambda n: st.binary(min_size=n, max_size=n + 60)),
    st.sampled_from([1, 17, 6, 200]),
    st.booleans(),
    st.booleans(),
)
def test_well_formed_headers_with_arbitrary_contents_raise_nothing(
    body: bytes, protocol: int, to_us: bool, fragment: bool
) -> None:
    world, h1, _ = two_hosts()
    h1.sysctl["net.ipv4.ip_forward"] = 1
    eth0 = h1.device("eth0")
    destination = bytes((10, 9, 0, 1)) if to_us else body[:4]
    field = body[4:6] if fragment else b"\0\0"
    header = b"\x45\0" + (20 + len(body)).to_bytes(2, "big") + b"\0\x01" + field + b"\x40" + bytes((protocol,))
    packet = header + b"\0\0" + bytes((10, 9, 0, 2)) + destination + body
    eth0.receive(Frame(eth0.mac + b"\x02\0\0\0\0\x02\x08\0" + packet, 1))
    world.run()


@given(st.binary(min_size=28, max_size=28), st.integers(0, 20), st.integers(0, 20))
def test_icmp_errors_that_quote_anything_raise_nothing(quoted: bytes, kind: int, code: int) -> None:
    world, h1, _ = two_hosts()
    socket = h1.udp_socket()
    socket.bind(port=7000)
    eth0 = h1.device("eth0")
    for quote in (quoted, b"\x45" + quoted[1:9] + b"\x11" + quoted[10:], b"\x45" + quoted[1:9] + b"\x01" + quoted[10:]):
        message = bytes((kind, code, 0, 0)) + quoted[:4] + quote
        packet = b"\x45\0" + (20 + len(message)).to_bytes(2, "big") + b"\0\x01\0\0\x40\x01\0\0"
        packet += bytes((10, 9, 0, 2, 10, 9, 0, 1)) + message
        eth0.receive(Frame(eth0.mac + b"\x02\0\0\0\0\x02\x08\0" + packet, 1))
    world.run()
