"""What iperf's two sides tell each other on the control connection: a cookie, states, and JSON with a length in front.

The exchange is iperf3's: cookie, PARAM_EXCHANGE, CREATE_STREAMS, TEST_START, TEST_RUNNING, TEST_END, EXCHANGE_RESULTS,
DISPLAY_RESULTS, IPERF_DONE. Limits: the parameters and results have fewer keys than iperf3's.
Source: iperf 3.12 (iperf_api.h; the exchange of a recorded test).
"""

from __future__ import annotations

import json
from collections.abc import Generator
from enum import IntEnum
from random import Random
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from emu.stack.tcp.congestion import ALGORITHMS
from emu.traffic.iperf_options import IperfOptions

if TYPE_CHECKING:
    from emu.stack.tcp_socket import TcpSocket

COOKIE_BYTES = 37
_COOKIE_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
JSON_BYTES_MAX = 1 << 20
UDP_HELLO, UDP_WELCOME = b"9876", b"6789"
"""What a UDP stream begins with, so that the server learns the client's port."""


class State(IntEnum):
    """A byte on the control connection."""

    TEST_START = 1
    TEST_RUNNING = 2
    TEST_END = 4
    PARAM_EXCHANGE = 9
    CREATE_STREAMS = 10
    SERVER_TERMINATE = 11
    EXCHANGE_RESULTS = 13
    DISPLAY_RESULTS = 14
    IPERF_DONE = 16
    ACCESS_DENIED = 255


class IperfError(Exception):
    """What ends a test; the words behind "iperf3: error - "."""


def new_cookie(stream: Random) -> str:
    """Return 36 letters that tell tests apart; on the wire a zero byte follows."""
    return "".join(stream.choice(_COOKIE_LETTERS) for _ in range(COOKIE_BYTES - 1))


def read_exactly(socket: TcpSocket, size: int, first: Event | None = None) -> Generator[Event, Any, bytes]:
    """Read so many bytes; first: a `recv` that is under way. Raises IperfError when the stream ends before."""
    data = bytearray()
    while len(data) < size:
        try:
            piece = yield first or socket.recv(size - len(data))
            first = None
        except OSError as error:
            raise IperfError(f"unable to receive control message: {error.strerror}") from None
        if not piece:
            raise IperfError("control socket has closed unexpectedly")
        data += piece
    return bytes(data)


def next_state(socket: TcpSocket) -> Event:
    """Return the event of the next state, to be heard of while something else is waited for, for `expect_state`."""
    return socket.recv(1)


def expect_state(socket: TcpSocket, expected: State, said: Event | None = None) -> Generator[Event, Any, None]:
    """Read the state that has to come now; said: its event, if it is waited for already. Raises IperfError."""
    state = (yield from read_exactly(socket, 1, said))[0]
    if state == State.SERVER_TERMINATE:
        raise IperfError("the server has terminated")
    if state == State.ACCESS_DENIED:
        raise IperfError("the server is busy running a test. try again later")
    if state != expected:
        raise IperfError(f"received an unknown control message ({state})")


def read_json(socket: TcpSocket) -> Generator[Event, Any, dict[str, Any]]:
    """Read a JSON object with its length in front. Raises IperfError for anything else."""
    size = int.from_bytes((yield from read_exactly(socket, 4)), "big")
    if size > JSON_BYTES_MAX:
        raise IperfError("unable to receive parameters: they are too long")
    try:
        value = json.loads((yield from read_exactly(socket, size)))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise IperfError("unable to receive parameters: they are not JSON")
    return value


def json_message(value: dict[str, Any]) -> bytes:
    """Return a JSON object with its length in front."""
    data = json.dumps(value, separators=(",", ":")).encode()
    return len(data).to_bytes(4, "big") + data


def parameters(options: IperfOptions) -> dict[str, Any]:
    """Return what the client tells the server of its options."""
    found: dict[str, Any] = {options.protocol: True, "omit": 0}
    found |= {"num": options.size_bytes} if options.size_bytes else {"time": options.time_ns // 1_000_000_000}
    found |= {"time_ns": options.time_ns, "parallel": options.parallel, "len": options.length}
    found |= {"reverse": options.reverse, "bandwidth": options.rate_bps, "interval_ns": options.interval_ns}
    found |= {"window": options.window, "nodelay": options.no_delay, "TOS": options.tos, "client_version": "3.12"}
    return found | ({"congestion": options.congestion} if options.congestion else {})


def read_parameters(found: dict[str, Any], port: int) -> IperfOptions:
    """Return the options that a client told. Raises IperfError for what can't be any."""
    if found.get("congestion") not in (None, *ALGORITHMS):
        raise IperfError("unable to set TCP congestion control: No such file or directory")
    try:
        return IperfOptions(
            protocol="udp" if found.get("udp") else "tcp",
            port=port,
            time_ns=int(found.get("time_ns", int(found.get("time", 0)) * 1_000_000_000)),
            size_bytes=int(found.get("num", 0)),
            rate_bps=int(found.get("bandwidth", 0)),
            length=max(1, int(found.get("len", 0))),
            parallel=int(found.get("parallel", 1)),
            reverse=bool(found.get("reverse", False)),
            interval_ns=int(found.get("interval_ns", 1_000_000_000)),
            congestion=found.get("congestion"),
            window=int(found.get("window", 0)),
            no_delay=bool(found.get("nodelay", False)),
            tos=int(found.get("TOS", 0)),
        )
    except (TypeError, ValueError, OverflowError):
        raise IperfError("unable to receive parameters: they are not numbers") from None
