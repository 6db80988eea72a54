"""What captures get: every interface, also later ones, and frames that were sent while the topology was built."""

from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.l2 import ARP, Ether

import emu
from emu.kernel.errors import EmuError, InvalidValue
from tests.capture.pcapng_reader import CaptureFile, read_pcapng


def make(folder: Path, **settings: object) -> emu.Emulation:
    net = emu.Emulation(**settings)  # type: ignore[arg-type]
    net.folder = folder
    return net


def captured(net: emu.Emulation, name: str = "all.pcapng") -> CaptureFile:
    net.close()
    return read_pcapng(net.folder / name)


def test_one_packet_id_follows_a_packet_through_all_interfaces(tmp_path: Path) -> None:
    net = make(tmp_path)
    net.capture("all.pcapng")
    shop = net.networks.create("shop")
    web, db = (net.host.containers.run(name, network=shop) for name in ("web", "db"))
    web.ping("db", count=1)
    net.run()
    packets = captured(net).packets
    echo = next(packet for packet in packets if packet.data[23:24] == b"\x01" and packet.name == "web:eth0")
    assert [packet.name for packet in packets if packet.packet_id == echo.packet_id] == [
        "web:eth0",
        web.interface().peer.label,  # type: ignore[union-attr]
        f"host1:br-{shop.short_id}",
        db.interface().peer.label,  # type: ignore[union-attr]
        "db:eth0",
    ]


def test_frames_sent_while_building_are_in_a_capture_that_is_asked_for_last(tmp_path: Path) -> None:
    net = make(tmp_path, cost="none")
    web = net.host.containers.run("web")
    mac = web.interface().mac
    web.send(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc="1.1.1.1", hwdst=mac, pdst="1.1.1.2"))
    net.capture("all.pcapng", ["web:*"])
    net.run()
    sent = [packet.data for packet in captured(net).packets if packet.time_ns == 0]
    assert any(b"\x01\x01\x01\x01" in data for data in sent)


def test_interfaces_that_come_later_are_captured_too(tmp_path: Path) -> None:
    net = make(tmp_path)
    net.capture("all.pcapng")
    host = net.host
    net.at("1s", host.containers.run, "late")
    net.run()
    file = captured(net)
    assert "late:eth0" in [interface.name for interface in file.interfaces]
    assert next(packet.time_ns for packet in file.packets if packet.name == "late:eth0") == 1_000_000_000


def test_a_restarted_container_continues_under_its_name(tmp_path: Path) -> None:
    net = make(tmp_path)
    net.capture("all.pcapng")
    web = net.host.containers.run("web")
    net.at("5s", web.stop)
    net.at("6s", web.start)
    net.run()
    file = captured(net)
    macs = [interface.mac for interface in file.interfaces if interface.name == "web:eth0"]
    assert len(macs) == 2
    assert macs[0] != macs[1], "an engine from 28 on draws a new MAC address at each start"
    times = [packet.time_ns for packet in file.packets if packet.name == "web:eth0"]
    assert (min(times), max(times)) == (0, 8_000_000_000)


def test_globs_choose_interfaces(tmp_path: Path) -> None:
    net = make(tmp_path)
    net.capture("all.pcapng", ["web:*", "*:docker0"])
    for name in ("web", "db"):
        net.host.containers.run(name)
    net.run()
    assert [interface.name for interface in captured(net).interfaces] == ["host1:docker0", "web:lo", "web:eth0"]


def test_interfaces_are_described_in_words(tmp_path: Path) -> None:
    net = make(tmp_path)
    shop = net.networks.create("shop")
    net.host.containers.run("web", network=shop)
    net.add_link(net.host, net.add_switch("tor"))
    net.capture("all.pcapng")
    net.run()
    words = {interface.name: interface.description.partition(":")[0] for interface in captured(net).interfaces}
    assert words["web:eth0"] == "container web, network shop"
    assert words[f"host1:br-{shop.short_id}"] == "host1, bridge of network shop"
    assert words["host1:eth0"] == "host1, cable to tor"
    assert words["tor:eth0"] == "tor, cable to host1"


def test_drops_are_on_an_interface_of_their_own_with_the_reason(tmp_path: Path) -> None:
    net = make(tmp_path)
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    db.interface().set(loss=1)
    web.ping(db, count=1)
    net.capture("all.pcapng")
    net.run()
    drops = [packet for packet in captured(net).packets if packet.name == "drops"]
    assert "drop: lost on the link (configured loss) at db:eth0" in drops[0].comments


def test_addresses_have_the_names_of_containers_and_hosts(tmp_path: Path) -> None:
    net = make(tmp_path)
    shop = net.networks.create("shop", subnet="10.5.0.0/24")
    net.host.containers.run("web", network=shop)
    net.add_link(net.host, net.add_host("host2"))
    net.capture("all.pcapng")
    net.run()
    net.close()
    data = (tmp_path / "all.pcapng").read_bytes()
    assert b"web.shop\x00" in data
    assert b"host2\x00" in data


def test_an_address_that_two_containers_have_gets_no_name(tmp_path: Path) -> None:
    net = make(tmp_path)
    net.add_host("host1").containers.run("web")
    net.add_host("host2").containers.run("db")
    net.capture("all.pcapng")
    net.run()
    net.close()
    assert b"web.bridge" not in (tmp_path / "all.pcapng").read_bytes()


def test_the_capture_of_a_failed_run_is_valid(tmp_path: Path) -> None:
    net = make(tmp_path)
    net.host.containers.run("web")

    def fail() -> None:
        raise RuntimeError("in the middle")

    net.at("1500ms", fail)
    net.capture("all.pcapng")
    with pytest.raises(RuntimeError), net:
        net.run()
    assert len([packet for packet in captured(net).packets if packet.name == "web:eth0"]) == 2


def test_frames_can_be_printed() -> None:
    net = emu.Emulation(cost="none")
    lines: list[str] = []
    net.print_frames(lines.append, ["web:eth0"])
    web = net.host.containers.run("web")
    web.ping("172.17.0.1", count=1)
    net.run(until="500ms")
    assert lines[0].startswith("00:00:00.000000000 web:eth0")
    assert " Out #1 ARP, Request who-has 172.17.0.2 tell 172.17.0.2, length 28" in lines[0]
    assert any("ICMP echo reply" in line and " In  " in line for line in lines)


def test_a_capture_can_be_forbidden(tmp_path: Path) -> None:
    net = make(tmp_path)
    net.captures_enabled = False
    assert net.capture("all.pcapng") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "all.pcap"}, "name it all.pcapng"),
        ({"path": "x.pcapng", "snaplen": 0}, "snaplen is 0"),
        ({"path": "x.pcapng", "interfaces": "web"}, "interfaces is a list of patterns"),
        ({"path": "x", "format": "erf"}, "unknown capture format 'erf'"),
    ],
)
def test_a_capture_that_makes_no_sense_is_refused(settings: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=message):
        make(tmp_path).capture(**settings)  # type: ignore[arg-type]


def test_a_place_that_cannot_be_written_is_an_error_before_the_run() -> None:
    with pytest.raises(EmuError, match="/proc/nowhere"):
        emu.Emulation().capture("/proc/nowhere/all.pcapng")
