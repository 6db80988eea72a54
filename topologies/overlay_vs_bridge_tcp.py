"""The same TCP stream over the cable itself, over an overlay, and over a bridge on one host.

    emu run topologies/overlay_vs_bridge_tcp.py
    emu run topologies/overlay_vs_bridge_tcp.py --set rate=10Gbit     # then the CPUs are the bottleneck
    emu run topologies/overlay_vs_bridge_tcp.py --set size=100000000

Two hosts on a cable of 1 Gbit/s. One after the other, iperf sends the same number of bytes

* between the hosts themselves (containers on the host's network): 1448 bytes of payload in each frame, and with
  preamble, check sequence and gap each frame takes 1538 bytes of the cable: at most 94.15 % are payload;
* between containers on an overlay network: each frame takes 50 bytes for the tunnel, 1398 are left: at most 90.90 %;
* between containers on a bridge of one host: no cable; it goes as fast as the host's CPU copies.

Then a request of 64 bytes and its response, 200 times each, which shows what the tunnel costs in time.

What to look at in Wireshark (out/overlay_vs_bridge_tcp/capture.pcapng):

* `tcp.len > 0 && frame.interface_name == "host1:eth0"`    lengths: 1514 without and 1514 with a tunnel; see tcp.len.
* `frame.interface_name == "o1:eth0" && tcp.flags.syn == 1`    the MSS of the overlay: 1410.
* `frame.interface_name contains "docker" || frame.interface_name contains "br-"`    the bridge.
"""

import emu

ROUND_TRIPS = 200


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, size: int = 2_000_000, rate: str = "1Gbit", delay: str = "50us") -> None:
    """Measure three ways; size: bytes of each stream; rate, delay: of the cable."""
    host1, host2 = net.add_host("host1"), net.add_host("host2")
    net.add_link(host1, host2, rate=rate, delay=delay)
    overlay = net.networks.create("overlay", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    bridge = host1.networks.create("bridged", driver="bridge", subnet="172.30.0.0/16")
    pairs = {
        "underlay": [host.containers.run(name, network="host") for host, name in ((host1, "u1"), (host2, "u2"))],
        "overlay": [host.containers.run(name, network=overlay) for host, name in ((host1, "o1"), (host2, "o2"))],
        "bridge": [host1.containers.run(name, network=bridge) for name in ("b1", "b2")],
    }
    streams, requests = {}, {}
    for index, (name, (client, server)) in enumerate(pairs.items()):
        start = 5 * index + 3
        streams[name] = client.iperf(server, bytes=size, at=f"{start}s")
        requests[name] = client.load(
            server, workers=1, count=ROUND_TRIPS, request_size=64, response_size=64, at=f"{start + 4}s"
        )

    def goodput(name):
        return streams[name].result.goodput_bps

    def median_us(name):
        return requests[name].result.latency.percentile_ns(50) / 1000

    for name in pairs:
        net.expect(f"{name}: everything arrives", lambda name=name: streams[name].result.received_bytes == size)
    if rate == "1Gbit":
        net.expect("the underlay stays below 94.15 % of the cable", lambda: 0.90 < goodput("underlay") / 1e9 < 0.9415)
        net.expect("the overlay stays below 90.90 % of the cable", lambda: 0.86 < goodput("overlay") / 1e9 < 0.9090)
        net.expect("the bridge has no cable to wait for", lambda: goodput("bridge") > goodput("underlay"))
        net.expect("the overlay is slower than the underlay", lambda: goodput("overlay") < goodput("underlay"))
    net.expect(
        "a request over the overlay takes some microseconds more",
        lambda: 2 < median_us("overlay") - median_us("underlay") < 40,
    )
    net.expect("a request over the bridge takes the least", lambda: median_us("bridge") < median_us("underlay"))


if __name__ == "__main__":
    emu.main(topology)
