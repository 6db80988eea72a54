"""The plain Linux recordings g6, g7 and g9, replayed: the same frames in the same order, timers within 5 percent."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.device.netdevice import NetDevice
from emu.device.veth import create_veth
from emu.stack.namespace import Namespace
from emu.wire.frame import Frame
from tests.golden.compare import read_pcap
from tests.stack.world import SECOND, Pinger, World

FOLDER = Path(__file__).parent.parent / "golden" / "linux"
H1, H2, H3, ROUTER = (b"\x02\0\0\0\0" + bytes((last,)) for last in (1, 2, 3, 0xF1))


def recorded(name: str) -> list[tuple[int, bytes]]:
    """(ns since the first frame, data) of the ARP, ICMP and UDP frames of a capture."""
    packets = read_pcap(FOLDER / f"{name}.pcap")
    start_ns = packets[0][0]
    return [
        (time_ns - start_ns, data)
        for time_ns, data in packets
        if data[12:14] == b"\x08\x06" or (data[12:14] == b"\x08\x00" and data[23] != 6)
    ]


def essence(data: bytes) -> tuple[object, ...]:
    """Everything of a frame that is not random: no identifications, no checksums that depend on them."""
    if data[12:14] == b"\x08\x06":
        return ("ARP", data[:6], data[6:12], data[20:22], data[28:32], data[32:38], data[38:42])
    header = data[:18] + data[20:24] + data[26:34]
    first_fragment = not (data[20] & 0x1F or data[21])
    return ("IP", header, data[34:36] if first_fragment else b"")


def joined(
    world: World, a: Namespace, b: Namespace, macs: tuple[bytes, bytes], addresses: tuple[str, str], mtu: int = 1500
) -> tuple[NetDevice, NetDevice]:
    name = f"eth{max(len(a.devices), len(b.devices)) - 1}"
    ends = create_veth(world.kernel, name, macs[0], name, macs[1], mtu)
    for namespace, device, address in zip((a, b), ends, addresses, strict=True):
        namespace.add_device(device)
        device.set_up()
        namespace.add_address(device, address)
        world.tap(device)
    return ends


def test_g9_path_mtu_and_fragments_through_a_router() -> None:
    real = [(t, data) for t, data in recorded("g9-router-h1") if t < 1_700_000_000]
    world = World()
    h1, router, h4 = world.namespace("h1"), world.namespace("r"), world.namespace("h4")
    router.sysctl["net.ipv4.ip_forward"] = 1
    joined(world, h1, router, (H1, ROUTER), ("10.9.0.1/24", "10.9.0.250/24"))
    joined(world, router, h4, (world.mac(), world.mac()), ("10.9.1.250/24", "10.9.1.4/24"), mtu=1400)
    h1.routes.add("10.9.1.0/24", via="10.9.0.250")
    h4.routes.add("default", via="10.9.1.250")
    pinger = Pinger(world, h1)
    pinger.ping_at(916_000_000, "10.9.1.4")
    pinger.ping_at(917_000_000, "10.9.1.4", size=1472, dont_fragment="do")
    refused: list[int] = []

    def refused_here() -> None:
        with pytest.raises(OSError, match="Message too long") as caught:
            pinger.ping("10.9.1.4", size=1472, dont_fragment="do")
        refused.append(caught.value.mtu)  # type: ignore[attr-defined]

    world.at(1_220_000_000, refused_here)
    pinger.ping_at(1_551_000_000, "10.9.1.4", size=1372, dont_fragment="do")
    world.at(1_552_000_000, h1.pmtu.clear)  # ip route flush cache
    pinger.ping_at(1_553_000_000, "10.9.1.4", size=1472, dont_fragment="dont")
    pinger.ping_at(1_555_000_000, "10.9.1.4", size=4000)
    world.run(2 * SECOND)
    emulated = [frame.data for _, _, frame in world.seen["h1:eth0"]]
    assert [essence(data) for data in emulated] == [essence(data) for _, data in real]
    assert refused == [1400]


def test_g7_a_neighbour_disappears_and_comes_back() -> None:
    whole = recorded("g7-neigh-h1")
    start_real = next(t for t, data in whole if t > 100 * SECOND and data[12:14] == b"\x08\x00")
    real = [(t - start_real, data) for t, data in whole if start_real <= t < start_real + 15 * SECOND]
    world = World()
    h1, h2 = world.namespace("h1"), world.namespace("h2")
    _, peer = joined(world, h1, h2, (H1, H2), ("10.9.0.1/24", "10.9.0.2/24"))
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.2")
    begin = 97_180_000_000  # the phase of the timer wheel at which the recorded machine happened to be
    upper = peer.upper
    world.at(begin - SECOND, lambda: setattr(peer, "upper", lambda frame: None))
    sent_real = [t for t, data in real if data[12:14] == b"\x08\x00" and data[6:12] == H1]
    unseen = [9_222_000_000 + index * 1_015_000_000 for index in range(4)]  # icmp_seq 10 to 13 waited in vain
    last = next(t for t, data in real if t > 13 * SECOND)
    for time_ns in [*sent_real[:9], *unseen, last]:
        pinger.ping_at(begin + time_ns, "10.9.0.2")
    world.at(begin + 14 * SECOND, lambda: setattr(peer, "upper", upper))
    world.run(begin + 15 * SECOND)
    emulated = [(t - begin, frame.data) for t, _, frame in world.seen["h1:eth0"] if t >= begin]
    assert [essence(data) for _, data in emulated] == [essence(data) for _, data in real]
    for (model_ns, _), (real_ns, data) in zip(emulated, real, strict=True):
        assert model_ns == pytest.approx(real_ns, rel=0.05, abs=1_000_000), essence(data)
    assert [entry[2:4] for entry in pinger.errors] == [(3, 1)] * 4, "icmp_seq 10 to 13: Destination Host Unreachable"


def test_g6_unsolicited_replies_and_the_locktime() -> None:
    real = recorded("g6-garp-h1")
    world = World()
    h1 = world.namespace("h1")
    eth0, _ = joined(world, h1, world.namespace("lan"), (H1, H2), ("10.9.0.1/24", "192.0.2.1/24"))
    for time_ns, data in real:
        if data[6:12] != H1:
            world.at(time_ns + 1, lambda data=data: eth0.receive(Frame(data, 1)))
    question_ns = next(t for t, data in real if data[6:12] == H1 and data[20:22] == b"\0\x01")
    world.at(question_ns, lambda: h1.interface("eth0").neighbour(bytes((10, 9, 0, 2))).output(b"\x45" + bytes(19), 9))
    states = []
    moments = [question_ns - 1, question_ns + 150_000_000, question_ns + 1_600_000_000, question_ns + 1_800_000_000]
    for moment in moments:
        world.at(moment, lambda: states.append(h1.neighbours.text().splitlines()[-1:]))
    world.run(question_ns + 2 * SECOND)
    line = "10.9.0.2 dev eth0 lladdr 02:00:00:00:00:0{} {} "
    assert states[0] != [line.format(2, "REACHABLE")]
    assert states[1:3] == [[line.format(2, "REACHABLE")]] * 2, "0.1 s after the entry was written: ignored"
    assert states[3] == [line.format(3, "STALE")], "1.7 s after: taken"
    assert H3 in {data[22:28] for _, data in real}
