"""Flood-and-learn VXLAN does with recorded frames what Linux did: the captures g25, replayed at five places.

On the recorded machine container c1 (10.30.0.2) sat at a bridge with a VXLAN device of VNI 4200 on v1, c2 (10.30.0.3)
likewise on v2; both devices had `learning` and a flood list with the other host. The frames that each container sent
are sent again at their recorded times.

Compared byte for byte are the frames inside, at the containers and at both VXLAN devices, and of the underlay
everything but: the IP identification (and the header checksum that covers it), the UDP source port (which must
correspond one to one), the UDP checksum (the recording has offload's unfinished ones), and the hosts' own addresses.
"""

from __future__ import annotations

from pathlib import Path

from emu.wire.checksum import verify_ipv4_header, verify_udp
from emu.wire.frame import Frame
from tests.device.vxlan_world import Overlay, VxlanWorld
from tests.helpers.pcap_reader import read_pcap

RECORDINGS = Path(__file__).parent.parent / "golden" / "linux"
VNI = 4200
MAC_1, MAC_2 = bytes.fromhex("02420a1e0002"), bytes.fromhex("02420a1e0003")
PLACES = {
    "c1": "c1:eth0",
    "c2": "c2:eth0",
    "v1-vxlan0": "host1/net4200:vxlan0",
    "v2-vxlan0": "host2/net4200:vxlan0",
}


def recorded(place: str) -> list[tuple[int, bytes]]:
    return read_pcap(RECORDINGS / f"g25-vxlan-learning-{place}.pcap")


def replay() -> tuple[VxlanWorld, list[Overlay]]:
    world = VxlanWorld(rate=None, delay="1us")  # the recorded underlay was a veth pair
    overlays = [world.overlay(node, VNI, proxy=False, l2miss=False, l3miss=False) for node in world.nodes]
    containers = [world.container(overlays[0], "c1", "10.30.0.2"), world.container(overlays[1], "c2", "10.30.0.3")]
    for node, overlay, other in zip(world.nodes, overlays, reversed(world.nodes), strict=True):
        overlay.vxlan0.fdb.append("00:00:00:00:00:00", other.address)
        node.root.neighbours.add_permanent("eth0", other.address, other.eth0.mac.hex(":"))
    start = recorded("c1")[0][0] - 1000
    for place, container, mac in (("c1", containers[0], MAC_1), ("c2", containers[1], MAC_2)):
        eth0 = container.device("eth0")
        eth0.upper = lambda frame: None
        for time_ns, data in recorded(place):
            if data[6:12] == mac:
                world.kernel.call_at(time_ns - start, eth0.transmit, Frame(data, world.kernel.next_packet_id()))
    world.run()
    return world, overlays


def test_the_same_frames_pass_the_containers_and_the_vxlan_devices():
    world, _ = replay()
    for place, label in PLACES.items():
        seen = sorted(world.seen[label], key=lambda entry: entry[0])
        assert [frame.data for _, _, frame in seen] == [data for _, data in recorded(place)], place


def test_the_same_packets_pass_the_underlay():
    world, _ = replay()
    emulated = [frame.data for _, _, frame in sorted(world.seen["host1:eth0"], key=lambda entry: entry[0])]
    real = [data for _, data in recorded("underlay")]
    assert [data[42:] for data in emulated] == [data[42:] for data in real], "VXLAN header and inner frame"
    for ours, theirs in zip(emulated, real, strict=True):
        assert ours[12:18] + ours[20:24] + ours[36:40] == theirs[12:18] + theirs[20:24] + theirs[36:40]
        assert ours[29] == theirs[29], "from the same host"
        assert verify_ipv4_header(ours, 14, 20)
        assert verify_udp(ours[26:30], ours[30:34], ours[34:])
    pairs = {(ours[34:36], theirs[34:36]) for ours, theirs in zip(emulated, real, strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == 3, "ARP, ICMP, and the rest"


def test_both_devices_have_learned_where_the_other_container_is():
    _, overlays = replay()
    first, second = (overlay.vxlan0.fdb.text() for overlay in overlays)
    assert "02:42:0a:1e:00:03 dev vxlan0 dst 198.18.0.2 link-netnsid 0 self \n" in first
    assert "02:42:0a:1e:00:02 dev vxlan0 dst 198.18.0.1 link-netnsid 0 self \n" in second
