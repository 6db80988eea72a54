"""netcat streams in both directions; the load generator keeps its rate and tells latencies exactly."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import emu
from emu.kernel.errors import InvalidValue
from emu.traffic.latency import LatencyHistogram
from emu.traffic.load_options import load_options
from emu.traffic.load_result import LoadResult

MS = 1_000_000
SECOND = 1_000_000_000


def lan(**options: Any) -> tuple[emu.Emulation, emu.Container, emu.Container]:
    net = emu.Emulation(seed=1, **options)
    shop = net.networks.create("shop", subnet="10.0.9.0/24")
    return net, *(net.host.containers.run(name, network=shop) for name in ("web", "db"))  # type: ignore[return-value]


def measure(net: emu.Emulation, web: emu.Container, **options: Any) -> LoadResult:
    task = web.load("db", **options)
    net.run()
    result: LoadResult = task.result
    return result


# -- netcat -----------------------------------------------------------------------------------------------------------


def test_both_sides_send_and_get_everything_at_the_same_time() -> None:
    net, web, db = lan()
    one, other = bytes(range(256)) * 2000, b"answer" * 30_000
    listening = db.netcat_listen(9000, other)
    sending = web.netcat("db", 9000, one)
    net.run()
    assert sending.result.received == other
    assert listening.result.received == one
    assert (sending.result.sent, listening.result.sent) == (len(one), len(other))
    assert sending.result.ok
    assert listening.result.ok


def test_the_text_is_netcats() -> None:
    net, web, db = lan()
    listening = db.netcat_listen(9000)
    sending = web.netcat("db", 9000, "hello")
    refused = web.netcat("db", 9001, at="1s")
    net.run()
    assert sending.result.text == "Connection to db 9000 port [tcp/*] succeeded!\n"
    (line, received) = listening.result.text.splitlines()
    assert line == "Listening on 0.0.0.0 9000"
    assert re.fullmatch(r"Connection received on 10\.0\.9\.2 \d+", received)
    assert refused.result.error == "nc: connect to db port 9001 (tcp) failed: Connection refused"
    assert refused.result.outcome == refused.result.error


def test_a_silent_target_is_given_up_after_the_timeout() -> None:
    net, web, _ = lan()
    web.host.namespace.routes.add("10.7.0.0/16", kind="blackhole")
    task = web.netcat("10.7.0.1", 9000, timeout="3s")
    net.run()
    assert task.result.error == "nc: connect to 10.7.0.1 port 9000 (tcp) failed: Connection timed out"
    assert task.finished_ns == 3 * SECOND


def test_a_listener_that_nobody_comes_to_does_not_keep_the_run_alive() -> None:
    net, _, db = lan()
    task = db.netcat_listen(9000)
    net.run()
    assert task.unfinished
    assert task.waiting_for == "a connection on TCP port 9000"
    assert task.result.peer is None


def test_a_taken_port_is_an_error_where_it_is_asked_for() -> None:
    _, _, db = lan()
    db.netcat_listen(9000)
    with pytest.raises(OSError, match="Address already in use"):
        db.netcat_listen(9000)
    with pytest.raises(InvalidValue, match="a port is a number from 1 to 65535, not 0"):
        db.netcat("db", 0)
    with pytest.raises(InvalidValue, match="data is text or bytes"):
        db.netcat("db", 1, 5)  # type: ignore[arg-type]


# -- the load generator -----------------------------------------------------------------------------------------------


def test_a_closed_loop_has_one_request_per_worker_under_way() -> None:
    net, web, db = lan()
    server = db.serve_requests(service="1ms")
    result = measure(net, web, workers=4, count=100)
    assert (result.requests, result.responses, result.connections, server.answered) == (100, 100, 4, 100)
    assert 3400 < result.rate < 4000
    assert 1 * MS < result.latency.percentile_ns(50) < 1.2 * MS


def test_thinking_workers_ask_less_often() -> None:
    net, web, _ = lan()
    result = measure(net, web, workers=2, count=20, think="10ms")
    assert 0.08 * SECOND < result.time_ns < 0.11 * SECOND


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_an_open_loop_keeps_its_rate_whatever_the_answers_take(protocol: str) -> None:
    net, web, db = lan()
    db.serve_requests(service="5ms")
    result = measure(net, web, protocol=protocol, rate=1000, arrivals="constant", time="200ms")
    assert (result.requests, result.responses) == (200, 200)
    assert 4 <= result.connections <= 8
    assert 5 * MS < result.latency.percentile_ns(99) < 6 * MS


def test_waiting_for_a_connection_counts_as_latency() -> None:
    net, web, db = lan()
    db.serve_requests(service="2ms")
    result = measure(net, web, rate=1000, arrivals="constant", count=100, connections=1)
    assert result.responses == 100
    assert result.latency.max_ns > 95 * MS  # every request takes 1 ms longer than the one before


def test_poisson_arrivals_have_the_mean_and_spread_of_their_kind() -> None:
    net, web, _ = lan(cost="none")
    net.host  # noqa: B018
    task = web.load("db", rate=1000, count=2000)
    web.interface("eth0").set(delay="100us")
    net.run()
    assert task.result.time_ns == pytest.approx(2 * SECOND, rel=0.1)
    assert task.result.responses == 2000


def test_lost_datagrams_are_counted_and_not_waited_for_longer_than_the_timeout() -> None:
    net, web, _ = lan()
    web.interface("eth0").set(loss=0.2)
    result = measure(net, web, protocol="udp", rate=500, count=200, timeout="50ms")
    assert result.lost + result.responses == result.requests == 200
    assert 20 < result.lost < 60
    assert result.latency.max_ns < 50 * MS
    assert f"{result.lost} lost" in result.text


def test_nobody_there_is_an_error_with_its_count() -> None:
    net, web, _ = lan()
    closed = web.load("10.0.9.1", workers=3, count=1000)
    net.run()
    assert closed.result.responses == 0
    assert set(closed.result.errors) == {"Connection refused"}
    assert closed.result.errors["Connection refused"] < 10
    assert "x Connection refused" in closed.result.text
    assert closed.result.latency.text == "no latencies\n"


def test_a_server_that_goes_away_breaks_connections_and_the_run_still_ends() -> None:
    net, web, db = lan()
    db.serve_requests(service="1ms")
    task = web.load("db", rate=200, time="1s")
    net.at("500ms", db._servers[0].close)
    net.run()
    assert 50 < task.result.responses < 150
    assert "Connection refused" in task.result.errors


def test_a_responder_drops_who_sends_something_else() -> None:
    net, web, db = lan()
    server = db.serve_requests()
    task = web.netcat("db", 7100, b"GET / HTTP/1.1\r\n\r\n")
    net.run()
    assert server.malformed == 1
    assert task.result.received == b""


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "or it never ends"),
        ({"workers": 1, "rate": 1, "count": 1}, "either workers (closed loop) or rate (open loop)"),
        ({"rate": 0, "count": 1}, "requests per second, more than 0"),
        ({"rate": 1, "arrivals": "bursts", "count": 1}, '"poisson" or "constant"'),
        ({"workers": 0, "count": 1}, "workers must be 1 to 10000"),
        ({"count": 0}, "count must be 1 or more"),
        ({"time": 0}, "longer than 0"),
        ({"count": 1, "request_size": 4}, "request_size must be 12 to"),
        ({"count": 1, "protocol": "udp", "response_size": 70_000}, "response_size must be 12 to 65507"),
        ({"count": 1, "protocol": "sctp"}, '"tcp" or "udp"'),
    ],
)
def test_a_wrong_option_is_one_line(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(text)):
        load_options(**options)


# -- latencies --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=200), st.integers(1, 100_000))
def test_a_percentile_is_the_nearest_rank(values: list[int], thousandths: int) -> None:
    found = LatencyHistogram(tuple(values)).percentile_ns(thousandths / 1000)
    assert found in values
    share = sum(value <= found for value in values) * 100_000
    assert share >= thousandths * len(values)
    assert sum(value < found for value in values) * 100_000 < thousandths * len(values)


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=200))
def test_every_latency_is_in_one_bucket_and_there_are_twelve_at_most(values: list[int]) -> None:
    buckets = LatencyHistogram(tuple(values)).buckets()
    assert sum(count for _, count in buckets) == len(values)
    assert 1 <= len(buckets) <= 12
    assert buckets[-1][0] >= max(values)


def test_the_table_shows_percentiles_and_bars() -> None:
    text = LatencyHistogram(tuple(range(1_000_000, 2_000_000, 10_000))).text
    assert text.splitlines()[1:6] == [
        "    50%     1490.000us",
        "    75%     1740.000us",
        "    90%     1890.000us",
        "    99%     1980.000us",
        "  99.9%     1990.000us",
    ]
    assert text.count("#") > 100


def test_an_impossible_percentile_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0, up to 100"):
        LatencyHistogram((1,)).percentile_ns(101)
