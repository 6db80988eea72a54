"""ping prints what the real programs print, word for word."""

from __future__ import annotations

import pytest

from emu.traffic.ping_text import (
    BusyBoxText,
    IputilsText,
    PingStatistics,
    icmp_error_text,
    round_trip_text,
)

MS = 1_000_000


@pytest.mark.parametrize(
    ("triptime_us", "text"),
    [
        (0, "0.000"),
        (65, "0.065"),
        (999, "0.999"),
        (1000, "1.00"),
        (1234, "1.23"),
        (1235, "1.24"),
        (9994, "9.99"),
        (9995, "10.0"),
        (12_345, "12.3"),
        (99_949, "99.9"),
        (99_950, "100"),
        (123_456, "123"),
        (1_234_567, "1235"),
    ],
)
def test_a_reply_shows_three_significant_digits_as_iputils_does(triptime_us: int, text: str) -> None:
    assert round_trip_text(triptime_us) == text


def test_the_recorded_first_ping_of_iputils() -> None:
    counts = PingStatistics(transmitted=3, received=3, pipe=1, triptimes_us=[118, 99, 96])
    lines = [
        IputilsText.header("172.17.0.3", "172.17.0.3", 56),
        IputilsText.reply(64, "172.17.0.3", 1, 64, 118, False),
        IputilsText.reply(64, "172.17.0.3", 2, 64, 99, False),
        IputilsText.reply(64, "172.17.0.3", 3, 64, 96, False),
        "",
        *IputilsText.summary("172.17.0.3", counts, 2039 * MS),
    ]
    assert lines == [
        "PING 172.17.0.3 (172.17.0.3) 56(84) bytes of data.",
        "64 bytes from 172.17.0.3: icmp_seq=1 ttl=64 time=0.118 ms",
        "64 bytes from 172.17.0.3: icmp_seq=2 ttl=64 time=0.099 ms",
        "64 bytes from 172.17.0.3: icmp_seq=3 ttl=64 time=0.096 ms",
        "",
        "--- 172.17.0.3 ping statistics ---",
        "3 packets transmitted, 3 received, 0% packet loss, time 2039ms",
        "rtt min/avg/max/mdev = 0.096/0.104/0.118/0.009 ms",
    ]


def test_the_recorded_statistics_of_an_unused_address() -> None:
    counts = PingStatistics(transmitted=5, errors=3, pipe=3)
    assert IputilsText.summary("172.17.0.78", counts, 4100 * MS) == [
        "--- 172.17.0.78 ping statistics ---",
        "5 packets transmitted, 0 received, +3 errors, 100% packet loss, time 4100ms",
        "pipe 3",
    ]


def test_the_last_line_is_empty_when_nothing_came_back() -> None:
    assert IputilsText.summary("x", PingStatistics(transmitted=2, pipe=1), 0)[-1] == ""


def test_pipe_stands_behind_the_round_trip_times() -> None:
    counts = PingStatistics(transmitted=3, received=3, pipe=2, triptimes_us=[1500, 1500, 1500])
    assert IputilsText.summary("x", counts, 0)[-1] == "rtt min/avg/max/mdev = 1.500/1.500/1.500/0.000 ms, pipe 2"


def test_duplicates_and_a_fractional_loss() -> None:
    counts = PingStatistics(transmitted=3, received=2, duplicates=1, errors=0, triptimes_us=[100, 100, 200])
    line = IputilsText.summary("x", counts, 2000 * MS)[1]
    assert line == "3 packets transmitted, 2 received, +1 duplicates, 33.3333% packet loss, time 2000ms"
    assert IputilsText.reply(64, "10.0.0.1", 3, 64, 200, True).endswith("time=0.200 ms (DUP!)")


def test_without_room_for_a_time_stamp_there_is_no_time() -> None:
    assert IputilsText.reply(16, "10.0.0.1", 1, 64, None, False) == "16 bytes from 10.0.0.1: icmp_seq=1 ttl=64"


@pytest.mark.parametrize(
    ("icmp_type", "code", "info", "text"),
    [
        (3, 0, 0, "Destination Net Unreachable"),
        (3, 1, 0, "Destination Host Unreachable"),
        (3, 3, 0, "Destination Port Unreachable"),
        (3, 4, 1400, "Frag needed and DF set (mtu = 1400)"),
        (3, 13, 0, "Packet filtered"),
        (3, 99, 0, "Dest Unreachable, Bad Code: 99"),
        (11, 0, 0, "Time to live exceeded"),
        (11, 1, 0, "Frag reassembly time exceeded"),
        (4, 0, 0, "Source Quench"),
        (5, 1, 0, "Redirect Host"),
        (12, 0, 20, "Parameter problem: pointer = 20"),
        (40, 0, 0, "Bad ICMP type: 40"),
    ],
)
def test_icmp_errors_in_iputils_words(icmp_type: int, code: int, info: int, text: str) -> None:
    assert icmp_error_text(icmp_type, code, info) == text


def test_errors_name_who_reported_and_which_request() -> None:
    assert IputilsText.error("172.17.0.1", 2, 11, 0, 0) == "From 172.17.0.1 icmp_seq=2 Time to live exceeded"
    assert IputilsText.too_long(1500) == "ping: local error: message too long, mtu=1500"


def test_the_recorded_pings_of_busybox() -> None:
    counts = PingStatistics(transmitted=3, received=3, triptimes_us=[897, 119, 126])
    assert BusyBoxText.header("172.17.0.3", "172.17.0.3", 56) == "PING 172.17.0.3 (172.17.0.3): 56 data bytes"
    assert BusyBoxText.reply(64, "172.17.0.3", 0, 64, 897, False) == (
        "64 bytes from 172.17.0.3: seq=0 ttl=64 time=0.897 ms"
    )
    assert BusyBoxText.summary("172.17.0.3", counts, 0) == [
        "--- 172.17.0.3 ping statistics ---",
        "3 packets transmitted, 3 packets received, 0% packet loss",
        "round-trip min/avg/max = 0.119/0.380/0.897 ms",
    ]
    nothing = BusyBoxText.summary("172.17.0.77", PingStatistics(transmitted=3), 0)
    assert nothing[1:] == ["3 packets transmitted, 0 packets received, 100% packet loss"]
