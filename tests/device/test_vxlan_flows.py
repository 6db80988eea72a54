"""What the sending path remembers, and what it must not; a VXLAN device that is no port of a bridge."""

from emu.device import VxlanDevice
from emu.wire.frame import Frame
from emu.wire.ipv4 import build_ipv4_header
from emu.wire.udp import build_udp
from tests.device.vxlan_world import VNI, VxlanWorld, two_containers
from tests.stack.world import MS, SECOND, Pinger

ZERO = "00:00:00:00:00:00"
C1, C2 = bytes((10, 0, 1, 2)), bytes((10, 0, 1, 4))
MAC_1, MAC_2 = b"\x02\x42" + C1, b"\x02\x42" + C2


def udp_frame(mac: bytes, destination: bytes = C2, **fields) -> bytes:
    segment = build_udp(C1, destination, 20000, 9, bytes(100))
    return mac + MAC_1 + b"\x08\0" + build_ipv4_header(C1, destination, 17, len(segment), **fields) + segment


def known_underlay(world: VxlanWorld) -> None:
    """Let host1 know the MAC addresses of the other hosts."""
    for node in world.nodes[1:]:
        world.nodes[0].root.neighbours.add_permanent("eth0", node.address, node.eth0.mac.hex(":"))


def vteps(world: VxlanWorld) -> list[int]:
    """The last byte of the address of every VTEP that host1 has sent to, in order."""
    return [data[33] for data in world.sent("host1:eth0") if data[36:38] == b"\x12\xb5"]


def test_a_udp_flow_is_remembered_and_pings_fragments_and_arp_are_not():
    world, c1, _ = two_containers()
    known_underlay(world)
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    Pinger(world, c1).ping("10.0.1.4")
    world.run(SECOND)
    vxlan0.transmit(Frame(udp_frame(MAC_2, more_fragments=True), 1))
    vxlan0.transmit(Frame(udp_frame(MAC_2, fragment_offset=8), 1))
    assert vxlan0.flows == {}
    vxlan0.transmit(Frame(udp_frame(MAC_2), 1))
    assert list(vxlan0.flows) == [C1 + C2 + b"\x4e\x20\0\x09"]


def test_a_flow_without_a_fast_way_any_more_is_forgotten():
    world, _, _ = two_containers()
    known_underlay(world)
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    vxlan0.transmit(Frame(udp_frame(MAC_2), 1))
    world.nodes[0].root.learn_pmtu(bytes((198, 18, 0, 2)), 1400)
    vxlan0.transmit(Frame(udp_frame(MAC_2), 2))
    assert vxlan0.flows == {}
    world.run(SECOND)
    assert vteps(world) == [2, 2]


def test_a_flow_is_not_mixed_up_with_one_of_another_tos_ttl_or_destination_mac():
    world, _, _ = two_containers(hosts=3)
    known_underlay(world)
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    vxlan0.fdb.add_permanent("02:00:00:00:00:77", "198.18.0.3")
    other = b"\x02\0\0\0\0\x77"
    variants = [udp_frame(MAC_2), udp_frame(MAC_2, tos=1), udp_frame(MAC_2, ttl=9), udp_frame(other), udp_frame(MAC_2)]
    for data in variants * 2:
        vxlan0.transmit(Frame(data, 1))
    world.run(SECOND)
    sent = [data for data in world.sent("host1:eth0") if data[36:38] == b"\x12\xb5"]
    assert [data[50:] for data in sent] == variants * 2
    assert [data[15] for data in sent] == [0, 1, 0, 0, 0] * 2
    assert vteps(world) == [2, 2, 2, 3, 2] * 2


def test_tcp_and_udp_between_the_same_ports_are_different_flows():
    world, _, _ = two_containers()
    known_underlay(world)
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    udp = udp_frame(MAC_2)
    tcp = udp[:23] + b"\x06" + udp[24:]
    for data in (udp, tcp, udp, tcp):
        vxlan0.transmit(Frame(data, 1))
    world.run(SECOND)
    ports = [data[34:36] for data in world.sent("host1:eth0") if data[36:38] == b"\x12\xb5"]
    assert (ports[0], ports[1]) == (ports[2], ports[3])
    assert ports[0] != ports[1]


def test_a_flow_that_went_to_the_flood_list_follows_when_its_destination_is_learned():
    world, _, _ = two_containers(hosts=3, proxy=False)
    known_underlay(world)
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    vxlan0.fdb.append(ZERO, "198.18.0.2")
    unknown = b"\x02\0\0\0\0\x77"
    for _ in range(2):
        vxlan0.transmit(Frame(udp_frame(unknown), 1))
    vxlan0.fdb.snoop(unknown, bytes((198, 18, 0, 3)))
    vxlan0.transmit(Frame(udp_frame(unknown), 1))
    world.run(SECOND)
    assert vteps(world) == [2, 2, 3]


def test_every_datagram_to_a_group_goes_to_every_vtep_of_the_group():
    world, _, _ = two_containers(hosts=3)
    known_underlay(world)
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    group = b"\x01\0\x5e\1\1\1"
    vxlan0.fdb.append(group, "198.18.0.2")
    vxlan0.fdb.append(group, "198.18.0.3")
    for _ in range(3):
        vxlan0.transmit(Frame(udp_frame(group, bytes((239, 1, 1, 1))), 1))
    world.run(SECOND)
    assert vteps(world) == [3, 2] * 3


def test_a_frame_for_the_own_vtep_teaches_that_its_source_is_here():
    world, _, _ = two_containers()
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    vxlan0.fdb.replace(MAC_2, world.nodes[0].address)
    vxlan0.transmit(Frame(udp_frame(MAC_2), 1))
    assert "02:42:0a:00:01:02 dev vxlan0 dst 127.0.0.1 link-netnsid 0 self \n" in vxlan0.fdb.text()
    vxlan0.transmit(Frame(MAC_2 + bytes(6) + b"\x88\xb5" + bytes(50), 1))
    assert "00:00:00:00:00:00" not in vxlan0.fdb.text()


def test_altered_frames_stay_altered_on_both_sides_of_the_tunnel():
    world, _, _ = two_containers()
    known_underlay(world)
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    for altered in (False, True, True):
        vxlan0.transmit(Frame(udp_frame(MAC_2), 1, altered))
    world.run(SECOND)
    arrived = [
        frame for _, _, frame in world.seen["c2:eth0"] if frame.data[12:14] == b"\x08\0" and frame.data[23] == 17
    ]
    assert [frame.altered for frame in arrived] == [False, True, True]


def test_a_device_that_is_down_sends_and_receives_nothing():
    world, _, _ = two_containers()
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    vxlan0.transmit(Frame(udp_frame(MAC_2), 1))
    vxlan0.set_down()
    assert vxlan0.transmit(Frame(udp_frame(MAC_2), 2)), "swallowed silently, as in Linux"
    vxlan0.receive(Frame(udp_frame(MAC_2), 3))
    assert [reason for _, reason, _ in world.drops] == ["DEVICE_DOWN"] * 2
    assert (vxlan0.tx_dropped, vxlan0.rx_dropped) == (1, 1)


# -- an interface of its namespace, without a bridge -------------------------------------------------------------------


def test_without_a_bridge_it_is_an_interface_and_long_packets_are_fragmented_by_the_underlay():
    world = VxlanWorld()
    addresses = ("10.30.0.1/24", "10.30.0.2/24")
    for node, address, other in zip(world.nodes, addresses, reversed(world.nodes), strict=True):
        vxlan0 = VxlanDevice(world.kernel, "vxlan0", world.mac(), 7, node.root.tunnels, mtu=1500)
        node.root.add_device(vxlan0)
        vxlan0.set_up()
        node.root.add_address(vxlan0, address)
        vxlan0.fdb.append(ZERO, other.address)
    pinger = Pinger(world, world.nodes[0].root)
    pinger.ping_at(0, "10.30.0.2")
    pinger.ping_at(10 * MS, "10.30.0.2", size=1472, dont_fragment="do")
    world.run(SECOND)
    assert len(pinger.replies) == 2, "only a bridge port answers that a packet is too long"
    assert [len(data) for data in world.sent("host1:eth0") if len(data) > 1000] == [1514]
    world.nodes[0].root.device("vxlan0").transmit(Frame((b"\x02" * 12 + b"\x88\xb5").ljust(1800, b"."), 1))
    world.run(2 * SECOND)
    assert len(world.sent("host1:eth0")[-1]) == 14 + 20 + 1816 - 1480, (
        "its own MTU limits nothing: Linux leaves it to the stack"
    )
    assert world.nodes[0].root.neighbours.text().splitlines()[-1].startswith("10.30.0.2 dev vxlan0 lladdr")
