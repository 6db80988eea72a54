"""A path with losses between a LossRecovery and an ideal receiver: the simplest model that must always finish."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from random import Random

from emu.stack.tcp import congestion
from emu.stack.tcp.recovery import NEVER, LossRecovery, TimerAction
from emu.stack.tcp.rtt import RttEstimator
from emu.stack.tcp.settings import TcpSettings

MS = 1_000_000
MSS = 1000


@dataclass(frozen=True)
class PathTraits:
    """What the path does: probabilities of loss each way and of reordering, and what the ends agreed on."""

    loss: float = 0.0
    ack_loss: float = 0.0
    reorder: float = 0.0
    sack: bool = True
    dsack: bool = True
    timestamps: bool = True
    algorithm: str = "reno"
    delay_ns: int = 5 * MS
    segment_time_ns: int = 1000


class PathModel:
    """One transfer of whole segments. `check` looks at the sender after every event."""

    def __init__(self, seed: int, segments: int, traits: PathTraits, check: bool = True) -> None:
        self.random = Random(seed)
        self.traits = traits
        self.check = check
        rtt = RttEstimator()
        rtt.sample(2 * traits.delay_ns)
        iss = self.random.getrandbits(32)
        self.first = (iss + 1) & 0xFFFFFFFF
        self.recovery = LossRecovery(
            iss=iss,
            mss=MSS,
            congestion=congestion.make(traits.algorithm, MSS),
            settings=replace(TcpSettings(), retries2=1000),  # with half of all ACKs lost 15 minutes can pass
            sack=traits.sack,
            timestamps=traits.timestamps,
            rtt=rtt,
        )
        self.recovery.unsent = lambda: self.next < self.total
        self.total = segments
        self.next = 0
        self.now = 0
        self.received = 0
        self.waiting: set[int] = set()
        self.recent: list[int] = []
        self.events: list[tuple[int, int, bool, tuple[int, ...]]] = []
        self.count = 0
        self.busy_until = 0
        self.echo = 0

    def run(self) -> None:
        """Sends everything; an endless transfer is an assertion."""
        self._output()
        recovery = self.recovery
        limit = 300 * self.total + 10_000
        while recovery.outstanding or self.next < self.total:
            limit -= 1
            assert limit, "the transfer does not end"
            if self.events and self.events[0][0] <= recovery.deadline_ns:
                self.now, _, is_data, content = heapq.heappop(self.events)
                if is_data:
                    self._data_arrives(*content)
                else:
                    self._ack_arrives(content)
            else:
                self._timer()
            if self.check:
                check_accounts(recovery)

    # -- the sender

    def _output(self) -> None:
        recovery = self.recovery
        while (segment := recovery.next_retransmission(self.now)) is not None:
            recovery.retransmitted(segment, self.now)
            self._emit(self._index(segment.seq), segment.length // MSS)
        while self.next < self.total and recovery.room(self.now) >= MSS:
            self._send_new()

    def _send_new(self) -> None:
        self.recovery.sent((self.first + self.next * MSS) & 0xFFFFFFFF, bytes(MSS), False, self.now)
        self._emit(self.next, 1)
        self.next += 1

    def _timer(self) -> None:
        recovery = self.recovery
        assert recovery.deadline_ns < NEVER, "data is outstanding and no timer runs"
        self.now = max(self.now, recovery.deadline_ns)
        action = recovery.timer(self.now)
        assert action is not TimerAction.GIVE_UP
        if action is TimerAction.PROBE and self.next < self.total:
            self._send_new()
        elif action is TimerAction.PROBE:
            segment = recovery.probe_segment()
            recovery.retransmitted(segment, self.now)
            self._emit(self._index(segment.seq), 1)
        elif action is TimerAction.RETRANSMIT:
            self._output()

    def _index(self, seq: int) -> int:
        return ((seq - self.first) & 0xFFFFFFFF) // MSS

    def _emit(self, index: int, count: int) -> None:
        traits = self.traits
        self.busy_until = max(self.busy_until, self.now) + traits.segment_time_ns
        if self.random.random() < traits.loss:
            return
        late = self.random.randrange(traits.delay_ns) if self.random.random() < traits.reorder else 0
        self._schedule(self.busy_until + traits.delay_ns + late, True, (index, count, self.now))

    def _schedule(self, at_ns: int, is_data: bool, content: tuple[int, ...]) -> None:
        self.count += 1
        heapq.heappush(self.events, (at_ns, self.count, is_data, content))

    # -- the receiver

    def _data_arrives(self, index: int, count: int, sent_ns: int) -> None:
        before = self.received
        duplicate = index < before or index in self.waiting
        if index <= before:
            self.echo = sent_ns
        self.waiting.update(each for each in range(index, index + count) if each >= before)
        while self.received in self.waiting:
            self.waiting.remove(self.received)
            self.received += 1
        edges: list[int] = []
        if self.traits.sack:
            edges = self._blocks(index)
            if duplicate and self.traits.dsack:
                edges = [index, index + count, *edges[:4]]
        if self.random.random() >= self.traits.ack_loss:
            content = (self.received, self.echo, *edges[:6])
            self._schedule(self.now + self.traits.delay_ns, False, content)

    def _blocks(self, newest: int) -> list[int]:
        """The SACK blocks, the newest first (RFC 2018)."""
        candidates = [newest, *self.recent] if newest in self.waiting else self.recent
        blocks: list[tuple[int, int]] = []
        for index in candidates:
            if index in self.waiting:
                start = end = index
                while start - 1 in self.waiting:
                    start -= 1
                while end in self.waiting:
                    end += 1
                if (start, end) not in blocks:
                    blocks.append((start, end))
        self.recent = [start for start, _ in blocks]
        return [edge for block in blocks[:3] for edge in block]

    def _ack_arrives(self, content: tuple[int, ...]) -> None:
        recovery = self.recovery
        acked, echo, *edges = content
        seqs = [(self.first + edge * MSS) & 0xFFFFFFFF for edge in edges]
        known = self._acknowledged()
        if acked < known:
            return
        age = (self.now // MS - echo // MS) * MS if self.traits.timestamps else None
        duplicate = acked == known and recovery.outstanding
        recovery.ack(
            (self.first + acked * MSS) & 0xFFFFFFFF,
            tuple(zip(seqs[::2], seqs[1::2], strict=True)),
            age,
            False,
            duplicate,
            self.now,
        )
        self._output()

    def _acknowledged(self) -> int:
        queue = self.recovery.queued()
        return self._index(queue[0].seq) if queue else self.next


def check_accounts(recovery: LossRecovery) -> None:
    """What is counted while going along is what the queue says."""
    board, queue = recovery._board, recovery.queued()
    assert board.in_flight == sum(segment.in_flight for segment in queue) >= 0
    assert board.sacked_segments == sum(segment.sacked for segment in queue)
    assert board.lost_segments == sum(segment.lost for segment in queue)
    assert board.retransmitted_segments == sum(segment.retransmitted for segment in queue)
    assert board.marked == sum(segment.marks != 0 for segment in queue)
    assert not any(segment.sacked and (segment.lost or segment.retransmitted) for segment in queue)
    assert board.nxt - board.una == sum(segment.length for segment in queue)
    assert recovery.in_flight >= 0
    assert recovery.cwnd >= recovery.mss
    assert recovery.ssthresh >= 2 * recovery.mss
    assert recovery.outstanding == (recovery.deadline_ns < NEVER)
