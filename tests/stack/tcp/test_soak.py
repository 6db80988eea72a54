"""Whatever the path does, every byte arrives once and in order, both ways, and every connection ends."""

from __future__ import annotations

import errno
from collections.abc import Generator
from random import Random
from typing import Any

import pytest

from tests.stack.tcp.soak_plan import plan, run
from tests.stack.world import SECOND, two_hosts


@pytest.mark.parametrize("first", range(0, 100, 10))
def test_two_machines_on_a_bad_wire_exchange_everything(first: int) -> None:
    for seed in range(first, first + 10):
        run(seed, plan(seed))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 9000, 200))
def test_thousands_of_connections_on_bad_wires_exchange_everything(first: int) -> None:
    for seed in range(first, first + 200):
        run(seed, plan(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_megabytes_over_a_bad_wire(seed: int) -> None:
    run(seed, plan(seed, largest=3_000_000))


# -- through the stack: namespaces, a veth pair with impairments, sockets


def exchange(seed: int) -> dict[str, tuple[bytes, bytes]]:
    """A connection between two namespaces, both sides send and receive at once; what each should get and got."""
    random = Random(seed)
    world, h1, h2 = two_hosts(seed, mtu=random.choice([576, 1450, 1500]))
    for host in (h1, h2):
        host.device("eth0").set(
            delay=random.choice(["50us", "5ms"]),
            rate=random.choice(["10Mbit", "1Gbit"]),
            loss=random.choice([0, 0.01, 0.08]),
            duplicate=random.choice([0, 0.05]),
            reorder=random.choice([0, 0.1]),
        )
    corrupt = random.choice([0, 0.02])
    streams = {who: random.randbytes(random.randrange(60_000)) for who in ("client", "server")}
    got: dict[str, bytes] = {}

    def receive(socket: Any, who: str) -> Generator[Any, Any, None]:
        data = b""
        while piece := (yield socket.recv(random.randrange(1, 30_000))):
            data += piece
        got[who] = data

    def talk(socket: Any, who: str) -> Generator[Any, Any, None]:
        reader = world.kernel.process(receive(socket, who))
        data, offset = streams[who], 0
        while offset < len(data):
            size = random.randrange(1, 20_000)
            yield socket.send(data[offset : offset + size])
            offset += size
        socket.shutdown("write")
        yield reader
        socket.close()

    def serve() -> Generator[Any, Any, None]:
        listener = h2.tcp_socket()
        listener.bind(port=80)
        listener.listen()
        socket = yield listener.accept()
        for host in (h1, h2):  # not before: an ARP reply has no checksum, and a wrong address is kept for a minute
            host.device("eth0").set(corrupt=corrupt)
        yield from talk(socket, "server")

    def call() -> Generator[Any, Any, None]:
        while True:
            socket = h1.tcp_socket()
            try:
                yield socket.connect("10.9.0.2", 80)
                break
            except OSError as error:
                if error.errno != errno.EHOSTUNREACH:  # three ARP requests in a row may be lost
                    raise
        yield from talk(socket, "client")

    world.kernel.process(serve())
    world.kernel.process(call())
    world.run(until=1200 * SECOND)
    return {"client": (streams["server"], got["client"]), "server": (streams["client"], got["server"])}


@pytest.mark.parametrize("seed", range(20))
def test_sockets_over_an_impaired_link_exchange_everything(seed: int) -> None:
    for expected, got in exchange(seed).values():
        assert got == expected


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 1100, 50))
def test_a_thousand_connections_over_impaired_links_exchange_everything(first: int) -> None:
    for seed in range(first, first + 50):
        for who, (expected, got) in exchange(seed).items():
            assert got == expected, f"seed {seed}: {who}"
