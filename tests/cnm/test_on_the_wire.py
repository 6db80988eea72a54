"""What networks look like in frames: start of life, isolation, communication off, internal networks."""

from __future__ import annotations

from typing import Any

import pytest

from emu.cnm.endpoint import EndpointSettings
from emu.device.netdevice import NetDevice
from emu.kernel.tap import DIRECTION_IN
from emu.wire.drop import DropReason
from tests.cnm.attachments import Attachments
from tests.cnm.lab import Lab
from tests.cnm.test_third_party_drivers import LeasingIpam

SECOND = 1_000_000_000
ARP, IPV4 = b"\x08\x06", b"\x08\x00"


class Seen(list[tuple[int, bytes]]):
    """The frames that pass a device: (time in ns, bytes)."""

    def __init__(self, device: NetDevice) -> None:
        super().__init__()
        device.add_tap(self._take)

    def _take(self, now_ns: int, frame: Any, direction: int) -> None:
        self.append((now_ns, frame.data))

    def of_type(self, ethertype: bytes) -> list[tuple[int, bytes]]:
        return [(now_ns, data) for now_ns, data in self if data[12:14] == ethertype]


def eth(container: Attachments, name: str = "eth0") -> NetDevice:
    assert container.sandbox is not None
    return container.sandbox.namespace.device(name)


def ping(lab: Lab, source: Attachments, destination: str) -> str:
    """Return "reply", "error" or "silence" for one echo request, waiting long enough for any of them."""
    assert source.sandbox is not None
    socket = source.sandbox.namespace.ping_socket()
    outcome: list[str] = []
    socket.on_reply = lambda *_: outcome.append("reply")
    socket.on_error = lambda *_: outcome.append("error")
    socket.send_echo(destination, 1, bytes(56))
    lab.kernel.run(until=lab.kernel.now + 5 * SECOND)
    socket.close()
    return outcome[0] if outcome else "silence"


def announcements(seen: Seen, mac: bytes) -> list[float]:
    found = []
    for now_ns, data in seen.of_type(ARP):
        if data[28:32] == data[38:42] and data[6:12] == mac:
            assert len(data) == 42
            assert data[:6] == b"\xff" * 6
            assert data[20:22] == b"\x00\x01"
            assert data[32:38] == bytes(6)
            found.append(now_ns / SECOND)
    return found


@pytest.mark.parametrize(("engine", "times"), [("20.10", []), ("28", [0, 1, 2]), ("29", [0, 1, 2])])
def test_a_new_interface_announces_itself_as_the_engine_does(engine: str, times: list[float]) -> None:
    lab = Lab(engine)
    seen = Seen(lab.namespace.device("docker0"))
    container = lab.container("web", "bridge")
    mac = eth(container).mac
    lab.kernel.run()
    assert announcements(seen, mac) == times
    assert len(seen) == len(times)


def test_number_and_interval_of_announcements_can_be_set() -> None:
    lab = Lab()
    for name, count, expected in (("two", 2, [0, 0.2]), ("none0", 0, [])):
        options = {"com.docker.network.advertise_addr_nmsgs": count, "com.docker.network.advertise_addr_ms": 200}
        network = lab.controller.create_network(name, options=options)
        seen = Seen(lab.namespace.device(f"br-{network.id[:12]}"))
        started = lab.kernel.now / SECOND
        container = lab.container(f"c-{name}", name)
        mac = eth(container).mac
        lab.kernel.run()
        assert [round(when - started, 6) for when in announcements(seen, mac)] == expected


def test_connecting_announces_on_the_new_network_only_and_a_moved_default_route_sends_nothing() -> None:
    lab = Lab()
    network = lab.controller.create_network("aaa")
    container = lab.container("web", "bridge")
    lab.kernel.run()
    on_default, on_new = Seen(lab.namespace.device("docker0")), Seen(lab.namespace.device(f"br-{network.id[:12]}"))
    container.connect("aaa")
    lab.kernel.run()
    assert (len(on_default), len(on_new)) == (0, 3)
    container.disconnect("aaa")
    lab.kernel.run()
    assert (len(on_default), len(on_new)) == (0, 3)


def test_stopping_a_container_sends_nothing_and_its_announcements_end() -> None:
    lab = Lab()
    seen = Seen(lab.namespace.device("docker0"))
    container = lab.container("web", "bridge")
    lab.kernel.run(until=SECOND // 2)
    container.stop()
    lab.kernel.run()
    assert len(seen) == 1


def test_a_leased_address_is_announced_when_it_arrives() -> None:
    lab = Lab()
    network = lab.controller.create_network("lan", ipam=LeasingIpam())
    seen = Seen(lab.namespace.device(f"br-{network.id[:12]}"))
    container = lab.container("web", "lan")
    lab.kernel.run()
    assert seen == []
    assert container.sandbox is not None
    container.sandbox.endpoints[0].bind("192.0.2.9/24")
    lab.kernel.run()
    assert len(announcements(seen, eth(container).mac)) == 3


@pytest.mark.parametrize("engine", ["20.10", "28", "29"])
def test_containers_of_a_network_reach_each_other_and_their_gateway(engine: str) -> None:
    lab = Lab(engine)
    lab.controller.create_network("web", subnet="10.1.0.0/24")
    first = lab.container("first", "web")
    lab.container("second", "web")
    assert ping(lab, first, "10.1.0.3") == "reply"
    assert ping(lab, first, "10.1.0.1") == "reply"
    assert ping(lab, first, "10.1.0.77") == "error"


@pytest.mark.parametrize("engine", ["20.10", "28", "29"])
def test_another_bridge_s_containers_are_silent_but_its_gateway_address_answers(engine: str) -> None:
    lab = Lab(engine)
    dropped: list[DropReason] = []
    lab.kernel.journal.drop_listeners.append(lambda _now, _frame, reason, _where: dropped.append(reason))
    lab.controller.create_network("web", subnet="10.1.0.0/24")
    lab.controller.create_network("db", subnet="10.2.0.0/24")
    lab.controller.create_network("lan", subnet="10.3.0.0/24", options={"com.docker.network.bridge.name": "lan0"})
    first = lab.container("first", "web")
    for name, network in (("second", "db"), ("third", "lan"), ("fourth", "bridge")):
        lab.container(name, network)
    for address in ("10.2.0.2", "10.3.0.2", "172.17.0.2"):
        dropped.clear()
        assert ping(lab, first, address) == "silence", address
        assert dropped == [DropReason.FIREWALL]
    for address in ("10.2.0.1", "10.3.0.1", "172.17.0.1"):
        assert ping(lab, first, address) == "reply", address


@pytest.mark.parametrize("engine", ["20.10", "28", "29"])
def test_with_communication_off_arp_passes_but_ip_does_not(engine: str) -> None:
    lab = Lab(engine)
    lab.controller.create_network(
        "quiet", subnet="10.1.0.0/24", options={"com.docker.network.bridge.enable_icc": False}
    )
    first, second = lab.container("first", "quiet"), lab.container("second", "quiet")
    lab.kernel.run()
    seen = Seen(eth(second))
    assert ping(lab, first, "10.1.0.3") == "silence"
    assert len(seen.of_type(ARP)) >= 2
    assert seen.of_type(IPV4) == []
    assert ping(lab, first, "10.1.0.1") == "reply"


@pytest.mark.parametrize("engine", ["20.10", "28", "29"])
def test_an_internal_network_reaches_neighbours_and_its_gateway_but_nothing_outside(engine: str) -> None:
    lab = Lab(engine)
    lab.controller.create_network("inner", subnet="10.1.0.0/24", internal=True)
    first = lab.container("first", "inner")
    lab.container("second", "inner")
    assert ping(lab, first, "10.1.0.3") == "reply"
    assert ping(lab, first, "10.1.0.1") == "reply"
    if engine == "20.10":
        assert ping(lab, first, "203.0.113.100") == "silence"
    else:
        with pytest.raises(OSError, match="Network is unreachable"):
            ping(lab, first, "203.0.113.100")


def test_a_container_reaches_the_uplink() -> None:
    lab = Lab()
    first = lab.container("first", "bridge")
    lab.kernel.run()
    asked: list[bytes] = []
    lab.outside.add_tap(lambda _now, frame, direction: asked.append(frame.data) if direction == DIRECTION_IN else None)
    ping(lab, first, "203.0.113.100")
    assert any(data[12:14] == ARP for data in asked)


def test_a_restarted_container_is_reached_at_its_new_mac_at_once() -> None:
    lab = Lab()
    first, second = lab.container("first", "bridge"), lab.container("second", "bridge")
    assert ping(lab, first, "172.17.0.3") == "reply"
    second.stop()
    second.start()
    lab.kernel.run(until=lab.kernel.now + SECOND // 2)
    seen = Seen(eth(first))
    assert ping(lab, first, "172.17.0.3") == "reply"
    asked = [data for _, data in seen.of_type(ARP) if data[:6] == b"\xff" * 6 and data[6:12] == eth(first).mac]
    assert asked == []
    assert seen.of_type(IPV4)[0][1][:6] == eth(second).mac


def test_a_fixed_interface_name_is_what_the_namespace_and_captures_show() -> None:
    lab = Lab()
    lab.controller.create_network("web")
    container = lab.container("c", "bridge")
    container.connect("web", EndpointSettings(driver_opts={"com.docker.network.endpoint.ifname": "lan0"}))
    assert eth(container, "lan0").label == "c:lan0"


@pytest.mark.parametrize(("engine", "bridge_sees_it"), [("20.10", True), ("28", False), ("29", False)])
def test_a_packet_to_another_bridge_dies_before_its_own_bridge_interface_sees_it_from_28_on(
    engine: str, bridge_sees_it: bool
) -> None:
    """FACT 49: the raw table drops it in PREROUTING, which a bridged packet passes before the bridge takes it in."""
    lab = Lab(engine)
    network = lab.controller.create_network("web")
    web, other = lab.container("w1", "web"), lab.container("c1", "bridge")
    lab.kernel.run()
    on_port, on_bridge = Seen(eth(web)), Seen(lab.namespace.device(f"br-{network.id[:12]}"))
    assert ping(lab, web, "172.17.0.2") == "silence"
    assert len(on_port.of_type(IPV4)) == 1
    assert bool(on_bridge.of_type(IPV4)) is bridge_sees_it
    assert ping(lab, web, "172.17.0.1") == "reply", "the other bridge's gateway is an address of the host"
    other.stop()
    assert lab.namespace.raw.text().count("172.17.0.2") == 0


def test_an_internal_network_has_no_raw_rules_and_the_others_one_per_container() -> None:
    lab = Lab("29")
    lab.controller.create_network("inside", internal=True)
    lab.container("a", "inside")
    lab.container("b", "bridge")
    assert lab.namespace.raw.text() == "-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP\n"


def test_a_leased_address_gets_its_raw_rule_when_it_arrives() -> None:
    lab = Lab("29")
    network = lab.controller.create_network("lan", ipam=LeasingIpam())
    container = lab.container("web", "lan")
    assert lab.namespace.raw.text() == ""
    assert container.sandbox is not None
    container.sandbox.endpoints[0].bind("192.0.2.9/24")
    assert f"192.0.2.9/32 ! -i br-{network.id[:12]}" in lab.namespace.raw.text()
