"""When to acknowledge: at once, with the next data, or after a while (RFC 9293 3.8.6.3, RFC 5681 4.2, as Linux does).

A connection begins in quick-ack mode, in which every segment is acknowledged at once, because the peer is in slow
start. Once the program answers what it reads, the connection is interactive ("pingpong") and acknowledgments wait for
the answer, 40 ms at least and 200 ms at most, adapted to the gaps between segments.

Source: Linux tcp_event_data_recv(), tcp_measure_rcv_mss(), tcp_send_delayed_ack(), tcp_delack_timer_handler().
Limits: duplicate acknowledgments are never compressed (Linux holds them back for 5 % of the round trip after three).
"""

from __future__ import annotations

from emu.stack.tcp.timers import NEVER, expiry_ns

QUICK_ACKS_MAX = 16


class AckPolicy:
    """What the receiver owes the peer.

    scheduled: something is to be acknowledged. now: at once. pushed: how many segments that end a message came
    since the last acknowledgment (0, 1, 2 or more). quick: acknowledgments left to be sent at once. interactive:
    Linux's pingpong mode. timeout_ns: how long an acknowledgment waits (Linux's ato). deadline_ns: when it is due.
    """

    __slots__ = (
        "_granularity_ns",
        "_last_ns",
        "_max_ns",
        "_min_ns",
        "_set_ns",
        "deadline_ns",
        "interactive",
        "now",
        "pushed",
        "quick",
        "scheduled",
        "timeout_ns",
    )

    def __init__(self, min_ns: int, max_ns: int, granularity_ns: int) -> None:
        self._granularity_ns = granularity_ns
        self._set_ns = -1
        self._min_ns = min_ns
        self._max_ns = max_ns
        self._last_ns = 0
        self.deadline_ns = NEVER
        self.interactive = False
        self.now = False
        self.pushed = 0
        self.quick = 0
        self.scheduled = False
        self.timeout_ns = 0

    def data_arrived(self, now_ns: int, window: int, segment_size: int, rto_ns: int) -> None:
        """Adapt to the rhythm in which data arrives."""
        self.scheduled = True
        timeout_ns = self.timeout_ns
        gap_ns = now_ns - self._last_ns
        self._last_ns = now_ns
        half_ns = self._min_ns >> 1
        if not timeout_ns:
            self.become_quick(window, segment_size)
            self.timeout_ns = self._min_ns
        elif gap_ns <= half_ns:
            self.timeout_ns = (timeout_ns >> 1) + half_ns
        elif gap_ns < timeout_ns:
            self.timeout_ns = min((timeout_ns >> 1) + gap_ns, rto_ns)
        elif gap_ns > rto_ns:
            self.become_quick(window, segment_size)

    def become_quick(self, window: int, segment_size: int) -> None:
        """Acknowledge the next segments at once: as many as half the window holds, at most 16."""
        count = min(window // (2 * segment_size) or 2, QUICK_ACKS_MAX)
        if count > self.quick:
            self.quick = count

    def something_is_wrong(self, window: int, segment_size: int) -> None:
        """Acknowledge at once because the peer seems to repeat itself (Linux's tcp_enter_quickack_mode)."""
        self.become_quick(window, segment_size)
        self.interactive = False
        self.timeout_ns = self._min_ns
        self.scheduled = True

    def wait_for_data(self, now_ns: int, window: int, segment_size: int) -> None:
        """Let the acknowledgment of a SYN-ACK ride on the first data, because TCP_QUICKACK was switched off before."""
        self.something_is_wrong(window, segment_size)
        self.deadline_ns = now_ns + self._max_ns
        self._set_ns = now_ns

    def delay(self, now_ns: int, srtt_ns: int) -> bool:
        """Let the acknowledgment wait; True when the timer is so close that it is better sent now."""
        wait_ns = self.timeout_ns
        if wait_ns > self._min_ns:
            longest_ns = self._max_ns if self.interactive or self.pushed else 500_000_000
            if srtt_ns:
                longest_ns = min(longest_ns, max(srtt_ns, self._min_ns))
            wait_ns = min(wait_ns, longest_ns)
        wait_ns = min(wait_ns, self._max_ns)
        if self.deadline_ns != NEVER and self.deadline_ns <= now_ns + (wait_ns >> 2):
            return True
        if now_ns + wait_ns < self.deadline_ns:
            self.deadline_ns = now_ns + wait_ns
            self._set_ns = now_ns
        return False

    def is_due(self, now_ns: int) -> bool:
        """Tell, when the deadline has come, whether the kernel's timer is there, too; if not, it is set later."""
        if self._set_ns >= 0:
            rounded_ns = expiry_ns(self._set_ns, self.deadline_ns - self._set_ns, self._granularity_ns)
            self._set_ns = -1
            self.deadline_ns = max(rounded_ns, now_ns)
        return self.deadline_ns <= now_ns

    def waited_in_vain(self, rto_ns: int) -> bool:
        """Draw the consequences of no answer having come in time; True when an acknowledgment is owed."""
        self.deadline_ns = NEVER
        if not self.scheduled:
            return False
        if self.interactive:
            self.interactive = False
            self.timeout_ns = self._min_ns
        else:
            self.timeout_ns = min(self.timeout_ns << 1, rto_ns)
        return True

    def data_sent(self, now_ns: int) -> None:
        """Notice that the program answers: data leaves shortly after data came."""
        if now_ns - self._last_ns < self.timeout_ns:
            self.interactive = True

    def acknowledged(self) -> None:
        """Forget the debt: a segment with the current acknowledgment number leaves."""
        self.scheduled = self.now = False
        self.pushed = 0
        self.deadline_ns = NEVER
        if self.quick:
            self.quick -= 1
            if not self.quick:
                self.timeout_ns = self._min_ns
