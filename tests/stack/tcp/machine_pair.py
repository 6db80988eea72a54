"""Two machines and a wire between them that loses, delays, duplicates and reorders: nothing but virtual time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from emu.stack.tcp.connection import Connection
from emu.stack.tcp.prediction import take_ordinary_segment
from emu.stack.tcp.segment import Segment
from emu.stack.tcp.settings import TcpSettings
from emu.stack.tcp.state import State
from emu.stack.tcp.timers import NEVER
from emu.wire.tcp import ACK, PSH, RST, SYN
from emu.wire.tcp_options import segment_options

MS = 1_000_000


@dataclass(frozen=True)
class WireTraits:
    """What the wire does to a segment, with which probability; what is corrupted is dropped by the checksum.

    lose_every: of the client's data every so manieth segment is lost, counting retransmissions, too. lose_spread: by
        which share of that it may be an earlier or a later one.
    """

    loss: float = 0.0
    lose_every: int = 0
    lose_spread: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_ns: int = 5 * MS
    rate_bps: int = 100_000_000
    mtu: int = 1500


@dataclass
class Program:
    """What one end's program does: writes `outgoing` in pieces, reads what comes, now and then too slowly."""

    outgoing: bytes
    lazy: bool = False
    written: int = 0
    incoming: bytearray = field(default_factory=bytearray)
    may_read: bool = True


class MachinePair:
    """A client (0) and a server (1) on a wire. `run` goes on until both ends are done.

    now: the time. finished_ns: when the last data arrived.
    """

    def __init__(
        self,
        seed: int,
        traits: WireTraits,
        outgoing: tuple[bytes, bytes],
        settings: tuple[TcpSettings, TcpSettings] = (TcpSettings(), TcpSettings()),
        congestion: str = "cubic",
        lazy: bool = False,
    ) -> None:
        self.random = Random(seed)
        self.traits = traits
        self.now = 0
        self._events: list[tuple[int, int, int, Any]] = []
        self._count = 0
        self._line_free = [0, 0]
        self.sent = [0, 0]
        self._data_sent = self._losses = 0
        self._next_loss = traits.lose_every
        self._opened = False
        self.finished_ns = 0
        self.programs = [Program(data, lazy) for data in outgoing]
        self.ends = [
            Connection(
                settings[side],
                iss=self.random.getrandbits(32),
                timestamp_offset=self.random.getrandbits(32),
                mtu=traits.mtu,
                send_raw=lambda *segment, side=side: self._transmit(side, *segment),
                congestion=congestion,
            )
            for side in (0, 1)
        ]

    def run(self, limit_ns: int = 3600 * 1000 * MS, limit_steps: int = 400_000) -> None:
        """Opens, transfers, closes. An endless connection is an assertion."""
        steps = 0
        while not self._done():
            steps += 1
            assert steps < limit_steps, f"no end in sight: {self.ends}"
            self._step()
            assert self.now < limit_ns, f"too slow: {self.ends}"

    def run_until(self, condition: Callable[[], bool]) -> int:
        """Goes on until something is true; returns the time."""
        while not condition():
            assert not self._done(), "it never came true"
            self._step()
        return self.now

    def _step(self) -> None:
        """The next event: a segment arrives, a timer is due, a program wakes up."""
        if self.ends[0].state is State.CLOSED and not self._opened:
            self._opened = True
            self.ends[0].open(self.now)
        timers = [
            min(end.deadline_ns, end.background_deadline_ns) if not end.state.ended else NEVER for end in self.ends
        ]
        due = min(timers)
        if self._events and self._events[0][0] <= due:
            self.now, _, side, what = heapq.heappop(self._events)
            if what is None:
                self.programs[side].may_read = True
            else:
                self._arrive(side, what)
        else:
            assert due < NEVER, f"both wait forever: {self.ends}"
            self.now = max(self.now, due)
            side = timers.index(due)
            self.ends[side].timer(self.now)
        if self.ends[side].receiver.unread:
            self.finished_ns = self.now
        self._work(side)

    def _done(self) -> bool:
        """Both ends are finished; a server that never heard of the client still waits while the client tries."""
        return self._opened and all(end.state.ended for end in self.ends)

    # -- the programs

    def _work(self, side: int) -> None:
        end, program = self.ends[side], self.programs[side]
        if not end.was_established or end.state is State.CLOSED:
            return
        if end.receiver.unread and program.may_read:
            program.incoming += end.read(self.random.randrange(1, 20_000), self.now)
            if program.lazy and self.random.random() < 0.05:
                program.may_read = False
                self._at(self.now + self.random.randrange(2000 * MS), side, None)
            elif end.receiver.unread:
                program.may_read = False
                self._at(self.now + 1000, side, None)
        while program.written < len(program.outgoing):
            wanted = min(self.random.randrange(1, 30_000), len(program.outgoing) - program.written)
            size = end.send_room(wanted)
            if not size:
                return
            end.write(program.outgoing[program.written : program.written + size], self.now)
            program.written += size
        if not end.sender.fin_wanted:
            end.shutdown_write(self.now)

    # -- the wire

    def _at(self, at_ns: int, side: int, what: object) -> None:
        self._count += 1
        heapq.heappush(self._events, (at_ns, self._count, side, what))

    def _transmit(self, side: int, *raw: Any) -> None:
        traits, random = self.traits, self.random
        options, payload = raw[6], raw[7]
        size = 40 + len(payload) + (len(options) or (12 if raw[4] >= 0 else 0))
        assert size <= traits.mtu, f"{size} bytes, {len(options)} of them options"
        self.sent[side] += 1
        leaves = max(self.now, self._line_free[side]) + size * 8_000_000_000 // traits.rate_bps
        self._line_free[side] = leaves
        if traits.lose_every and not side and payload:
            self._data_sent += 1
            if self._data_sent == self._next_loss:
                self._losses += 1
                spread = round(traits.lose_every * traits.lose_spread)
                self._next_loss = (self._losses + 1) * traits.lose_every + random.randint(-spread, spread)
                return
        for _ in range(2 if random.random() < traits.duplicate else 1):
            if random.random() >= traits.loss:
                late = random.randrange(3 * traits.delay_ns + 1) if random.random() < traits.reorder else 0
                self._at(leaves + traits.delay_ns + late, 1 - side, raw)

    def _arrive(self, side: int, raw: tuple[Any, ...]) -> None:
        sequence, acknowledgment, flags, window, timestamp, echo, options, payload, _ = raw
        end = self.ends[side]
        if (
            timestamp >= 0
            and not options
            and flags & ~PSH == ACK
            and take_ordinary_segment(
                end, sequence, acknowledgment, window, bool(flags & PSH), timestamp, echo, payload, self.now
            )
        ):
            return
        if not options and timestamp >= 0:
            options = segment_options((timestamp, echo))
        segment = Segment(sequence, acknowledgment, flags, window, payload, options=options)
        if end.state is State.CLOSED:
            if side and not end.was_established and flags & (SYN | ACK | RST) == SYN:
                end.open_passively(segment, self.now)
                return
            must_reset = not flags & RST
        else:
            must_reset = end.segment_arrived(segment, self.now)
        if must_reset:
            self._reset(side, segment)

    def _reset(self, side: int, segment: Segment) -> None:
        if segment.flags & ACK:
            self._transmit(side, segment.acknowledgment, 0, RST, 0, -1, 0, b"", b"", 0)
        else:
            self._transmit(side, 0, segment.end, RST | ACK, 0, -1, 0, b"", b"", 0)
