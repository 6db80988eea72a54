"""The bridge's fast path is never wrong: whatever a decision depended on, a change of it takes effect at once."""

import pytest

from emu.device import bridge_port
from emu.wire.frame import Frame
from tests.device.lan import BRIDGE_MAC, Lan, data_to, mac
from tests.device.test_fdb import PassingHooks

SECOND = 10**9


def warm_lan(stations: int = 3) -> Lan:
    """A LAN on which 1 has sent to 2 often enough for the fast path."""
    lan = Lan(stations)
    lan.introduce()
    for _ in range(2):
        lan[1].send_to(2)
        lan.run()
    assert len(lan.port(1).cache) == 1
    lan.listeners()
    return lan


@pytest.mark.parametrize("somebody_looks", ["traffic", "bridge fdb show"])
def test_an_address_that_was_forgotten_and_learned_anew_is_kept_young_by_the_fast_path(somebody_looks):
    lan = warm_lan()
    for _ in range(3):  # 2 stays known, 1 ages away
        lan.wait(100 * SECOND)
        lan[2].broadcast()
        lan.wait(1)
    if somebody_looks == "traffic":
        lan[3].send_to(1)
        lan.run()
    else:
        lan.bridge.fdb.text()
    lan[1].broadcast()
    lan.run()
    for _ in range(4):
        lan[1].send_to(2)
        lan.wait(100 * SECOND)
        lan[2].broadcast()
        lan.wait(1)
    lan.listeners()
    lan[3].send_to(1)
    lan.run()
    assert lan.listeners() == {1}


def test_without_learning_the_fast_path_keeps_nobody_young():
    lan = warm_lan()
    lan.port(1).set_learning(False)
    for _ in range(3):
        lan.wait(100 * SECOND)
        lan[2].broadcast()
        lan[1].send_to(2)
        lan.wait(1)
    lan.listeners()
    lan[3].send_to(1)
    lan.run()
    assert lan.listeners() == {1, 2}


def test_an_address_that_becomes_the_bridges_own_is_no_longer_forwarded_to():
    lan = warm_lan()
    lan.bridge.set_mac(mac(2))
    lan[1].send_to(2)
    lan.run()
    assert lan.listeners() == set()
    assert len(lan.local) == 1
    lan[1].send(data_to(BRIDGE_MAC, mac(1)))  # the old address is nobody's now
    lan.run()
    assert lan.listeners() == {2, 3}


def test_the_address_of_a_removed_port_stays_the_bridges_own_if_it_is():
    lan = Lan(2)
    lan.bridge.set_mac(lan.host_ends[2].mac)
    lan.bridge.remove_port(lan.host_ends[2])
    lan[1].send(data_to(lan.bridge.mac, mac(1)))
    lan.run()
    assert len(lan.local) == 1


def test_an_address_the_bridge_gives_up_stays_local_if_a_port_has_it():
    lan = Lan(2)
    lan.host_ends[2].set_mac(BRIDGE_MAC)
    lan.bridge.set_mac(mac(0x70))
    assert "02:00:00:00:00:fe dev p2 master br0 permanent" in lan.bridge.fdb.text()


def test_listeners_hear_of_the_bridges_carrier_mac_and_mtu():
    lan = Lan(1)
    heard = []
    lan.bridge.change_listeners.append(lambda bridge: heard.append((bridge.running, bridge.mtu, bridge.mac[5])))
    lan[1].device.set_down()
    lan[1].device.set_up()
    lan.host_ends[1].set_mtu(1400)
    lan.bridge.set_mac(mac(5))
    assert heard == [(False, 1500, 0xFE), (True, 1500, 0xFE), (True, 1400, 0xFE), (True, 1400, 5)]


def test_a_device_that_leaves_is_free_of_the_port_mtu_rule_and_its_namespace_hears_of_it():
    lan = Lan(2)
    device = lan.host_ends[2]
    device.set_mtu(1000)
    heard = []
    device.change_listeners.append(lambda device: heard.append(device.master))
    lan.bridge.remove_port(device)
    assert heard == [None]
    data = data_to(mac(2), mac(1), 1518)
    assert device.transmit(Frame(data, 1))
    lan.run()
    assert lan[2].took() == [data]


@pytest.mark.parametrize("hooks", [None, PassingHooks()])
def test_the_fast_path_remembers_a_bounded_number_of_pairs(monkeypatch, hooks):
    monkeypatch.setattr(bridge_port, "CACHE_LIMIT", 8)
    lan = Lan(2)
    lan.bridge.set_netfilter(hooks)
    lan.introduce()
    for number in range(100):
        lan[1].send(data_to(mac(2), bytes((2, 0, 0, 0, 1, number))))
        lan.run()
        assert 1 <= len(lan.port(1).cache) <= 8
    assert len(lan[2].took()) == 100


@pytest.mark.parametrize("hooks", [None, PassingHooks()])
def test_the_fast_path_forgets_an_address_at_exactly_its_age(hooks):
    lan = Lan(3)
    lan.bridge.set_netfilter(hooks)
    lan.introduce()
    data = data_to(mac(2), mac(1), text=bytes(8))  # no fragment to netfilter, so the fast path takes it
    lan[1].send(data)
    lan.wait(300 * SECOND - 1)
    lan[1].send(data)
    lan.wait(1)
    lan[1].send(data)
    lan.run()
    assert [len(station.took()) for station in lan.stations.values()] == [0, 3, 1]
