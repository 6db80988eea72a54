"""F-RTO: was the timeout spurious? (RFC 5682, the version with SACK, section 3.1)"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from emu.stack.tcp.scoreboard import AckFacts


class Verdict(Enum):
    """What an ACK after a timeout says."""

    UNDECIDED = "undecided"
    SEND_NEW = "send new data instead of retransmitting"
    SPURIOUS = "the timeout was not needed"
    LOSS = "the loss is real"


class ForwardRto:
    """The few ACKs after a timeout that decide.

    active: the question is open. sending_new: new data goes out and retransmissions wait until the next ACK.
    """

    __slots__ = ("active", "sending_new")

    def __init__(self) -> None:
        self.active = self.sending_new = False

    def begin(self, allowed: bool) -> None:
        """A timeout happened; `allowed`: it is the first since the last recovery or a repeated one of the same data."""
        self.active = allowed
        self.sending_new = False

    def acked(
        self, facts: AckFacts, is_duplicate: bool, new_was_sent: bool, recovered: bool, unsent: Callable[[], bool]
    ) -> Verdict:
        """Judges one ACK.

        new_was_sent: data that was new at the timeout has left since. recovered: everything sent before the timeout
        is acknowledged. unsent: says whether there is new data that the peer's window allows.
        """
        self.sending_new = False
        if not self.active:
            return Verdict.UNDECIDED
        if facts.original_arrived:
            return Verdict.SPURIOUS
        if new_was_sent:
            if facts.sacked or is_duplicate:
                self.active = False
                return Verdict.LOSS
        elif facts.advanced and not recovered:
            if unsent():
                self.sending_new = True
                return Verdict.SEND_NEW
            self.active = False
        return Verdict.UNDECIDED
