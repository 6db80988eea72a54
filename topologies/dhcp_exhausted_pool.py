"""A DHCP server has fewer addresses than there are containers: the last one asks in vain, until somebody leaves.

    emu run topologies/dhcp_exhausted_pool.py

The range of `lan` has two addresses, and three containers want one. Nobody refuses the third: RFC 2131 has no such
message, so its DISCOVERs just go unanswered. The client (udhcpc's timing) sends three, 3 s apart, gives up for the
moment, and tries again 20 s later. A program started in that container meanwhile fails as `docker run` would, with the
state the client was in and Docker's words for a full pool. At 15 s `one` stops; its RELEASE frees its address, and the
next round of `three` gets it.

What to look at in Wireshark:

* `dhcp && frame.interface_name == "three:eth0"`    six DISCOVERs (`dhcp.secs` counts 0, 3, 6, and again), one OFFER.
* `dhcp.option.dhcp == 7`                           the RELEASE of `one`, by unicast, at 15 s.
* `arp.isprobe`                                     every client asks who has its address before it uses it.
"""

import emu

S = 1_000_000_000


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation) -> None:
    """Three containers and two addresses; one container stops at 15 s."""
    options = {"range": "10.0.0.10-10.0.0.11", "lease_time": "10min", "probe": "off"}
    lan = net.networks.create("lan", subnet="10.0.0.0/24", ipam={"driver": "dhcp", "options": options})
    one, two, three = (net.host.containers.run(name, network=lan) for name in ("one", "two", "three"))
    early = three.ping("two", count=1)
    seen = {"error": "", "counts": None}

    def story():
        try:
            yield early
        except emu.LeaseTimeout as error:
            seen["error"] = str(error)
        seen["counts"] = lan.attrs["Status"]["DHCP"]
        yield net.timeout(15 * S - net.now)
        one.stop()
        yield net.timeout(35 * S - net.now)
        return (yield three.ping("two", count=1)).received

    task = net.spawn(story())
    net.expect(
        "the third container's program fails, and says in which state its client was",
        lambda: early.state == "failed" and "gave up in state SELECTING" in seen["error"],
    )
    net.expect("and why, in Docker's words", lambda: "address pool" in seen["error"])
    net.expect("both leases are used, none is free", lambda: seen["counts"] == {"LeasesUsed": 2, "LeasesFree": 0})
    net.expect("then it gets the address that was released", lambda: three.addresses.get("lan") == "10.0.0.10")
    net.expect("and reaches its neighbour", lambda: task.finished and task.result == 1)
    net.expect("which has kept its address", lambda: two.addresses.get("lan") == "10.0.0.11")


if __name__ == "__main__":
    emu.main(topology)
