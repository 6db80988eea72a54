"""Two hosts on a switch, and a cable between them that loses, delays, doubles and reorders frames.

    emu run topologies/lossy_cable.py --set loss=5% --set jitter=2ms
    emu run topologies/lossy_cable.py --set corrupt=1%
    emu run topologies/lossy_cable.py --set loss="gemodel 1% 25%"      losses in bursts

Both containers use their host's network, so what they send goes straight to the cable. The impairments are those of
`tc netem`, applied in both directions of the cable between host2 and the switch.

What to look at in Wireshark:

* `icmp && frame.interface_name == "host1:eth0"`    what host1 sends and gets back: gaps in icmp.seq are losses, equal
                                                    ones duplicates.
* `frame.interface_name == "drops"`                 the lost frames themselves; the comment says where it happened.
* `icmp.seq == 7`                                   one request at every point it reached.
* `frame.time_delta_displayed` as a column, on one interface: the jitter.
* with --set corrupt=1%: `icmp.checksum.status == "Bad"`, the frames with a flipped bit (the receiver drops them).
"""

import emu


@emu.scenario(engine="29", seed=1)
def topology(
    net: emu.Emulation,
    count: int = 200,
    loss: str = "2%",
    duplicate: str = "1%",
    reorder: str = "0%",
    corrupt: str = "0%",
    delay: str = "2ms",
    jitter: str = "500us",
    rate: str = "100Mbit",
) -> None:
    """Ping through an impaired cable; count: requests, the others as in `add_link`."""
    host1, host2 = net.add_host("host1"), net.add_host("host2")
    switch = net.add_switch("tor")
    net.add_link(host1, switch, rate="1Gbit", delay="5us")
    net.add_link(
        host2, switch, rate=rate, delay=delay, jitter=jitter, loss=loss, duplicate=duplicate,
        reorder=reorder, corrupt=corrupt,
    )  # fmt: skip
    pinger = host1.containers.run("pinger", network="host")
    host2.containers.run("target", network="host")
    ping = pinger.ping(host2.addresses[0].split("/")[0], count=count, interval="100ms")

    net.expect("most pings are answered", lambda: ping.result.received > count * 8 // 10)
    net.expect(
        "no answer is faster than the cable",
        lambda: min(ping.result.rtts_ns, default=0) >= 2 * (2_000_000 - 500_000) or delay != "2ms" or jitter != "500us",
    )


if __name__ == "__main__":
    emu.main(topology)
