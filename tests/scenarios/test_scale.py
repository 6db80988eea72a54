"""The topologies at sizes that take a while (`make test-slow`)."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from pathlib import Path
from time import process_time

import pytest

import emu
from tests.helpers_speed import slowness
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


def _thousand_leases(cost: str, until: str | None) -> tuple[int, float]:
    """Start 1,000 containers at once; return when the run ended, in ns, and the seconds it takes a quiet machine."""
    slow = slowness()
    begun_s = process_time()
    net = emu.Emulation(seed=1, cost=cost)
    ipam = {"driver": "dhcp", "options": {"probe": "off"}}
    lan = net.networks.create("lan", subnet="10.0.0.0/16", ipam=ipam)
    containers = [net.host.containers.run(f"c{number}", network=lan) for number in range(1000)]
    net.run(until=until)
    spent_s = (process_time() - begun_s) / max(slow, slowness())
    assert len({container.addresses["lan"] for container in containers}) == 1000
    assert lan.attrs["Status"]["DHCP"]["LeasesUsed"] == 1000
    return net.now, spent_s


def test_a_thousand_containers_that_start_at_once_are_all_bound_after_two_seconds_of_arp_probes(
    record_property: Callable[[str, object], None],
) -> None:
    ended_ns, spent_s = _thousand_leases("none", None)
    record_property("processor seconds", round(spent_s, 1))
    assert ended_ns == 2_000_000_000  # nobody had to ask twice
    assert spent_s < 20


def test_on_one_cpu_that_drops_what_it_cannot_do_a_thousand_containers_are_all_bound_in_their_second_round(
    record_property: Callable[[str, object], None],
) -> None:
    _, spent_s = _thousand_leases("linux", "40s")  # flooding 1,000 messages to 1,000 ports takes it seconds
    record_property("processor seconds", round(spent_s, 1))
    assert spent_s < 20


@pytest.mark.tshark
@needs_tshark
def test_the_largest_ping_leaves_no_malformed_frame(tmp_path: Path) -> None:
    outcome = run_again("fragments", tmp_path, size="65507")
    assert outcome.result.ok
    assert complaints(outcome.capture_path) == []
