"""The FORWARD chain of a namespace as data: ordered rules over devices and prefixes, and a policy.

It is what isolation between bridges, `icc=false` and internal networks need. Limits: no connection tracking, no ports,
no NAT. What is for the namespace itself passes the INPUT chain instead (`input_chain`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emu.kernel.errors import InvalidValue, NotFound
from emu.stack.route import parse_prefix

ACCEPT = "ACCEPT"
DROP = "DROP"


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
        if self.verdict not in (ACCEPT, DROP):
            raise InvalidValue(f'verdict "{self.verdict}": expected "ACCEPT" or "DROP"')
        for prefix in (self.source, self.destination):
            if prefix is not None:
                parse_prefix(prefix.lstrip("!"))

    def text(self) -> str:
        """Return the rule as `iptables-save` prints it."""
        parts = ["-A FORWARD"]
        for option, value in (
            ("-s", self.source),
            ("-d", self.destination),
            ("-i", self.in_device),
            ("-o", self.out_device),
        ):
            if value is not None:
                parts.append(f"! {option} {value[1:]}" if value.startswith("!") else f"{option} {value}")
        if self.comment:
            parts.append(f'-m comment --comment "{self.comment}"')
        return " ".join([*parts, f"-j {self.verdict}"])


class Filter:
    """The FORWARD chain.

    Rules are tried in order, the first match decides, else the policy. `counters` counts packets per rule.
    on_change: called after every change, so that cached verdicts (a bridge's fast path) can be dropped.
    """

    __slots__ = ("_compiled", "_listeners", "_policy", "_rules", "counters", "policy_counter")

    def __init__(self) -> None:
        self._rules: list[ForwardRule] = []
        self._compiled: list[_Compiled] = []
        self._policy = ACCEPT
        self._listeners: list[Callable[[], None]] = []
        self.counters: list[int] = []
        self.policy_counter = 0

    @property
    def rules(self) -> tuple[ForwardRule, ...]:
        """The rules in order."""
        return tuple(self._rules)

    @property
    def policy(self) -> str:
        """What happens to packets that no rule matches: "ACCEPT" or "DROP"."""
        return self._policy

    @policy.setter
    def policy(self, verdict: str) -> None:
        if verdict not in (ACCEPT, DROP):
            raise InvalidValue(f'policy "{verdict}": expected "ACCEPT" or "DROP"')
        self._policy = verdict
        self._changed()

    def append(self, rule: ForwardRule) -> None:
        """Add a rule at the end (`iptables -A FORWARD …`)."""
        self.insert(len(self._rules), rule)

    def insert(self, index: int, rule: ForwardRule) -> None:
        """Add a rule before the one at `index`, counted from 0."""
        self._rules.insert(index, rule)
        self._compiled.insert(index, _Compiled(rule))
        self.counters.insert(index, 0)
        self._changed()

    def remove(self, rule: ForwardRule) -> None:
        """Remove the first equal rule; raises NotFound when there is none."""
        if rule not in self._rules:
            raise NotFound(f"no such rule: {rule.text()}")
        index = self._rules.index(rule)
        del self._rules[index], self._compiled[index], self.counters[index]
        self._changed()

    def replace(self, rules: list[ForwardRule], policy: str) -> None:
        """Set all rules and the policy at once."""
        self._rules = list(rules)
        self._compiled = [_Compiled(rule) for rule in rules]
        self.counters = [0] * len(rules)
        self.policy = policy

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have `listener` called after every change."""
        self._listeners.append(listener)

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

    def text(self) -> str:
        """Return the chain as `iptables-save` prints it."""
        lines = [f":FORWARD {self._policy} [{self.policy_counter}:0]", *(rule.text() for rule in self._rules)]
        return "".join(f"{line}\n" for line in lines)

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()


class Prefix:
    """A prefix to compare addresses with."""

    __slots__ = ("negated", "network", "shift")

    def __init__(self, text: str) -> None:
        self.negated = text.startswith("!")
        network, length = parse_prefix(text.lstrip("!"))
        self.shift = 32 - length
        self.network = int.from_bytes(network, "big") >> self.shift

    def matches(self, address: bytes) -> bool:
        """Tell whether an address is in the prefix, or not in it for a negated one."""
        return (int.from_bytes(address, "big") >> self.shift == self.network) is not self.negated


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


def device_matches(pattern: str | None, name: str) -> bool:
    """Tell whether a device name fits a pattern of a rule; see `ForwardRule`."""
    if pattern is None:
        return True
    negated = pattern.startswith("!")
    if negated:
        pattern = pattern[1:]
    if pattern.endswith("+"):
        return name.startswith(pattern[:-1]) is not negated
    return (name == pattern) is not negated
