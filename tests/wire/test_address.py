"""Addresses as text and bytes."""

import ipaddress

import pytest
from hypothesis import given

from emu.kernel.errors import InvalidValue
from emu.wire import address
from tests.wire.strategies import addresses, macs


@given(addresses)
def test_an_ipv4_address_survives_text_and_back_and_reads_as_the_standard_library_writes_it(raw):
    text = address.ipv4_to_text(raw)
    assert text == str(ipaddress.IPv4Address(raw))
    assert address.ipv4_to_bytes(text) == raw
    assert address.is_ipv4_text(text)


@given(addresses)
def test_kinds_of_ipv4_addresses_agree_with_the_standard_library(raw):
    expected = ipaddress.IPv4Address(raw)
    assert address.is_multicast_ipv4(raw) == expected.is_multicast
    assert address.is_loopback_ipv4(raw) == expected.is_loopback
    assert address.is_link_local_ipv4(raw) == expected.is_link_local


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.-4",
        "01.2.3.4",
        "1.2.3.0x4",
        "1.2.3.4/8",
        " 1.2.3.4",
        "1..3.4",
        "١.2.3.4",
        None,
        5,
    ],
)
def test_a_wrong_ipv4_address_is_refused_with_the_text_and_an_example(text):
    with pytest.raises(InvalidValue, match=r"invalid IPv4 address .* such as 172\.17\.0\.2"):
        address.ipv4_to_bytes(text)
    assert not address.is_ipv4_text(text)


@given(macs)
def test_a_mac_address_survives_text_and_back(raw):
    text = address.mac_to_text(raw)
    assert len(text) == 17
    assert text == text.lower()
    assert address.mac_to_bytes(text) == raw
    assert address.mac_to_bytes(text.upper().replace(":", "-")) == raw
    assert address.is_mac_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "02:42:ac:11:00",
        "02:42:ac:11:00:0g",
        "0242ac110002",
        "02:42:ac:11:00:02:03",
        "2:42:ac:11:00:002",
        "02:42-ac:11:00:02",
        "02: 2:ac:11:00:02",
        None,
    ],
)
def test_a_wrong_mac_address_is_refused_with_the_text_and_an_example(text):
    with pytest.raises(InvalidValue, match=r"invalid MAC address .* such as 02:42:ac:11:00:02"):
        address.mac_to_bytes(text)
    assert not address.is_mac_text(text)


def test_kinds_of_mac_addresses():
    own = address.mac_to_bytes("02:42:ac:11:00:02")
    group = address.mac_to_bytes("01:80:c2:00:00:0f")
    assert address.is_valid_source_mac(own)
    assert not address.is_valid_source_mac(address.ZERO_MAC)
    assert not address.is_valid_source_mac(address.BROADCAST_MAC)
    assert address.is_group_mac(address.BROADCAST_MAC)
    assert not address.is_group_mac(own)
    assert address.is_locally_administered_mac(own)
    assert not address.is_locally_administered_mac(address.mac_to_bytes("00:16:3e:00:00:01"))
    assert address.is_reserved_group_mac(group)
    assert not address.is_reserved_group_mac(address.mac_to_bytes("01:80:c2:00:00:10"))
    assert not address.is_reserved_group_mac(own)


def test_a_multicast_group_maps_to_its_ethernet_address_without_its_upper_nine_bits():
    group = address.ipv4_to_bytes("239.129.2.3")
    assert address.mac_to_text(address.multicast_mac(group)) == "01:00:5e:01:02:03"
