"""Web, iperf and load as a script calls them: targets, URLs, servers that end with their container."""

from __future__ import annotations

import re
from typing import Any

import pytest
from scapy.layers.l2 import Ether

import emu
from emu.kernel.errors import InvalidValue, NotFound, NotSupported


@pytest.fixture
def shop() -> tuple[emu.Emulation, emu.Container, emu.Container]:
    """web and db on a network of their own."""
    net = emu.Emulation(seed=1)
    network = net.networks.create("shop", subnet="10.0.9.0/24")
    return net, net.host.containers.run("web", network=network), net.host.containers.run("db", network=network)


def test_a_page_is_asked_for_by_container_name_address_and_url(shop) -> None:
    net, web, db = shop
    server = db.serve_http(8080, pages={"/": "hello", "/a/b": "deep"})
    tasks = [
        web.http_get(db, port=8080),
        web.http_get("db", port=8080, at="1s"),
        web.http_get(db.addresses["shop"], port=8080, at="2s"),
        web.http_get("http://db:8080", at="3s"),
        web.http_get("http://db:8080/a/b", at="4s"),
    ]
    net.run()
    assert [task.result.body for task in tasks] == [b"hello"] * 4 + [b"deep"]
    assert server.requests == 5
    assert tasks[3].name == "web: http GET db:8080/"


def test_a_handler_may_answer_with_anything_a_page_can_be(shop) -> None:
    net, web, db = shop
    answers: dict[str, Any] = {"/text": "t", "/bytes": b"b", "/size": 3, "/whole": emu.HttpResponse("w", 202)}
    db.serve_http(handler=lambda request: answers[request.path])
    task = web.http_get("db", list(answers))
    net.run()
    assert [(answer.status, len(answer.body)) for answer in task.result.answers] == [
        (200, 1),
        (200, 1),
        (200, 3),
        (202, 1),
    ]


def test_a_server_ends_with_its_container_and_its_port_is_free_again(shop) -> None:
    net, web, db = shop
    db.serve_http(pages={"/": "old"})
    db.serve_iperf()
    db.serve_requests()

    def restart() -> None:
        db.stop()
        db.start()
        db.serve_http(pages={"/": "new"})
        db.serve_iperf()
        db.serve_requests()

    net.at("1s", restart)
    task = web.http_get("db", at="5s")
    net.run()
    assert task.result.body == b"new"


def test_a_taken_port_is_an_error_and_leaves_nothing_open(shop) -> None:
    _, _, db = shop
    db.serve_http(5201)
    with pytest.raises(OSError, match="Address already in use"):
        db.serve_http(5201)
    with pytest.raises(OSError, match="Address already in use"):
        db.serve_iperf()
    busy = db.udp(7100)
    with pytest.raises(OSError, match="Address already in use"):
        db.serve_requests()
    busy.close()
    db.serve_requests()  # its TCP port was given back


def test_a_stopped_client_has_the_result_so_far(shop) -> None:
    net, web, db = shop
    db.serve_http(handler=lambda request: _late(net))
    http = web.http_get("db")
    iperf = web.iperf("db", time="5s", bitrate="1Mbit")
    load = web.load("db", rate=10, time="5s")
    listening = db.netcat_listen(99)
    netcat = web.netcat("db", 99)
    net.at("2500ms", web.stop)
    net.run(until="10s")
    assert {task.state for task in (http, iperf, load)} == {"stopped"}
    assert (http.result.connect_ns is not None, http.result.answers) == (True, ())
    assert [len(rows) for rows in iperf.result.intervals] == [1, 1, 1]  # two whole ones and a short one
    assert 5 < load.result.responses < 50
    assert netcat.result.finished_ns is not None
    assert listening.result.peer is not None


def _late(net: emu.Emulation) -> Any:
    yield net.timeout("100s")
    return "late"


def test_tasks_that_never_started_have_empty_results(shop) -> None:
    net, web, _ = shop
    tasks = [
        web.http_get("db", at="5s"), web.iperf("db", at="5s"), web.load("db", count=1, at="5s"),
        web.netcat("db", 99, at="5s"), web.netcat_listen(99, at="5s"), web.traceroute("db", at="5s"),
    ]  # fmt: skip
    net.run(until="1s")
    assert [task.state for task in tasks] == ["unfinished"] * 6
    assert [task.result.text for task in tasks[3:]] == ["", "", ""]
    assert (tasks[0].result.answers, tasks[1].result.streams, tasks[2].result.responses) == ((), (), 0)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda web: web.http_get("https://db/"), NotSupported, "there is no TLS"),
        (lambda web: web.http_get("ftp://db/"), InvalidValue, 'expected a URL such as "http://db:8080/page"'),
        (lambda web: web.http_get("http://db:x/"), InvalidValue, "expected a URL"),
        (lambda web: web.http_get("http://db/a", "/b"), InvalidValue, "has its path itself"),
        (lambda web: web.http_get("db", port=0), InvalidValue, "a port is a number from 1 to 65535"),
        (lambda web: web.http_get(5), InvalidValue, "expected a container, a name or an address"),
        (lambda web: web.load("db", 0, count=1), InvalidValue, "a port is a number from 1 to 65535"),
        (lambda web: web.iperf("db", protocol="quic"), InvalidValue, '"tcp" or "udp"'),
    ],
)
def test_a_mistake_is_an_error_where_it_is_made(shop, call, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        call(shop[1])


@pytest.mark.parametrize("program", ["http_get", "iperf", "traceroute"])
def test_an_unknown_name_is_an_error_of_the_script(shop, program: str) -> None:
    net, web, _ = shop
    getattr(web, program)("nobody")
    with pytest.raises(NotFound, match="nobody: Name or service not known"):
        net.run()


def test_the_same_seed_gives_the_same_everything() -> None:
    def texts(seed: int) -> list[str]:
        net = emu.Emulation(seed=seed)
        network = net.networks.create("shop")
        web, db = (net.host.containers.run(name, network=network) for name in ("web", "db"))
        db.interface("eth0").set(loss=0.01, rate="50Mbit")
        tasks = [web.iperf("db", bytes="300kB"), web.load("db", rate=500, count=50, at="5s")]
        net.run()
        return [task.result.text for task in tasks]

    assert texts(3) == texts(3)
    assert texts(3) != texts(4)


# -- what goes wrong in the middle ------------------------------------------------------------------------------------


def slowly(net: emu.Emulation, *containers: emu.Container) -> None:
    for container in containers:
        container.interface("eth0").set(rate="10Mbit")


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (lambda: "x", "serve_http: handler"),
        (lambda request, more: "x", "serve_http: handler"),
    ],
)
def test_a_handler_that_takes_no_request_is_refused_where_it_is_given(shop, handler, text: str) -> None:
    with pytest.raises(InvalidValue, match=text):
        shop[2].serve_http(handler=handler)


def test_a_handler_that_yields_what_is_no_event_is_an_error_of_its_line(shop) -> None:
    net, web, db = shop

    def handler(request):
        yield "1s"

    db.serve_http(handler=handler)
    web.http_get("db")
    with pytest.raises(InvalidValue, match="a process yielded '1s'") as caught:
        net.run()
    assert caught.value.place[0] == __file__


def test_a_page_may_have_headers_in_a_dict(shop) -> None:
    net, web, db = shop
    db.serve_http(pages={"/": emu.HttpResponse("x", headers={"Cache-Control": "no-store"})})
    task = web.http_get("db")
    net.run()
    assert ("Cache-Control", "no-store") in task.result.headers


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_iperf_ends_when_its_server_restarts(shop, reverse: bool) -> None:
    net, web, db = shop
    slowly(net, web, db)
    task = web.iperf("db", bytes="10MB", reverse=reverse)
    net.at("1s", db.restart)
    net.run(until="100s")
    assert task.finished
    assert task.result.error.startswith("iperf3: error - ")


def test_an_iperf_server_is_free_again_when_a_client_goes_away_before_its_streams(shop) -> None:
    net, web, db = shop
    server = db.serve_iperf()

    def half_a_client():
        socket = web.tcp_connect("db", 5201)
        yield socket.connected
        yield socket.send(b"x" * 37 + b"\0\0\0\x02{}")
        yield net.timeout("10ms")
        socket.close()

    web.spawn(half_a_client())
    task = web.iperf("db", bytes="10kB", at="1s")
    net.run()
    assert (server.failed, server.tests, task.result.ok) == (1, 1, True)


def test_an_unfinished_iperf_says_what_it_has_written_so_far(shop) -> None:
    net, web, db = shop
    slowly(net, web, db)
    sent, got = web.iperf("db", time="5s"), web.iperf("db", time="5s", reverse=True, port=5202)
    net.run(until="2500ms")
    assert re.fullmatch(r"[1-9]\d{6} bytes written so far, 0 retransmits", sent.result.outcome)
    assert 2e6 < got.result.goodput_bps < 10e6
    assert sent.waiting_for == "the data of an iperf test"


def test_a_load_generator_does_not_hammer_a_server_that_is_gone(shop) -> None:
    net, web, db = shop
    db.serve_requests()
    task = web.load("db", workers=2, time="1s", think="1ms")
    net.at("200ms", db.restart)
    net.run()
    refused = task.result.errors["Connection refused"]
    assert 100 < refused <= 2 * 80
    assert task.result.responses > 100


def test_an_unfinished_load_says_what_it_waits_for_in_one_line(shop) -> None:
    net, web, db = shop
    db.serve_requests(service="10s")
    task = web.load("db", workers=50, count=50)
    net.run(until="1s")
    assert task.waiting_for == "answers from db:7100"


def test_stopping_a_container_whose_program_waits_for_one_of_two_things_is_no_error(shop) -> None:
    net, web, db = shop
    db.tcp_listen(99)

    def program():
        socket = web.tcp_connect("db", 99)
        yield socket.connected
        try:
            yield socket.recv() | net.timeout("10s")
        finally:
            socket.close()

    task = web.spawn(program())
    net.at("1s", web.stop)
    net.run()
    assert task.state == "stopped"


def test_without_costs_and_rates_a_fixed_amount_takes_no_time_and_a_fixed_time_says_what_to_set() -> None:
    def test_of(**how: str) -> tuple[emu.Emulation, emu.Task]:
        net = emu.Emulation(seed=1, cost="none")
        network = net.networks.create("shop")
        web, db = (net.host.containers.run(name, network=network) for name in ("web", "db"))
        return net, web.iperf(db, **how)

    net, task = test_of(bytes="3MB")
    net.run()
    assert task.result.outcome == "3000000 bytes received in no time"
    net, task = test_of(time="1s")
    with pytest.raises(emu.EmuError, match="give a link on the way a rate or a delay"):
        net.run()


def test_iperf_tasks_say_what_is_special_about_them(shop) -> None:
    _, web, _ = shop
    plain = web.iperf("db", time="1s")
    special = web.iperf("db", time="1s", port=5202, parallel=2, reverse=True, congestion="reno", at="5s")
    assert plain.name == "web: iperf3 -c db"
    assert special.name == "web: iperf3 -c db -p 5202 -R -P 2 -C reno"


WRONG_KINDS: list[tuple[str, dict[str, Any]]] = [
    ("http_get", {"target": "db", "path": None}),
    ("http_get", {"target": "db", "path": b"/"}),
    ("http_get", {"target": "db", "headers": 3}),
    ("http_get", {"target": "db", "data": "\udc80"}),
    ("traceroute", {"target": "db", "protocol": []}),
    ("netcat", {"target": "db", "port": 9, "data": "\udc80"}),
    ("netcat_listen", {"port": 9, "data": 5}),
    ("ping", {"target": "db", "pattern": 3}),
    ("ping", {"target": "db", "pattern": None}),
    ("ping", {"target": "db", "flavour": []}),
    ("ping", {"target": "db", "dont_fragment": []}),
    ("resolve", {"name": 5}),
    ("resolve", {"name": b"db"}),
    ("sniff", {"interface": []}),
    ("send", {"packet": None}),
    ("send", {"packet": []}),
    ("send", {"packet": b"x" * 60, "interface": {}}),
    ("srp", {"packets": Ether(dst="ff:ff:ff:ff:ff:ff"), "interface": []}),
    ("spawn", {"generator": (event for event in ()), "name": 5}),
]


@pytest.mark.parametrize(("program", "wrong"), WRONG_KINDS)
def test_an_argument_of_the_wrong_kind_is_one_line(shop, program: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue) as caught:
        getattr(shop[1], program)(**wrong)
    assert "\n" not in str(caught.value)
