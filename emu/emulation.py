"""An emulation: hosts and what joins them, tasks, captures, and the run."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from emu import arguments
from emu.capture.capture import Capture, capture_places
from emu.capture.esp_sa import write_esp_sa
from emu.cnm.profile import profile
from emu.description import interface_words
from emu.device.cost import CostModel, parse_cost
from emu.dhcp import all_services
from emu.host import Host
from emu.interfaces import InterfaceBook
from emu.kernel import Kernel
from emu.kernel.errors import Conflict, EmuError, InvalidValue, NotFound
from emu.kernel.units import format_time_ns, parse_time_ns
from emu.link import Link, Switch
from emu.networks import HostNetworks, SwarmNetworks
from emu.outcome import Expectation, task_result
from emu.printer import FramePrinter
from emu.result import Result
from emu.swarm import Swarm
from emu.task import Program, Task, call_site, checked_script
from emu.underlay import Underlay

if TYPE_CHECKING:
    from simpy.events import Event, Timeout

    from emu.cnm.ipam.dhcp_service import DhcpService
    from emu.container import Container
    from emu.device.impairments.loss import GilbertElliott
    from emu.device.queues.codel import CoDel
    from emu.device.queues.red import Red


class Emulation:
    """Everything that is emulated together: one clock, one seed, one set of captures.

    name: shown in results and captures.
    seed: of all randomness; the same seed gives the same bytes.
    engine: Docker engine to behave like, "20.10", "28" or "29".
    cost: what work on a host costs: "linux" (measured values), "none", or a `CostModel`.
    until: virtual time at which a run ends ("10s" or ns); None: when nothing is left to do.
    Raises InvalidValue or NotFound for values that are not among these.
    """

    def __init__(
        self,
        name: str = "emulation",
        seed: int = 0,
        engine: str = "29",
        cost: str | CostModel = "linux",
        until: str | int | None = None,
    ) -> None:
        if type(seed) is not int:
            raise InvalidValue(f"invalid seed {seed!r}: expected a whole number")
        if not isinstance(engine, str):
            raise InvalidValue(f'invalid engine {engine!r}: expected text, such as "29"')
        if not isinstance(name, str):
            raise InvalidValue(f"invalid name {name!r}: expected text")
        self.name = name
        self.seed = seed
        self.profile = profile(engine)
        self.engine = engine
        self.cost = cost if isinstance(cost, str) else "custom"
        self.cost_model = parse_cost(cost)
        self.until_ns = None if until is None else parse_time_ns(until, "until")
        self.kernel = Kernel(seed)
        self.interfaces = InterfaceBook(lambda device: interface_words(self, device))
        self.hosts: dict[str, Host] = {}
        self.switches: dict[str, Switch] = {}
        self.containers: dict[str, Container] = {}
        self.tasks: list[Task] = []
        self.captures: list[Capture] = []
        self.esp_sa_files: list[Path] = []
        self.printers: list[FramePrinter] = []
        self.dhcp_services: list[DhcpService] = []
        self.folder = Path()
        self.command = f"emulation {name}, seed {seed}"
        self.captures_enabled = True
        self.before_first_run: list[Callable[[], None]] = []
        self.underlay = Underlay(self.kernel)
        self.swarm = Swarm(self)
        self._expectations: list[Expectation] = []
        self._drops: dict[str, int] = {}
        self._is_running = False
        self.kernel.journal.drop_listeners.append(self._count_drop)

    # -- what there is ------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The virtual time in ns."""
        return self.kernel.now

    @property
    def host(self) -> Host:
        """The only host; made as `host1` on first use. Raises Conflict when there are several."""
        if not self.hosts:
            return self.add_host("host1")
        if len(self.hosts) > 1:
            names = ", ".join(self.hosts)
            raise Conflict(f"net.host: there are several hosts ({names}); use the one add_host() returned")
        return next(iter(self.hosts.values()))

    @property
    def networks(self) -> HostNetworks | SwarmNetworks:
        """The networks `docker network` shows on the manager; with one host, that host's networks."""
        return SwarmNetworks(self) if len(self.hosts) > 1 else self.host.networks

    def add_host(self, name: str, cpus: int = 1) -> Host:
        """Add a Docker host.

        cpus: only 1 is built so far. Raises Conflict for a name that is taken, InvalidValue for a bad name.
        """
        self.check_name(name, "host")
        host = Host(self, name, cpus)
        self.hosts[name] = host
        if self.swarm.active:
            self.swarm.join(host)
        return host

    def find_host(self, name: str) -> Host:
        """The host of that name. Raises NotFound listing what there is."""
        if name not in self.hosts:
            raise NotFound(f'there is no host "{name}"; there are: {", ".join(self.hosts) or "none"}')
        return self.hosts[name]

    def add_switch(self, name: str) -> Switch:
        """Add an Ethernet switch, to join more than two hosts. Raises as `add_host` does."""
        self.check_name(name, "switch")
        switch = Switch(self, name, self.underlay.next_mac())
        self.switches[name] = switch
        return switch

    def add_link(
        self,
        a: Host | Switch,
        b: Host | Switch,
        rate: str | int | None = None,
        delay: str | int | None = None,
        jitter: str | int | None = None,
        loss: float | str | GilbertElliott | None = None,
        reorder: float | str | None = None,
        duplicate: float | str | None = None,
        corrupt: float | str | None = None,
        queue: str | int | CoDel | Red | None = None,
        mtu: int | None = None,
        subnet: str | None = None,
        addresses: Sequence[str] | None = None,
        burst: str | int | None = None,
        distribution: str | Sequence[float] | None = None,
    ) -> Link:
        """Join two hosts or switches by a cable; each end gets the next interface, eth0, eth1 and so on.

        rate: in bit/s ("1Gbit"), None for unlimited. burst: what may go at once ("32KiB", a token bucket); None: the
            line sends bit by bit.
        delay, jitter: times ("50us"). distribution: of the jitter: "uniform" (+- its value), "normal", "pareto", or a
            list of deviations in units of it.
        loss, reorder, duplicate, corrupt: probabilities per frame, 0.01 or "1%". Loss in bursts:
            `emu.GilbertElliott(...)` or "gemodel 1% 10% 70% 0.1%".
        queue: limit of the waiting queue, in packets (int) or bytes ("64KiB"), or `emu.CoDel(...)`, `emu.Red(...)`.
        mtu: of both ends, 1500 if not given.
        subnet: of the Ethernet segment this link is part of; None: the next /24 of 198.18.0.0/15.
        addresses: of the ends, in order, for ends that are hosts; None: the next ones of the subnet, in host order.
        """
        impairments = {
            "rate": rate, "delay": delay, "jitter": jitter, "loss": loss, "reorder": reorder,
            "duplicate": duplicate, "corrupt": corrupt, "queue": queue, "burst": burst, "distribution": distribution,
        }  # fmt: skip
        given = {key: value for key, value in impairments.items() if value is not None}
        link = self.underlay.add_link(a, b, given, mtu=mtu, subnet=subnet, addresses=addresses)
        self.swarm.links_changed()
        return link

    def check_name(self, name: str, what: str) -> None:
        """Raise Conflict when a name is taken: names of hosts, switches and containers are parts of capture names."""
        if not isinstance(name, str) or not name or any(character in name for character in ":/ \t\n"):
            raise InvalidValue(f"invalid {what} name {name!r}: expected a word without spaces, ':' and '/'")
        for kind, known in (("host", self.hosts), ("switch", self.switches), ("container", self.containers)):
            if name in known:
                raise Conflict(f"{what} {name}: the name is already in use by a {kind}")

    def container(self, name: str) -> Container:
        """The container of that name, on whichever host. Raises NotFound in Docker's words."""
        if name not in self.containers:
            raise NotFound(f"No such container: {name}")
        return self.containers[name]

    # -- what happens -------------------------------------------------------------------------------------------------

    def spawn(self, generator: Generator[Event, Any, Any], *, name: str | None = None) -> Task:
        """Run a script's own SimPy process from now on; `yield` in it waits for tasks, timeouts and events."""
        if not isinstance(generator, Generator):
            raise InvalidValue(f"spawn takes a generator, such as clients(net), not {generator!r}")
        return self.start_task(
            name or str(getattr(generator, "__name__", "process")), lambda: checked_script(generator)
        )

    def at(self, time: str | int, function: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Call a function at an absolute virtual time ("5s" or ns). Raises InvalidValue when that is in the past."""
        place = call_site()

        def call(_: None) -> None:
            try:
                arguments.refuse_unstarted("at", function(*args, **kwargs))
            except EmuError as error:
                if not hasattr(error, "place"):
                    error.place = place  # type: ignore[attr-defined]  # the line that asked for it
                raise

        if not callable(function):
            raise InvalidValue(f"at: expected a function and its arguments, not {function!r}")
        arguments.callable_with("at", function, args, kwargs)
        self.kernel.call_at(self.start_time(time), call)

    def expect(self, text: str, condition: Callable[[], object]) -> None:
        """Check after the run that a condition holds; if not, it is printed and the exit code is 1."""
        if not isinstance(text, str):
            raise InvalidValue(f"expect {text!r}: say first in words what is expected")
        if not callable(condition):
            raise InvalidValue(f"expect {text!r}: the condition is called after the run; write lambda: ...")
        self._expectations.append(Expectation(text, condition, call_site()))

    def timeout(self, delay: str | int, value: Any = None) -> Timeout:
        """An event some time from now, for processes: `yield net.timeout("1s")`."""
        return self.kernel.timeout(parse_time_ns(delay, "delay"), value)

    def event(self) -> Event:
        """An event that the script triggers itself, for processes."""
        return self.kernel.event()

    def random(self, stream: str) -> Random:
        """A random generator of the script's own, derived from the seed and the stream's name."""
        return self.kernel.random(f"script {stream}")

    def start_task(
        self,
        name: str,
        program: Callable[[], Program],
        *,
        partial: Callable[[], Any] | None = None,
        at: str | int | None = None,
    ) -> Task:
        """Plan a task and keep it for the result; used by containers."""
        task = Task(self.kernel, name, program, partial=partial, start_ns=None if at is None else self.start_time(at))
        self.tasks.append(task)
        return task

    def start_time(self, time: str | int) -> int:
        """Read an absolute time in ns. Raises InvalidValue for the past."""
        time_ns = parse_time_ns(time, "at")
        if time_ns < self.kernel.now:
            raise InvalidValue(f"at={time}: that is in the past, it is {format_time_ns(self.kernel.now)} already")
        return time_ns

    # -- watching -----------------------------------------------------------------------------------------------------

    def capture(
        self,
        path: str | Path,
        interfaces: Sequence[str] | None = None,
        *,
        format: Literal["pcapng", "pcap"] = "pcapng",  # noqa: A002  (the option's name)
        split: bool = False,
        snaplen: int | None = None,
    ) -> Capture | None:
        """Capture interfaces into a file, from now on.

        path: a pcapng file, or with format="pcap" a folder; relative to the run's folder.
        interfaces: globs such as "web:*"; None for all, also those that come later.
        split: also write one pcapng file per interface into by-interface/ beside the file.
        snaplen: bytes kept of each frame.
        Returns None when the run was told to capture nothing. Raises Conflict when another capture writes there,
        InvalidValue for what is no path, CaptureError for one that can't be written.
        """
        if not self.captures_enabled:
            return None
        if not isinstance(path, (str, Path)):
            raise InvalidValue(f"capture {path!r}: expected the name of a file")
        file = self.folder / path
        places = capture_places(file, split)
        if any(not other.closed and other.places & places for other in self.captures):
            raise Conflict(
                f"capture {path}: another capture writes there already; give this one another "
                + ("folder, split files have the names of interfaces" if split else "name")
            )
        capture = Capture(
            self.kernel, file, file_format=format, interfaces=interfaces, split=split,
            snaplen=snaplen, comment=self.command,
        )  # fmt: skip
        self.captures.append(capture)
        self.interfaces.watch(capture.tap_for)
        capture.add_names(self._names())
        return capture

    def capture_files(self) -> list[Path]:
        """The files of all captures, the all-in-one file of each first."""
        return [path for capture in self.captures for path in capture.files().values()]

    def print_frames(self, write: Callable[[str], None], interfaces: Sequence[str] | None = None) -> None:
        """Write a tcpdump-like line for each frame at each interface (or those that match the globs)."""
        printer = FramePrinter(write, interfaces)
        self.printers.append(printer)
        self.interfaces.watch(printer.tap_for)

    def frame_count(self) -> int:
        """How many times a frame has passed an interface so far."""
        return self.interfaces.frame_count()

    def names_have_changed(self) -> None:
        """Tell the captures the names of addresses; called when a container gets or loses one.

        While the emulation is being built there is no hurry: the run begins with this.
        """
        if not self.interfaces.is_running:
            return
        for capture in self.captures:
            if not capture.closed:
                capture.add_names(self._names())

    # -- the run ------------------------------------------------------------------------------------------------------

    def run(self, until: str | int | None = None) -> Result:
        """Run until nothing is left to do, or until a virtual time; then check what was expected.

        until: absolute time, "10s" or ns; None: the `until` of the emulation, if any.
        Can be called again to continue, but not by what runs in it (Conflict). Captures are flushed; `close` (or a
        `with` block) completes them.
        """
        if self._is_running:
            raise Conflict("run: the emulation is running already; in a process, wait with `yield` instead")
        end_ns = self.until_ns if until is None else parse_time_ns(until, "until")
        self.underlay.settle()
        self.swarm.settle_addresses()
        while self.before_first_run:
            self.before_first_run.pop(0)()
        self.interfaces.run_begins()
        self.names_have_changed()
        for task in self.tasks:
            task.run_continues()
        self._is_running = True
        try:
            if until is not None or end_ns is None or end_ns > self.kernel.now:
                self.kernel.run(until=end_ns)
        finally:
            self._is_running = False
            for task in self.tasks:
                task.run_has_ended()
            for capture in self.captures:
                if not capture.closed:
                    capture.flush()
            self.esp_sa_files = write_esp_sa([capture.path for capture in self.captures], self.swarm.esp_keys())
        return self.result()

    def result(self) -> Result:
        """What has come out so far, with the expectations checked."""
        return Result(
            name=self.name,
            seed=self.seed,
            engine=self.engine,
            cost=self.cost,
            now_ns=self.kernel.now,
            interfaces=self.interfaces.results(),
            tasks=[task_result(task) for task in self.tasks],
            expectations=[expectation.check() for expectation in self._expectations],
            drops=dict(self._drops),
            impairments=self.interfaces.impairments(),
            leases=[lease for service in all_services(self) for lease in service.leases],
        )

    @property
    def had_tcp(self) -> bool:
        """Whether a host, or a container that still runs, has had a TCP connection."""
        return any(namespace.tcp.opened for host in self.hosts.values() for namespace in host.namespaces())

    def close(self) -> None:
        """Complete all captures."""
        for capture in self.captures:
            capture.close()

    def __enter__(self) -> Emulation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _count_drop(self, now_ns: int, frame: object, reason: Any, where: str) -> None:
        self._drops[reason.value] = self._drops.get(reason.value, 0) + 1

    def _names(self) -> dict[str, list[str]]:
        """Names of addresses for captures; an address that several containers have stays a number."""
        named: dict[str, list[list[str]]] = {}
        for host in self.hosts.values():
            for address in self.underlay.addresses_of(host):
                named.setdefault(address, []).append([host.name])
        for container in self.containers.values():
            for address, names in container.address_names().items():
                named.setdefault(address, []).append(names)
        return {address: owners[0] for address, owners in named.items() if len(owners) == 1}
