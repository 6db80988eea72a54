"""TCP of plain Linux, recorded without Docker: retries (g8), delayed ACKs (g14), a distribution's defaults (g30), and a
path with a smaller MTU (g9).

Hosts h1 and h2 hang on one switch, as in the recording. Frame by frame; timers within 5 %.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import pytest

import emu
from emu.capture.interface import InterfaceInfo
from emu.kernel.tap import Tap, TappedFrame
from tests.golden.compare import Correspondence, Seen, compared, cut, difference, read_pcap, snap_length
from tests.golden.fields import decode
from tests.golden.recording import FOLDER, SECOND
from tests.golden.tcp_bulk import Bulk, check_bulk
from tests.golden.tcp_fields import payload_length
from tests.golden.tcp_programs import (
    BIG_FILE,
    CLOSE_NS,
    WINDOW_SCALE_10,
    blocks,
    curl_request,
    http_client,
    http_server,
)

H1, H2, H4 = "10.9.0.1", "10.9.0.2", "10.9.1.4"
BEGIN_NS = 60 * SECOND
DELAYED_ACK_NS = (38_000_000, 45_000_000)
"""40 ms, and up to a jiffy of 4 ms."""

costs = pytest.mark.parametrize("cost", ["linux", "none"])


@dataclass(slots=True)
class Lan:
    """Hosts on one switch; what their interfaces show is kept.

    has_rate: the hosts' links have a rate and a delay, for a transfer to take time where work on hosts costs none.
    """

    cost: str
    has_rate: bool = False
    net: emu.Emulation = field(init=False)
    taken: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    links: dict[str, emu.Link] = field(default_factory=dict)
    correspondence: Correspondence = field(default_factory=Correspondence)

    def __post_init__(self) -> None:
        self.net = emu.Emulation(seed=1, cost=self.cost)
        switch = self.net.add_switch("sw")
        self.net.interfaces.watch(self._watch)
        for name, address in (("h1", H1), ("h2", H2)):
            host = self.net.add_host(name)
            link = self.links[name] = self.net.add_link(switch, host, subnet="10.9.0.0/24", addresses=[address])
            if self.has_rate:
                link.set(rate="1Gbit", delay="10us")
            host.namespace.sysctl["net.ipv4.tcp_rmem_max"] = WINDOW_SCALE_10

    def _watch(self, info: InterfaceInfo) -> Tap:
        packets = self.taken.setdefault(info.name, [])

        def tap(now_ns: int, frame: TappedFrame, direction: int) -> None:
            packets.append((now_ns, frame.data))

        return tap

    def host(self, name: str) -> emu.Host:
        """h1 or h2."""
        return self.net.find_host(name)

    def acquaint(self, *names: str) -> None:
        """Give the hosts permanent neighbour entries for each other (`ip neigh replace ... nud permanent`)."""
        other = {"h1": ("h2", H2), "h2": ("h1", H1)}
        for name in names:
            peer, address = other[name]
            mac = self.host(peer).interface("eth0").mac
            self.host(name).namespace.neighbours.add_permanent("eth0", address, mac)

    def both(self, capture: str, name: str, length_ns: int = 60 * SECOND) -> tuple[list[Seen], list[Seen]]:
        """Return what a host's eth0 shows: recorded, and emulated from `BEGIN_NS` on for `length_ns`."""
        path = FOLDER / "linux" / f"{capture}.pcap"
        packets = [packet for packet in self.taken[f"{name}:eth0"] if 0 <= packet[0] - BEGIN_NS < length_ns]
        assert all(decode(data).get("tcp.checksum") != "bad" for _, data in packets), capture
        return compared(read_pcap(path)), compared(cut(packets, snap_length(path)))

    def check(self, capture: str, name: str) -> list[Seen]:
        """Fail with a readable text unless a host's eth0 shows what was recorded; return what it shows."""
        recorded, emulated = self.both(capture, name)
        text = difference(capture, recorded, emulated, self.correspondence)
        assert text is None, "\n" + str(text)
        return emulated


def said(capture: str, length: int) -> bytes:
    """Return the payload of the first recorded segment with so many bytes; what the capture cut off is blank."""
    frames = compared(read_pcap(FOLDER / "linux" / f"{capture}.pcap"))
    segments = (seen.fields for seen in frames if "tcp.flags" in seen.fields)
    payload: bytes = next(fields["tcp.payload"] for fields in segments if payload_length(fields) == length)
    return payload.ljust(length)


# -- g8: retries -----------------------------------------------------------------------------------------------------


@costs
def test_g8_a_syn_without_an_answer_is_repeated(cost: str) -> None:
    """`curl --max-time 40` to a host whose port is down: 1 s apart four times more, then doubling."""
    lan = Lan(cost)
    lan.acquaint("h1")
    h1 = lan.host("h1")
    h1.interface("eth0")
    lan.links["h2"].down()

    def curl() -> Generator[Any, Any, None]:
        socket = h1.namespace.tcp_socket()
        connecting = socket.connect(H2, 80)
        yield connecting | lan.net.timeout(40 * SECOND)
        assert not connecting.triggered
        socket.close()

    lan.net.at(BEGIN_NS + phase_ns("g8-tcp-syn-retry-h1"), lambda: lan.net.spawn(curl()))
    lan.net.run()
    lan.check("g8-tcp-syn-retry-h1", "h1")


def phase_ns(capture: str) -> int:
    """Return when a capture's first frame came after a full 2 s of the machine's clock, for timer slots to lie alike.

    The first repetition, at the beginning of a slot of 32 ms, shows where the slots are.
    """
    times = [time_ns for time_ns, data in read_pcap(FOLDER / "linux" / f"{capture}.pcap") if data[23] == 6]
    return -(times[1] - times[0]) % 32_000_000


@costs
def test_g8_data_without_an_answer_is_repeated_and_the_peer_comes_back_with_rst(cost: str) -> None:
    """A loss probe, then timeouts that double; the server closes with the first bytes unread when it is back."""
    lan = Lan(cost)
    lan.acquaint("h1")
    net, h1, h2 = lan.net, lan.host("h1"), lan.host("h2")

    port = recorded_port("g8-tcp-data-retry-h1")

    def server() -> Generator[Any, Any, None]:
        listener = h2.namespace.tcp_socket()
        listener.bind(port=port)
        listener.listen()
        socket = yield listener.accept()
        yield net.timeout(BEGIN_NS + 25_121_600_000 - net.now)
        socket.close()
        listener.close()

    def client() -> Generator[Any, Any, None]:
        socket = h1.namespace.tcp_socket()
        yield socket.connect(H2, port)
        yield socket.send(b"first")
        yield net.timeout(2 * SECOND)
        yield socket.send(b"second: the link is down now")
        with pytest.raises(ConnectionResetError):
            yield socket.recv()

    h2.namespace.neighbours.flush()
    net.spawn(server())
    net.at(BEGIN_NS, lambda: net.spawn(client()))
    net.at(BEGIN_NS + 1_900_000_000, lan.links["h2"].down)
    net.at(BEGIN_NS + 18 * SECOND, lan.links["h2"].up)
    net.run()
    lan.check("g8-tcp-data-retry-h1", "h1")


def recorded_port(capture: str) -> int:
    """Return the port that a recorded client connected to."""
    frames = compared(read_pcap(FOLDER / "linux" / f"{capture}.pcap"))
    return int(next(seen.fields["tcp.destination_port"] for seen in frames if "tcp.flags" in seen.fields))


# -- g14: delayed ACK ------------------------------------------------------------------------------------------------

ONE_WAY = [b"x" * 20] * 60


def g14_client(net: emu.Emulation, host: emu.Host, port: int) -> Generator[Any, Any, None]:
    """60 lines one way, then 10 questions that are answered at once, then 5 that are answered after 0.1 s."""
    socket = host.namespace.tcp_socket()
    yield socket.connect(H2, port)
    for line in ONE_WAY:
        yield socket.send(line)
        yield net.timeout(60_220_000)
    for kind, count in ((b"ping%d", 10), (b"slow%d", 5)):
        for index in range(count):
            yield socket.send(kind % index)
            yield socket.recv()
            yield net.timeout(50_200_000)
    socket.close()


def g14_server(net: emu.Emulation, host: emu.Host, port: int) -> Generator[Any, Any, None]:
    """Read; answer questions."""
    listener = host.namespace.tcp_socket()
    listener.bind(port=port)
    listener.listen()
    socket = yield listener.accept()
    while data := (yield socket.recv()):
        if data.startswith(b"ping"):
            yield socket.send(b"reply to " + data)
        elif data.startswith(b"slow"):
            yield net.timeout(100_200_000)
            yield socket.send(b"slow reply to " + data)


@costs
def test_g14_acknowledgments_wait_40_ms_only_for_an_answer_that_is_late(cost: str) -> None:
    """One way, every line is acknowledged when it is read. Answers within 40 ms carry the acknowledgment; the first
    late answer lets it wait 40 ms, after which the connection no longer counts as interactive."""
    lan, capture = Lan(cost), "g14-delayed-ack-h1"
    lan.acquaint("h1", "h2")
    port = recorded_port(capture)
    lan.net.spawn(g14_server(lan.net, lan.host("h2"), port))
    lan.net.at(BEGIN_NS, lambda: lan.net.spawn(g14_client(lan.net, lan.host("h1"), port)))
    lan.net.run(until=BEGIN_NS + 4_900_000_000)
    recorded, emulated = lan.both(capture, "h1")
    last = len(recorded)  # the recording stops with the client's FIN
    text = difference(capture, recorded, emulated[:last], lan.correspondence)
    assert text is None, "\n" + str(text)
    for frames in (recorded, emulated):
        late = slowest_acknowledgment_ns(frames)
        assert DELAYED_ACK_NS[0] <= late <= DELAYED_ACK_NS[1]


def slowest_acknowledgment_ns(frames: list[Seen]) -> int:
    """Return the longest time between data of h1 and the segment of h2 that acknowledges it."""
    waiting: dict[int, int] = {}
    longest = 0
    for seen in frames:
        fields = seen.fields
        if fields["ip.src"] == H1:
            waiting.setdefault(fields["tcp.sequence"] + payload_length(fields), seen.time_ns)
        elif fields["tcp.acknowledgment"] in waiting and fields["tcp.sequence"]:
            longest = max(longest, seen.time_ns - waiting.pop(fields["tcp.acknowledgment"]))
    return longest


# -- g30: a distribution's defaults; g9: a smaller MTU ----------------------------------------------------------------


@costs
def test_g30_a_distributions_defaults(cost: str) -> None:
    """Window scale 7: a small file frame by frame, then a megabyte."""
    lan, capture = Lan(cost, cost == "none"), "g30-tcp-distro-defaults"
    net, h1, h2 = lan.net, lan.host("h1"), lan.host("h2")
    for host in (h1, h2):
        host.namespace.sysctl["net.ipv4.tcp_rmem_max"] = 6 * 1024 * 1024
    small = [said(f"{capture}-h1", 210), said(f"{capture}-h1", 19)]
    big = blocks(said(f"{capture}-h1", 192), BIG_FILE)

    def server() -> Generator[Any, Any, None]:
        yield from http_server(net, h2.namespace, small, exit_ns=100_000)
        yield from http_server(net, h2.namespace, big, exit_ns=100_000)

    def client() -> Generator[Any, Any, None]:
        for path, reply, close_ns in (("/small.txt", small, 300_000), ("/big.bin", big, CLOSE_NS)):
            yield from http_client(net, h1.namespace, H2, curl_request(path, H2), sum(map(len, reply)), close_ns)
            yield net.timeout(8_000_000)

    net.spawn(server())
    net.at(BEGIN_NS, lambda: net.spawn(client()))
    net.run()
    for name in ("h1", "h2"):
        recorded, emulated = (split_by_syn(frames) for frames in lan.both(f"{capture}-{name}", name, SECOND))
        text = difference(f"{capture}-{name}", recorded[0], emulated[0], lan.correspondence)
        assert text is None, "\n" + str(text)
        check_bulk(f"{capture}-{name}", Bulk(recorded[1], H2), Bulk(emulated[1], H2), lan.correspondence)


def split_by_syn(frames: list[Seen]) -> tuple[list[Seen], list[Seen]]:
    """Split the frames before the second connection."""
    syns = [index for index, seen in enumerate(frames) if seen.fields.get("tcp.flags") == 2]
    return frames[: syns[1]], frames[syns[1] :]


@costs
def test_g9_a_server_behind_a_smaller_mtu(cost: str) -> None:
    """h4's interface has an MTU of 1400: it announces an MSS of 1360, and sends segments of 1348 bytes."""
    lan = Lan(cost, cost == "none")
    net, h1 = lan.net, lan.host("h1")
    router, h4 = net.add_host("r"), net.add_host("h4")
    net.add_link(net.switches["sw"], router, subnet="10.9.0.0/24", addresses=["10.9.0.250"])
    net.add_link(router, h4, subnet="10.9.1.0/24", addresses=["10.9.1.250", H4], mtu=1400)
    router.namespace.sysctl["net.ipv4.ip_forward"] = 1
    for host in (router, h4):
        host.interface("eth0")
    h4.namespace.sysctl["net.ipv4.tcp_rmem_max"] = WINDOW_SCALE_10
    writes = blocks(said("g9-router-h1", 192), BIG_FILE)
    net.spawn(http_server(net, h4.namespace, writes))
    question = curl_request("/big.bin", H4)
    net.at(BEGIN_NS, lambda: net.spawn(http_client(net, h1.namespace, H4, question, sum(map(len, writes)))))
    net.run()
    for name in ("h1", "h4"):
        recorded, emulated = (
            [seen for seen in frames if "tcp.flags" in seen.fields] for frames in lan.both(f"g9-router-{name}", name)
        )
        check_bulk(f"g9-router-{name}", Bulk(recorded, H4), Bulk(emulated, H4), lan.correspondence)
