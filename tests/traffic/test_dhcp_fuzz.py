"""Hostile frames on the wire: nothing raises, no run ends, and what cannot be read is dropped with a reason."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import lru_cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.kernel.errors import InvalidValue
from emu.traffic.dhcp_client import DhcpClient
from emu.traffic.dhcp_client_actions import Bind
from emu.traffic.dhcp_frames import is_udp_to, read_frame
from emu.traffic.dhcp_leases import LeaseTable
from emu.traffic.dhcp_profile import PROFILES
from emu.traffic.dhcp_program import LeaseInstaller
from emu.wire import dhcp
from emu.wire.address import ipv4_to_bytes
from emu.wire.checksum import internet_checksum
from emu.wire.dhcp import DhcpMessage
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from tests.stack.world import SECOND
from tests.traffic.dhcp_lan import Client, DhcpLan

UDP_CHECKSUM = slice(40, 42)
OPTIONS = 42 + 240
UNREADABLE = {
    "DHCP_TRUNCATED",
    "DHCP_HEADER",
    "DHCP_OPTION_TRUNCATED",
    "MALFORMED",
    "IP_CHECKSUM",
    "UDP_CHECKSUM",
}


@lru_cache(maxsize=1)
def recorded() -> tuple[bytes, ...]:
    """Every DHCP and ARP frame of a lease's whole life: leased, renewed, declined, refused, released."""
    lan = DhcpLan(domain="lan.example", mtu=1400, routes=((ipv4_to_bytes("10.5.0.0"), 16, ipv4_to_bytes("10.0.0.9")),))
    lan.squat("10.0.0.11")
    clients = [Client(lan, "web", host_name="web"), Client(lan, "db", "rfc2131", requested="192.168.7.7", reboot=True)]
    lan.world.at(400 * SECOND, clients[0].program.stop)
    lan.run(410)
    frames = [frame.data for client in clients for _, _, frame in lan.world.seen[client.device.label]]
    kinds = {frame[OPTIONS + 2] for frame in frames if is_udp_to(frame, 67) or is_udp_to(frame, 68)}
    assert kinds >= {1, 2, 3, 4, 5, 6, 7}
    return tuple(dict.fromkeys(frames))


def with_good_checksums(data: bytes) -> bytes:
    """Make lengths and checksums right again, so that a change gets as far as it can."""
    fixed = bytearray(data)
    if len(fixed) < 42 or fixed[12:14] != b"\x08\x00" or fixed[14] != 0x45:
        return data
    fixed[16:18] = (len(fixed) - 14).to_bytes(2, "big")
    fixed[24:26] = b"\0\0"
    fixed[24:26] = internet_checksum(bytes(fixed[14:34])).to_bytes(2, "big")
    fixed[38:40] = (len(fixed) - 34).to_bytes(2, "big")
    fixed[UDP_CHECKSUM] = b"\0\0"
    return bytes(fixed)


@st.composite
def mutated_frames(draw):
    """A recorded frame with some bytes changed, cut out or put in, and its checksums mended more often than not."""
    data = bytearray(draw(st.sampled_from(recorded())))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(min(42, len(data) - 1), len(data) - 1) | st.integers(0, len(data) - 1))
        how = draw(st.sampled_from(("set", "flip", "insert", "delete", "cut")))
        if how == "set":
            data[at] = draw(st.sampled_from((0, 1, 52, 53, 55, 61, 127, 254, 255)) | st.integers(0, 255))
        elif how == "flip":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif how == "delete":
            del data[at : at + draw(st.integers(1, 8))]
        else:
            del data[max(at, 14) :]
    data += bytes(max(0, 14 - len(data)))
    return with_good_checksums(bytes(data)) if draw(st.integers(0, 3)) else bytes(data)


class Attacked(DhcpLan):
    """A server and a client of each profile, into which frames can be put at every moment of their lives."""

    def __init__(self) -> None:
        super().__init__(lease_s=120, last=ipv4_to_bytes("10.0.0.200"))
        self.clients = [Client(self, f"c-{name}", name) for name in sorted(PROFILES)]

    def inject(self, at_ns: int, data: bytes) -> None:
        """Let a frame arrive at the bridge and at the clients, as it is and as if it were meant for each of them."""
        self.world.at(at_ns, lambda: self._deliver(data))

    def _deliver(self, data: bytes) -> None:
        port = self.host.device("veth-c-udhcpc")
        port.receive(Frame(data, 1))
        for client in self.clients:
            client.device.receive(Frame(data, 1))
            port.receive(Frame(b"\xff" * 6 + self._as_if_of(client, data), 1))
            client.device.receive(Frame(client.device.mac + self._as_if_of(client, data), 1))

    def _as_if_of(self, client: Client, data: bytes) -> bytes:
        """A frame without its destination, with a client's MAC and the transaction it is in."""
        if len(data) < 76:
            return data[6:]
        transaction_id = client.program.client._transaction_id.to_bytes(4, "big")
        changed = data[:46] + transaction_id + data[50:70] + client.device.mac + data[76:]
        return (with_good_checksums(changed) if data[UDP_CHECKSUM] == b"\0\0" else changed)[6:]

    def assert_alive(self, at_s: int) -> None:
        """A newcomer is served, and everybody who was there is bound again when the lies have expired."""
        late = Client(self, "late")
        self.run(at_s)
        assert late.addresses != [], late.events
        for client in self.clients:
            assert client.addresses != [], client.events


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 130 * SECOND), mutated_frames()), max_size=12))
def test_mutated_messages_crash_no_run_and_everybody_is_served_afterwards(frames):
    lan = Attacked()
    for at_ns, data in frames:
        lan.inject(at_ns, data)
    lan.run(131)
    lan.assert_alive(1000)
    assert {reason for _, reason, _ in lan.world.drops if reason.startswith("DHCP")} <= UNREADABLE


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 130 * SECOND), st.binary(min_size=14, max_size=400)), max_size=12))
def test_arbitrary_frames_crash_no_run(frames):
    lan = Attacked()
    for at_ns, data in frames:
        lan.inject(at_ns, data)
    lan.run(131)
    lan.assert_alive(260)


@given(mutated_frames())
def test_whatever_is_in_a_frame_for_a_dhcp_port_it_is_read_or_refused_with_a_reason(data):
    if is_udp_to(data, 67) or is_udp_to(data, 68):
        received = read_frame(data)
        assert isinstance(received, DropReason) == (getattr(received, "name", "") in UNREADABLE)


def test_every_place_where_a_message_can_be_cut_is_dropped_with_its_reason_at_the_server_and_at_the_client():
    lan = DhcpLan(lease_s=120)
    client = Client(lan, "web", host_name="web")
    lan.run(1)
    client.program._listen()
    discover, offer = (seen.data for seen in lan.dhcp(client)[:2])
    for device, data, where in (
        (lan.host.device("veth-web"), discover, "host:br0"),
        (client.device, offer, "web:eth0"),
    ):
        lan.world.drops.clear()
        end = data.index(b"\xff", OPTIONS)
        ends = option_ends(data)
        for cut in range(OPTIONS, end):
            device.receive(Frame(with_good_checksums(data[:cut]), cut))
        lan.world.kernel.run(lan.world.kernel.now + 1)
        reasons = [(reason, at) for _, reason, at in lan.world.drops]
        expected = [cut for cut in range(OPTIONS, end) if cut not in ends]
        assert reasons == [("DHCP_OPTION_TRUNCATED", where)] * len(expected)
        counted = (lan.bridge if where == "host:br0" else client.device).drops[DropReason.DHCP_OPTION_TRUNCATED]
        assert counted == len(expected)


def option_ends(data: bytes) -> set[int]:
    """Where a message may end without cutting an option."""
    ends, at = {OPTIONS}, OPTIONS
    while data[at] != 255:
        at += 2 + data[at + 1]
        ends.add(at)
    return ends


@pytest.mark.parametrize("length", [0, 1, 100, 239])
def test_a_message_without_a_whole_header_is_dropped_with_its_reason(length):
    lan = DhcpLan()
    data = recorded()[0][: 42 + length]
    Client(lan, "web")
    lan.run(3)
    lan.host.device("veth-web").receive(Frame(with_good_checksums(data), 9))
    lan.run(4)
    assert [(reason, where) for _, reason, where in lan.world.drops] == [("DHCP_TRUNCATED", "host:br0")]


few_addresses = st.sampled_from((b"\x0a\0\0\x01", b"\x0a\0\0\x0a", bytes(4), b"\xff" * 4, b"\x7f\0\0\1", b"\xe0\0\0\1"))
some_addresses = few_addresses | st.binary(min_size=4, max_size=4)
masks = st.integers(0, 32).map(lambda length: ((1 << 32) - (1 << 32 - length)).to_bytes(4, "big"))
routes = st.lists(st.tuples(st.integers(0, 32), some_addresses, some_addresses), max_size=3).map(
    lambda found: b"".join(bytes((length,)) + to[: (length + 7) // 8] + via for length, to, via in found)
)
parameters = st.fixed_dictionaries(
    {},
    optional={
        dhcp.OPTION_SUBNET_MASK: masks,
        dhcp.OPTION_ROUTER: some_addresses | st.binary(max_size=9),
        dhcp.OPTION_DNS: st.binary(max_size=12),
        dhcp.OPTION_DOMAIN_NAME: st.binary(max_size=12),
        dhcp.OPTION_MTU: st.integers(0, 65535).map(lambda mtu: mtu.to_bytes(2, "big")) | st.binary(max_size=3),
        dhcp.OPTION_LEASE_TIME: st.integers(0, 1 << 32).map(lambda time_s: min(time_s, 0xFFFFFFFF).to_bytes(4, "big")),
        dhcp.OPTION_T1: st.integers(0, 300).map(lambda time_s: time_s.to_bytes(4, "big")),
        dhcp.OPTION_T2: st.integers(0, 300).map(lambda time_s: time_s.to_bytes(4, "big")),
        dhcp.OPTION_CLASSLESS_ROUTES: routes | st.binary(max_size=20),
    },
)


@given(parameters, st.binary(min_size=4, max_size=4), st.sampled_from(sorted(PROFILES)))
def test_whatever_a_server_grants_is_put_into_effect_or_skipped_and_taken_back_without_a_rest(
    options, address, profile
):
    lan = DhcpLan(serves=False)
    namespace = lan.world.namespace("web")
    device = lan.plug(namespace)
    before = state_of(namespace, device)
    client = DhcpClient(PROFILES[profile], device.mac, Random(1))
    installer = LeaseInstaller(namespace, device)
    client.start(0)
    actions = []
    for kind in (None, dhcp.OFFER, dhcp.ACK, None):
        now_ns = client.deadline_ns
        if kind is None:
            actions = client.expire(now_ns)
        else:
            told = ((53, bytes((kind,))), (54, ipv4_to_bytes("10.0.0.1")), *options.items())
            client.receive(now_ns, DhcpMessage(2, client._transaction_id, device.mac, told, your_address=address))
    for action in actions:
        if isinstance(action, Bind):
            installer.install(action.lease)
            lan.run(5)
            installer.remove(action.lease)
            lan.run(6)
    assert state_of(namespace, device) == before


def state_of(namespace, device):
    return namespace.addresses(device), namespace.routes.text(), device.mtu, namespace.resolver.text()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


RECORD = {
    "address": "10.0.0.10",
    "key": "01",
    "mac": "02:00:00:00:00:01",
    "state": "bound",
    "expires_ns": 9,
    "host_name": "",
}


@given(
    st.text(max_size=30)
    | json_values.map(json.dumps)
    | st.tuples(st.sampled_from((*RECORD, "other")), json_values).map(lambda pair: json.dumps(RECORD | dict([pair])))
)
def test_a_lease_file_that_was_tampered_with_is_refused_with_its_line(text):
    table = None
    with suppress(InvalidValue):
        table = LeaseTable.from_text(text)
    if table is None:
        with pytest.raises(InvalidValue, match="DHCP lease file, line 1: "):
            LeaseTable.from_text(text.replace("\n", " "))
    else:
        assert LeaseTable.from_text(table.to_text()).to_text() == table.to_text()
