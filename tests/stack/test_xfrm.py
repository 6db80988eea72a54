"""IPsec of a namespace: what of a tunnel is encrypted, what arrives decrypted, and what is dropped and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.device.cost import CostModel
from emu.kernel.errors import Conflict, InvalidValue, NotFound
from emu.stack.namespace import Namespace
from emu.stack.output import build_packet
from emu.stack.xfrm_state import REPLAY_WINDOW_MAX, SecurityAssociation
from emu.wire.address import ipv4_to_bytes
from emu.wire.drop import DropReason
from emu.wire.esp import SEQUENCE_MAX
from emu.wire.frame import Frame
from tests.device.vxlan_world import VNI, VxlanWorld, two_containers
from tests.stack.world import SECOND

PORT = 4789
HOST1, HOST2 = ipv4_to_bytes("198.18.0.1"), ipv4_to_bytes("198.18.0.2")
KEY = bytes(range(16))
FORTH, BACK = 0x1001, 0x1002


def secure(world: VxlanWorld, vni: int = VNI, *, replay_window: int = 0) -> None:
    """Program both hosts as the overlay driver does."""
    for here, there, own, sending, receiving in (
        (world.nodes[0], HOST2, HOST1, FORTH, BACK),
        (world.nodes[1], HOST1, HOST2, BACK, FORTH),
    ):
        xfrm = here.root.xfrm
        xfrm.add_state(there, own, receiving, KEY, replay_window=replay_window)
        xfrm.add_state(own, there, sending, KEY)
        xfrm.set_policy(own, there, PORT, sending)
        xfrm.secure_vni(PORT, vni)


def encrypted(**options: object) -> tuple[VxlanWorld, Namespace, Namespace]:
    world, c1, c2 = two_containers(**options)  # type: ignore[arg-type]
    secure(world)
    return world, c1, c2


def talk(world: VxlanWorld, sender: Namespace, receiver: Namespace, payloads: list[bytes]) -> list[bytes]:
    """Send datagrams from container to container and return what arrives."""
    server, client = receiver.udp_socket(), sender.udp_socket()
    arrived: list[bytes] = []
    server.bind("0.0.0.0", 7000)
    server.on_datagram = lambda payload, source, frame: arrived.append(payload)
    for payload in payloads:
        client.sendto(payload, ("10.0.1.4", 7000))
        world.run(world.kernel.now + SECOND)
    server.close()
    client.close()
    return arrived


def underlay(world: VxlanWorld, name: str = "host1") -> list[Frame]:
    """The IPv4 frames that a host sent to the other one."""
    return [frame for _, way, frame in world.seen[f"{name}:eth0"] if way == 2 and frame.data[12:14] == b"\x08\0"]


def reasons(world: VxlanWorld) -> list[tuple[str, str]]:
    return [(reason, where) for _, reason, where in world.drops if reason.startswith("ESP")]


# -- on the wire -------------------------------------------------------------------------------------------------------


def test_datagrams_arrive_and_only_esp_is_on_the_underlay():
    world, c1, c2 = encrypted()
    payloads = [bytes((number,)) * 100 for number in range(4)]
    assert talk(world, c1, c2, payloads) == payloads
    frames = underlay(world)
    assert {frame.data[23] for frame in frames} == {50}
    assert [int.from_bytes(frame.data[38:42], "big") for frame in frames] == [1, 2, 3, 4]
    assert not any(bytes((1,)) * 8 in frame.data for frame in frames)


def test_the_outer_ipv4_header_is_vxlans_with_another_protocol_length_and_checksum():
    plain, c1, c2 = two_containers()
    talk(plain, c1, c2, [b"x" * 56] * 3)
    world, c1, c2 = encrypted()
    talk(world, c1, c2, [b"x" * 56] * 3)
    for clear, sealed in zip(underlay(plain), underlay(world), strict=True):
        assert sealed.data[:16] == clear.data[:16], "MACs, EtherType, TOS"
        assert sealed.data[18:23] == clear.data[18:23], "identification, DF clear, TTL 64"
        assert sealed.data[26:34] == clear.data[26:34], "addresses"
        assert (len(clear.data), len(sealed.data)) == (148, 174)
        assert int.from_bytes(sealed.data[16:18], "big") == 160
        assert sealed.packet_id == clear.packet_id


def test_the_passport_is_the_same_inside_and_outside():
    world, c1, c2 = encrypted()
    talk(world, c1, c2, [b"x"] * 3)
    sent = [frame.packet_id for _, way, frame in world.seen["c1:eth0"] if way == 2 and frame.data[12:14] == b"\x08\0"]
    assert [frame.packet_id for frame in underlay(world)] == sent
    assert [f.packet_id for _, way, f in world.seen["c2:eth0"] if way == 1 and f.data[12:14] == b"\x08\0"] == sent


def test_frames_that_get_too_long_are_fragmented_by_the_host_and_arrive():
    world, c1, c2 = encrypted()  # the containers' MTU leaves no room for ESP
    payload = bytes(range(256)) * 5 + b"x" * 140
    assert talk(world, c1, c2, [payload] * 3) == [payload] * 3
    frames = underlay(world)
    assert len(frames) == 6
    assert all(len(frame.data) <= 1514 and frame.data[23] == 50 for frame in frames)
    assert not any(frame.data[20] & 0x40 for frame in frames), "DF is clear"


def test_the_longest_frame_that_is_not_fragmented_has_an_inner_packet_of_1424_bytes():
    for size, expected in ((1424, [1514]), (1425, [1514, 38])):
        world, c1, c2 = encrypted()
        talk(world, c1, c2, [b"x"])  # so that the flow is known
        talk(world, c1, c2, [b"x" * (size - 28)])
        lengths = [len(frame.data) for frame in underlay(world)]
        assert lengths[1:] == expected, size


def test_another_network_of_the_same_hosts_stays_in_the_clear():
    world, c1, c2 = two_containers()
    secure(world, VNI + 1)
    assert talk(world, c1, c2, [b"x"] * 2) == [b"x"] * 2
    assert {frame.data[23] for frame in underlay(world)} == {17}


def test_a_flow_that_was_sent_in_the_clear_is_encrypted_as_soon_as_there_is_a_policy():
    world, c1, c2 = two_containers()
    talk(world, c1, c2, [b"x"] * 2)
    secure(world)
    assert talk(world, c1, c2, [b"y"] * 2) == [b"y"] * 2
    assert [frame.data[23] for frame in underlay(world)] == [17, 17, 50, 50]


def test_encryption_takes_time_of_both_cpus():
    times = []
    costs = CostModel(esp_encrypt=900, esp_decrypt=800, esp_per_kib=300)
    for is_encrypted in (False, True):
        world, c1, c2 = two_containers(cost=costs)
        if is_encrypted:
            secure(world)
        talk(world, c1, c2, [b"x" * 100])
        talk(world, c1, c2, [b"x" * 1000])
        times.append([node.cpu.used_ns for node in world.nodes if node.cpu is not None])
    sender, receiver = (there - here for here, there in zip(*times, strict=True))
    packets, frames = (178, 1078), (218, 1118)  # before encryption, and as they arrive
    assert sender == sum(costs.esp_encrypt + (size * costs.esp_per_kib >> 10) for size in packets)
    assert receiver == sum(costs.esp_decrypt + (size * costs.esp_per_kib >> 10) for size in frames)


# -- what is dropped ---------------------------------------------------------------------------------------------------


def send_clear(world: VxlanWorld, inner: bytes = b"") -> None:
    """Send a VXLAN datagram from host1's own socket, past its policies."""
    sender = world.nodes[0].root.udp_socket()
    sender.sendto(bytes.fromhex("0800000000100100") + inner, ("198.18.0.2", PORT))
    world.run(world.kernel.now + SECOND)


def test_cleartext_for_an_encrypted_network_is_dropped_with_a_reason():
    world, c1, c2 = encrypted()
    talk(world, c1, c2, [b"x"] * 2)
    for _ in range(3):
        send_clear(world)
    assert reasons(world) == [("ESP_CLEARTEXT", "host2:eth0")] * 3


def test_cleartext_is_let_in_again_when_the_network_is_released():
    world, _, _ = encrypted()
    world.nodes[1].root.xfrm.release_vni(PORT, VNI)
    send_clear(world, bytes(60))
    assert reasons(world) == []


def test_a_vni_is_protected_until_it_was_released_as_often_as_secured():
    world, _, _ = encrypted()
    xfrm = world.nodes[1].root.xfrm
    xfrm.secure_vni(PORT, VNI)
    xfrm.release_vni(PORT, VNI)
    send_clear(world)
    assert reasons(world) == [("ESP_CLEARTEXT", "host2:eth0")]


def test_a_port_that_is_opened_later_is_guarded_as_well():
    world, _, _ = encrypted()
    vxlan0 = world.nodes[1].networks[VNI].vxlan0
    vxlan0.set_down()
    vxlan0.set_up()
    send_clear(world)
    assert reasons(world) == [("ESP_CLEARTEXT", "host2:eth0")]


def test_a_packet_with_an_unknown_spi_is_dropped_without_an_icmp_error():
    world, c1, c2 = encrypted()
    world.nodes[1].root.xfrm.remove_state(HOST2, FORTH)
    assert talk(world, c1, c2, [b"x"] * 2) == []
    assert reasons(world) == [("ESP_NO_STATE", "host2:eth0")] * 2
    assert world.icmp("host1:eth0") == []


def test_a_host_without_ipsec_answers_that_it_does_not_know_the_protocol():
    world, c1, _ = two_containers()
    xfrm = world.nodes[0].root.xfrm
    xfrm.add_state(HOST1, HOST2, FORTH, KEY)
    xfrm.set_policy(HOST1, HOST2, PORT, FORTH)
    xfrm.secure_vni(PORT, VNI)
    talk(world, c1, c1, [b"x"])
    assert [(kind, code) for _, kind, code, _ in world.icmp("host1:eth0")] == [(3, 2)]


def test_a_policy_without_its_association_lets_nothing_out():
    world, c1, c2 = encrypted()
    world.nodes[0].root.xfrm.remove_state(HOST2, FORTH)
    assert talk(world, c1, c2, [b"x"] * 2) == []
    assert [reason for reason, _ in reasons(world)] == ["ESP_NO_STATE"] * 2
    assert underlay(world) == []


def test_without_sequence_numbers_left_nothing_is_sent():
    world, c1, c2 = encrypted()
    state = world.nodes[0].root.xfrm.states[HOST2, FORTH]
    state.sequence = SEQUENCE_MAX - 2
    assert talk(world, c1, c2, [b"x"] * 4) == [b"x"] * 2
    assert [reason for reason, _ in reasons(world)] == ["ESP_SEQUENCE_END"] * 2


@pytest.mark.parametrize(("replay_window", "arrive"), [(0, 2), (32, 1)])
def test_a_replayed_packet_is_taken_twice_by_docker_and_once_with_a_replay_window(replay_window, arrive):
    world, c1, c2 = two_containers()
    secure(world, replay_window=replay_window)
    talk(world, c1, c2, [b"x"])
    (packet,) = underlay(world)
    world.nodes[1].eth0.receive(Frame(packet.data, 99))
    world.run(world.kernel.now + SECOND)
    taken = [f for _, way, f in world.seen["c2:eth0"] if way == 1 and f.data[12:14] == b"\x08\0"]
    assert len(taken) == arrive
    assert reasons(world) == [("ESP_REPLAY", "host2:eth0")] * (2 - arrive)


def test_esp_within_esp_ends_there():
    world, c1, c2 = encrypted()
    talk(world, c1, c2, [b"x"])
    xfrm = world.nodes[0].root.xfrm
    state = xfrm.states[HOST2, FORTH]
    packet = underlay(world)[0].data[14:]
    for _ in range(2):
        twice = xfrm.encrypt(packet, state)
        assert isinstance(twice, bytes)
        packet = twice
    world.nodes[1].eth0.receive(Frame(underlay(world)[0].data[:14] + packet, 99))
    assert reasons(world) == [("ESP_NO_STATE", "host2:eth0")]


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=4), st.booleans())
def test_arbitrary_esp_packets_never_raise_and_each_is_dropped(contents, has_known_spi):
    world, _, _ = encrypted()
    root = world.nodes[0].root
    path = root.output.path(HOST2)
    assert not isinstance(path, int)
    for content in contents:
        data = (FORTH.to_bytes(4, "big") if has_known_spi else b"") + content
        root.output.send(path, build_packet(HOST1, HOST2, 50, data, identification=1, ttl=64), 9)
    world.run(SECOND)
    assert len(reasons(world)) == len(contents)


@given(st.binary(max_size=100), st.integers(0, 255))
def test_whatever_is_inside_a_genuine_packet_never_raises(payload, next_header):
    world, _, _ = encrypted()
    root = world.nodes[0].root
    sealed = root.xfrm.states[HOST2, FORTH].seal(payload, next_header)
    path = root.output.path(HOST2)
    assert sealed is not None
    assert not isinstance(path, int)
    root.output.send(path, build_packet(HOST1, HOST2, 50, sealed, identification=1, ttl=64), 9)
    world.run(SECOND)
    assert not world.nodes[1].root.xfrm.is_inside


# -- associations ------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 70), max_size=40), st.integers(1, REPLAY_WINDOW_MAX))
def test_the_replay_window_accepts_each_number_once_and_only_while_it_is_in_the_window(numbers, window):
    receiver = SecurityAssociation(HOST1, HOST2, FORTH, KEY, replay_window=window)
    accepted: list[int] = []
    for number in numbers:
        sender = SecurityAssociation(HOST1, HOST2, FORTH, KEY)
        sender.sequence = number - 1
        packet = sender.seal(b"x", 17)
        assert packet is not None
        fits = number not in accepted and number > max(accepted, default=0) - window
        assert receiver.open(packet) == ((17, b"x") if fits else DropReason.ESP_REPLAY)
        if fits:
            accepted.append(number)


def test_a_forged_packet_does_not_move_the_replay_window():
    receiver = SecurityAssociation(HOST1, HOST2, FORTH, KEY, replay_window=32)
    assert receiver.open(FORTH.to_bytes(4, "big") + (10**6).to_bytes(4, "big") + bytes(40)) is DropReason.ESP_INTEGRITY
    assert receiver.highest == 0


def test_the_iv_is_the_sequence_number_hidden_by_a_salt():
    state = SecurityAssociation(HOST1, HOST2, FORTH, KEY, iv_salt=0xA1A2A3A4A5A6A7A8)
    ivs = [state.seal(b"", 17)[8:16] for _ in range(2)]  # type: ignore[index]
    assert [iv.hex() for iv in ivs] == ["a1a2a3a4a5a6a7a9", "a1a2a3a4a5a6a7aa"]


def test_an_association_made_anew_does_not_repeat_ivs():
    world = VxlanWorld()
    xfrm = world.nodes[0].root.xfrm
    before = xfrm.add_state(HOST1, HOST2, FORTH, KEY)
    xfrm.remove_state(HOST2, FORTH)
    after = xfrm.add_state(HOST1, HOST2, FORTH, KEY)
    assert before.iv_salt != after.iv_salt
    assert xfrm.history == [before, after]


def test_what_exists_is_not_added_and_what_does_not_is_not_removed():
    xfrm = VxlanWorld().nodes[0].root.xfrm
    xfrm.add_state(HOST1, HOST2, FORTH, KEY)
    with pytest.raises(Conflict, match="SPI 0x00001001: file exists"):
        xfrm.add_state(HOST1, HOST2, FORTH, KEY)
    with pytest.raises(NotFound, match="no security association with SPI 0x00001002"):
        xfrm.remove_state(HOST2, BACK)
    with pytest.raises(NotFound, match="no such policy"):
        xfrm.remove_policy(HOST1, HOST2, PORT)
    with pytest.raises(InvalidValue, match="invalid replay window 33: expected 0 to 32"):
        SecurityAssociation(HOST1, HOST2, FORTH, KEY, replay_window=33)


def test_ip_xfrm_prints_states_and_policies():
    world, c1, c2 = encrypted()
    talk(world, c1, c2, [b"x"] * 3)
    xfrm = world.nodes[0].root.xfrm
    assert xfrm.policy_text() == (
        "src 198.18.0.1/32 dst 198.18.0.2/32 proto udp dport 4789 \n"
        "\tdir out priority 0 ptype main \n"
        "\tmark 0xd0c4e3/0xffffffff \n"
        "\ttmpl src 198.18.0.1 dst 198.18.0.2\n"
        "\t\tproto esp spi 0x00001001 reqid 13681891 mode transport\n"
    )
    assert xfrm.state_text().splitlines()[:6] == [
        "src 198.18.0.1 dst 198.18.0.2",
        "\tproto esp spi 0x00001001 reqid 13681891 mode transport",
        "\treplay-window 0 ",
        "\taead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f00001001 64",
        "\tanti-replay context: seq 0x0, oseq 0x3, bitmap 0x00000000",
        "\tsel src 0.0.0.0/0 dst 0.0.0.0/0 ",
    ]
    assert len(xfrm.state_text().splitlines()) == 12
