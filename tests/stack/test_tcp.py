"""TCP sockets between namespaces: what programs see, and the frames on the wire."""

import errno

import pytest

from emu.kernel.errors import InvalidValue
from emu.stack.input_chain import InputRule
from emu.stack.output import build_packet
from emu.stack.tcp_protocol import Tcp
from emu.wire.tcp import ACK, FIN, RST, SYN, build_tcp, flags_text, parse_tcp
from tests.stack.world import MS, SECOND, two_hosts

H1, H2 = "10.9.0.1", "10.9.0.2"


def segments(world, label="h1:eth0"):
    """(time, from h1, flags, IP id, segment) of every TCP segment seen at a device."""
    found = []
    for now_ns, _, frame in world.seen[label]:
        data = frame.data
        if data[12:14] == b"\x08\x00" and data[23] == 6:
            view = parse_tcp(data, 34)
            ident = int.from_bytes(data[18:20], "big")
            found.append((now_ns, data[26:30] == b"\x0a\x09\x00\x01", flags_text(view.flags), ident, view))
    return found


def flags(world, label="h1:eth0"):
    return " ".join(("<>"[from_h1]) + text for _, from_h1, text, _, _ in segments(world, label))


def serve(world, namespace, port=80, program=None, backlog=128):
    """Listen and run `program(connection)` for every connection; returns the listening socket."""
    listener = namespace.tcp_socket()
    listener.bind(port=port)
    listener.listen(backlog)

    def server():
        while True:
            connection = yield listener.accept()
            if program is not None:
                world.kernel.spawn(program(connection))

    world.kernel.spawn(server(), background=True)
    return listener


def run(world, *programs):
    """Run programs to their end; returns what they returned."""
    processes = [world.kernel.spawn(program) for program in programs]
    world.run()
    return [process.value for process in processes]


def echo(connection):
    while data := (yield connection.recv()):
        yield connection.send(data)
    connection.close()


def connect_error(namespace, address=H2, port=80):
    socket = namespace.tcp_socket()
    try:
        yield socket.connect(address, port)
    except OSError as error:
        return error.errno, error.strerror
    return None


def test_a_request_is_answered_and_both_sides_close():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        assert socket.state == "ESTABLISHED"
        assert socket.remote_address == (H2, 80)
        yield socket.send(b"hello")
        answer = yield socket.recv()
        socket.shutdown("write")
        rest = yield socket.recv()
        socket.close()
        yield socket.closed
        return answer, rest, socket.state

    assert run(world, client()) == [(b"hello", b"", "TIME_WAIT")]
    assert flags(world) == ">S <S. >. >P. <. <P. >. >F. <F. >."


def test_the_identification_of_a_syn_ack_is_0_and_of_others_one_more_each():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        for _ in range(3):
            yield socket.send(b"x")
            yield socket.recv()

    run(world, client())
    client_ids = [ident for _, from_h1, _, ident, _ in segments(world) if from_h1]
    assert client_ids == [(client_ids[0] + step) & 0xFFFF for step in range(len(client_ids))]
    server_ids = [(text, ident) for _, from_h1, text, ident, _ in segments(world) if not from_h1]
    assert server_ids[0] == ("S.", 0)
    later = [ident for _, ident in server_ids[1:]]
    assert later == [(later[0] + step) & 0xFFFF for step in range(len(later))]


def test_the_last_acknowledgment_of_a_connection_has_an_identification_and_later_ones_have_none():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        socket.close()
        yield socket.closed
        fin = next(frame for _, _, frame in reversed(world.seen["h1:eth0"]) if frame.data[47:48] == b"\x11")
        yield world.kernel.timeout(SECOND)
        h2.device("eth0").transmit(fin)

    run(world, client())
    idents = [ident for _, from_h1, _, ident, _ in segments(world) if from_h1]
    assert idents[-2] == (idents[-3] + 1) & 0xFFFF
    assert idents[-1] == 0


def test_a_closed_port_answers_with_a_reset_as_recorded():
    world, h1, _ = two_hosts()
    assert run(world, connect_error(h1)) == [(errno.ECONNREFUSED, "Connection refused")]
    _, _, text, ident, reset = segments(world)[1]
    syn = segments(world)[0][4]
    assert (text, ident, reset.sequence, reset.window, reset.options) == ("R.", 0, 0, 0, b"")
    assert reset.acknowledgment == (syn.sequence + 1) & 0xFFFFFFFF
    assert reset.data[20:22] == b"\x40\x00"  # DF
    assert (0, "NO_SOCKET", "h2:eth0") in world.drops


def test_a_reset_says_what_caused_it():
    world, h1, _ = two_hosts()
    run(world, connect_error(h1))
    syn, reset = (frame for _, _, frame in world.seen["h1:eth0"] if frame.data[23] == 6 and frame.data[12] == 8)
    assert world.kernel.journal.annotation(reset.packet_id) == f"caused by #{syn.packet_id}"


def test_a_segment_of_no_connection_is_answered_by_a_reset_with_its_own_ack():
    world, h1, _ = two_hosts()
    source, destination = b"\x0a\x09\x00\x01", b"\x0a\x09\x00\x02"
    segment = build_tcp(source, destination, 4000, 80, 100, 7777, ACK, 10, b"", b"data")
    packet = build_packet(source, destination, 6, segment, identification=1, ttl=64, dont_fragment=True)
    world.at(0, lambda: h1.output.send(h1.output.path(destination), packet, 1))
    world.run()
    reset = segments(world)[1][4]
    assert (reset.flags, reset.sequence, reset.acknowledgment) == (RST, 7777, 0)
    assert len(segments(world)) == 2


def test_an_unused_address_is_unreachable_after_3_s():
    world, h1, _ = two_hosts()
    assert run(world, connect_error(h1, "10.9.0.77")) == [(errno.EHOSTUNREACH, "No route to host")]
    assert 3 * SECOND < world.kernel.now < 4 * SECOND


def test_without_a_route_the_network_is_unreachable_at_once():
    world, h1, _ = two_hosts()
    assert run(world, connect_error(h1, "192.0.2.1")) == [(errno.ENETUNREACH, "Network is unreachable")]
    assert world.kernel.now == 0


def test_a_silent_host_times_out_after_the_last_syn():
    world, h1, h2 = two_hosts()
    h1.sysctl["net.ipv4.tcp_syn_retries"] = 2
    h1.sysctl["net.ipv4.tcp_syn_linear_timeouts"] = 0
    h2.input_chain.append(InputRule("DROP", protocol="tcp"))
    assert run(world, connect_error(h1)) == [(errno.ETIMEDOUT, "Connection timed out")]
    assert [now_ns // SECOND for now_ns, *_ in segments(world)] == [0, 1, 3]


def test_timers_have_the_accuracy_of_linux():
    world, h1, h2 = two_hosts()
    h2.input_chain.append(InputRule("DROP", protocol="tcp"))
    run(world, connect_error(h1))
    moments = [now_ns / SECOND for now_ns, *_ in segments(world)]
    recorded = [0, 1.0057, 2.0297, 3.0537, 4.0777, 5.1017, 7.1177, 11.1497, 19.3417, 35.4697]
    for moment, expected in zip(moments, recorded, strict=False):
        assert moment == pytest.approx(expected, rel=0.03)


def test_bulk_data_arrives_whole_and_in_order_both_ways():
    world, h1, h2 = two_hosts()
    data = bytes(range(256)) * 2000
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        parts = []

        def reader():
            while part := (yield socket.recv()):
                parts.append(part)

        reading = world.kernel.spawn(reader())
        yield socket.send(data)
        socket.shutdown("write")
        yield reading
        return b"".join(parts) == data

    assert run(world, client()) == [True]


def test_corrupted_segments_are_dropped_with_a_reason_and_sent_again():
    world, h1, h2 = two_hosts()
    h1.device("eth0").set(corrupt=0.3, delay="1ms")
    received = []

    def program(connection):
        while data := (yield connection.recv()):
            received.append(data)
        connection.close()

    serve(world, h2, program=program)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        yield socket.send(bytes(100_000))
        socket.close()
        yield socket.closed

    run(world, client())
    assert b"".join(received) == bytes(100_000)
    assert any(reason == "TCP_CHECKSUM" for _, reason, _ in world.drops)


def test_a_full_accept_queue_drops_the_ack_and_further_syns():
    world, h1, h2 = two_hosts()
    h1.device("eth0").set(delay="1ms")
    listener = h2.tcp_socket()
    listener.bind(port=80)
    listener.listen(0)
    opened = []

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        opened.append(world.kernel.now)

    for _ in range(3):
        world.kernel.spawn(client())
    world.run(until=900 * MS)
    assert len(opened) >= 1
    assert listener._listener.overflows >= 1
    assert any(reason == "LISTEN_QUEUE_FULL" for _, reason, _ in world.drops)


def test_accept_makes_room_for_what_was_refused():
    world, h1, h2 = two_hosts()
    listener = h2.tcp_socket()
    listener.bind(port=80)
    listener.listen(0)
    accepted = []

    def server():
        yield world.kernel.timeout(500 * MS)
        while len(accepted) < 3:
            accepted.append((yield listener.accept()))

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)

    run(world, server(), client(), client(), client())
    assert len(accepted) == 3


def test_a_port_can_be_bound_only_once():
    _, h1, _ = two_hosts()
    h1.tcp_socket().bind(port=80)
    with pytest.raises(OSError, match="Address already in use"):
        h1.tcp_socket().bind(port=80)


def test_a_foreign_address_cannot_be_bound():
    _, h1, _ = two_hosts()
    with pytest.raises(OSError, match="Cannot assign requested address"):
        h1.tcp_socket().bind("192.0.2.1", 80)


def test_ephemeral_ports_of_connect_are_even():
    world, h1, h2 = two_hosts()
    serve(world, h2)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        return socket.local_address[1]

    ports = run(world, client(), client(), client())
    assert len(set(ports)) == 3
    assert all(32768 <= port <= 60999 and not port % 2 for port in ports)


def test_sending_after_a_shutdown_is_a_broken_pipe():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        socket.shutdown("write")
        try:
            yield socket.send(b"x")
        except OSError as error:
            return error.errno

    assert run(world, client()) == [errno.EPIPE]


def test_a_reset_is_reported_once_and_then_the_stream_is_at_its_end():
    world, h1, h2 = two_hosts()

    def program(connection):
        yield world.kernel.timeout(MS)
        connection.abort()

    serve(world, h2, program=program)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        try:
            yield socket.recv()
        except OSError as error:
            number = error.errno
        rest = yield socket.recv()
        return number, rest

    assert run(world, client()) == [(errno.ECONNRESET, b"")]
    assert flags(world).endswith("<R.")


def test_closing_with_unread_data_resets_the_connection():
    world, h1, h2 = two_hosts()

    def program(connection):
        yield world.kernel.timeout(MS)
        connection.close()

    serve(world, h2, program=program)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        yield socket.send(b"never read")
        try:
            yield socket.recv()
        except OSError as error:
            return error.errno

    assert run(world, client()) == [errno.ECONNRESET]


def test_a_linger_time_of_0_resets_on_close():
    world, h1, h2 = two_hosts()
    serve(world, h2)

    def client():
        socket = h1.tcp_socket()
        socket.linger_ns = 0
        yield socket.connect(H2, 80)
        socket.close()

    run(world, client())
    assert flags(world) == ">S <S. >. >R."


def test_data_that_is_sent_and_closed_at_once_arrives_before_the_end():
    world, h1, h2 = two_hosts()
    got = []

    def program(connection):
        while data := (yield connection.recv()):
            got.append(data)
        connection.close()

    serve(world, h2, program=program)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        socket.send(bytes(500_000))
        socket.close()
        yield socket.closed

    run(world, client())
    assert b"".join(got) == bytes(500_000)


def test_a_socket_that_sends_before_it_is_connected_waits_for_the_connection():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        socket.connect(H2, 80)
        yield socket.send(b"early")
        return (yield socket.recv())

    assert run(world, client()) == [b"early"]


def test_a_send_fails_with_the_connection_it_waits_for():
    world, h1, _ = two_hosts()

    def client():
        socket = h1.tcp_socket()
        socket.connect(H2, 80)
        try:
            yield socket.send(b"early")
        except OSError as error:
            return error.errno

    assert run(world, client())[0] in (errno.ECONNREFUSED, errno.EPIPE)


def test_closing_a_socket_fails_those_who_wait_for_its_connection():
    world, h1, _ = two_hosts()

    def client():
        socket = h1.tcp_socket()
        event = socket.connect("10.9.0.77", 80)
        socket.close()
        try:
            yield event
        except OSError as error:
            return error.errno

    assert run(world, client()) == [errno.EBADF]
    assert not h1.tcp.connections


def test_a_connection_to_oneself_goes_over_loopback():
    world, h1, _ = two_hosts()
    serve(world, h1, program=echo)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect("127.0.0.1", 80)
        yield socket.send(bytes(100_000))
        total = 0
        while total < 100_000:
            total += len((yield socket.recv()))
        socket.close()
        return total

    assert run(world, client()) == [100_000]
    sizes = [len(view.payload) for _, _, _, _, view in segments(world, "h1:lo")]
    assert next(size for size in sizes if size) == 32741  # half of the window of 65483, as on Linux


def test_a_listening_socket_does_not_keep_a_run_alive():
    world, _, h2 = two_hosts()
    serve(world, h2)
    world.run()
    assert world.kernel.now == 0


def test_time_wait_does_not_keep_a_run_alive():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        socket.close()
        yield socket.closed

    run(world, client())
    assert world.kernel.now < 10 * SECOND  # the neighbour entries are confirmed after 5 s


def test_a_dialogue_that_advances_needs_no_arp_for_minutes():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        for _ in range(120):
            yield socket.send(b"x")
            yield socket.recv()
            yield world.kernel.timeout(SECOND)
        return world.kernel.now

    run(world, client())
    assert [now_ns for now_ns, _ in world.arp_requests("h1:eth0") if now_ns < 110 * SECOND] == [0]
    assert [now_ns for now_ns, _ in world.arp_requests("h2:eth0") if now_ns < 110 * SECOND] == []


def test_everything_is_forgotten_in_the_end():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        socket.close()
        yield socket.closed

    run(world, client())
    world.run(until=world.kernel.now + 70 * SECOND)
    assert not h1.tcp.connections
    assert not h2.tcp.connections
    assert not h1.receive_flows
    assert not h2.receive_flows


def test_a_namespace_that_is_destroyed_sends_nothing():
    world, h1, h2 = two_hosts()
    serve(world, h2)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        yield world.kernel.timeout(SECOND)
        h1.tcp.vanish()

    run(world, client())
    assert flags(world) == ">S <S. >."
    assert not h1.tcp.connections


def test_a_hook_that_drops_tcp_is_obeyed_by_established_flows():
    world, h1, h2 = two_hosts()
    got = []

    def program(connection):
        while data := (yield connection.recv()):
            got.append(data)
        connection.close()

    serve(world, h2, program=program)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        yield socket.send(b"one")
        yield world.kernel.timeout(MS)
        h2.input_chain.append(InputRule("DROP", protocol="tcp"))
        yield socket.send(b"two")
        yield world.kernel.timeout(SECOND)

    world.kernel.spawn(client())
    world.run(until=2 * SECOND)
    assert got == [b"one"]


@pytest.mark.parametrize("port", [0, -1, 65536, "80", True])
def test_an_impossible_port_is_refused(port):
    _, h1, _ = two_hosts()
    with pytest.raises(InvalidValue, match="expected 1 to 65535"):
        h1.tcp_socket().connect(H2, port)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("ttl", 0), ("tos", 256), ("congestion", "vegas"), ("congestion", ["reno"]), ("maximum_segment", 20),
        ("keep_count", 0), ("keep_count", 128), ("keep_idle_ns", 32768 * SECOND), ("keep_interval_ns", 1.5),
        ("send_buffer", 0), ("linger_ns", -1), ("linger_ns", "1s"), ("no_delay", "yes"), ("keep_alive", 1),
        ("quick_ack", None), ("user_timeout_ns", "1s"),
    ],
)  # fmt: skip
def test_an_impossible_option_is_refused(option, value):
    _, h1, _ = two_hosts()
    with pytest.raises(InvalidValue, match="expected"):
        setattr(h1.tcp_socket(), option, value)


def test_options_reach_the_wire():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        socket.ttl, socket.tos, socket.maximum_segment = 7, 0x10, 500
        yield socket.connect(H2, 80)
        yield socket.send(b"x")
        yield socket.recv()

    run(world, client())
    for frame in world.sent("h1:eth0"):
        if frame[12:14] == b"\x08\x00":
            assert (frame[15], frame[22]) == (0x10, 7)
    assert segments(world)[0][4].options[:4] == b"\x02\x04\x01\xf4"


def test_info_counts_what_was_exchanged():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        yield socket.send(bytes(5000))
        total = 0
        while total < 5000:
            total += len((yield socket.recv()))
        return socket.info()

    (info,) = run(world, client())
    assert (info.state, info.bytes_sent, info.bytes_acked, info.bytes_received) == ("ESTAB", 5000, 5000, 5000)
    assert (info.mss, info.congestion, info.retransmissions) == (1448, "cubic", 0)


def test_the_same_seed_gives_the_same_frames_and_another_seed_other_numbers():
    def frames(seed):
        world, h1, h2 = two_hosts(seed)
        serve(world, h2, program=echo)

        def client():
            socket = h1.tcp_socket()
            yield socket.connect(H2, 80)
            yield socket.send(b"x")
            yield socket.recv()

        run(world, client())
        return world.sent("h1:eth0")

    assert frames(1) == frames(1)
    assert frames(1)[1][38:42] != frames(2)[1][38:42]


def test_the_tcp_of_a_namespace_has_the_default_congestion_control_of_linux():
    _, h1, _ = two_hosts()
    assert isinstance(h1.tcp, Tcp)
    assert h1.tcp.congestion == "cubic"


def test_the_congestion_control_of_a_namespace_is_what_new_connections_get():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)
    h1.tcp.congestion = "reno"
    with pytest.raises(InvalidValue, match='congestion control \'bbr\': expected "cubic" or "reno"'):
        h1.tcp.congestion = "bbr"

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        return socket.info().congestion

    assert run(world, client()) == ["reno"]


def test_what_belongs_to_the_syn_is_not_changed_any_more_when_it_has_left():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)
    socket = h1.tcp_socket()
    socket.connect(H2, 80)
    with pytest.raises(InvalidValue, match="before the connection is opened"):
        socket.maximum_segment = 500
    with pytest.raises(InvalidValue, match="before the connection is opened"):
        socket.congestion = "reno"


@pytest.mark.parametrize("how", ["read", "write", "both"])
def test_a_shutdown_while_the_connection_is_being_opened_gives_it_up(how):
    world, h1, h2 = two_hosts()
    h2.device("eth0").set_down()
    socket = h1.tcp_socket()
    failed = []

    def wait(event):
        try:
            yield event
        except OSError as error:
            failed.append(error.errno)

    world.kernel.spawn(wait(socket.connect(H2, 80)))
    world.kernel.spawn(wait(socket.send(b"early")))
    world.at(SECOND, lambda: socket.shutdown(how))
    world.run()
    assert failed == [errno.ECONNRESET, errno.EPIPE]
    assert (socket.state, h1.tcp.connections) == ("CLOSED", {})


def test_a_socket_whose_connection_was_refused_can_connect_again():
    world, h1, h2 = two_hosts()

    def client():
        socket = h1.tcp_socket()
        try:
            yield socket.connect(H2, 80)
        except ConnectionRefusedError:
            serve(world, h2, program=echo)
        yield socket.connect(H2, 80)
        yield socket.send(b"again")
        answer = yield socket.recv()
        socket.close()
        yield socket.closed
        return answer

    assert run(world, client()) == [b"again"]


def test_after_a_shutdown_of_reading_recv_waits_no_more_but_returns_what_is_there():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        socket.shutdown("read")
        nothing = yield socket.recv()
        yield socket.send(b"still there?")
        yield world.kernel.timeout(SECOND)
        answer = yield socket.recv()
        return nothing, answer, (yield socket.recv())

    assert run(world, client()) == [(b"", b"still there?", b"")]


def test_after_a_shutdown_of_both_directions_data_is_answered_by_a_reset():
    world, h1, h2 = two_hosts()
    failed = []

    def late(connection):
        yield world.kernel.timeout(SECOND)
        yield connection.send(b"too late")
        yield world.kernel.timeout(SECOND)
        assert (yield connection.recv()) == b""  # the FIN came before the reset
        assert (yield connection.recv()) == b""
        try:
            yield connection.send(b"?")
        except OSError as error:
            failed.append(error.errno)

    serve(world, h2, program=late)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        socket.shutdown("both")
        yield socket.closed

    run(world, client())
    assert flags(world).endswith("<P. >R.")
    assert failed == [errno.EPIPE]


def test_a_connection_without_timestamps_never_takes_the_receive_paths_short_way():
    world, h1, h2 = two_hosts()
    h1.sysctl["net.ipv4.tcp_timestamps"] = 0
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        yield socket.send(bytes(20_000))
        got = 0
        while got < 20_000:
            got += len((yield socket.recv()))
        return len(h2.receive_flows), len(h1.receive_flows)

    assert run(world, client()) == [(0, 0)]


def test_keepalive_that_is_set_in_time_wait_asks_nobody():
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        yield socket.connect(H2, 80)
        socket.shutdown("write")
        yield socket.closed
        assert socket.state == "TIME_WAIT"
        socket.keep_idle_ns = SECOND
        socket.keep_alive = True

    run(world, client())
    world.run(until=world.kernel.now + 100 * SECOND)
    assert not h1.tcp.connections


def test_quick_acks_can_be_switched_off_before_the_connection_is_opened():
    """The ACK of the SYN-ACK then rides on the first data."""
    world, h1, h2 = two_hosts()
    serve(world, h2, program=echo)

    def client():
        socket = h1.tcp_socket()
        socket.quick_ack = False
        yield socket.connect(H2, 80)
        yield world.kernel.timeout(SECOND // 50)
        yield socket.send(b"x")
        yield socket.recv()

    run(world, client())
    assert [len(view.payload) for *_, view in segments(world)][:3] == [0, 0, 1]


def test_a_syn_with_fin_is_not_answered():
    world, h1, h2 = two_hosts()
    serve(world, h2)
    source, destination = b"\x0a\x09\x00\x01", b"\x0a\x09\x00\x02"
    segment = build_tcp(source, destination, 4000, 80, 100, 0, SYN | FIN, 10)
    packet = build_packet(source, destination, 6, segment, identification=1, ttl=64)
    world.at(0, lambda: h1.output.send(h1.output.path(destination), packet, 1))
    world.run()
    assert len(segments(world)) == 1
