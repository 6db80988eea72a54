"""The short ways into a cable do exactly what the general way does: times, queue, counters and taps."""

from hypothesis import given
from hypothesis import strategies as st

from emu.device import EthernetPort, WiredDevice, connect, create_veth
from emu.kernel import Kernel
from emu.wire.frame import Frame

sendings = st.lists(st.tuples(st.integers(0, 3_000), st.integers(14, 1600)), min_size=1, max_size=30)


def pair(kernel: Kernel, ethernet: bool) -> tuple[WiredDevice, WiredDevice]:
    """Two joined devices with a rate, a delay and a short queue."""
    macs = b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2"
    if ethernet:
        a, b = (EthernetPort(kernel, name, mac) for name, mac in zip("ab", macs, strict=True))
        connect(a, b)
    else:
        a, b = create_veth(kernel, "a", macs[0], "b", macs[1])
    for device in (a, b):
        device.set_up()
    a.cable.set(rate="1Gbit", delay="10us", queue="4KB")
    return a, b


def run(frames: list[tuple[int, int]], ethernet: bool, general: bool) -> list[object]:
    """Send frames, given as (gap in ns, size); return everything that can be seen of it."""
    kernel = Kernel()
    a, b = pair(kernel, ethernet)
    log: list[object] = []
    kernel.journal.drop_listeners.append(lambda now_ns, frame, reason, where: log.append((now_ns, reason, where)))
    for device in (a, b):
        device.add_tap(lambda now_ns, frame, direction, name=device.name: log.append((now_ns, name, frame.packet_id)))

    def send(frame: Frame) -> None:
        if general:
            a.transmit_generally(frame)
            return
        assert a.direction.counters.first < 0 or a.transmit != a.transmit_generally, "a short way is chosen"
        a.transmit(frame)

    time_ns = 0
    for number, (gap_ns, size) in enumerate(frames):
        time_ns += gap_ns
        kernel.call_at(time_ns, send, Frame(bytes(size), number))
    kernel.call_at(time_ns + 1, lambda _: b.set_down())
    kernel.call_at(time_ns + 2, send, Frame(bytes(60), 99))
    kernel.run()
    return [*log, a.counters, b.counters, dict(a.drops), dict(b.drops), a.direction.statistics]


@given(sendings, st.booleans())
def test_short_ways_and_the_general_way_cannot_be_told_apart(frames, ethernet):
    assert run(frames, ethernet, general=False) == run(frames, ethernet, general=True)
