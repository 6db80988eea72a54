"""The states of a connection and the one table of how they follow each other (RFC 9293, section 3.3.2)."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """A state, under the name that `ss` shows.

    ended: nothing is exchanged any more. may_send: the program has not yet said that it is done. may_receive: data
    can still arrive. (Attributes, because a set of states would be asked for every segment.)
    """

    ended: bool
    may_send: bool
    may_receive: bool

    CLOSED = "UNCONN"
    LISTEN = "LISTEN"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECV"
    ESTABLISHED = "ESTAB"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"


class Happening(Enum):
    """What moves a connection from one state to another."""

    ACTIVE_OPEN = "the program connects"
    SYN_ARRIVED = "a SYN arrived"
    SYN_ACKNOWLEDGED = "our SYN was acknowledged and theirs has arrived"
    CLOSED_BY_PROGRAM = "the program has no more to send"
    FIN_ARRIVED = "a FIN arrived"
    FIN_ACKNOWLEDGED = "our FIN was acknowledged"
    TIME_IS_UP = "it lingered in TIME-WAIT, or in FIN-WAIT-2 without a program, for a minute"


TRANSITIONS: dict[tuple[State, Happening], State] = {
    (State.CLOSED, Happening.ACTIVE_OPEN): State.SYN_SENT,
    (State.CLOSED, Happening.SYN_ARRIVED): State.SYN_RECEIVED,
    (State.SYN_SENT, Happening.SYN_ARRIVED): State.SYN_RECEIVED,
    (State.SYN_SENT, Happening.SYN_ACKNOWLEDGED): State.ESTABLISHED,
    (State.SYN_RECEIVED, Happening.SYN_ACKNOWLEDGED): State.ESTABLISHED,
    (State.ESTABLISHED, Happening.CLOSED_BY_PROGRAM): State.FIN_WAIT_1,
    (State.ESTABLISHED, Happening.FIN_ARRIVED): State.CLOSE_WAIT,
    (State.FIN_WAIT_1, Happening.FIN_ACKNOWLEDGED): State.FIN_WAIT_2,
    (State.FIN_WAIT_1, Happening.FIN_ARRIVED): State.CLOSING,
    (State.FIN_WAIT_2, Happening.FIN_ARRIVED): State.TIME_WAIT,
    (State.FIN_WAIT_2, Happening.TIME_IS_UP): State.CLOSED,
    (State.CLOSING, Happening.FIN_ACKNOWLEDGED): State.TIME_WAIT,
    (State.CLOSE_WAIT, Happening.CLOSED_BY_PROGRAM): State.LAST_ACK,
    (State.LAST_ACK, Happening.FIN_ACKNOWLEDGED): State.CLOSED,
    (State.TIME_WAIT, Happening.TIME_IS_UP): State.CLOSED,
}
"""Every state can also be left for CLOSED by a reset, an error or the program's abort. A close or FIN before the SYN is
acknowledged waits for that, so there is no way from SYN-RECEIVED past ESTABLISHED."""

for _state in State:
    _state.ended = _state in (State.CLOSED, State.TIME_WAIT)
    _state.may_send = _state in (State.SYN_SENT, State.SYN_RECEIVED, State.ESTABLISHED, State.CLOSE_WAIT)
    _state.may_receive = _state in (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)
