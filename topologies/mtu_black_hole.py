"""The overlay MTU black hole: small packets pass, big ones vanish, and nobody says why.

    emu run topologies/mtu_black_hole.py                             # variant a
    emu run topologies/mtu_black_hole.py --set variant=b
    emu run topologies/mtu_black_hole.py --set variant=c
    emu run topologies/mtu_black_hole.py --set fix=true              # any variant

Docker gives containers on an overlay an MTU of 1450, which is right for an underlay of 1500. Here the underlay lets
only 1450 pass, so that there is room for 1400 inside; nobody has told Docker. `web` on host1 sends pings of both sizes
with DF set, pings with DF unset, and a UDP flow of full-sized datagrams to `db` on host2.

* a: the narrow place is a cable between two switches, and switches send no ICMP. Outer packets have DF unset, but a
  switch does not fragment either: whatever is longer is gone. Pings with 1372 bytes of data pass, with 1373 they don't,
  and the UDP flow is lost to the last datagram.
* b: the narrow place is the hosts' own network card. Now host1's vxlan0 knows, and answers the first packet that is too
  long in db's name: "fragmentation needed, MTU 1400". web's kernel remembers that for 10 minutes and cuts what follows.
  One datagram is lost, and the next send() returns EMSGSIZE because of it.
* c: the switches fragment, as a Linux bridge does when br_netfilter is loaded. Everything arrives, in twice as many
  frames on the narrow cable.

The fix is one line: `options={"com.docker.network.driver.mtu": 1450}`; Docker takes off the 50 itself.

What to look at in Wireshark (out/mtu_black_hole/capture.pcapng):

* `vxlan && frame.interface_name == "drops"`            a: what the first switch drops, with the reason.
* `icmp.type == 3 && frame.interface_name == "web:eth0"`   b: "Fragmentation needed" from db's address and db's MAC, in
                                                        which db had no part: look for it at "db:eth0".
* `ip.flags.mf == 1 || ip.frag_offset > 0`              c: the fragments of outer packets, two for each.
* `icmp && data.len >= 1373`                            how far each long echo request comes.
"""

import emu

NARROW, HEADERS = 1450, 50
VLAN_TAG = 4
FITS = NARROW - HEADERS - 28


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, variant: str = "a", fix: bool = False, count: int = 20) -> None:
    """Send packets of both sizes; variant: a, b or c; fix: tell Docker the MTU; count: datagrams of the flow."""
    if variant not in ("a", "b", "c"):
        raise emu.InvalidValue(f'variant="{variant}": expected "a", "b" or "c"')
    h1, h2 = net.add_host("host1"), net.add_host("host2")
    left, right = net.add_switch("left"), net.add_switch("right")
    for host, switch in ((h1, left), (h2, right)):
        net.add_link(host, switch, rate="1Gbit", delay="5us", mtu=NARROW if variant == "b" else 1500)
    # A switch lets 4 bytes more pass than its port's MTU, room for a VLAN tag; fragments are cut to the MTU itself.
    narrow = {"a": NARROW - VLAN_TAG, "b": 1500, "c": NARROW}[variant]
    net.add_link(left, right, rate="1Gbit", delay="1ms", mtu=narrow)
    for switch in (left, right):
        switch.namespace.sysctl["net.bridge.bridge-nf-call-iptables"] = int(variant == "c")
    options = {"com.docker.network.driver.mtu": NARROW} if fix else {}
    shop = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True, options=options)
    web = h1.containers.run("web", network=shop)
    db = h2.containers.run("db", network=shop)

    small = web.ping("db", count=2, at="3s")
    fits = web.ping("db", count=2, size=FITS, dont_fragment="do", at="6s")
    sink = db.udp_sink(5001, numbered=True)
    full = web.interface("eth0").mtu - 28
    flow = web.udp_flow("db", 5001, size=full, interval="10ms", count=count, numbered=True, at="9s")
    whole = web.ping("db", count=2, size=FITS + 1, dont_fragment="do", at="12s", timeout="1s")
    pieces = web.ping("db", count=2, size=2000, dont_fragment="dont", at="16s", timeout="1s")

    refused = f"mtu={NARROW - HEADERS}"
    net.expect("small pings are answered", lambda: small.result.received == 2)
    net.expect(f"pings with {FITS} bytes of data are answered", lambda: fits.result.received == 2)
    net.expect("the flow was sent", lambda: flow.result.sent + sum(flow.result.refused.values()) == count)
    if fix:
        net.expect("the whole flow arrives", lambda: sink.result.received == count)
        net.expect("a packet too long is refused where it begins", lambda: refused in whole.result.text)
        net.expect("without DF it goes in pieces that fit", lambda: pieces.result.received == 2)
    elif variant == "a":
        net.expect("nothing of the flow arrives", lambda: sink.result.received == 0)
        net.expect(f"pings with {FITS + 1} bytes die in silence", lambda: _died_silently(whole.result))
        net.expect("so do pings without DF: the first piece is too long", lambda: _died_silently(pieces.result))
    elif variant == "b":
        net.expect("one datagram of the flow is lost", lambda: sink.result.received == flow.result.sent - 1)
        net.expect("the next one is refused because of it", lambda: flow.result.refused == {"EMSGSIZE": 1})
        net.expect("then longer packets are refused where they begin", lambda: refused in whole.result.text)
        net.expect("without DF they go in pieces that fit", lambda: pieces.result.received == 2)
    else:
        net.expect("the whole flow arrives", lambda: sink.result.received == count)
        net.expect(f"pings with {FITS + 1} bytes are answered", lambda: whole.result.received == 2)
        net.expect("pings without DF, too", lambda: pieces.result.received == 2)


def _died_silently(result) -> bool:
    return result.received == 0 and result.errors == 0 and "too long" not in result.text


if __name__ == "__main__":
    emu.main(topology)
