"""emu's TCP and the TCP of the kernel that runs the tests talk to each other: every byte arrives, both ways.

The kernel's end is a plain Python program in a throw-away network namespace; between the two lies a veth pair of the
emulation that loses, repeats and reorders frames in both directions.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Generator
from random import Random
from typing import Any

import pytest

from emu.kernel.realtime import RealTime
from tests.stack.world import SECOND, World
from tests.strangers.namespaces import Segment, skip_without
from tests.strangers.pump import PumpDevice

pytestmark = pytest.mark.root

KERNEL, EMU = "10.0.0.1", "10.0.0.2"
PORT = 5001
SIZE = 1_000_000
PATIENCE_S = 60.0
"""Real seconds, for a machine that is busy with something else; a run takes one or two."""
PROGRAM = f"""
import hashlib, socket, sys, threading
role, size = sys.argv[1], int(sys.argv[2])
if role == "server":
    listener = socket.create_server(("{KERNEL}", {PORT}))
    print("listening", flush=True)
    connection, _ = listener.accept()
else:
    connection = socket.create_connection(("{EMU}", {PORT}), timeout={PATIENCE_S})
connection.settimeout({PATIENCE_S})
def talk():
    connection.sendall(bytes(index * 7 & 255 for index in range(size)))
    connection.shutdown(socket.SHUT_WR)
writer = threading.Thread(target=talk)
writer.start()
digest = hashlib.sha256()
while data := connection.recv(65536):
    digest.update(data)
writer.join()
connection.close()
print("received", digest.hexdigest(), flush=True)
"""
FROM_KERNEL = bytes(index * 7 & 255 for index in range(SIZE))
FROM_EMU = Random(4).randbytes(SIZE)
LOSSY = {"loss": 0.02, "duplicate": 0.01, "reorder": 0.02, "delay": "2ms"}


class Lab:
    """A namespace of the emulation with 10.0.0.2 that shares an Ethernet with the kernel's 10.0.0.1."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        assert segment.socket is not None, "the segment has not been entered"
        world = self.world = World(seed=4)
        host, self.namespace = world.namespace("host"), world.namespace("emu")
        bridge = world.bridge(host, "br0")
        self.devices = [world.plug(host, bridge, self.namespace, f"{EMU}/24"), host.device("veth-emu")]
        pump = PumpDevice(world, segment.socket, delay_ns=500_000)
        host.add_device(pump)
        bridge.add_port(pump)
        pump.set_up()
        self._pace = RealTime(world.kernel, 1.0, pump.wait)
        self.received = hashlib.sha256()
        self.ended = False
        self.retransmissions = 0

    def run_until(self, condition: Callable[[], object]) -> None:
        """Run at the pace of the wall clock until the condition holds."""
        kernel = self.world.kernel
        end_ns = kernel.now + round(PATIENCE_S * SECOND)
        seen = kernel.event()

        def look(_: object) -> None:
            if condition() or kernel.now >= end_ns:
                seen.succeed()
            else:
                kernel.call_later(SECOND // 50, look, background=True)

        look(None)
        self._pace.run(until=seen)
        assert condition(), f"not within {PATIENCE_S} s: {self.segment.log}"

    def talk(self, socket: Any, **impairments: Any) -> Generator[Any, Any, None]:
        """Send everything, receive everything, close; the line is bad from now on, both ways."""
        for device in self.devices:
            device.set(**impairments)
        writer = self.world.kernel.process(self._write(socket))
        while data := (yield socket.recv()):
            self.received.update(data)
        yield writer
        socket.close()
        yield socket.closed
        self.retransmissions = socket.info().retransmissions
        self.ended = True

    def _write(self, socket: Any) -> Generator[Any, Any, None]:
        yield socket.send(FROM_EMU)
        socket.shutdown("write")

    def finish(self) -> None:
        """Run to the end and compare what both sides got."""
        self.run_until(lambda: self.ended and "received" in self.segment.log)
        assert self.received.digest() == hashlib.sha256(FROM_KERNEL).digest()
        assert f"received {hashlib.sha256(FROM_EMU).hexdigest()}" in self.segment.log


@pytest.fixture
def segment(tmp_path):
    skip_without()
    with Segment(tmp_path) as made:
        made.add_address(f"{KERNEL}/24")
        yield made


@pytest.mark.parametrize("impairments", [{}, LOSSY], ids=["clean", "lossy"])
def test_the_kernel_connects_to_emu(segment, impairments):
    lab = Lab(segment)
    listener = lab.namespace.tcp_socket()
    listener.bind(port=PORT)
    listener.listen()

    def serve():
        yield from lab.talk((yield listener.accept()), **impairments)

    lab.world.kernel.process(serve())
    segment.start(sys.executable, "-c", PROGRAM, "client", str(SIZE))
    lab.finish()
    assert not impairments or lab.retransmissions


@pytest.mark.parametrize("impairments", [{}, LOSSY], ids=["clean", "lossy"])
def test_emu_connects_to_the_kernel(segment, impairments):
    lab = Lab(segment)
    segment.start(sys.executable, "-c", PROGRAM, "server", str(SIZE))
    lab.run_until(lambda: "listening" in segment.log)

    def call():
        socket = lab.namespace.tcp_socket()
        yield socket.connect(KERNEL, PORT)
        yield from lab.talk(socket, **impairments)

    lab.world.kernel.process(call())
    lab.finish()
    assert not impairments or lab.retransmissions


def test_the_kernel_refuses_and_emu_says_so(segment):
    lab = Lab(segment)
    socket = lab.namespace.tcp_socket()
    event = socket.connect(KERNEL, PORT)
    lab.run_until(lambda: event.triggered)
    with pytest.raises(ConnectionRefusedError):
        raise event.value
