"""The UDP sender keeps its pace exactly; the sink counts what arrived, and what did not."""

from __future__ import annotations

import errno
from typing import Any

import pytest

import emu
from emu.kernel import InvalidValue
from emu.traffic.udp_flow import STAMP, UdpReceiveResult, UdpSender, UdpSendResult, UdpSink
from tests.traffic.fake_namespace import FakeNamespace, FakeSocket, refusal

MS = 1_000_000
SECOND = 1_000_000_000


def send(namespace: FakeNamespace, **options: Any) -> UdpSendResult:
    sender = UdpSender(namespace, "10.0.0.2", 5001, **options)  # type: ignore[arg-type]
    result: UdpSendResult = namespace.kernel.run(until=namespace.kernel.spawn(sender.run()))
    assert all(socket.closed for socket in namespace.sockets)
    return result


def sink(numbered: bool = True) -> tuple[FakeNamespace, UdpSink]:
    namespace = FakeNamespace()
    return namespace, UdpSink(namespace, 5001, numbered=numbered)  # type: ignore[arg-type]


def arrive(namespace: FakeNamespace, number: int, time_ns: int, sent_ns: int) -> None:
    socket = namespace.sockets[0]

    def call(_: None) -> None:
        assert socket.on_datagram is not None
        socket.on_datagram(STAMP.pack(number, sent_ns) + bytes(84), ("10.0.0.1", 40000), None)

    namespace.kernel.call_at(time_ns, call)


def test_a_rate_is_kept_exactly_on_average() -> None:
    namespace = FakeNamespace()
    result = send(namespace, size=1000, rate="3Mbit", count=10)
    times = [sent[0] for sent in namespace.sent]
    assert times == [index * 8000 * SECOND // 3_000_000 for index in range(10)]
    assert (result.sent, result.bytes, result.refused) == (10, 10_000, {})


def test_an_interval_and_a_duration_send_at_0_and_before_the_end() -> None:
    namespace = FakeNamespace()
    result = send(namespace, size=100, interval="10ms", duration="50ms")
    assert [sent[0] for sent in namespace.sent] == [0, 10 * MS, 20 * MS, 30 * MS, 40 * MS]
    assert result.finished_ns == 40 * MS


def test_numbered_datagrams_carry_number_and_time_of_sending() -> None:
    namespace = FakeNamespace()
    send(namespace, size=100, interval="1ms", count=3, numbered=True)
    assert [STAMP.unpack_from(payload) for _, payload in namespace.sent] == [(0, 0), (1, MS), (2, 2 * MS)]
    assert {len(payload) for _, payload in namespace.sent} == {100}


def test_refused_datagrams_are_counted_by_error_and_not_repeated() -> None:
    def network(socket: FakeSocket, payload: bytes) -> None:
        if len(namespace.sent) % 2:
            raise refusal(errno.ENOBUFS)

    namespace = FakeNamespace(network)
    result = send(namespace, size=10, interval="1ms", count=5)
    assert (result.sent, result.refused) == (2, {"ENOBUFS": 3})
    assert result.outcome == "2 datagrams sent, 3 refused"


def test_a_flow_goes_on_after_the_path_mtu_of_an_earlier_datagram_was_reported() -> None:
    """Linux reports ICMP's "fragmentation needed" once, as EMSGSIZE of the next send, and cuts what follows."""
    net = emu.Emulation(cost="none")
    h1, h2 = net.add_host("host1"), net.add_host("host2")
    net.add_link(h1, h2, mtu=1400)
    shop = net.networks.create("shop", driver="overlay", attachable=True)
    web, db = h1.containers.run("web", network=shop), h2.containers.run("db", network=shop)
    received = db.udp_sink(5001, numbered=True)
    flow = web.udp_flow(db, 5001, size=1422, count=10, interval="10ms", numbered=True, at="3s")
    net.run()
    assert (flow.result.sent, flow.result.refused) == (9, {"EMSGSIZE": 1})
    assert received.result.received == 8


def test_an_error_that_is_the_callers_fault_ends_the_flow() -> None:
    def network(socket: FakeSocket, payload: bytes) -> None:
        raise refusal(errno.ENETUNREACH)

    namespace = FakeNamespace(network)
    with pytest.raises(OSError, match="ENETUNREACH"):
        send(namespace, size=10, interval="1ms", count=5)
    assert namespace.sockets[0].closed


def test_the_sink_tells_lost_late_and_doubled_datagrams_apart() -> None:
    namespace, receiver = sink()
    for time_ms, number in enumerate((0, 1, 3, 2, 3, 6), start=1):
        arrive(namespace, number, time_ms * MS, 0)
    namespace.kernel.run()
    result = receiver.result
    assert (result.received, result.lost, result.duplicates, result.reordered) == (6, 2, 1, 1)
    assert (result.first_ns, result.last_ns, result.bytes) == (MS, 6 * MS, 600)
    assert result.rate_bps == 600 * 8 * SECOND // (5 * MS)


def test_jitter_is_zero_for_a_constant_delay_and_follows_rfc_3550_otherwise() -> None:
    namespace, receiver = sink()
    for number in range(50):
        arrive(namespace, number, number * MS + 5 * MS, number * MS)
    namespace.kernel.run()
    assert receiver.result.jitter_ns == 0
    namespace, receiver = sink()
    arrive(namespace, 0, 5 * MS, 0)
    arrive(namespace, 1, 6 * MS + 1600, MS)
    namespace.kernel.run()
    assert receiver.result.jitter_ns == 100  # 1600 ns of difference / 16


def test_a_sink_takes_no_payload_of_a_sender_without_numbers_for_a_gap() -> None:
    namespace, counter = sink()
    arrive(namespace, 0, 1 * MS, 0)
    arrive(namespace, 0x6162636465666768, 2 * MS, 0)
    arrive(namespace, 1, 3 * MS, 0x6162636465666768)
    arrive(namespace, 2, 4 * MS, 3 * MS)
    namespace.kernel.run()
    assert (counter.result.received, counter.result.lost) == (4, 1)


def test_without_numbers_nothing_is_said_about_losses() -> None:
    namespace, receiver = sink(numbered=False)
    arrive(namespace, 7, MS, 0)
    namespace.kernel.run()
    assert receiver.result == UdpReceiveResult(1, 100, MS, MS, None, None, None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 1}, "udp: say either rate"),
        ({"count": 1, "rate": 1000, "interval": 1}, "udp: say either rate"),
        ({"rate": 1000}, "udp: say how many datagrams"),
        ({"rate": 1000, "count": 0}, "udp: count must be 1 or more, not 0"),
        ({"rate": 1000, "count": 1, "size": 65508}, "udp: size must be 0 to 65507 bytes, not 65508"),
        ({"rate": 1000, "count": 1, "size": 15, "numbered": True}, "udp: size must be 16 to 65507 bytes, not 15"),
        ({"rate": 1000, "count": 1, "size": 0}, "udp: datagrams without payload have no rate"),
        ({"rate": 1000, "count": 1, "source_port": 70000}, "udp: a port is a number from 1 to 65535, not 70000"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        UdpSender(FakeNamespace(), "10.0.0.2", 5001, **options)  # type: ignore[arg-type]


def test_a_flow_between_two_containers_loses_exactly_what_its_veth_loses() -> None:
    net = emu.Emulation(seed=3, engine="20.10")
    c1, c2 = net.host.containers.run("c1"), net.host.containers.run("c2")
    c1.interface("eth0").set(loss="10%")
    receiver = UdpSink(c2.namespace, 5001, numbered=True)
    sender = UdpSender(c1.namespace, "172.17.0.3", 5001, size=1000, rate="10Mbit", count=500, numbered=True)
    task = c1.spawn(sender.run(), name="udp")
    net.run()
    received = receiver.result
    drops = sum(c1.interface("eth0").counters.drops.values())
    assert task.result.sent == 500
    assert 20 <= drops <= 80
    assert received.received == 500 - drops
    assert received.lost is not None
    assert drops - 3 <= received.lost <= drops  # the last ones leave no gap
    assert (received.duplicates, received.reordered) == (0, 0)


def test_a_sink_does_not_keep_a_run_alive() -> None:
    net = emu.Emulation(seed=3, engine="20.10")
    c1 = net.host.containers.run("c1")
    UdpSink(c1.namespace, 5001)
    assert net.run().now_ns == 0
