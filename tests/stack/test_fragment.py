"""Fragmentation and reassembly, alone and in a namespace (RFC 791; FACTS 31, 34)."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.stack.fragment import (
    DUPLICATE,
    MALFORMED,
    MEMORY,
    OVERLAP,
    Reassembled,
    Reassembler,
    fragment_packet,
    truesize,
)
from emu.stack.output import build_packet
from emu.wire.checksum import checksum_sum
from emu.wire.frame import Frame
from tests.stack.world import SECOND, Pinger, two_hosts

A, B = bytes((10, 9, 0, 1)), bytes((10, 9, 0, 2))


def packet_of(size: int, identification: int = 7, **options: object) -> bytes:
    payload = bytes((index * 7 + identification) & 0xFF for index in range(size))
    return build_packet(A, B, 17, payload, identification=identification, ttl=64, **options)  # type: ignore[arg-type]


def field_of(packet: bytes) -> tuple[bool, int, int]:
    """(more fragments, offset in bytes, data length)"""
    field = int.from_bytes(packet[6:8], "big")
    return bool(field & 0x2000), (field & 0x1FFF) * 8, len(packet) - 20


def test_4000_bytes_become_three_fragments_as_recorded() -> None:
    """v20.10 a7: 1480 + 1480 + 1048 bytes of data, one identification, MF on all but the last."""
    fragments = fragment_packet(packet_of(4008), 1500)
    assert [field_of(fragment) for fragment in fragments] == [(True, 0, 1480), (True, 1480, 1480), (False, 2960, 1048)]
    assert {fragment[4:6] for fragment in fragments} == {b"\0\x07"}


def test_an_mtu_of_1400_leaves_1376_bytes_per_fragment_as_recorded() -> None:
    """linux/g9: fragments of 1396 and 124 bytes."""
    assert [len(fragment) for fragment in fragment_packet(packet_of(1480), 1400)] == [1396, 124]


@given(st.integers(0, 9000), st.integers(68, 2000))
def test_fragments_fit_cover_everything_once_and_have_right_checksums(size: int, mtu: int) -> None:
    packet = packet_of(size)
    fragments = fragment_packet(packet, mtu)
    position = 0
    for index, fragment in enumerate(fragments):
        more, offset, length = field_of(fragment)
        assert len(fragment) <= mtu
        assert offset == position
        assert more == (index < len(fragments) - 1)
        assert int.from_bytes(fragment[2:4], "big") == len(fragment)
        assert checksum_sum(fragment[:20]) == 65535
        position += length
    assert b"".join(fragment[20:] for fragment in fragments) == packet[20:]


@given(
    st.lists(st.integers(0, 6000), min_size=1, max_size=4),
    st.integers(100, 1500),
    st.integers(100, 1500),
    st.randoms(use_true_random=False),
    st.sampled_from([0.0, 0.2]),
)
def test_reassembly_undoes_fragmentation_whatever_is_lost_doubled_or_swapped(
    sizes: list[int], mtu: int, second_mtu: int, random: Random, loss: float
) -> None:
    packets = {identification: packet_of(size + 1600, identification) for identification, size in enumerate(sizes)}
    in_flight: list[bytes] = []
    lost: set[int] = set()
    for identification, packet in packets.items():
        for fragment in fragment_packet(packet, mtu):
            for piece in fragment_packet(fragment, second_mtu):  # a second, smaller link on the way
                if random.random() < loss:
                    lost.add(identification)
                else:
                    in_flight += [piece] * random.choice((1, 1, 2))
    random.shuffle(in_flight)
    reassembler = Reassembler()
    done: dict[int, bytes] = {}
    for piece in in_flight:
        outcome = reassembler.add(0, piece, 100 + int.from_bytes(piece[4:6], "big"))
        if isinstance(outcome, Reassembled):
            identification = int.from_bytes(outcome.packet[4:6], "big")
            assert outcome.packet_id == 100 + identification, "the passport stays"
            done[identification] = outcome.packet
        else:
            assert outcome in (None, DUPLICATE)
    assert done == {identification: packet for identification, packet in packets.items() if identification not in lost}
    reassembler.expire(31 * SECOND)
    assert (len(reassembler), reassembler.memory) == (0, 0)


def test_an_overlap_drops_the_whole_datagram() -> None:
    reassembler = Reassembler()
    first, second, third = fragment_packet(packet_of(4008), 1500)
    shifted = second[:6] + (0x2000 | 1472 // 8).to_bytes(2, "big") + second[8:]
    assert reassembler.add(0, first, 1) is None
    assert reassembler.add(0, shifted, 1) is OVERLAP
    assert len(reassembler) == 0
    assert reassembler.add(0, second, 1) is None
    assert reassembler.add(0, third, 1) is None, "the first is gone"


def test_nothing_may_lie_behind_the_end() -> None:
    reassembler = Reassembler()
    first, second, third = fragment_packet(packet_of(4008), 1500)
    ended = second[:6] + (1480 // 8).to_bytes(2, "big") + second[8:]
    assert reassembler.add(0, ended, 1) is None
    assert reassembler.add(0, third, 1) is OVERLAP
    assert first


def test_a_datagram_of_more_than_65535_bytes_is_not_put_together() -> None:
    reassembler = Reassembler()
    last = packet_of(100)
    last = last[:6] + (0x1FFF).to_bytes(2, "big") + last[8:]
    assert reassembler.add(0, last, 1) is MALFORMED


def test_memory_is_limited_to_4_mib_and_given_back() -> None:
    reassembler = Reassembler()
    per_fragment = truesize(1500)
    accepted = 0
    for identification in range(2000):
        if reassembler.add(0, fragment_packet(packet_of(3000, identification), 1500)[0], 1) is MEMORY:
            break
        accepted += 1
    assert accepted == 4 * 1024 * 1024 // per_fragment
    assert len(reassembler.expire(30 * SECOND)) == accepted
    assert reassembler.memory == 0


def test_options_without_copy_flag_stay_in_the_first_fragment() -> None:
    record_route = b"\x07\x07\x04\0\0\0\0"
    security = b"\x82\x04\xaa\xbb"
    options = record_route + security + b"\0"
    header = bytes((0x48,)) + packet_of(0)[1:20]
    packet = header + options + bytes(2000)
    packet = packet[:2] + len(packet).to_bytes(2, "big") + packet[4:]
    first, second = fragment_packet(packet, 1500)
    assert first[20:32] == options
    assert second[20:32] == b"\x01" * 7 + security + b"\0"


# -- in a namespace ---------------------------------------------------------------------------------------------------


def test_a_ping_of_4000_bytes_is_cut_answered_and_put_together_again() -> None:
    world, h1, _ = two_hosts()
    pinger = Pinger(world, h1)
    pinger.ping("10.9.0.2", size=4000)
    world.run()
    requests = [data for _, _, _, data in world.icmp("h1:eth0", 2)]
    replies = [data for _, _, _, data in world.icmp("h2:eth0", 2)]
    assert [field_of(data[14:])[1:] for data in requests] == [(0, 1480), (1480, 1480), (2960, 1048)]
    assert [field_of(data[14:])[1:] for data in replies] == [(0, 1480), (1480, 1480), (2960, 1048)]
    assert len(pinger.replies) == 1
    ids = {frame.packet_id for _, way, frame in world.seen["h1:eth0"] if way == 2 and frame.data[12:14] == b"\x08\0"}
    assert len(ids) == 1, "fragments share the passport"


def lonely_fragment(index: int) -> tuple[object, object]:
    world, h1, h2 = two_hosts()
    Pinger(world, h1).ping("10.9.0.2")
    world.run(SECOND)
    fragment = fragment_packet(packet_of(3000), 1500)[index]
    data = h2.device("eth0").mac + h1.device("eth0").mac + b"\x08\0" + fragment
    world.kernel.soon(h2.device("eth0").receive, Frame(data, 900))
    return world, h2


@pytest.mark.parametrize(("index", "answered"), [(0, True), (1, False)])
def test_after_30_seconds_the_sender_is_told_only_if_the_first_fragment_came(index: int, answered: bool) -> None:
    world, _ = lonely_fragment(index)
    world.run()  # type: ignore[attr-defined]
    told = [(t, kind, code) for t, kind, code, _ in world.icmp("h2:eth0", 2) if kind == 11]  # type: ignore[attr-defined]
    assert told == ([(31 * SECOND, 11, 1)] if answered else [])
    assert ("REASSEMBLY_TIMEOUT", "h2:eth0") in [(why, where) for _, why, where in world.drops]  # type: ignore[attr-defined]


def test_the_error_quotes_the_first_fragment_up_to_576_bytes() -> None:
    world, _ = lonely_fragment(0)
    world.run()  # type: ignore[attr-defined]
    error = next(data for _, kind, _, data in world.icmp("h2:eth0", 2) if kind == 11)  # type: ignore[attr-defined]
    assert len(error) - 14 == 576
    assert error[42:62] == fragment_packet(packet_of(3000), 1500)[0][:20]
