"""Three containers lease their addresses by DHCP, renew them, and one restarts.

    emu run topologies/dhcp_ipam.py
    emu show topologies/dhcp_ipam.py --leases

The network `lan` gets its addresses the way a LAN does: `ipam={"driver": "dhcp", ...}` puts a DHCP server on the bridge
and a client (with the timing of BusyBox's udhcpc) into each container. Before the server offers an address it pings it;
before a client uses one it asks by ARP whether somebody else does. That takes 5 s, and only then web's ping begins: a
container's programs start when it has its address. After half a lease time (60 s of 2 minutes) each client renews. `db`
restarts at 70 s and asks for the address it had (INIT-REBOOT: two messages instead of four), and `cache` stops at 80 s
and gives its address back.

What to look at in Wireshark:

* `dhcp && frame.interface_name == "web:eth0"`     DISCOVER, OFFER, REQUEST, ACK; at 63 s REQUEST and ACK by unicast.
* `dhcp.option.dhcp == 3 && ip.src == 0.0.0.0`     REQUESTs of those without an address; db's last one names no server.
* `arp.isprobe || arp.isannouncement`              "is this address in use?", and "now it is mine".
* `icmp.type == 8 && frame.interface_name == "drops"`   the server's pings: nobody is there, so ARP gets no answer.
* `dhcp.option.dhcp == 7`                          cache's RELEASE, its last frame.
"""

import emu

S = 1_000_000_000


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, lease_time: str = "2min") -> None:
    """Lease, renew at half the lease_time, restart at 70 s and stop at 80 s."""
    options = {
        "range": "10.0.0.10-10.0.0.99",
        "lease_time": lease_time,
        "dns": "10.0.0.1",
        "domain": "lan.example",
    }
    lan = net.networks.create("lan", subnet="10.0.0.0/24", ipam={"driver": "dhcp", "options": options})
    web, db, cache = (net.host.containers.run(name, network=lan) for name in ("web", "db", "cache"))
    first = web.ping("db", count=2)
    seen = {"addresses": [], "before": [], "after": []}

    def story():
        yield first
        seen["addresses"] = [container.addresses["lan"] for container in (web, db, cache)]
        seen["before"] = [lease.expires_ns for lease in lan.dhcp.leases]
        yield net.timeout(70 * S - net.now)
        seen["after"] = [lease.expires_ns for lease in lan.dhcp.leases]
        db.restart()
        yield net.timeout(80 * S - net.now)
        cache.stop()
        return (yield web.ping("db", count=2)).received

    task = net.spawn(story())
    net.expect(
        "three containers have leased addresses of the range, in order",
        lambda: seen["addresses"] == ["10.0.0.10", "10.0.0.11", "10.0.0.12"],
    )
    net.expect("the first ping waited for the leases, and was answered", lambda: first.result.received == 2)
    net.expect(
        "all have renewed their leases after half the time",
        lambda: seen["after"] and all(new > old for new, old in zip(seen["after"], seen["before"], strict=True)),
    )
    net.expect("db has the same address after its restart", lambda: db.addresses.get("lan") == "10.0.0.11")
    net.expect("and answers there", lambda: task.finished and task.result == 2)
    net.expect(
        "cache has given its address back",
        lambda: [lease.state for lease in lan.dhcp.leases] == ["bound", "bound", "released"],
    )


if __name__ == "__main__":
    emu.main(topology)
