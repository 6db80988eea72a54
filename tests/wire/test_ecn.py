"""Marks change two bits and the checksum, and only where the sender supports them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.wire.checksum import verify_ipv4_header
from emu.wire.ecn import ECN_CE, mark_congestion, traffic_class
from emu.wire.ipv4 import build_ipv4_header
from tests.wire.strategies import addresses, bytes_8

IPV4 = bytes(12) + b"\x08\x00"


@given(addresses, addresses, bytes_8, st.integers(0, 65535), st.binary(max_size=20))
def test_an_ipv4_mark_comes_with_the_right_checksum_and_changes_nothing_else(source, target, tos, ident, payload):
    header = build_ipv4_header(source, target, 6, len(payload), tos=tos, identification=ident)
    data = IPV4 + header + payload
    marked = mark_congestion(data)
    if tos & 3 == 0:
        assert marked is None
        return
    assert marked is not None
    assert traffic_class(marked) == tos | ECN_CE
    assert verify_ipv4_header(marked, 14, 20)
    assert marked[:15] + marked[16:24] + marked[26:] == data[:15] + data[16:24] + data[26:]


@pytest.mark.parametrize(("ecn", "marked"), [(0, None), (1, 3), (2, 3), (3, 3)])
def test_ipv6_has_no_checksum_and_the_same_bits(ecn, marked):
    word = 6 << 12 | (0xB8 | ecn) << 4 | 0xA
    data = bytes(12) + b"\x86\xdd" + word.to_bytes(2, "big") + bytes(range(38))
    result = mark_congestion(data)
    assert (None if result is None else traffic_class(result)) == (None if marked is None else 0xB8 | marked)
    if result is not None:
        assert result[:15] + result[16:] == data[:15] + data[16:]
        assert result[15] & 0xCF == data[15] & 0xCF


def test_what_is_marked_already_is_the_same_object():
    data = IPV4 + build_ipv4_header(bytes(4), bytes(4), 6, 0, tos=ECN_CE)
    assert mark_congestion(data) is data


@pytest.mark.parametrize("ethertype", ["0806", "8100", "88cc"])
def test_what_is_not_ip_cannot_be_marked(ethertype):
    assert mark_congestion(bytes(12) + bytes.fromhex(ethertype) + b"\xff" * 46) is None


@given(st.binary(max_size=60))
def test_arbitrary_bytes_never_raise(data):
    for ethertype in (b"\x08\x00", b"\x86\xdd", b""):
        frame = data[:12] + ethertype + data[12:]
        marked = mark_congestion(frame)
        assert marked is None or len(marked) == len(frame)
