"""Whatever programs do with TCP sockets, in whatever order: errors are Linux's, and in the end nothing is left."""

from __future__ import annotations

import errno
from random import Random
from typing import Any

import pytest

from emu.device.cost import CostModel, HostCpu
from emu.stack.namespace import Namespace
from emu.stack.tcp_socket import TcpSocket
from tests.stack.world import MS, SECOND, World

ADDRESSES = {"h1": "10.9.0.1", "h2": "10.9.0.2"}
PORTS = (80, 81)
POSSIBLE = {
    errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EALREADY, errno.EBADF, errno.ECONNREFUSED, errno.ECONNRESET,
    errno.EHOSTUNREACH, errno.EINVAL, errno.EISCONN, errno.ENETUNREACH, errno.ENOTCONN, errno.EPIPE, errno.ETIMEDOUT,
}  # fmt: skip
CALLS = (
    "bind",
    "listen",
    "accept",
    "connect",
    "send",
    "recv",
    "shutdown",
    "close",
    "abort",
    "option",
    "closed",
    "line",
)
WEIGHTS = (1, 1, 5, 3, 12, 12, 2, 2, 1, 5, 1, 1)


class Monkey:
    """Calls at random on sockets of two namespaces; `errors` lists the errno of what failed.

    Every second seed has a CPU.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.world = World(seed)
        cpu = HostCpu(self.world.kernel, "host", CostModel()) if seed % 2 else None
        self.hosts: list[Namespace] = [self.world.namespace(name, cpu=cpu) for name in ADDRESSES]
        self.world.join(*self.hosts, *(f"{address}/24" for address in ADDRESSES.values()))
        self.sockets: list[TcpSocket] = []
        self.closed: set[TcpSocket] = set()
        self.errors: list[int] = []

    def run(self, steps: int) -> None:
        """Do so many calls, milliseconds apart; then close everything and run to the end."""
        now_ns = 0
        for _ in range(steps):
            now_ns += self.random.choice((0, 0, MS, 30 * MS, SECOND))
            self.world.at(now_ns, self._call)
        self.world.at(now_ns + 5 * SECOND, self._end)
        self.world.run()
        for socket in self.sockets:  # what was accepted after the end
            socket.close()
        self.world.run(until=self.world.kernel.now + 2000 * SECOND)

    def _end(self) -> None:
        for host in self.hosts:
            host.device("eth0").set(loss=None)
        for socket in list(self.sockets):
            socket.close()

    def _call(self) -> None:
        """Mostly something that makes sense, on a socket that was not closed yet."""
        random = self.random
        kind = random.random()
        if not self.sockets or kind < 0.15:
            socket = random.choice(self.hosts).tcp_socket()
            self.sockets.append(socket)
            calls = ["connect"] if random.random() < 0.7 else ["bind", "listen", "accept", "accept"]
        else:
            fresh = [socket for socket in self.sockets if socket not in self.closed]
            socket = random.choice(fresh if fresh and kind < 0.95 else self.sockets)
            calls = random.choices(CALLS, WEIGHTS)
        for call in calls:
            try:
                getattr(self, f"_{call}")(socket)
            except OSError as error:
                self.errors.append(error.errno or -1)

    def _watch(self, event: Any) -> None:
        def done(event: Any) -> None:
            if not event.ok:
                self.errors.append(event.value.errno)
            elif isinstance(event.value, TcpSocket):
                self.sockets.append(event.value)

        if event.callbacks is not None:
            event.callbacks.append(done)

    def _bind(self, socket: TcpSocket) -> None:
        socket.bind(port=self.random.choice(PORTS))

    def _listen(self, socket: TcpSocket) -> None:
        socket.listen(self.random.choice((0, 1, 5)))

    def _accept(self, socket: TcpSocket) -> None:
        self._watch(socket.accept())

    def _connect(self, socket: TcpSocket) -> None:
        self._watch(socket.connect(self.random.choice((*ADDRESSES.values(), "10.9.0.77")), self.random.choice(PORTS)))

    def _send(self, socket: TcpSocket) -> None:
        self._watch(socket.send(bytes(self.random.choice((0, 1, 1000, 50_000, 300_000)))))

    def _recv(self, socket: TcpSocket) -> None:
        self._watch(socket.recv(self.random.choice((1, 1000, 1 << 20))))

    def _shutdown(self, socket: TcpSocket) -> None:
        socket.shutdown(self.random.choice(("read", "write", "both")))

    def _close(self, socket: TcpSocket) -> None:
        self.closed.add(socket)
        socket.close()

    def _abort(self, socket: TcpSocket) -> None:
        self.closed.add(socket)
        socket.abort()

    def _closed(self, socket: TcpSocket) -> None:
        self._watch(socket.closed)

    def _option(self, socket: TcpSocket) -> None:
        name, value = self.random.choice(
            (
                ("no_delay", True), ("keep_alive", True), ("keep_idle_ns", SECOND), ("quick_ack", False), ("tos", 8),
                ("ttl", 9), ("send_buffer", 5000), ("receive_buffer", 5000), ("linger_ns", 0),
                ("user_timeout_ns", 2 * SECOND),
            )
        )  # fmt: skip
        setattr(socket, name, value)

    def _line(self, _: TcpSocket) -> None:
        self.random.choice(self.hosts).device("eth0").set(loss=self.random.choice((None, 0.1, 1.0)))


def check(seed: int) -> list[int]:
    monkey = Monkey(seed)
    monkey.run(120)
    for host in monkey.hosts:
        assert (host.tcp.connections, list(host.tcp.listeners()), host.show_sockets().count("\n")) == ({}, [], 1), seed
        assert not host.receive_flows, seed
        for port in PORTS:
            host.tcp_socket().bind(port=port)
    assert set(monkey.errors) <= POSSIBLE, seed
    return monkey.errors


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_any_calls_in_any_order_leave_nothing_behind(first: int) -> None:
    errors = [check(seed) for seed in range(first, first + 10)]
    assert all(errors)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 4000, 100))
def test_thousands_of_calls_in_any_order_leave_nothing_behind(first: int) -> None:
    for seed in range(first, first + 100):
        check(seed)
