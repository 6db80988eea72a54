"""The raw socket: packets with their own headers go out by the routes, and those of its protocol are shown to it."""

from __future__ import annotations

import errno

import pytest

from emu.kernel.errors import InvalidValue
from emu.stack.output import build_packet
from emu.wire.address import ipv4_to_bytes
from emu.wire.checksum import verify_internet_checksum
from tests.stack.world import two_hosts

H1, H2 = ipv4_to_bytes("10.9.0.1"), ipv4_to_bytes("10.9.0.2")
EXPERIMENTAL = 253


def test_a_packet_arrives_at_the_raw_socket_of_its_protocol_and_nobody_complains() -> None:
    world, h1, h2 = two_hosts()
    got: list[bytes] = []
    socket = h2.raw_socket(EXPERIMENTAL)
    socket.on_packet = got.append
    h1.raw_socket(EXPERIMENTAL).send(H2, b"payload", ttl=7)
    world.run()
    (packet,) = got
    assert (packet[8], packet[9], packet[12:16], packet[20:]) == (7, EXPERIMENTAL, H1, b"payload")
    assert world.drops == []


def test_without_a_raw_socket_the_sender_hears_that_the_protocol_is_unknown() -> None:
    world, h1, h2 = two_hosts()
    errors = []
    socket = h1.raw_socket(EXPERIMENTAL)
    socket.on_error = lambda error: errors.append((error.icmp_type, error.code, error.reporter))
    h2.raw_socket(EXPERIMENTAL).close()
    socket.send(H2, b"payload!")
    world.run()
    assert errors == [(3, 2, H2)]


def test_several_raw_sockets_see_the_same_packet_and_closing_one_leaves_the_others() -> None:
    world, h1, h2 = two_hosts()
    first, second, seen = h2.raw_socket(EXPERIMENTAL), h2.raw_socket(EXPERIMENTAL), []
    first.on_packet = lambda packet: seen.append("first")
    second.on_packet = lambda packet: seen.append("second")
    sender = h1.raw_socket(EXPERIMENTAL)
    sender.send(H2, b"1")
    world.run()
    first.close()
    sender.send(H2, b"2")
    world.run()
    assert seen == ["first", "second", "second"]
    second.close()
    second.close()
    sender.send(H2, b"8 bytes.")
    world.run()
    assert [name for _, name, _ in world.drops] == ["UNKNOWN_PROTOCOL"]


def test_the_protocols_own_handler_gets_the_packet_as_well() -> None:
    world, h1, h2 = two_hosts()
    seen: list[bytes] = []
    spy = h2.raw_socket(17)
    spy.on_packet = seen.append
    server, client = h2.udp_socket(), h1.udp_socket()
    server.bind(port=53)
    client.sendto(b"question", ("10.9.0.2", 53))
    world.run()
    assert seen[0][28:] == b"question"
    assert server.datagrams_received == 1


def test_a_header_of_its_own_is_completed_as_linux_does() -> None:
    world, h1, _ = two_hosts()
    packet = build_packet(bytes(4), H2, EXPERIMENTAL, b"x" * 8, identification=0, ttl=3)
    wrong = packet[:2] + b"\xff\xff" + packet[4:10] + b"\xab\xcd" + packet[12:]
    h1.raw_socket(EXPERIMENTAL).send_packet(wrong)
    world.run()
    sent = next(frame[14:] for frame in world.sent("h1:eth0") if frame[23] == EXPERIMENTAL)
    assert sent[2:4] == len(packet).to_bytes(2, "big")
    assert sent[12:16] == H1
    assert sent[4:6] != b"\0\0"
    assert verify_internet_checksum(sent[:20])


@pytest.mark.parametrize(
    ("packet", "number"),
    [
        (b"", errno.EINVAL),
        (b"\x60" + bytes(39), errno.EINVAL),
        (b"\x4f" + bytes(39), errno.EINVAL),
        (build_packet(H1, ipv4_to_bytes("8.8.8.8"), 253, b"", identification=1, ttl=1), errno.ENETUNREACH),
        (build_packet(H1, H2, 253, bytes(1481), identification=1, ttl=1), errno.EMSGSIZE),
    ],
    ids=["empty", "IPv6", "longer header than packet", "no route", "longer than the MTU"],
)
def test_what_cannot_be_sent_is_refused_as_linux_does(packet: bytes, number: int) -> None:
    _, h1, _ = two_hosts()
    with pytest.raises(OSError) as caught:
        h1.raw_socket(EXPERIMENTAL).send_packet(packet)
    assert caught.value.errno == number


def test_a_closed_socket_sends_nothing_and_a_protocol_is_a_byte() -> None:
    _, h1, _ = two_hosts()
    socket = h1.raw_socket(EXPERIMENTAL)
    socket.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        socket.send_packet(bytes(20))
    with pytest.raises(InvalidValue, match="expected 0 to 255"):
        h1.raw_socket(256)
