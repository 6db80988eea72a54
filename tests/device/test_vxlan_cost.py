"""What VXLAN costs the hosts' CPUs: the same whether a flow is new or known, and added to the path it is part of."""

import pytest

from emu.device import CostModel
from tests.device.vxlan_world import VNI, two_containers
from tests.stack.world import MS, SECOND, Pinger

COSTS = CostModel(
    socket_send=1, ip_output=10, veth=100, bridge=1_000, ip_input=10_000, socket_receive=100_000,
    ethernet_transmit=2, ethernet_receive=20, vxlan_encapsulate=200, vxlan_decapsulate=2_000,
    copy_per_kib=0, wakeup_latency=0,
)  # fmt: skip
SENDING = 1 + 10 + 100 + 1_000 + 200 + 10 + 2
RECEIVING = 20 + 10_000 + 2_000 + 1_000 + 100 + 10_000 + 100_000


@pytest.mark.parametrize("forget", ["nothing", "flows", "ways"])
def test_every_step_of_both_hosts_is_charged(forget):
    world, c1, c2 = two_containers(cost=COSTS)
    incoming, outgoing = c2.udp_socket(), c1.udp_socket()
    incoming.bind(port=9)
    arrived: list[int] = []
    incoming.on_datagram = lambda payload, source, frame: arrived.append(world.kernel.now)
    vxlan0 = world.nodes[0].networks[VNI].vxlan0

    def send() -> None:
        if forget == "flows":
            vxlan0.flush_flows()
        elif forget == "ways":
            for node in world.nodes:
                node.root.flush_caches()
        outgoing.sendto(bytes(1000), ("10.0.1.4", 9))

    for number in range(5):
        world.at(number * 10 * MS, send)
    world.run(SECOND)
    line_ns = (1092 + 24) * 8 + 50_000
    expected = SENDING + line_ns + RECEIVING
    assert [time_ns - 10 * MS * number for number, time_ns in enumerate(arrived)][1:] == [expected] * 4


def test_an_answer_that_the_cpu_has_no_room_for_is_dropped():
    world, _, _ = two_containers(cost=COSTS)
    node = world.nodes[0]
    vxlan0 = node.networks[VNI].vxlan0
    node.cpu.backlog_limit = 0
    node.cpu.busy_until_ns = SECOND
    vxlan0.answer(bytes(60), 1)
    assert [(reason, where) for _, reason, where in world.drops] == [("CPU_BACKLOG_FULL", vxlan0.label)]


def test_all_interfaces_of_a_host_show_one_traversal_at_one_time_and_the_answers_later():
    world, c1, _ = two_containers(cost=COSTS)
    pinger = Pinger(world, c1)
    pinger.ping("10.0.1.4")
    pinger.ping_at(100 * MS, "10.0.1.4")
    world.run(SECOND)
    assert len(pinger.replies) == 2
    labels = ("c1:eth0", "host1/net4097:veth0", "host1/net4097:br0", "host1/net4097:vxlan0", "host1:eth0")
    times = {
        now_ns for label in labels for now_ns, way, _ in world.seen[label] if 100 * MS <= now_ns < 100 * MS + 20_000
    }
    assert times == {100 * MS}
    arp = [(now_ns, frame.data[21]) for now_ns, _, frame in world.seen["c1:eth0"] if frame.data[12:14] == b"\x08\x06"]
    (asked_ns, _), (answered_ns, _) = arp[:2]
    assert answered_ns == asked_ns + 10 + 100 + 1_000, "the proxy's answer is a traversal of its own"
