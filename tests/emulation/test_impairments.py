"""Impairments as scripts set them: on links and interfaces, in one direction, over time; and what is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import emu
from emu.kernel.errors import InvalidValue, NotSupported
from tests.helpers_tshark import needs_tshark, run_program


def pair(**settings: Any) -> tuple[emu.Emulation, emu.Link, Any, Any]:
    net = emu.Emulation(cost="none", seed=5)
    one, two = net.add_host("host1"), net.add_host("host2")
    link = net.add_link(one, two, **settings)
    sender = one.containers.run("sender", network="host")
    receiver = two.containers.run("receiver", network="host")
    return net, link, sender, receiver


def blast(net: emu.Emulation, sender: Any, receiver: Any, count: int = 200, tos: int = 0, size: int = 958) -> None:
    """Send datagrams as fast as possible at t=1 s, after ARP is settled."""
    receiver.udp(5000)
    socket = sender.udp(4000)
    socket.tos = tos
    net.at(0, socket.sendto, b"first", ("198.18.0.2", 5000))

    def send() -> None:
        for _ in range(count):
            socket.sendto(bytes(size), ("198.18.0.2", 5000))

    net.at("1s", send)


def test_a_link_is_set_in_both_directions_or_toward_one_end() -> None:
    net, link, *_ = pair(rate="1Gbit", delay="1ms")
    one, two = net.hosts.values()
    link.set(rate="10Mbit", toward=one)
    assert link.text == "rate 1Gbit delay 1ms / rate 10Mbit delay 1ms"
    link.set(loss="1%", toward=two)
    link.set(delay="2ms")
    assert link.text == "rate 1Gbit delay 2ms loss 0.01 / rate 10Mbit delay 2ms"


def test_the_interface_at_the_end_of_a_link_is_the_same_direction() -> None:
    net, link, *_ = pair(rate="1Gbit", delay="1ms")
    one, two = net.hosts.values()
    one.interface("eth0").set(loss="1%", burst="32KiB")
    link.set(rate="10Mbit", toward=two)
    two.interface("eth0").set(queue=emu.CoDel())
    assert link.text == (
        "rate 10Mbit burst 32KiB delay 1ms loss 0.01 / "
        "rate 1Gbit delay 1ms queue codel limit 1000 target 5ms interval 100ms"
    )


def test_an_end_that_the_link_does_not_have_is_refused() -> None:
    net, link, *_ = pair()
    other = net.add_host("host3")
    with pytest.raises(InvalidValue, match="toward='host3': the link joins host1 and host2, give one of them"):
        link.set(rate="1Gbit", toward=other)
    with pytest.raises(InvalidValue, match="toward='eth0'"):
        link.set(rate="1Gbit", toward="eth0")  # type: ignore[arg-type]
    assert link.text == ""


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ({"rate": "8Mbit"}, {"rate": "80Mbit"}, "rate 80Mbit"),
        ({"rate": "8Mbit"}, {"burst": "32KiB"}, "rate 8Mbit burst 32KiB"),
        ({}, {"delay": "5ms"}, "delay 5ms"),
        ({"delay": "5ms"}, {"jitter": "1ms", "distribution": "pareto"}, "delay 5ms jitter 1ms distribution pareto"),
        ({}, {"loss": 0.1}, "loss 0.1"),
        ({}, {"loss": emu.GilbertElliott("1%", "10%")}, "loss gemodel 1% 10% 100% 0%"),
        ({"delay": "5ms"}, {"reorder": "5%"}, "delay 5ms reorder 0.05"),
        ({}, {"duplicate": "5%", "corrupt": "1%"}, "duplicate 0.05 corrupt 0.01"),
        ({"rate": "8Mbit"}, {"queue": 10}, "rate 8Mbit queue 10"),
        ({"rate": "8Mbit"}, {"queue": emu.Red("3KB", "9KB")}, "queue red limit 36000B min 3000B max 9000B"),
        ({"rate": "8Mbit", "queue": "codel"}, {"queue": None}, "rate 8Mbit"),
        ({"rate": "8Mbit", "queue": "codel"}, {"queue": "codel ecn"}, "interval 100ms ecn"),
    ],
)
def test_every_parameter_can_be_changed_at_a_time_while_frames_wait(
    before: dict[str, Any], change: dict[str, Any], after: str
) -> None:
    net, link, sender, receiver = pair(**before)
    blast(net, sender, receiver)
    net.at("1050ms", link.set, **change)
    net.run()
    assert after in link.text
    history = net.hosts["host1"].interface("eth0").statistics_history
    assert sum(entry.frames for entry in history) == net.hosts["host1"].interface("eth0").counters.tx_packets
    assert history[-1].since_ns == 1_050_000_000


def test_a_wrong_change_at_a_time_is_an_error_with_the_scripts_line_and_changes_nothing() -> None:
    net, link, *_ = pair(rate="1Gbit")
    net.at("1s", link.set, rate=None, queue=10)
    with pytest.raises(InvalidValue, match="a queue fills only in front of a rate") as caught:
        net.run()
    assert caught.value.place[0] == __file__  # type: ignore[attr-defined]
    assert link.text == "rate 1Gbit"


def test_statistics_are_on_the_link_the_interface_and_in_the_summary() -> None:
    net, link, sender, receiver = pair(rate="10Mbit", queue="50", loss="5%")
    blast(net, sender, receiver)
    summary = net.run().summary()
    statistics = link.statistics["host1:eth0"]
    assert statistics == net.hosts["host1"].interface("eth0").statistics
    assert list(link.statistics) == ["host1:eth0", "host2:eth0"]
    assert statistics.queue_full == 200 - 51
    assert statistics.queue_maximum_frames == 50
    assert statistics.lost > 0
    entries = summary["impairments"]
    assert [entry["interface"] for entry in entries] == ["host1:eth0", "host2:eth0"]
    assert entries[0] == statistics.summary()
    assert entries[0]["settings"] == "rate 10Mbit loss 0.05 queue 50"
    assert json.loads(json.dumps(summary)) == summary


def test_without_impairments_the_summary_has_none() -> None:
    net, _, sender, receiver = pair()
    blast(net, sender, receiver, count=1)
    assert net.run().summary()["impairments"] == []


def test_an_interface_without_a_line_has_no_statistics() -> None:
    net = emu.Emulation()
    net.host.containers.run("web")
    with pytest.raises(NotSupported, match="host1:docker0: a bridge device has no line of its own"):
        _ = net.host.interface("docker0").statistics


def test_a_veth_can_have_all_of_it_too() -> None:
    net = emu.Emulation(cost="none")
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    web.interface("eth0").set(
        rate="10Mbit", burst="4KB", queue=emu.CoDel(ecn=True), loss="gemodel 5% 50%", delay="1ms", jitter="1ms",
        distribution="normal", duplicate="1%",
    )  # fmt: skip
    ping = web.ping(db, count=200, interval="10ms", size=1400)
    net.run()
    statistics = web.interface("eth0").statistics
    assert statistics.frames >= 200
    assert 0 < statistics.lost < 40
    assert ping.result.received >= 150


def wild(seed: int, folder: Path) -> tuple[str, bytes]:
    net = emu.Emulation("wild", seed=seed)
    one, two = net.add_host("host1"), net.add_host("host2")
    link = net.add_link(
        one, two, rate="5Mbit", burst="10KB", delay="5ms", jitter="2ms", distribution="pareto", duplicate="1%",
        loss=emu.GilbertElliott("2%", "30%"), corrupt="1%", reorder="5%", queue=emu.Red("3KB", "9KB", ecn=True),
    )  # fmt: skip
    net.capture(folder / f"{seed}.pcapng")
    sender = one.containers.run("sender", network="host")
    receiver = two.containers.run("receiver", network="host")
    blast(net, sender, receiver, tos=2)
    net.at("1020ms", link.set, queue=emu.CoDel(target="1ms", interval="10ms"), rate="3Mbit")
    with net:
        result = net.run()
    return json.dumps(result.summary()), (folder / f"{seed}.pcapng").read_bytes()


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    first = wild(1, tmp_path)
    assert wild(1, tmp_path) == first
    assert wild(2, tmp_path) != first


@pytest.mark.tshark
@needs_tshark
@pytest.mark.parametrize(
    "queue", ["codel target 5ms interval 20ms ecn", "red min 10KB max 30KB probability 0.2 weight 0.1 ecn"]
)
def test_tshark_sees_marks_with_right_checksums(queue: Any, tmp_path: Path) -> None:
    net, link, sender, receiver = pair(rate="8Mbit", queue=queue)
    net.capture(tmp_path / "marks.pcapng", ["host2:eth0"])
    blast(net, sender, receiver, tos=0xBA)
    with net:
        net.run()
    fields = [word for name in ("ip.dsfield.ecn", "ip.dsfield.dscp", "ip.checksum.status") for word in ("-e", name)]
    text = run_program(
        "tshark", "-n", "-r", tmp_path / "marks.pcapng", "-o", "ip.check_checksum:TRUE", "-Y", "udp.length > 900",
        "-T", "fields", *fields,
    )  # fmt: skip
    rows = [line.split("\t") for line in text.splitlines()]
    assert {tuple(row[1:]) for row in rows} == {("46", "1")}, "DSCP stays, every checksum is good"
    marked = sum(row[0] == "3" for row in rows)
    assert {row[0] for row in rows} == {"2", "3"}
    assert marked == link.statistics["host1:eth0"].queue_marked > 5
