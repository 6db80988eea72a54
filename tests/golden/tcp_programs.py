"""The programs of the recorded TCP scenarios: wget, curl, BusyBox httpd, nc, and python3 scripts.

They make the recorded system calls with the recorded sizes. How long they think in between differs from run to run of
the real ones, by up to a millisecond; the values here keep the recorded order.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import emu
from emu.stack.namespace import Namespace

Program = Generator[Any, Any, None]

REQUEST_NS = 60_000
"""From the connection to the request."""
REPLY_NS = 200_000
"""From the request to the header of the reply, and from there to the body."""
CLOSE_NS = 20_000
"""From the last byte to the end of the client."""
EXIT_NS = 50_000
"""From the last byte to the end of httpd's process for this connection."""
BLOCK = 65_536
"""httpd hands a file over in such pieces (`sendfile`)."""
BIG_FILE = b"A" * 1_000_000
WINDOW_SCALE_10 = 32 * 1024 * 1024
"""The recording machine's `tcp_rmem` maximum, where the log shows no other; a distribution's is 6 MiB."""


def request(path: str, host: str, agent: str = "Wget") -> bytes:
    """What BusyBox wget asks."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", f"User-Agent: {agent}", "Connection: close"]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def curl_request(path: str, host: str) -> bytes:
    """What curl asks."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "User-Agent: curl/7.88.1", "Accept: */*", ""]
    return "".join(f"{line}\r\n" for line in lines).encode()


def blocks(header: bytes, body: bytes) -> list[bytes]:
    """What httpd writes: the header, then the file in blocks."""
    return [header, *(body[start : start + BLOCK] for start in range(0, len(body), BLOCK))]


def http_client(
    net: emu.Emulation,
    namespace: Namespace,
    address: str,
    question: bytes,
    expected: int,
    close_ns: int = CLOSE_NS,
    close_at_ns: int | None = None,
) -> Program:
    """Connect, ask, read the reply and close; none of the reply may be missing.

    expected: the length of the whole reply. close_ns: how long the client thinks after its last byte. close_at_ns: the
    virtual time at which it closes instead.
    """
    socket = namespace.tcp_socket()
    yield socket.connect(address, 80)
    yield net.timeout(REQUEST_NS)
    yield socket.send(question)
    received = yield from read(socket, expected)
    assert received == expected, f"{received} of {expected} bytes came"
    yield net.timeout(close_ns if close_at_ns is None else close_at_ns - net.now)
    socket.close()


def http_server(
    net: emu.Emulation,
    namespace: Namespace,
    writes: Sequence[bytes],
    exit_ns: int = EXIT_NS,
    waits_for_client: bool = False,
    connections: int = 1,
    close_at_ns: int | None = None,
    block_ns: int = 0,
) -> Program:
    """Answer with the given writes, then close.

    waits_for_client: the client's end came first in the recording; the process ends after it.
    connections: how many clients come one after the other. block_ns: how long each write after the second takes.
    """
    listener = namespace.tcp_socket()
    listener.bind(port=80)
    listener.listen()
    for _ in range(connections):
        socket = yield listener.accept()
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += yield socket.recv()
        for index, data in enumerate(writes):
            if index < 2 or block_ns:
                yield net.timeout(REPLY_NS if index < 2 else block_ns)
            yield socket.send(data)
        if waits_for_client:
            assert (yield socket.recv()) == b""
        yield net.timeout(exit_ns if close_at_ns is None else close_at_ns - net.now)
        socket.close()
    listener.close()


def read(socket: Any, count: int) -> Generator[Any, Any, int]:
    """Read until so many bytes have come, or the end; return how many came."""
    received = 0
    while received < count:
        data = yield socket.recv()
        if not data:
            break
        received += len(data)
    return received


def netcat_listener(net: emu.Emulation, namespace: Namespace, port: int, end_ns: int, lines: list[bytes]) -> Program:
    """`nc -l -p PORT > file`: its input is empty, so it sends its FIN `end_ns` after the connection, and reads on."""
    listener = namespace.tcp_socket()
    listener.bind(port=port)
    listener.listen()
    socket = yield listener.accept()
    listener.close()
    yield net.timeout(end_ns)
    socket.shutdown("write")
    while data := (yield socket.recv()):
        lines.append(data)
    socket.close()


def line_writer(
    net: emu.Emulation,
    namespace: Namespace,
    address: tuple[str, int],
    lines: Sequence[bytes],
    pause_ns: int,
    first_ns: int = REQUEST_NS,
) -> Program:
    """A script: connect, `for line in lines: s.send(line); sleep(pause)`, close; it never reads.

    first_ns: from the connection to the first line.
    """
    socket = namespace.tcp_socket()
    yield socket.connect(*address)
    yield net.timeout(first_ns)
    for line in lines:
        yield socket.send(line)
        yield net.timeout(pause_ns)
    socket.close()
