"""UDP sockets: ports, sending, receiving, errors, and caches that never lie (FACTS 33 to 36)."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from emu.kernel.errors import InvalidValue
from emu.stack.namespace import Namespace
from emu.stack.udp_socket import UdpSocket
from emu.wire.checksum import checksum_sum
from emu.wire.frame import Frame
from tests.stack.world import SECOND, World, two_hosts


def sink(
    namespace: Namespace, port: int = 7000, address: str = "0.0.0.0"
) -> tuple[UdpSocket, list[tuple[bytes, object]]]:
    socket = namespace.udp_socket()
    socket.bind(address, port)
    received: list[tuple[bytes, object]] = []
    socket.on_datagram = lambda payload, source, frame: received.append((payload, source))
    return socket, received


def connected(namespace: Namespace, port: int = 7000, address: str = "10.9.0.2") -> UdpSocket:
    socket = namespace.udp_socket()
    socket.connect(address, port)
    return socket


def datagrams(world: World, label: str) -> list[bytes]:
    return [data for data in world.sent(label) if data[12:14] == b"\x08\0" and data[23] == 17]


def test_a_datagram_arrives_with_its_sender() -> None:
    world, h1, h2 = two_hosts()
    _, received = sink(h2)
    socket = connected(h1)
    assert socket.send(b"hello") == 5
    world.run()
    assert received == [(b"hello", ("10.9.0.1", socket.local_address[1]))]
    data = datagrams(world, "h1:eth0")[0]
    assert (data[20] & 0x40, data[22], data[15]) == (0x40, 64, 0)
    pseudo = checksum_sum(data[26:34]) + 17 + len(data) - 34
    assert (checksum_sum(data[34:]) + pseudo) % 65535 == 0


def test_the_ip_id_starts_at_random_per_socket_and_grows_by_one_also_on_the_fast_path() -> None:
    world, h1, h2 = two_hosts()
    sink(h2)
    socket = connected(h1)
    for index in range(5):
        world.at(index * SECOND, lambda: socket.send(b"x"))
    world.run(6 * SECOND)
    other = connected(h1)
    other.send(b"x")
    world.run(7 * SECOND)
    ids = [int.from_bytes(data[18:20], "big") for data in datagrams(world, "h1:eth0")]
    assert [(value - ids[0]) & 0xFFFF for value in ids[:5]] == [0, 1, 2, 3, 4]
    assert ids[5] != (ids[4] + 1) & 0xFFFF


def test_the_fast_path_makes_the_same_bytes_as_the_slow_one() -> None:
    def frames(flush: bool, **options: object) -> list[bytes]:
        world, h1, h2 = two_hosts()
        sink(h2)
        socket = connected(h1)
        for name, value in options.items():
            setattr(socket, name, value)
        for index, size in enumerate((0, 1, 100, 1472, 1471, 1473, 3)):
            world.at(
                (index + 1) * SECOND, lambda size=size: (h1.flush_caches() if flush else None, socket.send(bytes(size)))
            )
        world.run(10 * SECOND)
        return datagrams(world, "h1:eth0")

    for options in ({}, {"checksum": False}, {"tos": 0x28, "ttl": 9}, {"dont_fragment": False}):
        assert frames(False, **options) == frames(True, **options)
    assert len(frames(False)) == 8, "1473 bytes take two fragments"


def test_options_take_effect_on_a_flow_that_is_cached_already() -> None:
    world, h1, h2 = two_hosts()
    sink(h2)
    socket = connected(h1)
    for second in range(3):
        world.at(second * SECOND, lambda: socket.send(b"x"))
    world.run(3 * SECOND)
    socket.ttl, socket.tos, socket.checksum, socket.dont_fragment = 5, 0x10, False, False
    socket.send(b"x")
    socket.send(b"x")
    for data in datagrams(world, "h1:eth0")[-2:]:
        assert (data[22], data[15], data[40:42], data[20] & 0x40) == (5, 0x10, b"\0\0", 0)
    with pytest.raises(InvalidValue, match="TTL 0"):
        socket.ttl = 0
    with pytest.raises(InvalidValue, match="TOS 256"):
        socket.tos = 256


def test_without_checksum_the_field_is_zero_and_the_datagram_is_taken() -> None:
    world, h1, h2 = two_hosts()
    h2.verify_checksums = True
    _, received = sink(h2)
    socket = connected(h1)
    socket.checksum = False
    socket.send(b"a")
    world.run(SECOND)
    socket.send(b"b")
    world.run(2 * SECOND)
    assert [payload for payload, _ in received] == [b"a", b"b"]
    assert {data[40:42] for data in datagrams(world, "h1:eth0")} == {b"\0\0"}


def test_recv_yields_waiting_datagrams_in_order_and_waits_for_the_next() -> None:
    world, h1, h2 = two_hosts()
    server = h2.udp_socket()
    server.bind(port=7000)
    log: list[tuple[int, bytes]] = []

    def program() -> object:
        while True:
            payload, source = yield server.recv()
            log.append((world.kernel.now, payload))
            server.sendto(payload.upper(), source)

    client = connected(h1)
    client.send(b"one")
    client.send(b"two")
    world.run(SECOND)
    world.kernel.spawn(program(), background=True)  # type: ignore[arg-type]
    world.at(2 * SECOND, lambda: client.send(b"three"))
    world.run(3 * SECOND)
    assert log == [(SECOND, b"one"), (SECOND, b"two"), (2 * SECOND, b"three")]
    first = client.recv()
    assert first.value[0] == b"ONE"


def test_the_receive_buffer_is_212992_bytes_of_kernel_memory() -> None:
    """768 bytes per small packet: 277 fit, and one more as Linux compares before adding."""
    world, h1, h2 = two_hosts()
    server = h2.udp_socket()
    server.bind(port=7000)
    client = connected(h1)
    for index in range(300):
        world.at(SECOND + index, lambda: client.send(b"x"))
    client.send(b"x")
    world.run(2 * SECOND)
    assert (server.datagrams_received, server.dropped) == (278, 23)
    assert {why for _, why, _ in world.drops} == {"SOCKET_BUFFER_FULL"}


def test_ports_are_unique_per_address_and_ephemeral_ones_lie_in_the_range() -> None:
    _, h1, _ = two_hosts()
    first, _ = sink(h1, 7000)
    with pytest.raises(OSError, match="Address already in use"):
        sink(h1, 7000, "10.9.0.1")
    first.close()
    sink(h1, 7000, "10.9.0.1")
    sink(h1, 7000, "127.0.0.1")
    with pytest.raises(OSError, match="Cannot assign requested address"):
        sink(h1, 7000, "10.9.0.2")
    ports = set()
    for _ in range(50):
        socket = h1.udp_socket()
        socket.bind()
        ports.add(socket.local_address[1])
    assert len(ports) == 50
    assert all(32768 <= port <= 60999 for port in ports)


def test_the_last_ephemeral_port_is_found_and_then_there_is_none() -> None:
    _, h1, _ = two_hosts()
    h1.sysctl["net.ipv4.ip_local_port_range_min"] = 40000
    h1.sysctl["net.ipv4.ip_local_port_range_max"] = 40002
    sockets = [h1.udp_socket() for _ in range(4)]
    for socket in sockets[:3]:
        socket.bind()
    assert {socket.local_address[1] for socket in sockets[:3]} == {40000, 40001, 40002}
    with pytest.raises(OSError, match="Address already in use"):
        sockets[3].bind()


def test_the_most_specific_socket_gets_the_datagram_and_caches_follow_changes() -> None:
    world, h1, h2 = two_hosts()
    any_socket, got_any = sink(h2, 7000)
    client = connected(h1)

    def send_at(seconds: int) -> None:
        world.at(seconds * SECOND, lambda: client.send(b"x"))

    for seconds in (0, 1, 3, 5):
        send_at(seconds)
    world.run(2 * SECOND)
    any_socket.close()
    bound, got_bound = sink(h2, 7000, "10.9.0.2")
    world.run(4 * SECOND)
    bound.close()
    world.run(6 * SECOND)
    assert (len(got_any), len(got_bound)) == (2, 1)
    assert [why for _, why, _ in world.drops] == ["NO_SOCKET"]


def test_a_connected_socket_hears_only_its_peer() -> None:
    world, h1, h2 = two_hosts()
    server = h2.udp_socket()
    server.bind(port=7000)
    server.connect("10.9.0.1", 5000)
    got: list[bytes] = []
    server.on_datagram = lambda payload, source, frame: got.append(payload)
    for port in (5000, 5001):
        socket = h1.udp_socket()
        socket.bind(port=port)
        socket.sendto(b"%d" % port, ("10.9.0.2", 7000))
    world.run()
    assert got == [b"5000"]


# -- errors -----------------------------------------------------------------------------------------------------------


def test_a_closed_port_refuses_a_connected_socket_on_its_next_call_and_only_once() -> None:
    world, h1, _ = two_hosts()
    socket = connected(h1, 9999)
    socket.send(b"x")
    world.run(SECOND)
    with pytest.raises(ConnectionRefusedError, match="Connection refused"):
        socket.send(b"y")
    socket.send(b"z")


def test_a_waiting_recv_fails_with_the_error() -> None:
    world, h1, _ = two_hosts()
    socket = connected(h1, 9999)
    outcome: list[object] = []

    def program() -> object:
        try:
            yield socket.recv()
        except OSError as error:
            outcome.append((world.kernel.now, error.errno))

    world.kernel.spawn(program())  # type: ignore[arg-type]
    world.at(SECOND, lambda: socket.send(b"x"))
    world.run()
    assert outcome == [(SECOND, errno.ECONNREFUSED)]


def test_an_unconnected_socket_hears_of_errors_only_if_it_asked() -> None:
    world, h1, _ = two_hosts()
    quiet, asking = h1.udp_socket(), h1.udp_socket()
    asking.receive_errors = True
    for socket in (quiet, asking):
        socket.sendto(b"x", ("10.9.0.2", 9999))
    world.run(SECOND)
    quiet.sendto(b"x", ("10.9.0.2", 9999))
    with pytest.raises(ConnectionRefusedError):
        asking.sendto(b"x", ("10.9.0.2", 9999))
    entry = asking.error_queue[0]
    assert (entry.number, entry.destination, entry.icmp_type, entry.code, entry.offender) == (
        errno.ECONNREFUSED,
        ("10.9.0.2", 9999),
        3,
        3,
        "10.9.0.2",
    )


def test_an_unreachable_host_is_a_soft_error_that_only_ip_recverr_reports() -> None:
    world, h1, _ = two_hosts()
    plain, asking = connected(h1, address="10.9.0.77"), connected(h1, address="10.9.0.77")
    asking.receive_errors = True
    plain.send(b"x")
    asking.send(b"x")
    world.run()
    plain.send(b"x")
    with pytest.raises(OSError, match="No route to host"):
        asking.send(b"x")


def test_no_way_is_an_error_at_once() -> None:
    _, h1, _ = two_hosts()
    with pytest.raises(OSError, match="Network is unreachable"):
        h1.udp_socket().sendto(b"x", ("192.0.2.1", 9))
    with pytest.raises(OSError, match="Network is unreachable"):
        h1.udp_socket().connect("192.0.2.1", 9)
    with pytest.raises(OSError, match="Message too long"):
        h1.udp_socket().sendto(bytes(65508), ("10.9.0.2", 9))
    with pytest.raises(OSError, match="Destination address required"):
        h1.udp_socket().send(b"x")
    with pytest.raises(InvalidValue, match="UDP port"):
        h1.udp_socket().sendto(b"x", ("10.9.0.2", 0))
    with pytest.raises(InvalidValue):
        h1.udp_socket().sendto(b"x", ("10.9.0", 1))
    closed = h1.udp_socket()
    closed.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        closed.sendto(b"x", ("10.9.0.2", 9))


def test_a_frame_too_long_for_the_peers_mtu_is_enobufs_for_who_asked_for_errors() -> None:
    """FACT 30: peer MTU 1000, own MTU 1500: an IP packet of 1004 bytes passes, 1005 do not."""
    world, h1, h2 = two_hosts()
    _, received = sink(h2)
    h2.device("eth0").set_mtu(1000)
    socket = connected(h1)
    socket.send(b"warm up")
    world.run(SECOND)
    socket.send(bytes(1004 - 28))
    socket.send(bytes(1005 - 28))
    world.run(2 * SECOND)
    assert len(received) == 2
    socket.receive_errors = True
    with pytest.raises(OSError, match="No buffer space available"):
        socket.send(bytes(1005 - 28))


def test_broadcast_needs_permission_and_reaches_everybody_who_listens_also_here() -> None:
    world, h1, h2 = two_hosts()
    _, there = sink(h2)
    _, here = sink(h1)
    socket = h1.udp_socket()
    for address in ("10.9.0.255",):
        with pytest.raises(PermissionError):
            socket.sendto(b"x", (address, 7000))
    socket.broadcast = True
    socket.sendto(b"x", ("10.9.0.255", 7000))
    world.run()
    assert (len(there), len(here)) == (1, 1)
    assert datagrams(world, "h1:eth0")[0][:6] == b"\xff" * 6
    assert world.arp_requests("h1:eth0") == []


def test_0_0_0_0_is_the_senders_own_address() -> None:
    world, h1, _ = two_hosts()
    _, heard = sink(h1)
    unbound, bound, connected = h1.udp_socket(), h1.udp_socket(), h1.udp_socket()
    bound.bind("10.9.0.1", 5000)
    connected.connect("0.0.0.0", 7000)
    for socket in (unbound, bound):
        socket.sendto(b"x", ("0.0.0.0", 7000))
        socket.sendto(b"x", ("0.0.0.0", 7000))  # by the cached way
    connected.send(b"x")
    world.run()
    assert [source[0] for _, source in heard] == ["127.0.0.1"] * 2 + ["10.9.0.1"] * 2 + ["127.0.0.1"]
    assert world.sent("h1:eth0") == []


def test_loopback_works_by_any_own_address_and_stays_inside() -> None:
    world, h1, _ = two_hosts()
    _, received = sink(h1)
    for address in ("127.0.0.1", "127.9.9.9", "10.9.0.1"):
        for _ in range(2):
            h1.udp_socket().sendto(address.encode(), (address, 7000))
    world.run()
    assert [source[0] for _, source in received] == [  # type: ignore[index]
        "127.0.0.1", "127.0.0.1", "127.9.9.9", "127.9.9.9", "10.9.0.1", "10.9.0.1",
    ]  # fmt: skip
    assert world.seen["h1:eth0"] == []


# -- caches -----------------------------------------------------------------------------------------------------------


def change_route(world: World, h1: Namespace, h2: Namespace) -> None:
    h1.routes.add("10.9.0.2", kind="blackhole")


def change_device(world: World, h1: Namespace, h2: Namespace) -> None:
    h1.device("eth0").set_down()


def change_address(world: World, h1: Namespace, h2: Namespace) -> None:
    h1.remove_address(h1.device("eth0"), "10.9.0.1/24")


@pytest.mark.parametrize("change", [change_route, change_device, change_address])
def test_a_cached_flow_ends_with_what_it_was_made_of(change: Callable[[World, Namespace, Namespace], None]) -> None:
    world, h1, h2 = two_hosts()
    _, received = sink(h2)
    socket = connected(h1)
    for index in range(3):
        world.at(index * SECOND, lambda: socket.send(b"x"))
    world.run(3 * SECOND)
    assert len(received) == 3
    change(world, h1, h2)
    with pytest.raises(OSError):
        socket.send(b"x")


def test_a_cached_flow_follows_a_neighbour_that_moved_and_starts_its_confirmation() -> None:
    from emu.stack.arp import build_arp

    world, h1, h2 = two_hosts()
    sink(h2)
    socket = connected(h1)
    socket.send(b"x")
    world.run(SECOND)
    socket.send(b"x")
    new_mac = b"\x02\0\0\0\0\x77"
    peer = bytes((10, 9, 0, 2))
    announcement = build_arp(b"\0\x01", b"\xff" * 6, new_mac, peer, bytes(6), peer)
    h1.device("eth0").receive(Frame(announcement, 99))
    socket.send(b"x")
    socket.send(b"x")
    assert [data[:6] for data in datagrams(world, "h1:eth0")[-2:]] == [new_mac] * 2
    assert h1.neighbours.state("eth0", "10.9.0.2") == "DELAY"


def test_a_cached_flow_lets_the_neighbour_grow_stale_and_be_confirmed() -> None:
    world, h1, h2 = two_hosts()
    _, received = sink(h2)
    socket = connected(h1)
    for index in range(120):
        world.at(index * SECOND, lambda: socket.send(b"x"))
    world.run(120 * SECOND)
    assert len(received) == 120
    requests = world.arp_requests("h1:eth0")
    assert 2 <= len(requests) - 1 <= 8, "one unicast confirmation per reachable time + 5 s"
    assert {mac for _, mac in requests[1:]} == {h2.device("eth0").mac}


@pytest.mark.parametrize("offset", [16, 22, 38, 42])
def test_altered_frames_of_a_known_flow_are_verified(offset: int) -> None:
    world, h1, h2 = two_hosts()
    _, received = sink(h2)
    socket = connected(h1)
    socket.send(bytes(20))
    socket.send(bytes(20))
    world.run(SECOND)
    good = datagrams(world, "h1:eth0")[0]
    bad = bytearray(good)
    bad[offset] ^= 0x10
    h2.device("eth0").receive(Frame(bytes(bad), 99, altered=True))
    h2.device("eth0").receive(Frame(good, 100, altered=True))
    assert len(received) == 3
    assert world.drops[-1][1] in ("IP_CHECKSUM", "UDP_CHECKSUM", "MALFORMED")


def test_with_verification_on_every_datagram_of_a_flow_is_checked() -> None:
    world, h1, h2 = two_hosts()
    h2.verify_checksums = True
    _, received = sink(h2)
    socket = connected(h1)
    socket.send(bytes(20))
    socket.send(bytes(20))
    world.run(SECOND)
    good = datagrams(world, "h1:eth0")[0]
    for offset in (18, 50):
        bad = bytearray(good)
        bad[offset] ^= 0x10
        h2.device("eth0").receive(Frame(bytes(bad), 99))
    h2.device("eth0").receive(Frame(good, 100))
    assert len(received) == 3
    assert [why for _, why, _ in world.drops] == ["IP_CHECKSUM", "UDP_CHECKSUM"]


def test_padding_is_cut_off_on_both_paths() -> None:
    world, h1, h2 = two_hosts()
    _, received = sink(h2)
    socket = connected(h1)
    socket.send(b"x")
    world.run(SECOND)
    padded = datagrams(world, "h1:eth0")[0].ljust(60, b"\0")
    h2.device("eth0").receive(Frame(padded, 99))
    h2.flush_caches()
    h2.device("eth0").receive(Frame(padded, 99))
    assert [payload for payload, _ in received] == [b"x"] * 3


@pytest.mark.parametrize("is_cached", [False, True])
@pytest.mark.parametrize(
    ("payload", "destination", "message"),
    [
        ("text", ("10.9.0.2", 7000), "sendto: the payload is str; expected bytes"),
        (b"x", "10.9.0.2", r"sendto: expected \(address, port\), such as .*, not '10.9.0.2'"),
        (b"x", ["10.9.0.2", 7000], r"sendto: expected \(address, port\)"),
        (b"x", (7000, "10.9.0.2"), r"sendto: expected \(address, port\)"),
        (b"x", ("10.9.0.2", "7000"), "UDP port '7000': expected 1 to 65535"),
    ],
)
def test_what_is_no_datagram_is_refused_also_on_the_fast_path(
    payload: object, destination: object, message: str, is_cached: bool
) -> None:
    world, h1, h2 = two_hosts()
    _, received = sink(h2)
    socket = h1.udp_socket()
    expected = []
    if is_cached:
        for data in (b"1234", b"5678"):
            socket.sendto(data, ("10.9.0.2", 7000))
            expected.append(data)
    with pytest.raises(InvalidValue, match=message):
        socket.sendto(payload, destination)  # type: ignore[arg-type]
    world.run()
    assert [data for data, _ in received] == expected
