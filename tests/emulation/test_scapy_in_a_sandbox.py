"""Scapy's send, sr, sr1 and srp inside a container: on the wire in virtual time, answers as Scapy matches them."""

from __future__ import annotations

import re

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

import emu
from emu.kernel.errors import InvalidValue
from tests.traffic.routers import FAR, FAR_ROUTER, NEAR_ROUTER, behind_two_routers

BROADCAST = "ff:ff:ff:ff:ff:ff"


@pytest.fixture
def lan() -> tuple[emu.Emulation, emu.Container, emu.Container]:
    """web (172.17.0.2) and db (172.17.0.3) on the default bridge."""
    net = emu.Emulation(seed=1)
    return net, net.host.containers.run("web"), net.host.containers.run("db")


def test_an_ip_packet_is_routed_resolved_and_sent_from_the_containers_address(lan) -> None:
    net, web, db = lan
    sniffed = db.sniff(lfilter=lambda packet: UDP in packet)
    web.send(IP(dst="172.17.0.3", ttl=9) / UDP(sport=7, dport=9) / Raw(b"hello"))
    net.run()
    (packet,) = sniffed.result
    assert (packet[Ether].src, packet[Ether].dst) == (web.interface().mac, db.interface().mac)
    assert (packet[IP].src, packet[IP].ttl, packet[Raw].load) == ("172.17.0.2", 9, b"hello")
    assert web.namespace.neighbours.state("eth0", "172.17.0.3") != "none"


def test_a_packet_for_elsewhere_goes_to_the_gateway() -> None:
    net, web = behind_two_routers()
    sniffed = web.sniff(lfilter=lambda packet: UDP in packet and ICMP not in packet)
    web.send(IP(dst=FAR) / UDP(sport=7, dport=9))
    net.run()
    assert sniffed.result[0].dst == web.host.interface("docker0").mac


def test_source_addresses_that_are_set_stay(lan) -> None:
    net, web, db = lan
    sniffed = db.sniff(lfilter=lambda packet: UDP in packet)
    web.send(IP(src="172.17.0.77", dst="172.17.0.3") / UDP(sport=7, dport=9))
    net.run()
    assert sniffed.result[0][IP].src == "172.17.0.77"


def test_a_destination_without_a_way_is_an_os_error(lan) -> None:
    net, _, _ = lan
    closed = net.host.containers.run("closed", network=net.networks.create("closed", internal=True))
    with pytest.raises(OSError, match="Network is unreachable"):
        closed.send(IP(dst="8.8.8.8") / ICMP())
    with pytest.raises(OSError, match="Message too long"):
        closed.send(IP(dst=closed.addresses["closed"].rpartition(".")[0] + ".9") / UDP() / Raw(bytes(1500)))


def test_sr1_gives_the_first_answer_or_none(lan) -> None:
    net, web, _ = lan
    echo = web.sr1(IP(dst="172.17.0.3") / ICMP(id=7, seq=1) / Raw(b"abc"))
    port = web.sr1(IP(dst="172.17.0.3") / UDP(sport=7, dport=9))
    nobody = web.sr1(IP(dst="172.17.0.99") / UDP(sport=7, dport=9), timeout="1s")
    net.run()
    assert (echo.result[ICMP].type, echo.result[Raw].load, echo.result[IP].src) == (0, b"abc", "172.17.0.3")
    assert (port.result[ICMP].type, port.result[ICMP].code) == (3, 3)
    assert nobody.result is None
    assert 1_000_000_000 <= nobody.finished_ns < 1_001_000_000


def test_sr_pairs_every_packet_of_a_set_with_its_answer_and_their_times() -> None:
    net, web = behind_two_routers()
    task = web.sr(IP(dst=FAR, ttl=(1, 3)) / ICMP(id=7, seq=1), at="1s")
    net.run()
    answered, unanswered = task.result
    assert [answer[IP].src for _, answer in answered] == [NEAR_ROUTER, FAR_ROUTER, FAR]
    assert unanswered == []
    assert [sent.ttl for sent, _ in answered] == [1, 2, 3]
    assert all(sent.sent_time == 1.0 < answer.time < 1.1 for sent, answer in answered)


def test_srp_asks_on_the_link_and_fills_in_the_own_addresses(lan) -> None:
    net, web, db = lan
    task = web.srp(Ether(dst=BROADCAST) / ARP(pdst=["172.17.0.3", "172.17.0.9"]), timeout="100ms")
    net.run()
    ((request, reply),), (lost,) = task.result
    assert (reply[ARP].hwsrc, reply[ARP].psrc) == (db.interface().mac, "172.17.0.3")
    assert (request[Ether].src, request[ARP].hwsrc, request[ARP].psrc) == (*[web.interface().mac] * 2, "172.17.0.2")
    assert lost[ARP].pdst == "172.17.0.9"
    assert task.result.outcome == "1 of 2 answered"


def test_retry_sends_again_what_is_unanswered(lan) -> None:
    net, web, _ = lan
    seen = web.sniff(lfilter=lambda packet: ARP in packet and packet[ARP].pdst.startswith("172.17.0.9"))
    web.srp(Ether(dst=BROADCAST) / ARP(pdst=["172.17.0.3", "172.17.0.9"]), timeout="100ms", retry=2, at="1s")
    net.run()
    assert [round(float(packet.time), 3) for packet in seen.result] == [1.0, 1.1, 1.2]


def test_inter_is_the_pause_between_packets(lan) -> None:
    net, web, _ = lan
    task = web.sr([IP(dst="172.17.0.3") / ICMP(id=7, seq=number) for number in range(3)], inter="10ms")
    net.run()
    assert [sent.sent_time for sent, _ in task.result.answered] == [0.0, 0.01, 0.02]


def test_a_container_can_ask_itself(lan) -> None:
    net, web, _ = lan
    task = web.sr1(IP(dst="127.0.0.1") / ICMP(id=1, seq=1))
    net.run()
    assert task.result[ICMP].type == 0


def test_a_stopped_container_ends_its_question_with_what_it_had(lan) -> None:
    net, web, _ = lan
    task = web.sr([IP(dst=f"172.17.0.{number}") / ICMP(id=1, seq=1) for number in (3, 99)])
    net.at("1s", web.stop)
    net.run()
    assert (task.state, task.result.outcome) == ("stopped", "1 of 2 answered")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda web: web.sr(Ether(dst=BROADCAST) / ARP()), "sr: the packet begins with Ether; begin it with IP"),
        (lambda web: web.srp(IP(dst="1.2.3.4")), "srp: the packet begins with IP; begin it with Ether"),
        (lambda web: web.sr(ARP()), "begins with ARP; begin it with Ether"),
        (lambda web: web.sr1([]), "there is no packet to send"),
        (lambda web: web.sr1("ping"), "expected a Scapy packet or several, not 'ping'"),
        (lambda web: web.sr(IP(dst="1.2.3.4"), retry=-1), "retry must be 0 or more"),
        (lambda web: web.send(IP(dst="1.2.3.4"), interface="eth0"), "leaves where the routing table says"),
        (lambda web: web.send(Ether() / IP(dst="1.2.3.4")), "Ether.dst is not set"),
    ],
)
def test_a_packet_on_the_wrong_layer_is_one_line(lan, call, text: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(text)):
        call(lan[1])


def test_a_syn_is_answered_and_the_containers_kernel_ends_what_it_does_not_know() -> None:
    pytest.importorskip("emu.stack.tcp_protocol")
    net = emu.Emulation(seed=1)
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    db.tcp_listen(80)
    flags = web.sniff(lfilter=lambda packet: TCP in packet)
    opened = web.sr1(IP(dst="172.17.0.3") / TCP(sport=4000, dport=80, flags="S", seq=7))
    closed = web.sr1(IP(dst="172.17.0.3") / TCP(sport=4001, dport=81, flags="S", seq=7))
    net.run()
    assert str(opened.result[TCP].flags) == "SA"
    assert str(closed.result[TCP].flags) == "RA"
    assert [str(packet[TCP].flags) for packet in flags.result if 4000 in (packet[TCP].sport, packet[TCP].dport)] == [
        "S", "SA", "R",
    ]  # fmt: skip
