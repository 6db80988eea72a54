"""The INPUT chain: what a namespace lets in, by device, address, protocol and port."""

from __future__ import annotations

import pytest

from emu.kernel.errors import InvalidValue, NotFound
from emu.stack.input_chain import InputChain, InputRule
from emu.stack.output import build_packet
from emu.stack.rule_chain import ACCEPT, DROP
from emu.wire.udp import build_udp
from tests.stack.world import MS, Pinger, two_hosts

WEB, DB = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
DATAGRAM = build_packet(WEB, DB, 17, build_udp(WEB, DB, 40000, 4789, b"x"), identification=1, ttl=64)
ECHO = build_packet(WEB, DB, 1, b"\x08\x00\x12\xb5\x12\xb5\x00\x01", identification=1, ttl=64)


def chain_of(*rules: InputRule) -> InputChain:
    """A chain with some rules."""
    chain = InputChain(lambda: None)
    for rule in rules:
        chain.append(rule)
    return chain


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (InputRule(DROP), True),
        (InputRule(DROP, in_device="eth0"), True),
        (InputRule(DROP, in_device="!eth+"), False),
        (InputRule(DROP, source="10.0.0.1/32", destination="10.0.0.0/24"), True),
        (InputRule(DROP, source="!10.0.0.0/8"), False),
        (InputRule(DROP, protocol="udp"), True),
        (InputRule(DROP, protocol="icmp"), False),
        (InputRule(DROP, protocol="udp", destination_port=4789), True),
        (InputRule(DROP, protocol="udp", destination_port=40000), False),
        (InputRule(DROP, protocol="udp", source_port=40000, destination_port=4789), True),
        (InputRule(DROP, protocol="tcp", destination_port=4789), False),
    ],
)
def test_all_parts_of_a_rule_must_match(rule: InputRule, matches: bool) -> None:
    assert chain_of(rule).accepts("eth0", DATAGRAM) is not matches


def test_the_first_match_decides_and_else_the_policy() -> None:
    chain = chain_of(InputRule(ACCEPT, protocol="icmp"), InputRule(DROP))
    assert chain.accepts("eth0", ECHO)
    assert not chain.accepts("eth0", DATAGRAM)
    chain.remove(InputRule(DROP))
    assert chain.accepts("eth0", DATAGRAM)
    chain.policy = DROP
    assert not chain.accepts("eth0", DATAGRAM)
    assert chain.accepts("eth0", ECHO)
    assert (chain.counters, chain.policy_counter) == ([2], 2)


def test_a_chain_is_open_only_without_rules_and_with_an_accepting_policy() -> None:
    changes: list[int] = []
    chain = InputChain(lambda: changes.append(1))
    assert chain.is_open
    rule = InputRule(ACCEPT)
    chain.append(rule)
    assert not chain.is_open
    chain.remove(rule)
    assert chain.is_open
    chain.policy = DROP
    assert not chain.is_open
    assert len(changes) == 3


def test_it_is_shown_as_iptables_save_does() -> None:
    chain = chain_of(
        InputRule(DROP, in_device="!lo", source="!10.0.0.0/8", protocol="udp", destination_port=4789, comment="test"),
        InputRule(ACCEPT, protocol="icmp"),
    )
    assert chain.text() == (
        ":INPUT ACCEPT [0:0]\n"
        '-A INPUT ! -s 10.0.0.0/8 ! -i lo -p udp -m udp --dport 4789 -m comment --comment "test" -j DROP\n'
        "-A INPUT -p icmp -j ACCEPT\n"
    )


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"verdict": "REJECT"}, 'verdict "REJECT": expected'),
        ({"verdict": DROP, "protocol": "gre"}, 'protocol "gre": expected'),
        ({"verdict": DROP, "destination_port": 53}, 'port 53: only protocol="udp"'),
        ({"verdict": DROP, "protocol": "udp", "source_port": 65536}, "port 65536: expected"),
        ({"verdict": DROP, "source": "10.0.0.1/8"}, "10.0.0.1/8"),
    ],
)
def test_wrong_rules_are_refused(settings: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidValue, match=text):
        InputRule(**settings)  # type: ignore[arg-type]


def test_a_rule_that_is_not_there_cannot_be_removed() -> None:
    with pytest.raises(NotFound, match="no such rule: -A INPUT -j DROP"):
        chain_of().remove(InputRule(DROP))
    with pytest.raises(InvalidValue, match='policy "REJECT"'):
        chain_of().policy = "REJECT"


# -- in a namespace --------------------------------------------------------------------------------------------------


def test_a_rule_holds_from_the_next_datagram_on_also_for_a_flow_that_is_known_already() -> None:
    world, h1, h2 = two_hosts()
    sender, receiver = h1.udp_socket(), h2.udp_socket()
    receiver.bind("0.0.0.0", 5000)
    got: list[bytes] = []
    receiver.on_datagram = lambda payload, source, frame: got.append(payload)
    rule = InputRule(DROP, protocol="udp", destination_port=5000)
    for number in range(6):
        world.at(number * 10 * MS, lambda number=number: sender.sendto(b"%d" % number, ("10.9.0.2", 5000)))  # type: ignore[misc]
    world.at(25 * MS, lambda: h2.input_chain.append(rule))
    world.at(45 * MS, lambda: h2.input_chain.remove(rule))
    world.run()
    assert got == [b"0", b"1", b"2", b"5"]
    assert [(reason, where) for _, reason, where in world.drops] == [("FIREWALL", "h2:eth0")] * 2


def test_a_dropped_datagram_gets_no_answer_and_other_protocols_pass() -> None:
    world, h1, h2 = two_hosts()
    h2.input_chain.append(InputRule(DROP, protocol="udp"))
    sender, pinger = h1.udp_socket(), Pinger(world, h1)
    world.at(0, lambda: sender.sendto(b"nobody listens", ("10.9.0.2", 9)))
    pinger.ping_at(5 * MS, "10.9.0.2")
    world.run()
    assert [kind for _, kind, _, _ in world.icmp("h1:eth0")] == [8, 0]
    assert len(pinger.replies) == 1


def test_fragments_are_put_together_before_the_rules_look_at_them() -> None:
    world, h1, h2 = two_hosts()
    h2.input_chain.append(InputRule(DROP, protocol="udp", destination_port=5000))
    sender = h1.udp_socket()
    world.at(0, lambda: sender.sendto(bytes(4000), ("10.9.0.2", 5000)))
    world.run()
    assert h2.input_chain.counters == [1]
    assert [reason for _, reason, _ in world.drops] == ["FIREWALL"]
