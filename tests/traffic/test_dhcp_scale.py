"""A thousand clients that start at the same instant on one segment."""

from __future__ import annotations

import time

import pytest

from emu.wire.address import ipv4_to_bytes
from tests.helpers_speed import slowness
from tests.stack.world import SECOND
from tests.traffic.dhcp_lan import Client, DhcpLan

CLIENTS = 1000


class BigLan(DhcpLan):
    """A segment of 10.0.0.0/16 with room for everybody, and no record of frames."""

    def __init__(self) -> None:
        super().__init__(serves=False)
        self.world.tap = lambda device: None  # type: ignore[method-assign]
        self.host.remove_address(self.bridge, "10.0.0.1/24")
        self.host.add_address(self.bridge, "10.0.0.1/16")
        self.serve(prefix_length=16, first=ipv4_to_bytes("10.0.1.0"), last=ipv4_to_bytes("10.0.9.255"), lease_s=120)


@pytest.mark.slow
def test_a_thousand_clients_that_start_together_are_all_bound_after_their_arp_probes_and_renew_at_t1(record_property):
    lan = BigLan()
    clients = [Client(lan, f"c{number}") for number in range(CLIENTS)]
    slow = slowness()
    began_s = time.process_time()
    lan.run(10)
    spent_s = time.process_time() - began_s
    record_property("processor seconds until all were bound", round(spent_s, 1))
    assert len({client.addresses[0] for client in clients}) == CLIENTS
    assert [client.events[0][0] for client in clients] == [2 * SECOND] * CLIENTS
    assert lan.daemon.leases.count_in_use(lan.world.kernel.now) == CLIENTS
    assert lan.daemon.server.refusals == {}
    assert spent_s < 20 * max(slow, slowness())
    lan.run(70)
    assert {client.program.client.lease.acquired_ns for client in clients} == {60 * SECOND}
    assert all(len(client.events) == 1 for client in clients), "nobody lost the address"
