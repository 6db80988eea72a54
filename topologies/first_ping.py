"""The first ping between two containers on Docker's default bridge.

    emu run topologies/first_ping.py            (or: python topologies/first_ping.py)

What to look at in Wireshark (out/first_ping/capture.pcapng holds every interface; `frame.packet_id` is the same for
one packet wherever it is seen):

* `arp`                      three announcements per container at 0, 1 and 2 s (engine 28 and later), then c1 asks who
                             has 172.17.0.3, and c2 answers. 5 s after the first answer c2 asks back, unicast: it
                             confirms its own neighbour entry.
* `icmp`                     four requests and four replies, each seen at five points: c1's eth0, its host-side veth,
                             docker0, the other veth, c2's eth0.
* `icmp && frame.interface_name == "c1:eth0"`   what `tcpdump -i eth0` in c1 would show.
* `frame.packet_id == 7`     the first request on its way; take any id from the profile's column.

For a view without the copies open a single interface: `emu run --split ...` writes by-interface/c1:eth0.pcapng.
"""

import emu


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, count: int = 4) -> None:
    """Run two containers and let the first ping the second; count: how many requests."""
    c1 = net.host.containers.run("c1")
    c2 = net.host.containers.run("c2")
    ping = c1.ping(c2, count=count, at="3s")

    net.expect("every ping is answered", lambda: ping.result.received == count)
    net.expect("an answer takes less than a millisecond", lambda: 0 < max(ping.result.rtts_ns, default=0) < 1_000_000)


if __name__ == "__main__":
    emu.main(topology)
