"""What an iperf test measures: checked options, as iperf3's flags mean them."""

from __future__ import annotations

from dataclasses import dataclass

from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_rate_bps, parse_size_bytes, parse_time_ns
from emu.stack.tcp.congestion import ALGORITHMS

SECOND = 1_000_000_000
PROTOCOLS = ("tcp", "udp")
DEFAULT_PORT = 5201
TCP_LENGTH = 128 * 1024
UDP_HEADER_BYTES = 12
UDP_LENGTH_MAX = 65_507
UDP_RATE_BPS = 1024 * 1024
LENGTH_MAX = 1024 * 1024
PARALLEL_MAX = 128


@dataclass(frozen=True, slots=True)
class IperfOptions:
    """The options of a test; the letters are iperf3's.

    protocol: "tcp", or "udp" (`-u`). port: `-p`. time_ns: how long (`-t`), or size_bytes: how much (`-n`); one of them
    is 0. rate_bps: target bitrate per stream (`-b`), 0 for as fast as it goes (TCP only).
    length: bytes per write or datagram (`-l`), 0 for datagrams as long as fit the path.
    parallel: streams (`-P`). reverse: the server sends (`-R`).
    interval_ns: between reports (`-i`), 0 for none. congestion: congestion control of the sender (`-C`), None for the
    default. window: socket buffers in bytes (`-w`), 0 for the default. no_delay: `-N`. tos: `-S`.
    """

    protocol: str = "tcp"
    port: int = DEFAULT_PORT
    time_ns: int = 10 * SECOND
    size_bytes: int = 0
    rate_bps: int = 0
    length: int = TCP_LENGTH
    parallel: int = 1
    reverse: bool = False
    interval_ns: int = SECOND
    congestion: str | None = None
    window: int = 0
    no_delay: bool = False
    tos: int = 0

    @property
    def is_udp(self) -> bool:
        """Whether the data goes in datagrams."""
        return self.protocol == "udp"


def iperf_options(
    *,
    protocol: str = "tcp",
    port: int = DEFAULT_PORT,
    time: str | int | None = None,
    size: str | int | None = None,
    bitrate: str | int | None = None,
    length: str | int | None = None,
    parallel: int = 1,
    reverse: bool = False,
    interval: str | int = "1s",
    congestion: str | None = None,
    window: str | int = 0,
    no_delay: bool = False,
    tos: int = 0,
) -> IperfOptions:
    """Return checked options from what people write; raises InvalidValue naming what is wrong."""
    if protocol not in PROTOCOLS:
        raise InvalidValue(f'iperf: protocol must be "tcp" or "udp", not {protocol!r}')
    is_udp = protocol == "udp"
    if time is not None and size is not None:
        raise InvalidValue("iperf: say either time (how long) or bytes (how much), not both")
    time_ns = 0 if size is not None else parse_time_ns("10s" if time is None else time, "time")
    size_bytes = 0 if size is None else parse_size_bytes(size, "bytes")
    if not time_ns and not size_bytes:
        raise InvalidValue("iperf: a test of no time and no bytes measures nothing; give time or bytes")
    length_bytes = (0 if is_udp else TCP_LENGTH) if length is None else parse_size_bytes(length, "length")
    least, most = (UDP_HEADER_BYTES + 4, UDP_LENGTH_MAX) if is_udp else (1, LENGTH_MAX)
    if length is not None and not least <= length_bytes <= most:
        raise InvalidValue(f"iperf: length must be {least} to {most} bytes, not {length_bytes}")
    for name, value, low, high in (
        ("port", port, 1, 65535),
        ("parallel", parallel, 1, PARALLEL_MAX),
        ("tos", tos, 0, 255),
    ):
        if type(value) is not int or not low <= value <= high:
            raise InvalidValue(f"iperf: {name} must be {low} to {high}, not {value!r}")
    for name, flag in (("reverse", reverse), ("no_delay", no_delay)):
        if not isinstance(flag, bool):
            raise InvalidValue(f"iperf: {name} is True or False, not {flag!r}")
    if congestion is not None and (is_udp or not isinstance(congestion, str) or congestion not in ALGORITHMS):
        known = " or ".join(f'"{name}"' for name in sorted(ALGORITHMS))
        raise InvalidValue(f"iperf: congestion is {known}, for TCP only, not {congestion!r}")
    rate_bps = (UDP_RATE_BPS if is_udp else 0) if bitrate is None else parse_rate_bps(bitrate, "bitrate")
    return IperfOptions(
        protocol=protocol,
        port=port,
        time_ns=time_ns,
        size_bytes=size_bytes,
        rate_bps=rate_bps,
        length=length_bytes,
        parallel=parallel,
        reverse=reverse,
        interval_ns=parse_time_ns(interval, "interval"),
        congestion=congestion,
        window=parse_size_bytes(window, "window"),
        no_delay=no_delay,
        tos=tos,
    )
