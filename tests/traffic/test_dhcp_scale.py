"""A thousand clients that start at the same moment on one segment."""

from __future__ import annotations

import time

import pytest

from emu.wire.address import ipv4_to_bytes
from tests.stack.world import SECOND
from tests.traffic.dhcp_lan import Client, DhcpLan

CLIENTS = 1000
MS = SECOND // 1000


class BigLan(DhcpLan):
    """A segment of 10.0.0.0/16 with cables of 1 Gbit/s and 10 us, and no record of frames."""

    def __init__(self) -> None:
        super().__init__(serves=False)
        self.world.tap = lambda device: None  # type: ignore[method-assign]
        self.host.remove_address(self.bridge, "10.0.0.1/24")
        self.host.add_address(self.bridge, "10.0.0.1/16")
        self.serve(prefix_length=16, first=ipv4_to_bytes("10.0.1.0"), last=ipv4_to_bytes("10.0.9.255"), lease_s=120)

    def plug(self, namespace):
        inner = super().plug(namespace)
        for end in (inner, inner.peer):
            end.set(rate="1Gbit", delay="10us", queue=4 * CLIENTS)
        return inner


@pytest.mark.slow
def test_a_thousand_clients_that_start_at_once_are_all_bound_after_their_arp_probes_and_renew(record_property):
    lan = BigLan()
    began_s = time.process_time()
    clients = [Client(lan, f"c{number}") for number in range(CLIENTS)]
    lan.run(10)
    spent_s = time.process_time() - began_s
    record_property("processor seconds until all were bound", round(spent_s, 1))
    assert len({client.addresses[0] for client in clients}) == CLIENTS
    bound_ns = [client.events[0][0] for client in clients]
    # The exchange takes as long as the cables carry a thousand floods of 342 bytes twice; then come the two seconds.
    assert 2 * SECOND < min(bound_ns) <= max(bound_ns) < 2 * SECOND + 10 * MS
    assert lan.daemon.leases.count_in_use(lan.world.kernel.now) == CLIENTS
    assert lan.daemon.server.refusals == {}
    lan.run(70)
    assert all(client.program.client.lease.acquired_ns > 59 * SECOND for client in clients), "renewed at T1"
    assert all(len(client.events) == 1 for client in clients)
    assert spent_s < 20
