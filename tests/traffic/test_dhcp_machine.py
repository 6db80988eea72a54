"""DHCP under chance, as a state machine: whatever gets lost, doubled, late or restarted, the rules of leases hold."""

from __future__ import annotations

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from emu.wire.address import ipv4_to_bytes
from tests.stack.world import SECOND
from tests.traffic.dhcp_chance import ChancyLan

CLIENTS_MAX = 4
SILENCE_MAX_S = 320
"""The longest time from which a client can say nothing of itself: the RFC's DISCOVERs (124 s), its REQUESTs, pauses."""
chances = st.sampled_from((0.0, 0.0, 0.2, 0.5))
numbers = st.integers(0, CLIENTS_MAX - 1)
durations = st.sampled_from((0, 1, 3, 10, 30, 60, 100))


class Segment(RuleBasedStateMachine):
    """Up to four clients, three addresses, leases of two minutes."""

    @initialize(seed=st.integers(0, 1 << 16), probes=st.booleans(), authoritative=st.booleans())
    def begin(self, seed, probes, authoritative):
        self.now_s = 0
        self.lan = ChancyLan(
            seed,
            last=ipv4_to_bytes("10.0.0.12"),
            lease_s=120,
            quarantine_ns=30 * SECOND,
            probe_wait_ns=SECOND if probes else 0,
            authoritative=authoritative,
        )
        for profile in ("udhcpc", "rfc2131"):
            self.lan.add_client(profile)

    def running(self, number, runs):
        """A client that runs, or does not run; None when there is none."""
        clients = [client for client in self.lan.clients if client.is_running is runs]
        return clients[number % len(clients)] if clients else None

    def let_time_pass(self, seconds):
        for _ in range(seconds):
            self.now_s += 1
            self.lan.run(self.now_s)
            self.lan.check()

    @rule(number=numbers, after_s=durations)
    def stop_a_client(self, number, after_s):
        if client := self.running(number, True):
            client.stop()
        self.let_time_pass(after_s)

    @rule(number=numbers, after_s=durations)
    def crash_a_client(self, number, after_s):
        if client := self.running(number, True):
            client.crash()
        self.let_time_pass(after_s)

    @rule(number=numbers, remembers=st.booleans(), profile=st.sampled_from(("udhcpc", "rfc2131")), after_s=durations)
    def boot_a_client(self, number, remembers, profile, after_s):
        if client := self.running(number, False):
            client.boot(remembers=remembers)
        elif len(self.lan.clients) < CLIENTS_MAX:
            self.lan.add_client(profile)
        self.let_time_pass(after_s)

    @rule(keeps=st.booleans(), is_off_s=durations, after_s=durations)
    def restart_the_server(self, keeps, is_off_s, after_s):
        self.lan.stop_server()
        self.let_time_pass(is_off_s)
        self.lan.start_server(keeps=keeps)
        self.let_time_pass(after_s)

    @rule(loss=chances, double=chances, late=chances, after_s=durations)
    def let_the_wire_be_better_or_worse(self, loss, double, late, after_s):
        self.lan.loss, self.lan.double, self.lan.late = loss, double, late
        self.let_time_pass(after_s)

    @invariant()
    def nobody_uses_what_the_server_gave_to_another_one(self):
        self.lan.check()

    @invariant()
    def every_client_is_bound_or_has_said_what_failed(self):
        for client in self.lan.clients:
            if client.is_running and not client.addresses:
                said_ns = client.events[-1][0]
                assert self.now_s * SECOND - said_ns <= SILENCE_MAX_S * SECOND, client.events

    def teardown(self):
        if hasattr(self, "lan"):
            event(f"an address was used twice: {self.lan.conflicts > 0}")
            self.all_are_bound_once_the_wire_is_good()
            self.every_address_comes_back()

    def all_are_bound_once_the_wire_is_good(self):
        lan = self.lan
        lan.loss = lan.double = lan.late = 0.0
        lan.stop_server()
        lan.start_server(keeps=True, last=ipv4_to_bytes("10.0.0.19"), authoritative=True)
        self.let_time_pass(400)
        for client in lan.clients:
            assert bool(client.addresses) == client.is_running, (client.state, client.events)
        assert not lan.used_twice()
        lan.forgotten.clear()
        lan.check()

    def every_address_comes_back(self):
        lan = self.lan
        for number, client in enumerate(lan.clients):
            if client.is_running and number % 2:
                client.stop()
            elif client.is_running:
                client.crash()
        self.let_time_pass(130)
        assert lan.daemon.server.count_free(lan.world.kernel.now) == 10


Segment.TestCase.settings = settings(max_examples=25, stateful_step_count=25)
TestSegment = Segment.TestCase


@pytest.mark.slow
def test_the_rules_hold_in_hundreds_of_longer_stories():
    run_state_machine_as_test(Segment, settings=settings(max_examples=400, stateful_step_count=50))


def lan_with_two_holders():
    """A server that forgot c0, whose answer to c1's ARP probe gets lost: both use the only address there is."""
    lan = ChancyLan(last=ipv4_to_bytes("10.0.0.10"), lease_s=120)
    lan.add_client("udhcpc")
    lan.run(5)
    lan.stop_server()
    lan.start_server(keeps=False)
    lan.add_client("udhcpc")
    lan.loses_arp = True
    lan.run(8)
    lan.loses_arp = False
    return lan


def test_a_server_that_forgot_its_leases_and_a_lost_arp_answer_give_one_address_to_two_clients():
    lan = lan_with_two_holders()
    assert [client.addresses for client in lan.clients] == [["10.0.0.10/24"]] * 2
    lan.check()  # which knows why
    assert lan.conflicts > 0


def test_the_first_answer_to_a_renewal_ends_it():
    lan = lan_with_two_holders()
    lan.run(62.0)  # c0 renews 60 s after its lease began
    assert lan.clients[0].events[-1] == (60 * SECOND, "lost 10.0.0.10")
    assert [client.addresses for client in lan.clients] == [[], ["10.0.0.10/24"]]


def test_without_the_loss_the_arp_probe_protects_the_one_that_was_forgotten():
    lan = ChancyLan(last=ipv4_to_bytes("10.0.0.10"), lease_s=120)
    lan.add_client("udhcpc")
    lan.run(5)
    lan.stop_server()
    lan.start_server(keeps=False)
    lan.add_client("udhcpc")
    lan.run(20)
    assert [client.addresses for client in lan.clients] == [["10.0.0.10/24"], []]


def test_with_its_lease_file_a_server_needs_no_arp_to_keep_an_address_to_one_client():
    lan = ChancyLan(last=ipv4_to_bytes("10.0.0.10"), lease_s=120)
    lan.loses_arp = True
    lan.add_client("udhcpc")
    lan.run(5)
    lan.stop_server()
    lan.start_server(keeps=True)
    lan.add_client("udhcpc")
    lan.run(20)
    assert [client.addresses for client in lan.clients] == [["10.0.0.10/24"], []]
