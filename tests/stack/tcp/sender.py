"""A sender's loss recovery, driven by hand: segments are counted from 0, each MSS bytes long, times are in ms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from emu.stack.tcp import congestion
from emu.stack.tcp.recovery import LossRecovery, TimerAction
from emu.stack.tcp.rtt import RttEstimator
from emu.stack.tcp.settings import TcpSettings

MS = 1_000_000
MSS = 1000
ISS = 0xFFFFFFFF - 5000
"""The sequence numbers wrap after five segments."""


class Sender:
    """One LossRecovery with exact timers (unless `granularity_ns` says otherwise) and a path of `rtt` ms."""

    def __init__(
        self,
        *,
        rtt: float = 100,
        cwnd: int = 10,
        ssthresh: int | None = None,
        algorithm: str = "reno",
        sack: bool = True,
        timestamps: bool = False,
        granularity_ns: int = 1,
        **settings: Any,
    ) -> None:
        self.rtt = RttEstimator()
        if rtt:
            self.rtt.sample(round(rtt * MS))
            self.rtt.shortest(round(rtt * MS), 0)
        self.congestion = congestion.make(algorithm, MSS, cwnd)
        if ssthresh is not None:
            self.congestion.ssthresh = ssthresh * MSS
        self.timestamps = timestamps
        self.recovery = LossRecovery(
            iss=ISS,
            mss=MSS,
            congestion=self.congestion,
            settings=replace(TcpSettings(), clock_granularity_ns=granularity_ns, **settings),
            sack=sack,
            timestamps=timestamps,
            rtt=self.rtt,
        )
        self.next = 0
        self.acked = 0

    def seq(self, index: float) -> int:
        """The sequence number of a segment (with a fraction: of a byte in it)."""
        return (ISS + 1 + round(index * MSS)) & 0xFFFFFFFF

    def send(self, count: int, at: float) -> None:
        """New data leaves, whether the window allows it or not."""
        for _ in range(count):
            self.recovery.sent(self.seq(self.next), bytes(MSS), False, round(at * MS))
            self.next += 1

    def fill(self, at: float) -> int:
        """New data leaves while the window allows it; returns how many segments."""
        count = 0
        while self.recovery.room(round(at * MS)) >= MSS:
            self.send(1, at)
            count += 1
        return count

    def ack(
        self,
        acked: float,
        *sacks: tuple[float, float],
        at: float,
        echo: float | None = None,
        ece: bool = False,
    ) -> list[int]:
        """An ACK for the first `acked` segments with SACK blocks from and to segments; returns what is resent at once.

        echo: when the segment whose timestamp it echoes was sent, in ms.
        """
        now = round(at * MS)
        duplicate = acked == self.acked and self.recovery.outstanding
        blocks = tuple((self.seq(start), self.seq(end)) for start, end in sacks)
        age = None if echo is None else (now // MS - round(echo)) * MS
        self.recovery.ack(self.seq(acked), blocks, age, ece, duplicate, now)
        self.acked = max(self.acked, acked)
        return self.resend(at)

    def resend(self, at: float) -> list[int]:
        """Everything leaves again that is lost and that the window allows; returns the segments."""
        resent = []
        while (segment := self.recovery.next_retransmission(round(at * MS))) is not None:
            self.recovery.retransmitted(segment, round(at * MS))
            resent.append(self.index(segment.seq))
        return resent

    def timer(self, at: float) -> TimerAction:
        """The timer is called at a time."""
        return self.recovery.timer(round(at * MS))

    def index(self, seq: int) -> int:
        """The segment that begins at a sequence number."""
        return ((seq - ISS - 1) & 0xFFFFFFFF) // MSS

    @property
    def deadline(self) -> float:
        """When the timer is due, in ms."""
        return self.recovery.deadline_ns / MS

    @property
    def cwnd(self) -> float:
        """The window in segments."""
        return self.recovery.cwnd / MSS

    @property
    def ssthresh(self) -> float:
        """The slow start threshold in segments."""
        return self.recovery.ssthresh / MSS

    @property
    def in_flight(self) -> float:
        """Segments in the network."""
        return self.recovery.in_flight / MSS

    @property
    def lost(self) -> list[int]:
        """The segments marked lost whose copy is not out."""
        queue = self.recovery.queued()
        return [self.index(segment.seq) for segment in queue if segment.lost and not segment.retransmitted]
