"""Frames that are left to the hardware: who lets them pass whole, and who finishes them."""

from __future__ import annotations

import pytest

from emu.device import EthernetPort, connect, create_veth
from emu.device.bridge import Bridge
from emu.kernel import Kernel
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from emu.wire.offload import CHECKSUM_ONLY, Offload, finished_frames
from emu.wire.tcp import ACK, PSH, parse_tcp
from emu.wire.tcp_flow import TcpFlowTemplate
from emu.wire.tcp_options import segment_options
from tests.device.lan import mac

A, B = b"\x0a\x00\x00\x02", b"\x0a\x00\x00\x03"
OPTIONS = segment_options((1, 2))
HEADERS = 14 + 20 + 32
LONG = Offload(1448)


def frame(size: int, offload: Offload | bool = LONG) -> Frame:
    template = TcpFlowTemplate(mac(2), mac(1), A, B, 80, 40000)
    payload = bytes(index & 0xFF for index in range(size))
    return Frame(template.stamp_unfinished(1, 1, 1, ACK | PSH, 64, OPTIONS, payload), 5, offload)


def is_whole(arrived: Frame) -> bool:
    view = parse_tcp(arrived.data, 34)
    assert view is not None
    return view.checksum_is_valid(A, B)


class Pair:
    """Two devices that are joined and up; what the second receives and what taps of the first show."""

    def __init__(self, kind: str, finishes: bool = True, **settings: object) -> None:
        self.kernel = Kernel(seed=3)
        if kind == "veth":
            self.a, self.b = create_veth(self.kernel, "a", mac(1), "b", mac(2))
        else:
            self.a, self.b = (EthernetPort(self.kernel, "eth0", mac(number)) for number in (1, 2))
            connect(self.a, self.b)
            if finishes:
                self.a.finish_offloads()
        self.a.set_up()
        self.b.set_up()
        self.a.set(**settings)
        self.arrived: list[Frame] = []
        self.times: list[int] = []
        self.b.upper = self._arrive
        self.tapped: list[Frame] = []
        self.a.add_tap(lambda now_ns, frame, direction: self.tapped.append(frame))

    def _arrive(self, frame: Frame) -> None:
        self.arrived.append(frame)
        self.times.append(self.kernel.now)

    def send(self, frame: Frame) -> bool:
        accepted = self.a.transmit(frame)
        self.kernel.run()
        return accepted


@pytest.mark.parametrize("settings", [{}, {"delay": "1ms"}, {"rate": "1Gbit"}, {"rate": "100Mbit", "queue": "codel"}])
def test_a_veth_pair_passes_a_long_segment_whole_whatever_its_mtu(settings):
    pair = Pair("veth", **settings)
    pair.b.set_mtu(1400)
    whole = frame(60_000)
    assert pair.send(whole)
    assert pair.arrived == pair.tapped == [whole]
    assert pair.a.counters["tx_packets"] == pair.b.counters["rx_packets"] == 1
    assert pair.a.size_limit == 1418


def test_a_veth_pair_still_refuses_a_frame_of_ordinary_kind_and_one_that_lacks_only_its_checksum():
    for offload in (False, CHECKSUM_ONLY):
        pair = Pair("veth")
        assert not pair.send(frame(3000, offload))
        assert pair.a.drops == {DropReason.FRAME_TOO_BIG: 1}
        assert pair.arrived == []


def test_a_veth_that_is_down_drops_a_long_segment_like_any_other():
    pair = Pair("veth")
    pair.a.set_down()
    assert pair.send(frame(60_000))
    assert pair.a.drops == {DropReason.DEVICE_DOWN: 1}


def test_a_bridge_forwards_a_long_segment_whatever_the_mtu_of_the_port():
    kernel = Kernel(seed=1)
    bridge = Bridge(kernel, "br0", mac(9))
    bridge.set_up()
    inner = []
    for number in (1, 2):
        outer, device = create_veth(kernel, f"v{number}", mac(10 + number), f"e{number}", mac(number), 1500)
        bridge.add_port(outer)
        outer.set_up()
        device.set_up()
        inner.append(device)
    arrived = []
    inner[1].upper = arrived.append
    for _ in range(2):  # flooded, then by the table
        inner[0].transmit(frame(60_000))
        kernel.run()
    assert [len(seen) for seen in arrived] == [60_000 + HEADERS] * 2


def test_a_network_card_shows_the_whole_segment_and_puts_pieces_on_the_wire():
    pair = Pair("ethernet", rate="1Gbit", delay="10us")
    whole = frame(4000)
    assert pair.send(whole)
    assert pair.tapped == [whole]
    assert [len(piece) - HEADERS for piece in pair.arrived] == [1448, 1448, 1104]
    assert all(is_whole(piece) and piece.altered is False and piece.packet_id == 5 for piece in pair.arrived)
    assert pair.times == [(1538 * 8) + 10_000, 2 * 1538 * 8 + 10_000, (2 * 1538 + 1194) * 8 + 10_000]
    assert pair.a.counters["tx_packets"] == 3
    assert pair.a.counters["tx_bytes"] == sum(map(len, pair.arrived))


def test_a_network_card_makes_a_checksum_that_is_missing():
    pair = Pair("ethernet")
    assert pair.send(frame(100, CHECKSUM_ONLY))
    assert [is_whole(piece) for piece in pair.arrived] == [True]
    assert not is_whole(pair.tapped[0])


def test_ordinary_frames_go_through_such_a_card_as_they_are():
    for altered in (False, True):
        pair = Pair("ethernet", rate="1Gbit")
        ordinary = frame(100, altered)
        assert pair.send(ordinary)
        assert pair.arrived == pair.tapped == [ordinary]


def test_with_a_queue_discipline_the_tap_shows_what_leaves_the_queue():
    pair = Pair("ethernet", rate="100Mbit", queue="codel")
    assert pair.send(frame(4000))
    assert len(pair.arrived) == len(pair.tapped) == 3
    assert all(is_whole(piece) for piece in pair.tapped)


def test_a_card_whose_queue_is_full_loses_the_last_pieces():
    pair = Pair("ethernet", rate="1Mbit", queue=3)
    assert pair.send(frame(10 * 1448))
    assert len(pair.arrived) == 4  # one on the line, three wait
    assert pair.a.counters["tx_dropped"] == 6


def test_a_token_bucket_that_could_never_hold_it_cuts_a_long_segment():
    pair = Pair("veth", rate="10Mbit", burst="5kB")
    assert pair.send(frame(4 * 1448))
    assert [len(piece) - HEADERS for piece in pair.arrived] == [1448] * 4
    assert all(is_whole(piece) for piece in pair.arrived)


def test_corruption_cuts_a_long_segment_and_damages_its_first_piece():
    pair = Pair("veth", corrupt=1.0)
    assert pair.send(frame(3 * 1448))
    assert [piece.altered for piece in pair.arrived] == [True, False, False]
    assert [is_whole(piece) for piece in pair.arrived[1:]] == [True, True]
    sound = finished_frames(frame(3 * 1448))[0].data
    damage = int.from_bytes(sound, "big") ^ int.from_bytes(pair.arrived[0].data, "big")
    assert damage.bit_count() == 1


def test_a_long_segment_is_lost_as_one():
    pair = Pair("veth", loss=1.0)
    pair.send(frame(3 * 1448))
    assert pair.arrived == []
    assert pair.a.drops == {DropReason.LOSS: 1}
