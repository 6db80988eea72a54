"""A forwarding entry is missing, the neighbour entry is there: ARP looks right, and nothing arrives.

    emu run topologies/missing_fdb_entry.py

`web` on host1 pings `db` on host2. Two seconds before, host1's vxlan0 lost its entry for db's MAC address (a bug of a
Docker release did that: moby#52661). The neighbour entry is still there, so vxlan0 goes on answering web's ARP; but an
echo request that reaches vxlan0 has nowhere to go and is dropped without a word. After 5 s somebody enters what is
missing, and the pings are answered:

    bridge fdb replace MAC dev vxlan0 dst 198.18.0.2 self permanent

What to look at in Wireshark (out/missing_fdb_entry/capture.pcapng):

* `arp && frame.interface_name == "web:eth0"`         question and answer, as if all were well.
* `icmp && frame.interface_name == "web:eth0"`        requests without replies, until the repair.
* `icmp && frame.interface_name == "drops"`           where they ended: at vxlan0, with the reason in the comment.
* `vxlan && frame.interface_name == "host1:eth0"`     not one frame of web before the repair.
"""

import emu

NO_ENTRY = "no forwarding entry says behind which tunnel endpoint the destination is"


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, repair: str = "10s", count: int = 10) -> None:
    """Ping without a forwarding entry; repair: when it is entered again; count: requests, from 5 s on."""
    h1, h2 = net.add_host("host1"), net.add_host("host2")
    net.add_link(h1, h2, rate="1Gbit", delay="50us")
    shop = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    web = h1.containers.run("web", network=shop)
    db = h2.containers.run("db", network=shop)
    vxlan0 = shop.on(h1).interface("vxlan0")
    mac, host2 = db.interface("eth0").mac, h2.addresses[0].split("/")[0]
    seen: list[int] = []

    def enter() -> None:
        seen.append(vxlan0.counters.tx_packets)
        vxlan0.device.fdb.replace(mac, host2)

    net.at("3s", vxlan0.device.fdb.remove, mac)
    net.at(repair, enter)
    ping = web.ping("db", count=count, at="5s", timeout="1s")

    def dropped() -> int:
        return vxlan0.counters.drops.get(NO_ENTRY, 0)

    net.expect("pings before the repair die", lambda: 0 < dropped() == count - ping.result.received)
    net.expect("pings after it are answered", lambda: ping.result.received > 0)
    net.expect("until then nothing was tunnelled", lambda: seen == [0])
    net.expect("web has known db's MAC address all the time", lambda: mac in web.namespace.neighbours.text())
    net.expect("and was never told that anything is wrong", lambda: "Unreachable" not in ping.result.text)


if __name__ == "__main__":
    emu.main(topology)
