"""Two containers on two hosts on one overlay network: every frame between them travels inside a UDP datagram.

    emu run topologies/overlay_two_hosts.py

`web` on host1 pings `db` on host2. Both believe that they share an Ethernet. In truth each host has a hidden namespace
for the network, `host1/shop`, with a bridge br0 and a VXLAN device vxlan0 that wraps frames into UDP for port 4789 of
the other host. Docker has told vxlan0 beforehand who is where, so it answers ARP itself.

What to look at in Wireshark (out/overlay_two_hosts/capture.pcapng holds every interface):

* `vxlan.vni == 4097`        the tunnelled frames on the underlay, at host1:eth0 and host2:eth0: outer Ethernet, IPv4,
                             UDP and VXLAN headers, then the inner frame. 4096 is the swarm's ingress network, 4097 the
                             first network of a user. 84 bytes of inner IP are 134 outside.
* `frame.packet_id == 19`    one echo request on all of its way: web:eth0, veth1, br0 and vxlan0 of host1/shop,
                             host1:eth0, host2:eth0, vxlan0, br0 and veth1 of host2/shop, db:eth0. Take any id from
                             the column.
* `arp && frame.interface_name == "host1/shop:vxlan0"`   web's question for db, and vxlan0's own answer a moment later
                             with db's MAC address. Announcements end here too.
* `arp && frame.interface_name == "host1:eth0"`   only the hosts' own ARP: none of the containers' crosses the underlay.
* `udp.dstport == 4789 && !(udp.checksum == 0)`   the outer UDP checksum is there, as Docker's devices have it.
* `udp.srcport`              of tunnelled frames: one port for each inner flow; all pings of a pair have the same one.
"""

import emu

OVERHEAD = 50


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, count: int = 4) -> None:
    """Join two hosts by a cable and let a container on one ping a container on the other; count: how many requests."""
    h1, h2 = net.add_host("host1"), net.add_host("host2")
    net.add_link(h1, h2, rate="1Gbit", delay="50us")
    shop = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    web = h1.containers.run("web", network=shop)
    db = h2.containers.run("db", network=shop)

    ping = web.ping("db", count=count, at="3s")

    net.expect("every ping is answered", lambda: ping.result.received == count)
    net.expect("the name is known across hosts", lambda: web.resolve("db") == [db.addresses["shop"]])
    net.expect("the cable's delay counts twice", lambda: min(ping.result.rtts_ns, default=0) > 2 * 50_000)
    net.expect("an answer takes less than a millisecond", lambda: 0 < max(ping.result.rtts_ns, default=0) < 1_000_000)
    net.expect("containers have room for the outer headers", lambda: web.interface("eth0").mtu == 1500 - OVERHEAD)


if __name__ == "__main__":
    emu.main(topology)
