"""A namespace whose network is a function: what happens to the programs' packets is decided by the test."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from emu.kernel import Kernel


class FakeSocket:
    """What ping and the UDP flow need of a socket; sent packets go to the namespace's `network`."""

    def __init__(self, namespace: FakeNamespace) -> None:
        self.namespace = namespace
        self.ident: int | None = None
        self.closed = False
        self.peer: tuple[str, int] | None = None
        self.bound: tuple[str, int] | None = None
        self.on_reply: Callable[..., Any] | None = None
        self.on_error: Callable[..., Any] | None = None
        self.on_datagram: Callable[..., Any] | None = None

    def send_echo(self, destination: bytes, sequence: int, payload: bytes, **options: Any) -> None:
        self.namespace.sent.append((self.namespace.kernel.now, sequence, payload, options))
        self.namespace.network(self, destination, sequence, payload)

    def bind(self, address: str, port: int) -> None:
        self.bound = (address, port)

    def connect(self, address: str, port: int) -> None:
        self.peer = (address, port)

    def send(self, payload: bytes) -> None:
        self.namespace.sent.append((self.namespace.kernel.now, payload))
        self.namespace.network(self, payload)

    def close(self) -> None:
        self.closed = True


class FakeNamespace:
    """Hands out fake sockets."""

    name = "fake"
    cpu = None

    def __init__(self, network: Callable[..., Any] = lambda *_: None) -> None:
        self.kernel = Kernel()
        self.network = network
        self.sent: list[tuple[Any, ...]] = []
        self.sockets: list[FakeSocket] = []

    def ping_socket(self, ident: int | None = None) -> FakeSocket:
        socket = FakeSocket(self)
        socket.ident = ident
        self.sockets.append(socket)
        return socket

    def udp_socket(self) -> FakeSocket:
        socket = FakeSocket(self)
        self.sockets.append(socket)
        return socket

    def wake(self, fn: Callable[[Any], object], arg: Any) -> None:
        self.kernel.soon(fn, arg)


def refusal(number: int, mtu: int | None = None) -> OSError:
    """Return an error as a socket raises it."""
    error = OSError(number, errno.errorcode[number])
    if mtu is not None:
        error.mtu = mtu  # type: ignore[attr-defined]
    return error
