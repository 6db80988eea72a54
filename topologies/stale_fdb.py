"""A container moves to another host, and one host does not hear of it: a stale forwarding entry.

    emu run topologies/stale_fdb.py
    emu run topologies/stale_fdb.py --set by_hand=true

`db` has a fixed address, and so always the same MAC address. It stops on host2 and starts again on host3. The message
"db has left host2" is lost on its way to host1, so host1 goes on sending to host2, which has no such container. The
other direction fails as well: what db sends from host3 comes to host1 with a source address that has a permanent entry
elsewhere, and such frames are dropped on arrival. Nobody is told; both directions are black. It ends with the next
bulk sync of the control plane (every 30 s), or at 15 s with `by_hand`, by

    bridge fdb replace 02:42:0a:00:09:64 dev vxlan0 dst 198.18.0.3 self permanent

What to look at in Wireshark (out/stale_fdb/capture.pcapng):

* `icmp && vxlan && frame.interface_name == "host1:eth0"`   the outer `ip.dst` of web's requests: 198.18.0.2, which is
                                                            wrong, then 198.18.0.3.
* `icmp && frame.interface_name == "host2/shop:br0"`        where they end: flooded to a container that ignores them.
* `icmp && frame.interface_name == "drops"`                 db's own pings, dropped by host1's vxlan0.
* `icmp.type == 3`                                          nothing: no error message anywhere.
"""

import emu

ELSEWHERE = "the source MAC address has a permanent entry at another tunnel endpoint"
S = 1_000_000_000


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, by_hand: bool = False) -> None:
    """Move a container while an update is lost; by_hand: replace the stale entry at 15 s."""
    tor = net.add_switch("tor")
    h1, h2, h3 = (net.add_host(f"host{number}") for number in (1, 2, 3))
    for host in (h1, h2, h3):
        net.add_link(host, tor, rate="1Gbit", delay="5us")
    net.swarm.init(control_plane="delayed")
    shop = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    web = h1.containers.run("web", network=shop)
    h2.containers.run("stays", network=shop)
    h3.containers.run("other", network=shop)
    db = h2.containers.run("db", network=shop, ipv4_address="10.0.9.100")
    vxlan0 = shop.on(h1).interface("vxlan0")
    host2, host3 = (host.addresses[0].split("/")[0] for host in (h2, h3))
    seen: dict[str, bool] = {}

    def behind(address: str) -> bool:
        return any(
            db.interface("eth0").mac in line and f" dst {address} " in line
            for line in vxlan0.device.fdb.text().splitlines()
        )

    def move() -> None:
        nonlocal db
        net.swarm.drop_next("host1", "delete")
        db.remove(force=True)
        db = h3.containers.run("db", network=shop, ipv4_address="10.0.9.100")

    def story():
        yield net.timeout("2s")
        before = yield web.ping("10.0.9.100", count=2)
        yield net.timeout(5 * S - net.now)
        move()
        yield net.timeout(10 * S - net.now)
        seen["stale"] = behind(host2)
        forth = yield web.ping("10.0.9.100", count=3, timeout="1s")
        back = yield db.ping(web.addresses["shop"], count=1, timeout="1s")
        seen["black"] = before.received == 2 and forth.received == back.received == 0
        yield net.timeout(15 * S - net.now)
        if by_hand:
            vxlan0.device.fdb.replace(db.interface("eth0").mac, host3)
        yield net.timeout((16 if by_hand else 31) * S - net.now)
        seen["healed"] = behind(host3)
        forth = yield web.ping("10.0.9.100", count=2)
        back = yield db.ping(web.addresses["shop"], count=2)
        return forth.received, back.received

    task = net.spawn(story())
    net.expect("after the move host1 still has the old entry", lambda: seen.get("stale"))
    net.expect("then neither direction works", lambda: seen.get("black"))
    net.expect("what db sends is dropped on arrival", lambda: vxlan0.counters.drops.get(ELSEWHERE, 0) > 0)
    net.expect("in the end the entry is right", lambda: seen.get("healed"))
    net.expect("and both directions work", lambda: task.finished and task.result == (2, 2))


if __name__ == "__main__":
    emu.main(topology)
