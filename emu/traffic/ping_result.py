"""What a ping found out: counts, exact times, and what the program printed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PingResult:
    """What a ping found out.

    target: the address that was pinged.
    rtts_ns: one exact round trip time in ns per answer, duplicates included, in order of arrival.
    errors: ICMP errors and requests that could not be sent.
    loss: share of requests without an answer, 0.0 to 1.0.
    text: what the program printed.
    """

    target: str
    transmitted: int
    received: int
    duplicates: int
    errors: int
    rtts_ns: tuple[int, ...]
    text: str

    @property
    def loss(self) -> float:
        """Return the share of requests without an answer, 0.0 to 1.0."""
        return (self.transmitted - self.received) / self.transmitted if self.transmitted else 0.0

    @property
    def ok(self) -> bool:
        """Whether at least one answer came, ping's exit status 0."""
        return self.received > 0

    @property
    def outcome(self) -> str:
        """One line for result tables."""
        return f"{self.received}/{self.transmitted} received" + (f", {self.errors} errors" if self.errors else "")

    def __str__(self) -> str:
        return self.text
