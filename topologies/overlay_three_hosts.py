"""One overlay network over three hosts on a switch: a frame goes only where its destination is.

    emu run topologies/overlay_three_hosts.py

`web` and `cache` are on host1, `app` on host2, `db` on host3. Three pings: web to cache on the same host, web to app,
and app to db. Each host has been told where the others' containers are, so that a frame is tunnelled to the one host
that has its destination, and what stays on one host does not even reach vxlan0.

What to look at in Wireshark (out/overlay_three_hosts/capture.pcapng):

* `vxlan && frame.interface_name == "host3:eth0"`   only what app and db say to each other: none of web's frames.
* `icmp && frame.interface_name == "host1/shop:br0"`   the pings of web, to the same host and to another one.
* `icmp && frame.interface_name == "host1/shop:vxlan0"`   of these only the second kind.
* `arp && frame.interface_name contains "vxlan0"`   announcements and questions end here: vxlan0 answers from its
                                                    permanent neighbour entries, or drops them.
* `vxlan && frame.interface_name contains "tor"`    the switch knows nothing of containers: it sees three addresses.
"""

import emu


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, count: int = 3) -> None:
    """Ping within a host and between hosts; count: requests of each ping."""
    tor = net.add_switch("tor")
    hosts = [net.add_host(f"host{number}") for number in (1, 2, 3)]
    for host in hosts:
        net.add_link(host, tor, rate="1Gbit", delay="5us")
    h1, h2, h3 = hosts
    shop = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    web = h1.containers.run("web", network=shop)
    cache = h1.containers.run("cache", network=shop)
    app = h2.containers.run("app", network=shop)
    db = h3.containers.run("db", network=shop)

    near = web.ping("cache", count=count, at="3s")
    far = web.ping("app", count=count, at="4s")
    other = app.ping("db", count=count, at="5s")

    def tunnelled(host: emu.Host) -> tuple[int, int]:
        counters = shop.on(host).interface("vxlan0").counters
        return counters.rx_packets, counters.tx_packets

    def entries(host: emu.Host) -> set[str]:
        """The MAC addresses of containers that a host has permanent entries for."""
        shown = shop.on(host).interface("vxlan0").device.fdb.text()
        return {box.name for box in (web, cache, app, db) if box.interface("eth0").mac in shown}

    net.expect("every ping is answered", lambda: all(ping.result.received == count for ping in (near, far, other)))
    net.expect(
        "what stays on a host is fastest",
        lambda: min(near.result.rtts_ns, default=0) < min(far.result.rtts_ns, default=0),
    )
    net.expect("host1 tunnels web's pings to app and nothing else", lambda: tunnelled(h1) == (count, count))
    net.expect("host2 tunnels both", lambda: tunnelled(h2) == (2 * count, 2 * count))
    net.expect("host3 gets only what is for db", lambda: tunnelled(h3) == (count, count))
    net.expect(
        "each host has entries for the others' containers",
        lambda: [entries(host) for host in hosts] == [{"app", "db"}, {"web", "cache", "db"}, {"web", "cache", "app"}],
    )


if __name__ == "__main__":
    emu.main(topology)
