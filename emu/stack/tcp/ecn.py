"""Explicit congestion notification on one connection: what to say in ECE and CWR (RFC 3168, section 6.1)."""

from __future__ import annotations

ECT0 = 0x02
CE = 0x03


class EcnState:
    """What one end of a connection that agreed on ECN remembers.

    echo: a congestion-experienced mark has come and the peer has not said yet that it reduced: every ACK carries ECE.
    The sender's side is `LossRecovery.cwr_pending`: a reduction was made, the next segment with new data carries CWR.
    Retransmissions, pure ACKs and window probes are not marked as ECN-capable (section 6.1.4 to 6.1.6).
    """

    __slots__ = ("echo",)

    def __init__(self) -> None:
        self.echo = False

    def data_arrived(self, codepoint: int, cwr: bool) -> bool:
        """Takes a segment with data: its IP header's ECN codepoint (0 to 3) and its CWR flag.

        Says whether it is to be acknowledged at once: Linux does at the first mark, so that the sender hears of it.
        """
        if cwr:
            self.echo = False
        if codepoint == CE and not self.echo:
            self.echo = True
            return True
        return False
