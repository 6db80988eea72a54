"""The internet checksum against a textbook implementation, and its incremental update against recomputing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.wire import checksum
from tests.wire.strategies import addresses, words

short_data = st.binary(max_size=70) | st.integers(0, 70).map(bytes) | st.integers(0, 70).map(lambda n: b"\xff" * n)


def textbook_sum(data: bytes) -> int:
    """RFC 1071 section 4.1, word by word with end-around carry."""
    total = 0
    for position in range(0, len(data) - 1, 2):
        total += data[position] << 8 | data[position + 1]
        total = (total & 0xFFFF) + (total >> 16)
    if len(data) & 1:
        total += data[-1] << 8
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(short_data)
def test_the_sum_and_the_checksum_are_those_of_the_textbook(data):
    assert checksum.checksum_sum(data) == textbook_sum(data)
    assert checksum.internet_checksum(data) == 0xFFFF - textbook_sum(data)


@pytest.mark.parametrize("fill", [b"\xff", b"\x00", b"\x00\x00\x00\x01", bytes(range(251)), b"\x80" * 7 + b"\x01"])
def test_every_length_at_which_the_folding_changes_gives_the_textbook_sum(fill):
    edges = (256, 257, 511, 512, 513, 1023, 1024, 1025, 1472, 1535, 1536, 1537, 2047, 2048, 2049, 4096, 4097, 9001)
    for length in edges:
        data = (fill * length)[:length]
        assert checksum.checksum_sum(data) == textbook_sum(data), length


@given(st.integers(0, 65535), st.binary(min_size=1, max_size=64))
def test_long_data_gives_the_textbook_sum(length, pattern):
    data = (pattern * (length // len(pattern) + 1))[:length]
    assert checksum.checksum_sum(data) == textbook_sum(data)


def test_the_example_of_rfc_1071():
    data = bytes.fromhex("0001f203f4f5f6f7")
    assert checksum.checksum_sum(data) == 0xDDF2
    assert checksum.internet_checksum(data) == 0x220D


def test_the_two_zeros_of_ones_complement_are_kept_apart():
    assert checksum.internet_checksum(bytes(8)) == 0xFFFF
    assert checksum.internet_checksum(b"\xff\xff") == 0
    assert checksum.internet_checksum(b"\x12\x34\xed\xcb") == 0
    assert checksum.internet_checksum(b"") == 0xFFFF


@given(short_data.filter(any))
def test_data_with_its_own_checksum_verifies_and_any_flipped_bit_is_noticed(data):
    data += bytes(len(data) & 1)
    whole = data + checksum.internet_checksum(data).to_bytes(2, "big")
    assert checksum.verify_internet_checksum(whole)
    assert checksum.verify_ipv4_header(b"xx" + whole, 2, len(whole))
    for bit in range(0, len(whole) * 8, 13):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        assert not checksum.verify_internet_checksum(bytes(broken))
        assert not checksum.verify_ipv4_header(bytes(broken), 0, len(broken))


def test_nothing_but_zeros_is_not_taken_for_a_valid_message():
    assert not checksum.verify_internet_checksum(bytes(20))


@given(st.binary(min_size=2, max_size=40).filter(lambda data: len(data) % 2 == 0), st.data(), words)
def test_an_incremental_update_equals_computing_everything_again(data, draw, new_word):
    position = 2 * draw.draw(st.integers(0, len(data) // 2 - 1))
    changed = data[:position] + new_word.to_bytes(2, "big") + data[position + 2 :]
    if not any(changed):
        return
    old = checksum.internet_checksum(data)
    old_word = int.from_bytes(data[position : position + 2], "big")
    assert checksum.update_checksum(old, old_word, new_word) == checksum.internet_checksum(changed)


@given(st.binary(min_size=4, max_size=4), addresses, addresses.filter(any), words)
def test_an_incremental_update_of_an_address_equals_computing_everything_again(before, old, new, after):
    def whole(address):
        return before + address + after.to_bytes(2, "big")

    computed = checksum.internet_checksum(whole(new))
    present = checksum.internet_checksum(whole(old))
    assert checksum.update_checksum_bytes(present, old, new) == computed
    old_number, new_number = int.from_bytes(old, "big"), int.from_bytes(new, "big")
    assert checksum.update_checksum(present, old_number, new_number) == computed


def test_the_corner_case_of_rfc_1624_section_4():
    assert checksum.update_checksum(0xDD2F, 0x5555, 0x3285) == 0x0000


def test_a_received_checksum_of_ffff_which_means_zero_too_is_updated_to_what_verifies():
    rest = b"\x12\x34\xed\xcb"
    assert checksum.verify_internet_checksum(rest + b"\xff\xff")
    updated = checksum.update_checksum(0xFFFF, 0x1234, 0x1233)
    assert checksum.verify_internet_checksum(b"\x12\x33\xed\xcb" + updated.to_bytes(2, "big"))


@given(addresses, addresses, st.binary(max_size=60), words, words, addresses)
def test_a_udp_checksum_is_never_zero_and_survives_address_translation(source, destination, data, first, second, other):
    head = first.to_bytes(2, "big") + second.to_bytes(2, "big") + (len(data) + 8).to_bytes(2, "big")
    made = checksum.udp_checksum(source, destination, head + b"\0\0" + data)
    assert made != 0
    assert checksum.verify_udp(source, destination, head + made.to_bytes(2, "big") + data)
    translated = checksum.update_udp_checksum(made, source, other)
    assert translated == checksum.udp_checksum(other, destination, head + b"\0\0" + data)


def test_a_udp_checksum_that_comes_out_as_zero_is_sent_as_ffff_even_after_an_update():
    source, destination, ports_and_length = bytes(4), bytes(4), b"\x00\x00\x00\x00\x00\x0a"
    data = (0xFFFF - 17 - 10 - 10).to_bytes(2, "big")
    assert checksum.udp_checksum(source, destination, ports_and_length + b"\0\0" + data) == 0xFFFF
    one_more = checksum.udp_checksum(b"\0\0\0\1", destination, ports_and_length + b"\0\0" + data)
    assert checksum.update_udp_checksum(one_more, b"\0\0\0\1", bytes(4)) == 0xFFFF


def test_no_udp_checksum_stays_no_udp_checksum():
    assert checksum.update_udp_checksum(0, b"\1\2\3\4", b"\5\6\7\x08") == 0
    assert checksum.verify_udp(bytes(4), bytes(4), b"\x00\x01\x00\x02\x00\x09\x00\x00!")
