"""A container on two networks, and what separates the networks from each other.

    emu run topologies/two_networks.py

`web` is on the network front, `db` on back, and `app` on both. app reaches either; web and db do not reach each other,
although the host routes between their networks: Docker's rules drop what would go from one bridge to another. The
other bridge's gateway address answers all the same, because it is an address of the host itself.

What to look at in Wireshark:

* `frame.interface_name contains "app"`     app has eth0 on back and eth1 on front (which one is which the engine
                                            draws at random at start); each announces itself on its own network only.
* `icmp && ip.src == 172.18.0.2`            web's pings: answered by app and by the gateway of back, not by db.
* `frame.interface_name == "drops"`         the frames that were dropped; the comment of each says where and why
                                            (`frame.comment contains "firewall"`).
* `icmp.type == 3`                          nothing: the drop is silent.
"""

import emu


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, count: int = 3) -> None:
    """Run three containers on two networks; count: requests of each ping."""
    front = net.networks.create("front", subnet="172.18.0.0/16")
    back = net.networks.create("back", subnet="172.19.0.0/16")
    web = net.host.containers.run("web", network=front)
    db = net.host.containers.run("db", network=back)
    app = net.host.containers.run("app", network=[front, back])

    to_web = app.ping("web", count=count, at="3s")
    to_db = app.ping("db", count=count, at="3s")
    isolated = web.ping(db.addresses["back"], count=count, timeout="1s", at="7s")
    gateway = web.ping(back.gateway or "", count=count, at="7s")

    net.expect("app reaches web", lambda: to_web.result.received == count)
    net.expect("app reaches db", lambda: to_db.result.received == count)
    net.expect(
        "web does not reach db, and is not told why",
        lambda: isolated.result.received == 0 and isolated.result.errors == 0,
    )
    net.expect("the other network's gateway address answers", lambda: gateway.result.received == count)
    net.expect("names are known only on a common network", lambda: web.resolve("db") == [])


if __name__ == "__main__":
    emu.main(topology)
