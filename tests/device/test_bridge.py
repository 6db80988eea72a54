"""The bridge forwards as Linux's does: learning, flooding, local delivery, port settings (FACTS 23 to 29)."""

import pytest

from emu.device import Bridge, create_veth
from emu.kernel import Conflict, InvalidValue, Kernel, NotFound, NotSupported
from emu.kernel.tap import DIRECTION_IN, DIRECTION_OUT
from emu.wire.address import BROADCAST_MAC, ZERO_MAC
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from tests.device.lan import BRIDGE_MAC, Lan, data_to, mac


def test_unknown_unicast_goes_to_every_port_but_its_own():
    lan = Lan(4)
    lan[1].send_to(9)
    lan.run()
    assert lan.listeners() == {2, 3, 4}
    assert lan.local == []


def test_a_known_address_gets_its_frames_alone():
    lan = Lan(4)
    lan.introduce(2)
    for _ in range(3):  # the first decides, the others take the fast path
        lan[1].send_to(2)
        lan.run()
        assert lan.listeners() == {2}


def test_broadcast_and_multicast_go_to_every_port_and_to_the_host():
    lan = Lan(3)
    for destination in (BROADCAST_MAC, bytes.fromhex("01005e010101"), bytes.fromhex("333300000001")):
        lan[1].send(data_to(destination, mac(1)))
        lan.run()
        assert lan.listeners() == {2, 3}
        assert len(lan.local) == 1
        lan.local.clear()


def test_flooding_serves_the_newest_port_first():
    lan = Lan(4)
    order = []
    for number, station in lan.stations.items():
        station.device.upper = lambda frame, number=number: order.append(number)
    lan[2].broadcast()
    lan.run()
    assert order == [4, 3, 1]


def test_flood_copies_are_the_same_packet():
    lan = Lan(3)
    lan[1].broadcast()
    lan.run()
    ids = {frame.packet_id for station in lan.stations.values() for _, frame in station.received}
    assert len(ids) == 1


def test_the_bridges_own_address_is_delivered_to_the_host_only():
    lan = Lan(3)
    lan[1].send(data_to(BRIDGE_MAC, mac(1)))
    lan.run()
    assert lan.listeners() == set()
    assert len(lan.local) == 1
    assert lan.bridge.counters["rx_packets"] == 1


def test_the_address_of_a_port_is_delivered_to_the_host_only():
    lan = Lan(3)
    lan[1].send(data_to(lan.host_ends[2].mac, mac(1)))
    lan.run()
    assert lan.listeners() == set()
    assert len(lan.local) == 1


@pytest.mark.parametrize("source", [bytes.fromhex("030000000009"), ZERO_MAC, BROADCAST_MAC])
def test_frames_with_an_impossible_source_are_dropped(source):
    lan = Lan(3)
    lan[1].send(data_to(mac(2), source))
    lan.run()
    assert lan.listeners() == set()
    assert lan.drops == [(DropReason.BRIDGE_INVALID_SOURCE, "p1")]


def test_of_the_reserved_groups_only_the_spanning_tree_group_is_flooded():
    lan = Lan(3)
    flooded = set()
    for last in range(0x12):
        lan[1].send(data_to(bytes((1, 0x80, 0xC2, 0, 0, last)), mac(1)))
        lan.run()
        if lan.listeners():
            flooded.add(last)
    assert flooded == {0, 0x10, 0x11}
    assert set(lan.drops) == {(DropReason.BRIDGE_RESERVED_GROUP, "p1")}
    assert len(lan.drops) == 15


def test_a_destination_on_the_ingress_port_is_dropped():
    lan = Lan(3)
    lan[1].send(data_to(BROADCAST_MAC, mac(7)))  # station 7 is behind port 1 as well
    lan.run()
    lan.listeners()
    lan[1].send_to(7)
    lan.run()
    assert lan.listeners() == set()
    assert lan.drops == [(DropReason.BRIDGE_SAME_PORT, "p1")]


def test_hairpin_sends_frames_back_out_of_their_port_broadcasts_too():
    lan = Lan(3)
    lan[1].send(data_to(BROADCAST_MAC, mac(7)))
    lan.run()
    lan.listeners()
    lan.port(1).set_hairpin(True)
    lan[1].send_to(7)
    lan.run()
    assert lan.listeners() == {1}
    lan[1].broadcast()
    lan.run()
    assert lan.listeners() == {1, 2, 3}
    lan.port(1).set_hairpin(False)
    lan[1].send_to(7)
    lan.run()
    assert lan.listeners() == set()


def test_a_mac_seen_at_another_port_moves_at_once():
    lan = Lan(3)
    lan.introduce()
    lan[2].send_to(1)
    lan[2].send_to(1)
    lan.run()
    assert lan.listeners() == {1}
    lan[3].send(data_to(BROADCAST_MAC, mac(1)))
    lan.run()
    lan.listeners()
    lan[2].send_to(1)
    lan.run()
    assert lan.listeners() == {3}


def test_an_address_is_forgotten_after_exactly_its_ageing_time():
    lan = Lan(3)
    lan.bridge.set_ageing("5s")
    lan.introduce()
    heard = lan.kernel.now
    lan.wait(5 * 10**9 - 1 - (lan.kernel.now - heard))
    lan[1].send_to(2)
    lan.wait(1)
    assert lan.listeners() == {2}
    lan[1].send_to(2)  # now it is 5 s old, although the fast path remembers it
    lan.run()
    assert lan.listeners() == {2, 3}


def test_traffic_on_the_fast_path_keeps_its_source_young_but_not_its_destination():
    lan = Lan(3)
    lan.introduce()
    for _ in range(5):
        lan.wait(100 * 10**9)
        lan[1].send_to(2)
        lan.wait(1)
    assert lan.listeners() == {2, 3}  # station 2 was silent for 500 s
    lan[2].send_to(1)
    lan.run()
    assert lan.listeners() == {1}


def test_ageing_time_zero_makes_it_a_hub():
    lan = Lan(3)
    lan.bridge.set_ageing(0)
    lan.introduce()
    lan[1].send_to(2)
    lan.run()
    assert lan.listeners() == {2, 3}


def test_a_port_without_learning_or_flooding():
    lan = Lan(3)
    lan.port(2).set_learning(False)
    lan.port(3).set_flood(False)
    lan.introduce()
    lan[1].send_to(2)
    lan.run()
    assert lan.listeners() == {2}  # not learned, so flooded, but not to port 3
    lan[1].broadcast()
    lan.run()
    assert lan.listeners() == {2, 3}


def test_a_disabled_port_neither_takes_nor_gets_frames():
    lan = Lan(3)
    lan.introduce()
    lan[1].send_to(2)
    lan.run()
    lan.listeners()
    lan.port(2).set_state("disabled")
    lan[1].send_to(2)
    lan[2].send_to(1)
    lan.run()
    assert lan.listeners() == set()
    assert lan.drops == [(DropReason.BRIDGE_PORT_DISABLED, "p2")] * 2
    lan.port(2).set_state("forwarding")
    lan[1].send_to(2)
    lan.run()
    assert lan.listeners() == {2}
    with pytest.raises(InvalidValue, match="'blocking' of p2: expected disabled or forwarding"):
        lan.port(2).set_state("blocking")


def test_link_down_forgets_what_was_learned_there_at_once():
    lan = Lan(3)
    lan.introduce()
    lan[1].send_to(2)
    lan.run()
    lan[2].device.set_down()
    lan[2].device.set_up()
    lan.listeners()
    lan[1].send_to(2)
    lan.run()
    assert lan.listeners() == {2, 3}


def test_a_removed_port_is_out_of_the_game():
    lan = Lan(3)
    lan.introduce()
    lan[1].send_to(2)
    lan.run()
    lan.listeners()
    lan.bridge.remove_port(lan.host_ends[2])
    lan[1].send_to(2)
    lan.run()
    assert lan.listeners() == {3}
    assert "p2" not in lan.bridge.fdb.text()
    assert lan.host_ends[2].master is None
    with pytest.raises(NotFound, match="p2 is not a port of br0"):
        lan.bridge.port(lan.host_ends[2])


def test_a_bridge_that_is_down_forwards_nothing():
    lan = Lan(2)
    lan.bridge.set_down()
    lan[1].broadcast()
    lan.run()
    assert lan.listeners() == set()
    assert lan.bridge.transmit(Frame(data_to(BROADCAST_MAC, BRIDGE_MAC), 1))
    assert lan.bridge.drops == {DropReason.DEVICE_DOWN: 1}
    lan.bridge.set_up()
    lan[1].broadcast()
    lan.run()
    assert lan.listeners() == {2}


def test_a_lone_port_has_nowhere_to_forward_to():
    lan = Lan(1)
    lan[1].send_to(9)
    lan.run()
    assert lan.drops == [(DropReason.BRIDGE_NO_PORT, "br0")]


def test_the_hosts_own_frames_go_where_they_should():
    lan = Lan(3)
    lan.introduce()
    lan.bridge.transmit(Frame(data_to(mac(2), BRIDGE_MAC), 1))
    lan.run()
    assert lan.listeners() == {2}
    lan.bridge.transmit(Frame(data_to(BROADCAST_MAC, BRIDGE_MAC), 2))
    lan.run()
    assert lan.listeners() == {1, 2, 3}
    assert lan.bridge.counters["tx_packets"] == 2


def test_the_bridges_tap_sees_forwarded_frames_once_and_its_own_traffic():
    lan = Lan(3)
    lan.introduce()
    seen = []
    lan.bridge.add_tap(lambda now_ns, frame, direction: seen.append((frame.data[:6], direction)))
    lan[1].send_to(2)
    lan.run()
    lan[1].send_to(2)
    lan[1].broadcast()
    lan[1].send(data_to(BRIDGE_MAC, mac(1)))
    lan.bridge.transmit(Frame(data_to(mac(1), BRIDGE_MAC), 1))
    lan.run()
    assert sorted(seen) == sorted(
        [
            (mac(2), DIRECTION_IN),
            (mac(2), DIRECTION_IN),
            (BROADCAST_MAC, DIRECTION_IN),
            (BRIDGE_MAC, DIRECTION_IN),
            (mac(1), DIRECTION_OUT),
        ]
    )


def test_a_port_forwards_up_to_its_mtu_and_a_vlan_tag_and_drops_longer_frames_silently():
    lan = Lan(3)
    lan.introduce()
    lan.host_ends[2].set_mtu(1000)
    assert lan[1].send_to(2, size=14 + 1004)
    assert lan[1].send_to(2, size=14 + 1005)  # the sender notices nothing
    lan.run()
    assert [len(data) for data in lan[2].took()] == [1018]
    assert lan.drops == [(DropReason.BRIDGE_PORT_MTU, "p2")]


def test_the_bridges_mtu_follows_the_smallest_port_until_it_is_set_and_limits_nothing():
    lan = Lan(3)
    assert lan.bridge.mtu == 1500
    lan.host_ends[2].set_mtu(1000)
    assert lan.bridge.mtu == 1000
    lan.introduce()
    lan[1].send_to(3, size=1514)
    lan.run()
    assert lan.listeners() == {3}
    lan.host_ends[2].set_mtu(1400)
    assert lan.bridge.mtu == 1400
    lan.bridge.set_mtu(1300)
    lan.host_ends[2].set_mtu(900)
    assert lan.bridge.mtu == 1300


def test_a_bridge_without_an_own_mac_takes_the_lowest_of_its_ports():
    kernel = Kernel()
    bridge = Bridge(kernel, "br0")
    assert bridge.mac == ZERO_MAC
    ends = [create_veth(kernel, f"a{n}", mac(0x10 + n), f"b{n}", mac(n))[1] for n in (5, 3, 4)]
    for end in ends:
        bridge.add_port(end)
    assert bridge.mac == mac(3)
    bridge.remove_port(ends[1])
    assert bridge.mac == mac(4)
    bridge.set_mac(mac(0x77))
    bridge.remove_port(ends[2])
    assert bridge.mac == mac(0x77)
    assert "02:00:00:00:00:77 dev br0 master br0 permanent" in bridge.fdb.text()


def test_the_carrier_is_there_while_a_port_forwards():
    lan = Lan(2)
    assert lan.bridge.carrier
    lan[1].device.set_down()
    assert lan.bridge.carrier
    lan[2].device.set_down()
    assert not lan.bridge.carrier
    lan[1].device.set_up()
    assert lan.bridge.carrier


def test_what_cannot_be_a_port_is_refused_and_nothing_changes():
    lan = Lan(2)
    other = Bridge(lan.kernel, "br1", mac(0x50))
    with pytest.raises(Conflict, match="p1 is already a port of br0"):
        other.add_port(lan.host_ends[1])
    with pytest.raises(NotSupported, match="a bridge device such as br0 cannot be a port"):
        other.add_port(lan.bridge)
    assert other.ports == []


def test_a_deleted_bridge_lets_its_ports_go():
    lan = Lan(2)
    lan.bridge.delete()
    assert lan.host_ends[1].master is None
    lan[1].broadcast()
    lan.run()
    assert lan.listeners() == set()
