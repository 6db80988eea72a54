"""ICMP: echo replies, errors as Linux words them, and whom they are never sent to (FACTS 32 to 36)."""

from __future__ import annotations

import pytest

from emu.stack.icmp_limit import IcmpLimiter
from emu.stack.ident import JIFFY_NS, IdentCounters
from emu.stack.output import build_packet
from emu.wire.checksum import checksum_sum
from emu.wire.frame import Frame
from tests.stack.world import MS, SECOND, Pinger, World, two_hosts

A, B = bytes((10, 9, 0, 1)), bytes((10, 9, 0, 2))


def inject(world: World, namespace: object, packet: bytes, mac: bytes | None = None, altered: bool = False) -> None:
    """Let an IPv4 packet arrive at a namespace's eth0, from its peer's MAC."""
    device = namespace.device("eth0")  # type: ignore[attr-defined]
    data = (mac or device.mac) + device.peer.mac + b"\x08\0" + packet
    world.kernel.soon(device.receive, Frame(data, world.kernel.next_packet_id(), altered))


def echo(size: int = 8, source: bytes = A, destination: bytes = B, tos: int = 0) -> bytes:
    message = b"\x08\0\0\0\x12\x34\0\x01" + bytes(size)
    checksum = 65535 - checksum_sum(message)
    message = message[:2] + checksum.to_bytes(2, "big") + message[4:]
    return build_packet(source, destination, 1, message, identification=1, ttl=64, tos=tos)


def test_an_echo_reply_copies_tos_and_data_clears_df_and_has_its_own_id() -> None:
    world, h1, _ = two_hosts()
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.2", tos=0x28, ttl=3)
    world.run()
    request = world.icmp("h2:eth0", 1)[0][3]
    reply = world.icmp("h2:eth0", 2)[0][3]
    assert reply[15] == 0x28
    assert (request[20] & 0x40, reply[20] & 0x40) == (0x40, 0)
    assert reply[22] == 64
    assert reply[18:20] != request[18:20]
    assert (reply[34], reply[35], reply[38:]) == (0, 0, request[38:])
    assert checksum_sum(reply[34:]) == 65535
    assert checksum_sum(reply[14:34]) == 65535
    assert pinger.replies == [(0, B, 1, 64)]


def test_ping_sets_df_while_it_fits_and_uses_id_0_with_dont_fragment() -> None:
    world, h1, _ = two_hosts()
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.2", size=1472)
    pinger.ping("10.9.0.2", size=1473)
    pinger.ping("10.9.0.2", dont_fragment="do")
    pinger.ping("10.9.0.2", dont_fragment="dont")
    world.run()
    sent = [data for _, _, _, data in world.icmp("h1:eth0", 2)]
    flags = [(data[20] >> 5, len(data) - 14) for data in sent]
    assert flags == [(2, 1500), (1, 1500), (0, 21), (2, 84), (0, 84)]
    ids = [data[18:20] for data in sent]
    assert ids[3] == b"\0\0"
    assert b"\0\0" not in (ids[0], ids[4])
    assert ids[1] == ids[2]


def test_too_long_with_dont_fragment_fails_here_and_names_the_mtu() -> None:
    world, h1, _ = two_hosts()
    with pytest.raises(OSError, match="Message too long") as caught:
        Pinger(world, h1).ping("10.9.0.2", size=1473, dont_fragment="do")
    assert caught.value.mtu == 1500  # type: ignore[attr-defined]
    world.run()
    assert world.sent("h1:eth0") == []


def closed_port(size: int = 4) -> tuple[World, bytes, bytes]:
    world, h1, _ = two_hosts()
    socket = h1.udp_socket()
    socket.connect("10.9.0.2", 9999)
    socket.send(bytes(size))
    world.run()
    datagram = next(data for data in world.arrived("h2:eth0") if data[12:14] == b"\x08\0" and data[23] == 17)
    return world, datagram, world.icmp("h2:eth0", 2)[0][3]


def test_a_closed_port_is_answered_with_3_3_tos_c0_ttl_64_and_the_whole_datagram() -> None:
    _, datagram, error = closed_port()
    assert (error[34], error[35]) == (3, 3)
    assert (error[15], error[22], error[20] & 0x40) == (0xC0, 64, 0)
    assert error[38:42] == bytes(4)
    assert error[42:] == datagram[14:]
    assert checksum_sum(error[34:]) == 65535


def test_errors_quote_no_more_than_fits_576_bytes() -> None:
    _, datagram, error = closed_port(size=1400)
    assert len(error) - 14 == 576
    assert error[42:] == datagram[14 : 14 + 548]


def test_an_error_names_the_packet_that_caused_it() -> None:
    world, _, _ = closed_port()
    datagram = next(f for _, way, f in world.seen["h2:eth0"] if way == 1 and f.data[23] == 17)
    error = next(f for _, way, f in world.seen["h2:eth0"] if way == 2 and f.data[23] == 1)
    assert world.kernel.journal.annotation(error.packet_id) == f"caused by #{datagram.packet_id}"


def test_an_unknown_protocol_is_answered_with_3_2() -> None:
    world, _, h2 = two_hosts()
    inject(world, h2, build_packet(A, B, 200, b"12345678", identification=1, ttl=64))
    world.run()
    assert [(kind, code) for _, kind, code, _ in world.icmp("h2:eth0", 2)] == [(3, 2)]


@pytest.mark.parametrize(
    ("packet", "mac"),
    [
        (build_packet(A, bytes((10, 9, 0, 255)), 17, bytes(16), identification=1, ttl=64), None),
        (build_packet(A, bytes((255, 255, 255, 255)), 17, bytes(16), identification=1, ttl=64), b"\xff" * 6),
        (build_packet(A, bytes((224, 0, 0, 1)), 17, bytes(16), identification=1, ttl=64), b"\x01\0\x5e\0\0\x01"),
        (build_packet(A, B, 200, bytes(16), identification=1, ttl=64), b"\xff" * 6),
        (build_packet(bytes(4), B, 17, bytes(16), identification=1, ttl=64), None),
        (build_packet(bytes((10, 9, 0, 255)), B, 200, bytes(16), identification=1, ttl=64), None),
        (build_packet(B, B, 200, bytes(16), identification=1, ttl=64), None),
        (build_packet(bytes((127, 0, 0, 1)), B, 200, bytes(16), identification=1, ttl=64), None),
        (echo(destination=bytes((10, 9, 0, 255))), b"\xff" * 6),
    ],
    ids=["subnet broadcast", "broadcast", "multicast", "frame to all", "from 0.0.0.0", "from broadcast", "from us",
         "from loopback", "echo to broadcast"],
)  # fmt: skip
def test_broadcasts_and_impossible_sources_are_never_answered(packet: bytes, mac: bytes | None) -> None:
    world, _, h2 = two_hosts()
    inject(world, h2, packet, mac)
    world.run()
    assert world.icmp("h2:eth0", 2) == []


def test_errors_about_errors_and_later_fragments_are_never_sent() -> None:
    _, h1, _ = two_hosts()
    error = build_packet(A, B, 1, b"\x03\x01\0\0\0\0\0\0" + bytes(28), identification=1, ttl=64)
    assert not h1.icmp.send_error(error, 1, 11, 0)
    later = build_packet(A, B, 17, bytes(16), identification=1, ttl=64)
    later = later[:6] + b"\0\x01" + later[8:]
    assert not h1.icmp.send_error(later, 1, 11, 0)
    assert h1.icmp.send_error(echo(), 1, 11, 0), "an echo request is no error"


def test_a_corrupted_message_is_dropped_with_a_reason_and_an_unaltered_one_trusted() -> None:
    world, h1, h2 = two_hosts()
    Pinger(world, h1).ping("10.9.0.2")
    world.run(1)
    answers = len(world.icmp("h2:eth0", 2))
    bad = echo()[:-1] + b"\xff"
    inject(world, h2, bad, altered=True)
    bad_header = echo()[:8] + b"\x63" + echo()[9:]
    inject(world, h2, bad_header, altered=True)
    world.run(2)
    assert [why for _, why, _ in world.drops] == ["ICMP_CHECKSUM", "IP_CHECKSUM"]
    inject(world, h2, bad)
    world.run(3)
    assert len(world.icmp("h2:eth0", 2)) == answers + 1
    h2.verify_checksums = True
    inject(world, h2, bad)
    world.run(4)
    assert [why for _, why, _ in world.drops][2:] == ["ICMP_CHECKSUM"]


# -- rate limits ------------------------------------------------------------------------------------------------------


def test_of_60_datagrams_in_2_6_seconds_to_a_closed_port_exactly_8_are_answered() -> None:
    """v20.10 a4-udp-closed-burst: six at once, then after 1.01 and 2.02 s."""
    world, h1, _ = two_hosts()

    def send() -> None:
        socket = h1.udp_socket()
        socket.connect("10.9.0.2", 9999)
        socket.send(b"x")
        socket.close()

    times = [0] * 7 + [(index * 50_600_000) for index in range(1, 54)]
    for time_ns in times:
        world.at(time_ns, send)
    world.run(3 * SECOND)
    answers = [t for t, kind, code, _ in world.icmp("h2:eth0", 2) if (kind, code) == (3, 3)]
    assert len(times) == 60
    assert len(answers) == 8
    assert answers[:6] == [0] * 6
    assert [round(t / SECOND, 2) for t in answers[6:]] == [1.01, 2.02]


def test_echo_replies_are_not_limited() -> None:
    world, h1, _ = two_hosts()
    pinger = Pinger(world, h1)
    for index in range(200):
        pinger.ping_at(index * 2 * MS, "10.9.0.2")
    world.run(SECOND)
    assert len(pinger.replies) == 200


def test_the_bucket_of_a_destination_holds_six_and_refills_one_per_second() -> None:
    limiter = IcmpLimiter()
    at_once = sum(limiter.allows(0, A, 3, 3) for _ in range(20))
    assert at_once == 6
    assert not limiter.allows(SECOND - 1, A, 3, 3)
    assert limiter.allows(SECOND, A, 3, 3)
    assert sum(limiter.allows(100 * SECOND, A, 11, 0) for _ in range(20)) == 6


def test_destinations_do_not_share_their_buckets_but_all_share_fifty() -> None:
    limiter = IcmpLimiter()
    answered = sum(limiter.allows(0, bytes((10, 0, index, 1)), 3, 3) for index in range(100))
    assert answered == 50
    assert limiter.allows(MS, bytes((10, 0, 200, 1)), 3, 3)
    assert not limiter.allows(MS, bytes((10, 0, 201, 1)), 3, 3)


def test_fragmentation_needed_loopback_and_unmasked_types_are_exempt() -> None:
    limiter = IcmpLimiter()
    assert all(limiter.allows(0, A, 3, 4) for _ in range(100))
    assert all(limiter.allows(0, A, 3, 1, loopback=True) for _ in range(100))
    assert all(limiter.allows(0, A, 0, 0) for _ in range(100))
    assert sum(limiter.allows(0, A, 3, 3) for _ in range(100)) == 6


def test_identification_counters_advance_by_one_and_jump_less_than_the_ticks_that_passed() -> None:
    world, _, _ = two_hosts()
    counters = IdentCounters(world.kernel.random("test"))
    first = counters.next(0, A, B, 1)
    assert counters.next(1, A, B, 1) == (first + 1) & 0xFFFF
    other = counters.next(1, B, A, 1)
    assert counters.next(2, A, B, 1) == (first + 2) & 0xFFFF
    later = counters.next(250 * JIFFY_NS, A, B, 1)
    assert 1 <= (later - first - 2) & 0xFFFF <= 250
    assert counters.next(2, B, A, 1) == (other + 1) & 0xFFFF
