"""A veth pair hands frames over unchanged at the same instant and refuses what the peer cannot take."""

import pytest

from emu.device import create_veth
from emu.kernel import InvalidValue, Kernel
from emu.kernel.tap import DIRECTION_IN, DIRECTION_OUT
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from tests.device.lan import data_to, mac


class Pair:
    """A veth pair that is up, and what b received."""

    def __init__(self, mtu: int = 1500, up: bool = True) -> None:
        self.kernel = Kernel()
        self.a, self.b = create_veth(self.kernel, "eth0", mac(1), "veth1234567", mac(2), mtu)
        self.received: list[tuple[int, Frame]] = []
        self.b.upper = lambda frame: self.received.append((self.kernel.now, frame))
        if up:
            self.a.set_up()
            self.b.set_up()

    def send(self, size: int = 42) -> bool:
        return self.a.transmit(Frame(data_to(mac(2), mac(1), size), self.kernel.next_packet_id()))


def test_a_frame_crosses_unpadded_at_the_same_instant_but_not_by_a_direct_call():
    pair = Pair()
    pair.kernel.call_later(5, lambda _: (pair.send(42), pair.received.append("sent")))
    pair.kernel.run()
    assert pair.received[0] == "sent"
    time_ns, frame = pair.received[1]
    assert time_ns == 5
    assert len(frame.data) == 42


def test_there_is_a_carrier_only_while_both_ends_are_up():
    pair = Pair(up=False)
    assert not pair.a.carrier
    pair.a.set_up()
    assert not pair.a.carrier
    pair.b.set_up()
    assert pair.a.carrier
    assert pair.b.carrier
    pair.a.set_down()
    assert not pair.b.carrier
    assert pair.b.is_up


@pytest.mark.parametrize(("size", "fits"), [(1018, True), (1019, False)])
@pytest.mark.parametrize("settings", [{}, {"rate": "1Gbit"}, {"loss": 0.0, "delay": "1ms"}])
def test_the_mtu_of_the_peer_decides_what_may_be_sent(size, fits, settings):
    pair = Pair()
    pair.a.set(**settings)
    pair.b.set_mtu(1000)
    assert pair.send(size) is fits
    pair.kernel.run()
    assert len(pair.received) == fits
    assert pair.b.rx_dropped == (not fits)
    assert pair.a.drops == ({} if fits else {DropReason.FRAME_TOO_BIG: 1})
    assert pair.a.tx_packets == fits


def test_a_capture_shows_what_the_peer_refuses_at_the_sending_end_only():
    """FACT 30; recorded in f6-mtu-o1-eth0: Linux shows a frame to captures before the device refuses it."""
    pair = Pair()
    pair.b.set_mtu(1000)
    seen = []
    for device in (pair.a, pair.b):
        device.add_tap(lambda now_ns, frame, direction, name=device.name: seen.append((name, direction)))
    assert not pair.send(1019)
    pair.kernel.run()
    assert seen == [(pair.a.name, DIRECTION_OUT)]


def test_the_senders_own_mtu_does_not_limit_it():
    pair = Pair()
    pair.a.set_mtu(1000)
    assert pair.send(1518)


def test_sending_while_down_or_without_carrier_is_counted_and_silent():
    pair = Pair()
    pair.b.set_down()
    assert pair.send()
    pair.a.set_down()
    assert pair.send()
    assert pair.a.drops == {DropReason.NO_CARRIER: 1, DropReason.DEVICE_DOWN: 1}
    assert pair.a.tx_dropped == 2
    assert pair.a.tx_packets == 0


def test_a_frame_under_way_to_a_device_that_went_down_is_dropped_there():
    pair = Pair()
    pair.a.set(delay="1ms")
    pair.send()
    pair.kernel.call_later(10, lambda _: pair.b.set_down())
    pair.kernel.run()
    assert pair.received == []
    assert pair.b.drops == {DropReason.DEVICE_DOWN: 1}
    assert pair.b.rx_dropped == 1


def test_both_ends_count_and_show_the_frame_once():
    pair = Pair()
    seen = []
    pair.a.add_tap(lambda now, frame, direction: seen.append(("a", direction)))
    pair.b.add_tap(lambda now, frame, direction: seen.append(("b", direction)))
    pair.send(100)
    pair.kernel.run()
    assert seen == [("a", DIRECTION_OUT), ("b", DIRECTION_IN)]
    assert (pair.a.tx_packets, pair.a.tx_bytes) == (1, 100)
    assert (pair.b.rx_packets, pair.b.rx_bytes) == (1, 100)


def test_a_rate_on_a_veth_counts_the_bytes_of_the_frame_only_and_one_way_only():
    pair = Pair()
    pair.a.set(rate="8Mbit")  # one byte per microsecond
    pair.send(42)
    pair.kernel.run()
    assert [time_ns for time_ns, _ in pair.received] == [42_000]
    back = []
    pair.a.upper = lambda frame: back.append(pair.kernel.now)
    pair.b.transmit(Frame(bytes(60), 1))
    pair.kernel.run()
    assert back == [42_000]


def test_deleting_one_end_deletes_both():
    pair = Pair()
    pair.b.delete()
    assert pair.a.is_deleted
    assert not pair.a.is_up
    pair.a.set_up()
    assert not pair.a.is_up


@pytest.mark.parametrize("mtu", [67, 65536, -1, True, "1500"])
def test_an_impossible_mtu_is_refused(mtu):
    with pytest.raises(InvalidValue, match="expected 68 to 65535 bytes"):
        create_veth(Kernel(), "eth0", mac(1), "veth0", mac(2), mtu)


def test_a_multicast_mac_is_refused_in_the_kernels_words():
    with pytest.raises(InvalidValue) as caught:
        create_veth(Kernel(), "eth0", mac(1), "veth9838b99", bytes.fromhex("01005e334455"))
    assert str(caught.value) == (
        'error setting interface "veth9838b99" MAC to "01:00:5e:33:44:55": cannot assign requested address'
    )


def test_the_last_frame_of_a_device_is_over_when_the_call_returns_even_on_a_slow_line():
    pair = Pair()
    pair.a.set(delay="1s", rate="1kbit")
    shown: list[tuple[str, int]] = []
    pair.a.add_tap(lambda now_ns, frame, direction: shown.append(("a", direction)))
    pair.b.add_tap(lambda now_ns, frame, direction: shown.append(("b", direction)))
    frame = Frame(data_to(mac(2), mac(1), 60), 7)
    pair.a.transmit_last(frame)
    pair.a.delete()
    assert pair.received == [(0, frame)]
    assert shown == [("a", DIRECTION_OUT), ("b", DIRECTION_IN)]
    assert (pair.a.tx_packets, pair.a.tx_bytes, pair.b.rx_packets) == (1, 60, 1)


def test_the_last_frame_of_a_device_that_is_down_is_counted_as_any_other():
    pair = Pair(up=False)
    pair.a.transmit_last(Frame(data_to(mac(2), mac(1)), 7))
    assert (pair.received, pair.a.tx_dropped) == ([], 1)
