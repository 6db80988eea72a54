"""Bufferbloat: the same upload over a queue that only drops when it is full, and over CoDel, with a ping beside each.

    emu run topologies/bufferbloat.py
    emu run topologies/bufferbloat.py --set queue=1000 --set duration=40     # a deeper queue, 1.2 s of it
    emu run topologies/bufferbloat.py --set congestion=reno
    emu run topologies/bufferbloat.py --set ecn=true                         # CoDel marks instead of dropping

Two lines of 10 Mbit/s and 10 ms, each from a home's modem to a server; between home and modem there is 1 Gbit/s. TCP
sends as much as it can over both. It only learns from losses that it sends too much, so it fills whatever queue the
modem has in front of the line:

* over `tail` the queue holds 250 frames: when it is full, a packet waits 0.3 s in it, and so does every ping;
* over `codel` the queue may hold 1000 frames, but CoDel looks at how long packets wait: if it is more than 5 ms for
  100 ms, it drops one, then more and more often. The stream is as fast, and the ping hardly knows of it.

The first five pings of each are sent before the upload begins.

What to look at in Wireshark (by-interface/home1-eth0.pcapng and home2-eth0.pcapng, with `--split`):

* `icmp.type == 0`                     icmp.resptime as a column: 20 ms, then 300 ms over tail, 20 to 30 ms over codel.
* `tcp.analysis.retransmission`        a burst each time that the queue has overflowed; under CoDel single segments.
* Statistics, TCP Stream Graphs, Round Trip Time: a saw with teeth of 0.1 s, or a flat line.
* `frame.interface_name == "drops"`    in capture.pcapng: which frames were dropped, and why.
"""

import emu

MS = 1_000_000
BEFORE = 5
RATE_BPS, DELAY = 10_000_000, "10ms"


@emu.scenario(engine="29", seed=1)
def topology(
    net: emu.Emulation,
    queue: int = 250,
    duration: int = 8,
    congestion: str = "cubic",
    ecn: bool = False,
) -> None:
    """Upload and ping over two queues; queue: frames of the drop-tail one; duration: of the upload, in s."""
    queues = {"tail": queue, "codel": emu.CoDel(limit=1000, ecn=ecn)}
    uploads, pings = {}, {}
    for number, (name, discipline) in enumerate(queues.items(), start=1):
        home, server = net.add_host(f"home{number}"), net.add_host(f"server{number}")
        modem = net.add_switch(f"modem{number}")
        net.add_link(home, modem, rate="1Gbit", delay="10us")
        net.add_link(modem, server, rate=RATE_BPS, delay=DELAY, queue=discipline)
        for host in (home, server):
            host.namespace.sysctl["net.ipv4.tcp_ecn"] = int(ecn)
        uploader = home.containers.run(f"uploader-{name}", network="host")
        target = server.containers.run(f"target-{name}", network="host")
        pings[name] = uploader.ping(target, count=BEFORE + 5 * duration, interval="200ms")
        uploads[name] = uploader.iperf(target, time=f"{duration}s", congestion=congestion, at="1s")

    def idle_ms(name):
        return median(pings[name].result.rtts_ns[:BEFORE]) / MS

    def loaded_ms(name):
        """The median of the second half of the upload, when TCP has found its rate."""
        return median(pings[name].result.rtts_ns[-5 * duration // 2 :]) / MS

    def share(name):
        return uploads[name].result.goodput_bps / RATE_BPS

    net.expect("without traffic both answer in 20 ms", lambda: all(20 < idle_ms(name) < 22 for name in queues))
    net.expect("both uploads fill the line", lambda: all(0.85 < share(name) < 0.95 for name in queues))
    net.expect("tail: pings wait for the whole queue", lambda: loaded_ms("tail") > 5 * idle_ms("tail"))
    net.expect("codel: pings take at most twice as long", lambda: loaded_ms("codel") < 2 * idle_ms("codel"))


def median(values) -> int:
    """The middle one; 0 when there is none."""
    return sorted(values)[len(values) // 2] if values else 0


if __name__ == "__main__":
    emu.main(topology)
