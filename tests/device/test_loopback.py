"""What a namespace sends to `lo` comes back to it."""

from emu.device import LoopbackDevice
from emu.kernel import Kernel
from emu.kernel.tap import DIRECTION_IN
from emu.wire.address import ZERO_MAC
from emu.wire.drop import DropReason
from emu.wire.frame import Frame


def test_a_frame_comes_back_at_the_same_instant_and_is_captured_once():
    kernel = Kernel()
    lo = LoopbackDevice(kernel)
    lo.set_up()
    log = []
    lo.upper = lambda frame: log.append(("received", kernel.now))
    lo.add_tap(lambda now, frame, direction: log.append(("tap", direction)))
    kernel.call_later(9, lambda _: log.append(("sent", lo.transmit(Frame(bytes(98), 1)))))
    kernel.run()
    assert log == [("sent", True), ("tap", DIRECTION_IN), ("received", 9)]
    assert lo.counters["tx_packets"] == lo.counters["rx_packets"] == 1
    assert (lo.mtu, lo.mac, lo.kind) == (65536, ZERO_MAC, "loopback")


def test_while_it_is_down_frames_are_dropped():
    kernel = Kernel()
    lo = LoopbackDevice(kernel)
    lo.transmit(Frame(bytes(98), 1))
    kernel.run()
    assert lo.drops == {DropReason.DEVICE_DOWN: 1}
