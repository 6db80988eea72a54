"""The DHCP client's rules one by one, where an exchange on a good wire does not show them."""

from __future__ import annotations

from random import Random

import pytest

from emu.traffic.dhcp_client import DhcpClient
from emu.traffic.dhcp_client_actions import Bind, Failed, Send
from emu.traffic.dhcp_profile import PROFILES
from emu.wire import dhcp
from emu.wire.address import ipv4_to_bytes
from emu.wire.dhcp import DhcpMessage
from tests.stack.world import SECOND

MAC = b"\x02\0\0\0\0\x07"
SERVER, TEN = ipv4_to_bytes("10.0.0.1"), ipv4_to_bytes("10.0.0.10")


class Wire:
    """A client without a network: what it sends is kept, and answered when the test says so."""

    def __init__(self, profile: str, **options: object) -> None:
        self.client = DhcpClient(PROFILES[profile], MAC, Random(1), **options)  # type: ignore[arg-type]
        self.client.start(0)
        self.now_ns = 0
        self.sent: list[DhcpMessage] = []
        self.done: list[object] = []

    def do(self, actions):
        self.sent += [action.message for action in actions if isinstance(action, Send)]
        self.done += [action for action in actions if not isinstance(action, Send)]

    def expire(self):
        self.now_ns = self.client.deadline_ns
        self.do(self.client.expire(self.now_ns))

    def answer(self, kind, *, lease_s=120, to=-1, after_s=0):
        """Answer the message with that number, `after_s` from now."""
        options = ((53, bytes((kind,))), (54, SERVER), (51, lease_s.to_bytes(4, "big")), (1, b"\xff\xff\xff\0"))
        question = self.sent[to]
        self.now_ns += after_s * SECOND
        reply = DhcpMessage(2, question.transaction_id, MAC, options, your_address=TEN)
        self.do(self.client.receive(self.now_ns, reply))

    def bind(self, **options):
        self.expire()
        self.answer(dhcp.OFFER)
        self.answer(dhcp.ACK, **options)
        self.expire()
        assert self.client.state == "BOUND"


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_lease_counts_from_the_first_request_that_may_have_been_answered(profile):
    wire = Wire(profile)
    wire.expire()
    wire.answer(dhcp.OFFER)
    asked_ns = wire.now_ns
    wire.expire()  # asks again; that one gets lost, and the answer to the first one is late
    assert [message.message_type for message in wire.sent] == [dhcp.DISCOVER, dhcp.REQUEST, dhcp.REQUEST]
    wire.answer(dhcp.ACK, after_s=1)
    assert wire.client.lease.acquired_ns == asked_ns
    assert wire.client.lease.expires_ns == asked_ns + 120 * SECOND


def test_so_does_a_lease_that_udhcpc_renews_by_broadcast():
    wire = Wire("udhcpc")
    wire.bind()
    while wire.client.state != "REBINDING":
        wire.expire()
    asked_ns = wire.now_ns - 3 * SECOND  # a renewal by unicast
    wire.expire()
    wire.answer(dhcp.ACK, to=-2)
    assert wire.client.lease.acquired_ns == asked_ns


def test_each_renewal_of_rfc_2131_is_a_transaction_of_its_own_and_counts_from_itself():
    wire = Wire("rfc2131")
    wire.bind(lease_s=600)
    wire.expire()
    wire.expire()
    assert wire.client.state == "RENEWING"
    assert wire.sent[-1].transaction_id != wire.sent[-2].transaction_id
    asked_ns = wire.now_ns
    wire.answer(dhcp.ACK, to=-2)
    assert wire.client.state == "RENEWING", "an answer that comes so late is not heard any more"
    wire.answer(dhcp.ACK, lease_s=600)
    assert (wire.client.state, wire.client.lease.acquired_ns) == ("BOUND", asked_ns)


def test_a_lease_that_is_over_when_it_has_been_checked_is_not_used():
    wire = Wire("rfc2131")
    wire.expire()
    wire.answer(dhcp.OFFER)
    asked_ns = wire.now_ns
    while len(wire.sent) < 6:  # five REQUESTs, the last answer is waited for 64 s
        wire.expire()
    wire.now_ns = asked_ns + 119 * SECOND
    wire.answer(dhcp.ACK)
    assert wire.client.state == "CHECKING"
    wire.expire()
    assert (wire.client.state, wire.client.lease) == ("INIT", None)
    assert not any(isinstance(action, Bind) for action in wire.done)
    assert wire.done[-1] == Failed("CHECKING")


@pytest.mark.parametrize("lease_s", [0, 1, 2, 3])
def test_a_lease_of_no_time_at_all_does_not_make_the_client_go_round_in_circles(lease_s):
    wire = Wire("rfc2131")
    wire.bind(lease_s=600)
    wire.expire()
    renewed_ns = wire.now_ns
    wire.answer(dhcp.ACK, lease_s=lease_s)
    wire.expire()
    assert wire.now_ns >= renewed_ns + SECOND
