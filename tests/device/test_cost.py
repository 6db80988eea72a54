"""Work on a host takes time: one traversal after the other, charged at its start, with the totals measured."""

import pytest

from emu.device import CostModel, HostCpu, parse_cost
from emu.kernel import InvalidValue, Kernel
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from tests.device.lan import Lan, data_to, mac


class Work:
    """A CPU and a log of when each traversal started."""

    def __init__(self, **settings) -> None:
        self.kernel = Kernel()
        self.cpu = HostCpu(self.kernel, "host1", CostModel(), **settings)
        self.log: list[tuple[str, int]] = []

    def do(self, job: tuple[str, int]) -> None:
        """Run for so long."""
        name, cost_ns = job
        self.log.append((name, self.kernel.now))
        self.cpu.busy_until_ns += cost_ns


def test_an_idle_cpu_starts_at_once_and_a_busy_one_when_it_is_free():
    work = Work()
    for name in "abc":
        assert work.cpu.start(work.do, (name, 100))
    assert work.log == [("a", 0)]
    assert work.cpu.backlog == 2
    work.kernel.run()
    assert work.log == [("a", 0), ("b", 100), ("c", 200)]
    assert work.cpu.busy_until_ns == 300


def test_what_a_traversal_starts_itself_comes_after_what_waits_already():
    work = Work()

    def reply(_: None) -> None:
        work.do(("request", 100))
        work.cpu.start(work.do, ("reply", 100))

    work.cpu.start(work.do, ("first", 100))
    work.cpu.start(reply)
    work.cpu.start(work.do, ("third", 100))
    work.kernel.run()
    assert work.log == [("first", 0), ("request", 100), ("third", 200), ("reply", 300)]


def test_a_traversal_may_grow_until_its_last_step_at_the_same_instant():
    work = Work()

    def first(_: None) -> None:
        work.do(("step 1", 100))
        work.kernel.soon(work.do, ("step 2", 100))

    work.cpu.start(first)
    work.cpu.start(work.do, ("next", 100))
    work.kernel.run()
    assert work.log == [("step 1", 0), ("step 2", 0), ("next", 200)]


def test_time_without_work_is_not_saved_up():
    work = Work()
    work.cpu.start(work.do, ("a", 100))
    work.kernel.call_at(1000, lambda _: work.cpu.start(work.do, ("b", 100)))
    work.kernel.run()
    assert work.cpu.busy_until_ns == 1100


def test_the_backlog_holds_a_thousand_and_refuses_the_rest():
    work = Work()
    results = [work.cpu.start(work.do, ("x", 1)) for _ in range(1003)]
    assert results == [True] * 1001 + [False] * 2
    assert work.cpu.backlog_drops == 2


def test_frames_that_arrive_at_a_full_backlog_are_dropped_with_a_reason():
    kernel = Kernel()
    cpu = HostCpu(kernel, "host1", CostModel(), backlog_limit=2)
    lan = Lan(2, cpu, kernel)
    lan.host_ends[1].direction.set(delay="1us")
    kernel.call_at(1000, lambda _: cpu.start(lambda _: setattr(cpu, "busy_until_ns", 5000)))
    for _ in range(5):
        lan.host_ends[1].send(Frame(data_to(mac(1), mac(2)), 1))
    kernel.run()
    assert lan.drops == [(DropReason.CPU_BACKLOG_FULL, "h1")] * 3
    assert lan[1].device.rx_dropped == 3


def test_all_devices_of_one_traversal_see_the_same_time():
    kernel = Kernel()
    cpu = HostCpu(kernel, "host1", CostModel())
    lan = Lan(2, cpu, kernel)
    seen = []
    for device in (lan[1].device, lan.host_ends[1], lan.bridge, lan.host_ends[2], lan[2].device):
        device.add_tap(lambda now_ns, frame, direction, name=device.name: seen.append((name, now_ns)))
    kernel.call_at(777, lambda _: cpu.start(lan[1].device.transmit, Frame(data_to(mac(2), mac(1)), 1)))
    kernel.run()
    assert seen == [("h1", 777), ("p1", 777), ("br0", 777), ("p2", 777), ("h2", 777)]
    costs = cpu.costs
    assert cpu.busy_until_ns == 777 + 2 * costs.veth + costs.bridge


def test_a_datagram_through_veth_bridge_veth_costs_what_was_measured():
    costs = CostModel()
    path_ns = (
        costs.socket_send
        + costs.ip_output
        + 2 * costs.veth
        + costs.bridge
        + costs.ip_input
        + costs.socket_receive
        + 2 * costs.copy_ns(1000)
    )
    assert 150_000 < 10**9 / path_ns < 170_000  # 160,000 datagrams per second were measured


def test_request_and_response_without_pauses_take_the_17_us_that_were_measured():
    costs = CostModel()
    one_way_ns = (
        costs.socket_send
        + costs.ip_output
        + 2 * costs.veth
        + costs.bridge
        + costs.ip_input
        + costs.socket_receive
        + costs.wakeup_latency_awake
    )
    assert 16_500 < 2 * one_way_ns < 18_500


def test_vxlan_adds_the_3_and_a_half_us_that_were_measured():
    costs = CostModel()
    outer_ns = costs.vxlan_encapsulate + costs.ip_output + costs.ip_input + costs.vxlan_decapsulate
    underlay_ns = costs.veth  # where this was measured
    assert 3_300 < costs.bridge + outer_ns + underlay_ns < 3_700


def test_used_time_is_the_time_of_all_traversals_without_the_gaps():
    work = Work()
    for name in "ab":
        work.cpu.start(work.do, (name, 100))
    work.kernel.call_at(1000, lambda _: work.cpu.start(work.do, ("c", 50)))
    work.kernel.run()
    assert work.cpu.used_ns == 250


def test_a_ping_takes_about_65_us_most_of_it_for_waking_up():
    costs = CostModel()
    crossing = 2 * costs.veth + costs.bridge
    work = costs.socket_send + 2 * (costs.ip_output + crossing + costs.ip_input) + costs.socket_receive
    assert 60_000 < work + costs.wakeup_latency < 70_000
    assert costs.wakeup_latency > work


def test_the_cost_setting_is_read_from_its_name():
    assert parse_cost("linux") == CostModel()
    assert parse_cost("none") is None
    own = CostModel(bridge=5)
    assert parse_cost(own) is own
    with pytest.raises(InvalidValue, match='invalid cost \'fast\': expected "linux", "none" or a CostModel'):
        parse_cost("fast")
    assert CostModel(veth=0).veth == 0
    with pytest.raises(InvalidValue, match="invalid cost veth=-1"):
        CostModel(veth=-1)
