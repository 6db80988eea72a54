"""What every device has: taps, counters, reported drops, listeners, a description."""

import pytest

from emu.device import Bridge, LoopbackDevice, create_veth
from emu.kernel import InvalidValue, Kernel, NotSupported
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from tests.device.lan import mac


def test_several_taps_see_frames_in_the_order_they_were_added_until_they_are_removed():
    kernel = Kernel()
    a, b = create_veth(kernel, "a", mac(1), "b", mac(2))
    a.set_up()
    b.set_up()
    seen = []
    taps = [lambda now, frame, direction, name=name: seen.append(name) for name in "xyz"]
    for tap in taps:
        b.add_tap(tap)
    b.receive(Frame(bytes(60), 1))
    b.remove_tap(taps[1])
    b.remove_tap(taps[1])
    b.receive(Frame(bytes(60), 2))
    b.remove_tap(taps[0])
    b.receive(Frame(bytes(60), 3))
    b.remove_tap(taps[2])
    assert b.tap is None
    assert seen == ["x", "y", "z", "x", "z", "z"]


def test_a_drop_is_counted_by_reason_and_reported_with_the_devices_label():
    kernel = Kernel()
    device = LoopbackDevice(kernel)
    device.label = "web1:lo"
    reported = []
    kernel.journal.drop_listeners.append(lambda *report: reported.append(report))
    frame = Frame(bytes(60), 7)
    device.drop(frame, DropReason.NO_SOCKET)
    device.drop(frame, DropReason.NO_SOCKET)
    assert device.drops == {DropReason.NO_SOCKET: 2}
    assert reported == [(0, frame, DropReason.NO_SOCKET, "web1:lo")] * 2
    assert device.rx_dropped == 0


def test_listeners_hear_of_state_mtu_and_mac_and_only_of_changes():
    kernel = Kernel()
    a, _ = create_veth(kernel, "a", mac(1), "b", mac(2))
    heard = []
    a.change_listeners.append(lambda device: heard.append((device.is_up, device.mtu, device.mac[5])))
    a.set_up()
    a.set_up()
    a.set_mtu(1400)
    a.set_mac(mac(9))
    a.set_down()
    assert heard == [(True, 1500, 1), (True, 1400, 1), (True, 1400, 9), (False, 1400, 9)]


@pytest.mark.parametrize("wrong", [bytes(6), bytes.fromhex("01005e000001")])
def test_a_mac_that_no_sender_may_have_is_refused_as_linux_does_and_the_old_one_stays(wrong):
    a, _ = create_veth(Kernel(), "a", mac(1), "b", mac(2))
    with pytest.raises(InvalidValue, match=r'error setting interface "a" MAC to ".*": cannot assign requested address'):
        a.set_mac(wrong)
    assert a.mac == mac(1)


def test_a_capture_learns_name_mac_mtu_speed_and_kind():
    kernel = Kernel()
    a, _ = create_veth(kernel, "eth0", mac(1), "veth0", mac(2), 1400)
    a.label = "web1:eth0"
    assert a.describe() == {
        "name": "web1:eth0",
        "description": "veth 02:00:00:00:00:01 mtu 1400",
        "mac": mac(1),
        "mtu": 1400,
        "speed_bps": 10_000_000_000,
        "hardware": "veth",
    }
    a.set(rate="100Mbit", delay="1ms")
    assert a.describe()["speed_bps"] == 100_000_000
    assert a.describe()["description"].endswith("rate 100Mbit delay 1ms")


def test_devices_without_a_line_refuse_impairments():
    kernel = Kernel()
    for device in (Bridge(kernel, "docker0", mac(1)), LoopbackDevice(kernel)):
        with pytest.raises(NotSupported, match=f"{device.name}: a {device.kind} device has no line of its own"):
            device.set(rate="1Gbit")
