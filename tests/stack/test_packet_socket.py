"""Packet sockets: frames past the IP stack, before there is an address, and nothing left behind after closing."""

import errno

import pytest

from emu.device.bridge import Bridge
from emu.kernel.errors import Conflict
from emu.wire.address import BROADCAST_MAC
from emu.wire.drop import DropReason
from tests.stack.world import World

EXPERIMENTAL = b"\x88\xb5"


def lan():
    world = World()
    a, b = world.namespace("a"), world.namespace("b")
    one, two = world.join(a, b, "10.0.0.1/24", "10.0.0.2/24")
    return world, a, b, one, two


def of_experiment(data):
    return data[12:14] == EXPERIMENTAL


def test_a_frame_that_the_socket_wants_reaches_it_whole():
    world, a, b, one, two = lan()
    got = []
    b.packet_socket(two, of_experiment, lambda frame: got.append(frame.data))
    data = BROADCAST_MAC + one.mac + EXPERIMENTAL + b"hello"
    a.packet_socket(one, of_experiment, lambda frame: None).send(data)
    world.run()
    assert got == [data]
    assert world.drops == []


def test_what_the_socket_does_not_want_goes_to_the_stack_as_before():
    world, a, b, _, two = lan()
    got = []
    b.packet_socket(two, of_experiment, got.append)
    receiver = b.udp_socket()
    receiver.bind(port=9)
    received = []
    receiver.on_datagram = lambda payload, source, frame: received.append(payload)
    a.udp_socket().sendto(b"one", ("10.0.0.2", 9))
    world.run()
    assert (received, got) == ([b"one"], [])


def test_after_closing_nothing_arrives_and_the_device_is_as_before():
    world, a, b, one, two = lan()
    before = two.upper
    got = []
    socket = b.packet_socket(two, of_experiment, got.append)
    socket.close()
    assert two.upper == before
    a.packet_socket(one, of_experiment, got.append).send(BROADCAST_MAC + one.mac + EXPERIMENTAL)
    world.run()
    assert got == []
    assert [reason for _, reason, _ in world.drops] == [DropReason.UNKNOWN_ETHERTYPE.name]
    with pytest.raises(OSError, match="Bad file descriptor"):
        socket.send(b"")


def test_sockets_may_be_closed_in_any_order():
    world, a, b, one, two = lan()
    first, second = [], []
    older = b.packet_socket(two, of_experiment, first.append)
    newer = b.packet_socket(two, of_experiment, second.append)
    older.close()
    a.packet_socket(one, of_experiment, first.append).send(BROADCAST_MAC + one.mac + EXPERIMENTAL)
    world.run()
    assert (len(first), len(second)) == (0, 1)
    newer.close()
    receiver = b.udp_socket()
    receiver.bind(port=9)
    received = []
    receiver.on_datagram = lambda payload, source, frame: received.append(payload)
    a.udp_socket().sendto(b"one", ("10.0.0.2", 9))
    a.packet_socket(one, of_experiment, first.append).send(BROADCAST_MAC + one.mac + EXPERIMENTAL)
    world.run()
    assert (len(first), len(second), received) == (0, 1, [b"one"])


def test_a_device_that_is_down_sends_nothing():
    _, a, _, one, _ = lan()
    one.set_down()
    with pytest.raises(OSError, match="Network is down") as caught:
        a.packet_socket(one, of_experiment, lambda frame: None).send(BROADCAST_MAC + one.mac + EXPERIMENTAL)
    assert caught.value.errno == errno.ENETDOWN


def test_a_bridge_port_is_refused_in_favour_of_the_bridge():
    world = World()
    host, container = world.namespace("host"), world.namespace("c")
    bridge = world.bridge(host, "br0", "10.0.0.1/24")
    assert isinstance(bridge, Bridge)
    world.plug(host, bridge, container, "10.0.0.2/24")
    with pytest.raises(Conflict, match="is a port of host:br0"):
        host.packet_socket(host.device("veth-c"), of_experiment, lambda frame: None)


def test_an_address_is_not_needed_to_hear_unicast():
    world, a, b, one, two = lan()
    b.remove_address(two, "10.0.0.2/24")
    got = []
    b.packet_socket(two, lambda data: data[12:14] == b"\x08\x00", got.append)
    a.neighbours.add_permanent(one, "10.0.0.9", two.mac.hex(":"))
    a.udp_socket().sendto(b"x", ("10.0.0.9", 68))
    world.run()
    assert [frame.data[42:] for frame in got] == [b"x"]
    assert world.drops == []


def test_the_last_frame_has_left_when_the_device_is_deleted_and_a_closed_socket_sends_none():
    world, a, b, one, two = lan()
    got = []
    b.packet_socket(two, of_experiment, lambda frame: got.append(frame.data))
    socket = a.packet_socket(one, of_experiment, lambda frame: None)
    data = BROADCAST_MAC + one.mac + EXPERIMENTAL + b"goodbye"
    socket.send_last(data)
    one.set_down()
    with pytest.raises(OSError, match="down") as caught:
        socket.send_last(data)
    assert caught.value.errno == errno.ENETDOWN
    socket.close()
    with pytest.raises(OSError, match="descriptor") as caught:
        socket.send_last(data)
    assert caught.value.errno == errno.EBADF
    world.run()
    assert got == [data]
