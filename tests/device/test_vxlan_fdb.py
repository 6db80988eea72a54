"""The FDB of a VXLAN device: permanent and learned entries, ageing, the flood list, and its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.device import VxlanDevice
from emu.kernel.errors import Conflict, InvalidValue, NotFound
from emu.wire.frame import Frame
from tests.device.vxlan_world import VNI, VxlanWorld, two_containers
from tests.stack.world import SECOND, Pinger

ZERO = "00:00:00:00:00:00"
C2 = "02:42:0a:00:01:04"
C2_MAC = bytes.fromhex("02420a000104")
VTEP_2, VTEP_3 = "198.18.0.2", "198.18.0.3"


def device(learning: bool = True) -> tuple[VxlanWorld, VxlanDevice]:
    world = VxlanWorld()
    return world, VxlanDevice(world.kernel, "vxlan0", world.mac(), 42, world.nodes[0].root.tunnels, learning=learning)


def wait(world: VxlanWorld, seconds: float) -> None:
    world.run(world.kernel.now + int(seconds * SECOND))


def test_the_text_in_an_overlay_sandbox_is_what_bridge_fdb_show_prints():
    world, c1, _ = two_containers()
    Pinger(world, c1).ping("10.0.1.4")
    world.run(8 * SECOND)
    overlay = world.nodes[0].networks[VNI]
    own = overlay.vxlan0.mac.hex(":")
    assert overlay.vxlan0.fdb_text() == (
        f"{C2} dev vxlan0 master br0 \n"
        f"{own} dev vxlan0 master br0 permanent\n"
        f"{C2} dev vxlan0 dst 198.18.0.2 link-netnsid 0 self permanent\n"
    )
    assert overlay.vxlan0.fdb.text(statistics=True) == (
        f"{C2} dev vxlan0 dst 198.18.0.2 link-netnsid 0 used 7/7 self permanent\n"
    )


def test_the_text_of_a_device_next_to_its_socket_names_no_other_namespace():
    world, vxlan0 = device()
    world.nodes[0].root.add_device(vxlan0)
    vxlan0.fdb.add_permanent(C2, VTEP_2)
    vxlan0.fdb.append(ZERO, VTEP_2)
    vxlan0.fdb.append(ZERO, VTEP_3)
    vxlan0.fdb.snoop(b"\x02\0\0\0\0\x09", bytes((198, 18, 0, 3)))
    assert vxlan0.fdb_text() == (
        "02:00:00:00:00:09 dev vxlan0 dst 198.18.0.3 self \n"
        "00:00:00:00:00:00 dev vxlan0 dst 198.18.0.2 self permanent\n"
        "00:00:00:00:00:00 dev vxlan0 dst 198.18.0.3 self permanent\n"
        "02:42:0a:00:01:04 dev vxlan0 dst 198.18.0.2 self permanent\n"
    )


def test_learned_entries_are_forgotten_after_300_seconds_without_a_frame():
    world, vxlan0 = device()
    remote = bytes((198, 18, 0, 2))
    assert vxlan0.fdb.snoop(C2_MAC, remote)
    wait(world, 200)
    assert vxlan0.fdb.snoop(C2_MAC, remote)
    world.run(500 * SECOND - 1)
    assert vxlan0.fdb.lookup(C2_MAC) is not None
    world.run(500 * SECOND)
    assert vxlan0.fdb.lookup(C2_MAC) is None
    assert vxlan0.fdb.text() == ""


def test_permanent_entries_stay():
    world, vxlan0 = device()
    vxlan0.fdb.add_permanent(C2, VTEP_2)
    wait(world, 10_000)
    assert vxlan0.fdb.text().endswith("permanent\n")


def test_traffic_from_an_address_keeps_its_entry_young_and_permanent_ones_permanent():
    world, vxlan0 = device()
    vxlan0.fdb.add_permanent(C2, VTEP_2)
    learned, own = b"\x02\0\0\0\0\x09", b"\x02\0\0\0\0\x01"
    remote = bytes((198, 18, 0, 2))
    for second in (0, 200):
        world.run(second * SECOND + 1)
        for source in (learned, C2_MAC):
            vxlan0.decapsulate(Frame(b"", 1), bytes(8) + own + source + b"\x88\xb5", remote, 0)
    assert vxlan0.fdb.text(statistics=True).count("used 0/0") == 2
    world.run(500 * SECOND)
    assert [entry.mac for entry in vxlan0.fdb.entries()] == [learned, C2_MAC]
    world.run(500 * SECOND + 1)
    vxlan0.decapsulate(Frame(b"", 1), bytes(8) + own + learned + b"\x88\xb5", bytes((198, 18, 0, 3)), 0)
    assert [entry.remotes[0][3] for entry in vxlan0.fdb.entries()] == [3, 2], "too old: learned anew"
    world.run(2000 * SECOND)
    assert [entry.mac for entry in vxlan0.fdb.entries()] == [C2_MAC]


def test_an_entry_that_is_too_old_is_learned_anew_even_from_the_same_vtep():
    world, vxlan0 = device()
    frame = bytes(8) + bytes(6) + C2_MAC + b"\x88\xb5"
    vxlan0.decapsulate(Frame(b"", 1), frame, bytes((198, 18, 0, 2)), 0)
    first = vxlan0.fdb.lookup(C2_MAC)
    wait(world, 301)
    vxlan0.decapsulate(Frame(b"", 1), frame, bytes((198, 18, 0, 2)), 0)
    assert vxlan0.fdb.lookup(C2_MAC) is not first


def test_sending_and_answering_arp_count_as_use_and_not_as_news():
    world, c1, _ = two_containers()
    fdb = world.nodes[0].networks[VNI].vxlan0.fdb
    socket = c1.udp_socket()
    used = []
    fdb_lines = lambda: used.append(fdb.text(statistics=True).split("used ")[1].split(" ")[0])  # noqa: E731
    world.nodes[1].networks[VNI].vxlan0.set_down()  # so that nothing comes back
    arp = (
        b"\xff" * 6
        + c1.device("eth0").mac
        + bytes.fromhex("0806000108000604000102420a0001020a0001020000000000000a000104")
    )
    world.at(10 * SECOND, lambda: c1.device("eth0").transmit(Frame(arp, 1)))
    for second in (20, 30, 40):
        world.at(second * SECOND, lambda: socket.sendto(b"", ("10.0.1.4", 9)))
    for second in (11, 21, 31, 41):
        world.at(second * SECOND, fdb_lines)
    world.run(50 * SECOND)
    assert used == ["1/11", "1/21", "1/31", "1/41"]


def test_ageing_can_be_set_and_a_longer_time_revives_nothing():
    world, vxlan0 = device()
    vxlan0.fdb.set_ageing("10s")
    vxlan0.fdb.snoop(C2_MAC, bytes(4))
    wait(world, 10)
    vxlan0.fdb.set_ageing("300s")
    assert vxlan0.fdb.entries() == []
    vxlan0.fdb.set_ageing(0)
    vxlan0.fdb.snoop(C2_MAC, bytes(4))
    wait(world, 100_000)
    assert len(vxlan0.fdb.entries()) == 1, "0 means that they stay"


def test_a_learned_entry_moves_with_its_frames_and_a_permanent_one_does_not():
    _, vxlan0 = device()
    here, there = bytes((198, 18, 0, 2)), bytes((198, 18, 0, 3))
    assert vxlan0.fdb.snoop(C2_MAC, here)
    assert vxlan0.fdb.snoop(C2_MAC, there)
    assert vxlan0.fdb.lookup(C2_MAC).remotes == [there]
    vxlan0.fdb.add_permanent(C2, VTEP_2)
    assert not vxlan0.fdb.snoop(C2_MAC, there)
    assert vxlan0.fdb.lookup(C2_MAC).remotes == [here]
    assert vxlan0.fdb.snoop(C2_MAC, here)


def test_add_replace_append_and_remove_are_as_strict_as_bridge_fdb():
    _, vxlan0 = device()
    fdb = vxlan0.fdb
    fdb.add_permanent(C2, VTEP_2)
    with pytest.raises(Conflict, match=f"has an entry for {C2} already: file exists"):
        fdb.add_permanent(C2, VTEP_3)
    fdb.replace(C2, VTEP_3)
    assert "dst 198.18.0.3" in fdb.text()
    with pytest.raises(NotFound, match=rf"no entry for {C2} at 198\.18\.0\.2"):
        fdb.remove(C2, VTEP_2)
    fdb.remove(C2, VTEP_3)
    with pytest.raises(NotFound, match=f"no entry for {C2}: no such file"):
        fdb.remove(C2)
    with pytest.raises(InvalidValue, match="only 00:00:00:00:00:00 and groups can have several"):
        fdb.append(C2, VTEP_2)
    fdb.append(ZERO, VTEP_2)
    with pytest.raises(Conflict, match="in the flood list of vxlan0 already"):
        fdb.append(ZERO, VTEP_2)
    fdb.append(ZERO, VTEP_3)
    fdb.remove(ZERO, VTEP_2)
    assert "dst 198.18.0.3" in fdb.text()
    fdb.remove(ZERO, VTEP_3)
    assert fdb.text() == ""


@pytest.mark.parametrize(("mac", "remote"), [("02:42", VTEP_2), (C2, "198.18.0"), (C2, "host2")])
def test_wrong_addresses_are_refused(mac, remote):
    _, vxlan0 = device()
    with pytest.raises(InvalidValue):
        vxlan0.fdb.add_permanent(mac, remote)
    assert vxlan0.fdb.text() == ""


def test_going_down_forgets_what_was_learned_and_keeps_what_was_entered():
    _, vxlan0 = device()
    vxlan0.set_up()
    vxlan0.fdb.snoop(b"\x02\0\0\0\0\x09", bytes((198, 18, 0, 3)))
    vxlan0.fdb.add_permanent(C2, VTEP_2)
    vxlan0.set_down()
    assert [entry.mac for entry in vxlan0.fdb.entries()] == [C2_MAC]
    vxlan0.delete()
    assert vxlan0.fdb.entries() == []


def test_unknown_destinations_go_to_every_vtep_of_the_flood_list_the_first_one_last():
    world, c1, _ = two_containers(hosts=4, proxy=False)
    fdb = world.nodes[0].networks[VNI].vxlan0.fdb
    for number in (2, 3, 4):
        world.nodes[0].root.neighbours.add_permanent("eth0", f"198.18.0.{number}", f"02:00:00:00:99:0{number}")
        fdb.append(ZERO, f"198.18.0.{number}")
    c1.device("eth0").transmit(Frame(b"\x02\0\0\0\0\x77" + c1.device("eth0").mac + b"\x88\xb5" + bytes(50), 77))
    world.run(SECOND)
    sent = [frame for _, _, frame in world.seen["host1:eth0"]]
    assert [frame.data[33] for frame in sent] == [3, 4, 2], "Linux clones for the others and sends the original last"
    assert {frame.packet_id for frame in sent} == {77}


def test_flood_and_learn_finds_the_other_side_by_itself():
    world, c1, _ = two_containers(proxy=False)
    for node, other in zip(world.nodes, reversed(world.nodes), strict=True):
        overlay = node.networks[VNI]
        overlay.vxlan0.fdb.flush(permanent=True)
        overlay.vxlan0.fdb.append(ZERO, other.address)
    pinger = Pinger(world, c1)
    pinger.ping("10.0.1.4")
    world.run(SECOND)
    assert len(pinger.replies) == 1
    assert f"{C2} dev vxlan0 dst 198.18.0.2 link-netnsid 0 self \n" in world.nodes[0].networks[VNI].vxlan0.fdb.text()


def test_a_change_of_the_fdb_takes_effect_on_flows_that_are_running():
    world, c1, _ = two_containers(hosts=3)
    fdb = world.nodes[0].networks[VNI].vxlan0.fdb
    for node in world.nodes[1:]:
        world.nodes[0].root.neighbours.add_permanent("eth0", node.address, node.eth0.mac.hex(":"))
    socket = c1.udp_socket()

    def send() -> None:
        for _ in range(2):
            socket.sendto(bytes(10), ("10.0.1.4", 9))

    changes = [
        lambda: None,
        lambda: fdb.replace(C2, VTEP_3),
        lambda: fdb.remove(C2),
        lambda: fdb.snoop(C2_MAC, bytes((198, 18, 0, 2))),
        lambda: fdb.snoop(C2_MAC, bytes((198, 18, 0, 3))),
        fdb.flush,
        lambda: fdb.add_permanent(C2, VTEP_2),
        lambda: fdb.flush(permanent=True),
    ]
    for number, change in enumerate(changes):
        world.at(number * SECOND, change)
        world.at(number * SECOND + 1, send)
    world.run(20 * SECOND)
    sent = [
        (time_ns // SECOND, frame.data[33])
        for time_ns, way, frame in world.seen["host1:eth0"]
        if way == 2 and frame.data[12:14] == b"\x08\x00" and frame.data[73] == 17
    ]
    assert sent == [(0, 2)] * 2 + [(1, 3)] * 2 + [(3, 2)] * 2 + [(4, 3)] * 2 + [(6, 2)] * 2


def test_a_learned_entry_that_a_running_flow_uses_ages_all_the_same():
    world, c1, _ = two_containers(proxy=False)
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    vxlan0.fdb.flush(permanent=True)
    vxlan0.fdb.snoop(C2_MAC, bytes((198, 18, 0, 2)))
    c1.neighbours.add_permanent("eth0", "10.0.1.4", C2)
    world.nodes[0].root.neighbours.add_permanent("eth0", VTEP_2, world.nodes[1].eth0.mac.hex(":"))
    world.nodes[1].networks[VNI].vxlan0.set_down()  # so that nothing comes back
    socket = c1.udp_socket()
    for second in (1, 2, 299, 300, 301):
        world.at(second * SECOND, lambda: socket.sendto(bytes(10), ("10.0.1.4", 9)))
    world.run(400 * SECOND)
    sent = [time_ns for time_ns, way, frame in world.seen["host1:eth0"] if way == 2 and frame.data[23] == 17]
    assert [time_ns // SECOND for time_ns in sent] == [1, 2, 299]
    assert len(vxlan0.fdb.entries()) == 0


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(("add", "replace", "remove", "snoop", "wait")), st.integers(1, 4), st.integers(1, 3)),
    max_size=40,
)


@given(OPERATIONS)
def test_the_fdb_agrees_with_a_simple_model(operations):
    world, vxlan0 = device()
    model: dict[bytes, tuple[bytes, int | None]] = {}
    now_ns = 0
    for operation, number, host in operations:
        mac, remote = b"\x02\0\0\0\0" + bytes((number,)), bytes((198, 18, 0, host))
        model = {key: value for key, value in model.items() if value[1] is None or now_ns - value[1] < 300 * SECOND}
        known = model.get(mac)
        if operation == "wait":
            now_ns += number * 70 * SECOND
            world.run(now_ns)
        elif operation == "snoop":
            accepted = known is None or known[1] is not None or known[0] == remote
            assert vxlan0.fdb.snoop(mac, remote) == accepted
            if accepted and (known is None or known[1] is not None):
                model[mac] = (remote, now_ns)
        elif operation == "remove":
            if known is not None:
                vxlan0.fdb.remove(mac)
                del model[mac]
        elif operation == "replace" or known is None or known[1] is not None:
            (vxlan0.fdb.replace if operation == "replace" else vxlan0.fdb.add_permanent)(mac, remote)
            model[mac] = (remote, None)
    live = {key: value for key, value in model.items() if value[1] is None or now_ns - value[1] < 300 * SECOND}
    assert {entry.mac: entry.remotes[0] for entry in vxlan0.fdb.entries()} == {
        key: value[0] for key, value in live.items()
    }
