"""Two DHCP servers on one segment: who is chosen, and what happens when the chosen one dies.

    emu run topologies/dhcp_two_servers.py
    emu run topologies/dhcp_two_servers.py --set authoritative=false
    emu run topologies/dhcp_two_servers.py --set client=udhcpc

The containers `dhcp1` and `dhcp2` have addresses given by hand and serve DHCP, each from a range of its own; there is
no server beside the gateway (`"server": "none"`). Both answer web's DISCOVER; dhcp1, connected last, is the first one,
because a bridge floods to its newest port first. web takes the first OFFER, and its REQUEST, which everybody hears,
names the server it has chosen, so the other one takes its offer back. dhcp1 stops at 30 s. At half the lease time of
two minutes (T1) web wants to ask dhcp1 by unicast, but nobody even answers ARP; at 7/8 of it (T2) it asks everybody.
dhcp2 does not know the lease. Being authoritative it refuses (NAK), web gives its address up at once and leases a new
one from dhcp2. A server without authority keeps silent, and web keeps its address until the lease ends, 15 s later.
udhcpc heeds a NAK only of the server that gave it the lease: it asks everybody three times, then begins anew.

What to look at in Wireshark:

* `dhcp.option.dhcp == 2 && frame.interface_name == "web:eth0"`   two OFFERs; the same transaction id.
* `dhcp.option.dhcp == 3`                                         `dhcp.option.dhcp_server_id` says who is meant.
* `arp.dst.proto_ipv4 == 10.0.0.2`                                from T1 on web looks for the server it knows.
* `dhcp.option.dhcp == 6`                                         the NAK, and `dhcp.option.message` says why.
"""

import emu

S = 1_000_000_000


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, authoritative: bool = True, client: str = "rfc2131") -> None:
    """Two servers, one of which stops; authoritative: the other one refuses what it does not know."""
    options = {"server": "none", "static": ["10.0.0.2", "10.0.0.3"], "client": client}
    lan = net.networks.create("lan", subnet="10.0.0.0/24", ipam={"driver": "dhcp", "options": options})
    dhcp2 = net.host.containers.run("dhcp2", network=lan, ipv4_address="10.0.0.3")
    dhcp1 = net.host.containers.run("dhcp1", network=lan, ipv4_address="10.0.0.2")
    first = dhcp1.serve_dhcp(range="10.0.0.100-10.0.0.149", lease_time="2min", probe="off")
    second = dhcp2.serve_dhcp(
        range="10.0.0.150-10.0.0.199", lease_time="2min", probe="off", authoritative=authoritative
    )
    web = net.host.containers.run("web", network=lan)
    seen = {"first": "", "taken back": [], "at the server": []}

    def story():
        yield web.ping("10.0.0.1", count=1)  # waits for the lease
        seen["first"] = web.addresses["lan"]
        seen["taken back"] = [lease.state for lease in second.leases]
        yield net.timeout(30 * S - net.now)
        dhcp1.stop()
        seen["at the server"] = [lease.state for lease in first.leases]
        yield net.timeout(150 * S - net.now)
        return (yield web.ping("10.0.0.1", count=1)).received

    task = net.spawn(story())
    net.expect("web takes the offer that comes first", lambda: seen["first"] == "10.0.0.100")
    net.expect("the other server takes its offer back", lambda: seen["taken back"] == ["released"])
    net.expect("the server that died has the lease in its file", lambda: seen["at the server"] == ["bound"])
    net.expect("web has a new address, from the other server", lambda: web.addresses.get("lan") == "10.0.0.150")
    net.expect("and is reachable with it", lambda: task.finished and task.result == 1)


if __name__ == "__main__":
    emu.main(topology)
