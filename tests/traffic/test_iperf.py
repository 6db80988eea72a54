"""iperf measures what the path gives, and reports it in iperf3's text and JSON."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import emu
from emu.kernel.errors import InvalidValue
from emu.traffic.iperf_client import IperfClient
from emu.traffic.iperf_options import iperf_options
from emu.traffic.iperf_result import IperfResult
from emu.traffic.iperf_server import IperfServer
from emu.traffic.iperf_text import amount
from tests.traffic.fake_tcp import SERVER, FakeTcpNamespace, FakeTcpSocket, run, serve

SECOND = 1_000_000_000
MBIT = 1_000_000


def two_hosts(**link: Any) -> tuple[emu.Emulation, emu.Container, emu.Container]:
    """web and db on an overlay network over one cable."""
    net = emu.Emulation(seed=1)
    h1, h2 = net.add_host("h1"), net.add_host("h2")
    net.add_link(h1, h2, **({"rate": "100Mbit", "delay": "1ms"} | link))
    shop = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    return net, h1.containers.run("web", network=shop), h2.containers.run("db", network=shop)


def measure(net: emu.Emulation, web: emu.Container, **options: Any) -> IperfResult:
    task = web.iperf("db", **options)
    net.run()
    result: IperfResult = task.result
    return result


def shape(text: str) -> str:
    """Replace numbers, so that only the words and the columns are left."""
    text = re.sub(r"\d+\.\d+\.\d+\.\d+ port \d+", "A", text)
    return re.sub(r" +", " ", re.sub(r"\d+(\.\d+)?", "N", text)).replace("[ N]", "[N]")


# -- results ----------------------------------------------------------------------------------------------------------


def test_tcp_through_a_slow_cable_gets_what_its_headers_leave() -> None:
    result = measure(*two_hosts()[:2], time="2s")
    share = 1398 / (
        1450 + 14 + 50 + 24
    )  # payload of a full frame; inner Ethernet, VXLAN and UDP and IP, outer Ethernet
    assert result.ok
    assert 0.93 * share * 100 * MBIT < result.goodput_bps < share * 100 * MBIT
    assert len(result.intervals) == 2
    assert result.sent_bytes >= result.received_bytes


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("parallel", [1, 3])
def test_all_bytes_of_a_fixed_amount_arrive_over(parallel: int, reverse: bool) -> None:
    result = measure(*two_hosts()[:2], bytes=300_001, parallel=parallel, reverse=reverse)
    assert (result.sent_bytes, result.received_bytes) == (300_001, 300_001)
    assert len(result.streams) == parallel
    assert [stream.stream for stream in result.streams] == [5 + 2 * index for index in range(parallel)]


def test_udp_arrives_at_its_rate_and_counts_what_is_lost() -> None:
    net, web, _ = two_hosts(loss="10%")
    result = measure(net, web, protocol="udp", time="1s", bitrate="10Mbit")
    (stream,) = result.streams
    assert stream.sent_packets == -(-10 * MBIT // (1398 * 8))
    assert 0.05 < stream.lost / stream.sent_packets < 0.15
    assert stream.received_packets + stream.lost == pytest.approx(stream.sent_packets, abs=2)
    assert stream.out_of_order == 0


def test_udp_beyond_the_rate_of_the_cable_is_lost_in_its_queue() -> None:
    net, web, _ = two_hosts(rate="10Mbit", queue="20KiB")
    result = measure(net, web, protocol="udp", time="1s", bitrate="20Mbit", length=1400)
    (stream,) = result.streams
    assert 0.4 < stream.lost / stream.sent_packets < 0.6
    assert result.goodput_bps < 10 * MBIT


@pytest.mark.parametrize("parallel", [1, 2])
def test_reversed_udp_is_counted_by_who_asked(parallel: int) -> None:
    result = measure(*two_hosts()[:2], protocol="udp", time="1s", bitrate="5Mbit", reverse=True, parallel=parallel)
    assert [stream.lost for stream in result.streams] == [0] * parallel
    assert 4.9 * MBIT * parallel < result.goodput_bps < 5.1 * MBIT * parallel


def test_a_tcp_bitrate_is_kept() -> None:
    result = measure(*two_hosts()[:2], time="2s", bitrate="20Mbit")
    assert 19 * MBIT < result.goodput_bps < 21 * MBIT


def test_loss_shows_as_retransmits_and_the_congestion_control_has_a_name() -> None:
    net, web, _ = two_hosts(loss="1%")
    result = measure(net, web, bytes="1MB", congestion="reno")
    assert result.retransmits > 0
    assert result.json()["end"]["sender_tcp_congestion"] == "reno"


def test_a_server_serves_one_test_after_the_other_and_the_implicit_one_goes_away() -> None:
    net, web, db = two_hosts()
    server = db.serve_iperf()
    first = web.iperf(db, bytes="100kB")
    second = web.iperf(db, bytes="100kB", at="1s")
    third = web.iperf(db, bytes="100kB", port=5300, at="2s")
    again = db.netcat("db", 5300, at="5s")
    net.run()
    assert (server.tests, server.failed) == (2, 0)
    assert first.result.ok
    assert second.result.ok
    assert third.result.ok
    assert again.result.error == "nc: connect to db port 5300 (tcp) failed: Connection refused"


def test_two_tests_at_the_same_time_are_one_too_many() -> None:
    net, web, db = two_hosts()
    db.serve_iperf()
    tests = [web.iperf("db", bytes="1MB"), web.iperf("db", bytes="1MB", at="10ms")]
    net.run()
    assert tests[0].result.ok
    assert tests[1].result.error == "iperf3: error - the server is busy running a test. try again later"


def test_a_port_where_nobody_listens_is_refused_in_iperf3s_words() -> None:
    net, web, _ = two_hosts()
    task = web.iperf("10.0.9.99", time="1s")
    refused = web.iperf("10.0.9.1", time="1s", at="10s")
    net.run()
    assert task.result.error == "iperf3: error - unable to connect to server: No route to host"
    assert task.result.text == "iperf3: error - unable to connect to server: No route to host\n"
    assert refused.result.json()["error"].startswith("error - unable to connect to server: ")
    assert not refused.result.ok


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_a_client_that_dies_does_not_keep_the_run_alive(protocol: str, reverse: bool) -> None:
    net, web, db = two_hosts()
    server = db.serve_iperf()
    task = web.iperf("db", protocol, time="5s", reverse=reverse, bitrate="1Mbit")
    net.at("1500ms", web.stop)
    net.run(until="2000s")
    assert task.state == "stopped"
    assert len(task.result.intervals) >= 1
    assert server.tests == 0


# -- text and JSON ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "Bytes", "0.00 Bytes"), (1023, "Bytes", "1023 Bytes"), (1024, "Bytes", "1.00 KBytes"),
        (895 * 1024, "Bytes", " 895 KBytes"), (10.2e6, "bits", "10.2 Mbits"), (9.996e6, "bits", "10.0 Mbits"),
        (999.6e6, "bits", "1000 Mbits"), (25.2e9, "bits", "25.2 Gbits"),
    ],
)  # fmt: skip
def test_amounts_take_four_places(value: float, unit: str, text: str) -> None:
    assert amount(value, unit) == text


TCP_TEXT = """\
Connecting to host db, port 5201
[  5] local A connected to A
[ ID] Interval           Transfer     Bitrate         Retr  Cwnd
[  5]   0.00-1.00   sec  2.94 GBytes  25.2 Gbits/sec    0    895 KBytes       
[  5]   1.00-2.00   sec  2.93 GBytes  25.2 Gbits/sec    7   1023 KBytes       
- - - - - - - - - - - - - - - - - - - - - - - - -
[ ID] Interval           Transfer     Bitrate         Retr
[  5]   0.00-2.00   sec  8.95 GBytes  25.6 Gbits/sec   14             sender
[  5]   0.00-2.00   sec  8.95 GBytes  25.6 Gbits/sec                  receiver

iperf Done.
"""  # noqa: W291  (as printed by iperf 3.12)
UDP_TEXT = """\
Connecting to host db, port 5201
[  5] local A connected to A
[ ID] Interval           Transfer     Bitrate         Total Datagrams
[  5]   0.00-1.00   sec  1.22 MBytes  10.2 Mbits/sec  39  
[  5]   1.00-2.00   sec  1.19 MBytes  9.96 Mbits/sec  38  
- - - - - - - - - - - - - - - - - - - - - - - - -
[ ID] Interval           Transfer     Bitrate         Jitter    Lost/Total Datagrams
[  5]   0.00-2.00   sec  2.41 MBytes  10.1 Mbits/sec  0.000 ms  0/77 (0%)  sender
[  5]   0.00-2.00   sec  2.41 MBytes  10.1 Mbits/sec  0.027 ms  0/77 (0%)  receiver

iperf Done.
"""  # noqa: W291  (as printed by iperf 3.12)
REVERSE_TEXT = """\
Connecting to host db, port 5201
Reverse mode, remote host db is sending
[  5] local A connected to A
[  7] local A connected to A
[ ID] Interval           Transfer     Bitrate         Retr  Cwnd
[  5]   0.00-1.00   sec  1.00 MBytes  24.7 Mbits/sec                  
[  7]   0.00-1.00   sec  1.00 MBytes  24.7 Mbits/sec                  
[SUM]   0.00-1.00   sec  1.00 MBytes  24.7 Mbits/sec                  
- - - - - - - - - - - - - - - - - - - - - - - - -
[  5]   1.00-2.00   sec  1.00 MBytes  24.7 Mbits/sec                  
[  7]   1.00-2.00   sec  1.00 MBytes  24.7 Mbits/sec                  
[SUM]   1.00-2.00   sec  1.00 MBytes  24.7 Mbits/sec                  
- - - - - - - - - - - - - - - - - - - - - - - - -
[ ID] Interval           Transfer     Bitrate         Retr
[  5]   0.00-2.00   sec  1.00 MBytes  22.8 Mbits/sec    0             sender
[  5]   0.00-2.00   sec  1.00 MBytes  24.7 Mbits/sec                  receiver
[  7]   0.00-2.00   sec  1.00 MBytes  22.8 Mbits/sec    0             sender
[  7]   0.00-2.00   sec  1.00 MBytes  24.7 Mbits/sec                  receiver
[SUM]   0.00-2.00   sec  1.00 MBytes  22.8 Mbits/sec    0             sender
[SUM]   0.00-2.00   sec  1.00 MBytes  24.7 Mbits/sec                  receiver

iperf Done.
"""  # noqa: W291  (as printed by iperf 3.12)


@pytest.mark.parametrize(
    ("options", "recorded"),
    [
        ({"time": "2s", "bitrate": "10Mbit"}, TCP_TEXT),
        ({"time": "2s", "bitrate": "10Mbit", "protocol": "udp"}, UDP_TEXT),
        ({"time": "2s", "bitrate": "10Mbit", "reverse": True, "parallel": 2}, REVERSE_TEXT),
    ],
    ids=["tcp", "udp", "two streams in reverse"],
)
def test_the_text_has_the_lines_that_iperf3_printed(options: dict[str, Any], recorded: str) -> None:
    text = measure(*two_hosts()[:2], **options).text
    units = re.compile(r"[KMG]?(Bytes|bits)")
    assert units.sub(r"\1", shape(text)) == units.sub(r"\1", shape(recorded))
    own_rows = [line for line in text.splitlines() if " sec  " in line]
    recorded_rows = [line for line in recorded.splitlines() if " sec  " in line]
    for own, theirs in zip(own_rows, recorded_rows, strict=True):
        assert own.index("sec") == theirs.index("sec")
        assert len(own) - len(own.rstrip()) == len(theirs) - len(theirs.rstrip())


def keys(value: Any, name: str = "") -> set[str]:
    """All paths of keys in a JSON document; lists count as their first entry."""
    if isinstance(value, dict):
        return {path for key, inner in value.items() for path in {f"{name}.{key}"} | keys(inner, f"{name}.{key}")}
    return keys(value[0], f"{name}[]") if isinstance(value, list) and value else set()


NOT_OURS = {".start.sndbuf_actual", ".start.rcvbuf_actual"}
"""Keys of iperf 3.12 that say something about the program rather than the path."""


@pytest.mark.parametrize("flags", [[], ["-u"], ["-R"], ["-u", "-R"]], ids=["tcp", "udp", "tcp reverse", "udp reverse"])
def test_the_json_has_the_keys_that_iperf3_has(flags: list[str], tmp_path: Path) -> None:
    """Compared with the real one, on the loopback of a network namespace of its own."""
    if shutil.which("iperf3") is None or shutil.which("unshare") is None:
        pytest.skip("iperf3 and unshare are not installed")
    command = (
        "ip link set lo up && (iperf3 -s -1 -D -p 5201; sleep 0.2; "
        f"iperf3 -c 127.0.0.1 -n 200K -b 100M -J {' '.join(flags)})"
    )
    done = subprocess.run(["unshare", "-rn", "sh", "-c", command], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no network namespace: {done.stderr or done.stdout}")
    recorded = json.loads(done.stdout)
    options: dict[str, Any] = {"bytes": "200KiB", "bitrate": "50Mbit", "reverse": "-R" in flags}
    ours = measure(*two_hosts()[:2], protocol="udp" if "-u" in flags else "tcp", **options).json()
    assert json.loads(json.dumps(ours)) == ours
    missing = keys(recorded) - keys(ours) - NOT_OURS
    assert {path for path in missing if not path.startswith(".intervals")} == set()
    assert keys(ours) - keys(recorded) <= {path for path in keys(ours) if path.startswith(".intervals")}


# -- options and broken peers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"protocol": "sctp"}, '"tcp" or "udp"'),
        ({"time": "1s", "size": 1}, "either time (how long) or bytes (how much)"),
        ({"time": 0}, "measures nothing"),
        ({"length": 0}, "length must be 1 to 1048576 bytes, not 0"),
        ({"protocol": "udp", "length": 10}, "length must be 16 to 65507"),
        ({"parallel": 0}, "parallel must be 1 to 128"),
        ({"port": 70_000}, "port must be 1 to 65535"),
        ({"reverse": 1}, "reverse is True or False"),
        ({"protocol": "udp", "congestion": "reno"}, "for TCP only"),
        ({"bitrate": 0}, "more than 0 bits per second"),
    ],
)
def test_a_wrong_option_is_one_line(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(text)):
        iperf_options(**options)


def ask(namespace: FakeTcpNamespace, **options: Any) -> IperfResult:
    client = IperfClient(namespace, SERVER, iperf_options(**({"size": 1000} | options)), host="db")  # type: ignore[arg-type]
    result: IperfResult = run(namespace, client.run())
    return result


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (b"", "control socket has closed unexpectedly"),
        (b"\x63", "received an unknown control message (99)"),
        (b"\xff", "the server is busy running a test. try again later"),
        (b"\x09\x0a", "unable to receive control message: Connection reset by peer"),
    ],
)
def test_a_server_that_is_none_ends_the_test_with_words(says: bytes, error: str) -> None:
    namespace = FakeTcpNamespace()

    def script(socket: FakeTcpSocket) -> Any:
        yield socket.recv()
        if says:
            yield socket.send(says)
        socket.close()

    serve(namespace, 5201, script)
    assert ask(namespace).error == f"iperf3: error - {error}"


@pytest.mark.parametrize("garbage", [b"x" * 10, b"x" * 37 + b"\xff\xff\xff\xff", b"x" * 37 + b"\0\0\0\x02[]"])
def test_a_client_that_is_none_leaves_the_server_ready_for_the_next(garbage: bytes) -> None:
    namespace = FakeTcpNamespace()
    namespace.udp_socket = _NoUdp  # type: ignore[attr-defined]
    server = IperfServer(namespace)  # type: ignore[arg-type]

    def say() -> Any:
        socket = namespace.tcp_socket()
        yield socket.connect(SERVER, 5201)
        yield socket.send(garbage)
        socket.shutdown("write")

    run(namespace, say())
    assert ask(namespace).ok
    assert server.tests == 1


class _NoUdp:
    def bind(self, address: str, port: int) -> None: ...
    def close(self) -> None: ...
