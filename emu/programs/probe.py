"""Programs that ask who is there: ping and traceroute."""

from __future__ import annotations

from emu.programs.runner import ProgramRunner
from emu.task import Program, Task
from emu.traffic.ping import Ping
from emu.traffic.ping_options import PingOptions, ping_options
from emu.traffic.ping_result import PingResult
from emu.traffic.traceroute import Traceroute, TracerouteResult, traceroute_options


class ProbePrograms(ProgramRunner):
    """The part of a container that runs ping and traceroute."""

    def ping(
        self,
        target: ProgramRunner | str,
        count: int | None = 4,
        interval: str | int = "1s",
        size: int = 56,
        ttl: int | None = None,
        dont_fragment: str | bool = "want",
        at: str | int | None = None,
        *,
        deadline: str | int | None = None,
        timeout: str | int = "10s",
        pattern: str | bytes = b"",
        tos: int = 0,
        flavour: str = "iputils",
    ) -> Task:
        """Ping a name, an address or a container; the task's result is a PingResult with `.received` and `.text`.

        count: requests; None goes on until the deadline or the end of the run. interval: between requests.
        size: data bytes, 56 as usual. ttl: time to live. at: absolute start time; None is now.
        dont_fragment: "want", "do" or "dont" as `ping -M`; True is "do", False is "dont".
        deadline, timeout, pattern, tos: `-w`, `-W`, `-p`, `-Q`. flavour: "iputils" or "busybox".
        """
        options = ping_options(
            count=count, interval=interval, size=size, ttl=ttl, dont_fragment=dont_fragment, deadline=deadline,
            timeout=timeout, pattern=pattern, tos=tos, flavour=flavour,
        )  # fmt: skip
        shown = self._shown(target, "ping")
        program: Ping | None = None

        def run() -> Program:
            nonlocal program
            address = yield from self._reach(target, "ping")
            program = Ping(self.namespace, address, options, name=shown, name_of=self._names_of(shown, address))
            return (yield from program.run())

        nothing = PingResult(shown, 0, 0, 0, 0, (), "")  # what a ping has that never started
        what = f"ping {_ping_flags(options)}{shown}"
        return self._start_program(what, run, lambda: nothing if program is None else program.result, at)

    def traceroute(
        self,
        target: ProgramRunner | str,
        protocol: str = "udp",
        *,
        port: int | None = None,
        first_ttl: int = 1,
        max_ttl: int = 30,
        queries: int = 3,
        timeout: str | int = "5s",
        size: int = 60,
        tos: int = 0,
        at: str | int | None = None,
    ) -> Task:
        """Ask for the routers on the way; the task's result is a TracerouteResult with `.hops`, `.reached` and `.text`.

        protocol: "udp" (ports from 33434 on), "icmp" (echo requests) or "tcp" (SYN segments to port 80).
        port: another first port (UDP) or port (TCP). first_ttl, max_ttl, queries: `-f`, `-m`, `-q`.
        timeout: the longest to wait for an answer (`-w`). size: bytes of the packets. tos: `-t`. at: start time.
        """
        options = traceroute_options(
            protocol=protocol, port=port, first_ttl=first_ttl, max_ttl=max_ttl, queries=queries, timeout=timeout,
            size=size, tos=tos,
        )  # fmt: skip
        shown = self._shown(target, "traceroute")
        program: Traceroute | None = None

        def run() -> Program:
            nonlocal program
            address = yield from self._reach(target, "traceroute")
            names = self._names_of(shown, address)
            program = Traceroute(self.namespace, address, options, name=shown, name_of=names)
            return (yield from program.run())

        nothing = TracerouteResult(shown, (), False, "")  # what a traceroute has that never started
        flag = "" if protocol == "udp" else f"-{protocol[0].upper()} "
        return self._start_program(
            f"traceroute {flag}{shown}", run, lambda: nothing if program is None else program.result, at
        )


def _ping_flags(options: PingOptions) -> str:
    """What is special about a ping, as its command line would say it: `-s 1473 -M do `."""
    usual = PingOptions()
    flags = {
        "-s": options.size if options.size != usual.size else None,
        "-t": options.ttl,
        "-M": options.dont_fragment if options.dont_fragment != usual.dont_fragment else None,
        "-Q": options.tos or None,
    }
    return "".join(f"{flag} {value} " for flag, value in flags.items() if value is not None)
