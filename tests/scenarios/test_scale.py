"""The topologies at sizes that take a while (`make test-slow`)."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from time import process_time

import pytest

import emu
from tests.helpers_tshark import complaints, needs_tshark
from tests.scenarios.runs import run_again

pytestmark = pytest.mark.slow


def test_three_hundred_containers_ask_each_other_and_all_are_answered(tmp_path: Path) -> None:
    outcome = run_again("crowded_bridge", tmp_path, n="300")
    assert outcome.result.ok
    assert outcome.result.drops == {}
    assert outcome.result.frames > 180_000


def test_the_losses_of_a_cable_follow_the_binomial_distribution(tmp_path: Path) -> None:
    count, probability = 20_000, 0.02
    outcome = run_again("lossy_cable", tmp_path, count=str(count), duplicate="0%", jitter="0us")
    entries = {entry.name: entry for entry in outcome.result.interfaces}
    sent = entries["host2:eth0"].tx_packets + entries["tor:eth1"].tx_packets
    lost = outcome.result.drops["lost on the link (configured loss)"]
    assert abs(lost - sent * probability) < 4 * sqrt(sent * probability * (1 - probability))


def test_a_thousand_containers_that_start_at_once_all_lease_an_address_in_under_twenty_seconds() -> None:
    begun_s = process_time()
    net = emu.Emulation(seed=1)
    ipam = {"driver": "dhcp", "options": {"probe": "off"}}
    lan = net.networks.create("lan", subnet="10.0.0.0/16", ipam=ipam)
    containers = [net.host.containers.run(f"c{number}", network=lan) for number in range(1000)]
    net.run(until="40s")  # the backlog of the one CPU drops frames, so a few need a second round of attempts
    assert process_time() - begun_s < 20  # of CPU time: others may use the machine, too
    assert len({container.addresses["lan"] for container in containers}) == 1000
    assert lan.attrs["Status"]["DHCP"]["LeasesUsed"] == 1000


@pytest.mark.tshark
@needs_tshark
def test_the_largest_ping_leaves_no_malformed_frame(tmp_path: Path) -> None:
    outcome = run_again("fragments", tmp_path, size="65507")
    assert outcome.result.ok
    assert complaints(outcome.capture_path) == []
