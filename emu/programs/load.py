"""Programs that measure: iperf, and a load generator with what answers it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TypeVar

from emu.programs.runner import ProgramRunner, Server
from emu.task import Program, Task
from emu.traffic.iperf_client import IperfClient
from emu.traffic.iperf_options import DEFAULT_PORT, IperfOptions, iperf_options
from emu.traffic.iperf_result import IperfResult
from emu.traffic.iperf_server import IperfServer
from emu.traffic.latency import LatencyHistogram
from emu.traffic.load import LoadGenerator
from emu.traffic.load_options import load_options
from emu.traffic.load_result import LoadResult
from emu.traffic.responder import Responder

RESPONDER_PORT = 7100
AnyServer = TypeVar("AnyServer", bound=Server)


class LoadPrograms(ProgramRunner):
    """The part of a container that measures throughput and latency."""

    def iperf(
        self,
        target: ProgramRunner | str,
        protocol: str = "tcp",
        *,
        time: str | int | None = None,
        bytes: str | int | None = None,  # noqa: A002  (as the contract calls it)
        bitrate: str | int | None = None,
        length: str | int | None = None,
        parallel: int = 1,
        reverse: bool = False,
        interval: str | int = "1s",
        congestion: str | None = None,
        window: str | int = 0,
        no_delay: bool = False,
        tos: int = 0,
        port: int = DEFAULT_PORT,
        at: str | int | None = None,
    ) -> Task:
        """Measure throughput as iperf3 does; the result is an IperfResult with `.goodput_bps`, `.text` and `.json()`.

        target: when it is a container of this emulation that does not serve the port, it serves this one test.
        protocol: "tcp" or "udp". time or bytes: how long (default 10 s) or how much. bitrate: per stream; UDP's default
            is 1 Mbit/s. length: bytes per write (128 KiB) or datagram (what fits the path). parallel: streams.
        reverse: the target sends. interval: between rows, 0 for none. congestion: "cubic" or "reno".
        window: socket buffers in bytes. no_delay, tos: as `-N`, `-S`. at: absolute start time.
        """
        options = iperf_options(
            protocol=protocol, port=port, time=time, size=bytes, bitrate=bitrate, length=length, parallel=parallel,
            reverse=reverse, interval=interval, congestion=congestion, window=window, no_delay=no_delay, tos=tos,
        )  # fmt: skip
        shown = self._shown(target, "iperf")
        program: IperfClient | None = None

        def run() -> Program:
            nonlocal program
            address = yield from self._reach(target, "iperf")
            server = self._serve_for_once(target, lambda other: IperfServer(other.namespace, port, one_off=True))
            try:
                program = IperfClient(self.namespace, address, options, host=shown)
                return (yield from program.run())
            finally:
                if server is not None and not (program is not None and program.result.ok):
                    server.close()  # after a whole test it has closed itself

        nothing = IperfResult(options, shown)  # what a test has that never started
        return self._start_program(
            f"iperf3 -c {shown}{_iperf_flags(options)}", run, lambda: nothing if program is None else program.result, at
        )

    def serve_iperf(self, port: int = DEFAULT_PORT) -> IperfServer:
        """Serve iperf tests until the container stops; a run does not wait for it. Raises OSError for a taken port."""
        server = IperfServer(self.namespace, port)
        self._keep_server(server)
        return server

    def load(
        self,
        target: ProgramRunner | str,
        port: int = RESPONDER_PORT,
        protocol: str = "tcp",
        *,
        workers: int | None = None,
        rate: float | None = None,
        arrivals: str = "poisson",
        connections: int = 100,
        count: int | None = None,
        time: str | int | None = None,
        request_size: str | int = 100,
        response_size: str | int = 1000,
        think: str | int = 0,
        timeout: str | int = "1s",
        at: str | int | None = None,
    ) -> Task:
        """Send requests and measure how long the answers take; the task's result is a LoadResult with `.latency`.

        target: when it is a container of this emulation that does not serve the port, it answers as long as needed.
        workers: closed loop: so many, one request at a time each; or rate: open loop: requests per second, whose
            arrivals are "poisson" or "constant", over up to `connections` connections.
        count or time: how many requests, or for how long. request_size, response_size: bytes. think: a worker's pause.
        timeout: after which a UDP request counts as lost. at: absolute start time.
        """
        options = load_options(
            protocol=protocol, workers=workers, rate=rate, arrivals=arrivals, connections=connections, count=count,
            time=time, request_size=request_size, response_size=response_size, think=think, timeout=timeout,
        )  # fmt: skip
        self._check_port(port, "load")
        shown = self._shown(target, "load")
        program: LoadGenerator | None = None

        def run() -> Program:
            nonlocal program
            address = yield from self._reach(target, "load")
            server = self._serve_for_once(target, lambda other: Responder(other.namespace, port))
            try:
                program = LoadGenerator(self.namespace, address, port, options, host=shown)
                return (yield from program.run())
            finally:
                if server is not None:
                    server.stop_listening()

        nothing = LoadResult(f"{shown}:{port}", options, 0, LatencyHistogram(()))  # of a run that never started
        return self._start_program(
            f"load {shown}:{port}", run, lambda: nothing if program is None else program.result, at
        )

    def serve_requests(self, port: int = RESPONDER_PORT, *, service: str | int = 0) -> Responder:
        """Answer the requests of `load` until the container stops; service: how long an answer takes.

        Raises OSError for a taken port.
        """
        server = Responder(self.namespace, port, service=service)
        self._keep_server(server)
        return server

    def _serve_for_once(
        self, target: ProgramRunner | str, make: Callable[[ProgramRunner], AnyServer]
    ) -> AnyServer | None:
        """Let the target serve, if it is a running container that does not do so already."""
        other = self.net.containers.get(target) if isinstance(target, str) else target
        if other is None:
            return None
        try:
            server = make(other)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return None  # it serves, or something else does that will not answer
            raise
        other._keep_server(server)
        return server


def _iperf_flags(options: IperfOptions) -> str:
    """What is special about a test, as its command line would say it: ` -u -R -P 2`."""
    flags = {
        "-p": options.port if options.port != DEFAULT_PORT else None,
        "-u": "" if options.is_udp else None,
        "-R": "" if options.reverse else None,
        "-P": options.parallel if options.parallel > 1 else None,
        "-C": options.congestion,
    }
    return "".join(f" {flag} {value}".rstrip() for flag, value in flags.items() if value is not None)
