"""The state that loss recovery works on, and the steps that several of its events share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from emu.stack.tcp.congestion import CongestionControl
from emu.stack.tcp.frto import ForwardRto
from emu.stack.tcp.prr import ProportionalRateReduction
from emu.stack.tcp.rack import Rack
from emu.stack.tcp.rtt import RttEstimator
from emu.stack.tcp.scoreboard import AckFacts, Scoreboard
from emu.stack.tcp.settings import TcpSettings
from emu.stack.tcp.tail_loss_probe import TailLossProbe
from emu.stack.tcp.undo import Undo

NEVER = 1 << 62
OPEN, DISORDER, CWR, RECOVERY, LOSS = range(5)
STATE_NAMES = ("Open", "Disorder", "CWR", "Recovery", "Loss")
"""Linux's names (TCP_CA_Open, …): nothing unusual; SACKs but no loss yet; reducing because of ECN; fast recovery;
recovery after a timeout."""
REORDERING_MAX = 300


class TimerAction(Enum):
    """What the connection does when recovery's timer has gone off."""

    NOTHING = "nothing is due"
    RETRANSMIT = "send what next_retransmission() gives"
    PROBE = "send one new segment, or probe_segment() if there is none"
    GIVE_UP = "the peer has not answered for too long: ETIMEDOUT"


@dataclass(slots=True)
class RecoveryCounters:
    """What happened so far; the names are Linux's (`nstat`) in plain words.

    retransmissions: segments sent again, for whatever reason; fast_retransmits: those in fast recovery. timeouts: times
    the retransmission timer went off. undone: reductions taken back because of a
    D-SACK or timestamp; spurious_timeouts: timeouts that F-RTO found needless. dsacks_received. recoveries: fast
    recoveries begun. reorderings: times that reordering was seen. congestion_echoes: windows reduced because of ECN.
    """

    retransmissions: int = 0
    fast_retransmits: int = 0
    timeouts: int = 0
    tail_loss_probes: int = 0
    probes_repaired: int = 0
    undone: int = 0
    spurious_timeouts: int = 0
    dsacks_received: int = 0
    recoveries: int = 0
    reorderings: int = 0
    congestion_echoes: int = 0

    @property
    def spurious(self) -> int:
        """Window reductions that turned out to be undeserved."""
        return self.undone + self.spurious_timeouts


def _nothing_unsent() -> bool:
    return False


class RecoveryCore:
    """One connection's recovery state with the moves between Linux's five states.

    Source: Linux tcp_input.c (tcp_enter_recovery, tcp_enter_loss, tcp_enter_cwr, tcp_undo_cwnd_reduction).
    """

    __slots__ = (
        "_armed_ns",
        "_backoff",
        "_board",
        "_congestion",
        "_facts",
        "_frto",
        "_granularity_ns",
        "_last_sent_ns",
        "_limited_until",
        "_may_probe",
        "_plain",
        "_probe",
        "_probing",
        "_prr",
        "_rack",
        "_reno_sacked",
        "_reorder_deadline_ns",
        "_reordering",
        "_retransmits",
        "_rounded_ns",
        "_rto_deadline_ns",
        "_rto_min_ns",
        "_rtt",
        "_sack",
        "_settings",
        "_undo",
        "_used",
        "_used_since_ns",
        "_wait_kind",
        "_watching",
        "counters",
        "cwr_pending",
        "deadline_ns",
        "mss",
        "state",
        "unsent",
        "user_timeout_ns",
    )

    def __init__(
        self,
        *,
        iss: int,
        mss: int,
        congestion: CongestionControl,
        settings: TcpSettings,
        sack: bool,
        timestamps: bool,
        rtt: RttEstimator,
    ) -> None:
        self._board = Scoreboard(iss + 1)
        self._congestion = congestion
        self._settings = settings
        self._sack = sack
        self._rtt = rtt
        self._rto_min_ns = settings.rto_min_ns
        self._granularity_ns = settings.clock_granularity_ns
        self._facts = AckFacts()
        self._prr = ProportionalRateReduction()
        self._rack = Rack()
        self._probe = TailLossProbe()
        self._frto = ForwardRto()
        self._undo = Undo()
        self._reordering = settings.reordering
        self._reno_sacked = 0
        self._retransmits = self._backoff = 0
        self._probing = self._watching = False
        self._plain = True
        self._may_probe = sack and settings.tail_loss_probe
        self._limited_until = 0
        self._used = 0
        self._used_since_ns = 0
        self._last_sent_ns = -1
        self._armed_ns = 0
        self._rto_deadline_ns = self._reorder_deadline_ns = NEVER
        self._rounded_ns = -1
        self._wait_kind = 0
        self.mss = mss
        self.deadline_ns = NEVER
        self.state = OPEN
        self.counters = RecoveryCounters()
        self.cwr_pending = False
        self.unsent: Callable[[], bool] = _nothing_unsent
        self.user_timeout_ns = 0

    # -- what it looks like

    @property
    def in_flight(self) -> int:
        """Bytes believed to be in the network (RFC 6675, "pipe")."""
        return max(self._board.in_flight - self._reno_sacked * self.mss, 0)

    @property
    def cwnd(self) -> int:
        """The congestion window in bytes."""
        return self._congestion.cwnd

    @property
    def ssthresh(self) -> int:
        """The slow start threshold in bytes."""
        return self._congestion.ssthresh

    @property
    def lost(self) -> int:
        """How many segments were believed to be lost so far."""
        return self._board.losses

    @property
    def outstanding(self) -> bool:
        """Something is unacknowledged."""
        return self._board.head < len(self._board.queue)

    @property
    def oldest_sent_ns(self) -> int:
        """When the oldest segment that is not acknowledged was last sent; -1 when everything is acknowledged."""
        board = self._board
        return board.queue[board.head].sent_ns if board.head < len(board.queue) else -1

    @property
    def state_name(self) -> str:
        """Linux's name of the state: Open, Disorder, CWR, Recovery or Loss."""
        return STATE_NAMES[self.state]

    @property
    def rto_ns(self) -> int:
        """The retransmission timeout, with its backoff, in whole ticks of the kernel's clock."""
        base = -(-self._rtt.rto_ns // self._granularity_ns) * self._granularity_ns
        return min(base << self._backoff, self._settings.rto_max_ns)

    # -- the moves

    def _set_state(self, state: int) -> None:
        self.state = state
        self._settle()

    def _settle(self) -> None:
        """Works out which short cuts are allowed in the present state."""
        state = self.state
        board = self._board
        self._watching = self._prr.active or self._probing
        self._may_probe = self._sack and self._settings.tail_loss_probe and state in (OPEN, CWR) and self._probe.end < 0
        self._plain = not (state or board.marked or self._reno_sacked or self._watching or self._probe.end >= 0)

    def _begin_reduction(self, in_flight: int, now_ns: int) -> None:
        """The window goes down to a new threshold, in proportion to what arrives (RFC 6937)."""
        congestion = self._congestion
        self._board.recovery_end = self._board.nxt
        self._probe.end = -1
        self._undo.prior_cwnd = congestion.cwnd
        congestion.ssthresh = congestion.reduce(now_ns)
        self._prr.begin(in_flight)
        self.cwr_pending = True
        if not self._settings.prr:
            congestion.cwnd = congestion.ssthresh

    def _end_reduction(self) -> None:
        """The window is what the reduction was for."""
        if self._prr.active:
            self._prr.active = False
            if self.state == CWR or self._undo.marker >= 0:
                self._congestion.cwnd = self._congestion.ssthresh

    def _enter_recovery(self, in_flight: int, congestion_echoed: bool, now_ns: int) -> None:
        """Fast recovery begins: something is believed to be lost."""
        undo = self._undo
        undo.begin(self._board.una)
        if not self._prr.active:
            undo.prior_ssthresh = 0 if congestion_echoed else self._current_ssthresh()
            self._begin_reduction(in_flight, now_ns)
        else:
            undo.prior_ssthresh = 0
        self.counters.recoveries += 1
        self._set_state(RECOVERY)

    def _enter_cwr(self, in_flight: int, now_ns: int) -> None:
        """The peer reports congestion (RFC 3168): reduce once for what is in flight now."""
        if self.state < CWR:
            self._undo.marker = -1
            self._undo.prior_ssthresh = 0
            self.counters.congestion_echoes += 1
            self._begin_reduction(in_flight, now_ns)
            self._set_state(CWR)

    def _enter_loss(self, now_ns: int) -> None:
        """The retransmission timer went off: everything that was not sent just now is lost."""
        board, congestion, undo = self._board, self._congestion, self._undo
        fresh = self.state < RECOVERY
        self._mark_timed_out(now_ns)
        if self.state <= DISORDER or board.una >= board.recovery_end or (self.state == LOSS and not self._retransmits):
            undo.prior_ssthresh = self._current_ssthresh()
            undo.prior_cwnd = congestion.cwnd
            congestion.ssthresh = congestion.reduce(now_ns)
            congestion.timed_out()
            undo.begin(board.una)
        if self.state <= DISORDER and board.sacked_segments >= self._reordering:
            self._reordering = min(self._reordering, self._settings.reordering)
        self._reno_sacked = 0
        self._prr.active = False
        congestion.cwnd = board.in_flight + self.mss
        board.recovery_end = board.nxt
        self._probe.end = -1
        self.cwr_pending = True
        self._frto.begin(self._settings.frto and self._sack and (fresh or self._retransmits > 0))
        self._set_state(LOSS)

    def _mark_timed_out(self, now_ns: int) -> None:
        """Marks what a timeout loses: the first segment, and what RACK would not wait for any more (RFC 8985, 6.3)."""
        board = self._board
        segments = board.unacknowledged()
        if segments[0].sacked:
            board.distrust_sacks()
        patience_ns = -1
        if self._settings.rack and self._sack and board.newest_ns >= 0:
            window_ns = self._rack.window_ns(board, self._rtt, self.state >= RECOVERY, self._reordering)
            patience_ns = board.newest_rtt_ns + window_ns
        for segment in segments:
            if segment.sacked or (segment is not segments[0] and segment.sent_ns + patience_ns > now_ns):
                continue
            board.mark_lost(segment)

    def _current_ssthresh(self) -> int:
        """The threshold worth restoring: in the open states three quarters of the window count too."""
        congestion = self._congestion
        if self._prr.active:
            return congestion.ssthresh
        return max(congestion.ssthresh, congestion.cwnd * 3 // 4)

    def _undo_reduction(self, forgive: bool) -> None:
        """The reduction was not deserved: window and threshold come back."""
        undo, congestion = self._undo, self._congestion
        if forgive:
            self._board.forgive()
        if undo.prior_ssthresh:
            congestion.undo(undo.prior_cwnd)
            if undo.prior_ssthresh > congestion.ssthresh:
                congestion.ssthresh = undo.prior_ssthresh
                self.cwr_pending = False
        undo.marker = -1
        self._prr.active = False
        self._rack.start_over(self._board)

    # -- timers

    def _arm(self, now_ns: int) -> None:
        """Sets the one deadline from what runs: reordering timer, loss probe, retransmission timeout."""
        board = self._board
        self._armed_ns = now_ns
        count = len(board.queue) - board.head
        if not count:
            self.deadline_ns = self._rto_deadline_ns = self._reorder_deadline_ns = NEVER
            return
        deadline_ns = min(self._rto_deadline_ns, self._reorder_deadline_ns)
        if self._may_probe:
            deadline_ns = min(deadline_ns, now_ns + self._probe_timeout_ns(count))
        self.deadline_ns = deadline_ns

    def _probe_timeout_ns(self, count: int) -> int:
        """How long after the last transmission a loss probe goes out (RFC 8985, 7.2); 200 ms cover a delayed ACK."""
        rtt = self._rtt
        if not rtt.known:
            return self._settings.rto_initial_ns
        return 2 * rtt.srtt_ns + (self._rto_min_ns if count == 1 else 2 * self._granularity_ns)
