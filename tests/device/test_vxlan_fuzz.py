"""Whatever arrives on the tunnel port, and whatever a container sends: nothing raises, every frame is counted."""

from hypothesis import given
from hypothesis import strategies as st

from emu.wire.frame import Frame
from tests.device.vxlan_world import VNI, two_containers
from tests.stack.world import SECOND

HEADER = bytes.fromhex("0800000000100100")
MACS = b"\x02\x42\x0a\x00\x01\x04\x02\x42\x0a\x00\x01\x02"
payloads = st.one_of(
    st.binary(max_size=80),
    st.binary(max_size=80).map(lambda data: HEADER + data),
    st.binary(max_size=80).map(lambda data: HEADER + MACS + data),
    st.binary(max_size=80).map(lambda data: HEADER + MACS + b"\x08\x00\x45" + data),
)


@given(st.lists(payloads, min_size=1, max_size=5), st.integers(0, 255))
def test_decapsulating_arbitrary_bytes_never_raises(datagrams, tos):
    world, _, _ = two_containers()
    vxlan0 = world.nodes[1].networks[VNI].vxlan0
    refused = []
    for payload in datagrams:
        outer = Frame(b"", 9)
        refused.append(world.nodes[1].root.tunnels.receivers[4789].receive_encapsulated(outer, payload, bytes(4), tos))
    world.run(SECOND)
    dropped = sum(reason is not None for reason in refused)
    assert vxlan0.rx_packets + vxlan0.rx_dropped + dropped == len(datagrams)


@given(st.lists(payloads, min_size=1, max_size=5))
def test_arbitrary_datagrams_on_the_underlay_never_raise(datagrams):
    world, _, _ = two_containers()
    for payload in datagrams:
        world.nodes[0].root.tunnels.send_udp(40000, bytes((198, 18, 0, 2)), 4789, payload, packet_id=9)
    world.run(SECOND)


frames = st.binary(max_size=80).flatmap(
    lambda data: st.sampled_from((data, MACS + data, MACS + b"\x08\x00\x45" + data, MACS + b"\x08\x06" + data))
)


@given(st.lists(frames, min_size=1, max_size=5))
def test_encapsulating_arbitrary_bytes_never_raises(frames):
    world, _, _ = two_containers()
    vxlan0 = world.nodes[0].networks[VNI].vxlan0
    for data in frames:
        assert vxlan0.transmit(Frame(data, 9))
    world.run(SECOND)
