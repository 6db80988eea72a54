"""The numbers of an iperf test: of one stream in one interval, and of one stream in all."""

from __future__ import annotations

from dataclasses import dataclass

Address = tuple[str, int]
SECOND = 1_000_000_000


def rate(size_bytes: int, time_ns: int) -> float:
    """Return bits per second; 0.0 for no time."""
    return size_bytes * 8 * SECOND / time_ns if time_ns else 0.0


@dataclass(frozen=True, slots=True)
class IperfInterval:
    """One stream in one interval; times in ns since the start of the test.

    is_sender: whether the side that reports sent. retransmits, cwnd_bytes, rtt_ns, rttvar_ns, pmtu: of a TCP sender.
    packets: of UDP. lost, out_of_order, jitter_ns: of a UDP receiver. None where there is no such thing.
    """

    stream: int
    start_ns: int
    end_ns: int
    bytes: int
    is_sender: bool
    retransmits: int | None = None
    cwnd_bytes: int | None = None
    send_window: int | None = None
    rtt_ns: int | None = None
    rttvar_ns: int | None = None
    pmtu: int | None = None
    packets: int | None = None
    lost: int | None = None
    out_of_order: int | None = None
    jitter_ns: int | None = None


@dataclass(frozen=True, slots=True)
class IperfStream:
    """One stream in all: what its sender sent and its receiver received, each in its own time."""

    stream: int
    local: Address
    remote: Address
    sent_bytes: int = 0
    sent_ns: int = 0
    received_bytes: int = 0
    received_ns: int = 0
    retransmits: int | None = None
    sent_packets: int = 0
    received_packets: int = 0
    lost: int = 0
    out_of_order: int = 0
    jitter_ns: int = 0
