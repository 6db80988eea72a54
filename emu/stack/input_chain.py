"""The INPUT chain of a namespace as data: which packets for this host its programs and tunnels get to see.

Source: iptables(8), iptables-extensions(8). Limits: IPv4; no connection tracking, no REJECT; there is no OUTPUT chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emu.kernel.errors import InvalidValue, NotFound
from emu.stack.netfilter import ACCEPT, DROP, Prefix, device_matches
from emu.stack.route import parse_prefix
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
        _check_verdict(self.verdict, "verdict")
        for prefix in (self.source, self.destination):
            if prefix is not None:
                parse_prefix(prefix.lstrip("!"))
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
        parts = ["-A INPUT"]
        for option, value in (("-s", self.source), ("-d", self.destination), ("-i", self.in_device)):
            if value is not None:
                parts.append(f"! {option} {value[1:]}" if value.startswith("!") else f"{option} {value}")
        if self.protocol is not None:
            parts.append(f"-p {self.protocol}")
        if self.source_port is not None or self.destination_port is not None:
            parts.append(f"-m {self.protocol}")
        for option, port in (("--sport", self.source_port), ("--dport", self.destination_port)):
            if port is not None:
                parts.append(f"{option} {port}")
        if self.comment:
            parts.append(f'-m comment --comment "{self.comment}"')
        return " ".join([*parts, f"-j {self.verdict}"])


class InputChain:
    """The INPUT chain: rules are tried in order, the first match decides, else the policy.

    on_change: called after every change, because a chain that can drop rules out the fast path for known flows.
    counters: packets per rule; policy_counter: packets that no rule matched (counted only while there is a rule).
    is_open: no rule, and the policy accepts: nobody has to ask.
    """

    __slots__ = ("_compiled", "_on_change", "_policy", "_rules", "counters", "is_open", "policy_counter")

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._rules: list[InputRule] = []
        self._compiled: list[_Compiled] = []
        self._policy = ACCEPT
        self.counters: list[int] = []
        self.policy_counter = 0
        self.is_open = True

    @property
    def rules(self) -> tuple[InputRule, ...]:
        """The rules in order."""
        return tuple(self._rules)

    @property
    def policy(self) -> str:
        """What happens to packets that no rule matches: "ACCEPT" or "DROP"."""
        return self._policy

    @policy.setter
    def policy(self, verdict: str) -> None:
        _check_verdict(verdict, "policy")
        self._policy = verdict
        self._changed()

    def append(self, rule: InputRule) -> None:
        """Add a rule at the end (`iptables -A INPUT …`)."""
        self.insert(len(self._rules), rule)

    def insert(self, index: int, rule: InputRule) -> None:
        """Add a rule before the one at `index`, counted from 0."""
        self._rules.insert(index, rule)
        self._compiled.insert(index, _Compiled(rule))
        self.counters.insert(index, 0)
        self._changed()

    def remove(self, rule: InputRule) -> None:
        """Remove the first equal rule; raises NotFound when there is none."""
        if rule not in self._rules:
            raise NotFound(f"no such rule: {rule.text()}")
        index = self._rules.index(rule)
        del self._rules[index], self._compiled[index], self.counters[index]
        self._changed()

    def accepts(self, in_device: str, packet: bytes) -> bool:
        """Return whether a whole IPv4 packet that is for this host may come in, and count it."""
        for index, compiled in enumerate(self._compiled):
            if compiled.matches(in_device, packet):
                self.counters[index] += 1
                return compiled.accepts
        self.policy_counter += 1
        return self._policy == ACCEPT

    def text(self) -> str:
        """Return the chain as `iptables-save` prints it."""
        lines = [f":INPUT {self._policy} [{self.policy_counter}:0]", *(rule.text() for rule in self._rules)]
        return "".join(f"{line}\n" for line in lines)

    def _changed(self) -> None:
        self.is_open = not self._rules and self._policy == ACCEPT
        self._on_change()


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


def _check_verdict(verdict: str, what: str) -> None:
    if verdict not in (ACCEPT, DROP):
        raise InvalidValue(f'{what} "{verdict}": expected "ACCEPT" or "DROP"')
