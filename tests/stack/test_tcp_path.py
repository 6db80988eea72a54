"""TCP over paths with more than one hop: path MTU discovery, ICMP errors, and what `ss` shows of it all."""

import errno

from emu.wire.tcp import parse_tcp
from tests.stack.test_tcp import run, segments, serve
from tests.stack.world import MS, SECOND, World, two_hosts


def routed(mtu=1000):
    """h1 - router - h2; the second link carries less."""
    world = World()
    h1, router, h2 = (world.namespace(name) for name in ("h1", "router", "h2"))
    router.sysctl["net.ipv4.ip_forward"] = 1
    world.join(h1, router, "10.1.0.2/24", "10.1.0.1/24")
    world.join(router, h2, "10.2.0.1/24", "10.2.0.2/24", mtu=mtu)
    h1.routes.add("default", via="10.1.0.1")
    h2.routes.add("default", via="10.2.0.1")
    return world, h1, router, h2


def upload(world, h1, h2, size):
    got = []

    def program(connection):
        while data := (yield connection.recv()):
            got.append(data)
        connection.close()

    serve(world, h2, program=program)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect("10.2.0.2", 80)
        yield socket.send(bytes(size))
        socket.close()
        yield socket.closed
        return socket.info()

    (info,) = run(world, client())
    return b"".join(got), info


def sizes_at(world, label):
    return [
        len(parse_tcp(frame.data, 34).payload)
        for _, _, frame in world.seen[label]
        if frame.data[12:14] == b"\x08\x00" and frame.data[23] == 6
    ]


def test_the_smaller_mtu_of_the_receiver_is_announced_as_its_mss():
    world, h1, _, h2 = routed()
    data, info = upload(world, h1, h2, 50_000)
    assert len(data) == 50_000
    assert (info.mss, info.retransmissions) == (948, 0)


def test_a_smaller_mtu_in_the_middle_is_found_by_icmp():
    world = World()
    h1, r1, r2, h2 = (world.namespace(name) for name in ("h1", "r1", "r2", "h2"))
    for router in (r1, r2):
        router.sysctl["net.ipv4.ip_forward"] = 1
    world.join(h1, r1, "10.1.0.2/24", "10.1.0.1/24")
    world.join(r1, r2, "10.3.0.1/24", "10.3.0.2/24", mtu=1000)
    world.join(r2, h2, "10.2.0.1/24", "10.2.0.2/24")
    h1.routes.add("default", via="10.1.0.1")
    r1.routes.add("10.2.0.0/24", via="10.3.0.2")
    r2.routes.add("10.1.0.0/24", via="10.3.0.1")
    h2.routes.add("default", via="10.2.0.1")
    data, info = upload(world, h1, h2, 50_000)
    assert len(data) == 50_000
    assert info.mss == 948
    assert max(sizes_at(world, "h1:eth0")) == 1448
    assert max(sizes_at(world, "h2:eth0")) == 948
    assert world.kernel.now < 6 * SECOND
    size_of_the_next = []

    def again():
        socket = h1.tcp_socket()
        yield socket.connect("10.2.0.2", 80)
        size_of_the_next.append(socket.info().mss)
        socket.close()

    run(world, again())
    assert size_of_the_next == [948]  # the cached value


def test_a_router_without_a_way_ends_an_attempt_to_connect():
    world, h1, router, _ = routed()
    router.routes.remove("10.2.0.0/24")

    def client():
        socket = h1.tcp_socket()
        try:
            yield socket.connect("10.2.0.2", 80)
        except OSError as error:
            return error.errno, world.kernel.now

    ((number, now_ns),) = run(world, client())
    assert number == errno.ENETUNREACH
    assert now_ns < MS


def test_a_route_that_vanishes_is_only_a_soft_error_for_an_open_connection():
    world, h1, router, h2 = routed()
    got = []

    def program(connection):
        while data := (yield connection.recv()):
            got.append(data)

    serve(world, h2, program=program)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect("10.2.0.2", 80)
        device = router.device("eth1")
        router.routes.remove("10.2.0.0/24")
        yield socket.send(b"survives")
        yield world.kernel.timeout(2 * SECOND)
        router.routes.add("10.2.0.0/24", device=device)
        yield world.kernel.timeout(10 * SECOND)
        return socket.state

    assert run(world, client()) == ["ESTABLISHED"]
    assert got == [b"survives"]


def test_a_spoofed_icmp_error_about_nothing_that_is_under_way_is_ignored():
    world, h1, h2 = two_hosts()
    serve(world, h2)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect("10.9.0.2", 80)
        yield world.kernel.timeout(MS)
        _, _, _, _, syn = segments(world)[0]
        quoted = bytearray(syn.data[14:])
        quoted[24:28] = b"\x12\x34\x56\x78"
        h2.icmp.send_error(bytes(quoted), 1, 3, 4, information=600)
        yield world.kernel.timeout(MS)
        return socket.info().mss

    assert run(world, client()) == [1448]


def test_sockets_are_shown_as_ss_does():
    world, h1, h2 = two_hosts()
    serve(world, h2, port=8080)

    def client():
        socket = h1.tcp_socket()
        socket.bind(port=40000)
        yield socket.connect("10.9.0.2", 8080)
        return socket

    run(world, client())
    assert h2.show_sockets() == (
        "State  Recv-Q Send-Q Local Address:Port Peer Address:Port\n"
        "LISTEN 0      128          0.0.0.0:8080         0.0.0.0:*\n"
        "ESTAB  0      0           10.9.0.2:8080    10.9.0.1:40000\n"
    )
