"""The TCP test language: a script plays the peer of one machine, in virtual time, segment by segment.

    tcp = established()                       # a connection in a state, with nothing in flight
    tcp.write(b"x" * 100)                     # the program's calls
    tcp.recv("P.", seq=1, length=100)         # what the machine sends now
    tcp.send(".", ack=101, at=ms(3))          # what the peer sends, at an exact time
    tcp.recv(".", ack=1, at=ms(43))           # … and what it must send then, exactly then
    tcp.recv_nothing(until=s(60))             # nothing happens until then

Sequence numbers are relative: 0 is the SYN of whoever sends, 1 the first byte of data. `win` is the header's field,
before scaling. Every field of a segment has a default that fits the connection and can be overridden; what `recv` is
not told, it does not look at. Timers are exact here (no timer wheel).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import Any

from emu.stack.tcp.connection import Connection
from emu.stack.tcp.segment import ECN_CAPABLE, RETRANSMISSION, Segment
from emu.stack.tcp.settings import TcpSettings
from emu.stack.tcp.state import State
from emu.wire.tcp import FLAG_LETTERS, flags_text
from emu.wire.tcp_options import parse_tcp_options, segment_options, syn_options

MASK = 0xFFFFFFFF
NEVER = 1 << 62
OUR_ISS = 0xFFFFFF00
"""So that numbers wrap soon."""
PEER_ISS = 0x7FFFFFF0
OUR_CLOCK = 1000
"""The value of our timestamps at time 0; the peer's is PEER_CLOCK."""
PEER_CLOCK = 5000
WINDOW = 512
"""The peer's window field: 65536 bytes with a scale of 7."""


def us(number: float) -> int:
    return round(number * 1_000)


def ms(number: float) -> int:
    return round(number * 1_000_000)


def s(number: float) -> int:
    return round(number * 1_000_000_000)


def shown(time_ns: int) -> str:
    return f"{time_ns / 1_000_000:g} ms"


@dataclass
class Sent:
    """A segment that the machine sent: relative numbers, options read."""

    time_ns: int
    flags: str
    seq: int
    ack: int
    win: int
    payload: bytes
    kind: int
    ts: int | None
    echo: int | None
    mss: int | None = None
    wscale: int | None = None
    sackok: bool = False
    sack: list[tuple[int, int]] = field(default_factory=list)

    @property
    def length(self) -> int:
        return len(self.payload)

    @property
    def retransmission(self) -> bool:
        return self.kind == RETRANSMISSION

    @property
    def ect(self) -> bool:
        return self.kind == ECN_CAPABLE

    def __str__(self) -> str:
        blocks = f" sack {self.sack}" if self.sack else ""
        return f"[{self.flags}] seq {self.seq} ack {self.ack} win {self.win} length {self.length}{blocks}"


class Script:
    """A machine and the peer that the script plays.

    now: virtual time in ns. sent: what the machine sent and `recv` has not taken. received: bytes the program read.
    reader: the program reads everything at once; set to False to let data lie.
    """

    def __init__(
        self,
        *,
        mtu: int = 1500,
        congestion: str = "reno",
        maximum_segment: int | None = None,
        mss: int | None = 1460,
        wscale: int | None = 7,
        sackok: bool = True,
        timestamps: bool = True,
        win: int = WINDOW,
        **settings: Any,
    ) -> None:
        self.now = 0
        self.sent: list[Sent] = []
        self.received = bytearray()
        self.reader = True
        self.resets = 0
        self.peer = {"mss": mss, "wscale": wscale, "sackok": sackok, "timestamps": timestamps, "win": win}
        self._peer_nxt = 0
        self._last_ack = 0
        self._last_ts = 0
        defaults: dict[str, Any] = {"clock_granularity_ns": 1}
        self.connection = Connection(
            TcpSettings(**(defaults | settings)),
            iss=OUR_ISS,
            timestamp_offset=OUR_CLOCK,
            mtu=mtu,
            send_raw=self._sent,
            congestion=congestion,
            maximum_segment=maximum_segment,
        )

    # -- time ---------------------------------------------------------------------------------------------------------

    def advance(self, to: int) -> None:
        """Let time pass to an absolute moment; the machine's timers go off on the way."""
        assert to >= self.now, f"the script goes back in time: it is {shown(self.now)}, not {shown(to)}"
        while True:
            deadline = min(self.connection.deadline_ns, self.connection.background_deadline_ns)
            if deadline > to:
                break
            self.now = max(self.now, deadline)
            before = len(self.sent), deadline
            self.connection.timer(self.now)
            after = min(self.connection.deadline_ns, self.connection.background_deadline_ns)
            assert (len(self.sent), after) != before, f"a timer due at {shown(deadline)} does nothing"
        self.now = to

    # -- the peer -----------------------------------------------------------------------------------------------------

    def send(
        self,
        flags: str = ".",
        *,
        seq: int | None = None,
        ack: int | None = None,
        win: int | None = None,
        payload: bytes = b"",
        length: int = 0,
        ts: int | None = -1,
        echo: int | None = None,
        sack: list[tuple[int, int]] | None = None,
        ce: bool = False,
        at: int | None = None,
        **syn: Any,
    ) -> bool:
        """Let the peer send a segment; returns whether it is answered by a reset as if there were no connection.

        ts: -1 is the peer's clock, None no timestamp. echo: default what we sent last. length: of a payload of zeros.
        """
        if at is not None:
            self.advance(at)
        bits = sum(FLAG_LETTERS[letter] for letter in flags)
        payload = payload or bytes(length)
        seq = self._peer_nxt if seq is None else seq
        ack = self._last_ack if ack is None else ack
        stamps = None
        if self.peer["timestamps"] and ts is not None and "R" not in flags:
            value = PEER_CLOCK + self.now // 1_000_000 if ts == -1 else ts
            stamps = (value, (self._last_ts if "." in flags else 0) if echo is None else echo)
        if "S" in flags:
            offer = self.peer | syn
            options = b""
            if offer["mss"] is not None:
                options = syn_options(
                    offer["mss"],
                    sack_permitted=offer["sackok"],
                    timestamps=stamps if offer["timestamps"] else None,
                    window_scale=offer["wscale"],
                )
        else:
            blocks = tuple(((left + OUR_ISS) & MASK, (right + OUR_ISS) & MASK) for left, right in sack or ())
            options = segment_options(stamps, blocks)
        segment = Segment(
            (seq + PEER_ISS) & MASK,
            (ack + OUR_ISS) & MASK if "." in flags else 0,
            bits,
            (65535 if "S" in flags else self.peer["win"]) if win is None else win,
            payload,
            options=options,
            ecn=3 if ce else 0,
        )
        self._peer_nxt = max(self._peer_nxt, seq + segment.length)
        return self._arrive(segment)

    def _arrive(self, segment: Segment) -> bool:
        connection = self.connection
        if connection.state is State.CLOSED and not connection.was_established and not connection.error:
            connection.open_passively(segment, self.now)
            return False
        must_reset = connection.segment_arrived(segment, self.now)
        self.resets += must_reset
        if self.reader:
            self.read()
        return must_reset

    # -- the machine --------------------------------------------------------------------------------------------------

    def _sent(
        self, seq: int, ack: int, flags: int, win: int, ts: int, echo: int, options: bytes, payload: bytes, kind: int
    ) -> None:
        parsed = parse_tcp_options(options)
        if not options and ts >= 0:
            parsed.timestamp_value, parsed.timestamp_echo = ts, echo
        if parsed.timestamp_value is not None:
            self._last_ts = parsed.timestamp_value
        relative_ack = (ack - PEER_ISS) & MASK if flags & 0x10 else 0
        sent = Sent(
            self.now,
            flags_text(flags),
            (seq - OUR_ISS) & MASK,
            relative_ack,
            win,
            payload,
            kind,
            parsed.timestamp_value,
            parsed.timestamp_echo,
            parsed.maximum_segment,
            parsed.window_scale,
            parsed.sack_permitted,
            [((left - PEER_ISS) & MASK, (right - PEER_ISS) & MASK) for left, right in parsed.sack_blocks],
        )
        end = sent.seq + sent.length + ("S" in sent.flags) + ("F" in sent.flags)
        if sent.seq != MASK:
            self._last_ack = max(self._last_ack, end)
        self.sent.append(sent)

    def recv(self, flags: str | None = None, *, at: int | None = None, **expected: Any) -> Sent:
        """Take the next segment that the machine sent; without any, wait for it until `at`.

        at: when it must have been sent, exactly. Other arguments: any field of `Sent`, `length`, `retransmission`,
        `ect`. A failure names the field.
        """
        wanted = self.now if at is None else at
        if not self.sent:
            self.advance(self.now)
            while wanted > self.now and not self.sent:
                deadline = min(self.connection.deadline_ns, self.connection.background_deadline_ns)
                self.advance(min(max(deadline, self.now), wanted))
        assert self.sent, f"nothing was sent until {shown(wanted)}; expected [{flags or ''}] {expected or ''}"
        found = self.sent.pop(0)
        assert found.time_ns == wanted or at is None, (
            f"{found}: time is {shown(found.time_ns)}, expected {shown(wanted)}"
        )
        if flags is not None:
            expected = {"flags": flags, **expected}
        for name, value in expected.items():
            actual = getattr(found, name)
            assert actual == value, f"{found}: {name} is {actual!r}, expected {value!r}"
        return found

    def recv_nothing(self, until: int | None = None) -> None:
        """Check that the machine sends nothing up to a moment."""
        if until is not None:
            self.advance(until)
        assert not self.sent, f"at {shown(self.sent[0].time_ns)} it sent {self.sent[0]}, expected nothing"

    # -- the program --------------------------------------------------------------------------------------------------

    def _at(self, at: int | None) -> None:
        if at is not None:
            self.advance(at)

    def write(self, data: bytes | int, at: int | None = None) -> None:
        """Let the program send data (a number: so many zeros)."""
        self._at(at)
        self.connection.write(bytes(data) if isinstance(data, int) else data, self.now)

    def read(self, size: int = 1 << 30, at: int | None = None) -> bytes:
        """Let the program read what is there."""
        self._at(at)
        data = self.connection.read(size, self.now) if self.connection.receiver.unread else b""
        self.received += data
        return data

    def shutdown(self, at: int | None = None) -> None:
        self._at(at)
        self.connection.shutdown_write(self.now)

    def close(self, at: int | None = None) -> None:
        self._at(at)
        self.connection.close(self.now)

    def abort(self, at: int | None = None) -> None:
        self._at(at)
        self.connection.abort(self.now)

    # -- what it looks like -------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        return self.connection.state.name

    @property
    def error(self) -> str:
        return errno.errorcode.get(self.connection.error, "")

    @property
    def end_of_stream(self) -> bool:
        return self.connection.receiver.fin_taken

    @property
    def cwnd(self) -> int:
        return self.connection.sender.recovery.cwnd


# -- connections in every state ---------------------------------------------------------------------------------------


def connecting(**options: Any) -> Script:
    """SYN-SENT: our SYN is out and taken."""
    tcp = Script(**options)
    tcp.connection.open(0)
    tcp.recv("SEW" if options.get("ecn") == 1 else "S", seq=0)
    return tcp


def syn_received(**options: Any) -> Script:
    """SYN-RECEIVED: a SYN came, our SYN-ACK is out and taken."""
    tcp = Script(**options)
    tcp.send("S", seq=0)
    tcp.recv("S.", seq=0, ack=1)
    return tcp


def established(*, passive: bool = False, quick: bool = True, **options: Any) -> Script:
    """ESTABLISHED, opened by us (or by the peer) at time 0, nothing in flight.

    quick: leave the connection in quick-ack mode, in which it begins.
    """
    if passive:
        tcp = syn_received(**options)
        tcp.send(".", seq=1, ack=1)
    else:
        tcp = connecting(**options)
        tcp.send("S.", seq=0, ack=1)
        tcp.recv(".", seq=1, ack=1)
    assert tcp.state == "ESTABLISHED"
    tcp.recv_nothing()
    if not quick:
        acks = tcp.connection.receiver.acks
        acks.timeout_ns, acks.quick = ms(40), 0
    return tcp


def close_wait(**options: Any) -> Script:
    """CLOSE-WAIT: the peer's FIN came and is acknowledged."""
    tcp = established(**options)
    tcp.send("F.", seq=1)
    tcp.recv(".", ack=2, at=0)
    assert tcp.state == "CLOSE_WAIT"
    return tcp


def fin_wait_1(**options: Any) -> Script:
    """FIN-WAIT-1: the program has shut down, our FIN is out."""
    tcp = established(**options)
    tcp.shutdown()
    tcp.recv("F.", seq=1)
    return tcp


def fin_wait_2(**options: Any) -> Script:
    """FIN-WAIT-2: our FIN is acknowledged."""
    tcp = fin_wait_1(**options)
    tcp.send(".", ack=2)
    assert tcp.state == "FIN_WAIT_2"
    return tcp


def closing(**options: Any) -> Script:
    """CLOSING: both FINs crossed."""
    tcp = fin_wait_1(**options)
    tcp.send("F.", seq=1, ack=1)
    tcp.recv(".", seq=2, ack=2)
    assert tcp.state == "CLOSING"
    return tcp


def last_ack(**options: Any) -> Script:
    """LAST-ACK: the peer's FIN came, then ours went."""
    tcp = close_wait(**options)
    tcp.close()
    tcp.recv("F.", seq=1, ack=2)
    assert tcp.state == "LAST_ACK"
    return tcp


def time_wait(**options: Any) -> Script:
    """TIME-WAIT: we closed first, everything is acknowledged; it is 0 ms."""
    tcp = fin_wait_2(**options)
    tcp.send("F.", seq=1)
    tcp.recv(".", seq=2, ack=2)
    assert tcp.state == "TIME_WAIT"
    return tcp
