"""A thousand clients that start within a millisecond on one segment."""

from __future__ import annotations

import time

import pytest

from emu.wire.address import ipv4_to_bytes
from tests.stack.world import SECOND
from tests.traffic.dhcp_lan import Client, DhcpLan

CLIENTS = 1000
APART_NS = 1000
"""A wire without delay carries no million frames in one instant: the kernel would take them for a loop."""


class BigLan(DhcpLan):
    """A segment of 10.0.0.0/16 with room for everybody, and no record of frames."""

    def __init__(self) -> None:
        super().__init__(serves=False)
        self.world.tap = lambda device: None  # type: ignore[method-assign]
        self.host.remove_address(self.bridge, "10.0.0.1/24")
        self.host.add_address(self.bridge, "10.0.0.1/16")
        self.serve(prefix_length=16, first=ipv4_to_bytes("10.0.1.0"), last=ipv4_to_bytes("10.0.9.255"), lease_s=120)


class PunctualClient(Client):
    """A client that is plugged in from the beginning and starts at its moment."""

    def __init__(self, lan: BigLan, number: int) -> None:
        self.start_ns = number * APART_NS
        super().__init__(lan, f"c{number}")

    def start(self, **options: object) -> None:
        self.lan.world.kernel.call_at(self.start_ns, lambda _: super(PunctualClient, self).start(**options))


@pytest.mark.slow
def test_a_thousand_clients_that_start_together_are_all_bound_after_their_arp_probes_and_renew_at_t1(record_property):
    lan = BigLan()
    clients = [PunctualClient(lan, number) for number in range(CLIENTS)]
    began_s = time.process_time()
    lan.run(10)
    spent_s = time.process_time() - began_s
    record_property("processor seconds until all were bound", round(spent_s, 1))
    assert len({client.addresses[0] for client in clients}) == CLIENTS
    assert [client.events[0][0] for client in clients] == [2 * SECOND + client.start_ns for client in clients]
    assert lan.daemon.leases.count_in_use(lan.world.kernel.now) == CLIENTS
    assert lan.daemon.server.refusals == {}
    assert spent_s < 20
    lan.run(70)
    assert [client.program.client.lease.acquired_ns for client in clients] == [
        60 * SECOND + client.start_ns for client in clients
    ]
    assert all(len(client.events) == 1 for client in clients), "nobody lost the address"
