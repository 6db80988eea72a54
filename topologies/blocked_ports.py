"""A firewall between hosts blocks a port the overlay needs: 4789/udp carries the data, 7946 the news.

    emu run topologies/blocked_ports.py                        # host1 drops what comes to 4789/udp
    emu run topologies/blocked_ports.py --set port=7946        # the control planes do not reach each other
    emu run topologies/blocked_ports.py --set port=0           # nothing is blocked

`web` on host1 pings `db` on host2.

* 4789: host1 has the rule `-A INPUT -i eth0 -p udp -m udp --dport 4789 -j DROP`. What leaves host1 arrives, what comes
  back does not: db answers every request, and web hears none of it. Names are resolved and ARP is answered, for both
  are local matters; so everything looks well but the pings.
* 7946: host1 never hears that db exists. There is no name, no neighbour entry and no forwarding entry; for db's address
  web asks three times, a second apart, and ping says "Destination Host Unreachable".

What to look at in Wireshark (out/blocked_ports/capture.pcapng):

* `icmp && frame.interface_name == "host1:eth0"`      4789: requests and replies, both are on the wire.
* `icmp && frame.interface_name == "web:eth0"`        4789: requests only.
* `vxlan && frame.interface_name == "drops"`          4789: the replies, "dropped by a firewall rule".
* `arp && frame.interface_name == "web:eth0"`         4789: answered by host1's own vxlan0; 7946: asked again and again.
* `vxlan`                                             7946: nothing.
"""

import emu
from emu.stack.input_chain import InputRule

VXLAN, GOSSIP = 4789, 7946
FIREWALL = "dropped by a firewall rule"


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, port: int = VXLAN, count: int = 4) -> None:
    """Ping through a firewall; port: 4789, 7946 or 0 for none; count: requests."""
    if port not in (0, VXLAN, GOSSIP):
        raise emu.InvalidValue(f"port={port}: expected {VXLAN}, {GOSSIP} or 0")
    h1, h2 = net.add_host("host1"), net.add_host("host2")
    net.add_link(h1, h2, rate="1Gbit", delay="50us")
    shop = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    if port == VXLAN:
        rule = InputRule("DROP", in_device="eth0", protocol="udp", destination_port=VXLAN)
        h1.namespace.input_chain.append(rule)
    db = h2.containers.run("db", network=shop, ipv4_address="10.0.9.100")
    if port == GOSSIP:
        net.swarm.cut_off(h1)  # the control plane sends no packets that a rule could match
    web = h1.containers.run("web", network=shop)
    ping = web.ping("10.0.9.100", count=count, at="3s", timeout="1s")

    answered = count if port == 0 else 0
    vxlan1, vxlan2 = (shop.on(host).interface("vxlan0") for host in (h1, h2))
    net.expect(f"{answered} pings are answered", lambda: ping.result.received == answered)
    net.expect("the name is known unless the news is blocked", lambda: bool(web.resolve("db")) is (port != GOSSIP))
    if port == VXLAN:
        net.expect("db got them all", lambda: vxlan2.counters.rx_packets == count)
        net.expect("and answered them all", lambda: vxlan2.counters.tx_packets == count)
        net.expect("the answers end at host1's card", lambda: h1.interface("eth0").counters.drops == {FIREWALL: count})
        net.expect("ARP is answered", lambda: db.interface("eth0").mac in web.namespace.neighbours.text())
    if port == GOSSIP:
        net.expect("nothing is tunnelled", lambda: (vxlan1.counters.tx_packets, vxlan2.counters.rx_packets) == (0, 0))
        net.expect("ping says so", lambda: "Destination Host Unreachable" in ping.result.text)


if __name__ == "__main__":
    emu.main(topology)
