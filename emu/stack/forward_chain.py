"""The FORWARD chain of a namespace as data: ordered rules over devices and prefixes, and a policy.

It is what isolation between bridges, `icc=false` and internal networks need. Limits: no connection tracking, no ports,
no NAT. What is for the namespace itself passes the INPUT chain instead (`input_chain`).
"""

from __future__ import annotations

from dataclasses import dataclass

from emu.stack.rule_chain import (
    ACCEPT,
    Prefix,
    RuleChain,
    check_prefixes,
    check_verdict,
    device_matches,
    ending_words,
    option_words,
)


@dataclass(frozen=True, slots=True)
class ForwardRule:
    """One rule; what is None matches everything.

    in_device, out_device: device names; a leading "!" negates ("!docker0"), a trailing "+" matches any ending.
    source, destination: "10.0.0.0/8", negated by a leading "!".
    verdict: "ACCEPT" or "DROP". comment: why the rule is there.
    """

    verdict: str
    in_device: str | None = None
    out_device: str | None = None
    source: str | None = None
    destination: str | None = None
    comment: str = ""

    def __post_init__(self) -> None:
        check_verdict(self.verdict, "verdict")
        check_prefixes(self.source, self.destination)

    def text(self) -> str:
        """Return the rule as `iptables-save` prints it."""
        options = (
            ("-s", self.source),
            ("-d", self.destination),
            ("-i", self.in_device),
            ("-o", self.out_device),
        )
        return " ".join(["-A FORWARD", *option_words(options), *ending_words(self.comment, self.verdict)])


class Filter(RuleChain[ForwardRule, "_Compiled"]):
    """The FORWARD chain."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("FORWARD", _Compiled)

    def forward(self, in_device: str, out_device: str, packet: bytes) -> bool:
        """Return whether an IPv4 packet may be forwarded from one device to another, and count it."""
        for index, compiled in enumerate(self._compiled):
            if compiled.matches(in_device, out_device, packet):
                self.counters[index] += 1
                return compiled.accepts
        self.policy_counter += 1
        return self._policy == ACCEPT

    def device_verdict(self, in_device: str, out_device: str) -> bool | None:
        """Return the verdict if it is the same for every packet between two devices, else None."""
        for compiled in self._compiled:
            if compiled.matches_devices(in_device, out_device):
                if compiled.source is not None or compiled.destination is not None:
                    return None
                return compiled.accepts
        return self._policy == ACCEPT


class _Compiled:
    """A rule in the form that packets are compared with."""

    __slots__ = ("accepts", "destination", "in_device", "out_device", "source")

    def __init__(self, rule: ForwardRule) -> None:
        self.accepts = rule.verdict == ACCEPT
        self.in_device = rule.in_device
        self.out_device = rule.out_device
        self.source = None if rule.source is None else Prefix(rule.source)
        self.destination = None if rule.destination is None else Prefix(rule.destination)

    def matches_devices(self, in_device: str, out_device: str) -> bool:
        return device_matches(self.in_device, in_device) and device_matches(self.out_device, out_device)

    def matches(self, in_device: str, out_device: str, packet: bytes) -> bool:
        return (
            self.matches_devices(in_device, out_device)
            and (self.source is None or self.source.matches(packet[12:16]))
            and (self.destination is None or self.destination.matches(packet[16:20]))
        )
