"""What a load generator does: how many workers or how many requests a second, and how big they are."""

from __future__ import annotations

from dataclasses import dataclass

from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_size_bytes, parse_time_ns

SECOND = 1_000_000_000
HEADER_BYTES = 12
"""What a request begins with: its size, the size of the response, its number (each 4 bytes)."""
REQUEST_MAX = 64 * 1024 * 1024
DATAGRAM_MAX = 65_507
WORKERS_MAX = 10_000
ARRIVALS = ("poisson", "constant")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options of a load generator.

    workers: closed loop: so many, each with a connection and one request at a time; or rate: open loop: so many
    requests a second, whether or not the ones before were answered. The other one is 0.
    arrivals: of the open loop: "poisson" or "constant". connections: the most that the open loop opens.
    count: how many requests, 0 for no limit; time_ns: for how long requests are begun, 0 for no limit.
    request_bytes, response_bytes: sizes. think_ns: pause of a worker between response and next request.
    timeout_ns: after which a UDP request is lost. protocol: "tcp" or "udp".
    """

    protocol: str
    workers: int
    rate: float
    arrivals: str
    connections: int
    count: int
    time_ns: int
    request_bytes: int
    response_bytes: int
    think_ns: int
    timeout_ns: int

    @property
    def is_open_loop(self) -> bool:
        """Whether requests come at a rate of their own."""
        return self.rate > 0

    @property
    def text(self) -> str:
        """What it does, in one line."""
        if self.is_open_loop:
            how = f"open loop, {self.rate:g} requests per second ({self.arrivals})"
        else:
            how = f"closed loop, {self.workers} {'worker' if self.workers == 1 else 'workers'}"
        sizes = f"requests of {self.request_bytes} B, responses of {self.response_bytes} B"
        return f"{self.protocol.upper()}, {how}, {sizes}"


def load_options(
    *,
    protocol: str = "tcp",
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
) -> LoadOptions:
    """Return checked options; raises InvalidValue naming what is wrong."""
    if protocol not in ("tcp", "udp"):
        raise InvalidValue(f'load: protocol must be "tcp" or "udp", not {protocol!r}')
    if workers is not None and rate is not None:
        raise InvalidValue("load: say either workers (closed loop) or rate (open loop), not both")
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate <= 1e9):
        raise InvalidValue(f"load: rate is requests per second, more than 0, not {rate!r}")
    if arrivals not in ARRIVALS:
        raise InvalidValue(f'load: arrivals must be "poisson" or "constant", not {arrivals!r}')
    if count is None and time is None:
        raise InvalidValue("load: say how many requests (count) or how long (time), or it never ends")
    for name, value in (("workers", workers), ("connections", connections)):
        if value is not None and (type(value) is not int or not 1 <= value <= WORKERS_MAX):
            raise InvalidValue(f"load: {name} must be 1 to {WORKERS_MAX}, not {value!r}")
    if count is not None and (type(count) is not int or count < 1):
        raise InvalidValue(f"load: count must be 1 or more, not {count!r}")
    most = DATAGRAM_MAX if protocol == "udp" else REQUEST_MAX
    sizes = []
    for name, text in (("request_size", request_size), ("response_size", response_size)):
        size = parse_size_bytes(text, name)
        if not HEADER_BYTES <= size <= most:
            raise InvalidValue(f"load: {name} must be {HEADER_BYTES} to {most} bytes, not {size}")
        sizes.append(size)
    time_ns = 0 if time is None else parse_time_ns(time, "time")
    if time is not None and not time_ns:
        raise InvalidValue("load: time must be longer than 0")
    return LoadOptions(
        protocol=protocol,
        workers=0 if rate is not None else 1 if workers is None else workers,
        rate=0.0 if rate is None else float(rate),
        arrivals=arrivals,
        connections=connections,
        count=count or 0,
        time_ns=time_ns,
        request_bytes=sizes[0],
        response_bytes=sizes[1],
        think_ns=parse_time_ns(think, "think"),
        timeout_ns=parse_time_ns(timeout, "timeout"),
    )
