"""How TCP gets over losses: fast retransmit, a probe for the tail, a timeout with backoff, and random loss.

    emu run topologies/tcp_loss_recovery.py
    emu run topologies/tcp_loss_recovery.py --set loss=3%
    emu run topologies/tcp_loss_recovery.py --split               # for Wireshark's TCP analysis

`sender` on host1 sends to `receiver` on host2 over a cable of 100 Mbit/s with 10 ms each way. Both use their host's
network, so what they send goes straight to the cable.

* clean (1 s): nothing is lost; to compare with.
* gap (3 s): for 2 ms in the middle of a stream the cable loses everything. What arrives after the gap is acknowledged
  selectively (SACK), and that is how the sender knows: it repeats the missing segments a round trip later.
* tail (5 s): the last two of ten segments are lost. Nothing comes after them that could show it. After two round trips
  the sender repeats the last one (tail loss probe); its acknowledgement shows that the one before is missing.
* dark (8 s): the cable loses everything for 3 s. The retransmission timer goes off after 0.2 s and more, and doubles
  each time; when the cable is back the sender still waits for the timer.
* random (15 s on): `loss` of all frames. Reno halves its window at each loss, CUBIC takes off 30 %.

What to look at in Wireshark (by-interface/host1-eth0.pcapng, with `--split`):

* `tcp.analysis.retransmission`       what was sent again: at 3 s, 5 s, from 8 s on.
* `tcp.options.sack.count > 0`        acknowledgements that say what arrived behind a gap.
* `tcp.analysis.fast_retransmission`  those of the gap; those of the dark are `tcp.analysis.retransmission` alone.
* Statistics, TCP Stream Graphs, Time Sequence: the gap is a step, the dark a line that stands still.
"""

import emu

MS = 1_000_000
SEGMENT, STREAM = 1448, 1_000_000
PORT = 9090


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, loss: str = "1%", size: int = 1_500_000) -> None:
    """Lose what is on its way, in four ways; loss: of the random one; size: bytes of its streams."""
    host1, host2 = net.add_host("host1"), net.add_host("host2")
    link = net.add_link(host1, host2, rate="100Mbit", delay="10ms")
    sender = host1.containers.run("sender", network="host")
    receiver = host2.containers.run("receiver", network="host")

    listener = receiver.tcp_listen(PORT)

    def receive():
        received = 0
        for _ in range(4):
            connection = yield listener.accept()
            while data := (yield connection.recv()):
                received += len(data)
            connection.close()

    infos, times_ns = {}, {}

    def send(name, start, size, tail=0, dark=None):
        """Send so many bytes, and `tail` more that are lost; dark: lose everything, from 60 ms on, for so long."""
        yield net.timeout(start)
        socket = sender.tcp_connect(receiver, PORT)
        yield socket.connected
        begin_ns = net.now
        if dark is not None:
            net.at(net.now + 60 * MS, link.set, loss=1.0)
            net.at(net.now + 60 * MS + dark, link.set, loss=0.0)
        yield socket.send(bytes(size))
        if tail:
            yield net.timeout("1ms")
            link.set(loss=1.0)
            yield socket.send(bytes(tail))
            yield net.timeout("1ms")
            link.set(loss=0.0)
            while socket.info().bytes_acked < size + tail:
                yield net.timeout("10ms")
        socket.shutdown("write")
        yield socket.closed
        infos[name], times_ns[name] = socket.info(), net.now - begin_ns

    receiver.spawn(receive(), name="receive")
    sender.spawn(send("clean", "1s", STREAM), name="clean")
    sender.spawn(send("gap", "3s", STREAM, dark=2 * MS), name="gap")
    sender.spawn(send("tail", "5s", 8 * SEGMENT, tail=2 * SEGMENT), name="tail")
    sender.spawn(send("dark", "8s", STREAM, dark=3000 * MS), name="dark")
    net.at("14900ms", link.set, loss=loss)
    reno = sender.iperf(receiver, bytes=size, congestion="reno", port=5201, at="15s")
    cubic = sender.iperf(receiver, bytes=size, congestion="cubic", port=5202, at="45s")

    def recovered(name, **wanted):
        """Whether the connection's counters are as wanted; False for one that has not ended."""
        return name in infos and all(check(getattr(infos[name], counter)) for counter, check in wanted.items())

    def slower_ns(name):
        """By how much a stream took longer than the clean one; 0 for one that has not ended."""
        return times_ns[name] - times_ns["clean"] if name in times_ns else 0

    none, some, several = (lambda n: n == 0), (lambda n: n >= 1), (lambda n: n >= 3)
    net.expect("clean: nothing is sent twice", lambda: recovered("clean", retransmissions=none))
    net.expect("gap: found by SACK", lambda: recovered("gap", fast_retransmits=some, timeouts=none))
    net.expect("gap: less than 0.3 s slower than clean", lambda: 0 < slower_ns("gap") < 300 * MS)
    net.expect("tail: found by a probe", lambda: recovered("tail", tail_loss_probes=some, timeouts=none))
    net.expect("tail: within 0.2 s", lambda: 0 < times_ns.get("tail", 0) < 200 * MS)
    net.expect("dark: found by the timer, again and again", lambda: recovered("dark", timeouts=several))
    net.expect("dark: more than 3 s slower than clean", lambda: slower_ns("dark") > 3000 * MS)
    net.expect("random: everything arrives", lambda: reno.result.received_bytes == cubic.result.received_bytes == size)
    net.expect("random: what was lost was sent again", lambda: reno.result.retransmits > 0 < cubic.result.retransmits)
    net.expect("random: neither fills the cable", lambda: max(reno.result.goodput_bps, cubic.result.goodput_bps) < 50e6)


if __name__ == "__main__":
    emu.main(topology)
