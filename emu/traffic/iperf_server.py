"""The side of an iperf test that waits for it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy.events import AllOf, Event

from emu.traffic.iperf_control import (
    COOKIE_BYTES,
    UDP_HELLO,
    UDP_WELCOME,
    IperfError,
    State,
    expect_state,
    json_message,
    next_state,
    read_exactly,
    read_json,
    read_parameters,
)
from emu.traffic.iperf_options import DEFAULT_PORT, PARALLEL_MAX
from emu.traffic.iperf_session import IperfSession
from emu.traffic.iperf_streams import Stream, TcpReceiveStream, TcpSendStream, UdpReceiveStream, UdpSendStream
from emu.traffic.listening import accept_all, bind_tcp_and_udp

if TYPE_CHECKING:
    from emu.stack import Namespace
    from emu.stack.tcp_socket import TcpSocket
    from emu.wire.frame import Frame

Address = tuple[str, int]
GRACE_NS = 10_000_000_000
"""A test that is so much longer than it should be is given up."""


class IperfServer:
    """Serves one test after the other on a port until `close`; it does not keep a run alive.

    tests: how many it has finished. failed: how many ended before their time. one_off: closes after one (`-1`).
    Raises OSError (EADDRINUSE) when the port is taken.
    Limits: the UDP streams of a test share one socket. A second client is told that the server is busy, as by iperf3.
    """

    def __init__(
        self, namespace: Namespace, port: int = DEFAULT_PORT, *, address: str = "0.0.0.0", one_off: bool = False
    ) -> None:
        self.port = port
        self.tests = 0
        self.failed = 0
        self._namespace = namespace
        self._kernel = namespace.kernel
        self._one_off = one_off
        self._test: IperfSession | None = None
        self._cookie = b""
        self._arrived: Event | None = None
        self._udp_streams: dict[Address, UdpReceiveStream | None] = {}
        self._control: TcpSocket | None = None
        self._overdue = self._kernel.timer(self._give_up, background=True)
        self._listener, self._udp = bind_tcp_and_udp(namespace, address, port)
        self._udp.on_datagram = self._on_datagram
        self._listener.listen()
        self._kernel.spawn(accept_all(self._listener, self._take))

    def close(self) -> None:
        """Stop listening, and end what is going on."""
        self._listener.close()
        self._udp.close()
        if self._test is not None:
            self._test.close()
        if self._control is not None:
            self._control.close()

    def _take(self, socket: TcpSocket) -> None:
        self._kernel.spawn(self._greet(socket))

    def _greet(self, socket: TcpSocket) -> Generator[Event, Any, None]:
        """Find out whether a connection begins a test or is one of its streams."""
        try:
            cookie = yield from read_exactly(socket, COOKIE_BYTES)
            if self._control is None:
                self._control, self._cookie = socket, cookie
                socket.no_delay = True
                yield from self._serve(socket)
            elif cookie == self._cookie and self._test is not None and not self._test.options.is_udp:
                self._add_tcp_stream(socket)
            else:
                yield socket.send(bytes((State.ACCESS_DENIED,)))
                socket.close()
        except (OSError, IperfError):
            socket.close()

    # -- one test -----------------------------------------------------------------------------------------------------

    def _serve(self, control: TcpSocket) -> Generator[Event, Any, None]:
        """Run a test; after it, or when it breaks off, the next one may come."""
        try:
            yield from self._run(control)
            self.tests += 1
        except (OSError, IperfError):
            self.failed += 1
        finally:
            self._overdue.stop()
            if self._test is not None:
                self._test.close()
            control.close()
            self._test = self._control = self._arrived = None
            self._udp_streams.clear()
            if self._one_off:
                self.close()

    def _run(self, control: TcpSocket) -> Generator[Event, Any, None]:
        yield control.send(bytes((State.PARAM_EXCHANGE,)))
        options = read_parameters((yield from read_json(control)), self.port)
        if not 1 <= options.parallel <= PARALLEL_MAX:
            raise IperfError("number of parallel streams is out of range")
        self._test = test = IperfSession(self._namespace, options, is_sender=options.reverse)
        self._listener.congestion = options.congestion or self._namespace.tcp.congestion  # its connections inherit it
        self._arrived = Event(self._kernel)
        self._arrived.description = "the streams of an iperf test"  # type: ignore[attr-defined]
        yield control.send(bytes((State.CREATE_STREAMS,)))
        said = next_state(control)
        yield from self._wait([self._arrived], said)
        yield control.send(bytes((State.TEST_START,)))
        yield control.send(bytes((State.TEST_RUNNING,)))
        test.start()
        self._overdue.start(options.time_ns + GRACE_NS)
        if options.size_bytes and not options.reverse and not options.is_udp:
            yield from self._wait([stream.finished for stream in test.streams], said)
            test.stop()  # a fixed amount is timed to its last byte, however long the message that ends the test takes
        yield from expect_state(control, State.TEST_END, said)
        self._overdue.stop()
        test.stop()
        yield control.send(bytes((State.EXCHANGE_RESULTS,)))
        yield from read_json(control)
        congestion = "" if options.is_udp else control.info().congestion
        yield control.send(json_message(test.results(congestion)))
        yield control.send(bytes((State.DISPLAY_RESULTS,)))
        yield from expect_state(control, State.IPERF_DONE)

    def _wait(self, events: list[Event], said: Event) -> Generator[Event, Any, None]:
        """Wait for all events, also after the client has said the next word. Raises IperfError when it is gone."""
        yield AllOf(self._kernel, events) | said
        if said.triggered and not said.value:
            raise IperfError("the client has terminated")
        yield AllOf(self._kernel, events)

    def _give_up(self, _: None) -> None:
        """End a test that should have ended long ago: its client is gone."""
        if self._test is not None:
            self._test.close()
        if self._control is not None:
            self._control.abort()

    def _add_tcp_stream(self, socket: TcpSocket) -> None:
        test = self._test
        assert test is not None, "asked before"
        number = test.next_number()
        if test.is_sender:
            self._add(TcpSendStream(self._kernel, number, socket, test.options, test.budget))
        else:
            self._add(TcpReceiveStream(self._kernel, number, socket, test.options))

    def _add(self, stream: Stream) -> None:
        """Take a stream in; with the last one the test may begin."""
        test = self._test
        assert test is not None, "a stream belongs to a test"
        test.streams.append(stream)
        if len(test.streams) == test.options.parallel and self._arrived is not None:
            self._arrived.succeed()

    def _on_datagram(self, payload: bytes, source: Address, frame: Frame) -> None:
        """Count a datagram of a stream, or welcome a new one."""
        test = self._test
        if test is None or not test.options.is_udp:
            return
        if source in self._udp_streams:
            stream = self._udp_streams[source]
            if payload == UDP_HELLO:
                self._udp.sendto(UDP_WELCOME, source)  # our welcome was lost
            elif stream is not None:
                stream.take(payload)
        elif payload == UDP_HELLO and len(test.streams) < test.options.parallel:
            self._welcome(test, source)

    def _welcome(self, test: IperfSession, source: Address) -> None:
        ends = (self._udp.local_address, source)
        number = test.next_number()
        if test.is_sender:
            self._udp_streams[source] = None
            sender = UdpSendStream(
                self._kernel, number, ends, lambda payload: self._udp.sendto(payload, source), test.options, test.budget
            )
            self._add(sender)
        else:
            receiver = self._udp_streams[source] = UdpReceiveStream(self._kernel, number, ends)
            self._add(receiver)
        self._udp.sendto(UDP_WELCOME, source)


__all__ = ["IperfServer"]
