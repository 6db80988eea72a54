"""The INPUT chain of a namespace as data: which packets for this host its programs and tunnels get to see.

Source: iptables(8), iptables-extensions(8). Limits: IPv4; no connection tracking, no REJECT; there is no OUTPUT chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emu.kernel.errors import InvalidValue
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
from emu.wire.ipv4 import PROTOCOL_ICMP, PROTOCOL_UDP

PROTOCOLS = {"icmp": PROTOCOL_ICMP, "tcp": 6, "udp": PROTOCOL_UDP}
PROTOCOLS_WITH_PORTS = ("tcp", "udp")


@dataclass(frozen=True, slots=True)
class InputRule:
    """One rule; what is None matches everything.

    verdict: "ACCEPT" or "DROP". in_device: a device name; a leading "!" negates, a trailing "+" matches any ending.
    source, destination: "10.0.0.0/8", negated by a leading "!". protocol: "icmp", "tcp" or "udp".
    source_port, destination_port: 0 to 65535, of tcp and udp only. comment: why the rule is there.
    Raises InvalidValue for anything else.
    """

    verdict: str
    in_device: str | None = None
    source: str | None = None
    destination: str | None = None
    protocol: str | None = None
    source_port: int | None = None
    destination_port: int | None = None
    comment: str = ""

    def __post_init__(self) -> None:
        check_verdict(self.verdict, "verdict")
        check_prefixes(self.source, self.destination)
        if self.protocol is not None and self.protocol not in PROTOCOLS:
            raise InvalidValue(f'protocol "{self.protocol}": expected "icmp", "tcp" or "udp"')
        for port in (self.source_port, self.destination_port):
            if port is None:
                continue
            if type(port) is not int or not 0 <= port <= 65535:
                raise InvalidValue(f"port {port!r}: expected 0 to 65535")
            if self.protocol not in PROTOCOLS_WITH_PORTS:
                raise InvalidValue(f'port {port}: only protocol="udp" and protocol="tcp" have ports')

    def text(self) -> str:
        """Return the rule as `iptables-save` prints it."""
        words = option_words((("-s", self.source), ("-d", self.destination), ("-i", self.in_device)))
        if self.protocol is not None:
            words.append(f"-p {self.protocol}")
        if self.source_port is not None or self.destination_port is not None:
            words.append(f"-m {self.protocol}")
        for option, port in (("--sport", self.source_port), ("--dport", self.destination_port)):
            if port is not None:
                words.append(f"{option} {port}")
        return " ".join(["-A INPUT", *words, *ending_words(self.comment, self.verdict)])


class InputChain(RuleChain[InputRule, "_Compiled"]):
    """The INPUT chain.

    on_change: called after every change, because a chain that can drop rules out the fast path for known flows.
    policy_counter: counts only while there is a rule.
    is_open: no rule, and the policy accepts: nobody has to ask.
    """

    __slots__ = ("is_open",)

    def __init__(self, on_change: Callable[[], None]) -> None:
        super().__init__("INPUT", _Compiled)
        self.is_open = True
        self.on_change(on_change)

    def accepts(self, in_device: str, packet: bytes) -> bool:
        """Return whether a whole IPv4 packet that is for this host may come in, and count it."""
        for index, compiled in enumerate(self._compiled):
            if compiled.matches(in_device, packet):
                self.counters[index] += 1
                return compiled.accepts
        self.policy_counter += 1
        return self._policy == ACCEPT

    def _changed(self) -> None:
        self.is_open = not self._rules and self._policy == ACCEPT
        super()._changed()


class _Compiled:
    """A rule in the form that packets are compared with."""

    __slots__ = ("accepts", "destination", "destination_port", "in_device", "protocol", "source", "source_port")

    def __init__(self, rule: InputRule) -> None:
        self.accepts = rule.verdict == ACCEPT
        self.in_device = rule.in_device
        self.source = None if rule.source is None else Prefix(rule.source)
        self.destination = None if rule.destination is None else Prefix(rule.destination)
        self.protocol = None if rule.protocol is None else PROTOCOLS[rule.protocol]
        self.source_port = _port_bytes(rule.source_port)
        self.destination_port = _port_bytes(rule.destination_port)

    def matches(self, in_device: str, packet: bytes) -> bool:
        ports = (packet[0] & 15) * 4
        return (
            device_matches(self.in_device, in_device)
            and (self.source is None or self.source.matches(packet[12:16]))
            and (self.destination is None or self.destination.matches(packet[16:20]))
            and (self.protocol is None or packet[9] == self.protocol)
            and (self.source_port is None or packet[ports : ports + 2] == self.source_port)
            and (self.destination_port is None or packet[ports + 2 : ports + 4] == self.destination_port)
        )


def _port_bytes(port: int | None) -> bytes | None:
    return None if port is None else port.to_bytes(2, "big")
