"""The FORWARD chain: first match wins, negation, prefixes, verdicts that hold for all packets of two devices."""

from __future__ import annotations

import pytest

from emu.kernel.errors import InvalidValue, NotFound
from emu.stack.forward_chain import Filter, ForwardRule
from emu.stack.output import build_packet
from emu.stack.rule_chain import ACCEPT, DROP

PACKET = build_packet(bytes((172, 17, 0, 2)), bytes((172, 18, 0, 2)), 17, b"", identification=1, ttl=64)


def test_the_first_match_decides_and_else_the_policy() -> None:
    chain = Filter()
    assert chain.forward("docker0", "br-1", PACKET)
    chain.policy = DROP
    assert not chain.forward("docker0", "br-1", PACKET)
    chain.append(ForwardRule(ACCEPT, in_device="docker0"))
    chain.insert(0, ForwardRule(DROP, out_device="br-2"))
    assert chain.forward("docker0", "br-1", PACKET)
    assert not chain.forward("docker0", "br-2", PACKET)
    assert chain.counters == [1, 1]
    assert chain.policy_counter == 2


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (ForwardRule(DROP, in_device="docker0"), True),
        (ForwardRule(DROP, in_device="!docker0"), False),
        (ForwardRule(DROP, out_device="br-+"), True),
        (ForwardRule(DROP, out_device="!br-+"), False),
        (ForwardRule(DROP, source="172.17.0.0/16"), True),
        (ForwardRule(DROP, source="!172.17.0.0/16"), False),
        (ForwardRule(DROP, destination="172.18.0.2"), True),
        (ForwardRule(DROP, destination="!172.18.0.3/32", in_device="eth0"), False),
    ],
)
def test_each_part_of_a_rule_can_be_negated(rule: ForwardRule, matches: bool) -> None:
    chain = Filter()
    chain.append(rule)
    assert chain.forward("docker0", "br-1", PACKET) is not matches


def test_a_verdict_is_common_to_two_devices_unless_addresses_decide() -> None:
    chain = Filter()
    chain.append(ForwardRule(DROP, in_device="a", out_device="a"))
    chain.append(ForwardRule(DROP, out_device="b", source="!10.0.0.0/8"))
    assert chain.device_verdict("a", "a") is False
    assert chain.device_verdict("c", "c") is True
    assert chain.device_verdict("a", "b") is None


def test_changes_are_told_and_mistakes_refused() -> None:
    chain = Filter()
    told: list[int] = []
    chain.on_change(lambda: told.append(1))
    rule = ForwardRule(DROP, in_device="a", comment="why")
    chain.append(rule)
    chain.remove(rule)
    assert len(told) == 2
    with pytest.raises(NotFound, match="no such rule: -A FORWARD -i a"):
        chain.remove(rule)
    with pytest.raises(InvalidValue):
        ForwardRule("REJECT")
    with pytest.raises(InvalidValue):
        ForwardRule(DROP, source="10.0.0.1/8")
    with pytest.raises(InvalidValue):
        chain.policy = "REJECT"
