"""A VXLAN device as Docker sets it up, between two hosts: what crosses, what it answers itself, what it drops."""

import pytest

from emu.device import VxlanDevice
from emu.device.vxlan_send import FLOWS_MAX
from emu.kernel.errors import Conflict, InvalidValue
from emu.stack.namespace import Namespace
from emu.wire.address import BROADCAST_MAC
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from emu.wire.vxlan import parse_vxlan_header
from tests.device.vxlan_world import VNI, VxlanWorld, two_containers
from tests.stack.world import MS, SECOND, Pinger

MAC_1, MAC_2 = b"\x02\x42\x0a\x00\x01\x02", b"\x02\x42\x0a\x00\x01\x04"


def outer(world: VxlanWorld, label: str = "host1:eth0") -> list[bytes]:
    """The VXLAN frames that left a host."""
    return [data for data in world.sent(label) if data[12:14] == b"\x08\x00" and data[36:38] == b"\x12\xb5"]


def transmit(container: Namespace, data: bytes) -> None:
    container.device("eth0").transmit(Frame(data, 77))


def dropped(world: VxlanWorld, where: str) -> list[str]:
    return [reason for _, reason, at in world.drops if at == where]


# -- the way of a packet -----------------------------------------------------------------------------------------------


def test_a_ping_crosses_and_keeps_its_passport_through_every_interface_on_the_way():
    world, c1, _ = two_containers()
    pinger = Pinger(world, c1)
    pinger.ping("10.0.1.4")
    world.run(SECOND)
    assert [reply[1:] for reply in pinger.replies] == [(bytes((10, 0, 1, 4)), 1, 64)]
    way = ["c1:eth0", "veth0", "br0", "vxlan0", "host1:eth0", "host2:eth0", "vxlan0", "br0", "veth0", "c2:eth0"]
    seen = [(now_ns, label) for label in world.seen for now_ns, _, frame in world.seen[label] if frame.packet_id == 1]
    assert sorted(label.split(":")[-1] for _, label in seen) == sorted(name.split(":")[-1] for name in way)


def test_the_outer_headers_are_linux_defaults():
    world, c1, _ = two_containers()
    Pinger(world, c1).ping("10.0.1.4")
    world.run(SECOND)
    (frame,) = outer(world)
    assert len(frame) == 148
    assert (frame[22], frame[20:22], frame[15]) == (64, b"\0\0", 0), "TTL 64, no DF, TOS 0"
    assert 32768 <= int.from_bytes(frame[34:36], "big") < 60999
    assert frame[40:42] != b"\0\0", "a UDP checksum"
    assert parse_vxlan_header(frame, 42) == VNI
    assert frame[50:] == world.sent("c1:eth0")[-1]


def test_both_directions_of_a_ping_have_the_same_source_port():
    world, c1, _ = two_containers()
    Pinger(world, c1).ping("10.0.1.4")
    world.run(SECOND)
    assert outer(world)[0][34:36] == outer(world, "host2:eth0")[0][34:36]


def test_the_source_port_does_not_depend_on_the_vni():
    ports = []
    for vni in (4100, 4200):
        world, c1, _ = two_containers(vni=vni)
        Pinger(world, c1).ping("10.0.1.4")
        world.run(SECOND)
        ports.append(outer(world)[0][34:36])
    assert ports[0] == ports[1]


def test_outer_checksums_hold_and_can_be_switched_off():
    for checksum in (True, False):
        world, c1, c2 = two_containers(udp_checksum=checksum)
        for node in world.nodes:
            node.root.verify_checksums = True
        received = []
        c2_socket = c2.udp_socket()
        c2_socket.bind(port=9)
        c2_socket.on_datagram = lambda payload, source, frame, received=received: received.append(payload)
        socket = c1.udp_socket()
        for millisecond in range(3):
            world.at(millisecond * MS, lambda socket=socket: socket.sendto(b"odd", ("10.0.1.4", 9)))
        world.run(SECOND)
        assert received == [b"odd"] * 3
        assert [frame[40:42] == b"\0\0" for frame in outer(world)] == [not checksum] * 3


def test_the_fast_way_and_the_slow_way_send_the_same_bytes():
    def run(forget: bool) -> list[bytes]:
        world, c1, _ = two_containers()
        socket = c1.udp_socket()
        vxlan0 = world.nodes[0].networks[VNI].vxlan0

        def send() -> None:
            if forget:
                vxlan0.flush_flows()
            socket.sendto(bytes(100), ("10.0.1.4", 9))

        for number in range(6):
            world.at(number * MS, send)
        world.run(SECOND)
        return outer(world)

    assert run(False) == run(True)
    assert len(run(False)) == 6


def test_dscp_is_not_copied_and_ecn_is():
    world, c1, _ = two_containers()
    socket = c1.udp_socket()
    for number, tos in enumerate((0xB8, 0x01, 0x02, 0x03, 0xBB)):
        for repeat in range(2):
            world.at(
                (2 * number + repeat) * MS,
                lambda tos=tos: (setattr(socket, "tos", tos), socket.sendto(b"x", ("10.0.1.4", 9))),
            )
    world.run(SECOND)
    assert [frame[15] for frame in outer(world)] == [0, 0, 1, 1, 2, 2, 2, 2, 2, 2]


def test_congestion_met_in_the_underlay_reaches_the_container():
    world, c1, _ = two_containers()
    original = world.nodes[1].eth0.upper

    def mark(frame: Frame) -> None:
        data = bytearray(frame.data)
        if data[12:14] == b"\x08\x00":
            data[15] |= 3
        original(Frame(bytes(data), frame.packet_id))

    world.nodes[1].eth0.upper = mark
    socket = c1.udp_socket()
    socket.tos = 0x02
    socket.sendto(b"ect", ("10.0.1.4", 9))
    world.at(MS, lambda: setattr(socket, "tos", 0))
    world.at(2 * MS, lambda: socket.sendto(b"not ect", ("10.0.1.4", 9)))
    world.run(SECOND)
    arrived = [data for data in world.arrived("c2:eth0") if data[12:14] == b"\x08\x00"]
    assert [data[15] & 3 for data in arrived] == [3], "the second one cannot carry the mark: dropped"
    assert dropped(world, "host2/net4097:vxlan0") == ["VXLAN_ECN"]
    assert world.nodes[1].networks[VNI].vxlan0.frame_errors == 1


def test_a_data_path_port_of_ones_own():
    world, c1, _ = two_containers(port=7777)
    pinger = Pinger(world, c1)
    pinger.ping("10.0.1.4")
    world.run(SECOND)
    assert len(pinger.replies) == 1
    assert {frame[36:38] for frame in world.sent("host1:eth0") if frame[12:14] == b"\x08\x00"} == {b"\x1e\x61"}


def test_a_ttl_of_ones_own_and_df():
    world, c1, _ = two_containers(ttl=3, dont_fragment=True)
    Pinger(world, c1).ping("10.0.1.4")
    world.run(SECOND)
    assert (outer(world)[0][22], outer(world)[0][20:22]) == (3, b"\x40\0")


# -- ARP ---------------------------------------------------------------------------------------------------------------


def arp_on_the_underlay(world: VxlanWorld) -> list[bytes]:
    return [data for data in outer(world) if data[62:64] == b"\x08\x06"]


def test_arp_is_answered_by_the_own_vxlan0_with_the_remote_containers_mac():
    world, c1, _ = two_containers()
    Pinger(world, c1).ping("10.0.1.4")
    world.run(SECOND)
    request, reply = (
        data for data in (*world.sent("c1:eth0"), *world.arrived("c1:eth0")) if data[12:14] == b"\x08\x06"
    )
    assert request[:6] == BROADCAST_MAC
    assert (reply[:12], reply[20:22], reply[22:32]) == (MAC_1 + MAC_2, b"\0\2", MAC_2 + bytes((10, 0, 1, 4)))
    assert len(reply) == 42
    assert arp_on_the_underlay(world) == []


def test_unicast_probes_are_answered_the_same_way():
    world, c1, _ = two_containers()
    Pinger(world, c1).ping("10.0.1.4")
    world.run(SECOND)
    probe = (
        MAC_2
        + MAC_1
        + b"\x08\x06\0\x01\x08\0\x06\x04\0\x01"
        + MAC_1
        + bytes((10, 0, 1, 2))
        + bytes(6)
        + bytes((10, 0, 1, 4))
    )
    before = len(world.arrived("c1:eth0"))
    transmit(c1, probe)
    world.run(2 * SECOND)
    assert len(world.arrived("c1:eth0")) == before + 1
    assert arp_on_the_underlay(world) == []


def test_a_request_without_an_entry_is_swallowed_and_counted():
    world, c1, _ = two_containers()
    pinger = Pinger(world, c1)
    pinger.ping("10.0.1.99")
    world.run(5 * SECOND)
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    assert [error[2:4] for error in pinger.errors] == [(3, 1)], "destination host unreachable, from itself"
    assert (vxlan0.l3_misses, vxlan0.l2_misses) == (3, 0)
    assert dropped(world, vxlan0.label) == ["VXLAN_ARP_CONSUMED"] * 3
    assert vxlan0.counters["tx_dropped"] == 0, "Linux does not call this a drop"
    assert outer(world) == []


@pytest.mark.parametrize("target", [bytes((127, 0, 0, 1)), bytes((224, 0, 0, 1))])
def test_nobody_is_asked_for_loopback_or_multicast_addresses(target):
    world, c1, _ = two_containers()
    overlay = world.nodes[0].networks[VNI]
    request = BROADCAST_MAC + MAC_1 + b"\x08\x06\0\x01\x08\0\x06\x04\0\x01" + MAC_1 + bytes((10, 0, 1, 2))
    transmit(c1, request + bytes(6) + target)
    overlay.namespace.interface("vxlan0").neighbour(target).make_permanent(MAC_2)
    world.run(SECOND)
    assert world.arrived("c1:eth0") == []
    assert overlay.vxlan0.l3_misses == 0


def test_an_entry_that_is_not_confirmed_is_not_given_away():
    world, c1, _ = two_containers()
    overlay = world.nodes[0].networks[VNI]
    overlay.namespace.interface("vxlan0").neighbour(bytes((10, 0, 1, 9))).update(MAC_2, "STALE", True)
    Pinger(world, c1).ping("10.0.1.9")
    world.run(4 * SECOND)
    assert world.arrived("c1:eth0") == []
    assert overlay.vxlan0.l3_misses == 0


def test_announcements_and_replies_never_leave_the_host():
    world, c1, _ = two_containers()
    c1.announce(c1.device("eth0"), "10.0.1.2", 3, SECOND)
    reply = BROADCAST_MAC + MAC_1 + b"\x08\x06\0\x01\x08\0\x06\x04\0\x02" + (MAC_1 + bytes((10, 0, 1, 2))) * 2
    transmit(c1, reply)
    world.run(5 * SECOND)
    assert len(world.sent("host1/net4097:vxlan0")) == 4, "they reach vxlan0"
    assert outer(world) == []
    assert set(dropped(world, "host1/net4097:vxlan0")) == {"VXLAN_ARP_CONSUMED"}


def test_without_proxy_arp_crosses_to_the_flood_list():
    world, c1, _ = two_containers(proxy=False)
    world.nodes[0].networks[VNI].vxlan0.fdb.append("00:00:00:00:00:00", "198.18.0.2")
    world.nodes[1].networks[VNI].vxlan0.fdb.append("00:00:00:00:00:00", "198.18.0.1")
    pinger = Pinger(world, c1)
    pinger.ping("10.0.1.4")
    world.run(SECOND)
    assert len(pinger.replies) == 1
    assert len(arp_on_the_underlay(world)) == 1


# -- no way out --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("destination", "l2_misses"),
    [(BROADCAST_MAC, 0), (b"\x01\0\x5e\1\1\1", 0), (b"\x02\0\0\0\0\x77", 1)],
    ids=["broadcast", "multicast", "unknown unicast"],
)
def test_what_has_no_entry_reaches_vxlan0_and_dies_there(destination, l2_misses):
    world, c1, _ = two_containers()
    transmit(c1, destination + MAC_1 + b"\x88\xb5" + bytes(50))
    world.run(SECOND)
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    assert len(world.sent(vxlan0.label)) == 1
    assert outer(world) == []
    assert dropped(world, vxlan0.label) == ["VXLAN_NO_REMOTE"]
    assert (vxlan0.counters["tx_dropped"], vxlan0.l2_misses) == (1, l2_misses)


def test_a_neighbour_entry_without_a_forwarding_entry_answers_arp_and_drops_the_data():
    world, c1, _ = two_containers()
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    vxlan0.fdb.remove(MAC_2)
    pinger = Pinger(world, c1)
    pinger.ping("10.0.1.4")
    world.run(SECOND)
    assert [data[12:14] for data in world.arrived("c1:eth0")] == [b"\x08\x06"], "ARP looks right"
    assert pinger.replies == []
    assert vxlan0.l2_misses == 1


def test_misses_are_only_counted_when_asked_for():
    world, c1, _ = two_containers(l2miss=False, l3miss=False)
    Pinger(world, c1).ping("10.0.1.9")
    transmit(c1, b"\x02\0\0\0\0\x77" + MAC_1 + b"\x88\xb5" + bytes(50))
    world.run(SECOND)
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    assert (vxlan0.l2_misses, vxlan0.l3_misses) == (0, 0)


def test_without_a_route_to_the_other_host_frames_are_dropped():
    world, c1, _ = two_containers()
    world.nodes[0].root.routes.remove("198.18.0.0/24")
    Pinger(world, c1).ping("10.0.1.4")
    world.run(SECOND)
    assert dropped(world, "host1/net4097:vxlan0") == ["NO_ROUTE"]


# -- what the receiver refuses -----------------------------------------------------------------------------------------


def test_an_unknown_vni_is_dropped_silently():
    world, c1, _ = two_containers()
    world.nodes[1].networks[VNI].vxlan0.delete()
    other = world.overlay(world.nodes[1], 5000)
    Pinger(world, c1).ping("10.0.1.4")
    world.run(SECOND)
    assert dropped(world, "host2:eth0") == ["VXLAN_UNKNOWN_VNI"]
    assert other.vxlan0.counters["rx_packets"] == 0
    assert world.icmp("host2:eth0") == []


def test_when_nobody_listens_the_host_answers_port_unreachable_which_does_not_enter_the_overlay():
    world, c1, _ = two_containers()
    world.nodes[1].networks[VNI].vxlan0.set_down()
    pinger = Pinger(world, c1)
    pinger.ping("10.0.1.4")
    world.run(SECOND)
    assert [(kind, code) for _, kind, code, _ in world.icmp("host1:eth0")] == [(3, 3)]
    assert (pinger.replies, pinger.errors) == ([], [])


@pytest.mark.parametrize("header", ["0000000000100100", "0c00000000100100", "0800000100100100", "0800000000100101"])
def test_any_other_flag_than_the_vni_flag_makes_the_receiver_drop(header):
    world, _, _ = two_containers()
    inner = MAC_2 + MAC_1 + b"\x88\xb5" + bytes(50)
    world.nodes[0].root.tunnels.send_udp(
        40000, bytes((198, 18, 0, 2)), 4789, bytes.fromhex(header) + inner, packet_id=5
    )
    world.run(SECOND)
    assert dropped(world, "host2:eth0") == ["VXLAN_HEADER"]


def inject(world: VxlanWorld, inner: bytes, source: int = 0) -> None:
    """Let a host's VTEP send an inner frame to host2."""
    world.nodes[source].root.tunnels.send_udp(
        40000, bytes((198, 18, 0, 2)), 4789, bytes.fromhex("0800000000100100") + inner, packet_id=5
    )
    world.run(world.kernel.now + SECOND)


def test_a_frame_that_claims_to_come_from_the_device_itself_is_dropped():
    world, _, _ = two_containers()
    vxlan0 = world.nodes[1].networks[VNI].vxlan0
    inject(world, MAC_2 + vxlan0.mac + b"\x88\xb5" + bytes(50))
    assert dropped(world, vxlan0.label) == ["VXLAN_OWN_SOURCE"]
    assert vxlan0.counters["rx_dropped"] == 1


@pytest.mark.parametrize("source", [bytes(6), b"\x03\0\0\0\0\1"])
def test_an_impossible_source_is_dropped_even_if_the_flood_list_has_it(source):
    world, _, _ = two_containers()
    vxlan0 = world.nodes[1].networks[VNI].vxlan0
    vxlan0.fdb.append(source, "198.18.0.1")
    inject(world, MAC_2 + source + b"\x88\xb5" + bytes(50))
    assert dropped(world, vxlan0.label) == ["VXLAN_INVALID_SOURCE"]


def test_a_source_with_a_permanent_entry_at_another_vtep_is_dropped():
    world, _, _ = two_containers(hosts=3)
    inject(world, MAC_2 + MAC_1 + b"\x88\xb5" + bytes(50), source=2)
    vxlan0 = world.nodes[1].networks[VNI].vxlan0
    assert dropped(world, vxlan0.label) == ["VXLAN_ENTRY_ELSEWHERE"]
    inject(world, MAC_2 + MAC_1 + b"\x88\xb5" + bytes(50), source=0)
    assert len(world.arrived("c2:eth0")) == 1


def test_without_learning_nobody_looks_where_a_frame_comes_from():
    world, _, _ = two_containers(hosts=3, learning=False)
    inject(world, MAC_2 + MAC_1 + b"\x88\xb5" + bytes(50), source=2)
    assert len(world.arrived("c2:eth0")) == 1


def test_a_frame_shorter_than_an_ethernet_header_is_dropped():
    world, _, _ = two_containers()
    for length in (0, 6, 13):
        inject(world, (MAC_2 + MAC_1 + b"\x88")[:length])
    assert dropped(world, "host2/net4097:vxlan0") == ["MALFORMED"] * 3


# -- devices -----------------------------------------------------------------------------------------------------------


def test_two_devices_with_one_vni_and_port_are_refused_as_docker_words_it():
    world, _, _ = two_containers()
    with pytest.raises(Conflict, match="error creating vxlan interface vxlan1: file exists"):
        VxlanDevice(world.kernel, "vxlan1", world.mac(), VNI, world.nodes[0].root.tunnels)
    VxlanDevice(world.kernel, "vxlan1", world.mac(), VNI, world.nodes[0].root.tunnels, port=4790)


def test_a_vni_is_free_again_when_its_device_is_gone():
    world, _, _ = two_containers()
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    vxlan0.delete()
    vxlan0.delete()
    assert world.nodes[0].networks[VNI].br0.ports[-1].device is not vxlan0
    VxlanDevice(world.kernel, "vxlan1", world.mac(), VNI, world.nodes[0].root.tunnels).set_up()


def test_a_port_that_a_program_has_cannot_be_taken_and_the_device_stays_down():
    world = VxlanWorld()
    world.nodes[0].root.udp_socket().bind(port=4789)
    device = VxlanDevice(world.kernel, "vxlan0", world.mac(), VNI, world.nodes[0].root.tunnels)
    with pytest.raises(Conflict, match="UDP port 4789 of host1 is in use"):
        device.set_up()
    assert not device.is_up


@pytest.mark.parametrize("wrong", [{"port": 0}, {"port": 65536}, {"ttl": 0}, {"ttl": 256}, {"vni": 2**24}, {"mtu": 67}])
def test_wrong_settings_are_refused_and_nothing_is_left(wrong):
    world = VxlanWorld()
    settings = {"vni": 1} | wrong
    with pytest.raises(InvalidValue):
        VxlanDevice(world.kernel, "vxlan0", world.mac(), transport=world.nodes[0].root.tunnels, **settings)
    assert world.nodes[0].root.tunnels.vxlan_sockets == {}


def test_two_networks_share_the_port_and_stay_apart():
    world, c1, _ = two_containers()
    here, there = (world.overlay(node, 4098) for node in world.nodes)
    d1, d2 = world.container(here, "d1", "10.0.1.2"), world.container(there, "d2", "10.0.1.4")
    world.tell(here, "10.0.1.4", "198.18.0.2")
    world.tell(there, "10.0.1.2", "198.18.0.1")
    pingers = [Pinger(world, c1), Pinger(world, d1)]
    for pinger in pingers:
        pinger.ping("10.0.1.4")
    world.run(SECOND)
    assert [len(pinger.replies) for pinger in pingers] == [1, 1]
    assert [parse_vxlan_header(frame, 42) for frame in outer(world)] == [4097, 4098]
    assert d2.device("eth0").counters["rx_packets"] == 2
    world.nodes[0].networks[VNI].vxlan0.delete()
    pingers[1].ping("10.0.1.4")
    world.run(2 * SECOND)
    assert len(pingers[1].replies) == 2, "the port stays open for the other one"
    here.vxlan0.delete()
    assert world.nodes[0].root.tunnels.vxlan_sockets == {}
    assert world.nodes[0].root.tunnels.receivers == {}


def test_a_frame_for_a_vtep_on_the_same_host_is_handed_over_without_a_tunnel():
    world = VxlanWorld()
    here = world.overlay(world.nodes[0])
    c1 = world.container(here, "c1", "10.0.1.2")
    here.vxlan0.fdb.add_permanent(MAC_2, world.nodes[0].address)
    transmit(c1, MAC_2 + MAC_1 + b"\x88\xb5" + bytes(50))
    world.run(SECOND)
    assert [frame[:6] for frame in world.arrived(here.vxlan0.label)] == [MAC_2], "back at itself: it is the VTEP"
    assert outer(world) == []


def test_a_frame_longer_than_the_bridge_port_allows_is_dropped():
    world, c1, _ = two_containers(mtu=1000)
    for length in (1018, 1019):
        transmit(c1, (MAC_2 + MAC_1 + b"\x88\xb5").ljust(length, b"."))
    world.run(SECOND)
    assert dropped(world, "host1/net4097:vxlan0") == ["BRIDGE_PORT_MTU"]
    assert [len(frame) for frame in outer(world)] == [1068]


def test_the_counters_are_linuxs_bytes_without_the_ethernet_header_and_no_arp():
    world, c1, _ = two_containers()
    pinger = Pinger(world, c1)
    for second in range(6):
        pinger.ping_at(second * SECOND, "10.0.1.4")
    world.run(7 * SECOND)
    counters = world.nodes[0].networks[VNI].vxlan0.counters
    assert (counters["rx_packets"], counters["rx_bytes"]) == (6, 504)
    assert (counters["tx_packets"], counters["tx_bytes"]) == (6, 504)


def test_link_text_is_what_ip_d_link_says_of_it():
    world, _, _ = two_containers()
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    assert vxlan0.link_text() == (
        "vxlan id 4097 srcport 0 0 dstport 4789 proxy l2miss l3miss ttl auto ageing 300 udpcsum noudp6zerocsumtx "
        "noudp6zerocsumrx "
    )
    assert "VNI 4097 on UDP port 4789" in vxlan0.describe()["description"]


def test_remembered_flows_are_bounded():
    world, c1, _ = two_containers()
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    Pinger(world, c1).ping("10.0.1.4")
    world.run(SECOND)
    head = MAC_2 + MAC_1 + b"\x08\0\x45\0\0\x1c\0\0\x40\0\x40\x11\0\0" + bytes((10, 0, 1, 2, 10, 0, 1, 4))
    for number in range(FLOWS_MAX + 10):
        vxlan0.transmit(Frame(head + number.to_bytes(2, "big") + b"\0\x09\0\x08\0\0", number))
    world.run(2 * SECOND)
    assert len(vxlan0.flows) == 10
    assert DropReason.NO_ROUTE not in vxlan0.drops
