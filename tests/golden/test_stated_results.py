"""Recorded results whose captures are not here: what the transcripts and statements say, by emu's own API."""

from __future__ import annotations

import re
from typing import Any

import pytest

import emu
from emu.capture.interface import InterfaceInfo
from emu.kernel.tap import Tap
from emu.wire.drop import DropReason

SECOND = 1_000_000_000
ARP, BROADCAST = b"\x08\x06", b"\xff" * 6
ENGINES = ("20.10", "28", "29")


class Net(emu.Emulation):
    """An emulation that keeps what its interfaces show: (time in s, frame) by name."""

    def __init__(self, engine: str) -> None:
        super().__init__(engine=engine, seed=1)
        self.seen: dict[str, list[tuple[float, bytes]]] = {}
        self.interfaces.watch(self._watch)

    def _watch(self, info: InterfaceInfo) -> Tap:
        seen = self.seen.setdefault(info.name, [])
        return lambda now_ns, frame, direction: seen.append((now_ns / SECOND, frame.data))

    def requests(self, interface: str, sender: bytes) -> list[tuple[float, bool]]:
        """The ARP requests of a MAC address: when, and whether they were broadcast; announcements left out."""
        return [
            (round(time_s, 1), data[:6] == BROADCAST)
            for time_s, data in self.seen[interface]
            if data[12:14] == ARP and data[21] == 1 and data[6:12] == sender and data[28:32] != data[38:42]
        ]


def _mac(container: emu.Container) -> bytes:
    return bytes.fromhex(container.interface("eth0").mac.replace(":", ""))


def sequence_numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"icmp_seq=(\d+)", text)]


def test_a_router_reports_ttl_exceeded_six_times_and_then_once_a_second_g10() -> None:
    """linux g10: `ping -t 1 -c 40 -i 0.1 -W 1`; echo replies are not limited: `ping -c 200 -i 0.002`."""
    net = Net("29")
    c1, outside = net.add_host("dk").containers.run("c1"), net.add_host("outside")
    net.add_link(c1.host, outside, subnet="203.0.113.0/24")
    limited = c1.ping("203.0.113.2", count=40, interval="100ms", ttl=1, timeout="1s", at="5s")
    unlimited = c1.ping("172.17.0.1", count=200, interval="2ms", at="20s")
    net.run()
    assert sequence_numbers(limited.result.text) == [1, 2, 3, 4, 5, 6, 11, 21, 30, 40]
    assert "40 packets transmitted, 0 received, +10 errors, 100% packet loss" in limited.result.text
    assert unlimited.result.received == 200


def test_a_raised_mtu_is_refused_by_the_veth_and_only_the_container_sees_the_frames_b7() -> None:
    """FACT 30; the frames and texts of f6-mtu-o1-eth0: the refused request 1 is sent again, then every one counts."""
    net = Net("29")
    network = net.networks.create("small", subnet="10.5.0.0/24", options={"com.docker.network.driver.mtu": "1400"})
    c1, _ = (net.host.containers.run(name, network=network) for name in ("c1", "c2"))
    net.run(until="5s")
    c1.namespace.device("eth0").set_mtu(1500)
    just_fits = c1.ping("10.5.0.3", count=1, size=1376, dont_fragment="dont", timeout="1s", at="10s")
    refused = c1.ping("10.5.0.3", count=3, size=1472, dont_fragment="do", timeout="1s", at="20s")
    net.run()
    assert just_fits.result.received == 1, "1404 bytes: the MTU and a VLAN tag"
    assert refused.result.text.count("ping: sendmsg: No buffer space available\n") == 3
    assert refused.result.transmitted == 3
    shown = [data[40:42] for time_s, data in net.seen["c1:eth0"] if len(data) == 1514]
    assert shown == [b"\x00\x01", b"\x00\x01", b"\x00\x02", b"\x00\x03"]
    others = [data for name, seen in net.seen.items() if name != "c1:eth0" for _, data in seen]
    assert not any(len(data) == 1514 for data in others)


@pytest.mark.parametrize(
    ("engine", "options", "lost"),
    [("20.10", {}, False), ("28", {}, False), ("28", {"com.docker.network.advertise_addr_nmsgs": 0}, True)],
    ids=["20.10 keeps the MAC", "28 announces the new MAC", "28 without announcements"],
)
def test_an_address_that_is_used_again_with_another_mac_s13(engine: str, options: dict[str, Any], lost: bool) -> None:
    """Reference S13. Unannounced, the old entry lives on: REACHABLE, 5 s DELAY, 3 unicast probes, then a broadcast."""
    net = Net(engine)
    network = net.networks.create("web", subnet="10.5.0.0/24", options=options)
    pinger, old, witness = (net.host.containers.run(name, network=network) for name in ("c1", "c2", "c3"))
    mac = pinger.interface("eth0").mac
    pinger.ping("10.5.0.3", count=1, at="10s")
    ping = pinger.ping("10.5.0.3", count=70, at="12s")

    def replace() -> None:
        old.remove(force=True)
        net.host.containers.run("c4", network=network)

    net.at("13.5s", replace)
    net.run()
    requests = net.requests("c1:eth0", bytes.fromhex(mac.replace(":", "")))
    answered = sequence_numbers(ping.result.text)
    if not lost:
        assert answered == list(range(1, 71))
        assert [time_s for time_s, broadcast in requests if broadcast] == [10.0], "nobody asked again"
        return
    (again_s,) = [time_s for time_s, broadcast in requests if broadcast and time_s > 12]
    probes = [time_s for time_s, broadcast in requests if not broadcast and time_s < again_s]
    assert [later - probes[0] for later in probes] == pytest.approx([0, 1.02, 2.05], abs=0.1)
    assert 1 <= again_s - probes[-1] <= 2.1, "after the third probe the next request is broadcast"
    assert 15 + 5 <= probes[0] - 10 <= 45 + 5.3, "REACHABLE for 15 to 45 s, then DELAY"
    missing = sorted(set(range(1, 71)) - set(answered))
    assert missing == list(range(3, missing[-1] + 1))
    flooded = [data for _, data in net.seen[f"{witness.name}:eth0"] if data[12:14] == b"\x08\x00"]
    assert len(flooded) == len(missing), "the bridge does not know the old address any more"


@pytest.mark.parametrize(("engine", "answered"), [("20.10", 1), ("28", 0), ("29", 0)])
def test_a_host_answers_for_all_its_addresses_on_every_interface_but_the_raw_table_minds_s9(
    engine: str, answered: int
) -> None:
    """Reference S9, FACT 47: ARP flux (arp_ignore 0); `-d <address> ! -i <its bridge> -j DROP` from engine 28 on."""
    net = Net(engine)
    first = net.networks.create("n1", subnet="10.1.0.0/24")
    second = net.networks.create("n2", subnet="10.2.0.0/24")
    client = net.host.containers.run("c1", network=first)
    server = net.host.containers.run("c2", network=[first, second])
    client.namespace.routes.add("10.2.0.0/24", device=client.namespace.device("eth0"))
    drops: list[DropReason] = []
    net.kernel.journal.drop_listeners.append(lambda _now, _frame, reason, _where: drops.append(reason))
    ping = client.ping("10.2.0.2", count=1, timeout="1s", at="5s")
    net.run()
    mac = bytes.fromhex(server.interface("eth0").mac.replace(":", ""))
    replies = [data for _, data in net.seen["c1:eth0"] if data[12:14] == ARP and data[21] == 2 and data[6:12] == mac]
    assert replies[0][28:32] == bytes((10, 2, 0, 2)), "eth0 answers for the address of eth1"
    assert ping.result.received == answered
    assert drops == ([] if answered else [DropReason.FIREWALL])


@pytest.mark.parametrize("engine", ENGINES)
def test_network_modes_none_host_and_container(engine: str) -> None:
    """FACT 89: no interface but lo; the host's namespace; another container's, until that one is gone."""
    net = Net(engine)
    run = net.host.containers.run
    lonely, guest, owner = run("c1", network="none"), run("c2", network="host"), run("c3")
    shared = run("c4", network="container:c3")
    assert (list(lonely.namespace.devices), lonely.namespace.routes.text()) == (["lo"], "")
    assert guest.namespace is net.host.namespace
    assert shared.namespace is owner.namespace
    to_owner, to_gateway = guest.ping("172.17.0.2", count=1), shared.ping("172.17.0.1", count=1)
    net.run()
    assert (to_owner.result.received, to_gateway.result.received) == (1, 1)
    owner.stop()
    owner.start()
    assert list(shared.namespace.devices) == ["lo"], "it is not joined again"


def test_pings_of_a_worker_that_is_cut_off_and_comes_back_f12() -> None:
    """FACTS29 40: silence while the pinger's entry lives, 3 unicast probes, broadcasts and "Destination Host
    Unreachable", answers again with the first ARP request that vxlan0 can answer.

    Stated, not compared with frames: the captures of engines 20.10 and 28 have no pings in them. Random are how long
    an entry is REACHABLE (15 to 45 s) and when a cut (5 to 10 s) and a repair (at most 5 s) are noticed.
    """
    net = Net("29")
    manager, worker, switch = net.add_host("dk1"), net.add_host("dk2"), net.add_switch("underlay")
    for host in (manager, worker):
        net.add_link(switch, host, subnet="203.0.113.0/24")
    net.swarm.init(control_plane="delayed")
    network = net.networks.create("ov", driver="overlay", attachable=True)
    o1, _ = manager.containers.run("o1", network=network), worker.containers.run("o2", network=network)
    ping = o1.ping("o2", count=85, timeout="1s", at="10s")
    net.at("20.5s", net.underlay.links[1].down)
    net.at("70.5s", net.underlay.links[1].up)
    net.run()
    requests = net.requests("o1:eth0", _mac(o1))
    cut_off = [(time_s, broadcast) for time_s, broadcast in requests if time_s > 20.5]
    assert [broadcast for _, broadcast in cut_off[:3]] == [False] * 3
    assert [time_s - cut_off[0][0] for time_s, _ in cut_off[:3]] == pytest.approx([0, 1.02, 2.05], abs=0.1)
    broadcasts = [time_s for time_s, broadcast in cut_off if broadcast]
    assert 20.5 + 5 <= cut_off[0][0] <= 20.5 + 45 + 5.3, "REACHABLE for 15 to 45 s, then DELAY"
    assert broadcasts[0] > cut_off[2][0]
    replies = [
        time_s
        for time_s, data in net.seen["o1:eth0"]
        if time_s > 20.5 and data[12:14] == ARP and data[20:22] == b"\x00\x02" and data[:6] == _mac(o1)
    ]
    assert 70.5 < replies[0] <= 70.5 + 5 + 1.1
    assert broadcasts[-1] == pytest.approx(replies[0], abs=0.1), "the first question that vxlan0 answers is the last"
    lines = ping.result.text.splitlines()
    failed = [sequence_numbers(line)[0] for line in lines if "Destination Host Unreachable" in line]
    answered = [sequence_numbers(line)[0] for line in lines if " bytes from " in line]
    assert answered[:11] == list(range(1, 12)), "what was sent until 20.1 s"
    assert failed == list(range(failed[0], failed[-1] + 1)), "without a gap"
    assert answered[11:] == list(range(failed[-1] + 1, 86)), "what waits for the answer is sent then"
    sent = [
        (time_s, int.from_bytes(data[40:42], "big"))
        for time_s, data in net.seen["o1:eth0"]
        if data[12:14] == b"\x08\x00" and data[34] == 8
    ]
    assert [number for _, number in sent] == [*range(1, failed[0]), *range(failed[-1] + 1, 86)], "the failed never left"
    last_silent_s = sent[failed[0] - 2][0]
    assert broadcasts[0] - last_silent_s == pytest.approx(1.024, rel=0.05), "the next one has nobody to go to: it asks"
