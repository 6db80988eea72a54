"""Somebody uses an address by hand that the DHCP server believes to be free: DECLINE.

    emu run topologies/dhcp_conflict.py
    emu run topologies/dhcp_conflict.py --set probe=3s

`squatter` has typed `ip addr add 10.0.0.10/24 dev eth0`; the server knows nothing of it and offers that very address to
web. Before web uses it, it asks by ARP who has it (a probe, RFC 5227), and squatter answers. web declines the address,
waits for 20 s, as udhcpc does, and begins anew; the server puts the address into quarantine and offers the next one.
With `probe=3s` (which is the default of a network) the server pings every address before it offers it, finds squatter
by itself, and web never hears of 10.0.0.10.

What to look at in Wireshark:

* `dhcp && frame.interface_name == "web:eth0"`        DISCOVER, OFFER, REQUEST, ACK, DECLINE, and 20 s later again four.
* `arp.isprobe && arp.dst.proto_ipv4 == 10.0.0.10`    web's question; the answer is `arp.opcode == 2`, from squatter.
* `dhcp.option.dhcp == 4`                             the DECLINE: from 0.0.0.0, and nobody answers it.
* `icmp && ip.addr == 10.0.0.10`                      with `probe=3s` the server's echo request and squatter's reply.
"""

import emu


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, probe: str = "off") -> None:
    """A squatter on the first address of the range; probe: how long the server's ping waits for an answer."""
    options = {"range": "10.0.0.10-10.0.0.99", "static": "10.0.0.5", "lease_time": "10min", "probe": probe}
    lan = net.networks.create("lan", subnet="10.0.0.0/24", ipam={"driver": "dhcp", "options": options})
    squatter = net.host.containers.run("squatter", network=lan, ipv4_address="10.0.0.5")
    squatter.namespace.add_address(squatter.interface("eth0").device, "10.0.0.10/24")
    web = net.host.containers.run("web", network=lan)
    ping = web.ping("10.0.0.10", count=2)

    net.expect("web has the next address", lambda: web.addresses.get("lan") == "10.0.0.11")
    net.expect(
        "the address in use is in quarantine",
        lambda: [(lease.address, lease.state) for lease in lan.dhcp.leases][:1] == [("10.0.0.10", "declined")],
    )
    net.expect("squatter was not disturbed", lambda: ping.finished and ping.result.received == 2)


if __name__ == "__main__":
    emu.main(topology)
