"""The raw table lets packets to a protected address in through one device only."""

from emu.stack.raw_table import RawTable
from emu.wire.address import ipv4_to_bytes

WEB = ipv4_to_bytes("172.18.0.2")


def test_an_address_without_a_rule_is_reachable_from_everywhere():
    assert not RawTable().drops("eth0", WEB)


def test_a_protected_address_is_reachable_through_its_own_device_only():
    table = RawTable()
    table.protect(WEB, "br-web")
    assert not table.drops("br-web", WEB)
    assert table.drops("docker0", WEB)
    assert table.drops("eth0", WEB)
    assert table.dropped == 2


def test_a_released_address_is_reachable_again_and_may_be_released_twice():
    table = RawTable()
    table.protect(WEB, "br-web")
    table.release(WEB)
    table.release(WEB)
    assert not table.drops("docker0", WEB)


def test_it_prints_as_iptables_does():
    table = RawTable()
    table.protect(WEB, "br-web")
    assert table.text() == "-A PREROUTING -d 172.18.0.2/32 ! -i br-web -j DROP\n"
