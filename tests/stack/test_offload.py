"""Sandboxes that leave checksums and cutting TCP segments to the hardware: on one host, across hosts, and mixed."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import emu
from emu.kernel.errors import InvalidValue
from emu.stack.tcp.offload import _packet_size
from emu.wire.offload import Offload, partial_checksum
from emu.wire.tcp import parse_tcp
from tests.helpers_tshark import needs_tshark, run_program
from tests.stack.test_tcp_path import sizes_at, upload
from tests.stack.world import World

MSS = 1448
OVERLAY_MSS = 1398


@dataclass
class Downloads:
    """A transfer from `sender` to `receiver`, and back at the same time; every frame at every tap."""

    net: emu.Emulation
    sender: emu.Container
    receiver: emu.Container
    sizes: tuple[int, int]
    received: dict[str, bytearray] = field(default_factory=dict)
    taken: dict[str, list[tuple[bytes, object]]] = field(default_factory=dict)
    infos: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for device in self.net.interfaces.devices:
            record = self.taken.setdefault(device.label, [])
            device.add_tap(lambda now_ns, frame, direction, record=record: record.append((frame.data, frame.altered)))
        self.receiver.spawn(self._serve())
        self.sender.spawn(self._ask())

    def run(self) -> None:
        self.net.run()
        for name, size in zip(("receiver", "sender"), self.sizes, strict=True):
            assert bytes(self.received[name]) == stream(size), f"{len(self.received[name])} of {size} bytes"

    def _ask(self) -> Generator[Any, Any, None]:
        socket = self.sender.tcp_connect(address(self.receiver), 80)
        yield socket.connected
        yield from self._both(self.sender, "sender", socket, self.sizes[0])

    def _serve(self) -> Generator[Any, Any, None]:
        socket = yield self.receiver.tcp_listen(80).accept()
        yield from self._both(self.receiver, "receiver", socket, self.sizes[1])

    def _both(self, container: emu.Container, name: str, socket: Any, size: int) -> Generator[Any, Any, None]:
        writer = container.spawn(write(socket, size))
        received = self.received[name] = bytearray()
        while data := (yield socket.recv()):
            received += data
        yield writer
        yield socket.closed  # everything is acknowledged
        self.infos[name] = socket.info()
        socket.close()

    def payloads(self, interface: str, source: emu.Container, tunnel_bytes: int = 0) -> list[int]:
        """The lengths of the data in a container's segments at an interface."""
        return [len(view.payload) for view in self.views(interface, source, tunnel_bytes) if view.payload]

    def views(self, interface: str, source: emu.Container, tunnel_bytes: int = 0) -> list[Any]:
        start = 14 + tunnel_bytes
        found = []
        for data, _ in self.taken[interface]:
            if len(data) >= start + 40 and data[start + 9] == 6 and data[start + 12 : start + 16] == packed(source):
                end = start + int.from_bytes(data[start + 2 : start + 4], "big")
                found.append(parse_tcp(data, start + 20, end))
        return found

    def kinds(self, interface: str, source: emu.Container, tunnel_bytes: int = 0) -> set[str]:
        """What checksums a container's segments have at an interface: "real", "partial" or "bad"."""
        kinds = set()
        start = 14 + tunnel_bytes
        for view in self.views(interface, source, tunnel_bytes):
            a, b = view.data[start + 12 : start + 16], view.data[start + 16 : start + 20]
            if view.checksum == partial_checksum(a, b, 6, view.end - view.offset):
                kinds.add("partial")
            else:
                kinds.add("real" if view.checksum_is_valid(a, b) else "bad")
        return kinds


def stream(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def write(socket: Any, size: int) -> Generator[Any, Any, None]:
    if size:
        yield socket.send(stream(size))
    socket.shutdown("write")


def device(net: emu.Emulation, label: str) -> Any:
    return next(device for device in net.interfaces.devices if device.label == label)


def packed(container: emu.Container) -> bytes:
    return container.namespace.interfaces["eth0"].addresses[0].address


def address(container: emu.Container) -> str:
    return ".".join(map(str, packed(container)))


def on_one_host(
    sizes: tuple[int, int] = (300_000, 50_000),
    offload: tuple[bool, bool] = (True, True),
    cost: str = "linux",
    seed: int = 1,
) -> Downloads:
    net = emu.Emulation(seed=seed, cost=cost)
    host = net.add_host("host1")
    containers = [host.containers.run(name, offload=flag) for name, flag in zip(("c1", "c2"), offload, strict=True)]
    return Downloads(net, *containers, sizes)


def on_two_hosts(
    sizes: tuple[int, int] = (300_000, 50_000),
    offload: tuple[bool, bool] = (True, True),
    seed: int = 1,
    options: dict[str, str] | None = None,
    **link: Any,
) -> Downloads:
    net = emu.Emulation(seed=seed)
    hosts = [net.add_host("h1"), net.add_host("h2")]
    net.add_link(*hosts, **{"rate": "1Gbit", "delay": "100us", **link})
    shop = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True, options=options or {})
    containers = [
        host.containers.run(name, network=shop, offload=flag)
        for host, name, flag in zip(hosts, ("c1", "c2"), offload, strict=True)
    ]
    return Downloads(net, *containers, sizes)


# -- one host ---------------------------------------------------------------------------------------------------------


def test_on_a_bridge_long_segments_with_unfinished_checksums_are_seen_everywhere():
    downloads = on_one_host()
    downloads.run()
    for name in downloads.taken:
        if name.endswith(":lo") or not downloads.views(name, downloads.sender):
            continue
        for container in (downloads.sender, downloads.receiver):
            assert downloads.kinds(name, container) == {"partial"}, name
        assert max(downloads.payloads(name, downloads.sender)) > 20 * MSS
    assert {name for name in downloads.taken if downloads.views(name, downloads.sender)} >= {
        "c1:eth0", "c2:eth0", "host1:docker0",
    }  # fmt: skip


@pytest.mark.parametrize("offload", [(True, False), (False, True), (False, False)])
def test_each_sandbox_sends_as_it_is_set_whatever_the_other_does(offload):
    downloads = on_one_host(offload=offload)
    downloads.run()
    for container, flag in zip((downloads.sender, downloads.receiver), offload, strict=True):
        payloads = downloads.payloads("host1:docker0", container)
        assert (max(payloads) > MSS) is flag
        assert downloads.kinds("host1:docker0", container) == {"partial" if flag else "real"}


def test_receivers_that_verify_every_checksum_take_unfinished_ones_for_right():
    downloads = on_one_host()
    for container in (downloads.sender, downloads.receiver):
        container.namespace.verify_checksums = True
    downloads.run()


def test_without_costs_it_works_too():
    downloads = on_one_host(cost="none")
    downloads.sender.interface("eth0").set(rate="10Gbit")
    downloads.receiver.interface("eth0").set(rate="10Gbit")
    downloads.run()
    assert max(downloads.payloads("c1:eth0", downloads.sender)) > 4 * MSS


def test_identifications_count_the_pieces():
    downloads = on_one_host()
    downloads.run()
    sent = downloads.views("c1:eth0", downloads.sender)
    idents = [int.from_bytes(view.data[18:20], "big") for view in sent]
    pieces = [max(1, -(-len(view.payload) // MSS)) for view in sent]
    for ident, count, following in zip(idents, pieces, idents[1:], strict=False):
        assert (following - ident) & 0xFFFF == count or following == 0  # TIME-WAIT answers with 0


def test_the_same_seed_gives_the_same_bytes():
    one, other = on_two_hosts(loss=0.02), on_two_hosts(loss=0.02)
    for downloads in (one, other):
        downloads.run()
    assert {name: [data for data, _ in seen] for name, seen in one.taken.items()} == {
        name: [data for data, _ in seen] for name, seen in other.taken.items()
    }


def test_segments_are_counted_as_on_the_wire():
    downloads = on_one_host((200_000, 0))
    downloads.run()
    assert len(downloads.payloads("c1:eth0", downloads.sender)) < 40
    assert 139 <= downloads.infos["sender"].segments_sent <= 200
    assert 139 <= downloads.infos["receiver"].segments_received <= 200


def test_a_datagram_of_udp_has_an_unfinished_checksum_and_arrives():
    net = emu.Emulation(seed=1)
    host = net.add_host("host1")
    c1, c2 = host.containers.run("c1", offload=True), host.containers.run("c2")
    seen = []
    c2.namespace.verify_checksums = True
    device(net, "c2:eth0").add_tap(lambda now_ns, frame, direction: seen.append(frame))
    server, got = c2.udp(5000), []

    def serve() -> Generator[Any, Any, None]:
        for _ in range(3):
            got.append((yield server.recv())[0])

    def send() -> Generator[Any, Any, None]:
        socket = c1.udp()
        for size in (10, 1000, 3000):
            socket.sendto(bytes(size), (address(c2), 5000))
            yield net.timeout("10ms")

    c2.spawn(serve())
    c1.spawn(send())
    net.run()
    assert [len(data) for data in got] == [10, 1000, 3000]
    udp = [frame for frame in seen if frame.data[12:14] == b"\x08\0" and frame.data[23] == 17]
    lengths = [int.from_bytes(frame.data[38:40], "big") for frame in udp]
    assert [isinstance(frame.altered, Offload) for frame in udp] == [True, True, False, False, False]  # fragments: real
    for frame, length in zip(udp[:2], lengths, strict=False):
        expected = partial_checksum(frame.data[26:30], frame.data[30:34], 17, length)
        assert int.from_bytes(frame.data[40:42], "big") == expected


# -- two hosts --------------------------------------------------------------------------------------------------------


def test_over_an_overlay_the_sending_host_shows_long_segments_and_the_wire_has_none():
    downloads = on_two_hosts()
    downloads.run()
    sender = downloads.sender
    for name in ("c1:eth0", "h1/shop:br0", "h1/shop:vxlan0"):
        assert max(downloads.payloads(name, sender)) > 2 * OVERLAY_MSS, name
        assert downloads.kinds(name, sender) == {"partial"}, name
    assert max(downloads.payloads("h1:eth0", sender, 50)) > 2 * OVERLAY_MSS
    assert downloads.kinds("h1:eth0", sender, 50) == {"partial"}
    for name, tunnel_bytes in (("h2:eth0", 50), ("h2/shop:vxlan0", 0), ("h2/shop:br0", 0), ("c2:eth0", 0)):
        assert max(downloads.payloads(name, sender, tunnel_bytes)) == OVERLAY_MSS, name
        assert downloads.kinds(name, sender, tunnel_bytes) == {"real"}, name


def test_the_pieces_in_the_tunnel_have_identifications_one_after_the_other():
    downloads = on_two_hosts((300_000, 0))
    downloads.run()
    idents = [
        int.from_bytes(data[18:20], "big")
        for data, _ in downloads.taken["h2:eth0"]
        if data[23] == 17 and len(data) == 1514
    ]
    assert len(idents) > 200
    assert len(set(idents)) == len(idents)


def test_outer_checksums_at_the_wire_are_right():
    downloads = on_two_hosts()
    for host in downloads.net.hosts.values():
        host.namespace.verify_checksums = True
    downloads.receiver.namespace.verify_checksums = True
    downloads.run()


def test_an_encrypted_overlay_gets_pieces():
    downloads = on_two_hosts(options={"encrypted": ""})
    downloads.run()
    assert max(downloads.payloads("h1/shop:vxlan0", downloads.sender)) > 2000
    assert all(len(data) <= 1514 for data, _ in downloads.taken["h1:eth0"])


def test_a_smaller_mtu_of_the_underlay_is_learnt():
    downloads = on_two_hosts((200_000, 0), mtu=1400)
    downloads.run()
    pieces = downloads.payloads("c2:eth0", downloads.sender)
    assert max(pieces) == 1400 - 50 - 20 - 32
    assert all(len(data) <= 1414 for data, _ in downloads.taken["h2:eth0"])


def test_what_is_lost_is_sent_again_in_pieces_of_the_mss():
    downloads = on_two_hosts((500_000, 0), loss=0.03)
    downloads.run()
    seen: set[int] = set()
    again = []
    for view in downloads.views("c1:eth0", downloads.sender):
        if view.payload and view.sequence in seen:
            again.append(len(view.payload))
        seen.update((view.sequence + offset) & 0xFFFFFFFF for offset in range(0, len(view.payload), OVERLAY_MSS))
    assert again
    assert max(again) <= OVERLAY_MSS


TROUBLE = st.fixed_dictionaries(
    {
        "loss": st.sampled_from([0, 0.01, 0.05]),
        "duplicate": st.sampled_from([0, 0.02]),
        "corrupt": st.sampled_from([0, 0.02]),
        "reorder": st.sampled_from([0, 0.05]),
    }
)
SIZES = st.tuples(st.integers(0, 120_000), st.integers(0, 60_000))
HEAVY = {"loss": 0.02, "duplicate": 0.01, "corrupt": 0.01, "reorder": 0.02}
few = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@few
@given(seed=st.integers(0, 10_000), sizes=SIZES, offload=st.tuples(st.booleans(), st.booleans()), trouble=TROUBLE)
def test_bytes_in_are_bytes_out_whatever_the_underlay_does(seed, sizes, offload, trouble):
    on_two_hosts(sizes, offload, seed, **trouble).run()


@few
@given(seed=st.integers(0, 10_000), sizes=SIZES, offload=st.tuples(st.booleans(), st.booleans()), trouble=TROUBLE)
def test_bytes_in_are_bytes_out_whatever_the_interfaces_do(seed, sizes, offload, trouble):
    """There a long segment is lost, or comes late, as one."""
    downloads = on_one_host(sizes, offload, seed=seed)
    for container in (downloads.sender, downloads.receiver):
        container.interface("eth0").set(rate="1Gbit", delay="100us", **trouble)
    downloads.run()


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 1000, 50))
def test_bytes_in_are_bytes_out_for_many_seeds(first):
    for seed in range(first, first + 50):
        on_two_hosts((150_000, 40_000), (True, seed % 2 == 0), seed, **HEAVY).run()


@pytest.mark.tshark
@needs_tshark
def test_wireshark_reads_the_captures_and_finds_no_fault_but_the_checksums(tmp_path):
    """With its checksum verification on it calls unfinished checksums bad, as it does on real hosts."""
    downloads = on_two_hosts((300_000, 0))
    downloads.net.capture(tmp_path / "sender.pcapng", interfaces=["c1:eth0"])
    downloads.net.capture(tmp_path / "underlay.pcapng", interfaces=["h1:eth0"])
    downloads.net.capture(tmp_path / "receiver.pcapng", interfaces=["c2:eth0"])
    downloads.run()
    downloads.net.close()
    sender = fields_of(tmp_path / "sender.pcapng", "tcp.srcport != 80", "tcp.len", "tcp.checksum.status")
    assert max(int(length) for length, _ in sender) > 2 * OVERLAY_MSS
    assert {status for _, status in sender} == {"0"}  # bad
    receiver = fields_of(tmp_path / "receiver.pcapng", "tcp.srcport != 80", "tcp.len", "tcp.checksum.status")
    assert {status for _, status in receiver} == {"1"}  # good
    assert sum(int(length) for length, _ in receiver) == sum(int(length) for length, _ in sender) == 300_000
    for name in ("sender", "underlay", "receiver"):
        path = tmp_path / f"{name}.pcapng"
        faults = "_ws.malformed || ip.checksum.status == 0 || (tcp.analysis.flags && !tcp.analysis.window_update"
        faults += " && !tcp.analysis.window_full)"
        assert fields_of(path, faults, "frame.number") == []
    tunnelled = fields_of(tmp_path / "underlay.pcapng", "vxlan && tcp", "tcp.len", "udp.length")
    assert sum(int(length) for length, _ in tunnelled) == 300_000


def fields_of(path: Any, condition: str, *names: str) -> list[list[str]]:
    checks = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
    words = [word for name in names for word in ("-e", name)]
    text = run_program("tshark", "-n", "-r", path, *checks, "-Y", condition, "-T", "fields", *words)
    return [line.split("\t") for line in text.splitlines()]


# -- through routers --------------------------------------------------------------------------------------------------


def behind_routers(middle_mtu: int) -> tuple[World, Any, Any]:
    """h1 - r1 - r2 - h2; h1 has offload, the link in the middle may carry less."""
    world = World()
    h1, r1, r2, h2 = (world.namespace(name) for name in ("h1", "r1", "r2", "h2"))
    for router in (r1, r2):
        router.sysctl["net.ipv4.ip_forward"] = 1
    world.join(h1, r1, "10.1.0.2/24", "10.1.0.1/24")
    world.join(r1, r2, "10.3.0.1/24", "10.3.0.2/24", mtu=middle_mtu)
    world.join(r2, h2, "10.2.0.1/24", "10.2.0.2/24")
    h1.routes.add("default", via="10.1.0.1")
    r1.routes.add("10.2.0.0/24", via="10.3.0.2")
    r2.routes.add("10.1.0.0/24", via="10.3.0.1")
    h2.routes.add("default", via="10.2.0.1")
    h1.offload = True
    return world, h1, h2


def test_routers_pass_a_long_segment_on_whole_when_its_pieces_fit():
    world, h1, h2 = behind_routers(1500)
    data, info = upload(world, h1, h2, 200_000)
    assert (len(data), info.retransmissions) == (200_000, 0)
    assert max(sizes_at(world, "h2:eth0")) == max(sizes_at(world, "h1:eth0")) > 4 * MSS
    assert world.drops == []


def test_a_router_refuses_a_long_segment_whose_pieces_do_not_fit_and_the_sender_learns():
    world, h1, h2 = behind_routers(1000)
    data, info = upload(world, h1, h2, 200_000)
    assert (len(data), info.mss) == (200_000, 948)
    assert {reason for _, reason, _ in world.drops} == {"FRAGMENTATION_NEEDED"}
    assert max(sizes_at(world, "h2:eth0")) > 4 * 948


# -- settings ---------------------------------------------------------------------------------------------------------


def test_the_option_is_checked_and_needs_a_namespace_of_its_own():
    net = emu.Emulation()
    host = net.add_host("host1")
    with pytest.raises(InvalidValue, match="offload='yes': expected True or False"):
        host.containers.run("c1", offload="yes")
    host.containers.run("c1")
    for network in ("host", "container:c1"):
        with pytest.raises(InvalidValue, match="no network namespace of its own"):
            host.containers.run("c2", network=network, offload=True)
    assert [container.name for container in host.containers.list()] == ["c1"]


def test_it_stays_set_over_a_restart_and_links_made_later_follow():
    net = emu.Emulation()
    h1, h2 = net.add_host("h1"), net.add_host("h2")
    container = h1.containers.run("c1", offload=True)
    container.stop()
    container.start()
    assert container.namespace.offload
    net.add_link(h1, h2)
    assert device(net, "h1:eth0").finishes


# -- what goes into one packet ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unsent", "room", "window", "most", "short_allowed", "size"),
    [
        (100_000, 100_000, 100_000, 5, True, 5000),
        (100_000, 3500, 100_000, 5, True, 3000),  # the congestion window takes full segments only
        (100_000, 100_000, 3500, 5, True, 3500),  # the peer's window is filled
        (100_000, 100_000, 3500, 5, False, 3000),
        (100_000, 100_000, 500, 5, True, 0),  # but not with a short segment alone
        (2500, 100_000, 100_000, 5, True, 2500),
        (2500, 100_000, 100_000, 5, False, 2000),  # Nagle
        (2500, 2400, 100_000, 5, True, 2000),
        (2500, 100_000, 100_000, 2, True, 2000),
        (300, 100_000, 100_000, 5, True, 300),
        (300, 100_000, 200, 5, True, 0),
        (300, 200, 100_000, 5, True, 0),
        (1000, 1000, 0, 1, True, 0),
        (1000, 1000, -5, 1, True, 0),
    ],
)
def test_a_packet_takes_full_segments_and_perhaps_a_short_one(unsent, room, window, most, short_allowed, size):
    assert _packet_size(unsent, room, window, 1000, most, short_allowed) == size
