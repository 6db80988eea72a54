"""What an iperf test measured: per interval and stream, and in all; as numbers, text and iperf3's JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from emu.kernel.units import format_rate_bps
from emu.traffic import iperf_json, iperf_text
from emu.traffic.iperf_options import IperfOptions
from emu.traffic.iperf_rows import IperfInterval, IperfStream

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class IperfResult:
    """What came of a test, as the side that asked for it reports it.

    host: how the server was called. intervals: per interval, one IperfInterval per stream. streams: the summary.
    started_ns: virtual time of the start of the data. mss: of the first stream. error: iperf3's last line, such as
    "iperf3: error - unable to connect to server: Connection refused"; None when all went well.
    """

    options: IperfOptions
    host: str
    started_ns: int = 0
    intervals: tuple[tuple[IperfInterval, ...], ...] = ()
    streams: tuple[IperfStream, ...] = ()
    mss: int = 0
    cookie: str = ""
    sender_congestion: str = ""
    receiver_congestion: str = ""
    local_cpu: float = 0.0
    remote_cpu: float = 0.0
    error: str | None = None
    finished: bool = field(default=False)

    @property
    def sent_bytes(self) -> int:
        """Payload bytes that the sending side has written."""
        return sum(stream.sent_bytes for stream in self.streams)

    @property
    def received_bytes(self) -> int:
        """Payload bytes that have arrived."""
        return sum(stream.received_bytes for stream in self.streams)

    @property
    def goodput_bps(self) -> int:
        """Payload bits per second that arrived, over the receiver's time."""
        longest_ns = max((stream.received_ns for stream in self.streams), default=0)
        return self.received_bytes * 8 * SECOND // longest_ns if longest_ns else 0

    @property
    def retransmits(self) -> int:
        """Segments that were sent again, of all streams."""
        return sum(stream.retransmits or 0 for stream in self.streams)

    @property
    def lost(self) -> int:
        """Datagrams that did not arrive, of all streams."""
        return sum(stream.lost for stream in self.streams)

    @property
    def ok(self) -> bool:
        """Whether the test came to its end."""
        return self.finished and self.error is None

    @property
    def text(self) -> str:
        """What iperf3 prints on the side that asked for the test."""
        return iperf_text.report(self)

    def json(self) -> dict[str, Any]:
        """Return what `iperf3 -J` prints, as a dict with its keys."""
        return iperf_json.report(self)

    @property
    def outcome(self) -> str:
        """One line for result tables."""
        if self.error is not None:
            return self.error
        if not self.finished and not self.options.reverse:
            return f"{self.sent_bytes} bytes written so far" + (
                "" if self.options.is_udp else f", {self.retransmits} retransmits"
            )
        # with cost="none" a test may take no time
        if self.finished and not any(stream.received_ns for stream in self.streams):
            return f"{self.received_bytes} bytes received in no time"
        more = f", {self.lost} lost" if self.options.is_udp else f", {self.retransmits} retransmits"
        return f"{format_rate_bps(self.goodput_bps // 1000 * 1000)} received{more}"

    def __str__(self) -> str:
        return self.text
