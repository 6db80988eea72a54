"""Arguments of the wrong kind: one line about the argument, and nothing has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import emu
from emu.kernel.errors import Conflict, InvalidValue
from tests.capture.pcapng_reader import read_pcapng


class World:
    """A network with one container, and a container of the default bridge."""

    def __init__(self) -> None:
        self.net = emu.Emulation()
        self.host = self.net.host
        self.shop = self.host.networks.create("shop")
        self.web = self.host.containers.run("web", network=self.shop)
        self.other = self.host.containers.run("other")

    def state(self) -> object:
        return (
            [(network.name, network.attrs) for network in self.host.networks.list()],
            [(container.name, container.attrs) for container in self.host.containers.list()],
            list(self.host.namespace.devices),
            len(self.net.tasks),
        )


WRONG: dict[str, tuple[Callable[[World], Any], str]] = {
    "a subnet that is a number": (
        lambda w: w.host.networks.create("x", subnet=24), "subnet=24: expected text, or a list of texts"),
    "gateways that are numbers": (
        lambda w: w.host.networks.create("x", gateway=[1]), "gateway=[1]: expected text, or a list of texts"),
    "reserved addresses without names": (
        lambda w: w.host.networks.create("x", aux_addresses=["10.0.0.7"]), "aux_addresses=['10.0.0.7']: expected a"),
    "options as on the command line": (
        lambda w: w.host.networks.create("x", options=["a=b"]), "options=['a=b']: expected a dict"),
    "a flag in words": (
        lambda w: w.host.networks.create("x", internal="false"), "internal='false': expected True or False"),
    "labels that are a list": (
        lambda w: w.host.containers.run("db", labels=["x"]), "labels=['x']: expected a dict"),
    "sysctls that are a list": (
        lambda w: w.host.containers.run("db", sysctls=["a=1"]), "sysctls=['a=1']: expected a dict"),
    "one alias, which would be taken for its letters": (
        lambda w: w.host.containers.run("db", network="shop", aliases="data"),
        "aliases='data': expected a list of texts; write ['data']"),
    "a MAC address that is a number": (
        lambda w: w.host.containers.run("db", mac_address=5), "mac_address=5: expected text"),
    "an address that is a number": (
        lambda w: w.host.containers.run("db", network="shop", ipv4_address=7), "ipv4_address=7: expected text"),
    "a host name that is a number": (lambda w: w.host.containers.run("db", hostname=5), "hostname=5: expected text"),
    "a network that is a number": (lambda w: w.host.containers.run("db", network=7), "network=7: expected a network"),
    "connecting nothing": (lambda w: w.shop.connect(None), "None is no container: expected one, or its name"),
    "disconnecting nothing": (lambda w: w.shop.disconnect(None), "None is no container: expected one, or its name"),
    "a priority in words": (
        lambda w: w.shop.connect(w.other, gw_priority="high"), "gw_priority='high': expected a whole number"),
    "endpoint options that are a list": (
        lambda w: w.shop.connect(w.other, driver_opts=["a"]), "driver_opts=['a']: expected a dict"),
    "one alias when connecting": (lambda w: w.shop.connect(w.other, aliases="abc"), "aliases='abc': expected a list"),
    "pinging nothing": (lambda w: w.web.ping(None), "ping: expected a container, a name or an address, not None"),
    "a flow to nothing": (
        lambda w: w.web.udp_flow(None, 5000, interval="1ms", count=1), "udp_flow: expected a container, a name"),
    "a filter that is text": (lambda w: w.web.sniff(lfilter="arp"), "sniff: lfilter is a function of a packet"),
    "an expectation without words": (lambda w: w.net.expect(5, lambda: True), "expect 5: say first in words"),
    "a call with too many arguments": (
        lambda w: w.net.at("1s", w.web.stop, 5), "at: Container.stop can't be called like that: too many positional"),
    "a call with an unknown argument": (
        lambda w: w.net.at("1s", w.web.interface("eth0").set, latency="1ms"),
        "at: Interface.set can't be called like that: got an unexpected keyword argument 'latency'"),
    "pinging a container of another emulation": (
        lambda w: w.web.ping(World().web), "ping: container web is part of another emulation"),
    "connecting a container of another emulation": (
        lambda w: w.shop.connect(World().other), "container other is part of another emulation"),
    "a port in words": (
        lambda w: w.web.udp_flow(w.other, "http", interval="1ms", count=1), "udp: a port is a number from 1 to 65535"),
    "an address manager that is a number": (
        lambda w: w.host.networks.create("x", ipam=5), "ipam=5: expected the name of an address manager"),
    "an address manager's settings that are text": (
        lambda w: w.host.networks.create("x", ipam={"Config": "x"}), "ipam Config: expected a list of dicts, not 'x'"),
    "an address manager's settings that are numbers": (
        lambda w: w.host.networks.create("x", ipam={"Config": [5]}), "ipam Config: expected a dict, not 5"),
    "a bridge name that Linux refuses": (
        lambda w: w.host.networks.create("x", options={"com.docker.network.bridge.name": "a/b"}), "bridge name 'a/b'"),
    "a capture without a name": (lambda w: w.net.capture(None), "capture None: expected the name of a file"),
    "a name that is a number": (lambda w: emu.Emulation(name=5), "invalid name 5: expected text"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_an_argument_of_the_wrong_kind_is_named_and_nothing_has_changed(what: str) -> None:
    call, message = WRONG[what]
    world = World()
    before = world.state()
    with pytest.raises(InvalidValue) as error:
        call(world)
    assert str(error.value).startswith(message)
    assert world.state() == before


def test_what_can_be_called_at_a_time_may_take_arguments_and_may_be_a_builtin() -> None:
    net, seen = emu.Emulation(), []
    net.at("1s", seen.append, 1)
    net.at("2s", lambda *args, **kwargs: seen.append((args, kwargs)), 2, three=3)
    net.run()
    assert seen == [1, ((2,), {"three": 3})]


def generator_function() -> Iterator[None]:
    yield


async def coroutine_function() -> None: ...


@pytest.mark.parametrize("function", [generator_function, coroutine_function])
def test_a_call_that_would_only_make_a_process_is_refused(function: Callable[[], object]) -> None:
    net = emu.Emulation()
    net.at("1s", function)
    with pytest.raises(InvalidValue, match=r"at: the function has a yield or await of its own; run it with net.spawn"):
        net.run()


@pytest.mark.parametrize("condition", [generator_function, coroutine_function, lambda: generator_function])
def test_an_expectation_that_would_always_be_met_is_refused(condition: Callable[[], object]) -> None:
    net = emu.Emulation()
    net.expect("something", condition)
    with pytest.raises(
        InvalidValue, match=r"expect 'something': the (function has a yield|condition gives a function)"
    ):
        net.run()


# -- processes --------------------------------------------------------------------------------------------------------


def test_a_process_that_yields_no_event_is_told_what_to_yield_and_where() -> None:
    def process() -> Iterator[Any]:
        yield 5

    net = emu.Emulation()
    net.spawn(process())  # type: ignore[arg-type]
    with pytest.raises(
        InvalidValue, match=r'a process yielded 5: yield a task, an event, or .* net.timeout\("1s"\)'
    ) as error:
        net.run()
    assert error.value.place == (__file__, process.__code__.co_firstlineno + 1)  # type: ignore[attr-defined]


def test_a_process_gets_what_its_events_bring_also_their_errors() -> None:
    net = emu.Emulation()
    web = net.host.containers.run("web")

    def process() -> Iterator[Any]:
        try:
            yield web.ping("nobody")
        except emu.EmuError as error:
            caught = str(error)
        ping = yield web.ping(web, count=1)
        pause = yield net.timeout("1s", value=7)
        return caught, ping.received, pause

    task = web.spawn(process())  # type: ignore[arg-type]
    net.run()
    assert task.result == ("web: ping: nobody: Name or service not known", 1, 7)


def test_a_process_of_a_container_that_stops_can_clean_up() -> None:
    net, seen = emu.Emulation(), []
    web = net.host.containers.run("web")

    def process() -> Iterator[Any]:
        try:
            yield net.timeout("10s")
        finally:
            seen.append(net.now)

    web.spawn(process())  # type: ignore[arg-type]
    net.at("2s", web.stop)
    net.run()
    assert seen == [2_000_000_000]


def test_a_run_inside_a_run_is_refused() -> None:
    net = emu.Emulation()
    net.at("1s", net.run)
    with pytest.raises(Conflict, match="run: the emulation is running already"):
        net.run()
    net.run()  # afterwards it can go on


# -- captures that would write over each other ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"path": "a.pcapng"}, {"path": "a.pcapng"}),
        ({"path": "a.pcapng"}, {"path": "./x/../a.pcapng", "interfaces": ["web:*"]}),
        ({"path": "a.pcapng", "split": True}, {"path": "b.pcapng", "split": True}),
        ({"path": "f", "format": "pcap"}, {"path": "f", "format": "pcap"}),
        ({"path": "a.pcapng", "split": True}, {"path": "by-interface", "format": "pcap"}),
    ],
)
def test_two_captures_to_the_same_place_are_refused_and_the_first_goes_on(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any]
) -> None:
    world = World()
    world.net.folder = tmp_path
    with world.net as net:
        net.capture(**first)
        with pytest.raises(Conflict, match="another capture writes there already"):
            net.capture(**second)
        net.run()
    assert len(net.captures) == 1
    if first["path"] == "a.pcapng":
        assert len(read_pcapng(tmp_path / "a.pcapng").packets) == net.frame_count()


def test_a_place_whose_capture_is_closed_is_free_again(tmp_path: Path) -> None:
    world = World()
    world.net.folder = tmp_path
    with world.net as net:
        earlier = net.capture("a.pcapng")
        assert earlier is not None
        earlier.close()
        net.capture("a.pcapng")
        net.run()
    assert read_pcapng(tmp_path / "a.pcapng").packets
