"""DHCP under chance: losses, duplicates, restarts and arbitrary bytes never give one address to two live clients."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from emu.traffic.dhcp_client import DhcpClient
from emu.traffic.dhcp_frames import build_frame, read_frame
from emu.traffic.dhcp_profile import PROFILES
from emu.traffic.dhcp_server import DhcpServer
from emu.traffic.dhcp_transitions import TRANSITIONS
from emu.wire import dhcp
from emu.wire.address import BROADCAST_MAC, LIMITED_BROADCAST_IPV4, ipv4_to_bytes
from emu.wire.dhcp import DhcpMessage
from tests.stack.world import SECOND
from tests.traffic.dhcp_lan import DhcpLan

MAC = b"\x02\0\0\0\0\x07"
option_values = st.binary(max_size=12)
kinds = st.sampled_from(tuple(dhcp.TYPE_NAMES))
near_addresses = st.integers(0, 30).map(lambda last: bytes((10, 0, 0, last))) | st.binary(min_size=4, max_size=4)


@st.composite
def hostile_messages(draw, operation):
    codes = st.sampled_from((1, 3, 6, 12, 15, 26, 50, 51, 54, 55, 58, 59, 61, 121))
    options = [(53, bytes((draw(kinds),)))] if draw(st.integers(0, 9)) else []
    if draw(st.booleans()):
        options.append((54, ipv4_to_bytes("10.0.0.1")))
    if draw(st.booleans()):
        options.append((50, draw(near_addresses)))
    options += draw(st.lists(st.tuples(codes, option_values), max_size=5))
    return DhcpMessage(
        operation,
        draw(st.sampled_from((0, 1, 0xFFFFFFFF))),
        MAC,
        tuple(dict(reversed(options)).items()),
        flags=draw(st.sampled_from((0, 0x8000))),
        client_address=draw(st.just(bytes(4)) | near_addresses),
        your_address=draw(near_addresses),
        relay_address=draw(st.just(bytes(4)) | near_addresses),
    )


@given(st.lists(hostile_messages(dhcp.OPERATION_REQUEST), max_size=12))
def test_a_server_survives_any_sequence_of_messages_and_all_it_says_can_be_built(messages):
    server = DhcpServer(DhcpLan(serves=False).settings())
    for now_ns, message in enumerate(messages):
        for action in server.receive(now_ns * SECOND, message):
            assert len(dhcp.build_dhcp(action.message)) >= 300


@given(st.lists(hostile_messages(dhcp.OPERATION_REPLY), max_size=12), st.sampled_from(sorted(PROFILES)))
def test_a_client_survives_any_sequence_of_answers(messages, profile):
    client = DhcpClient(PROFILES[profile], MAC, Random(1))
    now_ns = 0
    client.start(now_ns)
    for message in messages:
        if client.deadline_ns is not None:
            assert client.deadline_ns >= now_ns
            now_ns = client.deadline_ns
            client.expire(now_ns)
        fields = {name: getattr(message, name) for name in message.__slots__}
        fields["transaction_id"] = client._transaction_id
        client.receive(now_ns, DhcpMessage(**fields))
    client.stop(now_ns)
    assert (client.state, client.deadline_ns) == ("STOPPED", None)


def test_every_transition_of_the_client_leads_to_a_state_and_names_methods():
    states = {state for state, _ in TRANSITIONS} | {"STOPPED"}
    for next_state, actions in TRANSITIONS.values():
        assert next_state in states
        assert all(callable(getattr(DhcpClient, f"_{action}")) for action in actions)


def test_a_frame_that_was_built_is_read_back():
    message = DhcpMessage(1, 1, MAC, ((53, b"\x01"),))
    data = build_frame(message, (MAC, BROADCAST_MAC), (bytes(4), LIMITED_BROADCAST_IPV4), (68, 67))
    assert read_frame(data) == (message, MAC, bytes(4))
