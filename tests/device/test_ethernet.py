"""Ethernet ports are joined by a cable with framing, and follow it when it is pulled out."""

import pytest

from emu.device import CostModel, EthernetPort, HostCpu, connect
from emu.kernel import Conflict, Kernel, NotFound
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from tests.device.lan import mac


class Wire:
    """Two ports joined by a cable and up, and what b received when."""

    def __init__(self, **settings) -> None:
        self.kernel = Kernel(seed=3)
        self.a = EthernetPort(self.kernel, "eth0", mac(1))
        self.b = EthernetPort(self.kernel, "eth0", mac(2))
        self.a.label, self.b.label = "host1:eth0", "host2:eth0"
        self.arrivals: list[int] = []
        self.b.upper = lambda frame: self.arrivals.append(self.kernel.now)
        self.cable = connect(self.a, self.b)
        self.cable.set(**settings)
        self.a.set_up()
        self.b.set_up()

    def send(self, size: int = 1000, count: int = 1) -> None:
        for _ in range(count):
            self.a.transmit(Frame(bytes(size), self.kernel.next_packet_id()))


@pytest.mark.parametrize(("size", "line_bytes"), [(42, 84), (60, 84), (61, 85), (1514, 1538)])
def test_framing_and_the_minimum_frame_take_time_on_the_line(size, line_bytes):
    wire = Wire(rate="1Gbit", delay="50us")
    wire.send(size)
    wire.kernel.run()
    assert wire.arrivals == [line_bytes * 8 + 50_000]
    assert wire.a.tx_bytes == size


def test_without_a_cable_there_is_no_carrier_and_nothing_to_set():
    port = EthernetPort(Kernel(), "eth0", mac(1))
    port.set_up()
    assert not port.carrier
    assert port.transmit(Frame(bytes(60), 1))
    assert port.drops == {DropReason.NO_CARRIER: 1}
    with pytest.raises(NotFound, match="eth0 is not connected"):
        port.set(rate="1Gbit")


def test_a_port_takes_one_cable():
    wire = Wire()
    third = EthernetPort(wire.kernel, "eth0", mac(3))
    with pytest.raises(Conflict, match="host1:eth0 is already connected to host2:eth0"):
        connect(wire.a, third)
    assert third.cable is None


def test_pulling_the_cable_takes_the_carrier_and_plugging_it_in_brings_it_back():
    wire = Wire()
    wire.cable.down()
    assert not wire.a.carrier
    assert not wire.b.carrier
    wire.send()
    wire.cable.up()
    wire.send()
    wire.kernel.run()
    assert len(wire.arrivals) == 1
    assert wire.a.drops == {DropReason.NO_CARRIER: 1}


def test_when_the_cable_is_pulled_what_is_on_the_line_arrives_and_what_waits_is_dropped():
    wire = Wire(rate="8Mbit", delay="1ms")  # 1024 us per frame of 1000 bytes
    wire.send(count=5)
    wire.kernel.call_at(1_500_000, lambda _: wire.cable.down())  # during the second frame
    wire.kernel.run()
    assert wire.arrivals == [2_024_000, 3_048_000]
    assert wire.a.drops == {DropReason.NO_CARRIER: 3}
    assert wire.a.tx_dropped == 3


def test_a_frame_whose_first_bit_is_just_being_sent_is_on_the_line():
    wire = Wire(rate="8Mbit")
    wire.send(count=3)
    wire.kernel.call_at(1_024_000, lambda _: wire.cable.down())
    wire.kernel.run()
    assert wire.arrivals == [1_024_000, 2_048_000]


def test_ports_that_are_up_already_have_a_carrier_once_they_are_joined():
    kernel = Kernel()
    ports = [EthernetPort(kernel, f"eth{n}", mac(n)) for n in (1, 2)]
    for port in ports:
        port.set_up()
    connect(*ports)
    assert all(port.running for port in ports)


def test_after_plugging_in_again_the_line_is_free():
    wire = Wire(rate="8Mbit")
    wire.send(count=5)
    wire.kernel.call_at(10_000, lambda _: (wire.cable.down(), wire.cable.up(), wire.send()))
    wire.kernel.run()
    assert wire.arrivals == [1_024_000, 2_048_000]


def test_a_frame_longer_than_the_receivers_mtu_and_a_vlan_tag_is_dropped_there():
    wire = Wire()
    wire.b.set_mtu(1400)
    wire.send(1418)
    wire.send(1419)
    wire.kernel.run()
    assert len(wire.arrivals) == 1
    assert wire.b.drops == {DropReason.FRAME_TOO_BIG: 1}


def test_setting_one_end_leaves_the_other_direction_alone():
    wire = Wire(rate="1Gbit")
    wire.a.set(rate="10Mbit")
    assert wire.a.direction.impairments.rate_bps == 10**7
    assert wire.b.direction.impairments.rate_bps == 10**9


def test_what_leaves_a_host_does_so_when_its_cpu_has_done_the_work_and_starts_work_on_the_other():
    wire = Wire(delay="50us")
    costs = CostModel()
    wire.a.cpu = HostCpu(wire.kernel, "host1", costs)
    wire.b.cpu = HostCpu(wire.kernel, "host2", costs)
    wire.a.cpu.start(wire.a.transmit, Frame(bytes(100), 1))
    wire.kernel.run()
    arrival = costs.ethernet_transmit + 50_000
    assert wire.arrivals == [arrival]
    assert wire.b.cpu.busy_until_ns == arrival + costs.ethernet_receive


def test_a_cable_without_delay_between_two_hosts_still_costs_the_senders_time():
    wire = Wire()
    costs = CostModel()
    wire.a.cpu = HostCpu(wire.kernel, "host1", costs)
    wire.a.cpu.start(wire.a.transmit, Frame(bytes(100), 1))
    wire.kernel.run()
    assert wire.arrivals == [costs.ethernet_transmit]
