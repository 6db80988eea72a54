"""Packets that are too long for the underlay: answered in the destination's name, or fragmented, or dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.device.vxlan_answer import fragmentation_needed
from emu.wire.checksum import internet_checksum, verify_ipv4_header
from emu.wire.ipv4 import build_ipv4_header
from tests.device.vxlan_world import VNI, two_containers
from tests.stack.world import MS, SECOND, Pinger

MAC_1, MAC_2 = b"\x02\x42\x0a\x00\x01\x02", b"\x02\x42\x0a\x00\x01\x04"
C1, C2 = bytes((10, 0, 1, 2)), bytes((10, 0, 1, 4))


def frame(
    length: int = 1450, protocol: int = 6, source: bytes = C1, destination: bytes = C2, body: bytes = b"", **fields
) -> bytes:
    fields = {"dont_fragment": True} | fields
    header = build_ipv4_header(source, destination, protocol, length - 20, **fields)
    return MAC_2 + MAC_1 + b"\x08\x00" + header + body.ljust(length - 20, b"\0")


# -- the answer itself -------------------------------------------------------------------------------------------------


def test_the_answer_byte_for_byte():
    offending = frame(source=bytes((10, 0, 1, 6)), destination=bytes((10, 0, 1, 3)), identification=7)
    answer = fragmentation_needed(offending, 1400)
    assert answer[:14] == offending[6:12] + offending[:6] + b"\x08\x00"
    assert answer[14:42].hex() == "4500024000004000400122b50a0001030a0001060304f78300000578"
    assert len(answer) == 14 + 576
    assert answer[42:] == offending[14 : 14 + 548]


def test_the_answer_has_the_ttl_of_the_packet_and_correct_checksums():
    answer = fragmentation_needed(frame(ttl=7, tos=0xB8), 1350)
    assert (answer[22], answer[15]) == (7, 0)
    assert verify_ipv4_header(answer, 14, 20)
    assert internet_checksum(answer[34:]) == 0


def test_a_packet_shorter_than_the_quote_is_quoted_whole():
    short = frame(length=580)
    assert len(fragmentation_needed(short, 576)) == 14 + 576
    assert fragmentation_needed(frame(length=100), 576)[42:] == frame(length=100)[14:]


@pytest.mark.parametrize(
    "unanswerable",
    [
        frame(dont_fragment=False),
        frame(more_fragments=True),
        frame(fragment_offset=8),
        frame(destination=b"\xff\xff\xff\xff"),
        frame(destination=bytes((224, 0, 0, 1))),
        frame(source=bytes((0, 0, 0, 0))),
        frame(source=bytes((127, 0, 0, 1))),
        frame(source=bytes((239, 1, 1, 1))),
        frame(source=b"\xff\xff\xff\xff"),
        frame(protocol=1, body=b"\x03\x04"),
        frame(protocol=1, body=b"\x0b\x00"),
        MAC_2 + MAC_1 + b"\x88\xb5" + bytes(1450),
    ],
)
def test_what_cannot_be_answered_is_not(unanswerable):
    assert fragmentation_needed(unanswerable, 1350) is None


def test_below_576_bytes_nothing_is_answered():
    assert fragmentation_needed(frame(), 575) is None
    assert fragmentation_needed(frame(), 576) is not None


def test_echo_requests_are_answered():
    assert fragmentation_needed(frame(protocol=1, body=b"\x08\x00"), 1350) is not None


@given(st.binary(max_size=80), st.booleans(), st.integers(0, 70000 - 65000))
def test_arbitrary_bytes_never_raise(data, is_ipv4, limit):
    if is_ipv4:
        data = bytes(12) + b"\x08\x00\x45" + data[:5] + b"\x40\x00" + data
    fragmentation_needed(data, limit)


# -- the sending host's interface is too small -------------------------------------------------------------------------


def test_the_first_df_packet_is_answered_by_the_destination_itself_and_the_container_learns():
    world, c1, _ = two_containers(underlay_mtu=1400)
    pinger = Pinger(world, c1)
    pinger.ping_at(0, "10.0.1.4", size=1400, dont_fragment="do")
    world.run(SECOND)
    assert [entry[1:] for entry in pinger.errors] == [(C2, 3, 4, 1350)]
    answer = next(data for _, kind, _, data in world.icmp("c1:eth0") if kind == 3)
    assert (len(answer), answer[18:20], answer[20:22], answer[15]) == (14 + 576, b"\0\0", b"\x40\0", 0)
    assert answer[:12] == MAC_1 + MAC_2
    assert [reason for _, reason, _ in world.drops] == ["VXLAN_TOO_BIG"]
    assert [data for data in world.sent("host1:eth0") if len(data) > 100] == []
    with pytest.raises(OSError, match="Message too long"):
        pinger.ping("10.0.1.4", size=1400, dont_fragment="do")


def test_then_packets_without_df_are_fragmented_to_what_it_learned():
    world, c1, _ = two_containers(underlay_mtu=1400)
    pinger = Pinger(world, c1)
    pinger.ping_at(0, "10.0.1.4", size=1400, dont_fragment="do")
    pinger.ping_at(SECOND, "10.0.1.4", size=1400, dont_fragment="dont")
    world.run(2 * SECOND)
    sizes = [len(data) for now_ns, _, frame in world.seen["c1:eth0"] for data in [frame.data] if now_ns == SECOND]
    assert sizes == [1362, 114]
    assert len(pinger.replies) == 1


def test_packets_that_fit_exactly_pass():
    world, c1, _ = two_containers(underlay_mtu=1400)
    pinger = Pinger(world, c1)
    pinger.ping_at(0, "10.0.1.4", size=1350 - 28, dont_fragment="do")
    pinger.ping_at(SECOND, "10.0.1.4", size=1351 - 28, dont_fragment="do")
    world.run(2 * SECOND)
    assert (len(pinger.replies), len(pinger.errors)) == (1, 1)
    assert max(len(data) for data in world.sent("host1:eth0")) == 1414


def test_without_df_the_outer_packet_is_fragmented_and_the_other_host_puts_it_together():
    world, c1, _ = two_containers(underlay_mtu=1400)
    pinger = Pinger(world, c1)
    pinger.ping_at(0, "10.0.1.4")
    pinger.ping_at(SECOND, "10.0.1.4", size=1400, dont_fragment="dont")
    world.run(2 * SECOND)
    assert len(pinger.replies) == 2
    fragments = [frame for now_ns, way, frame in world.seen["host1:eth0"] if now_ns == SECOND and way == 2]
    assert [len(piece.data) for piece in fragments] == [14 + 1396, 14 + 102]
    assert len({piece.packet_id for piece in fragments}) == 1
    assert [len(data) for data in world.arrived("c2:eth0")][-1] == 1442


def test_fast_flows_notice_a_smaller_mtu_at_once():
    world, c1, _ = two_containers()
    socket = c1.udp_socket()
    socket.dont_fragment = False
    for millisecond in (0, 10, 20, 30):
        world.at(millisecond * MS, lambda: socket.sendto(bytes(1400), ("10.0.1.4", 9)))
    world.at(25 * MS, lambda: world.nodes[0].eth0.set_mtu(1000))
    world.run(SECOND)
    sent = [data for _, way, frame in world.seen["host1:eth0"] for data in [frame.data] if way == 2 and data[23] == 17]
    assert [len(data) for data in sent] == [1492, 1492, 1492, 14 + 996, 14 + 502]


def test_a_flow_of_small_packets_does_not_let_a_long_one_through():
    world, c1, _ = two_containers(underlay_mtu=1400)
    socket = c1.udp_socket()
    for millisecond, size in ((0, 10), (10, 10), (20, 10), (30, 1400)):
        world.at(millisecond * MS, lambda size=size: socket.sendto(bytes(size), ("10.0.1.4", 9)))
    world.run(SECOND)
    assert [(kind, code) for _, kind, code, _ in world.icmp("c1:eth0") if kind == 3 and code == 4] == [(3, 4)]


def test_a_learned_path_mtu_of_the_underlay_counts_too():
    world, c1, _ = two_containers()
    world.nodes[0].root.learn_pmtu(bytes((198, 18, 0, 2)), 1300)
    pinger = Pinger(world, c1)
    pinger.ping("10.0.1.4", size=1400, dont_fragment="do")
    world.run(SECOND)
    assert [entry[2:] for entry in pinger.errors] == [(3, 4, 1250)]


def test_a_router_that_says_fragmentation_needed_teaches_the_host_for_a_tunnel_with_df():
    world, c1, _ = two_containers(dont_fragment=True)
    socket = c1.udp_socket()
    socket.sendto(bytes(1200), ("10.0.1.4", 9))
    world.run(SECOND)
    outer = next(data for data in world.sent("host1:eth0") if data[12:14] == b"\x08\0")
    world.nodes[1].root.icmp.send_error(outer[14:], 1, 3, 4, information=1000)
    world.run(2 * SECOND)
    assert world.nodes[0].root.tunnels.route_mtu(bytes((198, 18, 0, 2))) == 1000


# -- vxlan0 with an MTU that leaves no room (g23, g24) -----------------------------------------------------------------


def big_overlay(**options):
    world, c1, c2 = two_containers(mtu=1500, **options)
    for container, node in ((c1, world.nodes[0]), (c2, world.nodes[1])):
        container.device("eth0").set_mtu(1500)
        next(port.device for port in node.networks[VNI].br0.ports if port.device.kind == "veth").set_mtu(1500)
    return world, c1


def test_with_an_mtu_of_1500_df_is_answered_with_1450():
    world, c1 = big_overlay()
    pinger = Pinger(world, c1)
    pinger.ping("10.0.1.4", size=1472, dont_fragment="do")
    world.run(SECOND)
    assert [entry[2:] for entry in pinger.errors] == [(3, 4, 1450)]


def test_with_an_mtu_of_1500_and_no_df_the_outer_packet_is_fragmented():
    world, c1 = big_overlay()
    pinger = Pinger(world, c1)
    pinger.ping("10.0.1.4", size=1472, dont_fragment="dont")
    world.run(SECOND)
    assert len(pinger.replies) == 1
    assert [len(data) for data in world.sent("host1:eth0") if len(data) > 50] == [1514, 84]


def test_with_df_set_on_the_outer_packet_it_is_dropped_silently():
    world, c1 = big_overlay(dont_fragment=True)
    pinger = Pinger(world, c1)
    pinger.ping("10.0.1.4", size=1472, dont_fragment="dont")
    world.run(SECOND)
    assert (pinger.replies, pinger.errors) == ([], [])
    assert [(reason, where) for _, reason, where in world.drops] == [("FRAGMENTATION_NEEDED", "host1/net4097:vxlan0")]
