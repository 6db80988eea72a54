"""ping sends, waits, counts and gives up when iputils does."""

from __future__ import annotations

import errno
import struct
from itertools import pairwise
from typing import Any

import pytest

from emu.kernel import InvalidValue
from emu.traffic.ping import Ping
from emu.traffic.ping_options import ping_options
from emu.traffic.ping_payload import EPOCH_S
from emu.traffic.ping_result import PingResult
from tests.traffic.fake_namespace import FakeNamespace, FakeSocket, refusal

MS = 1_000_000
SECOND = 1_000_000_000
PEER = "10.0.0.2"
PEER_BYTES = bytes((10, 0, 0, 2))


def run(namespace: FakeNamespace, **options: Any) -> PingResult:
    process = namespace.kernel.spawn(Ping(namespace, PEER, ping_options(**options)).run())  # type: ignore[arg-type]
    result: PingResult = namespace.kernel.run(until=process)
    assert all(socket.closed for socket in namespace.sockets)
    return result


def answering(delay_ns: int, times: int = 1) -> FakeNamespace:
    """Return a namespace whose peer answers every request after a while."""

    def network(socket: FakeSocket, destination: bytes, sequence: int, payload: bytes) -> None:
        def answer(_: None) -> None:
            assert socket.on_reply is not None
            socket.on_reply(destination, sequence, payload, 64)

        for index in range(times):
            namespace.kernel.call_later(delay_ns + index * 50_000, answer)

    namespace = FakeNamespace(network)
    return namespace


def failing(icmp_type: int, code: int, info: int = 0) -> FakeNamespace:
    """Return a namespace where a router answers every request with an ICMP error after 1 ms."""

    def network(socket: FakeSocket, destination: bytes, sequence: int, payload: bytes) -> None:
        def answer(_: None) -> None:
            assert socket.on_error is not None
            socket.on_error(bytes((10, 0, 0, 1)), sequence, icmp_type, code, info)

        namespace.kernel.call_later(MS, answer)

    namespace = FakeNamespace(network)
    return namespace


def test_requests_are_numbered_from_1_and_carry_virtual_time_and_the_pattern_10_11_12() -> None:
    namespace = answering(120_000)
    namespace.kernel.call_later(5 * SECOND + 7 * MS, lambda _: None)
    namespace.kernel.run()
    result = run(namespace, count=2)
    (now_ns, sequence, payload, options), (_, second, _, _) = namespace.sent
    assert (sequence, second) == (1, 2)
    assert payload[:16] == struct.pack("<QQ", EPOCH_S + 5, 7000)
    assert payload[16:] == bytes(range(0x10, 0x38))
    assert now_ns == 5 * SECOND + 7 * MS
    assert options == {"ttl": None, "dont_fragment": "want", "tos": 0}
    assert result.rtts_ns == (120_000, 120_000)
    assert (result.transmitted, result.received, result.loss, result.ok) == (2, 2, 0.0, True)


@pytest.mark.parametrize(
    ("size", "payload"), [(0, b""), (4, bytes(4)), (10, bytes(8) + b"\x08\x09"), (15, bytes(8) + bytes(range(8, 15)))]
)
def test_data_too_short_for_a_time_stamp_has_none(size: int, payload: bytes) -> None:
    namespace = answering(1000)
    result = run(namespace, count=1, size=size)
    assert namespace.sent[0][2] == payload
    assert f"{size + 8} bytes from 10.0.0.2: icmp_seq=1 ttl=64\n" in result.text
    assert "rtt" not in result.text
    assert result.rtts_ns == (1000,)


def test_a_pattern_fills_the_data_behind_the_time_stamp() -> None:
    namespace = answering(1000)
    run(namespace, count=1, size=22, pattern="a1b2c3")
    assert namespace.sent[0][2][16:] == bytes.fromhex("b2c3a1b2c3a1")


def test_quick_answers_let_the_socket_timeout_pace_the_requests_1024_ms_apart() -> None:
    namespace = answering(100_000)
    run(namespace, count=4)
    times = [sent[0] for sent in namespace.sent]
    assert [later - earlier for earlier, later in pairwise(times[1:])] == [1024 * MS] * 2
    assert SECOND <= times[1] - times[0] <= 1036 * MS


def test_answers_that_take_a_millisecond_or_more_let_poll_pace_them_exactly() -> None:
    namespace = answering(1_500_000)
    run(namespace, count=3)
    assert [sent[0] for sent in namespace.sent] == [0, 1_000_500_000, 2_001_000_000]


def test_it_ends_with_the_last_answer() -> None:
    namespace = answering(30 * MS)
    run(namespace, count=1)
    assert namespace.kernel.now == 30 * MS


def test_without_any_answer_it_lingers_10_seconds_or_the_timeout() -> None:
    namespace = FakeNamespace()
    run(namespace, count=1)
    assert namespace.kernel.now == 10 * SECOND
    namespace = FakeNamespace()
    result = run(namespace, count=1, timeout="2s")
    assert namespace.kernel.now == 2 * SECOND
    assert result.text.splitlines()[-2:] == ["1 packets transmitted, 0 received, 100% packet loss, time 0ms", ""]


def test_after_some_answers_it_lingers_one_interval_or_two_round_trips() -> None:
    def network(socket: FakeSocket, destination: bytes, sequence: int, payload: bytes) -> None:
        if sequence == 1:
            namespace.kernel.call_later(800 * MS, lambda _: socket.on_reply(destination, 1, payload, 64))

    namespace = FakeNamespace(network)
    result = run(namespace, count=2)
    assert (result.received, result.loss) == (1, 0.5)
    assert namespace.kernel.now == namespace.sent[1][0] + 1600 * MS


def test_a_deadline_ends_it_whatever_came() -> None:
    namespace = answering(100_000)
    result = run(namespace, count=None, deadline="2500ms")
    assert namespace.kernel.now == 2500 * MS
    assert result.transmitted == 3


def test_duplicates_are_marked_and_counted_apart() -> None:
    result = run(answering(2 * MS, times=2), count=2)
    assert (result.received, result.duplicates) == (2, 1)  # the last one came when ping had ended
    assert "icmp_seq=1 ttl=64 time=2.05 ms (DUP!)" in result.text
    assert "2 packets transmitted, 2 received, +1 duplicates, 0% packet loss" in result.text


def test_icmp_errors_are_counted_and_printed() -> None:
    result = run(failing(3, 4, 1400), count=2, size=1472, dont_fragment=True)
    assert (result.errors, result.received, result.ok) == (2, 0, False)
    assert "From 10.0.0.1 icmp_seq=2 Frag needed and DF set (mtu = 1400)\n" in result.text
    assert "2 packets transmitted, 0 received, +2 errors, 100% packet loss" in result.text


def test_busybox_counts_from_0_and_says_nothing_about_errors() -> None:
    namespace = failing(3, 1)
    result = run(namespace, count=1, flavour="busybox", timeout="1s")
    assert namespace.sent[0][1] == 0
    assert namespace.sockets[0].ident is not None
    assert namespace.sockets[0].ident < 256
    assert result.errors == 0
    assert result.text == (
        "PING 10.0.0.2 (10.0.0.2): 56 data bytes\n\n--- 10.0.0.2 ping statistics ---\n"
        "1 packets transmitted, 0 packets received, 100% packet loss\n"
    )


def test_a_request_too_long_for_the_mtu_is_a_local_error() -> None:
    def network(*_: Any) -> None:
        raise refusal(errno.EMSGSIZE, mtu=1500)

    namespace = FakeNamespace(network)
    result = run(namespace, count=2, size=1473, dont_fragment="do")
    assert result.text.splitlines()[1:3] == ["ping: local error: message too long, mtu=1500"] * 2
    assert (result.transmitted, result.errors) == (2, 2)
    assert 2 * SECOND <= namespace.kernel.now <= 2100 * MS  # it still sleeps once before it looks at its counts


@pytest.mark.parametrize(
    ("flavour", "text"),
    [
        ("iputils", "ping: connect: Network is unreachable\n"),
        ("busybox", "PING 10.0.0.2 (10.0.0.2): 56 data bytes\nping: sendto: Network is unreachable\n"),
    ],
)
def test_without_a_route_ping_gives_up_at_once_and_prints_no_statistics(flavour: str, text: str) -> None:
    """Recorded: v28 f-swarm-overlay, `dk4/q1# ip route; ping -c 1 -W 1 203.0.113.100`."""

    def network(*_: Any) -> None:
        raise refusal(errno.ENETUNREACH)

    result = run(FakeNamespace(network), count=3, flavour=flavour)
    assert result.text == text
    assert result.transmitted == 0


def refusing() -> FakeNamespace:
    def network(*_: Any) -> None:
        raise refusal(errno.ENOBUFS)

    return FakeNamespace(network)


def test_what_the_device_refuses_is_sent_again_silently_until_it_took_too_long() -> None:
    """Recorded: v20.10 and v28 f6-mtu-o1-eth0, `ping -M do -c 3 -W 1 -s 1472`: seq 1, 1, 2, 3, one second apart."""
    namespace = refusing()
    result = run(namespace, count=3, timeout="1s")
    assert [sequence for _, sequence, *_ in namespace.sent] == [1, 1, 2, 3]
    times = [time_ns for time_ns, *_ in namespace.sent]
    assert all(SECOND <= later - earlier <= 1030 * MS for earlier, later in pairwise(times))
    assert result.text.splitlines()[1:5] == ["ping: sendmsg: No buffer space available"] * 3 + [""]
    assert result.transmitted == 3


def test_with_a_short_timeout_the_first_refusal_is_reported() -> None:
    """Recorded: linux g5, `ping -c 1 -W 0.3`."""
    namespace = refusing()
    result = run(namespace, count=1, timeout="300ms")
    assert (len(namespace.sent), result.transmitted) == (1, 1)
    assert "ping: sendmsg: No buffer space available" in result.text


def test_a_request_that_was_refused_once_is_answered_later() -> None:
    namespace = answering(100_000)
    answer = namespace.network
    refused: list[int] = []

    def network(socket: FakeSocket, destination: bytes, sequence: int, payload: bytes) -> None:
        if not refused:
            refused.append(sequence)
            raise refusal(errno.ENOBUFS)
        answer(socket, destination, sequence, payload)

    namespace.network = network
    result = run(namespace, count=2)
    assert (result.transmitted, result.received, refused) == (2, 2, [1])


def test_busybox_does_not_hear_that_the_device_refused() -> None:
    namespace = refusing()
    result = run(namespace, count=2, timeout="1s", flavour="busybox")
    assert [sequence for _, sequence, *_ in namespace.sent] == [0, 1]
    assert "sendto" not in result.text


@pytest.mark.slow
def test_sequence_numbers_wrap_at_65536_and_are_shown_in_full() -> None:
    namespace = answering(100_000)
    result = run(namespace, count=65540, interval="1ms")
    assert namespace.sent[65535][1] == 0
    assert result.received == 65540
    assert "icmp_seq=65540 " in result.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "ping: count must be 1 or more, not 0"),
        ({"size": 65508}, "ping: size must be 0 to 65507 bytes, not 65508"),
        ({"ttl": 0}, "ping: ttl must be 1 to 255, not 0"),
        ({"interval": "500us"}, "ping: interval must be a multiple of 1 ms"),
        ({"dont_fragment": "maybe"}, 'ping: dont_fragment must be "want", "do" or "dont", not \'maybe\''),
        ({"pattern": "xyz"}, "ping: pattern must be specified as hex digits: 'xyz'"),
        ({"tos": 256}, "ping: tos must be 0 to 255, not 256"),
        ({"flavour": "windows"}, 'ping: flavour must be "iputils" or "busybox", not \'windows\''),
        ({"timeout": 0}, "ping: timeout must be longer than 0, not 0"),
    ],
)
def test_wrong_options_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        ping_options(**options)
    assert str(caught.value).startswith(message)
