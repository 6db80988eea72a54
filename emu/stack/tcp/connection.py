"""One connection as a machine without I/O: segments, calls of the program and the time go in, segments come out.

What it sends goes to `send_raw`; when it wants to be called is in `deadline_ns`. Who calls it looks at `state`, `error`
and `receiver.unread` afterwards. (RFC 9293; Linux's behaviour where they differ.)
"""

from __future__ import annotations

import errno

from emu.stack.tcp import arrival, expiry, opening, time_wait
from emu.stack.tcp.challenge_ack import ChallengeAcks
from emu.stack.tcp.congestion import make as make_congestion_control
from emu.stack.tcp.emission import Emission
from emu.stack.tcp.handshake import Handshake
from emu.stack.tcp.keepalive import Keepalive
from emu.stack.tcp.offload import OffloadingSender
from emu.stack.tcp.receive import Receiver
from emu.stack.tcp.receive_window import ReceiveWindow
from emu.stack.tcp.recovery import LossRecovery
from emu.stack.tcp.rtt import RttEstimator
from emu.stack.tcp.segment import Emit, Segment
from emu.stack.tcp.send import Sender
from emu.stack.tcp.seq import MASK
from emu.stack.tcp.settings import TcpSettings
from emu.stack.tcp.state import TRANSITIONS, Happening, State
from emu.stack.tcp.timers import NEVER, expiry_ns
from emu.wire.tcp_options import TIMESTAMPS_LENGTH

HEADERS_LENGTH = 40
PACKET_MAX = 65535
"""`lo` has an MTU of 65536, which no IPv4 packet can have."""
SEND_BUFFER = 87040
"""What the send buffer holds at least, in bytes of data."""


class Connection(Emission):
    """A TCP connection, from the first SYN to the end of TIME-WAIT.

    settings: its tunables. iss, timestamp_offset: where its numbers begin. mtu: of the path, in bytes.
    maximum_segment: the largest MSS to announce and to send, None for what the path carries (TCP_MAXSEG).
    congestion: "cubic" or "reno". send_raw: takes what it sends (see `segment.Emit`). offload: several segments may go
    to it as one, for the hardware to cut.

    state, error: where it stands, and the errno that ended it (0: none). soft_error: what ICMP said meanwhile.
    orphaned: the program has closed it. read_shut: it reads no more; as in Linux, what arrives is taken all the same
    until it has nothing to send either. sender, receiver, rtt: its parts.
    """

    __slots__ = (
        "advertised_mss",
        "congestion_name",
        "error",
        "handshake",
        "iss",
        "keepalive",
        "linger_deadline_ns",
        "maximum_segment",
        "mtu",
        "orphaned",
        "paws_rejected",
        "peer_mss",
        "progress_ns",
        "read_shut",
        "rtt",
        "segments_received",
        "send_buffer",
        "settings",
        "soft_error",
        "state",
        "timeouts",
        "timeouts_after_ns",
        "ts_recent_ns",
        "user_timeout_ns",
        "was_established",
    )

    def __init__(
        self,
        settings: TcpSettings,
        *,
        iss: int,
        timestamp_offset: int,
        mtu: int,
        send_raw: Emit,
        congestion: str = "cubic",
        maximum_segment: int | None = None,
        offload: bool = False,
    ) -> None:
        self.settings = settings
        self.state = State.CLOSED
        self.iss = iss
        self.mtu = mtu
        self.send_raw = send_raw
        self.congestion_name = congestion
        self.advertised_mss = min(mtu, PACKET_MAX) - HEADERS_LENGTH
        self.maximum_segment = PACKET_MAX if maximum_segment is None else maximum_segment
        self.advertised_mss = min(self.advertised_mss, self.maximum_segment)
        self.peer_mss = 536
        self.timestamp_offset = timestamp_offset
        self.timestamps_on = settings.timestamps
        self.ts_recent = 0
        self.ts_recent_ns = 0
        self.ecn_active = False
        self.echoes_congestion = False
        self.error = 0
        self.soft_error = 0
        self.orphaned = False
        self.read_shut = False
        self.was_established = False
        self.send_buffer = 0
        self.user_timeout_ns = 0
        self.progress_ns = -1
        self.linger_deadline_ns = NEVER
        self.timeouts = 0
        self.timeouts_after_ns = -1
        self.paws_rejected = self.segments_received = self.segments_sent = 0
        self.rtt = RttEstimator(settings.rto_min_ns, settings.rto_max_ns, settings.rto_initial_ns)
        self.challenges = ChallengeAcks(settings.invalid_ratelimit_ns)
        self.keepalive = Keepalive(
            settings.keepalive_idle_ns,
            settings.keepalive_interval_ns,
            settings.keepalive_count,
            settings.clock_granularity_ns,
        )
        self.receiver = Receiver(settings, ReceiveWindow(settings.receive_buffer, 0, False, self.advertised_mss, 0))
        self.handshake = Handshake(self)
        self.handshake.offer()
        self.sender = OffloadingSender(self, iss) if offload else Sender(self, iss)

    # -- opening ------------------------------------------------------------------------------------------------------

    def open(self, now_ns: int) -> None:
        """Send a SYN: an active open."""
        self.move(Happening.ACTIVE_OPEN, now_ns)
        self.sender.snd_nxt = (self.iss + 1) & MASK
        self.handshake.send_syn(now_ns)

    def open_passively(self, segment: Segment, now_ns: int) -> None:
        """Answer a SYN that a listening socket got."""
        self.sender.snd_nxt = (self.iss + 1) & MASK
        opening.answer_syn(self, segment, now_ns)

    def start_recovery(self) -> None:
        """Set up loss recovery: the peer's options are known."""
        sender = self.sender
        sender.recovery = LossRecovery(
            iss=self.iss,
            mss=sender.mss,
            congestion=make_congestion_control(self.congestion_name, sender.mss, self.settings.initial_window),
            settings=self.settings,
            sack=self.handshake.sack,
            timestamps=self.timestamps_on,
            rtt=self.rtt,
        )
        sender.recovery.unsent = sender.can_send_new
        sender.recovery.user_timeout_ns = self.user_timeout_ns

    def become_established(self, segment: Segment, now_ns: int) -> None:
        """Both SYNs are acknowledged."""
        self.handshake.finished(segment, now_ns)
        self.sender.snd_una = (self.iss + 1) & MASK
        self.was_established = True
        self.move(Happening.SYN_ACKNOWLEDGED, now_ns)
        sender = self.sender
        sender.snd_wl1 = segment.sequence
        self.heard(now_ns)
        if self.keepalive.enabled:
            self.keepalive.start(now_ns)
        if sender.fin_wanted:
            self.move(Happening.CLOSED_BY_PROGRAM, now_ns)

    def choose_path_mss(self) -> None:
        """Work out the payload of a full segment from the path's MTU, the peer's MSS and our options."""
        size = min(min(self.mtu, PACKET_MAX) - HEADERS_LENGTH, self.peer_mss)
        self.sender.path_mss = max(size - (TIMESTAMPS_LENGTH if self.timestamps_on else 0), 36)

    # -- arriving -----------------------------------------------------------------------------------------------------

    def segment_arrived(self, segment: Segment, now_ns: int) -> bool:
        """Take in a segment; True when it must be answered by a reset as if there were no connection."""
        self.segments_received += 1
        state = self.state
        if state is State.SYN_SENT:
            return opening.arrive_in_syn_sent(self, segment, now_ns)
        if state is State.TIME_WAIT:
            return time_wait.arrive(self, segment, now_ns)
        return arrival.arrive(self, segment, now_ns)

    def resume(self, now_ns: int) -> None:
        """Go on sending: the device below takes segments again."""
        if not self.state.ended:
            self.sender.output(now_ns)

    def heard(self, now_ns: int) -> None:
        """Note that the peer is alive."""
        self.keepalive.last_heard_ns = now_ns
        self.soft_error = 0
        self.sender.persist.unanswered = 0

    def acknowledge_if_due(self, now_ns: int) -> None:
        """Acknowledge now or set the timer, if anything is owed."""
        receiver = self.receiver
        if receiver.acks.scheduled and receiver.must_acknowledge(now_ns, self.rtt.srtt_ns):
            self.send_ack(now_ns)

    def was_reset(self) -> None:
        """The peer sent a RST."""
        errors = {State.SYN_SENT: errno.ECONNREFUSED, State.CLOSE_WAIT: errno.EPIPE}
        self.end(errors.get(self.state, errno.ECONNRESET))

    def icmp_error(self, number: int, hard: bool) -> None:
        """An ICMP error arrived: it ends an attempt to connect, later it is only remembered (RFC 5461)."""
        if self.state in (State.SYN_SENT, State.SYN_RECEIVED) and hard:
            self.end(number)
        else:
            self.soft_error = number

    def path_mtu_changed(self, mtu: int, now_ns: int) -> None:
        """The path carries at most `mtu` bytes: what was too long is sent again in smaller pieces (RFC 1191)."""
        self.mtu = mtu
        if self.state is State.SYN_SENT or self.state.ended:
            return
        sender = self.sender
        before = sender.mss
        self.choose_path_mss()
        sender.choose_mss()
        if sender.mss != before and self.state is not State.SYN_RECEIVED:
            sender.recovery.mss_changed(sender.mss, now_ns)
            if sender.mss < before:
                sender.output(now_ns)

    # -- the program --------------------------------------------------------------------------------------------------

    def send_room(self, wanted: int) -> int:
        """Return how many of `wanted` bytes the send buffer takes now; 0 until a third of it is free, as in Linux.

        The buffer grows with the congestion window (twice its size), unless it was fixed.
        """
        sender = self.sender
        if not self.was_established:
            return 0
        limit = self.send_buffer or min(self.settings.send_buffer_max, max(2 * sender.recovery.cwnd, SEND_BUFFER))
        room = limit - sender.buffer.unsent - ((sender.snd_nxt - sender.snd_una) & MASK)
        if wanted <= room:
            return wanted
        return room if 3 * room >= limit else 0

    def write(self, data: bytes, now_ns: int, push: bool = True) -> None:
        """Append data to what is to be sent, and send what may be sent."""
        sender = self.sender
        sender.buffer.write(data, sender.max_window >> 1 or 1 << 30, sender.mss, push)
        if self.was_established and self.state.may_send:
            sender.output(now_ns)

    def read(self, size: int, now_ns: int) -> bytes:
        """Take up to `size` bytes that have arrived; may acknowledge or open the window."""
        data = self.receiver.read(size, now_ns)
        if not self.state.ended and self.receiver.must_acknowledge_after_read(len(data)):
            self.send_ack(now_ns)
        return data

    def shutdown_write(self, now_ns: int) -> None:
        """The program has no more to send: a FIN follows the data."""
        if self.state is State.SYN_SENT:
            self.end(0 if self.orphaned else errno.ECONNRESET)
        elif self.state is State.SYN_RECEIVED:
            self.sender.fin_wanted = True  # it goes out as soon as the connection is open
        elif self.state.may_send:
            self.move(Happening.CLOSED_BY_PROGRAM, now_ns)
            self.sender.fin_wanted = True
            self.sender.output(now_ns)

    def close(self, now_ns: int) -> None:
        """The program closes the socket: orderly, but with a RST when data was not read (RFC 2525, section 2.17)."""
        self.orphaned = True
        if self.receiver.unread and not self.state.ended:
            self.abort(now_ns)
            return
        self.shutdown_write(now_ns)
        if self.state is State.FIN_WAIT_2:
            self._wait_orphaned(now_ns)

    def abort(self, now_ns: int, error: int = 0) -> None:
        """End at once, with a RST if the peer knows of the connection."""
        if self.state not in (State.CLOSED, State.SYN_SENT, State.TIME_WAIT):
            self.send_reset(now_ns)
        self.end(error)

    def end(self, error: int = 0) -> None:
        """Be gone."""
        self.state = State.CLOSED
        if error:
            self.error = error
        self.linger_deadline_ns = NEVER
        self.handshake.deadline_ns = NEVER
        self.keepalive.stop()
        self.sender.persist.stop()
        self.sender.buffer.clear()
        self.receiver.acks.acknowledged()

    # -- states -------------------------------------------------------------------------------------------------------

    def move(self, happening: Happening, now_ns: int) -> None:
        """Go to the next state by the table."""
        self.state = state = TRANSITIONS[self.state, happening]
        if state is State.TIME_WAIT:
            self.wait_again(now_ns)
            self.keepalive.stop()
        elif state is State.FIN_WAIT_2 and self.orphaned:
            self._wait_orphaned(now_ns)
        elif state is State.CLOSED:
            self.end()

    def wait_again(self, now_ns: int) -> None:
        """Begin the minute of TIME-WAIT."""
        settings = self.settings
        self.linger_deadline_ns = expiry_ns(now_ns, settings.time_wait_ns, settings.clock_granularity_ns)

    def _wait_orphaned(self, now_ns: int) -> None:
        settings = self.settings
        self.linger_deadline_ns = expiry_ns(now_ns, settings.fin_timeout_ns, settings.clock_granularity_ns)

    # -- time ---------------------------------------------------------------------------------------------------------

    @property
    def deadline_ns(self) -> int:
        """When `timer` must be called next for work that ends by itself; NEVER without any."""
        deadline_ns = self.handshake.deadline_ns
        sender, acks = self.sender, self.receiver.acks
        if self.was_established and not self.state.ended:
            if sender.recovery.deadline_ns < deadline_ns:
                deadline_ns = sender.recovery.deadline_ns
            persist = sender.persist
            if persist.deadline_ns < deadline_ns and (persist.unanswered or not persist.probing):
                deadline_ns = persist.deadline_ns
            if acks.scheduled and acks.deadline_ns < deadline_ns:
                deadline_ns = acks.deadline_ns
        return deadline_ns

    @property
    def background_deadline_ns(self) -> int:
        """When `timer` must be called for what may go on forever: keepalive, a closed window, TIME-WAIT."""
        deadline_ns = self.linger_deadline_ns
        if self.keepalive.deadline_ns < deadline_ns:
            deadline_ns = self.keepalive.deadline_ns
        persist_ns = self.sender.persist.deadline_ns
        return persist_ns if persist_ns < deadline_ns else deadline_ns

    def timer(self, now_ns: int) -> None:
        """Do what is due."""
        expiry.expire(self, now_ns)

    def __repr__(self) -> str:
        return f"<Connection {self.state.value} una {self.sender.snd_una} nxt {self.receiver.rcv_nxt}>"
