"""Tunnel ports of a namespace: who gets the datagrams, how they are sent, and that sockets and tunnels keep apart."""

import errno

import pytest

from emu.kernel.errors import Conflict
from emu.stack.namespace import Namespace
from emu.stack.udp_tunnel import TEMPLATES_MAX
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from emu.wire.vxlan import build_vxlan_header
from tests.stack.world import MS, SECOND, World, two_hosts

H1, H2 = bytes((10, 9, 0, 1)), bytes((10, 9, 0, 2))
PORT = 4789
HEADER = build_vxlan_header(1)


class Receiver:
    """A tunnel device's end: keeps what arrives, refuses it for `reason`."""

    def __init__(self, reason: DropReason | None = None) -> None:
        self.arrived: list[tuple[bytes, bytes, int, int]] = []
        self.reason = reason

    def receive_encapsulated(self, frame: Frame, payload: bytes, source: bytes, tos: int) -> DropReason | None:
        self.arrived.append((payload, source, tos, frame.packet_id))
        return self.reason


def tunnelled(reason: DropReason | None = None) -> tuple[World, Namespace, Namespace, Receiver]:
    world, h1, h2 = two_hosts()
    receiver = Receiver(reason)
    h2.tunnels.open(PORT, receiver)
    return world, h1, h2, receiver


def sent(world: World) -> list[bytes]:
    return [data for data in world.sent("h1:eth0") if data[12:14] == b"\x08\0"]


# -- receiving ---------------------------------------------------------------------------------------------------------


def test_a_tunnels_datagram_arrives_with_source_tos_and_passport():
    world, h1, _, receiver = tunnelled()
    for _ in range(3):
        assert h1.tunnels.send_udp(40000, H2, PORT, b"inner", tos=2, packet_id=17) is None
        world.run(world.kernel.now + SECOND)
    assert receiver.arrived == [(b"inner", H1, 2, 17)] * 3


def test_the_remembered_flow_is_not_used_for_another_tos():
    world, h1, _, receiver = tunnelled()
    for tos in (0, 0, 3, 0):
        h1.tunnels.send_udp(40000, H2, PORT, b"inner", tos=tos, packet_id=1)
        world.run(world.kernel.now + SECOND)
    assert [tos for _, _, tos, _ in receiver.arrived] == [0, 0, 3, 0]


def test_what_the_device_does_not_want_is_dropped_at_the_interface_it_came_in():
    world, h1, _, _ = tunnelled(DropReason.VXLAN_UNKNOWN_VNI)
    for _ in range(2):
        h1.tunnels.send_udp(40000, H2, PORT, b"inner", packet_id=1)
        world.run(world.kernel.now + SECOND)
    assert [(reason, where) for _, reason, where in world.drops] == [("VXLAN_UNKNOWN_VNI", "h2:eth0")] * 2
    assert world.icmp("h1:eth0") == [], "no ICMP: somebody listens"


def test_a_closed_port_is_unreachable_again_at_once():
    world, h1, h2, receiver = tunnelled()
    h1.tunnels.send_udp(40000, H2, PORT, b"inner", packet_id=1)
    world.run(SECOND)
    h2.tunnels.close(PORT)
    h1.tunnels.send_udp(40000, H2, PORT, b"inner", packet_id=2)
    world.run(2 * SECOND)
    assert [packet_id for *_, packet_id in receiver.arrived] == [1]
    assert [(kind, code) for _, kind, code, _ in world.icmp("h1:eth0")] == [(3, 3)]


def test_a_broadcast_to_the_port_arrives_too():
    world, h1, _, receiver = tunnelled()
    h1.tunnels.send_udp(40000, bytes((10, 9, 0, 255)), PORT, b"all", packet_id=1)
    world.run(SECOND)
    assert [payload for payload, *_ in receiver.arrived] == [b"all"]


def test_wrong_checksums_are_noticed_when_the_link_altered_the_frame_or_all_are_verified():
    world, h1, h2, receiver = tunnelled()
    h1.tunnels.send_udp(40000, H2, PORT, b"inner", packet_id=1)
    world.run(SECOND)
    (good,) = sent(world)
    bad = good[:-1] + bytes((good[-1] ^ 1,))
    device = h2.device("eth0")
    device.receive(Frame(bad, 2, True))
    h2.verify_checksums = True
    device.receive(Frame(good, 3))
    device.receive(Frame(bad, 4))
    assert [packet_id for *_, packet_id in receiver.arrived] == [1, 3]
    assert [reason for _, reason, _ in world.drops] == ["UDP_CHECKSUM"] * 2
    device.receive(Frame(good[:18] + b"??" + good[20:], 5))
    assert world.drops[-1][1] == "IP_CHECKSUM"
    unsummed = good[:40] + b"\0\0" + good[42:-1] + b"?"
    device.receive(Frame(unsummed, 5))
    assert receiver.arrived[-1][3] == 5, "without a checksum there is nothing to verify"


# -- ports -------------------------------------------------------------------------------------------------------------


def test_a_tunnels_port_is_in_use_for_sockets_and_a_sockets_port_for_tunnels():
    _, _, h2, _ = tunnelled()
    with pytest.raises(OSError, match="Address already in use") as caught:
        h2.udp_socket().bind(port=PORT)
    assert caught.value.errno == errno.EADDRINUSE
    h2.udp_socket().bind(port=4790)
    for port in (PORT, 4790):
        with pytest.raises(Conflict, match=f"UDP port {port} of h2 is in use: address already in use"):
            h2.tunnels.open(port, Receiver())
    h2.tunnels.close(PORT)
    h2.udp_socket().bind(port=PORT)


def test_ephemeral_ports_avoid_tunnels():
    _, h1, _, _ = tunnelled()
    h1.sysctl["net.ipv4.ip_local_port_range_min"] = 5000
    h1.sysctl["net.ipv4.ip_local_port_range_max"] = 5001
    h1.tunnels.open(5000, Receiver())
    socket = h1.udp_socket()
    socket.bind()
    assert socket.local_address[1] == 5001
    assert h1.tunnels.port_range() == (5000, 5001)


# -- sending -----------------------------------------------------------------------------------------------------------


def test_the_identification_counts_per_destination_whether_fast_or_slow():
    world, h1, _, _ = tunnelled()
    h1.tunnels.send_udp(40000, H2, PORT, b"inner", packet_id=1)
    world.run(MS)
    flow = h1.tunnels.tunnel_flow(40000, H2, PORT, HEADER)
    assert flow is not None
    assert flow.send(Frame(bytes(20), 2))
    h1.tunnels.send_udp(40001, H2, PORT, b"inner", packet_id=3)
    world.run(2 * MS)
    first, second, third = (int.from_bytes(data[18:20], "big") for data in sent(world))
    assert (second - first, third - second) == (1, 1)


def test_the_fast_way_sends_what_the_slow_way_sends():
    frames = []
    for fast in (True, False):
        world, h1, _, _ = tunnelled()
        h1.tunnels.send_udp(40000, H2, PORT, HEADER + b"first inner frame", packet_id=1)
        world.run(MS)
        if fast:
            flow = h1.tunnels.tunnel_flow(40000, H2, PORT, HEADER, tos=1, ttl=9, dont_fragment=True)
            flow.send(Frame(b"second inner frame", 2))
        else:
            h1.tunnels.send_udp(
                40000, H2, PORT, HEADER + b"second inner frame", tos=1, ttl=9, dont_fragment=True, packet_id=2
            )
        world.run(2 * MS)
        frames.append(sent(world)[-1])
    assert frames[0] == frames[1]


def test_a_flow_ends_when_anything_it_rests_on_changes():
    changes = [
        lambda h1: h1.device("eth0").set_mtu(1400),
        lambda h1: h1.routes.add("10.9.0.2/32", kind="blackhole"),
        lambda h1: h1.neighbours.add_permanent("eth0", "10.9.0.2", "02:00:00:00:00:77"),
        lambda h1: h1.learn_pmtu(H2, 1000),
        lambda h1: h1.device("eth0").set_down(),
    ]
    for change in changes:
        world, h1, _, _ = tunnelled()
        assert h1.tunnels.tunnel_flow(40000, H2, PORT, HEADER) is None, "the neighbour is not known yet"
        h1.tunnels.send_udp(40000, H2, PORT, b"inner", packet_id=1)
        world.run(MS)
        flow = h1.tunnels.tunnel_flow(40000, H2, PORT, HEADER)
        assert flow.inner_max == 1500 - 36
        before = len(sent(world))
        change(h1)
        assert not flow.send(Frame(bytes(20), 2))
        world.run(2 * MS)
        assert len(sent(world)) == before


def test_there_is_no_fast_way_to_a_neighbour_that_must_be_confirmed():
    world, h1, _, _ = tunnelled()
    h1.tunnels.send_udp(40000, H2, PORT, b"inner", packet_id=1)
    world.run(MS)
    neighbour = h1.interface("eth0").neighbours[H2]
    world.run(60 * SECOND)
    assert neighbour.state == "STALE"
    assert h1.tunnels.tunnel_flow(40000, H2, PORT, HEADER) is None


def test_a_flow_keeps_a_bounded_number_of_lengths():
    world, h1, _, _ = tunnelled()
    h1.tunnels.send_udp(40000, H2, PORT, b"inner", packet_id=1)
    world.run(MS)
    flow = h1.tunnels.tunnel_flow(40000, H2, PORT, HEADER)
    for length in range(TEMPLATES_MAX + 5):
        assert flow.send(Frame(bytes(length), 2))
    assert len(flow._templates) == 5


def test_the_receiver_remembers_the_flow():
    world, h1, h2, _ = tunnelled()
    h1.tunnels.send_udp(40000, H2, PORT, b"inner", packet_id=1)
    h1.tunnels.send_udp(40001, H2, PORT, bytes(3000), packet_id=1)
    world.run(SECOND)
    assert H1 + H2 + (40000).to_bytes(2, "big") + PORT.to_bytes(2, "big") in h2.receive_flows


def test_there_is_no_fast_way_while_a_learned_path_mtu_may_expire():
    world, h1, _, _ = tunnelled()
    h1.tunnels.send_udp(40000, H2, PORT, b"inner", packet_id=1)
    world.run(MS)
    h1.learn_pmtu(H2, 1000)
    assert h1.tunnels.tunnel_flow(40000, H2, PORT, HEADER) is None
    assert h1.tunnels.route_mtu(H2) == 1000
    world.run(600 * SECOND)
    h1.tunnels.send_udp(40000, H2, PORT, b"inner", packet_id=2)  # wakes the neighbour
    world.run(601 * SECOND)
    assert h1.tunnels.route_mtu(H2) == 1500


def test_an_own_address_has_no_fast_way_and_is_known_as_local():
    _, h1, _, _ = tunnelled()
    assert h1.tunnels.is_local(H1)
    assert not h1.tunnels.is_local(H2)
    assert h1.tunnels.tunnel_flow(40000, H1, PORT, HEADER) is None


def test_what_cannot_be_sent_says_why():
    _, h1, _, _ = tunnelled()
    big = bytes(1473)
    assert h1.tunnels.send_udp(40000, bytes((192, 0, 2, 1)), PORT, b"", packet_id=1) is DropReason.NO_ROUTE
    assert h1.tunnels.route_mtu(bytes((192, 0, 2, 1))) is None
    reason = h1.tunnels.send_udp(40000, H2, PORT, big, dont_fragment=True, packet_id=1)
    assert reason is DropReason.FRAGMENTATION_NEEDED
    assert h1.tunnels.send_udp(40000, H2, PORT, bytes(65508), packet_id=1) is DropReason.VXLAN_TOO_BIG


def test_too_long_datagrams_are_fragmented_and_arrive_whole():
    world, h1, _, receiver = tunnelled()
    h1.tunnels.send_udp(40000, H2, PORT, bytes(5000), packet_id=1)
    world.run(SECOND)
    assert [len(payload) for payload, *_ in receiver.arrived] == [5000]
    assert [data[20] >> 5 for data in sent(world)] == [1, 1, 1, 0]
    assert {packet_id for *_, packet_id in receiver.arrived} == {1}


def test_errors_about_a_tunnels_packets_reach_no_socket_and_only_teach_the_path_mtu():
    world, h1, h2, _ = tunnelled()
    h1.tunnels.open(PORT, Receiver())
    h1.tunnels.send_udp(40000, H2, PORT, bytes(1200), dont_fragment=True, packet_id=1)
    world.run(SECOND)
    (packet,) = (data[14:] for data in sent(world))
    h2.icmp.send_error(packet, 1, 3, 3)
    h2.icmp.send_error(packet, 1, 3, 4, information=900)
    world.run(2 * SECOND)
    assert h1.tunnels.route_mtu(H2) == 900
