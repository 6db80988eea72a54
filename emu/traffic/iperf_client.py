"""The side of an iperf test that asks for it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from simpy.events import AllOf, Event

from emu.traffic.iperf_control import (
    UDP_HELLO,
    UDP_WELCOME,
    IperfError,
    State,
    expect_state,
    json_message,
    new_cookie,
    next_state,
    parameters,
    read_json,
)
from emu.traffic.iperf_options import IperfOptions
from emu.traffic.iperf_result import IperfResult
from emu.traffic.iperf_session import IperfSession
from emu.traffic.iperf_streams import TcpReceiveStream, TcpSendStream, UdpReceiveStream, UdpSendStream
from emu.traffic.waiting import DeadlinePassed, wait_until

if TYPE_CHECKING:
    from emu.stack import Namespace
    from emu.stack.tcp_socket import TcpSocket
    from emu.stack.udp_socket import UdpSocket

SECOND = 1_000_000_000
HELLO_TRIES = 5


class IperfClient:
    """One test. `yield from IperfClient(...).run()` in a process gives its IperfResult.

    namespace: where it runs. address: of the server. options: see IperfOptions. host: what the user called the server.
    A connection carries the control messages, the data has connections (or UDP sockets) of its own, as with iperf3.
    Errors are results, in iperf3's words.
    """

    def __init__(self, namespace: Namespace, address: str, options: IperfOptions, *, host: str | None = None) -> None:
        self._namespace = namespace
        self._kernel = namespace.kernel
        self._address = address
        self._options = options
        self._cookie = new_cookie(namespace.kernel.random(f"iperf of {namespace.name}"))
        self._test = IperfSession(namespace, options, is_sender=not options.reverse)
        self._result = IperfResult(options, host or address, cookie=self._cookie)
        self._sockets: list[TcpSocket | UdpSocket] = []
        self._silence = self._kernel.timer(self._all_have_arrived)

    @property
    def result(self) -> IperfResult:
        """The result so far."""
        test = self._test
        if self._result.streams or not test.streams:
            return replace(self._result, intervals=tuple(test.intervals))
        return replace(self._result, intervals=tuple(test.intervals), streams=test.so_far(), started_ns=test.started_ns)

    def run(self) -> Generator[Event, Any, IperfResult]:
        """Run the test (a process); everything is closed at the end, also when the process is stopped."""
        try:
            control = yield from self._connect("unable to connect to server")
            control.no_delay = True
            if not self._options.length:  # as long as fits, like iperf3's default
                self._options = replace(self._options, length=control.info().mss)
                self._test = IperfSession(self._namespace, self._options, is_sender=not self._options.reverse)
                self._result = replace(self._result, options=self._options)
            yield from self._run(control)
        except IperfError as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(f"unable to send control message: {error.strerror}")
        finally:
            self._silence.stop()
            self._test.close()
            for socket in self._sockets:
                socket.close()
        return self.result

    def _fail(self, words: str) -> None:
        self._result = replace(self._result, error=f"iperf3: error - {words}")

    def _connect(self, words: str) -> Generator[Event, Any, TcpSocket]:
        """Open a connection to the server, and say which test it belongs to."""
        socket: TcpSocket = self._namespace.tcp_socket()
        self._sockets.append(socket)
        options = self._options
        if options.congestion is not None:
            socket.congestion = options.congestion
        if options.window:
            socket.send_buffer = socket.receive_buffer = options.window
        if options.no_delay:
            socket.no_delay = True
        try:
            yield socket.connect(self._address, options.port)
        except OSError as error:
            raise IperfError(f"{words}: {error.strerror}") from None
        yield socket.send(self._cookie.encode() + b"\0")
        return socket

    def _run(self, control: TcpSocket) -> Generator[Event, Any, None]:
        test = self._test
        yield from expect_state(control, State.PARAM_EXCHANGE)
        yield control.send(json_message(parameters(self._options)))
        yield from expect_state(control, State.CREATE_STREAMS)
        for _ in range(self._options.parallel):
            yield from self._open_stream()
        yield from expect_state(control, State.TEST_START)
        yield from expect_state(control, State.TEST_RUNNING)
        test.start()
        self._result = replace(self._result, started_ns=test.started_ns)
        said = yield from self._wait_for_the_end(control)
        test.stop()
        yield control.send(bytes((State.TEST_END,)))
        yield from expect_state(control, State.EXCHANGE_RESULTS, said)
        congestion = "" if self._options.is_udp else control.info().congestion
        yield control.send(json_message(test.results(congestion)))
        theirs = yield from read_json(control)
        yield from expect_state(control, State.DISPLAY_RESULTS)
        yield control.send(bytes((State.IPERF_DONE,)))
        self._finish(control, theirs, congestion)

    def _wait_for_the_end(self, control: TcpSocket) -> Generator[Event, Any, Event]:
        """Wait until the time is up, or all bytes are sent, or received when the server sends.

        Returns the event of what the server says next. Raises IperfError when it says something before it should.
        """
        said = next_state(control)
        everything = AllOf(self._kernel, [stream.finished for stream in self._test.streams])
        either = said | everything
        either.description = "the data of an iperf test"  # type: ignore[attr-defined]
        deadline_ns = self._kernel.now + self._options.time_ns if self._options.time_ns else None
        try:
            yield from wait_until(self._kernel, either, deadline_ns)
        except DeadlinePassed:
            return said
        except OSError as error:
            raise IperfError(f"unable to receive control message: {error.strerror}") from None
        if self._options.time_ns or said.triggered:
            yield from expect_state(control, State.TEST_END, said)  # it never says that
        return said

    def _finish(self, control: TcpSocket, theirs: dict[str, Any], congestion: str) -> None:
        try:
            streams = self._test.merged(theirs)
            remote_cpu = float(theirs["cpu_util_total"])
            their_congestion = str(theirs["congestion_used"])
        except (KeyError, TypeError, ValueError, OverflowError):
            raise IperfError("unable to receive results: they are not what iperf3 sends") from None
        sender, receiver = (their_congestion, congestion) if self._options.reverse else (congestion, their_congestion)
        self._result = replace(
            self._result,
            streams=streams,
            mss=0 if self._options.is_udp else control.info().mss,
            sender_congestion=sender,
            receiver_congestion=receiver,
            local_cpu=self._test.cpu_percent,
            remote_cpu=remote_cpu,
            finished=True,
        )

    # -- streams ------------------------------------------------------------------------------------------------------

    def _open_stream(self) -> Generator[Event, Any, None]:
        test, options = self._test, self._options
        if options.is_udp:
            yield from self._open_udp_stream()
            return
        socket = yield from self._connect("unable to connect stream")
        number = test.next_number()
        if options.reverse:
            test.streams.append(TcpReceiveStream(self._kernel, number, socket, options))
        else:
            test.streams.append(TcpSendStream(self._kernel, number, socket, options, test.budget))

    def _open_udp_stream(self) -> Generator[Event, Any, None]:
        """Open a UDP socket and greet the server with it; a lost greeting is said again after a second."""
        test, options = self._test, self._options
        socket: UdpSocket = self._namespace.udp_socket()
        self._sockets.append(socket)
        socket.tos = options.tos
        socket.connect(self._address, options.port)
        assert socket.remote_address is not None, "it has just been connected"
        ends, number = (socket.local_address, socket.remote_address), test.next_number()
        receiver = UdpReceiveStream(self._kernel, number, ends)
        yield from self._say_hello(socket, receiver)
        if options.reverse:
            test.streams.append(receiver)
            if options.size_bytes:
                receiver.on_arrival = self._count_arrival
        else:
            test.streams.append(UdpSendStream(self._kernel, number, ends, socket.send, options, test.budget))

    def _count_arrival(self) -> None:
        """End a reversed test of a fixed amount when all of it has arrived, or when nothing has come for a second."""
        if sum(stream.bytes for stream in self._test.streams) >= self._options.size_bytes:
            self._silence.stop()
            self._all_have_arrived(None)
        else:
            self._silence.start(SECOND)

    def _all_have_arrived(self, _: None) -> None:
        for stream in self._test.streams:
            stream.finish()

    def _say_hello(self, socket: UdpSocket, receiver: UdpReceiveStream) -> Generator[Event, Any, None]:
        """Send the greeting until it is answered; what comes after the answer is data for the receiver."""
        welcome = Event(self._kernel)
        welcome.description = "an answer from the iperf server"  # type: ignore[attr-defined]

        def take(payload: bytes, source: object, frame: object) -> None:
            if payload != UDP_WELCOME:
                receiver.take(payload)
            elif not welcome.triggered:
                welcome.succeed()

        socket.on_datagram = take
        for _ in range(HELLO_TRIES):
            try:
                socket.send(UDP_HELLO)
                yield from wait_until(self._kernel, welcome, self._kernel.now + SECOND)
                return
            except DeadlinePassed:
                continue
            except OSError as error:
                raise IperfError(f"unable to read from stream socket: {error.strerror}") from None
        raise IperfError("unable to read from stream socket: Resource temporarily unavailable")


__all__ = ["IperfClient"]
