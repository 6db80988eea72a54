"""One iperf test as one side runs it: its streams, its intervals, and its half of the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emu.traffic.iperf_options import IperfOptions
from emu.traffic.iperf_rows import IperfInterval, IperfStream
from emu.traffic.iperf_streams import Budget, Stream

if TYPE_CHECKING:
    from emu.stack import Namespace

SECOND = 1_000_000_000


class IperfSession:
    """The running of a test on one side.

    streams: in the order of their numbers. started_ns, ended_ns: of the data, virtual time in ns.
    """

    def __init__(self, namespace: Namespace, options: IperfOptions, *, is_sender: bool) -> None:
        self.options = options
        self.is_sender = is_sender
        self.budget = Budget(options.size_bytes or None)
        self.streams: list[Stream] = []
        self.intervals: list[tuple[IperfInterval, ...]] = []
        self.started_ns = 0
        self.ended_ns: int | None = None
        self._kernel = namespace.kernel
        self._cpu = namespace.cpu
        self._cpu_used_ns = 0
        self._reported_ns = 0
        self._timer = self._kernel.timer(self._report, background=True)

    def next_number(self) -> int:
        """Return the number of the next stream: 5, 7, 9, … as iperf3's first sockets are called."""
        return 5 + 2 * len(self.streams)

    def start(self) -> None:
        """Let the data begin."""
        self.started_ns = self._kernel.now
        self._cpu_used_ns = 0 if self._cpu is None else self._cpu.used_ns
        for stream in self.streams:
            stream.start()
        if self.options.interval_ns:
            self._timer.start(self.options.interval_ns)

    def stop(self) -> None:
        """Let the data end now; the last interval may be a short one."""
        if self.ended_ns is not None:
            return
        self._timer.stop()
        self.ended_ns = self._kernel.now
        for stream in self.streams:
            stream.stop()
        if self.streams and (self.ended_ns - self.started_ns > self._reported_ns or not self.intervals):
            self._take_rows()

    def close(self) -> None:
        """Stop, and close all streams."""
        self.stop()
        for stream in self.streams:
            stream.close()

    @property
    def elapsed_ns(self) -> int:
        """How long the data has been going, or went."""
        return (self._kernel.now if self.ended_ns is None else self.ended_ns) - self.started_ns

    @property
    def cpu_percent(self) -> float:
        """How busy the host's CPU has been since the start, in percent."""
        if self._cpu is None or not self.elapsed_ns:
            return 0.0
        return min(100.0, 100 * (self._cpu.used_ns - self._cpu_used_ns) / self.elapsed_ns)

    def _report(self, _: None) -> None:
        self._take_rows()
        self._timer.start(self.options.interval_ns)

    def _take_rows(self) -> None:
        start_ns, end_ns = self._reported_ns, self._kernel.now - self.started_ns
        self.intervals.append(tuple(stream.row(start_ns, end_ns) for stream in self.streams))
        self._reported_ns = end_ns

    # -- results ------------------------------------------------------------------------------------------------------

    def results(self, congestion: str) -> dict[str, Any]:
        """Return what this side tells the other one, with iperf3's keys."""
        return {
            "cpu_util_total": self.cpu_percent,
            "cpu_util_user": 0,
            "cpu_util_system": self.cpu_percent,
            "sender_has_retransmits": int(self.is_sender and not self.options.is_udp),
            "congestion_used": congestion,
            "streams": [self._stream_results(stream) for stream in self.streams],
        }

    def _stream_results(self, stream: Stream) -> dict[str, Any]:
        return {
            "id": stream.number,
            "bytes": stream.bytes,
            "retransmits": stream.retransmits if stream.is_sender and not stream.is_udp else -1,
            "jitter": stream.jitter_ns / SECOND,
            "errors": stream.lost,
            "out_of_order": stream.out_of_order,
            "packets": stream.packets,
            "start_time": 0,
            "end_time": self.elapsed_ns / SECOND,
        }

    def so_far(self) -> tuple[IperfStream, ...]:
        """Return what this side alone knows of the streams, while the other side's results have not come."""
        elapsed_ns = self.elapsed_ns if self.started_ns else 0
        found = []
        for stream in self.streams:
            if self.is_sender:
                known: dict[str, Any] = {"sent_bytes": stream.bytes, "sent_ns": elapsed_ns}
                known |= {"sent_packets": stream.packets}
            else:
                known = {"received_bytes": stream.bytes, "received_ns": elapsed_ns, "received_packets": stream.packets}
                known |= {"lost": stream.lost, "out_of_order": stream.out_of_order, "jitter_ns": stream.jitter_ns}
            known["retransmits"] = stream.retransmits if self.is_sender and not stream.is_udp else None
            found.append(IperfStream(stream.number, stream.local, stream.remote, **known))
        return tuple(found)

    def merged(self, theirs: dict[str, Any]) -> tuple[IperfStream, ...]:
        """Return the summary of all streams from both sides' results. Raises what a wrong kind of value raises."""
        found = []
        for stream, their in zip(self.streams, theirs["streams"], strict=True):
            end_ns, jitter_ns = round(their["end_time"] * SECOND), round(their["jitter"] * SECOND)
            mine = (stream.bytes, self.elapsed_ns, stream.packets)
            other = (int(their["bytes"]), end_ns, int(their["packets"]))
            sent, received = (mine, other) if self.is_sender else (other, mine)
            retransmits = stream.retransmits if self.is_sender else int(their["retransmits"])
            losses = (
                (int(their["errors"]), int(their.get("out_of_order", 0)), jitter_ns)
                if self.is_sender
                else (stream.lost, stream.out_of_order, stream.jitter_ns)
            )
            found.append(
                IperfStream(
                    stream.number, stream.local, stream.remote,
                    sent_bytes=sent[0], sent_ns=sent[1], received_bytes=received[0], received_ns=received[1],
                    retransmits=None if stream.is_udp else retransmits,
                    sent_packets=sent[2], received_packets=received[2],
                    lost=losses[0], out_of_order=losses[1], jitter_ns=losses[2],
                )
            )  # fmt: skip
        return tuple(found)
