"""DHCP messages: as Scapy would build and read them, padded, overloaded, split, and cut off anywhere."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP

from emu.kernel.errors import InvalidValue
from emu.wire import dhcp
from emu.wire.address import ipv4_to_text
from emu.wire.dhcp import DhcpMessage, build_dhcp, parse_dhcp
from emu.wire.drop import DropReason
from tests.wire.strategies import addresses, macs, words

MAC = b"\x02\x42\xac\x11\x00\x02"
codes = st.integers(1, 254).filter(lambda code: code != dhcp.OPTION_OVERLOAD)
options = st.lists(st.tuples(codes, st.binary(min_size=1, max_size=24)), max_size=8, unique_by=lambda option: option[0])


@st.composite
def messages(draw):
    return DhcpMessage(
        operation=draw(st.sampled_from((1, 2))),
        transaction_id=draw(st.integers(0, 2**32 - 1)),
        client_mac=draw(macs),
        options=tuple(draw(options)),
        seconds=draw(words),
        flags=draw(st.sampled_from((0, dhcp.FLAG_BROADCAST))),
        hops=draw(st.integers(0, 255)),
        client_address=draw(addresses),
        your_address=draw(addresses),
        next_server=draw(addresses),
        relay_address=draw(addresses),
        server_name=draw(st.sampled_from((b"", b"boot.example"))),
        boot_file=draw(st.sampled_from((b"", b"pxelinux.0"))),
    )


def raw_options(layer):
    """The options of a Scapy DHCP layer as (code, value), read from what it builds."""
    area, found, offset = bytes(layer), [], 0
    while area[offset] != dhcp.OPTION_END:
        length = area[offset + 1]
        found.append((area[offset], area[offset + 2 : offset + 2 + length]))
        offset += 2 + length
    return tuple(found)


@given(messages())
def test_what_is_built_is_read_back_in_order(message):
    assert parse_dhcp(build_dhcp(message)) == message


@given(messages())
def test_scapy_reads_the_same_fields(message):
    payload = build_dhcp(message)
    read = BOOTP(payload)
    assert (read.op, read.htype, read.hlen, read.hops) == (message.operation, 1, 6, message.hops)
    assert (read.xid, read.secs, int(read.flags)) == (message.transaction_id, message.seconds, message.flags)
    assert [read.ciaddr, read.yiaddr, read.siaddr, read.giaddr] == [
        ipv4_to_text(address)
        for address in (message.client_address, message.your_address, message.next_server, message.relay_address)
    ]
    assert read.chaddr[:6] == message.client_mac
    assert read.sname.rstrip(b"\0") == message.server_name
    assert read.file.rstrip(b"\0") == message.boot_file
    assert raw_options(read[DHCP]) == message.options


def scapy_message(kind, extra):
    bootp = BOOTP(chaddr=MAC.ljust(16, b"\0"), xid=0x1234, flags=0x8000)
    return bytes(bootp / DHCP(options=[("message-type", kind), *extra, "end"]))


@pytest.mark.parametrize(
    ("kind", "extra", "ours"),
    [
        ("discover", [("param_req_list", [1, 3, 6])], (1, ((53, b"\x01"), (55, b"\x01\x03\x06")))),
        (
            "request",
            [("requested_addr", "10.0.0.5"), ("server_id", "10.0.0.1")],
            (3, ((53, b"\x03"), (50, bytes((10, 0, 0, 5))), (54, bytes((10, 0, 0, 1))))),
        ),
        ("nak", [("server_id", "10.0.0.1")], (6, ((53, b"\x06"), (54, bytes((10, 0, 0, 1)))))),
        ("ack", [("lease_time", 600)], (5, ((53, b"\x05"), (51, b"\x00\x00\x02\x58")))),
    ],
)
def test_messages_that_scapy_builds_are_read_and_built_alike(kind, extra, ours):
    theirs = scapy_message(kind, extra)
    message = parse_dhcp(theirs)
    assert isinstance(message, DhcpMessage)
    assert (message.message_type, message.options) == ours
    assert build_dhcp(message) == theirs.ljust(dhcp.MINIMUM_LENGTH, b"\0")


@given(messages())
def test_a_message_is_never_shorter_than_bootp_asks_for_nor_longer_than_everybody_takes(message):
    assert 300 <= len(build_dhcp(message)) <= 548


@given(st.integers(256, 700))
def test_a_long_value_is_split_and_joined_again(length):
    message = DhcpMessage(2, 7, MAC, ((53, b"\x05"), (121, bytes(length))))
    assert parse_dhcp(build_dhcp(message, maximum_length=1500)) == message


def test_options_without_room_go_into_the_boot_file_and_the_server_name():
    values = tuple((code, bytes((code,)) * 60) for code in range(200, 207))
    payload = build_dhcp(DhcpMessage(2, 7, MAC, values))
    assert len(payload) == 240 + 4 * 62 + 3 + 1
    assert payload[108:110] == bytes((204, 60))
    assert payload[44:46] == bytes((206, 60))
    assert payload[-4:] == bytes((52, 1, 3, 255))
    read = parse_dhcp(payload)
    assert isinstance(read, DhcpMessage)
    assert (read.options, read.boot_file, read.server_name) == (values, b"", b"")


def test_options_never_overwrite_a_boot_file_that_is_there():
    values = tuple((code, bytes(60)) for code in range(200, 205))
    message = DhcpMessage(2, 7, MAC, values, boot_file=b"pxelinux.0")
    assert parse_dhcp(build_dhcp(message)) == message


def test_too_many_options_are_refused():
    values = tuple((code, bytes(60)) for code in range(200, 210))
    with pytest.raises(InvalidValue, match="DHCP options of 620 bytes find no room"):
        build_dhcp(DhcpMessage(2, 7, MAC, values))


@pytest.mark.parametrize("code", [0, 52, 255])
def test_codes_that_frame_the_options_cannot_be_options(code):
    with pytest.raises(InvalidValue, match=f"DHCP option {code}"):
        build_dhcp(DhcpMessage(1, 7, MAC, ((code, b"\0"),)))


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_read_or_refused_with_a_reason(data):
    assert isinstance(parse_dhcp(data), DhcpMessage | DropReason)


@given(st.binary(max_size=300))
def test_arbitrary_options_are_read_or_refused_with_a_reason(area):
    header = build_dhcp(DhcpMessage(1, 7, MAC))[:240]
    assert isinstance(parse_dhcp(header + area), DhcpMessage | DropReason)


@given(messages(), st.data())
def test_a_message_cut_inside_an_option_is_dropped_with_that_reason(message, data):
    assume(message.options)
    cut = data.draw(st.integers(1, len(message.options[0][1]) + 1))
    assert parse_dhcp(build_dhcp(message)[: 240 + cut]) is DropReason.DHCP_OPTION_TRUNCATED


@given(messages(), st.integers(0, 239))
def test_a_message_cut_before_the_options_is_dropped_with_that_reason(message, length):
    assert parse_dhcp(build_dhcp(message)[:length]) is DropReason.DHCP_TRUNCATED


@pytest.mark.parametrize("change", [(0, 3), (1, 6), (2, 8), (236, 0)])
def test_other_hardware_operations_and_cookies_are_refused(change):
    payload = bytearray(build_dhcp(DhcpMessage(1, 7, MAC)))
    payload[change[0]] = change[1]
    assert parse_dhcp(bytes(payload)) is DropReason.DHCP_HEADER


def test_an_overload_option_of_a_wrong_length_or_value_is_refused():
    header = build_dhcp(DhcpMessage(1, 7, MAC))[:240]
    assert parse_dhcp(header + b"\x34\x01\x04\xff") is DropReason.DHCP_HEADER
    assert parse_dhcp(header + b"\x34\x02\x01\x01\xff") is DropReason.DHCP_HEADER


def test_a_missing_end_option_and_padding_between_options_are_tolerated():
    header = build_dhcp(DhcpMessage(1, 7, MAC))[:240]
    read = parse_dhcp(header + b"\0\0\x35\x01\x01\0\x0c\x01a")
    assert isinstance(read, DhcpMessage)
    assert read.options == ((53, b"\x01"), (12, b"a"))


def test_options_of_a_wrong_length_have_no_meaning():
    read = DhcpMessage(1, 7, MAC, ((53, b"\x01\x01"), (50, b"\1\2\3"), (51, b"\0")))
    assert read.message_type is None
    assert read.address_option(dhcp.OPTION_REQUESTED_ADDRESS) is None
    assert read.number_option(dhcp.OPTION_LEASE_TIME) is None


@given(st.lists(st.tuples(st.integers(0, 32), addresses, addresses), max_size=6))
def test_classless_routes_are_read_back(routes):
    routes = [(mask(network, prefix), prefix, gateway) for prefix, network, gateway in routes]
    assert dhcp.decode_classless_routes(dhcp.encode_classless_routes(routes)) == routes


def mask(network, prefix):
    value = int.from_bytes(network, "big") >> (32 - prefix) << (32 - prefix)
    return value.to_bytes(4, "big")


@given(st.binary(max_size=40))
def test_arbitrary_classless_routes_never_raise(value):
    routes = dhcp.decode_classless_routes(value)
    assert routes is None or all(len(network) == len(gateway) == 4 for network, _, gateway in routes)


def test_the_example_of_rfc_3442_is_built_exactly():
    routes = [(bytes((10, 17, 0, 0)), 16, bytes((10, 0, 0, 1))), (bytes(4), 0, bytes((10, 0, 0, 2)))]
    assert dhcp.encode_classless_routes(routes) == bytes((16, 10, 17, 10, 0, 0, 1, 0, 10, 0, 0, 2))
