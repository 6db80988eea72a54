"""Two bridges joined twice make a loop, which ends with an error that names them instead of running forever."""

import pytest

from emu.device import Bridge, CostModel, HostCpu, create_veth
from emu.kernel import Kernel, SimulationStuck, environment
from emu.wire.address import BROADCAST_MAC
from emu.wire.frame import Frame
from tests.device.lan import data_to, mac


def looped_bridges(cpu: HostCpu | None = None, kernel: Kernel | None = None) -> tuple[Kernel, Bridge]:
    kernel = kernel or Kernel()
    bridges = [Bridge(kernel, name, mac(number)) for name, number in (("tor", 0xF1), ("spine", 0xF2))]
    for bridge in bridges:
        bridge.cpu = cpu
        bridge.set_up()
    for number in (1, 2):
        ends = create_veth(kernel, f"a{number}", mac(number), f"b{number}", mac(0x10 + number))
        for bridge, end in zip(bridges, ends, strict=True):
            end.cpu = cpu
            end.set_up()
            bridge.add_port(end)
    return kernel, bridges[0]


def test_a_loop_of_bridges_stops_the_run_and_names_both(monkeypatch):
    monkeypatch.setattr(environment, "STUCK_STEPS", 20_000)
    kernel, bridge = looped_bridges()
    bridge.transmit(Frame(data_to(BROADCAST_MAC, bridge.mac), 1))
    with pytest.raises(SimulationStuck) as caught:
        kernel.run()
    assert "spine" in str(caught.value)
    assert "tor" in str(caught.value)


def test_the_cost_of_work_does_not_hide_a_loop_inside_one_host(monkeypatch):
    monkeypatch.setattr(environment, "STUCK_STEPS", 20_000)
    kernel = Kernel()
    cpu = HostCpu(kernel, "host1", CostModel())
    kernel, bridge = looped_bridges(cpu, kernel)
    cpu.start(bridge.transmit, Frame(data_to(BROADCAST_MAC, bridge.mac), 1))
    with pytest.raises(SimulationStuck, match="go round through"):
        kernel.run()


def test_a_delay_on_the_way_makes_the_storm_take_time():
    kernel, bridge = looped_bridges()
    for port in bridge.ports:
        port.device.set(delay="1us")
    bridge.transmit(Frame(data_to(BROADCAST_MAC, bridge.mac), 1))
    kernel.run(until=10**6)
    assert kernel.now == 10**6
    assert 900 < bridge.ports[0].device.rx_packets < 1100
