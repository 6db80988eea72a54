"""What the chains of a namespace's packet filter have in common: ordered rules with counters, and a policy.

Source: iptables(8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from emu.kernel.errors import InvalidValue, NotFound
from emu.stack.route import parse_prefix

ACCEPT = "ACCEPT"
DROP = "DROP"


class Rule(Protocol):
    """What a chain asks of its rules."""

    def text(self) -> str:
        """Return the rule as `iptables-save` prints it."""
        ...


RuleType = TypeVar("RuleType", bound=Rule)
CompiledType = TypeVar("CompiledType")


class RuleChain(Generic[RuleType, CompiledType]):
    """A chain: rules are tried in order, the first match decides, else the policy.

    name: "INPUT" or "FORWARD". compile_rule: makes of a rule what packets are compared with.
    counters: packets per rule; policy_counter: packets that no rule matched.
    """

    __slots__ = ("_compile", "_compiled", "_listeners", "_policy", "_rules", "counters", "name", "policy_counter")

    def __init__(self, name: str, compile_rule: Callable[[RuleType], CompiledType]) -> None:
        self.name = name
        self._compile = compile_rule
        self._rules: list[RuleType] = []
        self._compiled: list[CompiledType] = []
        self._policy = ACCEPT
        self._listeners: list[Callable[[], None]] = []
        self.counters: list[int] = []
        self.policy_counter = 0

    @property
    def rules(self) -> tuple[RuleType, ...]:
        """The rules in order."""
        return tuple(self._rules)

    @property
    def policy(self) -> str:
        """What happens to packets that no rule matches: "ACCEPT" or "DROP"."""
        return self._policy

    @policy.setter
    def policy(self, verdict: str) -> None:
        check_verdict(verdict, "policy")
        self._policy = verdict
        self._changed()

    def append(self, rule: RuleType) -> None:
        """Add a rule at the end (`iptables -A`)."""
        self.insert(len(self._rules), rule)

    def insert(self, index: int, rule: RuleType) -> None:
        """Add a rule before the one at `index`, counted from 0."""
        self._rules.insert(index, rule)
        self._compiled.insert(index, self._compile(rule))
        self.counters.insert(index, 0)
        self._changed()

    def remove(self, rule: RuleType) -> None:
        """Remove the first equal rule; raises NotFound when there is none."""
        if rule not in self._rules:
            raise NotFound(f"no such rule: {rule.text()}")
        index = self._rules.index(rule)
        del self._rules[index], self._compiled[index], self.counters[index]
        self._changed()

    def replace(self, rules: list[RuleType], policy: str) -> None:
        """Set all rules and the policy at once."""
        check_verdict(policy, "policy")
        self._rules = list(rules)
        self._compiled = [self._compile(rule) for rule in rules]
        self.counters = [0] * len(rules)
        self._policy = policy
        self._changed()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have `listener` called after every change, so that cached verdicts can be dropped."""
        self._listeners.append(listener)

    def text(self) -> str:
        """Return the chain as `iptables-save` prints it."""
        lines = [f":{self.name} {self._policy} [{self.policy_counter}:0]", *(rule.text() for rule in self._rules)]
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


def device_matches(pattern: str | None, name: str) -> bool:
    """Tell whether a device name fits a pattern of a rule: "!" in front negates, "+" at the end takes any ending."""
    if pattern is None:
        return True
    negated = pattern.startswith("!")
    if negated:
        pattern = pattern[1:]
    if pattern.endswith("+"):
        return name.startswith(pattern[:-1]) is not negated
    return (name == pattern) is not negated


def check_verdict(verdict: str, what: str) -> None:
    """Raise InvalidValue for what is neither ACCEPT nor DROP."""
    if verdict not in (ACCEPT, DROP):
        raise InvalidValue(f'{what} "{verdict}": expected "ACCEPT" or "DROP"')


def check_prefixes(*prefixes: str | None) -> None:
    """Raise InvalidValue for what is not a prefix, perhaps negated, or None."""
    for prefix in prefixes:
        if prefix is not None:
            parse_prefix(prefix.lstrip("!"))


def option_words(options: Iterable[tuple[str, str | None]]) -> list[str]:
    """Return options that can be negated as `iptables-save` prints them, those that are None left out."""
    return [
        f"! {option} {value[1:]}" if value.startswith("!") else f"{option} {value}"
        for option, value in options
        if value is not None
    ]


def ending_words(comment: str, verdict: str) -> list[str]:
    """Return how a rule ends: with its comment, if it has one, and its verdict."""
    words = [f'-m comment --comment "{comment}"'] if comment else []
    return [*words, f"-j {verdict}"]
