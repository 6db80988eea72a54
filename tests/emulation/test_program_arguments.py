"""Whatever a script gives a program as an argument, a mistake is one line about it, never a crash further in."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether

import emu
from emu.kernel.errors import EmuError

ECHO = IP(dst="172.18.0.3") / ICMP()
PROGRAMS: dict[str, dict[str, Any]] = {
    "http_get": {"target": "bob"},
    "iperf": {"target": "bob", "bytes": "100kB"},
    "load": {"target": "bob", "port": 7},
    "netcat": {"target": "bob", "port": 9},
    "netcat_listen": {"port": 99},
    "ping": {"target": "bob", "count": 1},
    "send": {"packet": ECHO},
    "serve_dhcp": {"interface": "eth0"},
    "serve_http": {},
    "serve_iperf": {},
    "serve_requests": {},
    "sniff": {},
    "sr": {"packets": ECHO},
    "sr1": {"packet": ECHO},
    "srp": {"packets": Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:00:01") / ECHO},
    "tcp_connect": {"target": "bob", "port": 9},
    "tcp_listen": {"port": 9},
    "traceroute": {"target": "bob"},
    "udp": {},
    "udp_flow": {"target": "bob", "port": 9, "count": 2, "interval": "1ms"},
    "udp_sink": {"port": 77},
}
UGLY = (None, "", -1, 0, 3.5, True, "x" * 10, [], {}, b"x", ["/a", 3], float("nan"), 10**30)


RETURNED = ("Task", "TcpSocket", "UdpSocket", "UdpSink", "HttpServer", "IperfServer", "Responder")


def test_every_program_of_a_container_is_in_the_list() -> None:
    members = inspect.getmembers(emu.Container, inspect.isfunction)
    programs = {
        name
        for name, member in members
        if not name.startswith("_") and inspect.signature(member).return_annotation in RETURNED
    }
    assert programs - {"spawn"} <= set(PROGRAMS)
    assert len(programs) > 15, "the annotations are read"


def parameters_of(program: str) -> list[str]:
    names = inspect.signature(getattr(emu.Container, program)).parameters
    return [name for name in names if name not in ("self", "options")]


def call_and_run(program: str, arguments: list[dict[str, Any]]) -> None:
    """Call a program with one set of arguments after the other, then run; errors that are meant for users are fine."""
    net = emu.Emulation(seed=1, until="20ms")
    lan = net.host.networks.create("lan")
    alice, _ = (net.host.containers.run(name, network=lan) for name in ("alice", "bob"))
    for given in arguments:
        refuses(lambda given=given: getattr(alice, program)(**given))  # type: ignore[misc]
    refuses(net.run)


def refuses(call: Any) -> None:
    try:
        call()
    except (EmuError, OSError) as error:
        problem = str(error).strip()
    else:
        return
    assert problem
    assert "\n" not in problem


@pytest.mark.parametrize("program", PROGRAMS)
def test_ugly_arguments_are_refused_in_one_line_or_work(program: str) -> None:
    for parameter in parameters_of(program):
        call_and_run(program, [PROGRAMS[program] | {parameter: ugly} for ugly in UGLY])


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_each_ugly_argument_alone_is_refused_in_one_line_or_works(program: str) -> None:
    for parameter in parameters_of(program):
        for ugly in UGLY:
            call_and_run(program, [PROGRAMS[program] | {parameter: ugly}])
