"""A worker is cut off and comes back: what the other host forgets, when, and what pings see of it.

    emu run topologies/overlay_partition.py
    emu run topologies/overlay_partition.py --set cut=20s --set repair=60s

`web` on host1 pings `db` on host2 once a second, while the cable between host2 and the switch is pulled and plugged in
again. Docker's gossip notices after 5 to 10 s and takes host2's entries out of host1's vxlan0; the pings, which had
been lost on the underlay, are now lost in vxlan0. web still knows db's MAC address and believes in it for a while; then
it asks db directly, three times, then everybody, and as vxlan0 no longer answers ARP, ping says "Destination Host
Unreachable". Within 5 s of the repair the entries are back.

What to look at in Wireshark (out/overlay_partition/capture.pcapng):

* `icmp && frame.interface_name == "web:eth0"`        requests without replies, then none, then replies again.
* `frame.interface_name == "drops" && icmp`           where requests end: first at the switch, then at vxlan0.
* `arp && frame.interface_name == "web:eth0"`         unicast questions, then broadcasts; the first answer after the
                                                      repair comes from vxlan0.
* `arp && frame.interface_name == "host1:eth0"`       host1 loses sight of host2 as well.
"""

import emu

S = 1_000_000_000


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, cut: str = "10s", repair: str = "75s") -> None:
    """Pull and plug in a cable; cut, repair: when; there should be a minute between them."""
    tor = net.add_switch("tor")
    h1, h2 = net.add_host("host1"), net.add_host("host2")
    net.add_link(h1, tor, rate="1Gbit", delay="5us")
    cable = net.add_link(h2, tor, rate="1Gbit", delay="5us")
    net.swarm.init(control_plane="delayed")
    shop = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    web = h1.containers.run("web", network=shop)
    db = h2.containers.run("db", network=shop)
    overlay = shop.on(h1)
    cut_ns, repair_ns = net.start_time(cut), net.start_time(repair)
    address, mac = db.addresses["shop"], db.interface("eth0").mac
    changes: list[tuple[int, bool]] = []

    def watch():
        """Note when both entries for db come and go, looking ten times a second."""
        while net.now < repair_ns + 6 * S:
            known = address in overlay.namespace.neighbours.text()
            there = known and mac in overlay.interface("vxlan0").device.fdb.text()
            if not changes or changes[-1][1] is not there:
                changes.append((net.now, there))
            yield net.timeout("100ms")

    net.spawn(watch())
    net.at(cut, cable.down)
    net.at(repair, cable.up)
    seconds = (repair_ns - 2 * S) // S + 10
    ping = web.ping("db", count=seconds, at="2s", timeout="1s")

    def lines() -> list[str]:
        return [line for line in ping.result.text.splitlines() if "icmp_seq=" in line]

    net.expect("the entries go and come back", lambda: [there for _, there in changes][-3:] == [True, False, True])
    net.expect(
        "they go 5 to 10 s after the cut",
        lambda: len(changes) > 2 and 5 * S <= changes[-2][0] - cut_ns <= 10 * S + S // 10,
    )
    net.expect(
        "they are back within 5 s of the repair",
        lambda: len(changes) > 2 and changes[-1][0] - repair_ns <= 5 * S + S // 10,
    )
    net.expect("pings are lost without a word", lambda: ping.result.received + ping.result.errors < seconds - 10)
    net.expect("then ping says so", lambda: any("Destination Host Unreachable" in line for line in lines()))
    net.expect("in the end they are answered again", lambda: all("64 bytes from" in line for line in lines()[-3:]))


if __name__ == "__main__":
    emu.main(topology)
