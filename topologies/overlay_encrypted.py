"""An encrypted overlay: what goes between the hosts is ESP, and whoever is not part of the swarm can't talk into it.

    emu run topologies/overlay_encrypted.py
    emu run topologies/overlay_encrypted.py --set encrypted=false

`web` on host1 pings `db` on host2. The network was made with the option `encrypted`, so each host encrypts the VXLAN
datagrams for the other one (IPsec, ESP in transport mode, AES-GCM): the outer IPv4 header stays, UDP, VXLAN and the
inner frame can't be read. That takes 26 bytes and up to 3 of padding, so containers have an MTU of 1424. At 10 s the
swarm rotates its keys: from then on packets have another SPI, and no ping is lost. At 15 s an intruder on host3, which
has nothing to do with the network, sends a plain VXLAN datagram to host2 with a forged frame for db. host2 drops it,
because it should have been encrypted. With encrypted=false db gets it and tries to answer.

The keys are in out/overlay_encrypted/esp_sa. To see inside the tunnel, give them to Wireshark's profile "emu":

    emu wireshark-profile --esp-sa out/overlay_encrypted/esp_sa
    wireshark -C emu out/overlay_encrypted/capture.pcapng

What to look at in Wireshark:

* `esp && frame.interface_name == "host1:eth0"`   the tunnel. Without keys: addresses, SPI, sequence number, length.
                                                  Inner IP packets of 84 bytes are frames of 174, of 1424: 1514.
* `esp && icmp`                                   with the keys: the pings, and `esp.icv_good == 1` for every packet.
* `esp.spi`                                       one for each direction, others after the rotation.
* `esp.sequence`                                  counts from 1 for each SPI.
* `frame.interface_name == "drops" && vxlan`      the intruder's datagram, and why it was dropped.
* `frame.packet_id == 19`                         one echo request on all of its way, in ESP as well.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN

import emu

CLEARTEXT = "not encrypted, but its overlay network is"
FORGED = "10.0.9.66"


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, encrypted: bool = True, count: int = 4) -> None:
    """Ping over an overlay; encrypted: whether it is; count: requests of each ping."""
    tor = net.add_switch("tor")
    h1, h2, h3 = (net.add_host(f"host{number}") for number in (1, 2, 3))
    for host in (h1, h2, h3):
        net.add_link(host, tor, rate="1Gbit", delay="25us")
    options = {"encrypted": ""} if encrypted else {}
    shop = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True, options=options)
    web = h1.containers.run("web", network=shop)
    db = h2.containers.run("db", network=shop)
    intruder = h3.containers.run("intruder", network="host")
    host2 = h2.addresses[0].split("/")[0]

    first = web.ping("db", count=count, at="3s")
    largest = web.ping("db", count=count, size=1424 - 28, dont_fragment=True, at="3.5s")
    second = web.ping("db", count=count, at="9s")  # while keys are rotated

    def intrude() -> None:
        mac = db.interface("eth0").mac
        inner = Ether(src="02:42:0a:00:09:42", dst=mac) / IP(src=FORGED, dst=db.addresses["shop"], id=1) / ICMP(id=66)
        intruder.udp().sendto(bytes(VXLAN(flags="Instance", vni=4097) / inner), (host2, 4789))

    if encrypted:
        net.at("10.5s", net.swarm.rotate_keys)
    net.at("15s", intrude)

    def got_in() -> bool:
        return FORGED in db.namespace.neighbours.text()

    def dropped() -> int:
        return h2.interface("eth0").counters.drops.get(CLEARTEXT, 0)

    net.expect("every ping is answered", lambda: first.result.received == largest.result.received == count)
    net.expect("none is lost when the keys change", lambda: second.result.received == count)
    net.expect("ESP takes 26 bytes of the MTU", lambda: web.interface("eth0").mtu == (1424 if encrypted else 1450))
    net.expect("only an encrypted network drops forged frames", lambda: dropped() == int(encrypted))
    net.expect("and only in another one they reach db", lambda: got_in() is not encrypted)


if __name__ == "__main__":
    emu.main(topology)
