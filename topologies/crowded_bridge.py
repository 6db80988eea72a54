"""Many containers on one bridge that all begin to talk at once: an ARP storm.

    emu run topologies/crowded_bridge.py --set n=40

Each of the n containers pings its right-hand neighbour (the last one the first) at the same instant. n ARP requests
are broadcast, so each bridge port sends n-1 copies: with n containers about n * n frames for n questions. The work is
done by one CPU, which is why the first answer of the last container comes late.

What to look at in Wireshark:

* `arp.opcode == 1 && frame.interface_name == "host1:br-storm"`   the n requests, once each.
* `arp.opcode == 1 && frame.interface_name == "c1:eth0"`          what one container hears: everybody.
* `frame.packet_id == 1`         one request and all its copies: the same packet id at every interface.
* Statistics > I/O Graphs          the burst, and the calm once everybody is in everybody's table.
"""

import emu


@emu.scenario(engine="20.10", seed=1)  # an engine that sends nothing when a container starts
def topology(net: emu.Emulation, n: int = 12) -> None:
    """Run n containers (2 to 500) that ping each other in a ring."""
    if not 2 <= n <= 500:
        raise emu.InvalidValue(f"n={n}: expected 2 to 500 containers; more fill the backlog of the one CPU")
    storm = net.networks.create("storm", subnet="10.20.0.0/16", options={"com.docker.network.bridge.name": "br-storm"})
    containers = [net.host.containers.run(f"c{index + 1}", network=storm) for index in range(n)]
    pings = [container.ping(containers[(index + 1) % n], count=2) for index, container in enumerate(containers)]

    net.expect("every ping is answered", lambda: all(ping.result.received == 2 for ping in pings))
    net.expect(
        "everybody hears everybody: n-1 broadcasts each",
        lambda: all(container.interface("eth0").counters.rx_packets >= n - 1 for container in containers),
    )


if __name__ == "__main__":
    emu.main(topology)
