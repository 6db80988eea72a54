"""The same calls on the kernel's sockets and on emu's, over loopback: the same values, the same errors."""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Generator
from random import Random
from typing import Any

import pytest

from tests.stack.world import MS, SECOND, World
from tests.strangers.namespaces import Segment, skip_without

pytestmark = pytest.mark.root

PORT = 5002
HOWS = {"read": socket.SHUT_RD, "write": socket.SHUT_WR, "both": socket.SHUT_RDWR}
BLOCKS = "blocks"
WAITED = (errno.EAGAIN, errno.EINPROGRESS)
SERVE = "l bind; l listen"
OPEN = f"{SERVE}; c connect; l accept s"
"""A listener l, a client c and what was accepted, s."""

SCRIPTS = {
    "a fresh socket": "c send 1; c recv 1; c shutdown both; l listen; l accept s",
    "nobody listens": "c connect; c send 1; c recv 1",
    "nobody listens, tried again": "c connect; c connect; l bind; l listen; c connect; c send 1",
    "connected twice": f"{OPEN}; c connect; s send 3; c recv 9",
    "listening on a connected socket": f"{OPEN}; c listen; s listen",
    "connecting a listener": f"{SERVE}; l connect",
    "sending on a listener": f"{SERVE}; l send 1; l recv 1; l shutdown write; c connect; l accept s; c connect",
    "shutting a listener": f"{SERVE}; c connect; l shutdown read; c recv 1; d connect; l accept s; l listen; d connect",
    "a port that is taken": "l bind; l listen; c bind; c connect",
    "bound twice": "l bind; l bind",
    "no room in the queue": f"{SERVE} 0; c connect; d connect; l accept s; c send 2; s recv 9",
    "an orderly end": f"{OPEN}; c send 5; c shutdown write; s recv 9; s recv 9; s send 4; c recv 9; s close; c recv 9",
    "sending after shutdown": f"{OPEN}; c shutdown write; c send 1; c send 1; c recv 1",
    "shut down twice": f"{OPEN}; c shutdown write; c shutdown write; s shutdown write; c recv 1; c shutdown both",
    "the peer closed": f"{OPEN}; s close; c recv 1; c send 1; c recv 1; c send 1; c send 1; c recv 1",
    "the peer closed with data unread": f"{OPEN}; c send 9; s close; c recv 1; c recv 1; c send 1; c send 1",
    "the peer closed with data unread, sending": f"{OPEN}; c send 9; s close; c send 1; c send 1; c recv 1; c recv 1",
    "the peer aborted": f"{OPEN}; s abort; c recv 1; c recv 1; c send 1; c shutdown both",
    "the peer aborted after sending": f"{OPEN}; s send 9; s abort; c recv 4; c recv 9; c recv 9; c recv 9; c send 1",
    "the peer aborted after its end": f"{OPEN}; s shutdown write; c recv 1; s abort; c recv 1; c send 1; c send 1",
    "reading is shut": f"{OPEN}; c shutdown read; c recv 1; s send 4; c recv 9; c recv 9; c send 3; s recv 9",
    "both are shut": f"{OPEN}; c shutdown both; s recv 1; s send 4; s recv 1; s send 4; c recv 9",
    "closed twice": f"{OPEN}; c close; c close; c send 1; c recv 1; c connect; c listen; c accept x; s recv 1",
    "the listener closed": f"{OPEN}; l close; c send 3; s recv 9; d connect",
    "the listener closed before it accepted": f"{SERVE}; c connect; l close; c recv 1; c send 1",
    "aborted before it was accepted": f"{SERVE}; c connect; c abort; l accept s; s recv 1; s recv 1; s send 1",
    "sent before it was accepted": f"{SERVE}; c connect; c send 7; c close; l accept s; s recv 9; s recv 9; s send 1",
    "nothing is sent": f"{OPEN}; c send 0; s recv 1",
    "sent to nobody who reads": f"{OPEN}; c send 20000000",
    "a port again": f"{OPEN}; c close; s close; l close; m bind; m listen; d connect; m accept t; d send 1; t recv 1",
    "to itself": "c bind; c connect; c send 4; c recv 9; c shutdown write; c recv 9",
}


def steps(script: str) -> list[list[str]]:
    return [step.split() for step in script.split("; ")]


def outcome(step: list[str], value: Any) -> str:
    shown = f"{len(value)} bytes" if isinstance(value, bytes) else value
    return f"{' '.join(step)}: {'ok' if shown is None else shown}"


# -- the kernel's sockets ---------------------------------------------------------------------------------------------


def of_kernel(script: str, ends_when_blocked: bool = False) -> list[str]:
    sockets: dict[str, socket.socket] = {}
    results = []
    for step in steps(script):
        name, call, *arguments = step
        if name not in sockets:
            sockets[name] = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sockets[name].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _limit_waiting(sockets[name])
        try:
            value = _call_kernel(sockets, sockets[name], call, arguments)
        except OSError as error:
            value = BLOCKS if error.errno in WAITED else errno.errorcode[error.errno or 0]
        results.append(outcome(step, value))
        if value == BLOCKS and ends_when_blocked:
            break
        time.sleep(0.005)
    for opened in sockets.values():
        opened.close()
    return results


def _limit_waiting(one: socket.socket) -> None:
    """Let blocking calls fail after a while; Python's own timeouts would make the socket a non-blocking one."""
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        one.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 0, 300_000))


def _call_kernel(sockets: dict[str, socket.socket], one: socket.socket, call: str, arguments: list[str]) -> Any:
    if call == "accept":
        sockets[arguments[0]] = one.accept()[0]
        _limit_waiting(sockets[arguments[0]])
        return None
    if call == "abort" and one.fileno() >= 0:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return one.close()
    if call == "send":
        data = bytes(int(arguments[0]))
        one.sendall(data)
        return len(data)
    if call == "recv":
        return one.recv(int(arguments[0]))
    if call == "listen":
        return one.listen(int(*arguments or ["9"]))
    if call == "shutdown":
        return one.shutdown(HOWS[arguments[0]])
    if call in ("close", "abort"):
        return one.close()
    return {"bind": one.bind, "connect": one.connect}[call](("127.0.0.1", PORT))


# -- emu's sockets ----------------------------------------------------------------------------------------------------


def of_emu(script: str) -> list[str]:
    world = World()
    namespace = world.namespace("h")
    sockets: dict[str, Any] = {}
    results: list[str] = []

    def program() -> Generator[Any, Any, None]:
        for step in steps(script):
            name, call, *arguments = step
            if name not in sockets:
                sockets[name] = namespace.tcp_socket()
            try:
                value = yield from _call_emu(world, sockets, sockets[name], call, arguments)
            except OSError as error:
                value = errno.errorcode[error.errno or 0]
            results.append(outcome(step, value))
            yield world.kernel.timeout(5 * MS)

    world.kernel.spawn(program())
    world.run(until=60 * SECOND)
    return results


def _call_emu(
    world: World, sockets: dict[str, Any], one: Any, call: str, arguments: list[str]
) -> Generator[Any, Any, Any]:
    if call == "bind":
        return one.bind("127.0.0.1", PORT)
    if call == "listen":
        return one.listen(int(*arguments or ["9"]))
    if call == "shutdown":
        return one.shutdown(arguments[0])
    if call in ("close", "abort"):
        return getattr(one, call)()
    if call == "connect":
        event = one.connect("127.0.0.1", PORT)
    elif call == "accept":
        event = one.accept()
    elif call == "send":
        event = one.send(bytes(int(arguments[0])))
    else:
        event = one.recv(int(arguments[0]))
    yield event | world.kernel.timeout(SECOND // 3)
    if not event.triggered:
        return BLOCKS
    if call == "accept":
        sockets[arguments[0]] = event.value
    return None if call in ("accept", "connect") else event.value


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> Generator[Segment, None, None]:
    skip_without()
    with Segment(tmp_path_factory.mktemp("segment")) as made:
        yield made


@pytest.mark.parametrize("what", SCRIPTS)
def test_the_same_calls_end_alike(segment: Segment, what: str) -> None:
    assert of_emu(SCRIPTS[what]) == segment.within_stranger(lambda: of_kernel(SCRIPTS[what]))


CALLS = {
    "send 3": 6, "send 0": 1, "recv 2": 4, "recv 99": 4, "shutdown write": 2, "shutdown read": 1, "shutdown both": 1,
    "close": 2, "abort": 1, "connect": 1, "listen": 1,
}  # fmt: skip


@pytest.mark.slow
def test_any_calls_on_both_ends_end_alike(segment: Segment) -> None:
    """Where a call blocks the comparison ends: a program that waits no longer leaves its `recv` behind in emu."""
    random = Random(1)
    calls = 0
    for _ in range(60):
        chosen = random.choices(list(CALLS), list(CALLS.values()), k=random.randrange(3, 8))
        script = "; ".join([OPEN, *(f"{random.choice('cs')} {call}" for call in chosen)])
        kernel = segment.within_stranger(lambda script=script: of_kernel(script, ends_when_blocked=True))  # type: ignore[misc]
        assert of_emu(script)[: len(kernel)] == kernel, script
        calls += len(kernel)
    assert calls > 60 * 5
