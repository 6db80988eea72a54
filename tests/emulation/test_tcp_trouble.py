"""TCP when things go wrong in the middle of a transfer: every connection ends, with the error that Linux gives."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import pytest

import emu

SECOND = 1_000_000_000
PORT = 80


@dataclass
class Transfer:
    """A stream from web to db, over a link; `received` bytes, and with which errno (0: none) each side ended."""

    net: emu.Emulation
    web: emu.Container
    db: emu.Container
    link: Any = None
    received: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    info: Any = None

    def start(self, size: int) -> None:
        self.db.spawn(self._serve())
        self.web.spawn(self._send(size))

    def _serve(self) -> Generator[Any, Any, None]:
        listener = self.db.tcp_listen(PORT)
        connection = yield listener.accept()
        try:
            while data := (yield connection.recv()):
                self.received += len(data)
            connection.close()
            self.errors["db"] = 0
        except OSError as error:
            self.errors["db"] = error.errno or -1

    def _send(self, size: int) -> Generator[Any, Any, None]:
        socket = self.web.tcp_connect(self.db, PORT)
        try:
            yield socket.connected
            yield socket.send(bytes(size))
            socket.shutdown("write")
            yield socket.recv()
            socket.close()
            yield socket.closed
            self.errors["web"] = 0
        except OSError as error:
            self.errors["web"] = error.errno or -1
        self.info = socket.info()


def bridge(**options: Any) -> Transfer:
    net = emu.Emulation(**options)
    net.host.networks.create("shop", subnet="10.5.0.0/24")
    return Transfer(net, *(net.host.containers.run(name, network="shop") for name in ("web", "db")))


def overlay(**link: Any) -> Transfer:
    net = emu.Emulation()
    hosts = [net.add_host("host1"), net.add_host("host2")]
    cable = net.add_link(*hosts, **({"rate": "1Gbit", "delay": "50us"} | link))
    shop = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    containers = [host.containers.run(name, network=shop) for host, name in zip(hosts, ("web", "db"), strict=True)]
    return Transfer(net, *containers, cable)


TROUBLE: dict[str, tuple[Callable[..., Transfer], Callable[[Transfer], Any], int]] = {
    "the receiver stops": (bridge, lambda it: it.db.stop(), errno.EHOSTUNREACH),
    "the receiver is removed": (bridge, lambda it: it.db.remove(force=True), errno.EHOSTUNREACH),
    "the receiver restarts": (bridge, lambda it: it.db.restart(), errno.ECONNRESET),
    "the receiver is disconnected": (
        bridge, lambda it: it.net.host.networks.get("shop").disconnect(it.db), errno.EHOSTUNREACH,
    ),
    "the sender is disconnected": (
        bridge, lambda it: it.net.host.networks.get("shop").disconnect(it.web), errno.ENETUNREACH,
    ),
    "the receiver's interface goes down": (
        bridge, lambda it: it.db.interface("eth0").down(), errno.EHOSTUNREACH,
    ),
    "everything is lost": (overlay, lambda it: it.link.set(loss=1.0), errno.ETIMEDOUT),
    "the cable is pulled out": (overlay, lambda it: it.link.down(), errno.EHOSTUNREACH),
    "the receiver's host crashes": (overlay, lambda it: it.db.host.crash(), errno.EHOSTUNREACH),
}  # fmt: skip


@pytest.mark.parametrize("what", TROUBLE)
def test_a_sender_whose_peer_is_gone_is_told_after_a_quarter_of_an_hour_at_most(what: str) -> None:
    build, happens, expected = TROUBLE[what]
    transfer = build()
    transfer.start(100_000_000)
    transfer.net.at("5ms", happens, transfer)
    transfer.net.run()
    assert errno.errorcode[transfer.errors["web"]] == errno.errorcode[expected]
    assert transfer.received > 0
    assert transfer.info.state == "UNCONN"
    assert transfer.net.now < 950 * SECOND


@pytest.mark.parametrize("until", ["15ms", "1s", "20s"])
def test_a_stream_goes_on_when_the_cable_is_plugged_in_again(until: str) -> None:
    transfer = overlay()
    transfer.start(3_000_000)
    transfer.net.at("5ms", transfer.link.down)
    transfer.net.at(until, transfer.link.up)
    transfer.net.run()
    assert (transfer.received, transfer.errors) == (3_000_000, {"web": 0, "db": 0})


def test_a_stream_goes_on_when_its_container_is_connected_again_with_the_same_address() -> None:
    transfer = bridge()
    shop = transfer.net.host.networks.get("shop")
    transfer.start(3_000_000)
    transfer.net.at("3ms", shop.disconnect, transfer.web)
    transfer.net.at("1s", shop.connect, transfer.web, ipv4_address="10.5.0.2")
    transfer.net.run()
    assert (transfer.received, transfer.errors) == (3_000_000, {"web": 0, "db": 0})


BAD_LINES: dict[str, dict[str, Any]] = {
    "loss in bursts": {"rate": "10Mbit", "delay": "5ms", "loss": emu.GilbertElliott(p="1%", r="20%")},
    "CoDel": {"rate": "10Mbit", "delay": "5ms", "queue": "codel"},
    "RED": {"rate": "10Mbit", "delay": "5ms", "queue": emu.Red("6KB", "18KB", probability=0.1)},
    "a queue of one frame": {"rate": "5Mbit", "queue": 1},
    "heavy reordering": {"rate": "100Mbit", "delay": "50ms", "jitter": "40ms"},
    "everything": {
        "rate": "10Mbit", "burst": "20KB", "delay": "10ms", "jitter": "10ms", "distribution": "pareto", "loss": "3%",
        "reorder": "5%", "duplicate": "5%", "corrupt": "1%", "queue": 20,
    },
}  # fmt: skip


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_stream_over_a_bad_line_arrives_whole(line: str) -> None:
    """Both directions are bad; ARP was done before, because a corrupted reply is believed for a minute."""
    transfer = bridge()
    transfer.web.ping(transfer.db, count=1)
    transfer.start(400_000)
    for container in (transfer.web, transfer.db):
        transfer.net.at("2ms", container.interface("eth0").set, **BAD_LINES[line])
    transfer.net.run()
    assert (transfer.received, transfer.errors) == (400_000, {"web": 0, "db": 0})


def test_acknowledgments_that_are_mostly_lost_only_slow_a_stream_down() -> None:
    transfer = bridge()
    transfer.db.interface("eth0").set(loss=0.6, delay="1ms")
    transfer.start(400_000)
    transfer.net.run()
    assert (transfer.received, transfer.errors) == (400_000, {"web": 0, "db": 0})


def test_red_marks_and_the_sender_slows_down_without_a_loss() -> None:
    """RFC 3168 from end to end: the queue marks CE, the receiver echoes ECE, the sender confirms with CWR."""
    transfer = bridge()
    web, db, net = transfer.web, transfer.db, transfer.net
    web.namespace.sysctl["net.ipv4.tcp_ecn"] = 1
    web.interface("eth0").set(delay="5ms")
    frames: list[tuple[bool, int, int]] = []

    def look(_: int, frame: Any, direction: int) -> None:
        if frame.data[12:14] == b"\x08\x00" and frame.data[23] == 6:
            frames.append((frame.data[26:30] == bytes([10, 5, 0, 2]), frame.data[47], frame.data[15] & 3))

    db.namespace.device("eth0").add_tap(look)
    to_db = next(
        device for name, device in net.host.namespace.devices.items()
        if name.startswith("veth") and device.peer is db.namespace.device("eth0")
    )  # fmt: skip
    to_db.set(rate="20Mbit", queue=emu.Red("15KB", "45KB", probability=0.1, ecn=True))
    transfer.start(1_500_000)
    net.run()
    assert transfer.errors == {"web": 0, "db": 0}
    marked = [index for index, (from_web, _, ecn) in enumerate(frames) if from_web and ecn == 3]
    echoed = [index for index, (from_web, flags, _) in enumerate(frames) if not from_web and flags & 0x40]
    confirmed = [index for index, (from_web, flags, _) in enumerate(frames) if from_web and flags & 0x82 == 0x80]
    assert len(marked) == to_db.direction.statistics.queue_marked > 0
    assert marked[0] < next(index for index in echoed if index > 3) < confirmed[0]
    assert 0 < len(confirmed) <= len(marked)
    assert transfer.info.ssthresh_bytes < 200_000
    assert transfer.info.retransmissions == 0


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_many_connections_at_once_are_all_served(count: int) -> None:
    net = emu.Emulation()
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    ended: list[bytes] = []

    def answer(connection: Any) -> Generator[Any, Any, None]:
        data = yield connection.recv()
        yield connection.send(data)
        connection.close()

    def serve() -> Generator[Any, Any, None]:
        listener = db.tcp_listen(PORT, backlog=4096)
        while True:
            db.spawn(answer((yield listener.accept())))

    def call(number: int) -> Generator[Any, Any, None]:
        socket = web.tcp_connect(db, PORT)
        yield socket.send(b"%d" % number)
        ended.append((yield socket.recv()))
        socket.close()

    db.spawn(serve())
    for number in range(count):
        web.spawn(call(number))
    net.run()
    assert sorted(ended, key=int) == [b"%d" % number for number in range(count)]


def test_when_all_ports_are_taken_a_connection_cannot_be_assigned_an_address() -> None:
    net = emu.Emulation()
    range_of_two = {"net.ipv4.ip_local_port_range_min": 40_000, "net.ipv4.ip_local_port_range_max": 40_001}
    web, db = net.host.containers.run("web", sysctls=range_of_two), net.host.containers.run("db")
    db.tcp_listen(PORT)

    def call() -> Generator[Any, Any, int]:
        try:
            yield web.tcp_connect(db, PORT).connected
        except OSError as error:
            return error.errno or -1
        return 0

    tasks = [web.spawn(call()) for _ in range(3)]
    net.run()
    assert [task.result for task in tasks] == [0, 0, errno.EADDRNOTAVAIL]


@pytest.mark.slow
def test_a_long_fat_path_is_filled_when_the_buffers_may_grow() -> None:
    """1 Gbit/s over 200 ms: 25 MB on the way, a window scale of 11 and a receive buffer that grows to it."""
    transfer = overlay(rate="1Gbit", delay="100ms", queue=100_000)
    for container in (transfer.web, transfer.db):
        for name in ("tcp_rmem_max", "tcp_wmem_max"):
            container.namespace.sysctl[f"net.ipv4.{name}"] = 1 << 27
    times: list[tuple[int, int]] = []
    transfer.start(250_000_000)

    def watch() -> Generator[Any, Any, None]:
        while "web" not in transfer.errors:
            times.append((transfer.net.now, transfer.received))
            yield transfer.net.kernel.timeout(SECOND // 5)

    transfer.net.spawn(watch())
    transfer.net.run()
    rates = [(b - a) * 8 / 0.2 / 1e9 for (_, a), (_, b) in itertools.pairwise(times)]
    goodput = 1398 / (1398 + 66 + 50 + 24)
    assert transfer.info.retransmissions == 0
    assert max(rates) == pytest.approx(goodput, rel=0.02)
