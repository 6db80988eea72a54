"""A TCP sender keeps about a millisecond of its segments in the queue of its own interface, whatever the queue is."""

from __future__ import annotations

import pytest

import emu

RATE_BPS = 10_000_000
MEGABYTE = 1_000_000


def _send_a_megabyte(queue: object, cost: str) -> tuple[emu.Emulation, int]:
    """Return the emulation after it, and when the last byte had arrived in ns."""
    net = emu.Emulation(seed=1, cost=cost)
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    web.interface("eth0").set(rate=RATE_BPS, queue=queue)
    listener = db.tcp_listen(9000)
    ended_ns: list[int] = []

    def receive():
        socket = yield listener.accept()
        while (yield socket.recv()):
            pass
        ended_ns.append(net.now)

    def send():
        socket = web.tcp_connect(db, 9000)
        yield socket.send(bytes(MEGABYTE))
        socket.close()

    db.spawn(receive())
    web.spawn(send())
    net.run()
    return net, ended_ns[0]


@pytest.mark.parametrize(("cost", "most_frames"), [("none", 4), ("linux", 10)])
@pytest.mark.parametrize(
    "queue", [1000, "1MiB", emu.CoDel(target="50ms"), emu.Red(minimum="500KiB", maximum="1MiB")], ids=str
)
def test_a_sender_does_not_fill_the_queue_of_its_own_interface(queue, cost, most_frames):
    """With a CPU to wait for, the first ten segments are on their way before the line's pace is known."""
    net, ended_ns = _send_a_megabyte(queue, cost)
    statistics = net.containers["web"].interface("eth0").statistics
    assert statistics.queue_full == statistics.queue_dropped == 0
    assert 1 <= statistics.queue_maximum_frames <= most_frames
    on_line_bits = MEGABYTE * 1514 // 1448 * 8
    assert ended_ns < on_line_bits * 10**9 // RATE_BPS * 1.01, "the line was kept busy all the same"
