"""Loss recovery's share of a TCP segment: noting it, taking its acknowledgment, with and without losses."""

from __future__ import annotations

import time

from emu.stack.tcp import congestion
from emu.stack.tcp.recovery import LossRecovery
from emu.stack.tcp.rtt import RttEstimator
from emu.stack.tcp.settings import TcpSettings

MSS = 1448
WINDOW = 64
PAYLOAD = bytes(MSS)
MASK = 0xFFFFFFFF
US = 1_000


def new_recovery(window: int) -> LossRecovery:
    """Return the recovery of a CUBIC connection with a window of so many segments, past slow start."""
    rtt = RttEstimator()
    rtt.sample(100 * US)
    rtt.shortest(100 * US, 0)
    control = congestion.make("cubic", MSS, window)
    control.ssthresh = window * MSS // 2
    return LossRecovery(iss=0, mss=MSS, congestion=control, settings=TcpSettings(), sack=True, timestamps=True, rtt=rtt)


def plain(times: int, acknowledgments: bool) -> float:
    """Send and acknowledge windows of segments; return the seconds for `times` segments sent, or ACKs of two."""
    recovery = new_recovery(WINDOW)
    sequence = una = 1
    now = 0
    spent = [0.0, 0.0]
    while times > 0:
        start = time.perf_counter()
        for _ in range(WINDOW):
            recovery.sent(sequence, PAYLOAD, False, now)
            sequence = (sequence + MSS) & MASK
        middle = time.perf_counter()
        for _ in range(WINDOW // 2):
            una = (una + 2 * MSS) & MASK
            now += 20 * US
            recovery.ack(una, (), None, False, False, now)
        spent[0] += middle - start
        spent[1] += time.perf_counter() - middle
        times -= WINDOW // 2 if acknowledgments else WINDOW
    return spent[acknowledgments]


def noted_as_sent(times: int) -> float:
    """Note so many segments as sent."""
    return plain(times, acknowledgments=False)


def plain_ack(times: int) -> float:
    """Take so many ACKs of two segments each."""
    return plain(times, acknowledgments=True)


def ack_with_blocks(times: int) -> float:
    """Take so many ACKs with SACK blocks: one segment in a hundred of a large window is lost."""
    recovery = new_recovery(times)
    for index in range(times):
        recovery.sent(1 + index * MSS, PAYLOAD, False, index * US)
    blocks: list[tuple[int, int]] = []
    start = time.perf_counter()
    for index in range(1, times):
        left, right = 1 + index * MSS, 1 + (index + 1) * MSS
        if index % 100 == 0:
            continue
        if blocks and blocks[0][1] == left:
            blocks[0] = (blocks[0][0], right)
        else:
            blocks.insert(0, (left, right))
        now = 100 * US + index * US
        recovery.ack(1, tuple(blocks[:3]), None, False, True, now)
        while (segment := recovery.next_retransmission(now)) is not None:
            recovery.retransmitted(segment, now)
    return time.perf_counter() - start
