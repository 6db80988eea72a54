"""TCP sockets of containers: by name, with options, over a bridge and an overlay, and when a container stops."""

import errno
from contextlib import suppress

import pytest

import emu
from emu.device.cost import CostModel
from emu.kernel.errors import InvalidValue, NotFound


def two_containers(**options):
    net = emu.Emulation(**options)
    network = net.host.networks.create("shop", subnet="10.5.0.0/24")
    return net, net.host.containers.run("web", network=network), net.host.containers.run("db", network=network)


def echo(listener):
    def server():
        while True:
            connection = yield listener.accept()
            while data := (yield connection.recv()):
                yield connection.send(data)
            connection.close()

    return server()


@pytest.mark.parametrize("cost", ["linux", "none"])
def test_a_container_connects_to_another_by_name(cost):
    net, web, db = two_containers(cost=cost)
    db.spawn(echo(db.tcp_listen(80)))

    def client():
        socket = web.tcp_connect("db", 80)
        yield socket.connected
        yield socket.send(b"hello")
        answer = yield socket.recv()
        socket.close()
        yield socket.closed
        return answer

    task = web.spawn(client())
    net.run()
    assert task.result == b"hello"


def test_a_connection_crosses_an_overlay_in_segments_that_fit():
    net = emu.Emulation()
    one, two = net.add_host("host1"), net.add_host("host2")
    net.add_link(one, two, rate="1Gbit", delay="50us")
    shop = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    web, db = one.containers.run("web", network=shop), two.containers.run("db", network=shop)
    db.spawn(echo(db.tcp_listen(80)))

    def client():
        socket = web.tcp_connect("db", 80)
        yield socket.connected
        socket.send(bytes(100_000))
        total = 0
        while total < 100_000:
            total += len((yield socket.recv()))
        socket.close()
        return socket.info()

    task = web.spawn(client())
    net.run()
    assert task.result.mss == 1398
    assert task.result.retransmissions == 0


def test_nobody_listening_refuses_the_connection():
    net, web, _ = two_containers()

    def client():
        try:
            yield web.tcp_connect("db", 80).connected
        except OSError as error:
            return error.errno

    task = web.spawn(client())
    net.run()
    assert task.result == errno.ECONNREFUSED


def test_a_container_that_stops_sends_nothing_and_its_peer_gives_up():
    net, web, db = two_containers()
    db.spawn(echo(db.tcp_listen(80)))

    def client():
        socket = web.tcp_connect("db", 80, user_timeout_ns=3_000_000_000)
        yield socket.connected
        db.stop()
        sent = web.interface("eth0").counters.rx_packets
        try:
            yield socket.send(b"anybody there?")
            yield socket.recv()
        except OSError as error:
            return error.errno, web.interface("eth0").counters.rx_packets - sent

    task = web.spawn(client())
    net.run()
    assert task.result[0] in (errno.ETIMEDOUT, errno.EHOSTUNREACH)
    assert task.result[1] == 0


def test_options_are_given_by_keyword_and_unknown_ones_are_refused():
    _, web, db = two_containers()
    socket = web.tcp_connect(db, 80, no_delay=True, congestion="reno", receive_buffer=1 << 20, source_port=40_000)
    assert (socket.no_delay, socket.congestion, socket.receive_buffer) == (True, "reno", 1 << 20)
    assert socket.local_address == ("10.5.0.2", 40_000)
    with pytest.raises(InvalidValue, match='unknown option "nodelay": expected congestion, keep_alive'):
        web.tcp_connect(db, 80, nodelay=True)
    with pytest.raises(NotFound, match="nobody"):
        web.tcp_connect("nobody", 80)


def test_a_port_that_is_listened_on_twice_is_an_error_as_in_linux():
    _, web, _ = two_containers()
    web.tcp_listen(80)
    with pytest.raises(OSError, match="Address already in use"):
        web.tcp_listen(80)


def test_a_listener_that_is_refused_leaves_its_port_free():
    _, web, _ = two_containers()
    with pytest.raises(InvalidValue, match="backlog -1"):
        web.tcp_listen(80, backlog=-1)
    web.tcp_listen(80)


def test_a_waiting_program_says_what_it_waits_for():
    net, _, db = two_containers()
    listener = db.tcp_listen(80)

    def server():
        yield listener.accept()

    task = db.spawn(server())
    net.run()
    assert task.unfinished
    assert task.waiting_for == "a connection on TCP port 80"


def test_connect_wakes_its_program_as_recv_does() -> None:
    net = emu.Emulation(seed=1)
    web, db = (net.host.containers.run(name) for name in ("web", "db"))
    arrivals: list[int] = []
    web.interface().device.add_tap(
        lambda now_ns, frame, direction: arrivals.append(now_ns) if direction == 1 and len(frame.data) > 60 else None
    )
    db.tcp_listen(80)
    times: list[int] = []

    def program():
        for port in (80, 81):
            yield net.timeout("1s")
            socket = web.tcp_connect(db, port)
            with suppress(ConnectionRefusedError):
                yield socket.connected
            times.append(net.now)
            socket.abort()

    web.spawn(program())
    net.run()
    assert times[0] - arrivals[0] > CostModel().wakeup_latency
    assert len(times) == 2
    assert times[1] % 1_000_000_000 > CostModel().wakeup_latency


def test_what_arrives_after_a_recv_was_given_up_is_for_the_next_one() -> None:
    net, web, db = two_containers()
    got: list[object] = []

    def server(listener):
        connection = yield listener.accept()
        for letter in (b"a", b"b"):
            yield net.timeout("3s")
            yield connection.send(letter)

    def client():
        socket = web.tcp_connect(db, 80)
        yield socket.connected
        first = socket.recv()
        yield first | net.timeout("1s")
        got.append(first.triggered)
        yield net.timeout("4s")  # "a" arrives while nobody waits
        got.append((yield socket.recv()))
        got.append((yield first))  # waits again, for "b"

    db.spawn(server(db.tcp_listen(80)))
    web.spawn(client())
    net.run()
    assert got == [False, b"a", b"b"]


def test_a_connection_after_an_accept_was_given_up_is_for_the_next_one() -> None:
    net, web, db = two_containers()

    def server(listener):
        yield listener.accept() | net.timeout("1s")
        connection = yield listener.accept()
        return (yield connection.recv())

    def client():
        yield net.timeout("2s")
        socket = web.tcp_connect(db, 80)
        yield socket.connected
        yield socket.send(b"hello")

    task = db.spawn(server(db.tcp_listen(80)))
    web.spawn(client())
    net.run()
    assert task.result == b"hello"


def test_a_datagram_after_a_recv_was_given_up_is_for_the_next_one() -> None:
    net, web, db = two_containers()

    def server(socket):
        first = socket.recv()
        yield first | net.timeout("1s")
        payloads = [(yield socket.recv())[0]]
        payloads.append((yield first)[0])
        return payloads

    def client(socket):
        for payload in (b"a", b"b"):
            yield net.timeout("2s")
            socket.sendto(payload, (db.addresses["shop"], 53))

    task = db.spawn(server(db.udp(53)))
    web.spawn(client(web.udp()))
    net.run()
    assert task.result == [b"a", b"b"]


def test_an_event_of_recv_that_nobody_has_waited_for_yet_takes_what_comes() -> None:
    net, web, db = two_containers()

    def server(listener):
        connection = yield listener.accept()
        one, two = connection.recv(1), connection.recv(1)
        yield net.timeout("1s")
        return one.value + (yield two)

    def client():
        socket = web.tcp_connect(db, 80)
        yield socket.connected
        yield socket.send(b"ab")

    task = db.spawn(server(db.tcp_listen(80)))
    web.spawn(client())
    net.run()
    assert task.result == b"ab"
